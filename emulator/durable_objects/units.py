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

from emulator.durable_objects.frame import Frame
from emulator.durable_objects.queries import Queries
from emulator.errors import JsException
from emulator.sqlite.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emulator.durable_objects.hooks import Hooks
    from emulator.durable_objects.object_database import ObjectDatabase
    from emulator.sqlite.database import Database
    from emulator.sqlite.query import Row, SqlValue

__all__ = ["WriteUnits", "internal_error_text"]

_CONSTRAINT: Final = (
    "Durable Object was reset and rolled back to its last known good state because the "
    "application left the database in a state where constraints were violated: FOREIGN KEY "
    "constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
)


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
        queries: What the worker's SQL is reading.
        is_in_transaction: SQLite is between BEGIN and COMMIT.
        transaction: The one whose closure runs; one that was rolled back until the end of that
            turn (measured on workerd).
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
        self.transaction: Frame | None = None
        self._unit: Frame | None = None
        self._has_closed_units = False
        self._is_flush_scheduled = False
        self._savepoint_count = 0
        self._waiters: list[asyncio.Future[None]] = []
        self.queries = Queries(hooks)
        #: SQLite has rolled back more than a statement.
        self._is_damaged = False
        database.units = self

    # -- reading and writing ---------------------------------------------------------------

    def begin_read(self, kind: str = "ActorCacheInterface") -> Database | None:
        """The database to read from; None if nothing was ever written.

        Args:
            kind: The runtime's name for what reads.

        Raises:
            DeadInstance: If the instance is dead.
            JsException: If another's code reads.
        """
        self._hooks.check_alive(kind)
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
            self.check_damage(error, sqlite)
            raise

    def check_damage(self, error: SqlError, sqlite: Database) -> None:
        """A statement failed: if more than that is undone, the object has to be reset."""
        if error.is_critical:
            self._hooks.reset(JsException(error.message))
        elif self.is_in_transaction and not sqlite.in_transaction:
            # INSERT OR ROLLBACK did what it says, behind the platform's back. The platform
            # notices when it wants to commit; what is written until then is lost as well.
            self._is_damaged = True
            sqlite.begin()

    @property
    def has_unflushed_writes(self) -> bool:
        """Whether a power cut now would lose a write; an open transaction is not counted."""
        unit = self._unit
        return (
            self._has_closed_units
            or (unit is not None and unit.is_begun)
            or (self.is_in_transaction and not self.frames)
        )

    def flush_closed_units(self) -> None:
        """Make what waits for its flush durable now, unless something is open."""
        if not self.frames:
            self._commit()

    def _open_unit(self) -> None:
        self._unit = Frame(self.database.alarm.now)
        self.frames.append(self._unit)
        self._hooks.at_turn_end(self.end_unit)

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

    def push(self, *, is_transaction: bool) -> Frame:
        """Open something that can be rolled back by itself.

        Args:
            is_transaction: It may stay open across turns. Otherwise it is a savepoint of
                this turn, within the unit.
        """
        self._hooks.check_alive()
        if self.queries.has_unfinished_writes and not is_transaction:
            # SQLite says: "cannot open savepoint - SQL statements in progress".
            raise JsException(internal_error_text())
        if not self.frames and not is_transaction:
            self._open_unit()
        frame = Frame(self.database.alarm.now)
        self.frames.append(frame)
        if is_transaction:
            frame.outer, self.transaction = self.transaction, frame
        return frame

    def commit(self, frame: Frame) -> None:
        """Keep what was written in the innermost frame. The outermost becomes a closed unit.

        Raises:
            JsException: If a query that writes has rows left to read; all is undone.
            DeadInstance: If a deferred constraint is violated; the instance was reset.
        """
        self._pop(frame)
        if self.frames:
            if self._is_damaged or self.queries.has_unfinished_writes:
                # SQLite says: "no such savepoint", or "cannot release savepoint - SQL
                # statements in progress".
                self._undo(frame)
                raise JsException(internal_error_text())
            if frame.savepoint is not None:
                self.database.opened().release(frame.savepoint)
        elif frame.is_begun and not self._close(frame, JsException(internal_error_text())):
            self._hooks.check_alive()
        elif frame.is_begun and frame.has_confirmed_writes:
            self._hold_words()

    def end_transaction(self, frame: Frame) -> None:
        """The closure of a transaction is over."""
        if self.transaction is frame:
            self.end_unit()  # If there is one, it is of writes that came behind a rollback.
        self.transaction = frame.outer
        self._leave_transaction()

    def _leave_transaction(self) -> None:
        """The turn is over in which a transaction was rolled back, or one within it."""
        while self.transaction is not None and not self.transaction.is_open:
            self.transaction = self.transaction.outer

    def roll_back(self, frame: Frame) -> None:
        """Undo what was written in the innermost frame.

        Raises:
            JsException: If a query that writes has rows left to read; it is undone all the
                same.
        """
        self._pop(frame)
        if frame is self.transaction:
            self._hooks.at_turn_end(self._leave_transaction)
        self._undo(frame)
        if self._is_damaged and not self.frames:
            self._fail(frame, JsException(internal_error_text()), is_flagged=True)
            self._hooks.check_alive()
        if not self.frames and self._has_closed_units:
            self._schedule_flush()
        if self._is_damaged or self.queries.has_unfinished_writes:
            # SQLite says: "cannot release savepoint - SQL statements in progress".
            raise JsException(internal_error_text())

    def keep_savepoints(self) -> None:
        """Keep what was written in every savepoint of this turn; none is left to undo."""
        while len(self.frames) > 1:
            self.commit(self.frames[-1])

    def _pop(self, frame: Frame) -> None:
        assert self.frames[-1] is frame, "frames end innermost first"
        self.frames.pop()
        frame.is_open = False

    def _undo(self, frame: Frame) -> None:
        if not frame.is_begun or self._is_damaged:
            return
        sqlite = self.database.opened()
        if frame.savepoint is not None:
            sqlite.rollback_to(frame.savepoint)
            if not self.queries.has_unfinished_writes:
                sqlite.release(frame.savepoint)
        else:
            sqlite.rollback()
            self.is_in_transaction = False
        self.database.rolled_back()
        self.database.alarm.now = frame.alarm
        if not self.is_in_transaction:
            self.database.write_alarm_row()

    # -- the end of a unit -----------------------------------------------------------------

    def begin_transactions(self) -> None:
        """Make it known to SQLite at once if a transaction is open, or a savepoint."""
        if self.frames and self.frames[-1] is not self._unit and not self.frames[-1].is_begun:
            self._begin_frames(self.database.opened())

    def end_unit(self) -> None:
        """Close the unit of this turn, if one is open; what is written next is another."""
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
        if self._is_damaged or self.queries.has_unfinished_writes:
            # SQLite says: "cannot commit - no transaction is active", or "cannot commit
            # transaction - SQL statements in progress".
            is_unit = error.message == _CONSTRAINT
            self._fail(frame, JsException(internal_error_text()), is_flagged=not is_unit)
            return False
        if sqlite.deferred_foreign_key_violations():
            # The text about constraints comes without a flag, another error with it.
            self._fail(frame, error, is_flagged=error.message != _CONSTRAINT)
            return False
        if frame.savepoint is not None:
            sqlite.release(frame.savepoint)
        sqlite.end_deferral()
        self._has_closed_units = True
        self._schedule_flush()
        return True

    def _fail(self, frame: Frame, error: JsException, *, is_flagged: bool) -> None:
        self.queries.end()
        self._undo(frame)
        self._hooks.reset(error, is_flagged=is_flagged)

    def _schedule_flush(self) -> None:
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._hooks.schedule_flush(self._flush)

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        # An open transaction cannot be cut in two; its own end flushes both.
        self.flush_closed_units()

    def _commit(self) -> None:
        if not self.is_in_transaction:
            return
        database = self.database
        if database.bookmarks is not None:
            database.bookmarks.before_change()
        database.write_alarm_row()
        database.opened().commit()
        database.committed()
        self.is_in_transaction = self._has_closed_units = False
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
                self.end_unit()  # Nothing was written in it.
            else:
                await self.wait_flushed()

    def settle_now(self) -> None:
        """Eviction: make every unit durable at once; a transaction still open is lost."""
        self.end_unit()
        self._drop_frames()
        self._commit()
        self._end_session()

    def lose_open_unit(self) -> None:
        """Reset: undo what this turn or an open transaction wrote, keep closed units."""
        sqlite = self.database.sqlite
        is_lost = sqlite is not None and not sqlite.in_transaction
        if self._is_damaged or (self.is_in_transaction and is_lost):
            self.lose_pending()  # SQLite has undone everything by itself.
            return
        self.queries.end()
        if self.transaction is not None and not self.transaction.is_open:
            # What follows a rollback is in no unit: each write is kept (measured on workerd).
            while len(self.frames) > 1:
                self._undo_innermost()
            self.end_unit()
        self._drop_frames()
        self._commit()
        self._end_session()
        self._show_alarm()

    def lose_pending(self) -> None:
        """Power cut: back to the last flush. Open statements are reset."""
        for frame in self.frames:
            frame.is_open = False
        self.frames.clear()
        self._unit = None
        self._has_closed_units = False
        self._is_damaged = False
        self._waiters.clear()
        alarm = self.database.alarm
        alarm.now = alarm.durable
        self._show_alarm()
        self.queries.end()
        if self.is_in_transaction:
            self.database.opened().rollback()
            self.is_in_transaction = False
            self.database.rolled_back()
            self.database.write_alarm_row()
        self._end_session()

    def _end_session(self) -> None:
        """The next instance opens a connection of its own."""
        self.queries.end()
        if self.database.sqlite is not None:
            self.database.sqlite.begin_session()

    def _undo_innermost(self) -> None:
        frame = self.frames[-1]
        self._pop(frame)
        self._undo(frame)

    def _drop_frames(self) -> None:
        while self.frames:
            self._undo_innermost()
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
