"""The object's database: what an object has stored, which outlives its instances.

Promises: one SQLite database, made at the first write, with the platform's own tables as
local workerd lays them out; the alarm slot beside it, kept in step with its row. Leaves to
others: when writes become durable (the units), and what the pairs mean (the stores).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from emulator.durable_objects.alarm_slot import AlarmSlot, StoredAlarm

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.units import WriteUnits
    from emulator.simulation.runner import Simulation
    from emulator.sqlite.database import Database, Snapshot

__all__ = ["ObjectDatabase", "StoredState"]

_SCHEMA: Final = (
    "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
    "CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)",
)
#: Row 1 of `_cf_METADATA`: the alarm time in nanoseconds since the epoch, or NULL.
_ALARM_ROW: Final = 1
_NS_PER_MS: Final = 1_000_000


class StoredState(NamedTuple):
    """What an object has stored, as a power cut would leave it.

    Attributes:
        sqlite: None if it never wrote.
        alarm_time_ms: Epoch milliseconds, or None.
        alarm_row_ms: The same in its row, which may still lack the end of an alarm.
        bookmark_count: The calls of `getCurrentBookmark`.
    """

    sqlite: Snapshot | None
    alarm_time_ms: int | None
    alarm_row_ms: int | None
    bookmark_count: int


@final
class ObjectDatabase:
    """What an object has stored; it outlives its instances.

    Args:
        simulation: For the clock and the random streams of SQL.
        name: Who this is, such as "JOBS#1f3a9c02".
    """

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self.name = name
        self.alarm = AlarmSlot()
        #: None until the first write.
        self.sqlite: Database | None = None
        #: Counts the calls of `getCurrentBookmark`.
        self.bookmark_count = 0
        #: The units of the living instance, if it has any.
        self.units: WriteUnits | None = None
        self._alarm_row_ms: int | None = None

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
            self.sqlite.deserialize(image_of(*_SCHEMA))
        return self.sqlite

    def _new_sqlite(self) -> Database:
        from emulator.sqlite.database import Database

        # The clock alone: whoever steps a statement remembers how to ask for the time.
        clock, randomness = self._simulation.clock, self._simulation.randomness
        stream = f"sql.{self.name}"
        return Database(
            now_ms=lambda: clock.now_ms,
            random_bytes=lambda size: randomness.token_bytes(stream, size),
        )

    def write_alarm_row(self) -> None:
        """Bring the stored row up to the slot, in whatever transaction is open."""
        time_ms = self.alarm.now.time_ms
        if time_ms == self._alarm_row_ms:
            return
        value = None if time_ms is None else time_ms * _NS_PER_MS
        self.opened().execute(
            "INSERT OR REPLACE INTO _cf_METADATA VALUES (?, ?)", (_ALARM_ROW, value)
        )
        self._alarm_row_ms = time_ms

    def begin_alarm(self, time_ms: int) -> bool:
        """The alarm handler is about to run: hide its time from `getAlarm`.

        Args:
            time_ms: For when the alarm that runs was set.

        Returns:
            False if another time, or none, is durably stored instead: the handler must not
            run (workerd's CancelAlarmHandler).
        """
        alarm = self.alarm
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
        return StoredState(
            None if self.sqlite is None else self.sqlite.snapshot(),
            self.alarm_time_ms,
            self._alarm_row_ms,
            self.bookmark_count,
        )

    def restore(self, stored: StoredState) -> None:
        """Hold what a snapshot holds. This database must be new."""
        assert self.sqlite is None, "an old database is closed, not filled"
        self.alarm = AlarmSlot(stored.alarm_time_ms)
        self._alarm_row_ms = stored.alarm_row_ms
        self.bookmark_count = stored.bookmark_count
        if stored.sqlite is not None:
            self.sqlite = self._new_sqlite()
            self.sqlite.restore(stored.sqlite)
            self.write_alarm_row()

    def close(self) -> None:
        """Forget everything."""
        if self.sqlite is not None:
            self.sqlite.close()
            self.sqlite = None
