"""The journey: one call on its way out and back.

Promises: every call takes the same steps in the same order: it waits for the output gate,
meets its fault, travels, takes effect, travels back, waits at the input gate, and resumes
its caller. The order is the consistency model (workerd's io-context.h), so it is written
here and nowhere else. What has left takes effect even if its sender dies meanwhile; the
answer then reaches nobody. Leaves to others: who may call (the context), and what an effect
does (the bindings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.errors import JsException, copied
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.deviations import ARRIVAL, EFFECT
from emulator.simulation.handles import SimulationFuture
from emulator.simulation.rules import PASS, Verdict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable

    from emulator.durable_objects.connections import Connections
    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.gates import Section
    from emulator.simulation.passages import Passage
    from emulator.simulation.rules import Operation

__all__ = ["Journey"]


@final
class Journey:
    """One operation on its way out and back.

    Args:
        context: Who sends it.
        operation: What it is; faults and the trace know it by this.
        effect: Does it; may return an awaitable.
        future: Gets the answer.
        lane: Calls of one lane arrive in the order in which they were made.
        travel_ms: Milliseconds until the effect; 0 is a step of another journey.
        section: The critical section in which it was sent.
        connections: Of which it has one from its departure to its arrival; None needs none.
    """

    __slots__ = (
        "connections", "context", "effect", "error", "future", "lane", "operation", "passage",
        "section", "travel_ms", "value", "verdict",
    )  # fmt: skip

    def __init__(
        self,
        context: IoContext,
        operation: Operation,
        effect: Callable[[], Any],
        future: SimulationFuture,
        lane: Hashable,
        travel_ms: int,
        section: Section | None,
        connections: Connections | None,
    ) -> None:
        self.context = context
        self.operation = operation
        self.effect = effect
        self.future = future
        self.lane = lane
        self.travel_ms = travel_ms
        self.section = section
        self.connections = connections
        self.verdict: Verdict = PASS
        #: Its record, if the run is recorded.
        self.passage: Passage | None = None
        self.value: Any = None
        self.error: BaseException | None = None

    def depart(self) -> None:
        """Travel as soon as a connection is free."""
        assert self.connections is not None
        self.connections.open(self.travel)

    def travel(self) -> None:
        """Be on the way, unless the sender has died at its output gate."""
        context = self.context
        if context.is_dead:
            return
        simulation = context.simulation
        delay_ms = self.travel_ms
        if simulation.rules:
            self.verdict = simulation.rules.decide(self.operation)
        if simulation.player is not None:
            self.passage = passage = simulation.player.depart(self.operation)
            if passage.verdict is not None:
                self.verdict = passage.verdict
        if self.verdict is not PASS:
            delay_ms += self.verdict.latency_ms
        if not simulation.schedule.is_calm:
            delay_ms += simulation.schedule.extra_ms(self.operation)
        loop = context.loop
        loop.deliver(loop.clock.now_ms + delay_ms, self._take_effect, lane=self.lane)

    def _take_effect(self) -> None:
        verdict, context = self.verdict, self.context
        passage = self.passage
        if passage is not None and not passage.admits(
            EFFECT, self._take_effect, lane=self.lane
        ):
            return  # It is held back, and comes again.
        if verdict is not PASS:
            if passage is not None and _replaces_effect(verdict):
                passage.no_effect()
            if "before" in (verdict.crash, verdict.restart):
                self._cut_power("before")
                return
            error: Any = verdict.error_before and verdict.error_before(self.operation)
            if verdict.target_ends is not None and context.process is not None:
                context.process.end_object(
                    self.operation.target, verdict.target_ends, error and copied(error)
                )
            if error is not None:
                self._record("error before")
                self.error = error
                self._travel_back()
                return
            if verdict.answer is not None:
                self._record("answered by a rule")
                self.value = verdict.answer(self.operation)
                self._travel_back()
                return
        if passage is not None:
            passage.effect()
        if self.travel_ms:
            binding, name, key, actor, _ = self.operation
            context.simulation.trace.record(name, binding, key=key, actor=actor)
        # Else it is a chunk of a body: the journey as a whole is in the trace.
        try:
            value = self.effect()
            if is_awaitable(value):
                pending: asyncio.Future[Any] = (
                    value
                    if isinstance(value, SimulationFuture)
                    else context.loop.create_task(
                        _await(value),
                        name=str(self.operation),
                        context=context.loop.platform_context.copy(),
                    )
                )
                context.keep_effect(pending)
                pending.add_done_callback(self._effect_done)
                return
            self.value = value
        except Exception as error:
            self.error = error
        self._after_effect()

    def _record(self, outcome: str) -> None:
        binding, name, key, actor, _ = self.operation
        record = self.context.simulation.trace.record
        record(name, binding, key=key, actor=actor, outcome=outcome)

    def _effect_done(self, task: asyncio.Future[Any]) -> None:
        if task.cancelled():
            # Its sender lost power while the effect still read from it.
            self.error = JsException("Network connection lost.", retryable=True)
        else:
            error = task.exception()
            if error is None:
                self.value = task.result()
            else:
                self.error = error
        loop = self.context.loop
        loop.deliver(loop.clock.now_ms, self._after_effect)

    def _after_effect(self) -> None:
        verdict = self.verdict
        if verdict is PASS and self.context.simulation.schedule.is_calm:
            self._arrive()  # Nothing delays it.
            return
        if "after" in (verdict.crash, verdict.restart):
            self._cut_power("after")
            return
        if verdict.error_after is not None:
            self.value, self.error = None, verdict.error_after(self.operation)
        elif verdict.changed is not None and self.error is None:
            self.value = verdict.changed(self.operation, self.value)
        self._travel_back()

    def _cut_power(self, when: str) -> None:
        owner, process = self.context.owner, self.context.process
        if self.verdict.restart is not None and process is not None:
            process.restart(f"restart {when} {self.operation}")
        if owner is not None:
            owner.power_cut(f"crash {when} {self.operation}")
        else:
            # Test code has no power to lose, but what it called is gone.
            self.error = JsException("Network connection lost.", retryable=True)
            self._travel_back()

    def _travel_back(self) -> None:
        context = self.context
        simulation = context.simulation
        delay_ms = self.verdict.answer_latency_ms
        if not simulation.schedule.is_calm and self.travel_ms:
            delay_ms += simulation.schedule.extra_ms(self.operation)
        if delay_ms:
            loop = context.loop
            loop.deliver(loop.clock.now_ms + delay_ms, self._arrive)
        else:
            self._arrive()

    def _arrive(self) -> None:
        context = self.context
        passage = self.passage
        if passage is not None and not passage.admits(ARRIVAL, self._arrive):
            return  # It is held back, and comes again.
        context.in_flight_count -= 1
        if self.connections is not None:
            self.connections.close()
        if context.is_dead:
            return
        context.touch()
        if context.input_gate is None:
            self._settle()
        else:
            context.input_gate.enter(self.section, self._settle)

    def _settle(self) -> None:
        future = self.future
        if future.done() or self.context.is_dead:
            return
        if self.passage is not None:
            self.passage.arrival()
        if self.error is None:
            future.set_result(self.value)
        else:
            future.set_exception(self.error)
            if self.context.is_outside:
                self.context.simulation.calls.failed(future)


def _replaces_effect(verdict: Verdict) -> bool:
    """Whether there is a fault in the place of the effect."""
    is_ended = "before" in (verdict.crash, verdict.restart)
    return is_ended or verdict.error_before is not None or verdict.answer is not None


async def _await(value: Any) -> Any:
    return await value
