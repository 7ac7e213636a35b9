"""The invocation: one event of a plain worker, with a life of its own.

Promises: each request, cron run or call has its own context and its own instance of the
entrypoint; work handed to `waitUntil` goes on after the answer; a power cut ends both at
once. Leaves to others: which class answers (the world).
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.context import CURRENT, IoContext
from emulator.durable_objects.events import outcome_of
from emulator.errors import JsException
from emulator.simulation.handles import OWNER, Handle, SimulationFuture

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from emulator.simulation.runner import Simulation

__all__ = ["ExecutionContext", "Invocation"]


@final
class ExecutionContext:
    """What a handler is handed as `ctx`.

    Args:
        invocation: The event it belongs to.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self.props: dict[str, Any] = {}

    def waitUntil(self, awaitable: Awaitable[Any]) -> None:
        """Let work go on after the answer; what it raises concerns nobody."""
        self._invocation.wait_until(awaitable)

    def passThroughOnException(self) -> None:
        """Accepted; there is no origin behind a local worker to pass through to."""


@final
class Invocation:
    """One event.

    Args:
        simulation: Time, rules and trace.
        name: Who this is in the trace.
        subrequests_max: Calls it may make; None is no limit.
        furnish: Gives the context what the world owns.
    """

    def __init__(
        self,
        simulation: Simulation,
        name: str,
        *,
        subrequests_max: int | None,
        furnish: Callable[[IoContext], None],
    ) -> None:
        self._simulation = simulation
        self._loop = simulation.loop
        self.context = IoContext(simulation, name, subrequests_max=subrequests_max, owner=self)
        furnish(self.context)
        self.ctx = ExecutionContext(self)
        self._base = Context()
        self._base.run(CURRENT.set, self.context)
        self._base.run(OWNER.set, self)
        self._answer = SimulationFuture(loop=self._loop)
        self._answer.waits_for = f"the answer of {name}"
        self._background: dict[asyncio.Task[Any], None] = {}
        self._background_error: BaseException | None = None

    def run(self, handler: Callable[[], Coroutine[Any, Any, Any]]) -> SimulationFuture:
        """Run the handler.

        Args:
            handler: Called inside the invocation.

        Returns:
            A future with its result.
        """
        name = self.context.name
        task = self._loop.create_task(handler(), name=name, context=self._base.copy())
        task.add_done_callback(self._ended, context=self._base)
        return self._answer

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if self._answer.done():
            return
        error = outcome_of(task)
        if error is None:
            self._answer.set_result(task.result())
        elif isinstance(error, Exception):
            self._answer.set_exception(error)
        else:
            self._answer.set_exception(JsException(str(error), name=type(error).__name__))

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Keep an awaitable going, and what it raises to itself."""
        self.context.check_alive()

        async def run() -> None:
            await awaitable

        task = self._loop.create_task(
            run(), name=f"{self.context.name} waitUntil", context=self._base.copy()
        )
        self._background[task] = None
        task.add_done_callback(self._background_ended, context=self._base)

    def _background_ended(self, task: asyncio.Task[Any]) -> None:
        self._background.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._background_error = self._background_error or error
            self.record_failure("waitUntil.rejected", error)

    async def finish_background(self) -> None:
        """Wait for all work that was handed to `waitUntil`.

        Raises:
            BaseException: The first error in it.
        """
        while self._background:
            await asyncio.wait(self._background)
        if self._background_error is not None:
            raise self._background_error

    def record_failure(self, kind: str, error: BaseException) -> None:
        """Note in the trace an error that reaches nobody."""
        text = f"{type(error).__name__}: {error}"
        self._simulation.trace.record(kind, self.context.name, error=text)

    def admit(self, handle: Handle) -> None:
        """A timer is due. A plain worker has no gate."""
        self._loop.enqueue(handle)

    def power_cut(self, cause: str) -> None:
        """The isolate dies: whoever waits for an answer is disconnected."""
        if self.context.is_dead:
            return
        self._simulation.trace.record("crash", self.context.name, cause=cause)
        self.dispose()
        if not self._answer.done():
            self._answer.set_exception(JsException("Network connection lost.", retryable=True))

    def dispose(self) -> None:
        """Nothing of this event ever runs again."""
        self.context.die()
        self._loop.bury(self)
