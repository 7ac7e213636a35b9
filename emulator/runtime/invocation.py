"""The invocation: one event of a plain worker, with a life of its own.

Promises: each request, cron run or call has its own context and its own instance of the
entrypoint; work handed to `waitUntil` goes on after the answer; a power cut ends both at
once. Leaves to others: which class answers (the world).
"""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.background import Background
from emulator.durable_objects.context import CURRENT, IoContext
from emulator.durable_objects.events import outcome_of
from emulator.durable_objects.receiving import answer_of
from emulator.durable_objects.timer_line import too_many_timers
from emulator.errors import JsException
from emulator.simulation.handles import OWNER, Handle, SimulationFuture
from emulator.web.response import Response
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine

    from emulator.durable_objects.gates import Section
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
        self._invocation.background.start(awaitable)

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
        #: The context variables with which its code runs.
        self.base = Context()
        self.base.run(CURRENT.set, self.context)
        self.base.run(OWNER.set, self)
        self.context.when_unhosted = self._look_whether_over
        #: What it handed out with its answer keeps it going.
        self._is_session = False
        self._streaming_count = 0
        self._answer = SimulationFuture(loop=self._loop)
        self._answer.waits_for = f"the answer of {name}"
        self.background = Background(self.context, self._look_whether_over)
        self._finished_timers = 0

    def run(self, handler: Callable[[], Coroutine[Any, Any, Any]]) -> SimulationFuture:
        """Run the handler.

        Args:
            handler: Called inside the invocation.

        Returns:
            A future with its result.
        """
        name = self.context.name
        task = self._loop.create_task(handler(), name=name, context=self.base.copy())
        task.add_done_callback(self._ended, context=self.base)
        return self._answer

    def rpc(self, handler: Callable[[], Coroutine[Any, Any, Any]]) -> SimulationFuture:
        """Run a call of the worker's method.

        Returns:
            A future with its answer. What the answer refers to keeps the invocation going.
        """
        self._is_session = True
        self._answer = answer_of(handler, self.context, self.base)
        self._answer.add_done_callback(
            lambda _: self._look_whether_over(), context=self._loop.platform_context
        )
        return self._answer

    def receive(
        self, handler: Callable[[], Coroutine[Any, Any, Any]], section: Section | None
    ) -> SimulationFuture:
        """Run a call of something that the worker handed out."""
        return answer_of(handler, self.context, self.base)

    def _look_whether_over(self) -> None:
        """When nothing of the event is left to do, what its code holds is let go."""
        context = self.context
        if not (
            context.is_over
            or self.background
            or self._streaming_count
            or context.sockets
            or not self._answer.done()
            or (self._is_session and context.hosted_count)
        ):
            context.end()

    def _wait_for_body(self, answer: Any) -> None:
        """A body that still streams keeps the event going."""
        content = answer._content if isinstance(answer, Response) else None
        if not isinstance(content, ReadableStream):
            return
        source = content._source
        if source.is_ended or source.error is not None:
            return
        self._streaming_count += 1

        def streamed() -> None:
            self._streaming_count -= 1
            self._look_whether_over()

        source.settled.append(streamed)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if self._answer.done():
            return
        error = outcome_of(task)
        if error is None:
            self._wait_for_body(task.result())
        self._settle(task, error)
        self._look_whether_over()

    def _settle(self, task: asyncio.Task[Any], error: BaseException | None) -> None:
        if error is None:
            self._answer.set_result(task.result())
        elif isinstance(error, Exception):
            self._answer.set_exception(error)
        else:
            self._answer.set_exception(JsException(str(error), name=type(error).__name__))

    def record_failure(self, kind: str, error: BaseException) -> None:
        """Note in the trace an error that reaches nobody."""
        text = f"{type(error).__name__}: {error}"
        self._simulation.trace.record(kind, self.context.name, error=text)

    @property
    def name(self) -> str:
        """Who it is in the trace."""
        return self.context.name

    @property
    def has_answered(self) -> bool:
        """Whether its handler has ended."""
        return self._answer.done()

    @property
    def timers_max(self) -> int:
        """How many timers one event may have running."""
        limit: int = self.context.world.options.limits.timers_max
        return limit

    def refuse_timer(self, active_count: int) -> JsException:
        """What the one who sets another timer is told."""
        return too_many_timers(self.timers_max, active_count, self._finished_timers)

    def admit(self, handle: Handle) -> None:
        """A timer is due. A plain worker has no gate."""
        self._finished_timers += 1
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
