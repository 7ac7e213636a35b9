"""The portfolio: which worlds are tried, and in which order.

A world is a set of deviations from the calm run. Each world that passed is a place to deviate
once more: by a fault that one of its steps may meet, or by turning one of its races round.
What comes next is always the cheapest, and each deviation has its price. So single faults and
races come first, then the pairs that have to do with each other, then those that have not;
and nothing is left out until the list is empty.

Promises: a pure function of the runs it is given; no world twice; no world is deviated from
if its conflicting steps came in an order that another world had; what was tried, left out and
exhausted, by numbers. Leaves to others: running worlds, and what a failure is.
"""

from __future__ import annotations

from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple, final

from emulator.simulation.choices import NEW_COST, Choices
from emulator.simulation.deviations import Hold, Inject
from emulator.simulation.races import Experience, RunOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from emulator.simulation.choices import Choice, Like, Named
    from emulator.simulation.deviations import Site
    from emulator.simulation.playing import Played
    from emulator.simulation.rules import Operation

__all__ = [
    "MORE",
    "PAIRS",
    "RACES",
    "SINGLE_FAULTS",
    "TRIPLES",
    "Candidate",
    "Portfolio",
    "phase_of",
]

SINGLE_FAULTS: Final = "single faults"
RACES: Final = "races"
PAIRS: Final = "pairs"
TRIPLES: Final = "triples"
MORE: Final = "more deviations"

#: How many deviations are handed out for worlds by chance.
_POOL_MAX: Final = 10_000


@final
class _World:
    """A world that passed, as a place to deviate once more."""

    __slots__ = ("choices", "cost", "deviations", "known", "like", "order", "place", "sites")

    def __init__(
        self,
        deviations: tuple[Named, ...],
        cost: float,
        like: Like,
        order: Callable[[], RunOrder],
        known: frozenset[Hashable],
    ) -> None:
        self.deviations = deviations
        self.cost = cost
        self.like = like
        #: Makes the order of its steps, until it was deviated from for the first time.
        self.order: Callable[[], RunOrder] | None = order
        #: What it and calmer worlds have shown.
        self.known = known
        self.sites: list[Site] = []
        self.choices: list[Choice] = []
        self.place = 0


class Candidate(NamedTuple):
    """A world to try.

    Attributes:
        deviations: What it deviates by.
        phase: What it is a part of, such as "single faults".
        choice: The last of its deviations.
        parent: The world from which it deviates by that.
    """

    deviations: tuple[Named, ...]
    phase: str
    choice: Choice
    parent: _World


def phase_of(deviations: Sequence[Named]) -> str:
    """What a world is a part of."""
    if not any(isinstance(one, Inject) for one in deviations):
        return RACES
    return {1: SINGLE_FAULTS, 2: PAIRS, 3: TRIPLES}.get(len(deviations), MORE)


