"""Deadlines: times at which the platform ends what has not ended by itself.

Promises: a deadline that was lifted never strikes, and does not keep the simulation busy.
Leaves to others: what is ended, and how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.errors import JsException
    from emulator.simulation.handles import Handle
    from emulator.simulation.loop import SimulationLoop

__all__ = ["Deadlines"]


@final
class Deadlines:
    """The deadlines of one instance.

    Args:
        loop: Its time.
        strike: Ends the instance with an error.
    """

    __slots__ = ("_handles", "_loop", "_strike")

    def __init__(self, loop: SimulationLoop, strike: Callable[[JsException], None]) -> None:
        self._loop = loop
        self._strike = strike
        self._handles: dict[Handle, None] = {}

    def set(
        self,
        limit_ms: int,
        make_error: Callable[[], JsException],
        tell: Callable[[], None] | None = None,
    ) -> Handle:
        """Strike in so many milliseconds.

        Args:
            limit_ms: From now.
            make_error: Gives what ends the instance.
            tell: Called before that, for what the platform's words do not say.
        """

        def strike() -> None:
            if tell is not None:
                tell()
            self._strike(make_error())

        handle = self._loop.deliver_deadline(self._loop.clock.now_ms + limit_ms, strike)
        self._handles[handle] = None
        return handle

    def lift(self, handle: Handle) -> None:
        """It has ended in time."""
        self._handles.pop(handle, None)
        handle.cancel()

    def lift_all(self) -> None:
        """The instance has ended otherwise."""
        for handle in list(self._handles):
            self.lift(handle)

    def __repr__(self) -> str:
        return f"<Deadlines {len(self._handles)} set>"
