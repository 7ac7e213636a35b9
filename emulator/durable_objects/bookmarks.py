"""Bookmarks: the past states of an object's storage, and the way back to one of them.

Promises: what a bookmark was taken of is kept, and costs an image only when it is about to
change; where a worker asks for times, every state of the last 30 days is kept. Bookmarks
compare as text in the order of the moments that they stand for. A state is everything that the
database holds, so the alarm goes back with the rest: the platform stores it there too
(workerd's sqlite-metadata.h). Leaves to others: when an object starts anew (the record), and
the worker's calls (recovery). Documented by Cloudflare, SQL storage, "Point in time recovery".
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from emulator.durable_objects.object_database import ObjectDatabase, StoredState
    from emulator.simulation.clock import Clock

__all__ = ["DAYS_MAX", "BookmarkLog"]

DAYS_MAX: Final = 30
_SPAN_MS: Final = DAYS_MAX * 86_400_000
#: The moment before a restart comes after all others of its session.
_LAST: Final = 2**32 - 1


@final
class _State:
    """What was stored from one commit to the next.

    Attributes:
        session: How often the storage had gone back before.
        version: Its number.
        since_ms: When it became durable, epoch milliseconds; None is always.
        until_ms: When the next one did; None while it lasts.
        stored: None while it is what the database holds.
        is_wanted: It has to be kept.
    """

    __slots__ = ("is_wanted", "session", "since_ms", "stored", "until_ms", "version")

    def __init__(self, session: int, version: int, since_ms: int | None) -> None:
        self.session = session
        self.version = version
        self.since_ms = since_ms
        self.until_ms: int | None = None
        self.stored: StoredState | None = None
        self.is_wanted = False


@final
class BookmarkLog:
    """The past of one object.

    Args:
        database: What the object has stored.
        clock: The simulated time.
        keeps_history: Keep every state, because a worker may ask for any time.
        is_complete: Nothing was ever stored, so the present state is the first.
    """

    def __init__(
        self, database: ObjectDatabase, clock: Clock, *, keeps_history: bool, is_complete: bool
    ) -> None:
        self._database = database
        self._clock = clock
        self._keeps_history = keeps_history
        self._now = _State(0, 0, None if is_complete else clock.now_ms)
        #: The states that are kept, and the present one at the end.
        self._states = [self._now]
        self._bookmarks: dict[str, _State] = {}
        self._next: tuple[_State, str] | None = None

    def copy(self, database: ObjectDatabase) -> BookmarkLog:
        """The same past, of a database that holds the same now."""
        other = BookmarkLog(
            database, self._clock, keeps_history=self._keeps_history, is_complete=True
        )
        # States that are over never change; the present one is each log's own.
        other._now = _State(self._now.session, self._now.version, self._now.since_ms)
        other._now.is_wanted = self._now.is_wanted
        mine = {self._now: other._now}
        other._states = [mine.get(state, state) for state in self._states]
        other._bookmarks = {
            bookmark: mine.get(state, state) for bookmark, state in self._bookmarks.items()
        }
        if self._next is not None:
            state, undo = self._next
            other._next = mine.get(state, state), undo
        return other

    # -- taking ----------------------------------------------------------------------------

    def current(self) -> str:
        """A bookmark of what is durable now."""
        return self._taken(self._now)

    def at(self, time_ms: int) -> str | None:
        """A bookmark of what was durable at a time; None if that was not kept.

        Args:
            time_ms: Epoch milliseconds, not in the future.
        """
        self._keeps_history = True
        for state in reversed(self._states):
            if state.since_ms is None or state.since_ms <= time_ms:
                is_over = state.until_ms is not None and state.until_ms <= time_ms
                return None if is_over else self._taken(state)
        return None

    def _taken(self, state: _State) -> str:
        state.is_wanted = True
        bookmark = self._text(state.session, state.version)
        self._bookmarks[bookmark] = state
        return bookmark

    def _text(self, session: int, version: int) -> str:
        number = len(self._bookmarks)
        head = f"{session:08x}-{version:08x}-{number:08x}"
        digest = hashlib.sha256(f"{self._database.name} {head}".encode()).hexdigest()
        return f"{head}-{digest[:32]}"

    # -- keeping ---------------------------------------------------------------------------

    def before_change(self) -> None:
        """What is durable is about to change: keep it if somebody may want it back."""
        if self._now.is_wanted or self._keeps_history:
            self._keep_now()
        else:
            self._states.pop()
        self._begin(self._now.session)
        self._forget_old()

    def _keep_now(self) -> None:
        self._now.stored = self._database.stored_now()
        self._now.until_ms = self._clock.now_ms

    def _begin(self, session: int) -> None:
        self._now = _State(session, self._now.version + 1, self._clock.now_ms)
        self._states.append(self._now)

    def _forget_old(self) -> None:
        oldest_ms = self._clock.now_ms - _SPAN_MS
        states = self._states
        while len(states) > 1 and (states[0].until_ms or 0) < oldest_ms:
            del states[0]

    # -- going back ------------------------------------------------------------------------

    def knows(self, bookmark: str) -> bool:
        """Whether this object gave the bookmark, and its moment is not too long ago."""
        state = self._bookmarks.get(bookmark)
        return state is not None and (state is self._now or state in self._states)

    def restore_next(self, bookmark: str) -> str:
        """Go back to a bookmark at the next start.

        Returns:
            A bookmark of the moment before that, which undoes it.
        """
        undo = self._text(self._now.session, _LAST)
        self._bookmarks[undo] = self._now
        self._next = self._bookmarks[bookmark], undo
        return undo

    def restore(self) -> bool:
        """The object starts: go back, if it was asked for; tells whether it was."""
        if self._next is None:
            return False
        (target, undo), self._next = self._next, None
        last = self._now
        self._keep_now()
        self._bookmarks[undo] = last
        self._begin(last.session + 1)
        stored = target.stored
        assert stored is not None, "a state that is over is kept if it was bookmarked"
        self._database.become(stored)
        return True

    def __repr__(self) -> str:
        return f"<BookmarkLog {len(self._bookmarks)} bookmarks, {len(self._states)} states>"
