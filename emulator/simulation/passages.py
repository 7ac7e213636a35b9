"""Passages: each operation of a run on its way, and what holds it back.

Promises: whoever is held back goes on when the other has passed, when nothing else can happen,
or when his time is over; what is behind him in his lane waits with him, and then follows in
order. So every order that comes about is one that the platform may show, and no hold ends in a
deadlock. Leaves to others: which operations are held back (the player), and what they are (the
corridor).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from emulator.simulation.deviations import EFFECT, Hold, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from emulator.simulation.handles import Delivery
    from emulator.simulation.loop import SimulationLoop
    from emulator.simulation.rules import Operation, Verdict

__all__ = ["HOLD_MS_MAX", "Passage", "WaitingRoom"]

#: Who is held back for longer goes on: an alarm may be late by a minute (Cloudflare docs,
#: Alarms), and no page speaks of longer delays.
HOLD_MS_MAX: Final = 60_000
#: Nothing is held back for the sake of nothing in particular for longer.
DEMOTION_MS_MAX: Final = 1_000


class Keeper(Protocol):
    """Who keeps the record: the player."""

    def admits(
        self,
        passage: Passage,
        moment: str,
        enter: Callable[[], None],
        lane: Hashable,
        hold_ms_max: int,
    ) -> bool:
        """Whether a moment may pass now."""

    def effect(self, passage: Passage) -> None:
        """It takes effect now."""

    def no_effect(self, passage: Passage) -> None:
        """It never will."""

    def arrival(self, passage: Passage) -> None:
        """Its answer is there."""


@final
class Passage:
    """One operation on its way.

    Attributes:
        site: Its name.
        operation: What it is.
        departed_at: When it left: the ordinal of that event.
        effect_at: When it took effect; -1 is never.
        arrival_at: When its answer reached its sender; -1 is never.
        state: Tells states of its actor apart, as of its effect or else its departure.
        verdict: The fault that a deviation gives it, if any.
        holds: What it waits for.
        is_demoted: Its effect waits until nothing else can happen.
        is_watched: Somebody may wait for it.
        cause_at: The event that it follows from; -1 if that is unknown.
        task: Who sent it, if a task did.
    """

    __slots__ = (
        "_keeper", "arrival_at", "cause_at", "departed_at", "effect_at", "holds",
        "is_demoted", "is_watched", "operation", "site", "state", "task", "verdict",
    )  # fmt: skip

    def __init__(
        self, keeper: Keeper, site: Site, operation: Operation, departed_at: int, state: int
    ) -> None:
        self._keeper = keeper
        self.site = site
        self.operation = operation
        self.departed_at = departed_at
        self.effect_at = -1
        self.arrival_at = -1
        self.state = state
        self.verdict: Verdict | None = None
        self.holds: tuple[Hold, ...] = ()
        self.is_demoted = False
        self.is_watched = False
        self.cause_at = -1
        self.task: Any = None

    def admits(
        self,
        moment: str,
        enter: Callable[[], None],
        *,
        lane: Hashable = None,
        hold_ms_max: int = HOLD_MS_MAX,
    ) -> bool:
        """Whether a moment may pass now; otherwise `enter()` is called when it may.

        Args:
            moment: "effect" or "arrival".
            enter: Asks again.
            lane: The effects of one lane pass in order.
            hold_ms_max: How long it may be held back.
        """
        return self._keeper.admits(self, moment, enter, lane, hold_ms_max)

    def effect(self) -> None:
        """It takes effect now."""
        self._keeper.effect(self)

    def no_effect(self) -> None:
        """It never will: a fault is in its place."""
        self._keeper.no_effect(self)

    def arrival(self) -> None:
        """Its answer reaches its sender now."""
        self._keeper.arrival(self)

    def __repr__(self) -> str:
        return f"<Passage {self.site}>"


@final
class _Guest:
    """Somebody who is held back."""

    __slots__ = ("enter", "moment", "passage", "since", "timer", "waits_for")

    def __init__(
        self, passage: Passage, moment: str, enter: Callable[[], None], since: int
    ) -> None:
        self.passage = passage
        self.moment = moment
        self.enter = enter
        self.since = since
        self.waits_for: list[Hold] = []
        self.timer: Delivery | None = None


@final
class WaitingRoom:
    """Where those wait who are held back.

    Args:
        loop: By which they go on.
        watched: The moments for which somebody may wait.
        went_on: Told of each who goes on: his passage, the holds that came about, and whether
            he was demoted since when.
    """

    def __init__(
        self,
        loop: SimulationLoop,
        watched: Iterable[tuple[Site, str]],
        went_on: Callable[[Passage, list[Hold], int], None],
    ) -> None:
        self._loop = loop
        self._went_on = went_on
        self._guests: dict[tuple[Passage, str], _Guest] = {}
        #: Whether each of the watched moments has passed.
        self._passed = dict.fromkeys(watched, False)
        self._lanes: dict[Hashable, deque[tuple[object, Callable[[], None]]]] = {}
        self._is_open = True
        self._stop_watching: Callable[[], None] | None = None

    def admits(
        self,
        passage: Passage,
        moment: str,
        enter: Callable[[], None],
        lane: Hashable,
        now: int,
        hold_ms_max: int,
    ) -> bool:
        """Whether a moment may pass now; otherwise `enter()` is called when it may.

        Args:
            passage: Whose moment has come.
            moment: "effect" or "arrival".
            enter: Asks again.
            lane: Those of one lane pass in order.
            now: The ordinal of this instant.
            hold_ms_max: How long it may be held back.
        """
        if lane is not None and self._lanes and not self.is_first(lane, passage, enter):
            return False
        guest = self._held_back(passage, moment, enter, now)
        if guest is None:
            if lane is not None and self._lanes:
                self.leave(lane)
            return True
        if lane is not None and lane not in self._lanes:
            self._lanes[lane] = deque([(passage, enter)])
        self._guests[passage, moment] = guest
        limit_ms = min(hold_ms_max, DEMOTION_MS_MAX) if not guest.waits_for else hold_ms_max
        if self._stop_watching is None:
            self._stop_watching = self._loop.watch_turns(self._turn_is_over)
        guest.timer = self._loop.deliver(
            self._loop.clock.now_ms + limit_ms, self._release, guest, is_background=True
        )
        return False

    def _held_back(
        self, passage: Passage, moment: str, enter: Callable[[], None], now: int
    ) -> _Guest | None:
        if not self._is_open:
            return None
        is_demoted = passage.is_demoted and moment == EFFECT
        waits_for = [
            hold
            for hold in passage.holds
            if hold.moment == moment and not self._passed[hold.until, moment]
        ]
        if not waits_for and not is_demoted:
            return None
        guest = _Guest(passage, moment, enter, now)
        guest.waits_for = waits_for
        return guest

    # -- lanes -----------------------------------------------------------------------------

    def is_first(self, lane: Hashable, who: object, enter: Callable[[], None]) -> bool:
        """Whether nobody is before him in his lane; otherwise he waits behind them."""
        queue = self._lanes.get(lane)
        if queue is None or queue[0][0] is who:
            return True
        queue.append((who, enter))
        return False

    def leave(self, lane: Hashable) -> None:
        """The first of a lane, if any waited, has passed: the next one follows."""
        queue = self._lanes.get(lane)
        if queue is None:
            return
        queue.popleft()
        if queue:
            self._loop.deliver(self._loop.clock.now_ms, queue[0][1])
        else:
            del self._lanes[lane]

    # -- going on --------------------------------------------------------------------------

    def passed(self, site: Site, moment: str) -> None:
        """A watched moment has passed, or never will: whoever waits for it may go on."""
        if self._passed.get((site, moment), True):
            return
        self._passed[site, moment] = True
        for guest in list(self._guests.values()):
            if guest.moment != moment or (guest.passage.is_demoted and moment == EFFECT):
                continue
            if all(self._passed[hold.until, moment] for hold in guest.waits_for):
                self._release(guest)

    def _turn_is_over(self) -> None:
        """If nothing else can happen, the first who came goes on."""
        if self._loop.is_about_to_idle:
            self._release(next(iter(self._guests.values())))

    def open(self) -> None:
        """From now on somebody may be held back again."""
        self._is_open = True

    def release_all(self) -> None:
        """Nobody waits any more, nor will until `open`."""
        self._is_open = False
        for guest in list(self._guests.values()):
            self._release(guest)

    def _release(self, guest: _Guest) -> None:
        passage, moment = guest.passage, guest.moment
        if self._guests.pop((passage, moment), None) is None:
            return
        if not self._guests and self._stop_watching is not None:
            self._stop_watching()
            self._stop_watching = None
        if guest.timer is not None:
            guest.timer.cancel()
        came = [hold for hold in guest.waits_for if self._passed[hold.until, moment]]
        passage.holds = tuple(hold for hold in passage.holds if hold.moment != moment)
        since = -1
        if moment == EFFECT and passage.is_demoted:
            passage.is_demoted, since = False, guest.since
        self._loop.deliver(self._loop.clock.now_ms, guest.enter)
        self._went_on(passage, came, since)

    def __repr__(self) -> str:
        return f"<WaitingRoom {[guest.passage for guest in self._guests.values()]}>"
