"""The key-value table: what both key-value interfaces of an object read and write.

Promises: values as V8's bytes, snapshot when put; keys in the order of their UTF-8 bytes;
a put of several entries happens whole or not at all. Leaves to others: the arguments'
shapes, and promises (the two interfaces).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import text_of
from emulator.durable_objects.object_database import has_no_pairs_table
from emulator.durable_objects.units import internal_error_text
from emulator.errors import JsException
from emulator.values import JsDict, deserialize, serialize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from emulator.durable_objects.arguments import KeyRange
    from emulator.durable_objects.pair_limits import PairLimits
    from emulator.durable_objects.units import WriteUnits
    from emulator.sqlite.query import Row

__all__ = ["MISSING", "KeyValueTable"]

#: Stands for "no such key", where None is a value.
MISSING: Final = object()

_GET: Final = "SELECT value FROM _cf_KV WHERE key = ?"
_PUT: Final = (
    "INSERT INTO _cf_KV VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
)
_DELETE: Final = "DELETE FROM _cf_KV WHERE key = ? RETURNING 1"
_DELETE_ALL: Final = "DELETE FROM _cf_KV"
#: All but the alarm's own table and what SQLite drops along with others.
_OBJECTS: Final = (
    "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') "
    "AND name <> '_cf_METADATA' AND (name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "OR name LIKE 'sqlite\\_stat%' ESCAPE '\\') "
    "ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC, rowid DESC"
)
_PLATFORM_OBJECTS: Final = [("table", "_cf_KV")]
_HAS_SEQUENCE: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'"
_DROP_SEQUENCE: Final = (
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_schema SET name = '_cf_old', tbl_name = '_cf_old', "
    "sql = 'CREATE TABLE _cf_old(name, seq)' WHERE name = 'sqlite_sequence'",
    "PRAGMA writable_schema = RESET",
    "DROP TABLE _cf_old",
)
#: From here on a put of several entries may meet SQLite's limit halfway.
_LARGE_BYTES: Final = 100_000
_ALL: Final = 2**31 - 1


@final
class KeyValueTable:
    """The key-value pairs of one object.

    Args:
        units: Where writes belong.
        limits: How large a pair and a call may be.
        has_enhanced_errors: Names and own properties of errors survive.

    Attributes:
        list_count: The lists that were begun, of either interface.
        delete_all_count: How often everything was deleted.
    """

    __slots__ = ("_limits", "_units", "delete_all_count", "has_enhanced_errors", "list_count")

    def __init__(
        self, units: WriteUnits, limits: PairLimits, *, has_enhanced_errors: bool = False
    ) -> None:
        self.has_enhanced_errors = has_enhanced_errors
        self._units = units
        self._limits = limits
        self.list_count = self.delete_all_count = 0

    def get(self, key: object) -> Any:
        """The value of a key, a fresh copy; MISSING if there is none."""
        text = text_of(key)
        if self._limits.checks_keys:
            self._limits.check_key(text)
        return self._get(text)

    def _get(self, text: str) -> Any:
        sqlite = self._units.begin_read()
        if sqlite is None:
            return MISSING
        try:
            rows = sqlite.execute(_GET, (text,))
        except JsException as error:
            if has_no_pairs_table(error):
                return MISSING
            raise
        try:
            return deserialize(rows[0][0]) if rows else MISSING
        except JsException:
            # So it is with an error that contains itself (measured on workerd).
            raise JsException(internal_error_text()) from None

    def get_many(self, keys: Sequence[object]) -> JsDict:
        """The values of those keys that exist, in UTF-8 order of the keys."""
        self._limits.check_read(len(keys))
        found = JsDict()
        for key in sorted(dict.fromkeys(map(text_of, keys))):
            value = self._get(key)
            if value is not MISSING:
                found[key] = value
        return found

    def put(self, key: object, value: object, *, confirmed: bool = True) -> None:
        """Store one pair.

        Raises:
            JsException: DataCloneError, or `string or blob too big`.
        """
        blob = serialize(value, has_enhanced_errors=self.has_enhanced_errors)
        text = text_of(key)
        self._limits.check_pair(text, blob)
        self._write(_PUT, (text, blob), confirmed=confirmed)

    def put_many(self, entries: dict[Any, Any], *, confirmed: bool = True) -> None:
        """Store several pairs, all or none."""
        if not entries:
            return
        self._limits.check_write(len(entries))
        enhanced = self.has_enhanced_errors
        rows = [
            (text_of(key), serialize(value, has_enhanced_errors=enhanced))
            for key, value in entries.items()
        ]
        for text, blob in rows:
            self._limits.check_pair(text, blob)
        self.put_blobs(rows, confirmed=confirmed)

    def put_blobs(self, rows: Sequence[tuple[str, bytes]], *, confirmed: bool = True) -> None:
        """Store several pairs whose values are V8's bytes already, all or none."""
        units = self._units
        if not any(len(text) + len(blob) > _LARGE_BYTES for text, blob in rows):
            for row in rows:
                self._write(_PUT, row, confirmed=confirmed)
            return
        frame = units.push(is_transaction=False)
        try:
            for row in rows:
                self._write(_PUT, row, confirmed=confirmed)
        except Exception:
            if frame.is_open:
                units.roll_back(frame)
            raise
        units.commit(frame)

    def delete(self, key: object, *, confirmed: bool = True) -> bool:
        """Remove one pair; tells whether it was there."""
        text = text_of(key)
        if self._limits.checks_keys:
            self._limits.check_key(text)
        return bool(self._write(_DELETE, (text,), confirmed=confirmed))

    def delete_many(self, keys: Sequence[object], *, confirmed: bool = True) -> int:
        """Remove several pairs; tells how many were there."""
        self._limits.check_write(len(keys))
        if self._limits.checks_keys:
            for key in keys:
                self._limits.check_key(text_of(key))
        return sum(self.delete(key, confirmed=confirmed) for key in keys)

    def delete_all(self) -> None:
        """Remove every pair, and every table and view of user SQL."""
        units = self._units
        sqlite = units.begin_read()
        self.delete_all_count += 1
        if sqlite is None:
            return
        units.queries.cancel()
        frame = units.push(is_transaction=False)
        if units.database.is_shown or sqlite.execute(_OBJECTS) != _PLATFORM_OBJECTS:
            self._drop_objects()
        else:
            units.write(_DELETE_ALL)
        units.database.forget_bookmarks()
        units.commit(frame)

    def _drop_objects(self) -> None:
        units = self._units
        sqlite = units.begin_write()
        sqlite.reset_pragmas()
        # Tables may refer to each other in any order; in the end nothing refers.
        sqlite.execute("PRAGMA defer_foreign_keys = ON")
        for kind, name in sqlite.execute(_OBJECTS):
            quoted = str(name).replace('"', '""')
            sqlite.execute(f'DROP {kind} IF EXISTS "{quoted}"')
        if sqlite.execute(_HAS_SEQUENCE):
            # It cannot be dropped under its own name.
            for statement in _DROP_SEQUENCE:
                sqlite.execute(statement)
        sqlite.execute("PRAGMA defer_foreign_keys = OFF")
        units.database.forget_tables()
        sqlite.begin_session()

    def _write(self, sql: str, params: tuple[Any, ...], *, confirmed: bool) -> list[Row]:
        units = self._units
        units.database.has_pairs = True
        try:
            return units.write(sql, params, confirmed=confirmed)
        except JsException as error:
            if not has_no_pairs_table(error):
                raise
        units.database.make_pairs_table()
        return units.write(sql, params, confirmed=confirmed)

    def rows(self, keys: KeyRange) -> list[tuple[str, Any]]:
        """The pairs of a range, in its order."""
        self.list_count += 1
        return self._rows(keys)

    def _rows(self, keys: KeyRange) -> list[tuple[str, Any]]:
        sqlite = self._units.begin_read()
        if sqlite is None or keys.is_empty:
            return []
        try:
            rows = sqlite.execute(*_select(keys))
        except JsException as error:
            if has_no_pairs_table(error):
                return []
            raise
        try:
            return [(key, deserialize(blob)) for key, blob in rows]
        except JsException:
            raise JsException(internal_error_text()) from None

    def iterate(self, keys: KeyRange) -> Iterator[tuple[str, Any]]:
        """The pairs of a range, each read when it is asked for; writes meanwhile are seen."""
        remaining = _ALL if keys.limit is None else keys.limit
        while remaining:
            found = self._rows(keys._replace(limit=1))
            if not found:
                return
            yield found[0]
            remaining -= 1
            if keys.is_reverse:
                keys = keys._replace(high=found[0][0])
            else:
                keys = keys._replace(low=found[0][0], is_low_excluded=True)


def _select(keys: KeyRange) -> tuple[str, tuple[str | int, ...]]:
    lower = "key > ?" if keys.is_low_excluded else "key >= ?"
    order = "DESC" if keys.is_reverse else "ASC"
    limit = _ALL if keys.limit is None else keys.limit
    if keys.high is None:
        sql = f"SELECT key, value FROM _cf_KV WHERE {lower} ORDER BY key {order} LIMIT ?"
        return sql, (keys.low, limit)
    sql = (
        f"SELECT key, value FROM _cf_KV WHERE {lower} AND key < ? ORDER BY key {order} LIMIT ?"
    )
    return sql, (keys.low, keys.high, limit)
