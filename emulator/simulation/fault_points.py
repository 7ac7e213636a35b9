"""Fault points: each place of a run where a fault would make a difference.

A crash loses all memory, so what follows depends only on what is durable and on what is on
its way. Two crash points of one actor with the same durable state, the same effects outside
and the same calls under way are one point, and one of them is enough.

Promises: every kind of every operation of a run in the order of departure, crash points of
one class once. Leaves to others: which kinds there are (the catalogue), and in which order
they are tried (the portfolio).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from emulator.simulation.playing import Step
    from emulator.simulation.rules import Operation

__all__ = ["FaultKinds", "FaultPoint", "fault_points"]


class FaultKinds(Protocol):
    """What exploration must know of the faults of a platform."""

    def kinds_of(self, operation: Operation) -> tuple[str, ...]:
        """The names of the kinds that may happen to an operation, the cheapest first."""

    def sentence_of(self, kind: str, operation: Operation) -> str:
        """What happened, in words, with what allows it."""


class FaultPoint(NamedTuple):
    """One fault that a run could meet.

    Attributes:
        step: The index of the step it happens to.
        kind: The kind of the catalogue.
        left: Of a crash, whose it is and what is durable then; None if that is unknown.
    """

    step: int
    kind: str
    left: Hashable


def fault_points(
    steps: Sequence[Step],
    indices: Iterable[int],
    kinds_of: Callable[[Operation], Sequence[str]],
) -> tuple[list[FaultPoint], int]:
    """The faults that a run could meet.

    Args:
        steps: Its steps in the order of departure.
        indices: Which of them may meet one.
        kinds_of: The kinds that are wanted of an operation.

    Returns:
        The points, and how many were left out since an equal one is among them.
    """
    classes = _CrashClasses(steps)
    found: list[FaultPoint] = []
    seen: set[Hashable] = set()
    pruned_count = 0
    for index in indices:
        for kind in kinds_of(steps[index].operation):
            crash = classes.of(index, kind)
            if crash is None:
                found.append(FaultPoint(index, kind, None))
            elif crash in seen:
                pruned_count += 1
            else:
                seen.add(crash)
                found.append(FaultPoint(index, kind, crash[:3]))
    return found, pruned_count


class _CrashClasses:
    """Which crash points of a run are equivalent.

    What is under way at an instant is told by the steps that have departed and have not had
    their effect, and by the calls that were not answered.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        #: Of each step, the one of the same actor that took effect next, and saw what it left.
        self._next: dict[int, int] = {}
        #: Of each step, just after its effect: what its actor has under way, what it was asked.
        self._own: list[tuple[int, int]] = [(0, 0)] * len(steps)
        #: The same of everybody, and just before it how many effects had written something.
        self._all: list[tuple[int, int]] = [(0, 0)] * len(steps)
        self._written_counts = [0] * len(steps)
        self._sweep()

    def _sweep(self) -> None:
        """Note for each step what is under way just after its effect."""
        steps = self._steps
        events: list[tuple[int, int, int]] = []
        for index, step in enumerate(steps):
            events.append((step.departed_at, 0, index))
            if step.effect_at >= 0:
                events.append((step.effect_at, 1, index))
            if step.arrival_at >= 0:
                events.append((step.arrival_at, 2, index))
        events.sort()
        last: dict[str, int] = {}
        own: dict[str, int] = {}
        asked: dict[str, int] = {}
        travelling = unanswered = written_count = 0
        for _, what, index in events:
            operation = steps[index].operation
            actor, target, bit = operation.actor, operation.target, 1 << index
            if what == 0:
                own[actor] = own.get(actor, 0) | bit
                travelling |= bit
            elif what == 1:
                if actor in last:
                    self._next[last[actor]] = index
                last[actor] = index
                own[actor] &= ~bit
                travelling &= ~bit
                if target:
                    asked[target] = asked.get(target, 0) | bit
                    unanswered |= bit
                self._own[index] = (own[actor], asked.get(actor, 0))
                self._all[index] = (travelling, unanswered)
                self._written_counts[index] = written_count
                written_count += any(is_write for _, is_write in steps[index].touches)
            elif target:
                asked[target] = asked.get(target, 0) & ~bit
                unanswered &= ~bit

    def of(self, index: int, kind: str) -> tuple[Hashable, ...] | None:
        """What tells a crash point from others; None if the kind is no crash, or unique.

        Returns:
            The kind's first word, who, what is durable, and what is under way.
        """
        family, _, when = kind.partition(" ")
        if family not in ("crash", "restart") or self._steps[index].effect_at < 0:
            return None
        under_way = (self._own if family == "crash" else self._all)[index]
        step, is_after = self._steps[index], when == "after"
        if family == "restart":
            writes = any(is_write for _, is_write in step.touches)
            return family, "", self._written_counts[index] + (is_after and writes), under_way
        if is_after:
            following = self._next.get(index)
            if following is None:
                return None
            step = self._steps[following]
        return family, step.operation.actor, step.state, under_way
