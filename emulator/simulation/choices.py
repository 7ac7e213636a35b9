"""Choices: by what a world that passed may deviate once more, and what that costs.

A choice costs less if it has to do with what the world deviates by already: it meets something
that no calmer world has shown (the retry of a call that failed, the recovery after a crash, a
race that a hold opened), or is the same once more. And it costs more the more of its like
there are, so that one of each sort comes before the second of any; of many alike the first and
the last come before those between.

Promises: every fault and every race after a world's last deviation, and those before it that
are new, the cheapest first. Leaves to others: which world is next (the portfolio).
"""

from __future__ import annotations

from collections import Counter
from math import log2
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, final

from emulator.simulation.deviations import Hold, Inject
from emulator.simulation.fault_points import fault_points

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from emulator.simulation.deviations import Site
    from emulator.simulation.playing import Step
    from emulator.simulation.races import RunOrder
    from emulator.simulation.rules import Operation

__all__ = ["NEW_COST", "Choice", "Choices", "Like", "Named"]

#: What a deviation costs: one that meets something new,
NEW_COST: Final = 1.0
#: the same once more, at the next attempt of what it has met before,
_AGAIN_COST: Final = 0.4
#: the same at another operation of the sort,
_ALIKE_COST: Final = 0.9
#: one at an operation on whose data something new depends, and any other one.
_RELATED_COST: Final = 1.4
_KNOWN_COST: Final = 1.9
#: What it costs more for each doubling of the number of its like.
_REPETITION: Final = 0.2
#: What a race costs more for each doubling of the distance of its steps.
_DISTANCE: Final = 0.25
#: What a race costs more if another world already had it the other way round.
_SEEN: Final = 0.5

#: What a fault costs more for each kind of its operation that the catalogue names before it.
_LATER_KIND: Final = 0.03

#: What makes two deviations alike: the sort of operation, of actor, of fault.
Like: TypeAlias = tuple[str, ...]
#: A deviation that names the operations it is about.
Named: TypeAlias = Hold | Inject


class Choice(NamedTuple):
    """One more deviation of a world.

    Attributes:
        cost: What it costs, the world's own cost included.
        rank: Tells choices of one cost apart.
        like: What it is like.
        step: The index of the step that meets a fault, or is held.
        until: The index of the step until which it is held; -1 for a fault.
        what: The kind of the fault, or the moment of the hold.
    """

    cost: float
    rank: int
    like: Like
    step: int
    until: int
    what: str

    def deviation(self, sites: Sequence[Site]) -> Named:
        """The deviation itself.

        Args:
            sites: The sites of the world's steps.
        """
        if self.until < 0:
            return Inject(sites[self.step], self.what)
        return Hold(sites[self.step], sites[self.until], self.what)


@final
class Choices:
    """Lists the choices of world after world.

    Args:
        kinds_of: The kinds of faults that are wanted of an operation.
        is_reordering: Whether races are turned round.
    """

    def __init__(
        self, kinds_of: Callable[[Operation], Sequence[str]], *, is_reordering: bool
    ) -> None:
        self._kinds_of = kinds_of
        self._is_reordering = is_reordering
        self._like_counts: Counter[Like] = Counter()
        #: Races as they came in some world: which step was first.
        self._orders: set[Hashable] = set()
        #: Crash points left out since an equal one of the same world was there.
        self.pruned_count = 0

    def least_cost(
        self, steps: Sequence[Step], deviations: Sequence[Named], known: frozenset[Hashable]
    ) -> float:
        """What the cheapest choice of a world costs at least, without listing them.

        Args:
            steps: Its run's.
            deviations: What it deviates by.
            known: What calmer worlds have shown.
        """
        sites = {one.site for one in deviations}
        repeated = {step.operation for step in steps if step.site in sites}
        for operation in repeated:
            several = [step.site for step in steps if step.operation == operation]
            what = several[0].actor, several[0].operation, operation.key
            if (what, len(several)) not in known:
                return _AGAIN_COST
        return _ALIKE_COST

    def of(
        self,
        order: RunOrder,
        deviations: Sequence[Named],
        known: frozenset[Hashable],
        cost: float,
        like: Like,
        *,
        is_related_only: bool,
    ) -> tuple[list[Choice], frozenset[Hashable]]:
        """The choices of a world.

        Args:
            order: Its run.
            deviations: What it deviates by.
            known: What calmer worlds have shown.
            cost: What it costs itself.
            like: What it is like.
            is_related_only: Only those that have to do with its other deviations.

        Returns:
            The choices, the cheapest first, and what this world and calmer ones have shown.
        """
        shown: set[Hashable] = set()
        world = _Prices(order, deviations, known, shown)
        found = self._faults(world)
        if self._is_reordering:
            found += self._races(world, order)
        alike: dict[Like, list[_Found]] = {}
        for one in found:
            if one[0] < _KNOWN_COST or not is_related_only:
                alike.setdefault(one[2], []).append(one)
        ranked: list[Choice] = []
        for sort, several in alike.items():
            whole = like + sort
            count = self._like_counts[whole]
            self._like_counts[whole] = count + len(several)
            for place in _spread(len(several)):
                count += 1
                price, extra, _, index, until, what = several[place]
                total = cost + price + extra + _REPETITION * log2(count)
                ranked.append(Choice(total, len(ranked), whole, index, until, what))
        ranked.sort()
        return ranked, known.union(shown)

    def _faults(self, world: _Prices) -> list[_Found]:
        steps = world.steps
        points, pruned_count = fault_points(steps, world.open_to_faults(), self._kinds_of)
        self.pruned_count += pruned_count
        found: list[_Found] = []
        for index, kind, left in points:
            site = steps[index].site
            like = (site.actor.partition("#")[0], site.operation, kind)
            extra = _LATER_KIND * self._kinds_of(steps[index].operation).index(kind)
            found.append((world.of_fault(index, kind, left), extra, like, index, -1, kind))
        return found

    def _races(self, world: _Prices, order: RunOrder) -> list[_Found]:
        steps = world.steps
        found: list[_Found] = []
        for first, second, moment, _, distance in order.races():
            one, two = steps[first].site, steps[second].site
            name = one, two, moment
            self._orders.add(name)
            price = world.of_race(first, second, name)
            if steps[second].effect_at <= world.after and price >= _KNOWN_COST:
                continue
            extra = _DISTANCE * log2(distance)
            if (two, one, moment) in self._orders:
                extra += _SEEN
            like = (one.operation, two.operation, moment)
            found.append((price, extra, like, first, second, moment))
        return found


