"""Gates: what may enter an object, and when its words may leave.

Input gate: events enter one at a time. A critical section (`blockConcurrencyWhile`, a
transaction) shuts it for everything but the section's own completions; sections may nest,
and several that were asked for by one event run one after another, ahead of all that
waits. A section that fails breaks the object, which is the caller's business.

Output gate: while confirmed writes are not yet durable, nothing that the object says
leaves it: no answer, no call. The gate opens at the flush; if the object dies first, the
words are lost with the writes.

Promises: whoever waits at a gate goes through in the order of arrival. Leaves to others:
what enters and leaves. Both gates are defined in workerd's io-gate.h.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.loop import SimulationLoop

__all__ = ["InputGate", "InputGateStatistics", "OutputGate", "Section"]


@final
class Section:
    """One critical section of one object.

    Args:
        parent: The section in which it was asked for; None is the object itself.
        start: Begins the section's work. Called when its turn has come.
    """

    __slots__ = ("is_over", "parent", "start")

    def __init__(self, parent: Section | None, start: Callable[[], None]) -> None:
        self.parent = parent
        self.start = start
        #: What was started in it and comes later belongs to the section around it.
        self.is_over = False


@final
@dataclass(frozen=True, slots=True)
class InputGateStatistics:
    """Seen from outside: how many wait at the gate, and for how many sections."""

    waiter_count: int
    pending_section_count: int
    is_section_active: bool


@final
class InputGate:
    """The one entry into an object's single thread.

    Args:
        loop: Its turns are the turns of the object.
    """

    def __init__(self, loop: SimulationLoop) -> None:
        self._loop = loop
        self._active: Section | None = None
        self._is_held = False
        self._waiting: dict[Section | None, deque[Callable[[], None]]] = {}
        self._pending: dict[Section | None, deque[Section]] = {}

    def enter(self, section: Section | None, callback: Callable[[], None]) -> None:
        """Run `callback()` as soon as events of `section` may enter.

        Args:
            section: Where the event belongs: the section in which its cause was started,
                None for anything from outside.
            callback: Runs now, or later as an event of its own.
        """
        if section is not None and section.is_over:
            section = _living(section)
        if (
            section is self._active
            and not self._is_held
            and section not in self._waiting
            and section not in self._pending
        ):
            callback()
        else:
            self._waiting.setdefault(section, deque()).append(callback)

    def is_open_to(self, section: Section | None) -> bool:
        """Whether no critical section stands between the gate and an event of `section`."""
        return _living(section) is self._active

    def hold(self) -> None:
        """Let nothing enter until `release` (the constructor's turn)."""
        self._is_held = True

    def release(self) -> None:
        """End a `hold`, and let in what has come to wait."""
        self._is_held = False
        self._let_in()

    def begin(self, section: Section) -> None:
        """Ask for a critical section. It starts when the present turn is over.

        It starts ahead of every waiting event, but never while another section is active
        that is not its parent.
        """
        section.parent = _living(section.parent)
        self._pending.setdefault(section.parent, deque()).append(section)
        self._loop.at_turn_end(self._start_pending)

    def end(self, section: Section) -> None:
        """The section is over. What its parent does in this turn comes before all others."""
        assert self._active is section, "sections end innermost first"
        self._active = parent = section.parent
        section.is_over = True
        # What it has left behind goes on in the section around it.
        waiting = self._waiting.pop(section, None)
        if waiting is not None:
            self._waiting.setdefault(parent, deque()).extendleft(reversed(waiting))
        pending = self._pending.pop(section, None)
        if pending is not None:
            for left in pending:
                left.parent = parent
            self._pending.setdefault(parent, deque()).extendleft(reversed(pending))
        self._loop.at_turn_end(self._start_pending)

    def _start_pending(self) -> None:
        pending = self._pending.get(self._active)
        if not pending:
            self._let_in()
            return
        section = pending.popleft()
        if not pending:
            del self._pending[self._active]
        self._active = section
        section.start()

    def _let_in(self) -> None:
        """Admit the first waiting event; the others follow, each as a turn of its own."""
        queue = self._waiting.get(self._active)
        if not queue or self._is_held or self._active in self._pending:
            return
        self._loop.deliver(self._loop.clock.now_ms, self._admit)

    def _admit(self) -> None:
        queue = self._waiting.get(self._active)
        if not queue or self._is_held or self._active in self._pending:
            return
        callback = queue.popleft()
        section = self._active
        if not queue:
            del self._waiting[section]
        callback()
        if queue:
            self._loop.at_turn_end(self._let_in)

    def statistics(self) -> InputGateStatistics:
        """How many wait, for how many sections."""
        return InputGateStatistics(
            sum(len(queue) for queue in self._waiting.values()),
            sum(len(queue) for queue in self._pending.values()),
            self._active is not None,
        )


def _living(section: Section | None) -> Section | None:
    """The innermost section that is not over."""
    while section is not None and section.is_over:
        section = section.parent
    return section


@final
class OutputGate:
    """Holds an object's words until the writes before them are durable."""

    __slots__ = ("_waiting", "is_shut")

    def __init__(self) -> None:
        #: True while a confirmed write waits for its flush.
        self.is_shut = False
        self._waiting: deque[Callable[[], None]] = deque()

    def leave(self, callback: Callable[[], None]) -> None:
        """Run `callback()` now if the gate is open, else when it opens."""
        if self.is_shut:
            self._waiting.append(callback)
        else:
            callback()

    def open(self) -> None:
        """Every write so far is durable: let out what waits, in order."""
        self.is_shut = False
        while self._waiting and not self.is_shut:
            self._waiting.popleft()()

    def lose(self) -> None:
        """The object died: nothing that waits ever leaves."""
        self._waiting.clear()

    def __repr__(self) -> str:
        state = "shut" if self.is_shut else "open"
        return f"<OutputGate {state}, {len(self._waiting)} waiting>"
