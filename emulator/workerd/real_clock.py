"""real_clock: the clock on the wall, with the names of the emulator's.

Promises: what it reads. Leaves to others: waiting.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import final

__all__ = ["RealClock"]


@final
class RealClock:
    """The clock on the wall, with the names of the emulator's."""

    @property
    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return int(time.time() * 1000)

    @property
    def now(self) -> datetime:
        """The present instant as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now_ms / 1000, UTC)
