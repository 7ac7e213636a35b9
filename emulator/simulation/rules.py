"""Rules: what may go wrong with an operation, decided before it happens.

Promises: every rule sees every operation, so that a rule which counts counts alike beside
any others; the rule that was added first decides among those that answer; that answer is
counted on the rule and written to the trace; a rule that never decided anything does not
end unnoticed. Leaves to others: what the operations mean (the bindings), and carrying a
verdict out (the corridor).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, final

from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from emulator.simulation.trace import Trace

__all__ = ["PASS", "Operation", "Rule", "RuleSet", "UnusedFaultWarning", "Verdict"]


class UnusedFaultWarning(UserWarning):
    """A fault rule never matched anything: the test that relies on it proves nothing."""


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
        """The verdict, or None if the rule has nothing to say about this operation.

        Asked exactly once for each operation. A rule that keeps state may have a method
        `reset()`, which is called when it is added.
        """


@final
class _Entry:
    """A rule that was added, and how often it decided."""

    __slots__ = ("decision_count", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.decision_count = 0


@final
class RuleSet:
    """The rules of one simulation.

    Args:
        trace: Where each verdict is written.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._entries: list[_Entry] = []

    def add(self, *rules: Rule) -> None:
        """Add rules behind those that are there.

        Raises:
            ConfigurationError: If one is no rule.
        """
        for rule in rules:
            if isinstance(rule, type) or not hasattr(rule, "decide"):
                message = (
                    "a fault is a rule made by emulator.faults, such as "
                    f"faults.error(binding='DB'), got {rule!r}"
                )
                raise ConfigurationError(message)
        for rule in rules:
            reset = getattr(rule, "reset", None)
            if reset is not None:
                reset()
            self._entries.append(_Entry(rule))

    def remove(self, rule: Rule) -> None:
        """Take one rule away; nothing happens if it is not there."""
        for index, entry in enumerate(self._entries):
            if entry.rule is rule:
                del self._entries[index]
                return

    def clear(self) -> None:
        """Take all rules away.

        Warns:
            UnusedFaultWarning: If some of them never matched an operation.
        """
        self.settle()

    def settle(
        self,
        rules: Iterable[Rule] | None = None,
        error: BaseException | None = None,
        owner: str = "",
    ) -> None:
        """Take rules away, and say which of them never matched an operation.

        Args:
            rules: Those of one world; None is all.
            error: What ends their time, if it failed: it gets the sentence as a note, since
                a warning that is turned into an error would hide it.
            owner: Whose simulation ends, in words, where it is not plain.

        Warns:
            UnusedFaultWarning: If there are such rules, and no `error`.
        """
        ending = tuple(self if rules is None else rules)
        unused = [rule for rule in self.unmatched if any(rule is other for other in ending)]
        for rule in ending:
            self.remove(rule)
        if not unused:
            return
        message = f"no operation ever matched the fault {', '.join(map(repr, unused))}"
        if owner:
            message += f", in the simulation of {owner}"
        message += ": check its binding, operation, key and nth"
        if error is None:
            warnings.warn(message, UnusedFaultWarning, stacklevel=3)
        else:
            error.add_note(message)

    @property
    def unmatched(self) -> tuple[Rule, ...]:
        """Rules that never decided anything: a test that relies on one proves nothing."""
        return tuple(entry.rule for entry in self._entries if not entry.decision_count)

    def decide(self, operation: Operation) -> Verdict:
        """The verdict of the first rule that answers, or `PASS`."""
        decided: Verdict | None = None
        # A copy: a rule may take itself or others away while it is asked.
        for entry in tuple(self._entries):
            verdict = entry.rule.decide(operation)
            if verdict is None or decided is not None:
                continue
            decided = verdict
            entry.decision_count += 1
            self._trace.record(
                "fault", str(operation), actor=operation.actor, rule=repr(entry.rule)
            )
        return PASS if decided is None else decided

    def __iter__(self) -> Iterator[Rule]:
        return iter([entry.rule for entry in self._entries])

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<RuleSet {[entry.rule for entry in self._entries]!r}>"
