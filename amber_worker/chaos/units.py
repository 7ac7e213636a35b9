"""Units: the work of one exploration, cut so that any engine does it alike.

Promises: which worlds a unit tries depends on its own fields and on nothing else, so the
findings are the same whoever runs it, beside whom, and in which order; units and outcomes are
values that JSON holds. Leaves to others: running them (exploring), giving them out (spreading).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from amber_worker.chaos.cases import CASES, case_of_size

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Outcome", "Plan", "Unit", "WorkerSource", "units_of"]

#: A unit has at most so many worlds: what is larger is cut, so that all processes have work.
UNIT_WORLDS_MAX: Final = 500


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSource:
    """The worker that is explored.

    Attributes:
        path: Its Python module; None is our own.
        text: The module's source, for a machine that does not have it.
        dialect: Of our own.
    """

    path: str | None = None
    text: str | None = None
    dialect: str = "worker"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `amber chaos` is asked for.

    Attributes:
        worker: Which worker.
        world_count: The budget: worlds of all cases together.
        kinds: Kinds of faults; empty is every kind.
        file_count: Only exports of so many files; None is every case.
        seed: Decides what is left to chance.
    """

    worker: WorkerSource = field(default_factory=WorkerSource)
    world_count: int = 1_000
    kinds: tuple[str, ...] = ()
    file_count: int | None = None
    seed: int = 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """So many worlds of one case.

    Attributes:
        number: Its place among all units; outcomes are merged by it.
        worker: Which worker.
        case: The case's name.
        world_count: How many worlds.
        kinds: Kinds of faults; empty is every kind.
        seed: Of the worlds, and of what is left to chance.
    """

    number: int
    worker: WorkerSource
    case: str
    world_count: int
    kinds: tuple[str, ...]
    seed: int

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Unit:
        """The unit that `asdict` made these of."""
        worker = WorkerSource(**facts["worker"])
        return cls(**{**facts, "worker": worker, "kinds": tuple(facts["kinds"])})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A law that a world broke.

    Attributes:
        case: The case's name.
        kinds: Kinds of the deviations that are needed; empty is the calm run.
        happened: What has to happen, a sentence for each deviation.
        broken: What is broken then, a sentence each.
        token: Repeats it.
    """

    case: str
    kinds: tuple[str, ...]
    happened: tuple[str, ...]
    broken: tuple[str, ...]
    token: str

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Finding:
        """The finding that `asdict` made these of."""
        many = {name: tuple(facts[name]) for name in ("kinds", "happened", "broken")}
        return cls(**{**facts, **many})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one unit.

    Attributes:
        number: The unit's.
        case: The case's name.
        world_count: Worlds that ran.
        tried: Worlds by kind of deviation.
        is_exhausted: Whether nothing was left to try.
        findings: What was found.
    """

    number: int
    case: str
    world_count: int
    tried: dict[str, int]
    is_exhausted: bool = False
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Outcome:
        """The outcome that `to_json` made these of."""
        findings = tuple(map(Finding.from_json, facts["findings"]))
        return cls(**{**facts, "findings": findings})


def units_of(plan: Plan) -> list[Unit]:
    """The units of a plan, the small exports first. Their worlds add up to the budget."""
    cases: Iterable[Any] = CASES
    if plan.file_count is not None:
        cases = (case_of_size(plan.file_count),)
    cases = list(cases)
    units: list[Unit] = []
    left, share_left = plan.world_count, sum(case.share for case in cases)
    for later, case in zip(range(len(cases) - 1, -1, -1), cases, strict=True):
        # One for each of those that come later, as far as they go.
        most = max(left - later, min(left, 1))
        count = min(max(round(left * case.share / share_left), 1), most)
        left -= count
        share_left -= case.share
        part = 0
        while count > 0:
            world_count = min(count, UNIT_WORLDS_MAX)
            units.append(
                Unit(
                    number=len(units),
                    worker=plan.worker,
                    case=case.name,
                    world_count=world_count,
                    kinds=plan.kinds,
                    seed=plan.seed + part,
                )
            )
            count -= world_count
            part += 1
    return units
