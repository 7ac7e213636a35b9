"""Units: which writes of an object stand or fall together, and when they are durable.

The first write of a turn opens a unit; the end of the turn closes it; a flush, an event of
its own, makes every closed unit durable. In SQLite's words: BEGIN at the first write after
a flush, one SAVEPOINT for each further unit, COMMIT at the flush. An explicit transaction
(`storage.transaction`) stays open across turns and is one unit. `transactionSync` and a
`put` of many entries are savepoints inside whatever is open. BEGIN and SAVEPOINT are issued
by the first write that needs them, so a transaction that only reads costs nothing, and an
object that never writes has no database.

Promises: a unit is atomic; after a power cut the state is that of the last flush. Leaves to
others: the statements (the stores), when a turn ends and a flush arrives (the hooks).
Modelled on workerd's actor-sqlite.c++ (ImplicitTxn, ExplicitTxn).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, final

from emulator.errors import JsException
from emulator.sqlite.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emulator.durable_objects.alarm_slot import StoredAlarm
    from emulator.durable_objects.hooks import Hooks
    from emulator.durable_objects.object_database import ObjectDatabase
    from emulator.sqlite.database import Database
    from emulator.sqlite.query import Row, SqlValue

__all__ = ["Frame", "WriteUnits", "internal_error_text"]

_CONSTRAINT: Final = (
    "Durable Object was reset and rolled back to its last known good state because the "
    "application left the database in a state where constraints were violated: FOREIGN KEY "
    "constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
)


@final
class Frame:
    """One thing that can be rolled back by itself: a unit, a transaction, a savepoint.

    Attributes:
        alarm: The slot's state when it was opened, to go back to.
        savepoint: Its SAVEPOINT; None is the BEGIN itself. Meaningless until it is begun.
        is_begun: A write has made it real in SQLite.
        is_open: It is neither committed nor rolled back.
        has_confirmed_writes: Something in it must be durable before words may leave.
    """

    __slots__ = ("alarm", "has_confirmed_writes", "is_begun", "is_open", "savepoint")

    def __init__(self, alarm: StoredAlarm) -> None:
        self.alarm = alarm
        self.savepoint: str | None = None
        self.is_begun = False
        self.is_open = True
        self.has_confirmed_writes = False


@final
class WriteUnits:
    """The units of one instance.

    Args:
        hooks: The instance.
        database: What the object has stored.
        on_alarm_change: Called with the new time, or None, when a `setAlarm` or
            `deleteAlarm` has become durable.

    Attributes:
        frames: What is open, outermost first.
        is_in_transaction: SQLite is between BEGIN and COMMIT.
        has_sql: User SQL ran since the last commit, so its settings may need a reset.
    """

    def __init__(
        self,
        hooks: Hooks,
        database: ObjectDatabase,
        *,
        on_alarm_change: Callable[[int | None], None],
    ) -> None:
        self._hooks = hooks
        self.database = database
        self._on_alarm_change = on_alarm_change
        self.frames: list[Frame] = []
        self.is_in_transaction = False
        self.has_sql = False
        self._unit: Frame | None = None
        self._has_closed_units = False
        self._is_flush_scheduled = False
        self._savepoint_count = 0
        self._waiters: list[asyncio.Future[None]] = []
        database.units = self

    # -- reading and writing ---------------------------------------------------------------

    def begin_read(self) -> Database | None:
        """The database to read from; None if nothing was ever written.

        Raises:
            DeadInstance: If the instance is dead.
        """
        self._hooks.check_alive()
        return self.database.sqlite

    def begin_write(self, *, confirmed: bool = True) -> Database:
        """The database to write to, inside of everything that is open.

        Args:
            confirmed: Whether words must wait until this write is durable
                (not `allowUnconfirmed`).

        Raises:
            DeadInstance: If the instance is dead.
        """
        self._hooks.check_alive()
        frames = self.frames
        if not frames:
            self._open_unit()
        if confirmed and not frames[0].has_confirmed_writes:
            frames[0].has_confirmed_writes = True
            if self._unit is not None:
                self._hold_words()
        sqlite = self.database.sqlite or self.database.opened()
        if not frames[-1].is_begun:
            self._begin_frames(sqlite)
        return sqlite

    def write(
        self, sql: str, params: Sequence[SqlValue] = (), *, confirmed: bool = True
    ) -> list[Row]:
        """Run one of the platform's own writing statements inside of what is open.

        Raises:
            SqlError: With the platform's text. If it is critical (a full disk), the object
                has been reset, because SQLite may have undone more than the statement.
            DeadInstance: If the instance is dead.
        """
        sqlite = self.begin_write(confirmed=confirmed)
        try:
            return sqlite.execute(sql, params)
        except SqlError as error:
            if error.is_critical:
                self._hooks.reset(JsException(error.message))
            raise

    def _open_unit(self) -> None:
        self._unit = Frame(self.database.alarm.now)
        self.frames.append(self._unit)
        self._hooks.at_turn_end(self._turn_ended)

    def _hold_words(self) -> None:
        self._hooks.output_gate.is_shut = True

    def _begin_frames(self, sqlite: Database) -> None:
        for frame in self.frames:
            if frame.is_begun:
                continue
            if self.is_in_transaction:
                self._savepoint_count += 1
                frame.savepoint = f"unit_{self._savepoint_count}"
                sqlite.savepoint(frame.savepoint)
            else:
                sqlite.begin()
                self.is_in_transaction = True
            frame.is_begun = True

    # -- transactions ----------------------------------------------------------------------

    @property
    def is_in_unit(self) -> bool:
        """Whether the outermost open frame is a unit of the turn, not a transaction."""
        return self._unit is not None

    def push(self, *, is_transaction: bool) -> Frame:
        """Open something that can be rolled back by itself.

        Args:
            is_transaction: It may stay open across turns. Otherwise it is a savepoint of
                this turn, within the unit.
        """
        self._hooks.check_alive()
        if not self.frames and not is_transaction:
            self._open_unit()
        frame = Frame(self.database.alarm.now)
        self.frames.append(frame)
        return frame

    def commit(self, frame: Frame) -> None:
        """Keep what was written in the innermost frame. The outermost becomes a closed unit.

        Raises:
            DeadInstance: If a deferred constraint is violated; the instance was reset.
        """
        self._pop(frame)
        if self.frames:
            if frame.savepoint is not None:
                self.database.opened().release(frame.savepoint)
        elif frame.is_begun and not self._close(frame, JsException(internal_error_text())):
            self._hooks.check_alive()
        elif frame.is_begun and frame.has_confirmed_writes:
            self._hold_words()

    def roll_back(self, frame: Frame) -> None:
        """Undo what was written in the innermost frame."""
        self._pop(frame)
        self._undo(frame)
        if not self.frames and self._has_closed_units:
            self._schedule_flush()

    def keep_savepoints(self) -> None:
        """Keep what was written in every savepoint of this turn; none is left to undo."""
        while len(self.frames) > 1:
            self.commit(self.frames[-1])

    def _pop(self, frame: Frame) -> None:
        assert self.frames[-1] is frame, "frames end innermost first"
        self.frames.pop()
        frame.is_open = False

    def _undo(self, frame: Frame) -> None:
        if not frame.is_begun:
            return
        sqlite = self.database.opened()
        if frame.savepoint is not None:
            sqlite.rollback_to(frame.savepoint)
            sqlite.release(frame.savepoint)
        else:
            sqlite.rollback()
            self.is_in_transaction = False
        self.database.alarm.now = frame.alarm
        if not self.is_in_transaction:
            self.database.write_alarm_row()

    # -- the end of a unit -----------------------------------------------------------------

    def _turn_ended(self) -> None:
        unit = self._unit
        if unit is None:
            return  # Already closed, by an eviction or a power cut.
        self._unit = None
        self._pop(unit)
        if unit.is_begun:
            self._close(unit, JsException(_CONSTRAINT))

    def _close(self, frame: Frame, error: JsException) -> bool:
        """Check the outermost frame's constraints, and let it wait for its flush."""
        sqlite = self.database.opened()
        if sqlite.deferred_foreign_key_violations():
            self._undo(frame)
            # The text about constraints comes without a flag, another error with it.
            self._hooks.reset(error, is_flagged=error.message != _CONSTRAINT)
            return False
        if frame.savepoint is not None:
            sqlite.release(frame.savepoint)
            if self.has_sql:
                # COMMIT resets this setting, a nested RELEASE does not.
                sqlite.execute("PRAGMA defer_foreign_keys = OFF")
        self._has_closed_units = True
        self._schedule_flush()
        return True

    def _schedule_flush(self) -> None:
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._hooks.schedule_flush(self._flush)

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        # An open transaction cannot be cut in two; its own end flushes both.
        if not self.frames:
            self._commit()

    def _commit(self) -> None:
        if not self.is_in_transaction:
            return
        database = self.database
        database.write_alarm_row()
        sqlite = database.opened()
        sqlite.commit()
        sqlite.reset_pragmas()
        self.is_in_transaction = self._has_closed_units = self.has_sql = False
        self._savepoint_count = 0
        alarm = database.alarm
        before, alarm.durable = alarm.durable, alarm.now
        if before.change != alarm.now.change:
            self._on_alarm_change(alarm.now.time_ms)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._hooks.output_gate.open()

    # -- waiting, and the ends of an instance ----------------------------------------------

    def wait_flushed(self) -> asyncio.Future[None]:
        """A future that is done when every unit that exists now is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._has_closed_units or (self._unit is not None and self._unit.is_begun):
            self._waiters.append(future)
        else:
            future.set_result(None)
        return future

    async def wait_committed(self) -> None:
        """Wait until no unit is open or waits; at once inside of an open transaction."""
        while self._unit is not None or (not self.frames and self._has_closed_units):
            if self._unit is not None and not self._unit.is_begun:
                self._turn_ended()  # Nothing was written in it.
            else:
                await self.wait_flushed()

    def settle_now(self) -> None:
        """Eviction: make every unit durable at once; a transaction still open is lost."""
        self._turn_ended()
        self._drop_frames()
        self._commit()

    def lose_open_unit(self) -> None:
        """Reset: undo what this turn or an open transaction wrote, keep closed units."""
        sqlite = self.database.sqlite
        if self.is_in_transaction and sqlite is not None and not sqlite.in_transaction:
            self.lose_pending()  # SQLite has undone everything by itself.
            return
        self._drop_frames()
        self._commit()
        self._show_alarm()

    def lose_pending(self) -> None:
        """Power cut: back to the last flush. Open statements are reset."""
        for frame in self.frames:
            frame.is_open = False
        self.frames.clear()
        self._unit = None
        self._has_closed_units = self.has_sql = False
        self._waiters.clear()
        alarm = self.database.alarm
        alarm.now = alarm.durable
        self._show_alarm()
        if self.is_in_transaction:
            self.database.opened().rollback()
            self.is_in_transaction = False
            self.database.write_alarm_row()

    def _drop_frames(self) -> None:
        while self.frames:
            frame = self.frames[-1]
            self._pop(frame)
            self._undo(frame)
        self._unit = None

    def _show_alarm(self) -> None:
        """A new life knows of no running handler."""
        alarm = self.database.alarm
        alarm.now = alarm.now._replace(is_hidden=False)
        alarm.durable = alarm.durable._replace(is_hidden=False)

    def __repr__(self) -> str:
        return (
            f"<WriteUnits of {self.database.name}: {len(self.frames)} frames open, "
            f"closed units {'wait' if self._has_closed_units else 'none'}>"
        )


def internal_error_text() -> str:
    """What callers are told of an error whose cause the platform keeps to itself."""
    # The platform puts a random reference here; nobody could look ours up.
    return "internal error; reference = 000000000000000000000000"
