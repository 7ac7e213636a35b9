"""Rules: what may go wrong with an operation, decided before it happens.

Promises: every rule sees every operation, so that a rule which counts counts alike beside
any others; the rule that was added first decides among those that answer; that answer is
counted on the rule and written to the trace; a rule that never decided anything does not
end unnoticed. Leaves to others: what the operations mean (the bindings), and carrying a
verdict out (the corridor).
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, final

from emulator.errors import ConfigurationError
from emulator.simulation.randomness import Randomness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from emulator.simulation.trace import Trace

__all__ = [
    "PASS",
    "Decider",
    "Operation",
    "Rule",
    "RuleSet",
    "UnusedFaultWarning",
    "Verdict",
    "is_rule",
]


class UnusedFaultWarning(UserWarning):
    """A fault rule never matched anything: the test that relies on it proves nothing."""


class Operation(NamedTuple):
    """One thing that leaves an object or worker, or that the runtime does for it.

    Attributes:
        binding: The name under which the worker knows the other side, such as "BUCKET".
        name: `<service>.<method>`, such as "r2.head".
        key: What it is about: an object key, a SQL text, a URL, a method name.
        actor: Who does it, such as "JOBS#1f3a9c02".
        target: The object that it is done to, named like an actor; "" if it is no object.
    """

    binding: str
    name: str
    key: str = ""
    actor: str = ""
    target: str = ""

    @property
    def path(self) -> str:
        """Binding and name, such as "BUCKET.r2.head"; "storage.flush" has no binding."""
        if not self.binding or self.name.startswith(f"{self.binding}."):
            return self.name
        return f"{self.binding}.{self.name}"

    def __str__(self) -> str:
        return f"{self.path}({self.key!r})" if self.key else self.path


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
        changed: Makes another answer of the one that the effect gave.
        crash: "before" or "after" the effect the caller loses power.
        restart: "before" or "after" the effect the whole process does: every object.
        target_ends: Before the effect the object that it is done to ends: "evict" it if it is
            idle, or "reset" it, with `error_before`.
        is_unheard: The effect has happened, and whoever keeps account of it does not hear so:
            it will happen again.
    """

    latency_ms: int = 0
    answer_latency_ms: int = 0
    error_before: Callable[[Operation], BaseException] | None = None
    error_after: Callable[[Operation], BaseException] | None = None
    answer: Callable[[Operation], Any] | None = None
    changed: Callable[[Operation, Any], Any] | None = None
    crash: str | None = None
    restart: str | None = None
    target_ends: str | None = None
    is_unheard: bool = False


PASS: Final = Verdict()


class Decider(Protocol):
    """Something that may answer for an operation."""

    def decide(self, operation: Operation) -> Verdict | None:
        """The verdict, or None if the rule has nothing to say about this operation.

        Asked exactly once for each operation.
        """


class Value(Protocol):
    """A rule that is a value: what it counts is kept for each simulation apart."""

    def begin(self, rules: RuleSet) -> Decider:
        """The rule in force, from now on, among the rules of one simulation."""


#: What can be added to a RuleSet.
Rule = Decider | Value


def is_rule(value: object) -> bool:
    """Whether a value can be added to a RuleSet."""
    has_method = hasattr(value, "decide") or hasattr(value, "begin")
    return has_method and not isinstance(value, type)


@final
class _Entry:
    """A rule that was added, its state, and how often it decided."""

    __slots__ = ("decider", "decision_count", "rule")

    def __init__(self, rule: Rule, decider: Decider) -> None:
        self.rule = rule
        self.decider = decider
        self.decision_count = 0


@final
class RuleSet:
    """The rules of one simulation.

    Args:
        trace: Where each verdict is written.
        randomness: Where rules draw from.

    Attributes:
        clock: The simulation's.
        object_names: The names by which objects were reached, by their names in the trace.
    """

    def __init__(self, trace: Trace, randomness: Randomness | None = None) -> None:
        self._trace = trace
        self._entries: list[_Entry] = []
        #: A rule that never matched ends unnoticed: many runs are made, each different.
        self.is_quiet = False
        self.clock = trace.clock
        self.randomness = Randomness() if randomness is None else randomness
        self.object_names: dict[str, str] = {}

    def add(self, *rules: Rule) -> None:
        """Add rules behind those that are there.

        Raises:
            ConfigurationError: If one is no rule.
        """
        for rule in rules:
            if not is_rule(rule):
                message = (
                    "a fault is a rule made by emulator.faults, such as "
                    f"faults.error('DB'), got {rule!r}"
                )
                raise ConfigurationError(message)
        for rule in rules:
            decider: Any = rule.begin(self) if hasattr(rule, "begin") else rule
            self._entries.append(_Entry(rule, decider))

    def remove(self, rule: Rule) -> None:
        """Take one rule away, or else an equal one; nothing happens if there is none."""
        found = [entry for entry in self._entries if entry.rule is rule]
        found = found or [entry for entry in self._entries if entry.rule == rule]
        if found:
            self._entries.remove(found[0])

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
        if not unused or self.is_quiet:
            return
        message = f"no operation ever matched the fault {', '.join(map(repr, unused))}"
        if owner:
            message += f", in the simulation of {owner}"
        message += ": check its binding, operation, key and nth"
        if error is None:
            warnings.warn(message, UnusedFaultWarning, stacklevel=3)
        else:
            error.add_note(message)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No rule is asked while the block runs; those that it adds are kept."""
        entries, self._entries = self._entries, []
        try:
            yield
        finally:
            self._entries = entries + self._entries

    @property
    def unmatched(self) -> tuple[Rule, ...]:
        """Rules that never decided anything: a test that relies on one proves nothing.

        One that only chance has kept from it (`was_unlucky`) is not among them.
        """
        return tuple(
            entry.rule
            for entry in self._entries
            if not (entry.decision_count or getattr(entry.decider, "was_unlucky", False))
        )

    def decide(self, operation: Operation) -> Verdict:
        """The verdict of the first rule that answers, or `PASS`."""
        decided: Verdict | None = None
        # A copy: a rule may take itself or others away while it is asked.
        for entry in tuple(self._entries):
            verdict = entry.decider.decide(operation)
            if verdict is None or decided is not None:
                continue
            decided = verdict
            self._count(entry, operation)
        return PASS if decided is None else decided

    def count(self, rule: Rule, operation: Operation) -> None:
        """Count and trace that one of the rules decided, where another runtime asked it."""
        for entry in self._entries:
            if entry.rule is rule:
                self._count(entry, operation)
                return

    def _count(self, entry: _Entry, operation: Operation) -> None:
        entry.decision_count += 1
        self._trace.record(
            "fault", str(operation), actor=operation.actor, rule=repr(entry.rule)
        )

    def __iter__(self) -> Iterator[Rule]:
        return iter([entry.rule for entry in self._entries])

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<RuleSet {[entry.rule for entry in self._entries]!r}>"
