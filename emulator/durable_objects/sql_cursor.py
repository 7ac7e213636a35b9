"""SQL cursor: the rows of one `storage.sql.exec`.

Promises: Cloudflare's SqlStorageCursor: an iterator over objects, `toArray`, `one`, `raw`, the
columns' names and the row counters, with the platform's texts. Rows are stepped when they are
asked for, one ahead. Leaves to others: running the SQL (the storage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.sql_values import js_row, object_maker
from emulator.errors import JsException
from emulator.sqlite.errors import SqlError
from emulator.values import JsDict
from emulator.web.js_object import JsArray, JsObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.durable_objects.units import WriteUnits
    from emulator.sqlite.database import Database
    from emulator.sqlite.query import Query, Row

__all__ = ["RawIterator", "SqlStorageCursor"]

_NO_RESULTS: Final = "Expected exactly one result from SQL query, but got no results."
_MULTIPLE: Final = "Expected exactly one result from SQL query, but got multiple results."
_CANCELED: Final = "SQLite query was canceled because the database was deleted."


@final
class SqlStorageCursor(JsObject):
    """The rows that one call of `exec` gives.

    Args:
        units: For what a step may do to the object.
        query: Where the rows come from; None if there are none.
        change_count: Rows that were changed.
    """

    __slots__ = ("_change_count", "_make", "_query", "_units")

    def __init__(self, units: WriteUnits, query: Query | None, change_count: int) -> None:
        self._units = units
        self._query = query
        self._change_count = change_count
        self._make: Callable[[Row], JsDict] | None = None

    # -- rows ------------------------------------------------------------------------------

    def next(self) -> JsDict:
        """The next row, as `value`; `done` tells that there was none.

        Raises:
            JsException: What SQLite refuses on the way.
        """
        row = self.step()
        if row is None:
            return JsDict(done=True, value=None)
        return JsDict(done=False, value=self._object(row))

    def toArray(self) -> list[JsDict]:
        """The rows that are left."""
        rows = self.rest()
        if not rows:
            return JsArray()
        make = self._make or self._new_maker()
        return JsArray([make(js_row(row)) for row in rows])

    def one(self) -> JsDict:
        """The one row that is left.

        Raises:
            JsException: If there is none, or more than one; then the others are lost.
        """
        row = self.step()
        if row is None:
            raise JsException(_NO_RESULTS)
        assert self._query is not None
        if not self._query.is_finished:
            self._query.close()
            raise JsException(_MULTIPLE)
        return self._object(row)

    def raw(self) -> RawIterator:
        """The rows that are left, each as a list of its values. Both share one position."""
        return RawIterator(self)

    def __iter__(self) -> Iterator[JsDict]:
        return self

    def __next__(self) -> JsDict:
        row = self.step()
        if row is None:
            raise StopIteration
        return self._object(row)

    # -- facts -----------------------------------------------------------------------------

    @property
    def columnNames(self) -> list[str]:
        """The names of the columns, in order; a name may be there twice."""
        return JsArray(self._query.columns if self._query is not None else ())

    @property
    def rowsRead(self) -> int:
        """Rows that were read so far.

        The platform counts what its own build of SQLite steps over, index entries too; here
        it is the rows that the statement has given.
        """
        query = self._live()
        return 0 if query is None else query.read_count

    @property
    def rowsWritten(self) -> int:
        """Rows that were changed.

        The platform counts entries of indexes too.
        """
        self._live()
        return self._change_count

    # -- for the raw iterator, not for worker code -----------------------------------------

    def step(self) -> Row | None:
        """One row as SQLite gave it; None at the end.

        Raises:
            JsException: What SQLite refuses, or if the database was deleted meanwhile.
        """
        query = self._live()
        if query is None or query.is_finished:
            return None
        sqlite = self._begin()
        try:
            return next(query)
        except SqlError as error:
            self._units.check_damage(error, sqlite)
            raise

    def rest(self) -> list[Row]:
        """All rows that are left, as SQLite gave them."""
        query = self._live()
        if query is None or query.is_finished:
            return []
        sqlite = self._begin()
        try:
            return query.fetch_all()
        except SqlError as error:
            self._units.check_damage(error, sqlite)
            raise

    def _begin(self) -> Database:
        sqlite = self._units.begin_read("State")
        assert sqlite is not None, "something is being read"
        return sqlite

    def _live(self) -> Query | None:
        query = self._query
        if query is not None and query.is_canceled:
            raise JsException(_CANCELED)
        return query

    def _object(self, row: Row) -> JsDict:
        return (self._make or self._new_maker())(js_row(row))

    def _new_maker(self) -> Callable[[Row], JsDict]:
        assert self._query is not None
        self._make = make = object_maker(self._query.columns)
        return make

    def __repr__(self) -> str:
        return "<SqlStorageCursor>"


@final
class RawIterator(JsObject):
    """The rows of a cursor as lists.

    Args:
        cursor: Whose position it shares.
    """

    __slots__ = ("_cursor",)

    def __init__(self, cursor: SqlStorageCursor) -> None:
        self._cursor = cursor

    def next(self) -> JsDict:
        """The next row, as `value`; `done` tells that there was none."""
        row = self._cursor.step()
        if row is None:
            return JsDict(done=True, value=None)
        return JsDict(done=False, value=JsArray(js_row(row)))

    def toArray(self) -> list[list[Any]]:
        """The rows that are left."""
        return JsArray([JsArray(js_row(row)) for row in self._cursor.rest()])

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        row = self._cursor.step()
        if row is None:
            raise StopIteration
        return JsArray(js_row(row))

    def __repr__(self) -> str:
        return "<RawIterator>"
