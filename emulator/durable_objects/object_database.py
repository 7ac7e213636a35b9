"""The object's database: what an object has stored, which outlives its instances.

Promises: one SQLite database, made at the first use that needs it, with the platform's own
tables as local workerd lays them out; the alarm slot beside it, kept in step with its row.
Leaves to others: when writes become durable (the units), and what the pairs mean (the stores).

The platform makes its tables when they are first written, and a worker's SQL can see that. Ours
begin with both, so that connections can be used again (`emulator.sqlite.connections`); those
that nothing was written to go before a worker's SQL can see them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from emulator.durable_objects.alarm_slot import AlarmSlot, StoredAlarm
from emulator.durable_objects.bookmarks import BookmarkLog
from emulator.errors import JsException

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.units import WriteUnits
    from emulator.limits import Limits
    from emulator.simulation.runner import Simulation
    from emulator.sqlite.database import Database, Snapshot

__all__ = ["ObjectDatabase", "StoredState", "has_no_pairs_table"]

# To the letter, since `sqlite_master` shows it (workerd's sqlite-kv.h and sqlite-metadata.h).
_PAIRS_TABLE: Final = """CREATE TABLE _cf_KV (
        key TEXT PRIMARY KEY,
        value BLOB
      ) WITHOUT ROWID"""
_METADATA_TABLE: Final = """CREATE TABLE _cf_METADATA (
        key INTEGER PRIMARY KEY,
        value BLOB
      )"""
_SET_METADATA: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES (?, ?)"
_HAS_PAIRS: Final = "SELECT 1 FROM _cf_KV LIMIT 1"
_HAS_METADATA: Final = "SELECT 1 FROM _cf_METADATA WHERE value NOTNULL LIMIT 1"
_GET_METADATA: Final = "SELECT value FROM _cf_METADATA WHERE key = ?"
_NO_PAIRS: Final = "no such table: _cf_KV: SQLITE_ERROR"
_NO_METADATA: Final = "no such table: _cf_METADATA: SQLITE_ERROR"
_PAGE_BYTES: Final = 4_096
#: Row 1 of `_cf_METADATA`: the alarm time in nanoseconds since the epoch, or NULL.
_ALARM_ROW: Final = 1
#: Row 2: how many bookmarks were taken, as the local runtime counts them.
_BOOKMARK_ROW: Final = 2
_NS_PER_MS: Final = 1_000_000


class StoredState(NamedTuple):
    """What an object has stored, as a power cut would leave it.

    Attributes:
        sqlite: None if it never wrote.
        alarm_time_ms: Epoch milliseconds, or None.
        alarm_row_ms: The same in its row of `sqlite`, which may still lack the end of an alarm.
        bookmarks: The past, where somebody may want it back.
        is_shown: Whether a worker's SQL has been there, so that no table is there in advance.
    """

    sqlite: Snapshot | None
    alarm_time_ms: int | None
    alarm_row_ms: int | None
    bookmarks: BookmarkLog | None = None
    is_shown: bool = False


@final
class ObjectDatabase:
    """What an object has stored; it outlives its instances.

    Args:
        simulation: For the clock and the random streams of SQL.
        name: Who this is, such as "JOBS#1f3a9c02".
        limits: How much it may store.
        keeps_history: Whether it keeps every past state.
    """

    def __init__(
        self, simulation: Simulation, name: str, limits: Limits, *, keeps_history: bool
    ) -> None:
        self._simulation = simulation
        self._limits = limits
        self.name = name
        self.alarm = AlarmSlot()
        #: None until it is needed.
        self.sqlite: Database | None = None
        #: The units of the living instance, if it has any.
        self.units: WriteUnits | None = None
        #: None until somebody may want the past back.
        self.bookmarks: BookmarkLog | None = None
        #: The alarm's row as it is, and as it was committed.
        self._alarm_row_ms: int | None = None
        self._durable_row_ms: int | None = None
        #: How often writes have become durable.
        self.commit_count = 0
        #: Something was written to the table of pairs.
        self.has_pairs = False
        self._has_metadata = False
        self._is_shown = False
        #: What was dropped may come back with a rollback.
        self._is_drop_open = False
        if keeps_history:
            self.bookmarks = BookmarkLog(
                self, simulation.clock, keeps_history=True, is_complete=True
            )

    @property
    def alarm_time_ms(self) -> int | None:
        """The durable alarm time, hidden or not."""
        return self.alarm.durable.time_ms

    def opened(self) -> Database:
        """The SQLite database, with the platform's own tables."""
        if self.sqlite is None:
            # Here, because an object that never writes should not load SQLite.
            from emulator.sqlite.database import image_of

            self.sqlite = self._new_sqlite()
            self.sqlite.deserialize(image_of(_PAIRS_TABLE, _METADATA_TABLE))
        return self.sqlite

    def shown(self) -> Database:
        """The SQLite database as a worker's SQL may see it."""
        if self.sqlite is None:
            self.sqlite = self._new_sqlite()
            self.sqlite.deserialize(b"")
        elif not self._is_shown:
            try:
                self.drop_unused_tables()
            except JsException:
                return self.sqlite  # Somebody is reading; the next time, then.
        self._is_shown = True
        return self.sqlite

    @property
    def is_shown(self) -> bool:
        """Whether a worker's SQL has been here."""
        return self._is_shown

    def committed(self) -> None:
        """Every write so far is durable: what was dropped stays dropped."""
        self.commit_count += 1
        self._is_drop_open = False
        self._durable_row_ms = self._alarm_row_ms

    def rolled_back(self) -> None:
        """Tables that had been dropped may be back, and the alarm's row is what it was."""
        if self._is_drop_open:
            self._is_drop_open = self._is_shown = False
        if self._is_shown:
            self._alarm_row_ms = self._stored_alarm_ms()

    def _stored_alarm_ms(self) -> int | None:
        time_ns = self._metadata(_ALARM_ROW)
        return None if time_ns is None else time_ns // _NS_PER_MS

    def _metadata(self, key: int) -> int | None:
        try:
            rows = self.opened().execute(_GET_METADATA, (key,))
        except JsException as error:
            if error.message != _NO_METADATA:
                raise
            return None
        return rows[0][0] if rows else None

    def forget_tables(self) -> None:
        """Everything is being deleted: the platform begins another file."""
        self.has_pairs = self._has_metadata = False
        self.opened().execute("DROP TABLE IF EXISTS _cf_METADATA")
        self._note_alarm_row(None)

    def drop_unused_tables(self) -> None:
        """Drop those of the platform's own tables that were never written to."""
        sqlite = self.opened()
        self._is_drop_open = sqlite.in_transaction
        names = {name for (name,) in sqlite.execute("SELECT name FROM sqlite_schema")}
        if "_cf_KV" in names and not self.has_pairs and not sqlite.execute(_HAS_PAIRS):
            sqlite.execute("DROP TABLE _cf_KV")
        if (
            "_cf_METADATA" in names
            and not self._has_metadata
            and self.alarm.now.time_ms is None
            and not sqlite.execute(_HAS_METADATA)
        ):
            sqlite.execute("DROP TABLE _cf_METADATA")
            self._note_alarm_row(None)

    def make_pairs_table(self) -> None:
        """Make the table of pairs, where a worker's SQL came first."""
        self.opened().execute(_PAIRS_TABLE)

    @property
    def size_bytes(self) -> int:
        """What `storage.sql.databaseSize` tells."""
        return _PAGE_BYTES if self.sqlite is None else self.shown().database_size_bytes

    def _new_sqlite(self) -> Database:
        from emulator.sqlite.database import Database

        # The clock alone: whoever steps a statement remembers how to ask for the time.
        clock, randomness = self._simulation.clock, self._simulation.randomness
        stream = f"sql.{self.name}"
        return Database(
            now_ms=lambda: clock.now_ms,
            random_bytes=lambda size: randomness.token_bytes(stream, size),
            value_bytes_max=self._limits.row_bytes_max,
            size_bytes_max=self._limits.storage_bytes_max,
            is_local=self._limits.is_local,
        )

    def alarm_changed(self) -> None:
        """A worker set or deleted the alarm; its row follows at once where SQL may see it."""
        if self._is_shown:
            self.write_alarm_row()

    def write_alarm_row(self) -> None:
        """Bring the stored row up to the slot, in whatever transaction is open."""
        time_ms = self.alarm.now.time_ms
        if time_ms == self._alarm_row_ms:
            return
        self._set_metadata(_ALARM_ROW, None if time_ms is None else time_ms * _NS_PER_MS)
        self._note_alarm_row(time_ms)

    def _note_alarm_row(self, time_ms: int | None) -> None:
        self._alarm_row_ms = time_ms
        if not self.opened().in_transaction:
            self._durable_row_ms = time_ms

    def count_bookmark(self) -> int:
        """One more bookmark, in whatever transaction is open; gives how many there were."""
        count = self._metadata(_BOOKMARK_ROW) or 0
        self._set_metadata(_BOOKMARK_ROW, count + 1)
        return count

    def forget_bookmarks(self) -> None:
        """Count them anew, in whatever transaction is open."""
        if self._metadata(_BOOKMARK_ROW):
            self._set_metadata(_BOOKMARK_ROW, 0)

    def _set_metadata(self, key: int, value: int | None) -> None:
        sqlite = self.opened()
        self._has_metadata = True
        try:
            sqlite.execute(_SET_METADATA, (key, value))
        except JsException as error:
            if error.message != _NO_METADATA:
                raise
            sqlite.execute(_METADATA_TABLE)
            sqlite.execute(_SET_METADATA, (key, value))

    def begin_alarm(self, time_ms: int, overdue_ms: int | None = None) -> bool:
        """The alarm handler is about to run: hide its time from `getAlarm`.

        Args:
            time_ms: For when the alarm that runs was set.
            overdue_ms: An alarm stored for this time or before may run in its place: so
                the local runtime has it (workerd's actor-sqlite.c++, "alarm overdue").

        Returns:
            False if another time, or none, is durably stored instead: the handler must not
            run (workerd's CancelAlarmHandler).
        """
        alarm = self.alarm
        stored_ms = alarm.now.time_ms
        if overdue_ms is not None and stored_ms is not None and stored_ms <= overdue_ms:
            time_ms = stored_ms
        if alarm.now.time_ms != time_ms and alarm.now.change == alarm.durable.change:
            return False
        self._each_alarm(lambda stored: stored.hidden(time_ms))
        return True

    def end_alarm(self, *, succeeded: bool) -> None:
        """The alarm handler is over: delete its time for good, or show it again.

        What the handler itself has set or deleted is left alone. The deletion is durable at
        once: the handler's own writes are so already.
        """
        self._change_alarm(lambda stored: stored.finished(succeeded=succeeded))

    def drop_alarm(self) -> None:
        """Delete the stored time, shown or hidden, for good."""
        time_ms = self.alarm.durable.time_ms
        self._change_alarm(lambda stored: stored.hidden(time_ms).finished(succeeded=True))

    def _change_alarm(self, change: Callable[[StoredAlarm], StoredAlarm]) -> None:
        if self.bookmarks is not None:
            self.bookmarks.before_change()
        self._each_alarm(change)
        if self.units is None or not self.units.is_in_transaction:
            self.write_alarm_row()

    def _each_alarm(self, change: Callable[[StoredAlarm], StoredAlarm]) -> None:
        """Change what is stored now, what is durable, and what a rollback would restore."""
        alarm = self.alarm
        alarm.now = change(alarm.now)
        alarm.durable = change(alarm.durable)
        if self.units is not None:
            for frame in self.units.frames:
                frame.alarm = change(frame.alarm)

    def snapshot(self) -> StoredState:
        """What a power cut would leave now."""
        stored = self.stored_now()
        if self.bookmarks is None:
            return stored
        return stored._replace(bookmarks=self.bookmarks.copy(self))

    def stored_now(self) -> StoredState:
        """The same without the past."""
        return StoredState(
            None if self.sqlite is None else self.sqlite.snapshot(),
            self.alarm_time_ms,
            self._durable_row_ms,
            is_shown=self._is_shown and not self._is_drop_open,
        )

    def restore(self, stored: StoredState) -> None:
        """Hold what a snapshot holds. This database must be new."""
        assert self.sqlite is None, "an old database is closed, not filled"
        if stored.bookmarks is not None:
            self.bookmarks = stored.bookmarks.copy(self)
        self._fill(stored)

    def become(self, stored: StoredState) -> None:
        """Hold what was stored once; no instance is alive."""
        if self.sqlite is not None:
            self.sqlite.close()
            self.sqlite = None
        self.has_pairs = self._has_metadata = self._is_drop_open = False
        self._fill(stored)

    def bookmark_log(self) -> BookmarkLog:
        """The past, kept from now on."""
        if self.bookmarks is None:
            self.bookmarks = BookmarkLog(
                self,
                self._simulation.clock,
                keeps_history=False,
                is_complete=self.sqlite is None,
            )
        return self.bookmarks

    def _fill(self, stored: StoredState) -> None:
        self.alarm = AlarmSlot(stored.alarm_time_ms)
        self._alarm_row_ms = self._durable_row_ms = stored.alarm_row_ms
        self._is_shown = stored.is_shown
        if stored.sqlite is not None:
            self.sqlite = self._new_sqlite()
            self.sqlite.restore(stored.sqlite)
            self.write_alarm_row()

    def close(self) -> None:
        """Forget everything."""
        if self.sqlite is not None:
            self.sqlite.close()
            self.sqlite = None


def has_no_pairs_table(error: JsException) -> bool:
    """Whether an error says that nothing was ever put."""
    return error.message == _NO_PAIRS
