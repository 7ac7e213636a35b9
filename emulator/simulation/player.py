"""The player: what makes one run deviate from the calm run, and what records it.

Promises: each operation gets its site when it departs, meets the fault and the holds that its
site has, and leaves one step; while a world comes to rest, nothing deviates. Without
deviations nothing differs from a run that nobody records. Leaves to others: telling it of
operations (the corridor, the instance, the alarm's scheduler), and the run as a whole (`play`).
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, final

from emulator.errors import ConfigurationError
from emulator.simulation.deviations import ARRIVAL, EFFECT, At, Hold, Inject, Site
from emulator.simulation.handles import OWNER
from emulator.simulation.passages import Passage, WaitingRoom
from emulator.simulation.resting import come_to_rest, not_at_rest
from emulator.simulation.rules import Operation
from emulator.simulation.schedules import REST_MS
from emulator.simulation.tokens import resolve
from emulator.simulation.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from contextvars import Context

    from emulator.simulation.deviations import Deviation
    from emulator.simulation.handles import Handle
    from emulator.simulation.rules import Verdict
    from emulator.simulation.runner import Simulation
    from emulator.simulation.schedules import Deviating

__all__ = ["REST_MS", "Catalogue", "Player", "Step"]


class Catalogue(Protocol):
    """What may go wrong with the operations of a platform, and what they touch."""

    def kinds_of(self, operation: Operation) -> tuple[str, ...]:
        """The names of the kinds that an operation may meet, the cheapest first."""

    def verdict_of(self, kind: str, operation: Operation) -> Verdict:
        """What happens to an operation that meets a kind."""

    def touches_of(self, operation: Operation) -> tuple[tuple[str, bool], ...]:
        """What its effect reads and writes: resources, and whether they are written."""

    def __hash__(self) -> int:
        """Of the object itself: what it said of an operation once is remembered."""


class Step(NamedTuple):
    """One operation of a run, as it went.

    Attributes:
        site: Its name.
        operation: What it is.
        departed_at: When it left: the ordinal of that event in the run.
        effect_at: When it took effect; -1 is never.
        arrival_at: When its answer reached its sender; -1 is never.
        state: A fingerprint, within one run, of what the actor had made durable and had done to
            others just before the effect (the departure, if it had none).
        touches: What the effect read and wrote: resources, and whether they were written.
        cause_at: The ordinal of the event that it follows from: what began the turn in which it
            left, or else the last answer to the task that sent it; -1 if neither is known.
    """

    site: Site
    operation: Operation
    departed_at: int
    effect_at: int
    arrival_at: int
    state: Hashable
    touches: tuple[tuple[str, bool], ...]
    cause_at: int = -1


@final
class Player:
    """The deviations of one simulation, and its record.

    Args:
        simulation: Which; its `player` is this one from now on.
        deviations: What differs from the calm run.
        catalogue: What may go wrong; None takes the platform's own when a world is built.
        monitors: Who watches the worlds, and what must hold when they have come to rest.
        rest_ms: How long everything may take to come to rest when a world is left; None is
            not to ask for it.

    Raises:
        ConfigurationError: If a deviation is none, or one site has two faults.
    """

    def __init__(
        self,
        simulation: Simulation,
        deviations: Iterable[Deviation] = (),
        *,
        catalogue: Catalogue | None = None,
        monitors: Iterable[Any] = (),
        rest_ms: int | None = REST_MS,
    ) -> None:
        if simulation.player is not None:
            simulation.player.stop()  # That of the schedule makes way for one that knows more.
        self._simulation = simulation
        self.deviations = deviations = tuple(deviations)
        self.catalogue = catalogue
        self._rest_ms = rest_ms
        #: Every operation so far, in the order of departure.
        self.passages: list[Passage] = []
        #: The deviations that came about, in that order.
        self.applied: dict[Deviation, None] = {}
        self._ordinal = 0
        self._counts: dict[tuple[str, str, str], int] = {}
        self._versions: dict[str, int] = {}
        self._injects: dict[Site, Inject] = {}
        self._holds: dict[Site, tuple[Hold, ...]] = {}
        self._places: dict[int, int] = {}
        self._is_deviating = self._may_hold = bool(deviations)
        self._last_effect: Passage | None = None
        #: What began the present turn, by actor; and the last answer to each task.
        self._turn: dict[str, int] = {}
        self._answers: dict[Any, int] = {}
        #: When each timer was set that has not fired.
        self._timers_set_at: dict[Handle, int] = {}
        self._watch_timers()
        self._sort(deviations)
        self._watched = frozenset(
            hold.until for holds in self._holds.values() for hold in holds
        )
        self._room = WaitingRoom(
            simulation.loop,
            [(hold.until, hold.moment) for holds in self._holds.values() for hold in holds],
            self._went_on,
        )
        self._watch = Watch(monitors)
        self._is_resting = False
        #: Rules of a token, as JSON: a world knows how to read them.
        self.rule_texts: tuple[str, ...] = ()
        simulation.player = self

    @classmethod
    def of_schedule(cls, simulation: Simulation, schedule: Deviating) -> Player:
        """The player of a run that a schedule decides, with all that its token holds."""
        token = schedule.token
        player = cls(
            simulation,
            schedule.deviations,
            monitors=() if token is None else map(resolve, token.invariants),
            rest_ms=schedule.rest_ms,
        )
        if token is not None:
            player.rule_texts = token.rules
            simulation.rules.is_quiet = True
        return player

    def _sort(self, deviations: tuple[Deviation, ...]) -> None:
        for one in deviations:
            if isinstance(one, Hold):
                self._holds[one.site] = (*self._holds.get(one.site, ()), one)
            elif isinstance(one, Inject):
                if self._injects.setdefault(one.site, one) != one:
                    message = f"{one.site} can meet one fault only: {self._injects[one.site]!r}"
                    raise ConfigurationError(f"{message} or {one!r}")
            elif isinstance(one, At):
                self._places[one.place] = one.choice
            else:
                message = f"a deviation is a Hold, an Inject or an At, got {one!r}"
                raise ConfigurationError(message)

    # -- departure -------------------------------------------------------------------------

    def now(self) -> int:
        """The ordinal of an event that happens now."""
        self._ordinal = ordinal = self._ordinal + 1
        return ordinal

    def depart(self, operation: Operation, departed_at: int = 0) -> Passage:
        """An operation is on its way.

        Args:
            operation: What it is.
            departed_at: When it left, if that is over.
        """
        binding, name, _, actor, _ = operation
        counted = (actor, binding, name)
        self._counts[counted] = nth = self._counts.get(counted, 0) + 1
        passage = Passage(
            self,
            Site(actor, _path(binding, name), nth),
            operation,
            departed_at or self.now(),
            self._versions.get(actor, 0),
        )
        if not departed_at:
            passage.task = task = asyncio.current_task(self._simulation.loop)
            cause_at = self._turn.get(actor, -1)
            passage.cause_at = cause_at if cause_at >= 0 else self._answers.get(task, -1)
        if not self._is_resting:
            # Nothing deviates then, so that is no step to deviate at.
            self.passages.append(passage)
        if self._is_deviating:
            self._deviate(passage)
        return passage

    def _deviate(self, passage: Passage) -> None:
        """Give a passage what its site has."""
        site = passage.site
        inject = self._injects.get(site)
        if inject is not None:
            self._inject(passage, inject)
        passage.holds = self._holds.get(site, ())
        passage.is_watched = site in self._watched
        choice = self._places.get(len(self.passages))
        if choice == 0:
            passage.is_demoted = True
        elif choice is not None and inject is None:
            kinds = self.catalogue.kinds_of(passage.operation) if self.catalogue else ()
            if kinds:
                self._inject(passage, Inject(site, kinds[(choice - 1) % len(kinds)]))

    def _inject(self, passage: Passage, inject: Inject) -> None:
        operation = passage.operation
        if self.catalogue is None:
            return
        try:
            passage.verdict = self.catalogue.verdict_of(inject.kind, operation)
        except ConfigurationError:
            return  # No such operation meets it any more: `applied` lacks it.
        self.applied[inject] = None
        self._simulation.trace.record(
            "fault", str(operation), actor=operation.actor, rule=repr(inject)
        )

    def _watch_timers(self) -> None:
        """Note when each timer of an object or a worker is set: that is its departure."""
        loop = self._simulation.loop
        call_later, set_at = loop.call_later, self._timers_set_at

        def noting(
            delay: float,
            callback: Callable[..., object],
            *args: Any,
            context: Context | None = None,
        ) -> Any:
            handle = call_later(delay, callback, *args, context=context)
            if handle.context.get(OWNER) is not None:
                set_at[handle] = self.now()
            return handle

        # Of this loop alone: others, and runs that nobody records, pay nothing.
        vars(loop)["call_later"] = noting

    def stop(self) -> None:
        """The run is over: let go of everything, so that no collector has to find it."""
        vars(self._simulation.loop).pop("call_later", None)
        self._simulation.player = None
        self._timers_set_at.clear()
        self.passages.clear()
        self._answers.clear()
        del self._room, self._simulation

    def timer(self, handle: Handle, actor: str) -> Passage:
        """A timer is due: its passage, which departed when it was set.

        Args:
            handle: The timer.
            actor: Whose it is, by his name in the trace.
        """
        operation = Operation("timer", "timer.fire", actor=actor)
        return self.depart(operation, self._timers_set_at.pop(handle, 0))

    # -- effect and arrival ----------------------------------------------------------------

    def admits(
        self,
        passage: Passage,
        moment: str,
        enter: Callable[[], None],
        lane: Hashable,
        hold_ms_max: int,
    ) -> bool:
        """Whether a moment may pass now; see `Passage.admits`."""
        if not self._may_hold:
            return True
        return self._room.admits(passage, moment, enter, lane, self._ordinal, hold_ms_max)

    def line_up(self, lane: Hashable, enter: Callable[[], None]) -> Callable[[], None]:
        """What passes in a lane and is no operation: `enter`, behind those who wait there."""
        room, who = self._room, object()

        def follow() -> None:
            if room.is_first(lane, who, follow):
                room.leave(lane)
                enter()

        return follow

    def effect(self, passage: Passage) -> None:
        """The effect happens now."""
        passage.effect_at = ordinal = self.now()
        target = passage.operation.target
        if target:
            self._turn_of(target, ordinal)
        actor = passage.operation.actor
        passage.state = version = self._versions.get(actor, 0)
        touches = _touches(self.catalogue, passage.operation)
        if any(is_write for _, is_write in touches):
            self._versions[actor] = version + 1
        self._last_effect = passage
        self._happened(passage, EFFECT)

    def no_effect(self, passage: Passage) -> None:
        """The effect will never happen: a fault takes its place."""
        self._happened(passage, EFFECT)

    def arrival(self, passage: Passage) -> None:
        """The answer reaches its sender now."""
        passage.arrival_at = ordinal = self.now()
        self._turn_of(passage.operation.actor, ordinal)
        task = passage.task
        waits_for = getattr(getattr(task, "_fut_waiter", None), "waits_for", None)
        if waits_for is passage.operation:
            # It sent this and went no further: what it does from now on follows from that.
            self._answers[task] = ordinal
        self._happened(passage, ARRIVAL)

    def _turn_of(self, actor: str, ordinal: int) -> None:
        """An event lets an actor go on: what it does in this turn follows from that."""
        if not self._turn:
            self._simulation.loop.at_turn_end(self._turn.clear)
        self._turn[actor] = ordinal

    def _happened(self, passage: Passage, moment: str) -> None:
        if passage.is_watched:
            self._room.passed(passage.site, moment)

    def _went_on(self, passage: Passage, came: list[Hold], since: int) -> None:
        """Somebody who was held back goes on."""
        for hold in came:
            self.applied[hold] = None
        record, operation = self._simulation.trace.record, passage.operation
        told = ", ".join(str(hold.until) for hold in came)
        record("hold", str(operation), actor=operation.actor, until=told)
        last = self._last_effect
        if since >= 0 and last is not None and last.effect_at > since:
            self.applied[Hold(passage.site, last.site)] = None

    # -- the record ------------------------------------------------------------------------

    def steps(self) -> tuple[Step, ...]:
        """What has happened so far, in the order of departure."""
        catalogue = self.catalogue
        return tuple(
            Step(
                one.site,
                one.operation,
                one.departed_at,
                one.effect_at,
                one.arrival_at,
                one.state,
                _touches(catalogue, one.operation),
                one.cause_at,
            )
            for one in sorted(self.passages, key=_departed_at)
        )

    # -- worlds ----------------------------------------------------------------------------

    def entered(self, world: Any) -> None:
        """A world was entered: the monitors watch it.

        Args:
            world: Its door, as the monitors get it.
        """
        self._watch.begin(world)

    async def rest(self, world: Any, unanswered: Callable[[], Iterable[str]]) -> None:
        """A world is left: let everything come to rest, and then let the monitors judge.

        Args:
            world: Its door.
            unanswered: Names what it was asked and has not answered.

        Raises:
            NotAtRest: If something goes on for longer than `rest_ms`, or waits for ever.
        """
        if self._rest_ms is None:
            return
        with self.calm():
            await come_to_rest(self._simulation, self._rest_ms, "faults have ended")
            self._check_answers(unanswered)
            await self._watch.end(world)

    @contextmanager
    def calm(self) -> Iterator[None]:
        """No deviation and no rule applies while the block runs, unless that fails."""
        was_deviating, self._is_deviating = self._is_deviating, False
        was_resting, self._is_resting = self._is_resting, True
        self._room.release_all()
        with self._simulation.rules.paused():
            yield
        self._is_deviating, self._is_resting = was_deviating, was_resting
        self._room.open()

    def _check_answers(self, unanswered: Callable[[], Iterable[str]]) -> None:
        names = list(unanswered())
        if names:
            what = "faults have ended and nothing is left to happen, yet no answer came from "
            raise not_at_rest(self._simulation, what + ", ".join(names))

    def __repr__(self) -> str:
        return f"<Player {self.deviations!r}, {len(self.passages)} operations>"


def _departed_at(passage: Passage) -> int:
    return passage.departed_at


@lru_cache(maxsize=1_000)
def _path(binding: str, name: str) -> str:
    return Operation(binding, name).path


@lru_cache(maxsize=65_536)
def _touches(catalogue: Catalogue | None, operation: Operation) -> tuple[tuple[str, bool], ...]:
    # Most operations of a world were in the last one, too.
    return () if catalogue is None else catalogue.touches_of(operation)
