"""Connections: SQLite's doors, set up as the platform has them, and used more than once.

Opening a connection, reading its schema and compiling a world's statements takes several
times as long as running them: a fifth of a whole lifecycle (benchmarks/lifecycles.py). So a
connection whose database can be emptied to what it was
at first is kept, with its compiled statements, for the next database that begins with the
same image.

Promises: nobody can tell a connection that was used before from a new one. That holds because
only those are kept on which a worker's SQL did no more than read and write rows, which got no
further page, which nobody still reads, and whose image has no rows, triggers, statistics or
virtual tables. Leaves to others: what runs on them (the database, the query).
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

import apsw

from emulator.sqlite.authorizer import Authorizer
from emulator.sqlite.clock_vfs import VFS_NAME
from emulator.sqlite.errors import SqlError
from emulator.sqlite.limits import apply_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.sqlite.query import Row, SqlValue

__all__ = ["MEMORY", "OURS", "PAGE_COUNT_MAX", "Link", "give_back", "take"]

#: Keeps our statements apart from a worker's in apsw's cache, whose key has the flags in
#: it: a text that we have compiled with all permissions is never handed to a worker.
OURS: Final = apsw.SQLITE_PREPARE_PERSISTENT

MEMORY: Final = ":memory:"
#: What SQLite allows at most, and by itself.
PAGE_COUNT_MAX: Final = 2**32 - 2

INT64_MAX: Final = 2**63 - 1
_LEADING_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,18}", re.ASCII)

#: Virtual tables which the platform's build has too; the authorizer says which can be made.
#: The others show how a database is kept (`dbstat`, `sqlite_dbpage`).
_MODULES: Final = ("fts5", "fts5vocab", "json_each", "json_tree", "rtree", "rtree_i32")

#: What emptying the tables does not put back: whoever changed one of these is not kept.
_FACTS: Final = (
    "PRAGMA schema_version",
    "PRAGMA page_count",
    "PRAGMA freelist_count",
    "PRAGMA data_version",
)

#: Connections that wait for their next database, the one that waits longest first. A usual
#: one takes 200 KB.
_idle: list[Link] = []
_IDLE_MAX: Final = 16

#: Compiled statements hold the values which they were last run with, and those may be large.
_STATEMENT_BYTES_MAX: Final = 1_000_000

#: Those of the parent process: SQLite forbids a forked child to use and even to close them.
_of_parent: list[Link] = []


@final
class Link:
    """One connection with what belongs to it.

    Args:
        path: A file, or ":memory:".
        image: What it starts with; None is what is there already.
        value_bytes_max: The largest string, blob or row.
        is_common: Whether another database may start with that image after it.

    Attributes:
        connection: apsw's.
        cursor: For SQL of our own.
        authorizer: Asked about a worker's SQL.
        random_bytes: Gives that many bytes of chance; set by whoever takes the link.
        open_query_count: Cursors of queries that nobody has closed.
        image: What it started with, if another database may start with that after it.
        value_bytes_max: The largest string, blob or row.
    """

    __slots__ = (
        "_changes_before",
        "_facts",
        "_page_count_max",
        "authorizer",
        "connection",
        "cursor",
        "image",
        "open_query_count",
        "random_bytes",
        "value_bytes_max",
    )

    def __init__(
        self, path: str, image: bytes | None, value_bytes_max: int, *, is_common: bool
    ) -> None:
        #: A file stays with its database.
        self.image = image if path == MEMORY and is_common else None
        self.value_bytes_max = value_bytes_max
        self.authorizer = Authorizer()
        self.open_query_count = 0
        self.random_bytes: Callable[[int], bytes] = _no_chance
        self._changes_before = 0
        self._page_count_max = PAGE_COUNT_MAX
        self.connection = connection = apsw.Connection(path, vfs=VFS_NAME)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
        apply_limits(connection, value_bytes_max)
        connection.authorizer = self.authorizer
        connection.drop_modules(_MODULES)
        self._add_functions()
        if image is not None:
            _copy(image, connection)
        self.cursor = connection.cursor()
        self._facts = self._read_facts() if self.image else []

    def limit_pages(self, count_max: int) -> None:
        """Let the database have no more pages than so many; those it has stay."""
        if count_max != self._page_count_max:
            self._run(f"PRAGMA max_page_count = {count_max}")
            self._page_count_max = count_max

    @property
    def total_changes(self) -> int:
        """Rows changed since it was taken."""
        return self.connection.total_changes() - self._changes_before

    def _add_functions(self) -> None:
        def random(*_: SqlValue) -> int:
            return int.from_bytes(self.random_bytes(8), "big", signed=True)

        def randomblob(*sizes: SqlValue) -> bytes:
            size_bytes = max(_integer(sizes[0]), 1)
            if size_bytes > self.value_bytes_max:
                message = "string or blob too big: SQLITE_TOOBIG"
                raise SqlError(message, code="SQLITE_TOOBIG")
            return self.random_bytes(size_bytes)

        def changes(*_: SqlValue) -> int:
            return self.connection.changes() if self.total_changes else 0

        def total_changes(*_: SqlValue) -> int:
            return self.total_changes

        add, flags = self.connection.create_scalar_function, apsw.SQLITE_INNOCUOUS
        # SQLite's own generator is one for the whole process, its counts of changes are of
        # the life of the connection.
        add("random", random, 0, flags=flags)
        add("randomblob", randomblob, 1, flags=flags)
        add("changes", changes, 0, flags=flags)
        add("total_changes", total_changes, 0, flags=flags)

    def empty(self) -> bool:
        """Become what it was when it was opened; tells whether it could."""
        statements = _emptying(self.image) if self.image else None
        if statements is None or self.open_query_count or self.authorizer.has_gone_beyond_rows:
            return False
        status = self.connection.status
        if status(apsw.SQLITE_DBSTATUS_STMT_USED)[0] > _STATEMENT_BYTES_MAX:
            return False
        try:
            if self.connection.in_transaction:
                self._run("ROLLBACK")
            if self._read_facts() != self._facts:
                return False
            for statement in statements:
                self._run(statement)
        except apsw.Error:
            return False  # Foreign keys may want an order that we do not know.
        self.begin_session()
        return True

    def begin_session(self) -> None:
        """Begin to count anew."""
        self._changes_before = self.connection.total_changes()
        self.connection.set_last_insert_rowid(0)

    def close(self) -> None:
        """Close it; open queries are dropped."""
        self.connection.close(force=True)

    def _read_facts(self) -> list[Row]:
        return [row for pragma in _FACTS for row in self._run(pragma)]

    def _run(self, sql: str) -> list[Row]:
        return self.cursor.execute(sql, prepare_flags=OURS).fetchall()


def take(
    path: str, image: bytes | None, value_bytes_max: int, *, is_common: bool = True
) -> Link:
    """A connection to a database that is what `image` says.

    Args:
        path: A file, or ":memory:".
        image: What `serialize` gave; None takes what is at the path.
        value_bytes_max: The largest string, blob or row.
        is_common: Whether other databases are likely to begin with that image.
    """
    for link in reversed(_idle if path == MEMORY and is_common else ()):
        if link.image == image and link.value_bytes_max == value_bytes_max:
            try:
                _idle.remove(link)
            except ValueError:
                continue  # Another thread was faster.
            return link
    return Link(path, image, value_bytes_max, is_common=is_common)


def give_back(link: Link) -> None:
    """Keep a connection for the next database, or close it. Its taker must forget it."""
    link.random_bytes = _no_chance
    if not link.empty():
        link.close()
        return
    _idle.append(link)
    if len(_idle) > _IDLE_MAX:
        _idle.pop(0).close()


def _leave_to_parent() -> None:
    _of_parent.extend(_idle)
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


@lru_cache(maxsize=16)
def _emptying(image: bytes) -> tuple[str, ...] | None:
    """What empties a database that began with an image; None if that would not make it the
    image again."""
    connection = apsw.Connection(":memory:")
    try:
        _copy(image, connection)
        execute = connection.execute
        # Tables that refer to others are younger, as a rule, and must be emptied first.
        entries = execute("SELECT type, name, sql FROM sqlite_schema ORDER BY rowid DESC")
        tables = []
        for kind, name, sql in entries:
            is_virtual = str(sql).startswith("CREATE VIRTUAL")
            # Statistics are in the memory of the connection as well.
            if kind == "trigger" or is_virtual or str(name).startswith("sqlite_stat"):
                return None
            if kind == "table":
                tables.append('"{}"'.format(str(name).replace('"', '""')))
        if any(execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall() for table in tables):
            return None
        if execute("PRAGMA freelist_count").fetchall() != [(0,)]:
            return None  # Pages would be taken out and put back in another order.
    except apsw.Error:
        return None
    finally:
        connection.close()
    return ("BEGIN", *[f"DELETE FROM {table}" for table in tables], "COMMIT")


def _copy(image: bytes, connection: apsw.Connection) -> None:
    """Put an image, empty or not, in the place of what a connection without cursors has."""
    # Through a copy, because a database that SQLite itself deserialised stays on another
    # storage layer, where an insert takes a third longer.
    source = apsw.Connection(":memory:")
    try:
        if image:
            source.deserialize("main", image)
        with connection.backup("main", source, "main") as backup:
            backup.step()
    finally:
        source.close()


def _no_chance(_: int) -> bytes:
    raise AssertionError("nobody has taken this connection")


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