@final
class _Prices:
    """What a further deviation of one world costs, by what it has to do with the others.

    Args:
        order: The world's run.
        deviations: What it deviates by.
        known: What calmer worlds have shown.
        shown: Gets what this one shows.

    Attributes:
        steps: The run's.
        after: When the last of its deviations came about.
    """

    def __init__(
        self,
        order: RunOrder,
        deviations: Sequence[Named],
        known: frozenset[Hashable],
        shown: set[Hashable],
    ) -> None:
        self.steps = steps = order.steps
        self._known = known
        self._shown = shown
        contexts = _contexts(steps)
        shown.update(contexts)
        self._is_calm = not deviations
        self._is_new = [context not in known for context in contexts]
        self._is_related = [False] * len(steps)
        if deviations:
            self._is_related = order.conflicting_with(self._is_new)
        by_site = {step.site: step for step in steps}
        self.after = -1
        self._injected: set[Site] = set()
        #: The kinds and holds of the other deviations, with their operations, and their sorts.
        self._same: set[Hashable] = set()
        self._alike: set[Hashable] = set()
        for one in deviations:
            step = by_site.get(one.site)
            if step is None:
                continue
            what = one.kind if isinstance(one, Inject) else one.moment
            self._same.add((what, step.operation))
            self._alike.add((what, step.site.operation))
            instant = step.departed_at
            if isinstance(one, Inject):
                self._injected.add(one.site)
            elif one.until in by_site:
                instant = by_site[one.until].effect_at
            self.after = max(self.after, instant)

    def open_to_faults(self) -> list[int]:
        """The steps at which a further fault is a world of its own."""
        return [
            index
            for index, step in enumerate(self.steps)
            if step.site not in self._injected
            and (
                step.departed_at > self.after or self._is_new[index] or self._is_related[index]
            )
        ]

    def of_fault(self, index: int, kind: str, left: Hashable) -> float:
        """What a fault costs.

        Args:
            index: The step that meets it.
            kind: Its kind.
            left: What tells a crash, or None.
        """
        if self._is_calm:
            if left is not None:
                self._shown.add(left)
            return NEW_COST
        step, is_new = self.steps[index], self._is_new[index]
        if left is not None:
            # Who loses power with nothing gained since goes on as after the last time.
            is_new = is_new and left not in self._known
            self._shown.add(left)
        if is_new and (kind, step.operation) in self._same:
            return _AGAIN_COST
        if (kind, step.site.operation) in self._alike:
            return _ALIKE_COST
        if is_new:
            return NEW_COST
        return _RELATED_COST if self._is_related[index] else _KNOWN_COST

    def of_race(self, first: int, second: int, name: Hashable) -> float:
        """What it costs to turn a race round.

        Args:
            first: The step that came first.
            second: The other.
            name: Tells the race from others.
        """
        self._shown.add(name)
        if self._is_calm:
            return NEW_COST
        is_new = self._is_new[first] or self._is_new[second]
        if is_new and ("effect", self.steps[first].operation) in self._same:
            return _AGAIN_COST
        return NEW_COST if is_new or name not in self._known else _KNOWN_COST


#: What it costs before what its like costs, that, and the rest of a choice.
_Found: TypeAlias = tuple[float, float, Like, int, int, str]


def _contexts(steps: Sequence[Step]) -> list[Hashable]:
    """For each step what it is, whichever way the run took: the nth of its sort and key."""
    counts: Counter[Hashable] = Counter()
    found: list[Hashable] = []
    for step in steps:
        what = (step.site.actor, step.site.operation, step.operation.key)
        counts[what] += 1
        found.append((what, counts[what]))
    return found


def _spread(count: int) -> Iterator[int]:
    """The numbers below `count`: the first, the last, then always the middle of a gap."""
    if count:
        yield 0
    if count > 1:
        yield count - 1
    gaps = [(0, count - 1)]
    while gaps:
        wider: list[tuple[int, int]] = []
        for low, high in gaps:
            middle = (low + high) // 2
            if low < middle < high:
                yield middle
                wider += [(low, middle), (middle, high)]
        gaps = wider
