"""Events: what is delivered into an instance, from its arrival to its answer.

Promises: an event waits at the input gate, runs as a task of its own, and its answer waits at
the output gate; it is given once. Leaves to others: what its handler does, and who lives (the
instance).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.context import EVENT, SECTION
from emulator.durable_objects.rpc import carry_error
from emulator.simulation.handles import SimulationFuture

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.broken import Broken
    from emulator.durable_objects.gates import Section
    from emulator.durable_objects.instance import Instance

__all__ = ["Event", "outcome_of"]


@final
class Event:
    """One thing delivered into an instance, and whom to answer.

    Args:
        instance: Where it goes.
        handler: Called with the worker's object.
        is_fetch: What it raises waits for the output gate, and a reset is `remote` to its
            caller.
        is_callback: It calls something that the object handed out, so a reset is `remote` as
            well.
        section: The critical section to which it belongs.
        kind: "rpc" stands for everything that is neither "fetch" nor "alarm".

    Attributes:
        answer: What the handler returned, or why it did not.
    """

    __slots__ = (
        "_error", "_handler", "_instance", "_is_callback", "_is_fetch", "_value", "answer",
        "kind", "section",
    )  # fmt: skip

    def __init__(
        self,
        instance: Instance,
        handler: Callable[[Any], Any],
        *,
        is_fetch: bool = False,
        is_callback: bool = False,
        section: Section | None = None,
        kind: str = "rpc",
    ) -> None:
        self._instance = instance
        self._handler = handler
        self._is_fetch = is_fetch
        self._is_callback = is_callback
        self.section = section
        self.kind = kind
        self._value: Any = None
        self._error: BaseException | None = None
        context = instance.context
        self.answer = answer = SimulationFuture(loop=context.loop)
        answer.waits_for = f"an answer of {context.name}"

    def enter(self) -> SimulationFuture:
        """Go in when its turn has come.

        Returns:
            The answer.
        """
        instance = self._instance
        if instance.context.is_dead:
            # The constructor has aborted.
            broken = instance.broken
            assert broken is not None
            self.answer.set_exception(broken.as_seen(is_fetch=self._is_fetch))
        else:
            instance.events[self] = None
            instance.input_gate.enter(self.section, self._begin)
        return self.answer

    def _begin(self) -> None:
        instance = self._instance
        context = instance.context
        if context.is_dead:
            return
        context.top_up()
        base = instance.base.copy()
        base.run(EVENT.set, self)
        if self.section is not None:
            base.run(SECTION.set, self.section)
        for observer in instance.observers:
            observer.event_began(instance, self)
        task = context.loop.create_task(
            self._handler(instance.target), name=context.name, context=base
        )
        task.add_done_callback(self._ended, context=instance.base)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        for observer in self._instance.observers:
            observer.event_ended(self._instance, self)
        self._error = error = outcome_of(task)
        if error is None:
            self._value = task.result()
        elif not self._is_fetch:
            # An RPC method's exception does not wait for the output gate; an answer, and
            # what a fetch or alarm handler raises, does (workerd's worker-rpc.c++).
            self._give_answer()
            return
        self._instance.output_gate.leave(self._give_answer)

    def _give_answer(self) -> None:
        instance, answer, error = self._instance, self.answer, self._error
        instance.events.pop(self, None)
        instance.rest()
        if answer.done():
            return
        if error is None:
            for observer in instance.observers:
                observer.event_answered(instance, self)
            answer.set_result(self._value)
        else:
            enhanced = instance.record.kind.has_enhanced_errors
            answer.set_exception(carry_error(error, is_enhanced=enhanced))

    def broken_off(self, broken: Broken) -> None:
        """The instance has ended before it could answer; who waits is told next."""
        if self.answer.done():
            return
        loop = self._instance.context.loop
        error = broken.as_seen(is_fetch=self._is_fetch or self._is_callback)
        loop.deliver(loop.clock.now_ms, self._reject, error)

    def _reject(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


def outcome_of(task: asyncio.Future[Any]) -> BaseException | None:
    """What a finished task raised, if anything."""
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception()
