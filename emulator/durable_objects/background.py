"""Background: work that goes on after the answer, handed to `waitUntil`.

Promises: what it raises concerns nobody: it is written to the trace, and neither fails the
event nor resets the object (measured). Leaves to others: what such work keeps in memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.events import outcome_of
from emulator.simulation.awaitables import is_awaitable

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.context import IoContext

__all__ = ["Background"]


@final
class Background:
    """The background work of one instance or one event.

    Args:
        context: Where it runs.
        ended: Called when a piece of it has ended.

    Attributes:
        error: The first that was raised.
    """

    __slots__ = ("_context", "_ended", "_tasks", "error")

    def __init__(self, context: IoContext, ended: Callable[[], None]) -> None:
        self._context = context
        self._ended = ended
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.error: BaseException | None = None

    def start(self, work: Any) -> None:
        """Let work go on.

        Args:
            work: An awaitable; anything else is a promise that has been kept already.

        Raises:
            DeadInstance: If nothing may run here any more.
        """
        context = self._context
        context.check_alive()
        if not is_awaitable(work):
            return

        async def run() -> None:
            await work

        task = context.loop.create_task(run(), name=f"{context.name} waitUntil")
        self._tasks[task] = None
        task.add_done_callback(self._task_ended, context=context.loop.platform_context)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        error = outcome_of(task)
        if error is not None:
            self.error = self.error or error
            text = f"{type(error).__name__}: {error}"
            context = self._context
            context.simulation.trace.record("waitUntil.rejected", context.name, error=text)
        self._ended()

    async def finish(self) -> None:
        """Wait for all of it.

        Raises:
            BaseException: The first error in it.
        """
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self.error is not None:
            raise self.error

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<Background {len(self._tasks)} of {self._context.name}>"
