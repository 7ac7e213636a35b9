"""The database: one SQLite connection as the platform sets it up.

Promises: simulated time and named randomness in SQL, workerd's limits, foreign keys on,
workerd's error texts; a fast door for SQL of our own and a guarded one for a worker's.
Leaves to others: when a transaction begins and ends, and what the tables mean.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

import apsw

from emulator.sqlite.authorizer import Authorizer
from emulator.sqlite.clock_vfs import CLOCK, VFS_NAME
from emulator.sqlite.errors import SqlError, sql_error
from emulator.sqlite.limits import VALUE_BYTES_MAX, Profile, apply_limits
from emulator.sqlite.query import Query, Row, SqlValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Database"]

#: Keeps our statements apart from a worker's in apsw's cache, whose key has the flags in
#: it: a text that we have compiled with all permissions is never handed to a worker.
_OURS: Final = apsw.SQLITE_PREPARE_PERSISTENT

_PAGE_BYTES: Final = 4096

INT64_MAX: Final = 2**63 - 1
_LEADING_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,18}", re.ASCII)


@final
class Database:
    """One database, in memory unless it has a path.

    Args:
        now_ms: Gives the simulated time in Unix epoch milliseconds; what `now` is in SQL.
        random_bytes: Gives that many bytes of chance; what `random()` draws from.
        path: A file, or ":memory:".
        profile: Whose limits hold: those of an object's storage, or those of D1.
        value_bytes_max: The largest string, blob or row, if not the profile's.
    """

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        path: str = ":memory:",
        profile: Profile = "durable_object",
        value_bytes_max: int | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._value_bytes_max = value_bytes_max or VALUE_BYTES_MAX[profile]
        self._authorizer = Authorizer()
        self._connection = connection = apsw.Connection(path, vfs=VFS_NAME)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
        apply_limits(connection, self._value_bytes_max)
        connection.authorizer = self._authorizer
        _set_chance(connection, random_bytes, self._value_bytes_max)
        self._cursor = connection.cursor()

    # -- SQL of our own --------------------------------------------------------------------

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> list[Row]:
        """Run SQL of our own, with all permissions.

        Args:
            sql: One or more statements.
            params: Values by position.

        Returns:
            All rows.

        Raises:
            SqlError: With the platform's text.
        """
        CLOCK.now_ms = self._now_ms
        try:
            return self._cursor.execute(sql, params, prepare_flags=_OURS).fetchall()
        except apsw.Error as error:
            raise sql_error(error) from None

    def iterate(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """Run SQL of our own, with all permissions, and read its rows one by one.

        Writes meanwhile are seen or not, as in any SQLite statement under way.

        Raises:
            SqlError: With the platform's text, at once or on the way.
        """
        cursor = self._connection.cursor()
        CLOCK.now_ms = self._now_ms
        try:
            cursor.execute(sql, params, prepare_flags=_OURS)
        except apsw.Error as error:
            raise sql_error(error) from None
        return self._rows(cursor)

    def _rows(self, cursor: apsw.Cursor) -> Iterator[Row]:
        while True:
            CLOCK.now_ms = self._now_ms
            try:
                row = cursor.fetchone()
            except apsw.Error as error:
                raise sql_error(error) from None
            if row is None:
                return
            yield row

    # -- SQL of a worker -------------------------------------------------------------------

    def query(self, sql: str, bindings: Sequence[SqlValue] = ()) -> Query:
        """Run SQL of a worker, with the platform's permissions.

        Args:
            sql: One or more statements; the last gives the rows.
            bindings: Values for the last statement's parameters, by position.

        Returns:
            The query, run up to its first row.

        Raises:
            SqlError: With the platform's text.
        """
        try:
            return Query(self._connection, self._authorizer, self._now_ms, sql, bindings)
        finally:
            if "foreign_keys" in self._authorizer.touched_pragmas:
                # On the platform every statement runs in a transaction, where SQLite
                # ignores this setting; here one may run outside.
                self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
                del self._authorizer.touched_pragmas["foreign_keys"]

    def reset_pragmas(self) -> None:
        """Put back the settings which a worker's SQL changed.

        Cloudflare documents that they last for the current transaction.
        """
        touched = self._authorizer.touched_pragmas
        if not touched:
            return
        for name in touched:
            self.execute(f"PRAGMA {name}=off")
        touched.clear()

    # -- transactions ----------------------------------------------------------------------

    def begin(self) -> None:
        """Start a transaction."""
        self.execute("BEGIN")

    def commit(self) -> None:
        """End the transaction.

        Raises:
            SqlError: If a deferred foreign key is violated; the transaction stays open.
        """
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction; nothing happens if SQLite already has."""
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def savepoint(self, name: str) -> None:
        """Start a nested transaction with this name (an SQL identifier)."""
        self.execute(f"SAVEPOINT {name}")

    def release(self, name: str) -> None:
        """End the nested transaction and keep what it wrote."""
        self.execute(f"RELEASE {name}")

    def rollback_to(self, name: str) -> None:
        """Undo what was written since the savepoint, which stays open."""
        self.execute(f"ROLLBACK TO {name}")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def deferred_foreign_key_violations(self) -> bool:
        """Whether a commit would fail now because a foreign key points nowhere."""
        return self._connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0] != 0

    # -- facts -----------------------------------------------------------------------------

    @property
    def total_changes(self) -> int:
        """Rows changed since the database was opened, also by triggers and foreign keys."""
        return self._connection.total_changes()

    @property
    def last_insert_rowid(self) -> int:
        """The row id that the last insert gave; 0 before the first."""
        return self._connection.last_insert_rowid()

    @property
    def database_size_bytes(self) -> int:
        """Pages in use times their size; an empty database counts one page."""
        pages: int = self.execute("PRAGMA page_count")[0][0]
        free_pages: int = self.execute("PRAGMA freelist_count")[0][0]
        return max(pages - free_pages, 1) * _PAGE_BYTES

    # -- images ----------------------------------------------------------------------------

    def serialize(self) -> bytes:
        """The whole database as bytes, for `deserialize`. No transaction may be open."""
        return self._connection.serialize("main")

    def deserialize(self, image: bytes) -> None:
        """Become what another database was. No transaction or query may be open.

        Args:
            image: What `serialize` gave; empty bytes are an empty database.
        """
        # Through a copy, because a database that SQLite itself deserialised stays on
        # another storage layer, where an insert takes a third longer.
        source = apsw.Connection(":memory:")
        try:
            if image:
                source.deserialize("main", image)
            # Older versions of apsw copy only over a connection without cursors.
            self._cursor.close()
            with self._connection.backup("main", source, "main") as backup:
                backup.step()
        finally:
            source.close()
            self._cursor = self._connection.cursor()

    def close(self) -> None:
        """Close it; open queries are dropped. Closing twice is harmless."""
        self._connection.close(force=True)

    def __repr__(self) -> str:
        return f"<Database {self._connection.filename or ':memory:'}>"


def _set_chance(
    connection: apsw.Connection, random_bytes: Callable[[int], bytes], size_max: int
) -> None:
    def random(*_: SqlValue) -> int:
        return int.from_bytes(random_bytes(8), "big", signed=True)

    def randomblob(*sizes: SqlValue) -> bytes:
        size_bytes = max(_integer(sizes[0]), 1)
        if size_bytes > size_max:
            message = "string or blob too big: SQLITE_TOOBIG"
            raise SqlError(message, code="SQLITE_TOOBIG")
        return random_bytes(size_bytes)

    # SQLite's own generator is one for the whole process.
    flags = apsw.SQLITE_INNOCUOUS
    connection.create_scalar_function("random", random, 0, flags=flags)
    connection.create_scalar_function("randomblob", randomblob, 1, flags=flags)


def _integer(value: SqlValue) -> int:
    """What `sqlite3_value_int64` makes of a value: the number at its start, else 0."""
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(min(max(value, -INT64_MAX), INT64_MAX)) if value == value else 0
    if value is None:
        return 0
    text = value if isinstance(value, str) else value.decode("latin-1")
    digits = _LEADING_INTEGER.match(text)
    return int(digits.group()) if digits else 0
