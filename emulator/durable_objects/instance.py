"""The instance: one life of one object, from its constructor to its end.

Promises: events enter one at a time; what runs between two waits is atomic; answers leave
only when the writes before them are durable. There are four ends. Eviction keeps
confirmed writes and breaks nobody's stub. A reset (`ctx.abort()`, a failed critical
section, a broken unit) loses the open unit and rejects whoever waits. A power cut loses
everything since the last flush. Disposal is the end of the world. After any of them
nothing of the instance ever runs again, and what it still tries to do is refused.
Leaves to others: who is called (the record), when alarms fire (the scheduler), what a
handler does (the handlers).
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.background import Background
from emulator.durable_objects.broken import Broken
from emulator.durable_objects.context import CURRENT, IoContext
from emulator.durable_objects.critical_sections import CriticalSections
from emulator.durable_objects.deadlines import Deadlines
from emulator.durable_objects.events import Event, outcome_of
from emulator.durable_objects.foreign_use import check_own
from emulator.durable_objects.gates import InputGate, OutputGate
from emulator.durable_objects.handlers import answer_alarm, answer_fetch, cancelled_after
from emulator.durable_objects.life_observer import life_observers
from emulator.durable_objects.relaxed_call import note_arguments
from emulator.durable_objects.rpc import carry_error
from emulator.durable_objects.state import DurableObjectState
from emulator.durable_objects.timer_line import TimerLine, too_many_timers
from emulator.errors import DeadInstance, DurableObjectAbort, JsException
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.deviations import EFFECT
from emulator.simulation.handles import OWNER, Handle, SimulationTask
from emulator.simulation.rules import PASS, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from emulator.durable_objects.alarms import AlarmInvocationInfo
    from emulator.durable_objects.gates import Section
    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.record import ObjectRecord
    from emulator.durable_objects.rpc_call import RpcCall
    from emulator.simulation.handles import SimulationFuture
    from emulator.simulation.passages import Passage
    from emulator.simulation.rules import Verdict
    from emulator.web.request import Request

__all__ = ["Instance"]

_ALARM_TOO_LONG: Final = "Alarm exceeded its allowed execution time"
_NO_HANDLER: Final = (
    "Attempted to run a scheduled alarm without a handler, did you remember to export an "
    "alarm() function?"
)
_FLUSH_TOO_LONG: Final = (
    "Durable Object storage operation exceeded timeout which caused object to be reset."
)


@final
class Instance:
    """One life of one object.

    Args:
        record: The object, which outlives its instances.
        object_id: The id by which it was reached; it may know the object's name.
    """

    def __init__(self, record: ObjectRecord, object_id: DurableObjectId) -> None:
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
        self.state = DurableObjectState(self, object_id)
        #: The context variables with which its code runs.
        self.base = Context()
        self.base.run(CURRENT.set, self.context)
        self.base.run(OWNER.set, self)
        #: Those that are not answered yet, in the order of their arrival.
        self.events: dict[Event, None] = {}
        self.background = Background(self.context, self.context.touch)
        #: When its last event ended, epoch milliseconds.
        self.idle_since_ms = simulation.clock.now_ms
        self._timers = TimerLine(self.context, self.input_gate)
        self._loop.watch_timers(record.kind.limits.timers_max)
        self._deadlines = Deadlines(self._loop, self.reset)
        self._sections: CriticalSections | None = None
        #: The worker's object; None in its constructor.
        self.target: Any = None
        self.observers = life_observers(simulation)

    # -- birth -----------------------------------------------------------------------------

    def start(self) -> None:
        """Run the constructor, as an event of its own ahead of whatever comes."""
        self.input_gate.hold()
        kind = self.record.kind
        self._simulation.trace.record("start", self.record.name)
        for observer in self.observers:
            observer.life_began(self)
        try:
            self.target = self.base.copy().run(kind.cls, self.state, kind.env())
        except (DurableObjectAbort, DeadInstance):
            return  # It has reset itself.
        except Exception as error:
            if isinstance(error, TypeError):
                note_arguments(error, kind.cls, "(ctx, env)", self.state, kind.env())
            # When the turn is over, as an event of its own: whoever called can wait by then.
            self._loop.deliver(self._loop.clock.now_ms, self._fail, error)
            return
        finally:
            self.in_constructor = False
        self._loop.deliver(self._loop.clock.now_ms, self.input_gate.release)

    def _fail(self, error: BaseException) -> None:
        """An error of the object's own code resets it."""
        if self.context.is_dead:
            return
        is_enhanced = self.record.kind.has_enhanced_errors
        self.reset(carry_error(error, is_enhanced=is_enhanced, is_remote=False))

    def has_alarm_handler(self) -> bool:
        """Whether the class can answer an alarm; unknown in the constructor, so yes."""
        return self.in_constructor or callable(getattr(self.target, "alarm", None))

    # -- events ----------------------------------------------------------------------------

    def rpc(self, call: RpcCall) -> SimulationFuture:
        """Call a method, or read a property, and answer with a copy of its result."""
        context = self.context
        return Event(self, lambda target: call.run(target, context, is_entrypoint=True)).enter()

    def receive(
        self, handler: Callable[[], Coroutine[Any, Any, Any]], section: Section | None
    ) -> SimulationFuture:
        """Run a call of something that the object handed out."""
        return Event(self, lambda _: handler(), section=section, is_callback=True).enter()

    def fetch(self, request: Request) -> SimulationFuture:
        """Hand a request to the `fetch` handler and answer with its Response."""
        return Event(
            self, lambda target: answer_fetch(target, request), is_fetch=True, kind="fetch"
        ).enter()

    def alarm(self, info: AlarmInvocationInfo) -> SimulationFuture:
        """Run the alarm handler, if its alarm is still stored when its turn has come.

        Returns:
            A future, done when what was written is durable: whether the alarm was still
            stored, or what the handler raised.
        """

        async def handler(target: Any) -> bool:
            if not self.state.storage.begin_alarm(info.scheduledTime):
                return False
            context, clock, usage = self.context, self._loop.clock, self.record.kind.usage
            mark, limit_ms = usage.mark("alarm_wall_ms_max"), usage.limits.alarm_wall_ms_max
            begun_ms = clock.now_ms
            deadline = self._deadlines.set(
                limit_ms, _alarm_too_long, lambda: mark.saw(limit_ms, context.name)
            )
            try:
                if not await answer_alarm(target, info) and context.logs is not None:
                    context.logs.write("WARNING", _NO_HANDLER, context.name)
            finally:
                self._deadlines.lift(deadline)
                mark.saw(clock.now_ms - begun_ms, context.name)
            return True

        return Event(self, handler, is_fetch=True, kind="alarm").enter()

    def websocket_event(
        self, handler: Callable[[Any], Any], timeout_ms: int | None
    ) -> SimulationFuture:
        """Run the handler of what came on a WebSocket that hibernates.

        Args:
            handler: Called with the object.
            timeout_ms: What takes longer is cancelled; None is no limit.
        """
        if timeout_ms is not None:
            handler = cancelled_after(timeout_ms, handler, self._loop)
        return Event(self, handler).enter()

    def run_inside(
        self, function: Callable[[Any, DurableObjectState], Any]
    ) -> SimulationFuture:
        """Run a test's function with the object and its state, as an event."""

        async def handler(target: Any) -> Any:
            value = function(target, self.state)
            return await value if is_awaitable(value) else value

        return Event(self, handler).enter()

    def rest(self) -> None:
        """An event is over: idleness is counted from now."""
        self.context.touch()
        self.idle_since_ms = self.context.last_active_ms
        self.record.rest()

    # -- what the state offers ---------------------------------------------------------------

    def critical_section(
        self, function: Callable[[], Any], *, breaks: bool = True
    ) -> SimulationFuture:
        """Run `function` with the input gate shut for everything else."""
        sections = self._sections
        if sections is None:
            kind = self.record.kind
            sections = self._sections = CriticalSections(
                self.context,
                self.base,
                self.input_gate,
                self._deadlines,
                limit_ms=kind.limits.block_concurrency_ms_max,
                mark=kind.usage.mark("block_concurrency_ms_max"),
                fail=self._fail,
                succeed=lambda: self.state.storage.end_unit(),
            )
        return sections.run(function, breaks=breaks)

    @property
    def name(self) -> str:
        """Who it is in the trace."""
        return self.context.name

    @property
    def timers_max(self) -> int:
        """How many timers the object may have running."""
        return self.record.kind.limits.timers_max

    def refuse_timer(self, active_count: int) -> JsException:
        """What the one who sets another timer is told."""
        usage = self.record.kind.usage
        usage.mark("timers_max").saw(active_count + 1, self.context.name)
        return too_many_timers(self.timers_max, active_count, self._timers.finished_count)

    def admit(self, handle: Handle) -> None:
        """A timer of this object is due: it enters by the input gate, in due order."""
        self._timers.admit(handle)

    # -- storage's hooks -------------------------------------------------------------------

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        """Run once when the present turn is over, unless the instance is dead by then."""
        self._loop.at_turn_end(lambda: None if self.context.is_dead else callback())

    def check_alive(self, kind: str = "ActorCacheInterface") -> None:
        """Refuse an act of a dead instance, or one that another's code does.

        Args:
            kind: The runtime's name for what is used.
        """
        context = self.context
        if CURRENT.get() is not context:
            check_own(context, kind)
        if context.is_dead:
            context.check_alive()

    def schedule_flush(self, commit: Callable[[], None]) -> None:
        """Make the closed units durable, as an event of its own."""
        operation = Operation("storage", "storage.flush", actor=self.context.name)
        rules = self._simulation.rules
        verdict = rules.decide(operation) if rules else PASS
        player = self._simulation.player
        passage = None if player is None else player.depart(operation)
        if passage is not None and passage.verdict is not None:
            verdict = passage.verdict
        usage = self.record.kind.usage
        if verdict.latency_ms:
            usage.mark("output_gate_ms_max").saw(verdict.latency_ms, self.context.name)
        delay_ms = min(verdict.latency_ms, usage.limits.output_gate_ms_max)
        due_ms = self._loop.clock.now_ms + delay_ms
        self._loop.deliver(due_ms, self._flush, commit, operation, verdict, passage)

    def _flush(
        self,
        commit: Callable[[], None],
        operation: Operation,
        verdict: Verdict,
        passage: Passage | None,
    ) -> None:
        if self.context.is_dead:
            if passage is not None:
                passage.no_effect()
            return
        limit_ms = self.record.kind.usage.limits.output_gate_ms_max
        if passage is not None:
            again = partial(self._flush, commit, operation, verdict, passage)
            if not passage.admits(EFFECT, again, hold_ms_max=limit_ms):
                return  # It is held back, and comes again.
        if verdict.latency_ms > limit_ms:
            error = JsException(_FLUSH_TOO_LONG, overloaded=True)
            self.reset(error, is_counted=False, keeps_closed_units=False)
        elif self._ends_by(verdict, operation, "before"):
            if passage is not None:
                passage.no_effect()
        else:
            if passage is not None:
                passage.effect()
                passage.arrival()
            self._simulation.trace.record("storage.flush", self.context.name)
            if "after" in (verdict.crash, verdict.restart) or verdict.error_after:
                self.output_gate.lose()  # Durable, and yet nobody is told.
            commit()
            self._ends_by(verdict, operation, "after")

    def _ends_by(self, verdict: Verdict, operation: Operation, when: str) -> bool:
        """End this life if a rule says so of this moment of a flush; tells whether it did."""
        make = verdict.error_before if when == "before" else verdict.error_after
        if verdict.crash == when:
            self.power_cut(f"crash {when} {operation}")
        elif verdict.restart == when:
            self.record.restart_process(f"restart {when} {operation}")
        elif make is not None:
            error: Any = make(operation)
            self.reset(error, is_counted=False, keeps_closed_units=False)
        else:
            return False
        return True

    # -- death -----------------------------------------------------------------------------

    def reset(
        self,
        error: JsException,
        *,
        is_counted: bool = True,
        retries_alarm: bool = True,
        keeps_closed_units: bool = True,
        is_flagged: bool = True,
    ) -> None:
        """The platform's own end: the open unit is lost, whoever waits is rejected.

        Args:
            error: What they are told.
            is_counted: A running alarm counts it among its failures.
            retries_alarm: A running alarm is tried again.
            keeps_closed_units: The storage itself is not what failed.
            is_flagged: They see `durableObjectReset`.
        """
        if self.context.is_dead:
            return
        error.durableObjectReset = is_flagged
        self._simulation.trace.record("reset", self.context.name, error=error.message)
        storage = self.state.storage
        self._end(
            Broken(error=error, is_counted=is_counted, retries_alarm=retries_alarm),
            storage.lose_open_unit if keeps_closed_units else storage.lose_unflushed_writes,
        )

    def power_cut(self, cause: str) -> None:
        """Everything since the last flush is gone; whoever waits is disconnected."""
        if self.context.is_dead:
            return
        self._simulation.trace.record("crash", self.context.name, cause=cause)
        error = JsException("Network connection lost.", retryable=True)
        self._end(
            Broken(error=error, is_disconnect=True), self.state.storage.lose_unflushed_writes
        )

    def evict(self) -> None:
        """A polite end: what was confirmed is kept, no stub breaks."""
        if self.context.is_dead:
            return
        self._simulation.trace.record("evict", self.context.name)
        self.state.storage.settle()
        self._end(None, self.state.storage.lose_unflushed_writes)

    def power_off(self) -> None:
        """The end of the world, without a trace."""
        self._end(None, self.state.storage.lose_unflushed_writes)

    def forget_world(self) -> None:
        """Let go of what the instance held: the loop keeps its dead until it closes."""
        assert self.context.is_dead
        self.context.forget_world()
        self.target = None
        del self.record, self.state

    def _end(self, broken: Broken | None, settle_storage: Callable[[], None]) -> None:
        self.broken = broken
        self.context.die()
        self.output_gate.lose()
        self._deadlines.lift_all()
        settle_storage()
        self._loop.bury(self)
        self._hear_current_task()
        events, self.events = self.events, {}
        if broken is not None:
            for event in events:
                event.broken_off(broken)
        self.record.ended(self, broken)

    def _hear_current_task(self) -> None:
        """The code that aborts unwinds with an exception that nobody is there to see."""
        task = asyncio.current_task(self._loop)
        if isinstance(task, SimulationTask) and task.owner is self:
            task.add_done_callback(outcome_of, context=self._loop.platform_context)

    def is_running(self) -> bool:
        """Whether somebody waits for it: an event runs, or a client is connected."""
        return bool(self.events or self.context.sockets or self.context.hosted_count)

    def is_busy(self) -> bool:
        """Whether anything keeps this instance in memory.

        What is running, work handed to `waitUntil`, a call under way, a timer. Not a task
        that waits for another one of the same object: on the platform that is a promise
        which nothing will ever resolve.
        """
        return (
            self.is_running()
            or bool(self.background or self.context.in_flight_count)
            or self._loop.has_timer_of(self)
        )

    def __repr__(self) -> str:
        state = "dead" if self.context.is_dead else "alive"
        return f"<Instance {self.context.name} {state}, {len(self.events)} events>"


def _alarm_too_long() -> JsException:
    return JsException(_ALARM_TOO_LONG)
