"""Rules: what may go wrong with an operation, decided before it happens.

Promises: rules are asked in the order in which they were added and the first that answers
decides; every answer is counted on the rule and written to the trace. Leaves to others:
what the operations mean (the bindings), and carrying a verdict out (the corridor).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.simulation.trace import Trace

__all__ = ["PASS", "Operation", "Rule", "RuleSet", "Verdict"]


class Operation(NamedTuple):
    """One thing that leaves an object or worker, or that the runtime does for it.

    Attributes:
        binding: The name under which the worker knows the other side, such as "BUCKET".
        name: `<service>.<method>`, such as "r2.head".
        key: What it is about: an object key, a SQL text, a URL, a method name.
        actor: Who does it, such as "JOBS#1f3a9c02".
    """

    binding: str
    name: str
    key: str = ""
    actor: str = ""

    def __str__(self) -> str:
        what = f"{self.binding}.{self.name}" if self.binding else self.name
        return f"{what}({self.key!r})" if self.key else what


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What happens to one operation. Everything unset is as usual.

    Attributes:
        latency_ms: Extra milliseconds before the effect.
        answer_latency_ms: Extra milliseconds between the effect and the arrival.
        error_before: Makes the error that replaces the effect.
        error_after: Makes the error that replaces the answer; the effect has happened.
        answer: Makes the answer that replaces the effect, from nothing.
        crash: "before" or "after" the effect the caller loses power.
    """

    latency_ms: int = 0
    answer_latency_ms: int = 0
    error_before: Callable[[Operation], BaseException] | None = None
    error_after: Callable[[Operation], BaseException] | None = None
    answer: Callable[[Operation], Any] | None = None
    crash: str | None = None


PASS: Final = Verdict()


class Rule(Protocol):
    """Something that may answer for an operation."""

    def decide(self, operation: Operation) -> Verdict | None:
        """The verdict, or None if the rule has nothing to say about this operation."""


@final
class RuleSet:
    """The rules of one simulation.

    Args:
        trace: Where each verdict is written.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._rules: list[Rule] = []
        self._match_counts: list[int] = []

    def add(self, *rules: Rule) -> None:
        """Add rules behind those that are there."""
        for rule in rules:
            self._rules.append(rule)
            self._match_counts.append(0)

    def remove(self, rule: Rule) -> None:
        """Take one rule away; nothing happens if it is not there."""
        for index, present in enumerate(self._rules):
            if present is rule:
                del self._rules[index], self._match_counts[index]
                return

    def clear(self) -> None:
        """Take all rules away."""
        self._rules.clear()
        self._match_counts.clear()

    @property
    def unmatched(self) -> tuple[Rule, ...]:
        """Rules that never decided anything: a test that relies on one proves nothing."""
        return tuple(
            rule
            for rule, count in zip(self._rules, self._match_counts, strict=True)
            if count == 0
        )

    def decide(self, operation: Operation) -> Verdict:
        """The verdict of the first rule that answers, or `PASS`."""
        for index, rule in enumerate(self._rules):
            verdict = rule.decide(operation)
            if verdict is not None:
                self._match_counts[index] += 1
                self._trace.record(
                    "fault", str(operation), actor=operation.actor, rule=repr(rule)
                )
                return verdict
        return PASS

    def __iter__(self) -> Iterator[Rule]:
        return iter(tuple(self._rules))

    def __len__(self) -> int:
        return len(self._rules)

    def __repr__(self) -> str:
        return f"<RuleSet {self._rules!r}>"
