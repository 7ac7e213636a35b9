"""Events: what is delivered into an instance, and whom to answer.

Promises: an answer is given once. Leaves to others: when an event enters, and what its
handler does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.handles import SimulationFuture

__all__ = ["Event", "outcome_of"]


@final
class Event:
    """One thing delivered into the instance, and whom to answer."""

    __slots__ = ("answer", "handler", "is_callback", "is_fetch", "task")

    def __init__(
        self,
        handler: Callable[[Any], Any],
        answer: SimulationFuture,
        *,
        is_fetch: bool,
        is_callback: bool = False,
    ) -> None:
        self.handler = handler
        self.answer = answer
        #: It calls something that the object handed out, so a reset is `remote` as well.
        self.is_callback = is_callback
        #: What it raises waits for the output gate, and a reset is `remote` to its caller.
        self.is_fetch = is_fetch
        self.task: asyncio.Task[Any] | None = None

    def reject(self, error: BaseException) -> None:
        """The instance ended before it could answer."""
        if not self.answer.done():
            self.answer.set_exception(error)


def outcome_of(task: asyncio.Future[Any]) -> BaseException | None:
    """What a finished task raised, if anything."""
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception()