@final
class Portfolio:
    """The work list of one exploration.

    Args:
        calm: The run without deviations.
        kinds_of: The kinds of faults that are wanted of an operation.
        deviations_max: How many deviations a world with a fault may have.
        is_reordering: Whether races are turned round.
    """

    def __init__(
        self,
        calm: Played,
        kinds_of: Callable[[Operation], Sequence[str]],
        *,
        deviations_max: int,
        is_reordering: bool = True,
    ) -> None:
        self._deviations_max = deviations_max
        #: How many operations the calm run has.
        self.horizon = len(calm.steps)
        self._choices = Choices(kinds_of, is_reordering=is_reordering)
        self._experience = Experience()
        self._heap: list[tuple[float, int, _World]] = []
        self._sequence = 0
        self._tried: set[frozenset[Named]] = set()
        self._signatures: set[int] = set()
        self._deviated: list[_World] = []
        #: Worlds not deviated from, since their order of conflicting steps was known.
        self.known_order_count = 0
        #: Worlds in which a deviation did not come about.
        self.idle_count = 0
        #: Different orders of conflicting steps, in worlds without a fault.
        self.order_count = 0
        self._calm = self.order_of(calm)
        self._push(NEW_COST, _World((), 0.0, (), lambda: self._calm, frozenset()))

    def order_of(self, played: Played) -> RunOrder:
        """What came before what in a run of this exploration."""
        return RunOrder(played.steps, played.applied, self._experience)

    def _later(self, played: Played) -> Callable[[], RunOrder]:
        # Without the run's trace, which is large.
        return partial(RunOrder, played.steps, played.applied, self._experience)

    # -- in: worlds that passed ----------------------------------------------------------------

    def passed(self, candidate: Candidate, played: Played) -> None:
        """A world passed; deviate from it too, if it showed anything new."""
        deviations, phase, choice, parent = candidate
        if len(played.applied) < len(deviations):
            self.idle_count += 1
            if len(deviations) == 1:
                self._experience.learn(deviations[0])
        elif phase == RACES or len(deviations) < self._deviations_max:
            world = _World(
                deviations, choice.cost, choice.like, self._later(played), parent.known
            )
            least = self._choices.least_cost(played.steps, deviations, parent.known)
            self._push(choice.cost + least, world)

    def _push(self, cost: float, world: _World) -> None:
        self._sequence += 1
        heappush(self._heap, (cost, self._sequence, world))

    # -- out: worlds to try --------------------------------------------------------------------

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing is left to try."""
        return not self._heap

    def next(self) -> Candidate | None:
        """The cheapest world that was not tried yet; None if there is none."""
        while self._heap:
            _, _, world = heappop(self._heap)
            if world.order is not None:
                self._deviate_from(world, world.order())
                world.order = None
                self._push_back(world)
                continue
            choice = world.choices[world.place]
            world.place += 1
            self._push_back(world)
            if (
                not world.deviations
                and choice.until >= 0
                and self._calm.follows(choice.until, choice.step, choice.what)
            ):
                continue  # That was not known when it was listed.
            deviations = _with(world.deviations, choice.deviation(world.sites))
            names = frozenset(deviations)
            if names not in self._tried:
                self._tried.add(names)
                return Candidate(deviations, phase_of(deviations), choice, world)
        return None

    def _push_back(self, world: _World) -> None:
        if world.place < len(world.choices):
            self._push(world.choices[world.place].cost, world)

    def _deviate_from(self, world: _World, order: RunOrder) -> None:
        """List every further deviation of a world, unless its order is a known one."""
        is_race = phase_of(world.deviations) == RACES
        signature = order.signature()
        if signature in self._signatures:
            self.known_order_count += 1
            return
        self._signatures.add(signature)
        self.order_count += is_race
        self._deviated.append(world)
        world.sites = [step.site for step in order.steps]
        world.choices, world.known = self._choices.of(
            order,
            world.deviations,
            world.known,
            world.cost,
            world.like,
            # A third deviation of a world with faults must have to do with the others.
            is_related_only=len(world.deviations) > 1 and not is_race,
        )

    # -- what is known of it -------------------------------------------------------------------

    @property
    def pruned_count(self) -> int:
        """Crash points left out since an equal one of the same world was there."""
        return self._choices.pruned_count

    @property
    def has_single_faults_left(self) -> bool:
        """Whether a fault that the calm run may meet was not tried."""
        calm = self._deviated[0] if self._deviated else None
        return calm is None or any(one.until < 0 for one in calm.choices[calm.place :])

    def pool(self) -> list[Named]:
        """Deviations that worlds may meet, of those first that were deviated from first."""
        found: dict[Named, None] = {}
        for world in self._deviated:
            for choice in world.choices[: _POOL_MAX - len(found)]:
                found.setdefault(choice.deviation(world.sites))
        return list(found)


def _with(deviations: tuple[Named, ...], one: Named) -> tuple[Named, ...]:
    """One more deviation; a hold replaces an earlier hold of the same step."""
    if isinstance(one, Hold):
        deviations = tuple(
            other
            for other in deviations
            if not (
                isinstance(other, Hold)
                and other.site == one.site
                and other.moment == one.moment
            )
        )
    return (*deviations, one)
