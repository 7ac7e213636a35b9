"""Exploration: every fault, every crash point and every order of what conflicts, by worlds.

One scenario is run again and again, each time in a world that differs from the calm run by a
few deviations, and these are worked through in order: the calm run, every single fault and
race, pairs, triples that meet something new, and at last worlds by chance. If the list ends
before the budget, that is a proof within its bounds, and the result says which.

Promises: a pure function of the scenario, the seed and the options, so it may run inside a
property test; a failure that is told was run three times, shrunk, and fails in the same way
each time. Leaves to others: running a world (the player), what may go wrong (the catalogue),
the order of the worlds (the portfolio), and words (the finding).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, final

from emulator.errors import ConfigurationError, SimulationDiverged, meant
from emulator.simulation.chance import ChanceWorlds
from emulator.simulation.deviations import Hold, Inject
from emulator.simulation.divergence import (
    check_same,
    divergence,
    is_same_failure,
    self_check,
)
from emulator.simulation.findings import Finding
from emulator.simulation.portfolio import (
    MORE,
    PAIRS,
    RACES,
    SINGLE_FAULTS,
    TRIPLES,
    Portfolio,
)
from emulator.simulation.shrinking import Shrinker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from emulator.simulation.choices import Named
    from emulator.simulation.deviations import Site
    from emulator.simulation.fault_points import FaultKinds
    from emulator.simulation.playing import Played
    from emulator.simulation.rules import Operation
    from emulator.simulation.schedules import Schedule

__all__ = ["BUDGET_DEFAULT", "Exploration", "Explorer"]

BUDGET_DEFAULT: Final = 500
#: One in so many passing worlds is run twice, to see whether runs are decided by their
#: deviations alone.
_CHECKED_ONE_IN: Final = 50
#: The share of a budget that worlds by chance have if the list is longer, as a divisor.
_CHANCE_ONE_IN: Final = 10

#: How often a failing order is approached by holds.
_APPROACHES_MAX: Final = 5

_CALM: Final = "calm"
_CHANCE: Final = "by chance"
_PHASES: Final = (_CALM, SINGLE_FAULTS, RACES, PAIRS, TRIPLES, MORE, _CHANCE)


class Play(Protocol):
    """Runs the scenario in one world."""

    def __call__(
        self, deviations: tuple[Named, ...], schedule: Schedule | None = None
    ) -> Played:
        """What happened."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What was tried, when nothing was found.

    Attributes:
        world_count: How many worlds were run.
        phases: How many of them in each phase.
        kinds: For each kind of fault, in how many worlds it was tried and came about.
        order_count: In how many orders conflicting steps came, in worlds without a fault.
        pruned_count: Crash points left out, since an equal one was tried.
        known_order_count: Worlds not deviated from, since their order was known.
        idle_count: Worlds in which a deviation did not come about.
        rerun_count: Worlds that were run twice, and did the same.
        is_exhausted: Whether the list came to its end.
        proof: What that shows, in one sentence; empty if nothing.
    """

    world_count: int
    phases: dict[str, int]
    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    order_count: int = 0
    pruned_count: int = 0
    known_order_count: int = 0
    idle_count: int = 0
    rerun_count: int = 0
    is_exhausted: bool = False
    proof: str = ""

    def __str__(self) -> str:
        parts = ", ".join(f"{count:,} {phase}" for phase, count in self.phases.items())
        worlds = "1 world" if self.world_count == 1 else f"{self.world_count:,} worlds"
        lines = [f"nothing found in {worlds} ({parts})"]
        if self.proof:
            lines.append(self.proof)
        if self.kinds:
            width = max(len("kind"), *map(len, self.kinds))
            lines.append(f"{'kind':<{width}}  tried  came about")
            lines += [
                f"{kind:<{width}}  {tried:>5}  {applied:>10}"
                for kind, (tried, applied) in self.kinds.items()
            ]
        lines.append(
            f"orders of conflicting steps: {self.order_count:,}; crash points left out, equal "
            f"to others: {self.pruned_count:,}; worlds not gone into: "
            f"{self.known_order_count:,} in a known order, {self.idle_count:,} whose deviation "
            f"did not come about; worlds run twice: {self.rerun_count:,}"
        )
        return "\n".join(lines)


@final
class Explorer:
    """One exploration.

    Args:
        play: Runs the scenario in one world.
        catalogue: What may go wrong.
        kinds: Names of the wanted kinds, or the first words of several ("crash"); None is
            all.
        budget: How many worlds are run at most, not counting those that shrink a failure.
        seed: Decides the worlds by chance.
        deviations_max: How many deviations a world with a fault may have.
        is_reordering: Whether races are turned round.
        describe: Makes the error to raise of a finding.
    """

    def __init__(
        self,
        play: Play,
        catalogue: FaultKinds,
        *,
        kinds: Collection[str] | None = None,
        budget: int = BUDGET_DEFAULT,
        seed: int = 0,
        deviations_max: int = 3,
        is_reordering: bool = True,
        describe: Callable[[Finding], BaseException],
    ) -> None:
        self._play = play
        self._catalogue = catalogue
        self._kinds = None if kinds is None else tuple(kinds)
        self._budget = budget
        self._seed = seed
        self._deviations_max = deviations_max
        self._is_reordering = is_reordering
        self._describe = describe
        self._kinds_by_operation: dict[Operation, tuple[str, ...]] = {}
        self._kinds_met: dict[str, None] = {}
        self._phases: Counter[str] = Counter()
        self._tried: Counter[str] = Counter()
        self._applied: Counter[str] = Counter()
        self._rerun_count = 0

    @property
    def world_count(self) -> int:
        """How many worlds were run so far."""
        return self._phases.total()

    def kinds_of(self, operation: Operation) -> tuple[str, ...]:
        """The wanted kinds of an operation."""
        known = self._kinds_by_operation.get(operation)
        if known is None:
            known = self._catalogue.kinds_of(operation)
            self._kinds_met.update(dict.fromkeys(known))
            if self._kinds is not None:
                known = tuple(kind for kind in known if self._is_wanted(kind))
            self._kinds_by_operation[operation] = known
        return known

    def _is_wanted(self, kind: str) -> bool:
        assert self._kinds is not None
        return any(kind == name or kind.startswith(f"{name} ") for name in self._kinds)

    # -- the work ------------------------------------------------------------------------------

    def explore(self) -> Exploration:
        """Run worlds until one fails, the list ends or the budget does.

        Raises:
            ExplorationFailure: If a world fails.
            SimulationDiverged: If two runs of one world did not do the same.
            ConfigurationError: If a wanted kind is none that an operation of the calm run
                may meet.
        """
        calm = self._run((), _CALM)
        if calm.error is not None:
            self._fail((), calm, _CALM)
        self._check_repeats((), calm)
        portfolio = Portfolio(
            calm,
            self.kinds_of,
            deviations_max=self._deviations_max,
            is_reordering=self._is_reordering,
        )
        listed_max = self._budget - self._budget // _CHANCE_ONE_IN
        while self.world_count < listed_max:
            candidate = portfolio.next()
            if candidate is None:
                break
            played = self._run(candidate.deviations, candidate.phase)
            if played.error is not None:
                self._fail(candidate.deviations, played, candidate.phase)
            portfolio.passed(candidate, played)
        self._check_kinds()
        if not portfolio.is_exhausted:
            self._by_chance(portfolio)
        return self._result(portfolio)

    def _run(
        self, deviations: tuple[Named, ...], phase: str, schedule: Schedule | None = None
    ) -> Played:
        played = self._play(deviations, schedule=schedule)
        self._phases[phase] += 1
        self._tried.update(one.kind for one in deviations if isinstance(one, Inject))
        self._applied.update(one.kind for one in played.applied if isinstance(one, Inject))
        if played.error is None and self.world_count % _CHECKED_ONE_IN == 0:
            self._check_repeats(deviations, played, schedule)
        return played

    def _by_chance(self, portfolio: Portfolio) -> None:
        worlds = ChanceWorlds(portfolio.pool(), portfolio.horizon, self._seed)
        for deviations, schedule in worlds:
            if self.world_count >= self._budget:
                return
            played = self._run(deviations, _CHANCE, schedule)
            if played.error is not None:
                self._fail(deviations, played, _CHANCE, schedule, portfolio)

    def _check_repeats(
        self, deviations: tuple[Named, ...], played: Played, schedule: Schedule | None = None
    ) -> None:
        self._rerun_count += 1
        self_check(lambda: self._play(deviations, schedule=schedule), played)

    def _check_kinds(self) -> None:
        families = dict.fromkeys(kind.partition(" ")[0] for kind in self._kinds_met)
        for name in self._kinds or ():
            if not any(kind == name or kind.startswith(f"{name} ") for kind in self._kinds_met):
                message = (
                    f"no operation of the scenario can meet a fault of the kind {name!r}; "
                    f"they can meet {', '.join(sorted(self._kinds_met)) or 'none'}"
                    f"{meant(name, [*self._kinds_met, *families])}"
                )
                raise ConfigurationError(message)

    # -- a world that fails --------------------------------------------------------------------

    def _fail(
        self,
        deviations: tuple[Named, ...],
        played: Played,
        phase: str,
        schedule: Schedule | None = None,
        portfolio: Portfolio | None = None,
    ) -> NoReturn:
        """Shrink a failing world, run it twice more, and raise what it is."""
        first_count = len(deviations)
        if schedule is not None and portfolio is not None:
            # The holds that bring about the same order say more than a seed.
            holds = self._holds_instead(deviations, played, portfolio)
            if holds is not None:
                deviations, schedule = holds, None
        shrinker = Shrinker(
            lambda tried: is_same_failure(played, self._play(tried, schedule=schedule)),
            self._simpler_kinds(played),
            # Without a schedule, nothing is the calm run, which passes.
            least_count=0 if schedule is not None else 1,
        )
        deviations = shrinker.shrink(deviations)
        found = self._play(deviations, schedule=schedule)
        if not is_same_failure(played, found):
            raise SimulationDiverged(divergence(played, found))
        check_same(found, self._play(deviations, schedule=schedule))
        finding = Finding(
            deviations=deviations,
            played=found,
            phase=phase,
            world_count=self.world_count,
            budget=self._budget,
            first_count=first_count,
            shrink_count=shrinker.run_count,
            schedule=schedule,
        )
        raise self._describe(finding) from found.error

    def _holds_instead(
        self, deviations: tuple[Named, ...], played: Played, portfolio: Portfolio
    ) -> tuple[Named, ...] | None:
        """Deviations that bring about a failure without its schedule; None if none do."""
        wanted = portfolio.order_of(played)
        faults = tuple(one for one in deviations if isinstance(one, Inject))
        holds = dict.fromkeys(one for one in played.applied if isinstance(one, Hold))
        for _ in range(_APPROACHES_MAX):
            tried: tuple[Named, ...] = (*faults, *holds)
            run = self._play(tried)
            if is_same_failure(played, run):
                return tried
            # What comes about by these holds may race with what did not happen before.
            further = [
                hold
                for hold in portfolio.order_of(run).holds_towards(wanted)
                if hold not in holds
            ]
            if not further:
                return None
            holds.update(dict.fromkeys(further))
        return None

    def _simpler_kinds(self, played: Played) -> Callable[[Site, str], Sequence[str]]:
        operations = {step.site: step.operation for step in played.steps}

        def simpler(site: Site, kind: str) -> Sequence[str]:
            kinds = self.kinds_of(operations[site]) if site in operations else ()
            return kinds[: kinds.index(kind)] if kind in kinds else ()

        return simpler

    # -- nothing fails -------------------------------------------------------------------------

    def _result(self, portfolio: Portfolio) -> Exploration:
        return Exploration(
            world_count=self.world_count,
            phases={phase: self._phases[phase] for phase in _PHASES if self._phases[phase]},
            kinds={kind: (n, self._applied[kind]) for kind, n in sorted(self._tried.items())},
            order_count=portfolio.order_count,
            pruned_count=portfolio.pruned_count,
            known_order_count=portfolio.known_order_count,
            idle_count=portfolio.idle_count,
            rerun_count=self._rerun_count,
            is_exhausted=portfolio.is_exhausted,
            proof=self._proof(portfolio),
        )

    def _proof(self, portfolio: Portfolio) -> str:
        """What has been shown, by what is not left on the list."""
        kinds = "of any kind" if self._kinds is None else f"of {', '.join(self._kinds)}"
        has_faults = bool(self._tried)
        is_over = portfolio.is_exhausted
        shown = []
        if is_over and self._is_reordering:
            shown.append("every order of conflicting operations")
        if has_faults and not portfolio.has_single_faults_left:
            shown.append(f"every single fault {kinds}")
        if has_faults and is_over and self._deviations_max > 1:
            shown.append("every pair" if self._is_reordering else "every pair of faults")
        if has_faults and is_over and self._deviations_max > 2:
            shown.append("every triple that hangs together")
        if not shown:
            return ""
        told = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
        return f"{told}: none fails"
