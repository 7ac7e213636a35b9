"""Hooks: what an object's storage needs of the instance that it belongs to.

Promises: the seam between the two, in types. Leaves to others: both sides of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.gates import OutputGate
    from emulator.errors import JsException

__all__ = ["Hooks"]


class Hooks(Protocol):
    """What storage needs of the instance that it belongs to."""

    in_constructor: bool

    @property
    def context(self) -> IoContext:
        """For the calls that are real waits: `sync` and the bookmark."""

    @property
    def output_gate(self) -> OutputGate:
        """Shut by the first confirmed write, opened by the flush."""

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        """Run `callback()` once when the present turn is over."""

    def schedule_flush(self, commit: Callable[[], None]) -> None:
        """Run `commit()` as an event of its own, unless the instance is dead by then."""

    def check_alive(self, kind: str = "ActorCacheInterface") -> None:
        """Refuse an act of a dead instance by raising DeadInstance, and foreign use."""

    def reset(self, error: JsException, *, is_flagged: bool = True) -> None:
        """End the instance; whoever waits gets the error."""

    def critical_section(
        self, function: Callable[[], Any], *, breaks: bool = True
    ) -> asyncio.Future[Any]:
        """Run `function` with the input gate shut for everything else."""

    def has_alarm_handler(self) -> bool:
        """Whether the class can answer an alarm."""
