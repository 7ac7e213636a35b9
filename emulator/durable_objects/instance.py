"""The instance: one life of one object, from its constructor to its end.

Promises: events enter one at a time; what runs between two waits is atomic; answers leave
only when the writes before them are durable. There are four ends. Eviction keeps
confirmed writes and breaks nobody's stub. A reset (`ctx.abort()`, a failed critical
section, a broken unit) loses the open unit and rejects whoever waits. A power cut loses
everything since the last flush. Disposal is the end of the world. After any of them
nothing of the instance ever runs again, and what it still tries to do is refused.
Leaves to others: who is called (the record), when alarms fire (the scheduler).
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.context import CURRENT, SECTION, IoContext
from emulator.durable_objects.gates import InputGate, OutputGate, Section
from emulator.durable_objects.rpc import carry_error, resolve
from emulator.durable_objects.state import DurableObjectState
from emulator.errors import JsException, JsTypeError, js_error
from emulator.simulation.handles import OWNER, Handle, SimulationFuture
from emulator.simulation.rules import Operation
from emulator.values import structured_clone
from emulator.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.alarms import AlarmInvocationInfo
    from emulator.durable_objects.record import ObjectRecord
    from emulator.web.request import Request

__all__ = ["Broken", "Instance"]

_TOO_LONG: Final = (
    "A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was "
    "canceled and the Durable Object was reset."
)


@final
@dataclass(frozen=True, slots=True)
class Broken:
    """Why an instance ended, for everybody who still waits for it.

    Attributes:
        error: What callers see.
        is_disconnect: The connection was lost; nothing is known about the cause.
    """

    error: JsException
    is_disconnect: bool

    def as_seen(self, *, is_fetch: bool) -> JsException:
        """A fresh copy of the error; `fetch` adds `remote`."""
        error = self.error
        return js_error(
            error.name,
            error.message,
            remote=error.remote or (is_fetch and not self.is_disconnect),
            retryable=error.retryable,
            overloaded=error.overloaded,
            durableObjectReset=error.durableObjectReset,
        )


@final
class _Event:
    """One thing delivered into the instance, and whom to answer."""

    __slots__ = ("answer", "handler", "is_fetch", "task")

    def __init__(
        self, handler: Callable[[Any], Any], answer: SimulationFuture, *, is_fetch: bool
    ) -> None:
        self.handler = handler
        self.answer = answer
        self.is_fetch = is_fetch
        self.task: asyncio.Task[Any] | None = None


@final
class Instance:
    """One life of one object.

    Args:
        record: The object, which outlives its instances.
    """

    def __init__(self, record: ObjectRecord) -> None:
        simulation = record.simulation
        self.record = record
        self._simulation = simulation
        self._loop = simulation.loop
        self.input_gate = InputGate(self._loop)
        self.output_gate = OutputGate()
        self.context = IoContext(
            simulation,
            record.name,
            input_gate=self.input_gate,
            output_gate=self.output_gate,
            subrequests_max=record.kind.limits.subrequests_max,
            owner=self,
        )
        record.kind.furnish(self.context)
        #: Set when a reset or a power cut ended this life; stubs that reached it stay broken.
        self.broken: Broken | None = None
        self.in_constructor = True
        self.state = DurableObjectState(self)
        self._base = Context()
        self._base.run(CURRENT.set, self.context)
        self._base.run(OWNER.set, self)
        self._events: dict[_Event, None] = {}
        self._timers: deque[Handle] = deque()
        self._object: Any = None
        self.last_active_ms = self._loop.clock.now_ms

    # -- birth -----------------------------------------------------------------------------

    def start(self) -> None:
        """Run the constructor, as an event of its own ahead of whatever comes."""
        self.input_gate.hold()
        kind = self.record.kind
        self._simulation.trace.record("start", self.record.name)
        try:
            self._object = self._base.copy().run(kind.cls, self.state, kind.env())
        except Exception as error:
            seen = carry_error(error, is_enhanced=kind.has_enhanced_errors)
            seen.remote = False
            self._loop.deliver(self._loop.clock.now_ms, self.reset, seen)
            return
        finally:
            self.in_constructor = False
        self._loop.deliver(self._loop.clock.now_ms, self.input_gate.release)

    def has_alarm_handler(self) -> bool:
        """Whether the class can answer an alarm; unknown in the constructor, so yes."""
        return self.in_constructor or callable(getattr(self._object, "alarm", None))

    # -- events ----------------------------------------------------------------------------

    def rpc(
        self, path: tuple[str, ...], args: list[Any], kwargs: dict[str, Any], *, is_call: bool
    ) -> SimulationFuture:
        """Call a method, or read a property, and answer with a copy of its result."""

        async def handler(target: Any) -> Any:
            value = resolve(target, path)
            if is_call:
                if not callable(value):
                    message = f'"{path[-1]}" is not a function.'
                    raise JsTypeError(message)
                value = value(*args, **kwargs)
            if inspect.isawaitable(value):
                value = await value
            return structured_clone(value, for_storage=False)

        return self._event(handler, is_fetch=False)

    def fetch(self, request: Request) -> SimulationFuture:
        """Hand a request to the `fetch` handler and answer with its Response."""

        async def handler(target: Any) -> Any:
            fetch = getattr(target, "fetch", None)
            if fetch is None:
                message = "Handler does not export a fetch() function."
                raise JsException(message)
            value = fetch(request)
            if inspect.isawaitable(value):
                value = await value
            if not isinstance(value, Response):
                message = (
                    "Incorrect type for Promise: the Promise did not resolve to 'Response'."
                )
                raise JsTypeError(message)
            return value

        return self._event(handler, is_fetch=True)

    def alarm(self, info: AlarmInvocationInfo) -> SimulationFuture:
        """Run the alarm handler; the answer is None, or what it raised, once durable."""

        async def handler(target: Any) -> None:
            alarm = getattr(target, "alarm", None)
            if alarm is None:
                return
            value = alarm(info)
            if inspect.isawaitable(value):
                await value

        return self._event(handler, is_fetch=True)

    def run_inside(
        self, function: Callable[[Any, DurableObjectState], Any]
    ) -> SimulationFuture:
        """Run a test's function with the object and its state, as an event."""

        async def handler(target: Any) -> Any:
            value = function(target, self.state)
            return await value if inspect.isawaitable(value) else value

        return self._event(handler, is_fetch=False)

    def _event(self, handler: Callable[[Any], Any], *, is_fetch: bool) -> SimulationFuture:
        answer = SimulationFuture(loop=self._loop)
        answer.waits_for = f"an answer of {self.record.name}"
        event = _Event(handler, answer, is_fetch=is_fetch)
        self._events[event] = None
        self.input_gate.enter(None, lambda: self._begin(event))
        return answer

    def _begin(self, event: _Event) -> None:
        if self.context.is_dead:
            return
        self.context.top_up()
        self.last_active_ms = self._loop.clock.now_ms
        event.task = task = self._loop.create_task(
            event.handler(self._object), name=self.record.name, context=self._base.copy()
        )
        task.add_done_callback(lambda _: self._ended(event), context=self._base)

    def _ended(self, event: _Event) -> None:
        task = event.task
        assert task is not None
        error = _outcome(task)
        if error is not None and not event.is_fetch:
            # An RPC method's exception does not wait for the output gate; an answer, and
            # what a fetch or alarm handler raises, does (workerd's worker-rpc.c++).
            self._answer(event, None, error)
        else:
            value = None if error is not None else task.result()
            self._settle_writes(lambda: self._answer(event, value, error))

    def _settle_writes(self, callback: Callable[[], None]) -> None:
        """Run `callback` when every write so far is durable."""
        if self.state.storage.has_unflushed_writes:
            self.output_gate.is_shut = True
        self.output_gate.leave(callback)

    def _answer(self, event: _Event, value: Any, error: BaseException | None) -> None:
        self._events.pop(event, None)
        self.last_active_ms = self._loop.clock.now_ms
        self.record.rest()
        if event.answer.done():
            return
        if error is None:
            event.answer.set_result(value)
        else:
            enhanced = self.record.kind.has_enhanced_errors
            event.answer.set_exception(carry_error(error, is_enhanced=enhanced))

    # -- what the state offers ---------------------------------------------------------------

    def critical_section(
        self, function: Callable[[], Any], *, breaks: bool = True
    ) -> SimulationFuture:
        """Run `function` with the input gate shut for everything else.

        Args:
            function: Sync or async; its result is the answer.
            breaks: Whether a failure resets the object (`blockConcurrencyWhile`), or is
                the caller's (`transaction`).

        Returns:
            A future with the function's result.
        """
        self.context.check_alive()
        answer = SimulationFuture(loop=self._loop)
        answer.waits_for = f"a critical section of {self.record.name}"
        parent = SECTION.get()
        section = Section(parent, lambda: begin())

        async def run() -> Any:
            value = function()
            return await value if inspect.isawaitable(value) else value

        def begin() -> None:
            if self.context.is_dead:
                return
            context = self._base.copy()
            context.run(SECTION.set, section)
            limit_ms = self.record.kind.limits.block_concurrency_ms_max
            timer = self._loop.deliver(self._loop.clock.now_ms + limit_ms, expire)
            task = self._loop.create_task(
                run(), name=f"{self.record.name} section", context=context
            )
            task.add_done_callback(lambda task: end(task, timer), context=self._base)

        def expire() -> None:
            if not self.context.is_dead:
                self.reset(JsException(_TOO_LONG, overloaded=True, durableObjectReset=True))

        def end(task: asyncio.Task[Any], timer: Handle) -> None:
            timer.cancel()
            error = _outcome(task)
            if error is not None and breaks:
                seen = carry_error(error, is_enhanced=self.record.kind.has_enhanced_errors)
                seen.remote = False
                self.reset(seen)
                return
            self.input_gate.end(section)
            if answer.done():
                return
            if error is None:
                answer.set_result(task.result())
            else:
                answer.set_exception(error)

        self.input_gate.begin(section)
        return answer

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Let work go on after the answer; what it raises concerns nobody."""
        self.context.check_alive()

        async def run() -> None:
            await awaitable

        task = self._loop.create_task(run(), name=f"{self.record.name} waitUntil")
        task.add_done_callback(_outcome, context=self._base)

    def admit(self, handle: Handle) -> None:
        """A timer of this object is due: it enters by the input gate, in due order.

        The timers of one object form one line: while the first of them waits at the gate,
        no other fires (workerd's TimeoutManager).
        """
        self._timers.append(handle)
        if len(self._timers) == 1:
            self._admit_first()

    def _admit_first(self) -> None:
        handle = self._timers[0]

        def enter() -> None:
            self._timers.popleft()
            self._loop.enqueue(handle)
            if self._timers:
                self._admit_first()

        self.input_gate.enter(handle.context.get(SECTION), enter)

    # -- storage's hooks -------------------------------------------------------------------

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        """Run once when the present turn is over, unless the instance is dead by then."""
        self._loop.at_turn_end(lambda: None if self.context.is_dead else callback())

    def check_alive(self) -> None:
        """Refuse an act of a dead instance."""
        self.context.check_alive()

    def schedule_flush(self, commit: Callable[[], None]) -> None:
        """Make the closed units durable, as an event of its own."""
        operation = Operation("storage", "storage.flush", actor=self.record.name)
        rules = self._simulation.rules
        verdict = rules.decide(operation) if rules else None
        delay_ms = verdict.latency_ms if verdict is not None else 0
        crash = verdict.crash if verdict is not None else None

        def flush() -> None:
            if self.context.is_dead:
                return
            if crash == "before":
                self.power_cut(f"crash before {operation}")
                return
            self._simulation.trace.record("storage.flush", self.record.name)
            commit()
            if crash == "after":
                self.power_cut(f"crash after {operation}")

        self._loop.deliver(self._loop.clock.now_ms + delay_ms, flush)

    # -- death -----------------------------------------------------------------------------

    def reset(self, error: JsException) -> None:
        """The platform's own end: the open unit is lost, whoever waits is rejected."""
        if self.context.is_dead:
            return
        error.durableObjectReset = True
        self._simulation.trace.record("reset", self.record.name, error=error.message)
        self._end(Broken(error, is_disconnect=False))

    def power_cut(self, cause: str) -> None:
        """Everything since the last flush is gone; whoever waits is disconnected."""
        if self.context.is_dead:
            return
        self._simulation.trace.record("crash", self.record.name, cause=cause)
        self._end(
            Broken(JsException("Network connection lost.", retryable=True), is_disconnect=True)
        )

    def evict(self) -> None:
        """A polite end: what was confirmed is kept, no stub breaks."""
        if self.context.is_dead:
            return
        self._simulation.trace.record("evict", self.record.name)
        self.state.storage.settle()
        self._end(None)

    def dispose(self) -> None:
        """The end of the world, without a trace."""
        self._end(None)

    def _end(self, broken: Broken | None) -> None:
        self.broken = broken
        self.state.storage.lose_unflushed_writes()
        self.context.die()
        self.output_gate.lose()
        self._loop.bury(self)
        events, self._events = self._events, {}
        for event in events:
            if broken is not None and not event.answer.done():
                self._loop.deliver(
                    self._loop.clock.now_ms,
                    _reject,
                    event.answer,
                    broken.as_seen(is_fetch=event.is_fetch),
                )
        self.record.ended(self, broken)

    def is_busy(self) -> bool:
        """Whether anything keeps this instance in memory."""
        return bool(self._events or self.context.in_flight_count) or self._loop.has_work_of(
            self
        )

    def __repr__(self) -> str:
        state = "dead" if self.context.is_dead else "alive"
        return f"<Instance {self.record.name} {state}, {len(self._events)} events>"


def _outcome(task: asyncio.Task[Any]) -> BaseException | None:
    """What a finished task raised, if anything."""
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception()


def _reject(answer: SimulationFuture, error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
