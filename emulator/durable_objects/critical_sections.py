"""Critical sections: code that runs while no other event may enter its object.

Promises: a section starts when the present turn is over, has 30 seconds, and answers with
what its function returns; one that must succeed resets the object when it does not. Leaves
to others: who waits meanwhile (the input gate).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.context import SECTION
from emulator.durable_objects.events import outcome_of
from emulator.durable_objects.gates import InputGate, Section
from emulator.errors import JsException
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.handles import Handle, SimulationFuture
from emulator.simulation.waiters import describe_waiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from contextvars import Context

    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.deadlines import Deadlines
    from emulator.usage import Mark

__all__ = ["CriticalSections"]

_TOO_LONG: Final = (
    "A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was "
    "canceled and the Durable Object was reset."
)


@final
class CriticalSections:
    """The sections of one instance.

    Args:
        context: Where they run.
        base: The context variables they start with.
        gate: What they shut.
        deadlines: What ends them.
        limit_ms: How long one may take.
        mark: Of how long they took, milliseconds.
        fail: Resets the object with what a section raised.
        succeed: Called when one has done its work: what it wrote is a unit of its own, since
            what waits for it goes on in another turn (measured on workerd).
    """

    __slots__ = (
        "_base",
        "_context",
        "_deadlines",
        "_fail",
        "_gate",
        "_limit_ms",
        "_mark",
        "_succeed",
    )

    def __init__(
        self,
        context: IoContext,
        base: Context,
        gate: InputGate,
        deadlines: Deadlines,
        *,
        limit_ms: int,
        mark: Mark,
        fail: Callable[[BaseException], None],
        succeed: Callable[[], None],
    ) -> None:
        self._context = context
        self._base = base
        self._gate = gate
        self._deadlines = deadlines
        self._limit_ms = limit_ms
        self._mark = mark
        self._fail = fail
        self._succeed = succeed

    def run(self, function: Callable[[], Any], *, breaks: bool) -> SimulationFuture:
        """Run `function` with the input gate shut for everything else.

        Args:
            function: Sync or async; its result is the answer.
            breaks: Whether a failure resets the object (`blockConcurrencyWhile`), or is
                the caller's (`transaction`).

        Returns:
            A future with the function's result.
        """
        self._context.check_alive()
        loop = self._context.loop
        answer = SimulationFuture(loop=loop)
        answer.waits_for = name = f"a critical section of {self._context.name}"

        async def run() -> Any:
            value = function()
            return await value if is_awaitable(value) else value

        def begin() -> None:
            if self._context.is_dead:
                return
            context = self._base.copy()
            context.run(SECTION.set, section)
            task = loop.create_task(run(), name=name, context=context)
            deadline = self._deadlines.set(self._limit_ms, _too_long, lambda: self._tell(task))
            begun_ms = loop.clock.now_ms
            task.add_done_callback(
                lambda task: end(task, deadline, begun_ms), context=self._base
            )

        def end(task: asyncio.Task[Any], deadline: Handle, begun_ms: int) -> None:
            self._deadlines.lift(deadline)
            self._mark.saw(loop.clock.now_ms - begun_ms, self._context.name)
            error = outcome_of(task)
            if error is not None and breaks:
                self._fail(error)
                return
            if error is None:
                self._succeed()
            self._gate.end(section)
            if answer.done():
                return
            if error is None:
                answer.set_result(task.result())
            else:
                answer.set_exception(error)

        section = Section(SECTION.get(), begin)
        self._gate.begin(section)
        return answer

    def _tell(self, task: asyncio.Task[Any]) -> None:
        """Say in the logs what the platform's words do not: who waited for what."""
        self._mark.saw(self._limit_ms, self._context.name)
        if self._context.logs is None:
            return
        waiting = self._gate.statistics().waiter_count
        self._context.logs.write(
            "WARNING",
            f"the input gate was shut for {self._limit_ms / 1000:g} s and {waiting} events "
            f"wait at it: {describe_waiter(task)}",
            self._context.name,
        )

    def __repr__(self) -> str:
        return f"<CriticalSections of {self._context.name}>"


def _too_long() -> JsException:
    return JsException(_TOO_LONG, overloaded=True)
