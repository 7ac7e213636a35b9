"""SQL: `ctx.storage.sql`.

Promises: Cloudflare's SqlStorage. A statement runs when `exec` is called, and what it writes
belongs to the same unit as all other writes of the turn. Leaves to others: rows (the cursor),
units, permissions and texts (`sqlite`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import js_string, wrong_type
from emulator.durable_objects.sql_cursor import SqlStorageCursor
from emulator.durable_objects.sql_values import bound_values
from emulator.errors import JsException
from emulator.sqlite.errors import SqlError
from emulator.sqlite.query import is_plain_write
from emulator.values import undefined
from emulator.web.js_object import JsObject

if TYPE_CHECKING:
    from emulator.durable_objects.units import WriteUnits
    from emulator.sqlite.query import Query, SqlValue
    from emulator.usage import Mark

__all__ = ["SqlStorage"]

#: Some settings can only be changed outside of a transaction, and ROLLBACK undoes all of one.
_NEEDS_NO_UNIT: Final = re.compile("PRAGMA|ROLLBACK", re.IGNORECASE)
#: Measured: workerd keeps the compiled text of several statements (sqlite.c++,
#: StatementCache), and resets only the last one of them.
_BUSY: Final = "A SQL prepared statement can only be executed once at a time."


@final
class SqlStorage(JsObject):
    """`ctx.storage.sql` of one instance.

    Args:
        units: Where writes belong.
        mark: Of how large a bound value was.
        refusal: Why the class has no SQL; None if it has.
    """

    __slots__ = ("_busy_texts", "_mark", "_refusal", "_units")

    #: The class of what `exec` gives.
    Cursor = SqlStorageCursor

    def __init__(self, units: WriteUnits, mark: Mark, refusal: str | None = None) -> None:
        self._units = units
        self._mark = mark
        self._refusal = refusal
        #: Texts of several statements whose compiled form still stands at a row of an early
        #: one: the next run fails, and lets later ones compile anew (False).
        self._busy_texts: dict[str, bool] = {}

    def exec(self, query: object = undefined, *bindings: Any) -> SqlStorageCursor:
        """Run SQL.

        Args:
            query: One or more statements.
            bindings: Values for the parameters of the last one, by position.

        Returns:
            The rows of the last statement.

        Raises:
            JsTypeError: If there is no text, or a value is a BigInt.
            JsException: What SQLite or the platform refuses. Statements that ran before the
                one which failed are not undone.
        """
        if query is undefined:
            raise wrong_type("exec", "SqlStorage", 1, "JsString")
        if self._refusal is not None:
            raise JsException(self._refusal)
        units = self._units
        if type(query) is str and is_plain_write(query):
            values = self._bound(bindings)
            if not units.database.is_shown:
                units.begin_read()
                units.database.shown()
            sqlite = units.begin_write()
            try:
                return SqlStorageCursor(units, None, sqlite.change_rows(query, values))
            except SqlError as error:
                units.check_damage(error, sqlite)
                raise
        found = self._query(js_string(query), self._bound(bindings))
        return SqlStorageCursor(units, found, found.change_count)

    def _bound(self, bindings: tuple[Any, ...]) -> list[SqlValue]:
        values = bound_values(bindings)
        for value in values:
            if isinstance(value, (str, bytes)) and len(value) > self._mark.most:
                self._mark.saw(len(value), self._units.database.name)
        return values

    def _query(self, sql: str, values: list[SqlValue]) -> Query:
        units = self._units
        units.begin_read()
        if self._busy_texts.get(sql):
            self._busy_texts[sql] = False
            raise JsException(_BUSY)
        if _NEEDS_NO_UNIT.search(sql):
            # What waits for its flush is no transaction on the platform, and one that is
            # open is a transaction before anything has been written.
            units.flush_closed_units()
            units.begin_transactions()
        sqlite = units.database.shown()
        try:
            query = sqlite.query(sql, values, before_write=units.begin_write)
        except SqlError as error:
            units.check_damage(error, sqlite)
            raise
        if query.has_early_rows:
            self._busy_texts.setdefault(sql, True)
        if not query.is_finished:
            units.queries.add(query)
        return query

    def forget_texts(self) -> None:
        """The database was deleted, and what was compiled for it. Not for worker code."""
        self._busy_texts.clear()

    @property
    def databaseSize(self) -> int:
        """Bytes of the pages in use."""
        if self._refusal is not None:
            raise JsException(self._refusal)
        self._units.begin_read()
        return self._units.database.size_bytes

    def __repr__(self) -> str:
        return f"<SqlStorage of {self._units.database.name}>"
