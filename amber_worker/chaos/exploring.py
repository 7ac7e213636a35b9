"""Exploring: one unit of work, and whether a worker is fit for it.

Promises: what a unit finds depends on the unit alone; the worlds that are counted are those of
the budget, and not those that made a finding smaller; what cannot even run the calm export is
told before anything is explored. Leaves to others: the search (`emulator.simulation.explore`),
what one world is (scenario, replays), who runs which unit (spreading).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from amber_worker.chaos.replays import judge, scenario_of
from amber_worker.chaos.units import Finding, Outcome, WorkerSource
from amber_worker.contract.archive import LawBroken
from amber_worker.contract.target import TargetError
from emulator.catalogue import CATALOGUE
from emulator.errors import ConfigurationError, meant
from emulator.simulation import tokens
from emulator.simulation.deviations import Inject
from emulator.simulation.explore import Explorer
from emulator.simulation.findings import sentences_of
from emulator.simulation.playing import play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from amber_worker.chaos.scenario import Scenario
    from amber_worker.chaos.units import Plan, Unit
    from emulator.simulation import findings
    from emulator.simulation.choices import Named
    from emulator.simulation.playing import Played
    from emulator.simulation.rules import Operation
    from emulator.simulation.schedules import Schedule

__all__ = ["ORDER", "Unfit", "check_worker", "explore_unit", "kinds_named", "source_of"]

#: The kind of a deviation that is no fault: two operations change places.
ORDER: Final = "order"
#: Who acts from outside of every worker.
_TEST: Final = "test"
#: The races of an export grow with the square of its files, and those of larger ones are no
#: others: of 1,000 files they would take a gigabyte.
REORDERED_FILES_MAX: Final = 200
#: What a worker must be able to run: nothing in it is odd.
_FIT: Final = "three files"


class Unfit(Exception):
    """The worker, or the call, is not fit to be explored; the message says why."""


@final
class _Wanted:
    """The catalogue, of some kinds only.

    Args:
        kinds: Their names, or the first words of several; None is all.
    """

    def __init__(self, kinds: tuple[str, ...] | None) -> None:
        self._kinds = kinds

    def kinds_of(self, operation: Operation) -> tuple[str, ...]:
        """The wanted kinds that an operation may meet."""
        if operation.actor == _TEST and not operation.name.startswith("worker."):
            return ()  # What the scenario itself does to D1 and R2; its requests are users'.
        known = CATALOGUE.kinds_of(operation)
        if self._kinds is None:
            return known
        return tuple(kind for kind in known if _is_among(kind, self._kinds))

    def sentence_of(self, kind: str, operation: Operation) -> str:
        """What happened, in words."""
        return CATALOGUE.sentence_of(kind, operation)


@final
class _Worlds:
    """Runs the worlds of a unit, and counts those of its budget.

    Args:
        scenario: What is run.
        seed: Of every world.
        tick: Called after each of them.
    """

    def __init__(self, scenario: Scenario, seed: int, tick: Callable[[], None]) -> None:
        self._scenario = scenario
        self._seed = seed
        self._tick = tick
        self._monitors = (judge,)
        self._known: set[Any] = set()
        self._has_failed = False
        self.count = 0
        #: Worlds by kind of deviation.
        self.tried: Counter[str] = Counter()

    def __call__(
        self, deviations: tuple[Named, ...], schedule: Schedule | None = None
    ) -> Played:
        """Run one world."""
        played = play(
            self._scenario,
            deviations,
            seed=self._seed,
            catalogue=CATALOGUE,
            monitors=self._monitors,
            schedule=schedule,
        )
        # Not again: it is run twice to see whether it does the same, or to be made smaller.
        mark = (deviations, repr(schedule))
        if mark not in self._known and not self._has_failed:
            self._known.add(mark)
            self.count += 1
            self._tick()
            self.tried.update(_kinds_of(deviations, schedule) or ("calm",))
        self._has_failed |= played.error is not None
        # The list of worlds keeps each of them for as long as it may deviate once more.
        return replace(played, trace=None)


def explore_unit(unit: Unit, tick: Callable[[], None] = lambda: None) -> Outcome:
    """Run the worlds of a unit, until one of them breaks a law.

    Args:
        unit: What to run.
        tick: Called after each world of its budget.

    Raises:
        ConfigurationError: If the worker cannot be loaded.
    """
    scenario = scenario_of(unit.worker, unit.case)
    worlds = _Worlds(scenario, unit.seed, tick)
    found: list[Finding] = []

    def tell(finding: findings.Finding) -> LawBroken:
        found.append(_told(unit, scenario, finding))
        return LawBroken(str(finding.played.error))

    faults = None if not unit.kinds else tuple(one for one in unit.kinds if one != ORDER)
    is_wanted = not unit.kinds or ORDER in unit.kinds
    explorer = Explorer(
        worlds,
        _Wanted(faults),
        budget=unit.world_count,
        seed=unit.seed,
        is_reordering=is_wanted and len(scenario.content.live) <= REORDERED_FILES_MAX,
        describe=tell,
    )
    is_exhausted = False
    try:
        is_exhausted = explorer.explore().is_exhausted
    except LawBroken:
        assert found, "it was told before it was raised"
    return Outcome(
        number=unit.number,
        case=unit.case,
        world_count=worlds.count,
        tried=dict(sorted(worlds.tried.items())),
        is_exhausted=is_exhausted,
        findings=tuple(found),
    )


def _told(unit: Unit, scenario: Scenario, finding: findings.Finding) -> Finding:
    happened = sentences_of(finding.deviations, finding.played, CATALOGUE)
    if finding.schedule is not None:
        happened = (*happened, f"latencies and ties were those of {finding.schedule!r}")
    error = finding.played.error
    broken = str(error) if isinstance(error, LawBroken) else f"{type(error).__name__}: {error}"
    return Finding(
        case=unit.case,
        kinds=_kinds_of(finding.deviations, finding.schedule),
        happened=happened,
        broken=tuple(broken.splitlines()),
        token=tokens.token(
            finding.deviations,
            seed=unit.seed,
            scenario=scenario,
            schedule=finding.schedule,
            invariants=(judge,),
        ),
    )


def _kinds_of(deviations: Iterable[Named], schedule: Schedule | None) -> tuple[str, ...]:
    """The kinds of deviations, each once."""
    kinds = [one.kind if isinstance(one, Inject) else ORDER for one in deviations]
    if schedule is not None:
        kinds.append(ORDER)
    return tuple(sorted(set(kinds)))


def _is_among(kind: str, names: Iterable[str]) -> bool:
    return any(kind == name or kind.startswith(f"{name} ") for name in names)


# -- what is asked for -------------------------------------------------------------------------


def source_of(path: str | None) -> WorkerSource:
    """The worker in a Python file; None is ours.

    Raises:
        Unfit: If there is no such file.
    """
    if path is None:
        return WorkerSource()
    file = Path(path).resolve()
    if file.suffix != ".py":
        message = f"--worker {path}: a worker is a Python module, a file whose name ends in .py"
        raise Unfit(message)
    try:
        return WorkerSource(path=str(file), text=file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = f"--worker {path}: it cannot be read: {error}"
        raise Unfit(message) from error


def check_worker(plan: Plan) -> None:
    """Run one calm export of a few files.

    Raises:
        Unfit: If the worker cannot be loaded, does not complete that export, or none of its
            operations meets a wanted kind.
    """
    try:
        scenario = scenario_of(plan.worker, _FIT)
        played = play(scenario, catalogue=CATALOGUE)
    except (ConfigurationError, TargetError) as error:
        message = f"the worker cannot be loaded: {error}"
        raise Unfit(message) from error
    if played.error is not None:
        message = f"the calm export does not come to its end: {_in_words(played.error)}"
        raise Unfit(message) from played.error
    run = scenario.run
    assert run is not None, "it has just run"
    histories = list(run.watch.history.values())
    if not histories:
        told = "; ".join(dict.fromkeys(run.client.refusals)) or "D1 has no row of it"
        message = f"the calm export does not begin: {told}"
        raise Unfit(message)
    if [history[-1] for history in histories] != ["completed"]:
        message = f"the calm export does not complete: its status was {histories[0]}"
        raise Unfit(message)
    _check_kinds(plan, played)


def _check_kinds(plan: Plan, played: Played) -> None:
    known = {kind for step in played.steps for kind in CATALOGUE.kinds_of(step.operation)}
    families = {kind.partition(" ")[0] for kind in known}
    for name in plan.kinds:
        if name != ORDER and not any(_is_among(kind, (name,)) for kind in known):
            every = sorted({*families, ORDER})
            message = (
                f"--faults: {name!r} is none of the kinds {', '.join(every)}"
                f"{meant(name, [*known, *every])}"
            )
            raise Unfit(message)


def kinds_named(text: str | None) -> tuple[str, ...]:
    """The kinds in a list with commas; empty is all.

    Raises:
        Unfit: If the list is empty.
    """
    if text is None:
        return ()
    names = (name.strip().replace("_", " ") for name in text.split(","))
    # As the rules of `emulator.faults` are called.
    kinds = tuple(dict.fromkeys(name.removesuffix(" alarm") for name in names if name))
    if not kinds:
        message = "--faults needs a kind, such as crash,missing"
        raise Unfit(message)
    return kinds


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
