"""The timer line: the due timers of one object, one behind the other.

Promises: timers fire in due order, each as a turn of its own; while the first of them waits
at the input gate, no other fires (workerd's TimeoutManager), so a timer from before a
critical section keeps those of the section from firing. Leaves to others: when a timer is
due (the loop), who may enter (the input gate).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from emulator.durable_objects.context import SECTION
from emulator.errors import JsException
from emulator.simulation.deviations import ARRIVAL

if TYPE_CHECKING:
    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.gates import InputGate
    from emulator.simulation.handles import Handle
    from emulator.simulation.passages import Passage

__all__ = ["TimerLine", "too_many_timers"]


@final
class TimerLine:
    """The due timers of one instance.

    Args:
        context: Where they run.
        gate: By which they enter.
    """

    __slots__ = ("_context", "_gate", "_passage", "_waiting", "finished_count")

    def __init__(self, context: IoContext, gate: InputGate) -> None:
        self._context = context
        self._gate = gate
        self._waiting: deque[Handle] = deque()
        #: The record of the first of them, if the run is recorded.
        self._passage: Passage | None = None
        #: Timers that have fired.
        self.finished_count = 0

    def admit(self, handle: Handle) -> None:
        """A timer is due: it enters when its turn has come."""
        self._waiting.append(handle)
        if len(self._waiting) == 1:
            self._admit_first()

    def _admit_first(self) -> None:
        player = self._context.simulation.player
        if player is not None:
            if self._passage is None:
                self._passage = player.timer(self._waiting[0], self._context.name)
            if not self._passage.admits(ARRIVAL, self._admit_first):
                return  # It is held back, and comes again.
        self._gate.enter(self._waiting[0].context.get(SECTION), self._enter)

    def _enter(self) -> None:
        context = self._context
        if context.is_dead:
            return
        context.touch()
        if self._passage is not None:
            self._passage.effect()
            self._passage.arrival()
            self._passage = None
        self.finished_count += 1
        loop = context.loop
        loop.enqueue(self._waiting.popleft())
        if self._waiting:
            loop.deliver(loop.clock.now_ms, self._admit_first)

    def __repr__(self) -> str:
        return f"<TimerLine {len(self._waiting)} due>"


def too_many_timers(limit: int, active_count: int, finished_count: int) -> JsException:
    """What the one who sets a timer too many is told, as measured on workerd.

    Args:
        limit: How many may run.
        active_count: How many do.
        finished_count: How many have fired.
    """
    text = (
        "You have exceeded the number of active timeouts you may set. max active timeouts: "
        f"{limit}, current active timeouts: {active_count}, finished timeouts: {finished_count}"
    )
    return JsException(text, name="QuotaExceededError")
