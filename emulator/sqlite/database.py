"""The database: one SQLite connection as the platform sets it up.

Promises: simulated time and named randomness in SQL, workerd's limits, foreign keys on,
workerd's error texts; a fast door for SQL of our own and a guarded one for a worker's.
Leaves to others: when a transaction begins and ends, and what the tables mean.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, final

import apsw

from emulator.sqlite.clock_vfs import CLOCK
from emulator.sqlite.committed import committed_image
from emulator.sqlite.connections import MEMORY, OURS, PAGE_COUNT_MAX, give_back, take
from emulator.sqlite.errors import SqlError, sql_error
from emulator.sqlite.limits import VALUE_BYTES_MAX, Profile
from emulator.sqlite.query import Query, Row, SqlValue, is_plain_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from emulator.sqlite.connections import Link

__all__ = ["Database", "Snapshot", "image_of", "is_plain_write"]

_PAGE_BYTES: Final = 4096


class Snapshot(NamedTuple):
    """A database at one instant.

    Attributes:
        image: Its bytes.
        is_common: Whether other databases are likely to begin with the same.
    """

    image: bytes
    is_common: bool


@final
class Database:
    """One database, in memory unless it has a path.

    Args:
        now_ms: Gives the simulated time in Unix epoch milliseconds; what `now` is in SQL.
        random_bytes: Gives that many bytes of chance; what `random()` draws from.
        path: A file, or ":memory:".
        profile: Whose limits hold: those of an object's storage, or those of D1.
        value_bytes_max: The largest string, blob or row, if not the profile's.
        size_bytes_max: How large it may become; None is as large as it likes.
        is_local: Where local workerd tells reserved names in another way, do as it does.
    """

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        path: str = MEMORY,
        profile: Profile = "durable_object",
        value_bytes_max: int | None = None,
        size_bytes_max: int | None = None,
        is_local: bool = False,
    ) -> None:
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._path = path
        self._value_bytes_max = value_bytes_max or VALUE_BYTES_MAX[profile]
        self._page_count_max = (
            PAGE_COUNT_MAX if size_bytes_max is None else max(size_bytes_max // _PAGE_BYTES, 1)
        )
        self._is_local = is_local
        #: What it began with, or was at its last snapshot.
        self._image: bytes | None = None
        #: Whether other databases are likely to begin with the same image.
        self._is_common = True
        #: None until it is needed: what begins with an image may get a used connection.
        self._link: Link | None = None
        self._is_closed = False

    def _open(self) -> Link:
        if self._is_closed:
            message = "The database has been closed"
            raise SqlError(message)
        link = self._link = take(
            self._path, self._image, self._value_bytes_max, is_common=self._is_common
        )
        link.random_bytes = self._random_bytes
        link.authorizer.is_local = self._is_local
        link.limit_pages(self._page_count_max)
        return link

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
        link = self._link or self._open()
        CLOCK.now_ms = self._now_ms
        try:
            return link.cursor.execute(sql, params, prepare_flags=OURS).fetchall()
        except apsw.Error as error:
            raise sql_error(error) from None

    def iterate(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """Run SQL of our own, with all permissions, and read its rows one by one.

        Writes meanwhile are seen or not, as in any SQLite statement under way.

        Raises:
            SqlError: With the platform's text, at once or on the way.
        """
        link = self._link or self._open()
        cursor = link.connection.cursor()
        link.open_query_count += 1
        CLOCK.now_ms = self._now_ms
        try:
            cursor.execute(sql, params, prepare_flags=OURS)
        except apsw.Error as error:
            raise sql_error(error) from None
        return self._rows(link, cursor)

    def _rows(self, link: Link, cursor: apsw.Cursor) -> Iterator[Row]:
        while True:
            CLOCK.now_ms = self._now_ms
            try:
                row = cursor.fetchone()
            except apsw.Error as error:
                raise sql_error(error) from None
            if row is None:
                link.open_query_count -= 1
                return
            yield row

    # -- SQL of a worker -------------------------------------------------------------------

    def query(
        self,
        sql: str,
        bindings: Sequence[SqlValue] = (),
        *,
        before_write: Callable[[], object] | None = None,
    ) -> Query:
        """Run SQL of a worker, with the platform's permissions.

        Args:
            sql: One or more statements; the last gives the rows.
            bindings: Values for the last statement's parameters, by position.
            before_write: Called before each statement that may write, once it is known to
                be valid.

        Returns:
            The query, run up to its first row.

        Raises:
            SqlError: With the platform's text.
        """
        return Query(self._link or self._open(), self._now_ms, sql, bindings, before_write)

    def change_rows(self, sql: str, bindings: Sequence[SqlValue]) -> int:
        """Run a worker's SQL of which `is_plain_write` holds: `query` without what it spends
        on rows.

        Returns:
            How many rows were changed, also by triggers and foreign keys.

        Raises:
            SqlError: With the platform's text.
        """
        link = self._link or self._open()
        total_changes = link.connection.total_changes
        CLOCK.now_ms = self._now_ms
        link.authorizer.is_user = True
        before = total_changes()
        try:
            link.cursor.execute(sql, bindings)
        except apsw.Error as error:
            raise sql_error(error) from None
        finally:
            link.authorizer.is_user = False
        return total_changes() - before

    def reset_pragmas(self) -> None:
        """Put back the settings which a worker's SQL changed."""
        link = self._link
        if link is None or not link.authorizer.touched_pragmas:
            return
        touched = link.authorizer.touched_pragmas
        for name in touched:
            if name == "foreign_keys":
                # The pragma has no effect within a transaction.
                link.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
            else:
                self.execute(f"PRAGMA {name}=off")
        touched.clear()

    def begin_session(self) -> None:
        """Be to a worker's SQL as on a new connection: its settings, and what `changes`,
        `total_changes` and `last_insert_rowid` tell."""
        self.reset_pragmas()
        if self._link is not None:
            self._link.begin_session()

    def end_deferral(self) -> None:
        """Put `defer_foreign_keys` back, as COMMIT does and a nested RELEASE does not."""
        link = self._link
        if link is not None and "defer_foreign_keys" in link.authorizer.touched_pragmas:
            self.execute("PRAGMA defer_foreign_keys=off")
            del link.authorizer.touched_pragmas["defer_foreign_keys"]

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
        if self.in_transaction:
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
        return self._link is not None and self._link.connection.in_transaction

    def deferred_foreign_key_violations(self) -> bool:
        """Whether a commit would fail now because a foreign key points nowhere."""
        status = (self._link or self._open()).connection.status
        return status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0] != 0

    # -- facts -----------------------------------------------------------------------------

    @property
    def total_changes(self) -> int:
        """Rows changed since the database was opened, also by triggers and foreign keys."""
        return (self._link or self._open()).total_changes

    @property
    def last_insert_rowid(self) -> int:
        """The row id that the last insert gave; 0 before the first."""
        return (self._link or self._open()).connection.last_insert_rowid()

    @property
    def file_size_bytes(self) -> int:
        """What it takes, pages that are free again included."""
        if self._link is None:
            return len(self._image or b"")
        pages: int = self.execute("PRAGMA page_count")[0][0]
        return pages * _PAGE_BYTES

    @property
    def database_size_bytes(self) -> int:
        """Pages in use times their size; an empty database counts one page."""
        pages: int = self.execute("PRAGMA page_count")[0][0]
        free_pages: int = self.execute("PRAGMA freelist_count")[0][0]
        return max(pages - free_pages, 1) * _PAGE_BYTES

    # -- images ----------------------------------------------------------------------------

    def serialize(self) -> bytes:
        """The whole database as bytes, for `deserialize`. No transaction may be open."""
        if self._link is None and self._image is not None:
            return self._image
        return (self._link or self._open()).connection.serialize("main")

    def deserialize(self, image: bytes) -> None:
        """Become what another database was. No transaction or query may be open.

        Args:
            image: What `serialize` gave; empty bytes are an empty database.
        """
        self.restore(Snapshot(image, is_common=True))

    def snapshot(self) -> Snapshot:
        """What a power cut would leave now. A transaction may be open; it goes on."""
        if self._link is None and self._image is not None:
            return Snapshot(self._image, self._is_common)
        link = self._link or self._open()
        image = committed_image(link.connection)
        if image != self._image:
            # While nothing changes, all snapshots share it.
            self._image, self._is_common = image, False
        return Snapshot(self._image, self._is_common)

    def restore(self, snapshot: Snapshot) -> None:
        """Become what a snapshot holds. No transaction may be open; queries are dropped."""
        self._let_go()
        self._image, self._is_common = snapshot

    def close(self) -> None:
        """Close it; open queries are dropped. Closing twice is harmless."""
        self._let_go()
        self._is_closed = True

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            give_back(link)

    def __repr__(self) -> str:
        return f"<Database {self._path}>"


@lru_cache(maxsize=16)
def image_of(*statements: str) -> bytes:
    """The image of an empty database on which these statements of our own have run."""
    scratch = Database(now_ms=lambda: 0, random_bytes=bytes)
    try:
        for statement in statements:
            scratch.execute(statement)
        return scratch.serialize()
    finally:
        scratch.close()
