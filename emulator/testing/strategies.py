"""Strategies: what Hypothesis draws for a worker's test.

    @given(deviations=strategies.deviations())
    def test_every_job_ends(deviations):
        emulator.run(scenario, schedule=schedules.replay(deviations))

- `deviations()`: by what a run differs from the calm run: calls that are held back, faults,
  crashes. The whole list is drawn before the run, and an empty one is the calm run, so what is
  left after shrinking is what the failure needs.
- `fault_rules()`: rules of `emulator.faults`.
- `worlds()`: what buckets and databases hold when the test begins; `object_keys()`,
  `hostile_names()` and `bodies()` are what it is made of.

Promises: a draw depends on nothing but what Hypothesis decides, and shrinks towards fewer and
simpler: no deviation, no object, no row, short names. Leaves to others: running
(`emulator.run`), steps (`emulator.testing.stateful`), what is in a world (`world_content`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypothesis import strategies as st

from emulator import faults
from emulator.catalogue import CATALOGUE
from emulator.errors import ConfigurationError, meant
from emulator.simulation.deviations import At
from emulator.testing.world_content import (
    WorldContent,
    bodies,
    hostile_names,
    object_keys,
    worlds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from emulator.faults import FaultRule
    from emulator.simulation.deviations import Deviation

__all__ = [
    "WorldContent",
    "bodies",
    "deviations",
    "fault_rules",
    "hostile_names",
    "object_keys",
    "worlds",
]

S = TypeVar("S")
T = TypeVar("T")

#: More kinds than any operation has: the count goes round.
_CHOICE_MAX: Final = 19
#: Operations between one deviation and the next: few more often than many.
_GAPS_NEAR: Final = st.integers(min_value=0, max_value=7)

#: Kinds of rules, the simplest first, by what they may meet.
_KINDS: Final = (
    "latency",
    "missing",
    "error",
    "crash",
    "truncate",
    "corrupt_size",
    "vanish",
    "rate_limit",
    "overloaded",
    "reset",
    "stall",
    "evict",
    "late_alarm",
    "duplicate_alarm",
    "flush_failure",
    "restart",
)
#: Those that may meet any operation, which is then one of these.
_OPERATIONS: Final = {
    "r2": ("r2.get", "r2.put", "r2.head", "r2.list", "r2.delete", "r2.createMultipartUpload",
           "r2.uploadPart", "r2.complete", "r2.abort"),
    "d1": ("d1.run", "d1.first", "d1.all", "d1.batch", "d1.exec", "d1.raw"),
    "object": ("object.rpc", "object.fetch"),
    "service": ("service.fetch", "outbound.fetch"),
}  # fmt: skip
_MOMENTS: Final = ("storage.flush", "alarm.ack", "alarm.deliver")
#: They mean one operation, which need not be said.
_OWN_OPERATION: Final = ("duplicate_alarm", "flush_failure", "late_alarm")


def deviations(
    *, max_size: int = 3, horizon: int = 100, with_faults: bool = True
) -> st.SearchStrategy[tuple[Deviation, ...]]:
    """By what a run differs from the calm run, for `schedules.replay`.

    Each names an operation by its place in the run, so nothing needs to be known of the run. A
    place behind its end means nothing. What a deviation came to is in the report of a failure:
    sentences, and a token that names the operation itself.

    Args:
        max_size: How many at most.
        horizon: About how many operations lie between one and the next, at most.
        with_faults: Whether an operation may also meet a fault, as the platform allows it:
            errors before and after its effect, a crash, an eviction, ... Else it is held back
            only, until nothing else can happen.

    Raises:
        ConfigurationError: If a number is out of range.
    """
    if max_size < 1 or horizon < 1:
        message = f"max_size and horizon must be 1 or more, got {max_size} and {horizon}"
        raise ConfigurationError(message)
    gaps = st.one_of(_GAPS_NEAR, st.integers(min_value=0, max_value=horizon))
    choices = st.integers(min_value=0, max_value=_CHOICE_MAX if with_faults else 0)
    return _made(_placed, st.lists(st.tuples(gaps, choices), max_size=max_size))


@st.composite
def _made(draw: st.DrawFn, make: Callable[[S], T], values: st.SearchStrategy[S]) -> T:
    """`values.map(make)`, told by its own `repr` and not as the call of a private function."""
    return make(draw(values))


def _placed(drawn: list[tuple[int, int]]) -> tuple[Deviation, ...]:
    # Gaps and not places: a list that lost its first element keeps the sense of the others.
    place, found = 0, []
    for gap, choice in drawn:
        place += gap + 1
        found.append(At(place, choice))
    return tuple(found)


def fault_rules(
    kinds: Collection[str] | None = None,
    *,
    services: Sequence[str] = ("r2", "d1", "object"),
    nth_max: int = 4,
) -> st.SearchStrategy[FaultRule]:
    """One rule of `emulator.faults`, which meets one or few operations.

    Args:
        kinds: Names of functions of `emulator.faults`; None is all that the services know.
        services: Which calls may be met: "r2", "d1", "object", "service".
        nth_max: The rule meets at most so many operations, or one after so many others.

    Raises:
        ConfigurationError: If there is no such kind or service, or none that goes with another.
    """
    _check("kind", kinds or (), _KINDS)
    _check("service", services, tuple(_OPERATIONS))
    known = [op for service in services for op in _OPERATIONS[service]]
    possible = [
        (kind, operations)
        for kind in _KINDS
        if (kinds is None or kind in kinds) and (operations := _operations_of(kind, known))
    ]
    if not possible:
        message = f"no operation of {', '.join(services)} meets {', '.join(kinds or ())}"
        raise ConfigurationError(message)
    numbers = st.integers(1, nth_max)
    choices = [_choices_of(kind, operations, numbers) for kind, operations in possible]
    return _made(_rule, st.one_of(choices))


def _choices_of(
    kind: str, operations: list[str], numbers: st.SearchStrategy[int]
) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of one kind. Everything is laid out once: a draw shall be cheap."""
    options: dict[str, st.SearchStrategy[Any]] = {
        "kind": st.just(kind),
        "how_many": st.sampled_from(("nth", "times")),
        "number": numbers,
    }
    if kind in ("crash", "restart"):
        options["when"] = st.sampled_from(("before", "after"))
    if kind not in _OWN_OPERATION:
        options["op"] = st.sampled_from(operations)
    if kind == "latency":
        options["delay"] = st.sampled_from((1, 5, 50, 1_000, 60_000))
    if kind in ("error", "latency", "stall", "flush_failure"):
        options["after_effect"] = st.booleans()
    if kind == "truncate":
        options["breaks"] = st.booleans()
    return st.fixed_dictionaries(options)


def _rule(drawn: dict[str, Any]) -> FaultRule:
    where = dict(drawn)
    where[where.pop("how_many")] = where.pop("number")
    if "when" in where:
        where[where.pop("when")] = where.pop("op")
    rule: FaultRule = getattr(faults, where.pop("kind"))(**where)
    return rule


def _operations_of(kind: str, known: list[str]) -> list[str]:
    """Which of the operations a kind may meet."""
    if kind in ("crash", "restart"):
        return [*known, *_MOMENTS]
    names = CATALOGUE.names_of(kind)
    if names & set(_MOMENTS):
        return sorted(names & {*known, *_MOMENTS})
    return [name for name in known if not names or name in names]


def _check(what: str, given: Collection[str], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            message = f"there is no {what} {name!r}; there is {', '.join(known)}"
            raise ConfigurationError(f"{message}{meant(name, known)}")
