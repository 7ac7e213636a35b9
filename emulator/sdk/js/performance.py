"""performance and navigator: what a worker may ask about where it runs.

Promises: workerd's own answers: `timeOrigin` is 0, so `now()` is the simulated clock.
Leaves to others: measuring (time stands still while a worker computes).
"""

from __future__ import annotations

from typing import final

from emulator.simulation.runner import current_simulation

__all__ = ["navigator", "performance"]


@final
class _Performance:
    """`performance`."""

    timeOrigin = 0

    def now(self) -> int:
        """Milliseconds since `timeOrigin`, simulated.

        Raises:
            WorldError: Outside of a simulation.
        """
        return current_simulation().clock.now_ms


@final
class _Navigator:
    """`navigator`."""

    userAgent = "Cloudflare-Workers"


performance = _Performance()
navigator = _Navigator()
