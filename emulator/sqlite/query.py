"""A query: one text of a worker's SQL, run, and its rows.

Promises: permissions, the clock and the platform's error texts at every step; all
statements of a text run and the last one gives columns and rows, read one row ahead, as
workerd does. Leaves to others: transactions, and what becomes of the values.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import apsw

from emulator.sqlite.clock_vfs import CLOCK
from emulator.sqlite.errors import (
    NO_STATEMENT,
    ONLY_LAST_HAS_PARAMETERS,
    TRANSACTION_REFUSED,
    SqlError,
    sql_error,
)
from emulator.sqlite.limits import SQL_BYTES_MAX
from emulator.sqlite.text import is_blank, split_statements
from emulator.values.text import well_formed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from emulator.sqlite.connections import Link

__all__ = ["Query", "Row", "SqlValue", "is_plain_write"]

#: Statements that write rows and give none. Whatever else is in the text sends it to `Query`.
_PLAIN_WRITE: Final = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
_NOT_PLAIN: Final = re.compile("RETURNING|ROLLBACK|\0", re.IGNORECASE)

_CREATE: Final = re.compile(r"\s*CREATE\b", re.IGNORECASE)
_RESERVED_RENAME: Final = re.compile(r"\brename\s+to\s+[\"'`\[]?_cf_", re.IGNORECASE)

SqlValue: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Any, ...]


@final
class Query:
    """Runs when made, up to its first row.

    Args:
        link: Where.
        now_ms: The clock of the database.
        sql: One or more statements.
        bindings: Values for the parameters of the last statement, by position.
        before_write: Called before the first step of each statement that may write. It may
            run SQL of our own.

    Attributes:
        columns: The names of the result's columns.
        is_readonly: Whether SQLite says of every statement that it writes nothing.
        is_canceled: Whether it was ended by `cancel`.
        is_finished: Whether the statement has been left: every row was read, it failed, or
            it was closed.
        has_early_rows: Whether a statement before the last one gave a row, which nobody reads.
        read_count: Rows that the last statement has given so far, the one ahead among them.
        change_count: Rows that were changed before the first row came.

    Raises:
        SqlError: What SQLite or the platform refuses.
    """

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_authorizer",
        "_before_write",
        "_cursor",
        "_link",
        "_now_ms",
        "change_count",
        "columns",
        "has_early_rows",
        "is_canceled",
        "is_finished",
        "is_readonly",
        "read_count",
    )

    def __init__(
        self,
        link: Link,
        now_ms: Callable[[], int],
        sql: str,
        bindings: Sequence[SqlValue],
        before_write: Callable[[], object] | None = None,
    ) -> None:
        self.columns: tuple[str, ...] = ()
        self.is_readonly = True
        self.is_canceled = self.is_finished = self.has_early_rows = False
        self.read_count = 0
        self._before_write = before_write
        self._link = link
        self._authorizer = link.authorizer
        self._now_ms = now_ms
        self._cursor = cursor = link.connection.cursor()
        link.open_query_count += 1
        cursor.exec_trace = self._started
        self._ahead: Row | None = None
        changes_before = link.connection.total_changes()
        try:
            pieces = _pieces(sql)
            for piece in pieces[:-1]:
                self._execute(piece, None)
                if self._ahead is not None:
                    self.has_early_rows = True
            self._execute(pieces[-1], bindings)
        except BaseException:
            self.close()
            raise
        # Without a circle, whoever lets go of a query ends it.
        cursor.exec_trace = None
        self.change_count = link.connection.total_changes() - changes_before
        if self._ahead is None:
            self.close()
        else:
            self.read_count = 1

    def _started(self, cursor: apsw.Cursor, _sql: str, _bindings: Any) -> bool:
        # Called before the first step: afterwards apsw no longer tells the columns of a
        # statement that gave no rows.
        self.columns = tuple([column[0] for column in cursor.get_description()])
        if not cursor.is_readonly:
            self.is_readonly = False
            if self._before_write is not None:
                self._authorizer.is_user = False
                self._before_write()
                self._authorizer.is_user = True
        return True

    def _execute(self, piece: str, bindings: Sequence[SqlValue] | None) -> None:
        self.columns = ()
        authorizer = self._authorizer
        is_creation, is_reserved_rename = _traits(piece)
        if is_reserved_rename and not authorizer.is_local:
            # ALTER TABLE asks the authorizer about the old name only.
            message = "not authorized: SQLITE_AUTH"
            raise SqlError(message, code="SQLITE_AUTH")
        CLOCK.now_ms = self._now_ms
        authorizer.is_user = True
        authorizer.has_refused_transaction = False
        try:
            # The platform keeps only the last statement of a text compiled. One that exists
            # already must be found while compiling, for its offset to be told.
            can_cache = bindings is not None and not is_creation
            self._cursor.execute(piece, bindings, can_cache=can_cache)
            if not self.columns and is_blank(piece):
                raise SqlError(NO_STATEMENT)
            self._ahead = self._cursor.fetchone()
            if self._ahead is not None:
                # A statement from apsw's cache that is older than the present schema gets
                # its columns at its first step. `get_description` keeps what it gave before.
                self.columns = tuple([column[0] for column in self._cursor.description])
        except apsw.BindingsError as error:
            if bindings is None:
                raise SqlError(ONLY_LAST_HAS_PARAMETERS) from None
            raise sql_error(error) from None
        except apsw.AuthError as error:
            if authorizer.has_refused_transaction:
                raise SqlError(TRANSACTION_REFUSED) from None
            raise sql_error(error) from None
        except (apsw.Error, UnicodeDecodeError) as error:
            raise sql_error(error) from None
        finally:
            authorizer.is_user = False

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        row = self._ahead
        if row is None:
            raise StopIteration
        CLOCK.now_ms = self._now_ms
        self._authorizer.is_user = True
        try:
            self._ahead = self._cursor.fetchone()
        except (apsw.Error, UnicodeDecodeError) as error:
            self.close()
            raise sql_error(error) from None
        finally:
            self._authorizer.is_user = False
        if self._ahead is None:
            self.close()
        else:
            self.read_count += 1
        return row

    def fetch_all(self) -> list[Row]:
        """The rows that are left.

        Raises:
            SqlError: What SQLite refuses only on the way.
        """
        if self._ahead is None:
            return []
        rows = [self._ahead]
        CLOCK.now_ms = self._now_ms
        self._authorizer.is_user = True
        try:
            rows += self._cursor.fetchall()
        except (apsw.Error, UnicodeDecodeError) as error:
            raise sql_error(error) from None
        finally:
            self._authorizer.is_user = False
            self.close()
        self.read_count += len(rows) - 1
        return rows

    def cancel(self) -> None:
        """What it reads is about to be deleted."""
        if not self.is_finished:
            self.is_canceled = True
            self.close()

    def close(self) -> None:
        """Let go of the statement; rows that are left are not read."""
        if self.is_finished:
            return
        self.is_finished = True
        self._ahead = None
        self._cursor.close(force=True)
        self._link.open_query_count -= 1


@lru_cache(maxsize=512)
def is_plain_write(sql: str) -> bool:
    """Whether a text is one statement that changes rows and gives none.

    A text of which that cannot be told at a glance is not.
    """
    semicolon = sql.find(";")
    return (
        sql.isascii()
        and len(sql) <= SQL_BYTES_MAX
        and semicolon in (-1, len(sql) - 1)
        and _PLAIN_WRITE.match(sql) is not None
        and _NOT_PLAIN.search(sql) is None
    )


@lru_cache(maxsize=128)
def _traits(piece: str) -> tuple[bool, bool]:
    """Whether a statement creates something, and whether it renames to a reserved name."""
    return _CREATE.match(piece) is not None, _RESERVED_RENAME.search(piece) is not None


@lru_cache(maxsize=128)
def _pieces(sql: str) -> tuple[str, ...]:
    """The statements of a text, with what the platform refuses before SQLite is asked."""
    sql = well_formed(sql)
    if len(sql) > SQL_BYTES_MAX // 4 and len(sql.encode()) > SQL_BYTES_MAX:
        message = "statement too long: SQLITE_TOOBIG"
        raise SqlError(message, code="SQLITE_TOOBIG")
    # SQLite stops reading at a NUL, so that what is behind it holds no statement.
    code, nul, _ = sql.partition("\0")
    pieces = list(split_statements(code))
    if nul:
        pieces.append("")
    return tuple(pieces)
