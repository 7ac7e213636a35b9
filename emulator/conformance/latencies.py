"""Latencies: schedules that give each service a time of its own.

Promises: every call of one service takes the same time, so calls of one service end in the
order in which they were made, as they do on the real runtime in one process (measured: their
order hangs on how many hops of the event loop each kind takes, not on chance). Leaves to
others: which times to try (differential).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from emulator.simulation.randomness import Randomness
    from emulator.simulation.rules import Operation

__all__ = ["Latencies"]


@final
class Latencies:
    """A schedule.

    Args:
        by_binding: Milliseconds on top of the usual ones, for each leg of a call, by binding.
    """

    is_calm = False

    def __init__(self, by_binding: dict[str, int]) -> None:
        self._by_binding = by_binding

    def bind(self, randomness: Randomness) -> None:
        """Nothing to draw."""

    def extra_ms(self, operation: Operation) -> int:
        """The same for each leg of a journey."""
        return self._by_binding.get(operation.binding, 0)

    def tie_break(self) -> int:
        """In the order of insertion."""
        return 0

    def __repr__(self) -> str:
        return f"Latencies({self._by_binding})"
