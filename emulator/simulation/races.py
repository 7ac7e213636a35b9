"""Races: which steps of a run could have come in the other order.

Two steps race if the platform does not order them and somebody can tell: both touch one
resource and one of them writes it, or both enter one object, whose memory they share. The
order is read off the run's own numbers. What departs in a turn was caused by the event that
began this turn, and by nothing that merely came earlier: so a hold of one step until the
other is something that the platform may do. What memory alone links (a lock, a `gather`) is
not seen; such a hold is released when nothing else can happen, and costs one world.

Promises: the races of a run, nearest first; one number for its conflict order, equal for two
runs in which every conflicting pair came in the same order. Leaves to others: which races to
reverse, and when (the portfolio).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, final

from emulator.simulation.deviations import EFFECT, Hold, Inject
from emulator.simulation.fault_kinds import overlaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from emulator.simulation.deviations import Deviation, Site
    from emulator.simulation.playing import Step

__all__ = ["Experience", "Race", "RunOrder"]

_WORD = (1 << 64) - 1


class Race(NamedTuple):
    """Two steps of a run that could have come in the other order.

    Attributes:
        first: The index of the step that came first.
        second: The index of the other.
        moment: Which moments are meant: their "effect" or their "arrival".
        resource: What both touch.
        distance: How many accesses of the resource lie between, plus 1.
    """

    first: int
    second: int
    moment: str
    resource: str
    distance: int


@final
class Experience:
    """What the runs of a scenario have taught about all of them.

    A resource holds whatever is named below it: "r2:BUCKET" holds "r2:BUCKET/key".
    """

    def __init__(self) -> None:
        self._overlapping: dict[str, list[str]] = {}
        #: Of steps, the holds until them that never came about, since they follow from those.
        self.causes: dict[Site, dict[Hold, None]] = {}
        self.lesson_count = 0

    def learn(self, idle: Deviation) -> None:
        """A deviation did not come about: of a hold, the other step follows from this one."""
        if isinstance(idle, Hold):
            self.causes.setdefault(idle.until, {})[idle] = None
            self.lesson_count += 1

    def overlapping(self, resource: str) -> list[str]:
        """The known resources that overlap this one, itself among them."""
        found = self._overlapping.get(resource)
        if found is None:
            touch = resource, True
            found = [one for one in self._overlapping if overlaps((one, True), touch)]
            for other in found:
                self._overlapping[other].append(resource)
            found.append(resource)
            self._overlapping[resource] = found
        return found


def _members(steps: int) -> Iterator[int]:
    """The indices in a set of steps: a whole number, one bit a step."""
    while steps:
        last = steps.bit_length() - 1
        yield last
        steps ^= 1 << last


@final
class RunOrder:
    """What came before what in one run, and why.

    Args:
        steps: Those of the run, in the order of departure.
        applied: The deviations that came about.
        experience: What other runs of the scenario have taught.

    Attributes:
        steps: Its steps.
        objects: The actors that something was done to, so that they have a memory to share.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        applied: Sequence[Deviation],
        experience: Experience,
    ) -> None:
        self.steps = steps
        self._experience = experience
        self._injected = {one.site: one.kind for one in applied if isinstance(one, Inject)}
        self._holds = frozenset(
            (one.site, one.until) for one in applied if isinstance(one, Hold)
        )
        #: For each actor, the instants at which a turn of it began, and what began it: the
        #: step's index, doubled, plus 1 if it came in from elsewhere.
        self._turns: dict[str, tuple[list[int], list[int]]] = {}
        begun: list[tuple[int, str, int]] = []
        objects: set[str] = set()
        for index, step in enumerate(steps):
            target = step.operation.target
            if target:
                objects.add(target)
                if step.effect_at >= 0:
                    begun.append((step.effect_at, target, 2 * index + 1))
            if step.arrival_at >= 0 and step.operation.actor != target:
                begun.append((step.arrival_at, step.operation.actor, 2 * index))
        self.objects = frozenset(objects)
        begun.sort()
        #: What began a turn, by its ordinal.
        self._began = {ordinal: code for ordinal, _, code in begun}
        for ordinal, actor, code in begun:
            turns = self._turns.get(actor)
            if turns is None:
                turns = self._turns[actor] = ([], [])
            turns[0].append(ordinal)
            turns[1].append(code)
        self._find_causes()

    def _last_turn(self, actor: str, before: int) -> int:
        """What began the last turn of `actor` before an instant; -1 if nothing did."""
        turns = self._turns.get(actor)
        if turns is None:
            return -1
        place = bisect_left(turns[0], before)
        return turns[1][place - 1] if place else -1

    def _cause_of(self, step: Step) -> int:
        """What a step follows from; -1 if nothing is known."""
        if step.cause_at >= 0:
            return self._began.get(step.cause_at, -1)
        actor = step.operation.actor
        # Whoever is no object may do many things at once, after nothing but time.
        return self._last_turn(actor, step.departed_at) if actor in self.objects else -1

    def _find_causes(self) -> None:
        """For each step, the sets of steps whose effect, and whose arrival, caused it.

        Sets of indices are whole numbers, one bit a step.
        """
        self._lesson_count = self._experience.lesson_count
        by_effect: list[int] = []
        by_arrival: list[int] = []
        learned = self._experience.causes
        places = {step.site: place for place, step in enumerate(self.steps)} if learned else {}
        for number, step in enumerate(self.steps):
            effects, arrivals = 0, 0
            cause = self._cause_of(step)
            while cause >= 0:
                index = cause >> 1
                effects |= by_effect[index] | 1 << index
                arrivals |= by_arrival[index]
                if cause & 1:
                    break
                arrivals |= 1 << index
                asked = self.steps[index].operation.target
                if not asked:
                    break
                # What an object did to answer lies behind the answer.
                cause = self._last_turn(asked, self.steps[index].arrival_at)
                if cause >> 1 == index:
                    break
            for hold in learned.get(step.site, ()):
                index = places.get(hold.site, number)
                # The answer of a call may depend on what the call itself does not.
                if index < number and (hold.moment == EFFECT or not step.operation.target):
                    effects |= by_effect[index] | 1 << index
                    arrivals |= by_arrival[index] | 1 << index
            by_effect.append(effects)
            by_arrival.append(arrivals)
        self._by_effect = by_effect
        self._by_arrival = by_arrival

    def follows(self, second: int, first: int, moment: str) -> bool:
        """Whether a moment of one step is a cause of another step, by all that is known."""
        if self._lesson_count != self._experience.lesson_count:
            self._find_causes()
        causes = self._by_effect if moment == EFFECT else self._by_arrival
        return bool(causes[second] >> first & 1)

    # -- races ---------------------------------------------------------------------------------

    def races(self) -> list[Race]:
        """Every pair that could have come in the other order, nearest first."""
        pairs: set[tuple[int, int]] = set()
        found = [*self._effect_races(pairs), *self._turn_races(pairs)]
        holds = self._holds
        if holds:
            sites = [step.site for step in self.steps]
            found = [
                race for race in found if (sites[race.second], sites[race.first]) not in holds
            ]
        found.sort(key=lambda race: (race.distance, race.moment != "effect"))
        return found

    def _effect_races(self, pairs: set[tuple[int, int]]) -> Iterator[Race]:
        overlapping = self._experience.overlapping
        #: For each resource, when whom accessed it; as sets of steps, who read and who wrote.
        places: dict[str, dict[int, int]] = {}
        reads: dict[str, int] = {}
        writes: dict[str, int] = {}
        effects = [(s.effect_at, index) for index, s in enumerate(self.steps) if s.touches]
        for instant, second in sorted(effects):
            if instant < 0:
                continue
            others = ~(self._by_effect[second] | 1 << second)
            for resource, is_write in self.steps[second].touches:
                for other in overlapping(resource):
                    before = writes.get(other, 0) | (reads.get(other, 0) if is_write else 0)
                    for first in _members(before & others):
                        if (first, second) not in pairs:
                            pairs.add((first, second))
                            distance = len(places[other]) - places[other][first]
                            yield Race(first, second, "effect", resource, distance)
            for resource, is_write in self.steps[second].touches:
                several = places.setdefault(resource, {})
                several[second] = len(several)
                kept = writes if is_write else reads
                kept[resource] = kept.get(resource, 0) | 1 << second

    def _turn_races(self, pairs: set[tuple[int, int]]) -> Iterator[Race]:
        """Races of the turns of one object, which share its memory.

        A turn begins when an answer arrives or something comes in. The answer to what came in
        arrives elsewhere: of an answer and a call that came in later, the answer may arrive
        when the call has come in, or when that was answered.
        """
        for actor in sorted(self.objects):
            codes = self._turns.get(actor, ([], []))[1]
            resource = f"object:{actor}"
            places: dict[int, int] = {}
            came_in = arrived = 0
            for place, code in enumerate(codes):
                second, is_call = code >> 1, code & 1
                for first in _members(arrived & ~self._by_arrival[second]):
                    yield Race(first, second, "arrival", resource, place - places[2 * first])
                others = (arrived if is_call else came_in) & ~self._by_effect[second]
                for first in _members(others):
                    if (first, second) not in pairs:
                        pairs.add((first, second))
                        distance = place - places[2 * first + 1 - is_call]
                        yield Race(first, second, "effect", resource, distance)
                places[code] = place
                if is_call:
                    came_in |= 1 << second
                else:
                    arrived |= 1 << second

    def conflicting_with(self, chosen: Sequence[bool]) -> list[bool]:
        """Which steps touch what some chosen ones touch, one of the two as a writer.

        What is named after an object is its own, and is left out: there nearly everything
        conflicts.
        """
        overlapping = self._experience.overlapping
        read: set[str] = set()
        written: set[str] = set()
        for step, is_chosen in zip(self.steps, chosen, strict=True):
            for resource, is_write in step.touches if is_chosen else ():
                if resource.partition(":")[2] not in (step.site.actor, step.operation.target):
                    (written if is_write else read).update(overlapping(resource))
        return [
            any(
                resource in written or (is_write and resource in read)
                for resource, is_write in step.touches
            )
            for step in self.steps
        ]

    def holds_towards(self, other: RunOrder) -> tuple[Hold, ...]:
        """The holds that bring about, from this run, the order of another run.

        Args:
            other: A run of the same scenario.

        Returns:
            A hold for each race of this run that came the other way round in the other.
        """
        places = {step.site: step for step in other.steps}
        holds: dict[tuple[Site, str], tuple[int, Hold]] = {}
        for race in self.races():
            first, second = self.steps[race.first].site, self.steps[race.second].site
            if first not in places or second not in places:
                continue
            one, two = places[first], places[second]
            is_effect = race.moment == "effect"
            before = two.effect_at if is_effect else two.arrival_at
            after = one.effect_at if is_effect else one.arrival_at
            if 0 <= before < after:
                # Of several that a step came after, the last one.
                known = holds.get((first, race.moment))
                if known is None or known[0] < before:
                    holds[first, race.moment] = before, Hold(first, second, race.moment)
        return tuple(hold for _, hold in holds.values())

    # -- the order as one number ---------------------------------------------------------------

    def signature(self) -> int:
        """The run's conflict order: equal numbers, equal orders of all conflicting pairs.

        Each event is hashed with what it comes after: its cause, and the last events that
        conflict with it. Their sum names the order, whatever the order of the rest.
        """
        steps = self.steps
        events: list[tuple[int, int]] = []
        for index, step in enumerate(steps):
            if step.effect_at >= 0:
                events.append((step.effect_at, 2 * index))
            if step.arrival_at >= 0:
                events.append((step.arrival_at, 2 * index + 1))
        events.sort()
        overlapping = self._experience.overlapping
        written: dict[str, int] = {}
        read: dict[str, int] = {}
        effects: dict[int, int] = {}
        turns: dict[int, int] = {-1: 0}
        memory: dict[str, int] = {}
        total = 0
        for _, code in events:
            index = code >> 1
            step = steps[index]
            actor, target = step.operation.actor, step.operation.target
            if code & 1:
                past = memory.get(actor, 0) if actor in self.objects else 0
                turn = hash((step.site, effects.get(index, 0), past, memory.get(target, 0)))
                turns[2 * index] = memory[actor] = turn
                total += turn
                continue
            cause = turns.get(self._cause_of(step), 0)
            past = 0
            for resource, is_write in step.touches:
                for other in overlapping(resource):
                    if other in written:
                        past += hash((other, written[other]))
                    if is_write and other in read:
                        past += hash((other, read[other]))
            event = hash((step.site, self._injected.get(step.site), cause, past))
            for resource, is_write in step.touches:
                if is_write:
                    written[resource] = event
                    read.pop(resource, None)
                else:
                    read[resource] = read.get(resource, 0) + event
            if target:
                event = hash((event, memory.get(target, 0)))
                turns[2 * index + 1] = memory[target] = event
            effects[index] = event
            total += event
        return total & _WORD
