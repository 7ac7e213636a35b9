"""The key-value table: what both key-value interfaces of an object read and write.

Promises: values as V8's bytes, snapshot when put; keys in the order of their UTF-8 bytes;
a put of several entries happens whole or not at all. Leaves to others: the arguments'
shapes, and promises (the two interfaces).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import text_of
from emulator.errors import JsException, JsRangeError
from emulator.values import JsDict, deserialize, serialize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from emulator.durable_objects.arguments import KeyRange
    from emulator.durable_objects.units import WriteUnits
    from emulator.limits import Limits

__all__ = ["MISSING", "KeyValueTable"]

#: Stands for "no such key", where None is a value.
MISSING: Final = object()

_GET: Final = "SELECT value FROM _cf_KV WHERE key = ?"
_PUT: Final = (
    "INSERT INTO _cf_KV VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
)
_DELETE: Final = "DELETE FROM _cf_KV WHERE key = ? RETURNING 1"
_DELETE_ALL: Final = "DELETE FROM _cf_KV"
_OBJECTS: Final = (
    "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' "
    "ORDER BY rowid DESC"
)
#: From here on a put of several entries may meet SQLite's limit halfway.
_LARGE_BYTES: Final = 100_000
_ALL: Final = 2**31 - 1


@final
class KeyValueTable:
    """The key-value pairs of one object.

    Args:
        units: Where writes belong.
        limits: The platform's limits in force.
    """

    __slots__ = ("_limits", "_units")

    def __init__(self, units: WriteUnits, limits: Limits) -> None:
        self._units = units
        self._limits = limits

    def get(self, key: object) -> Any:
        """The value of a key, a fresh copy; MISSING if there is none."""
        sqlite = self._units.begin_read()
        if sqlite is None:
            return MISSING
        rows = sqlite.execute(_GET, (text_of(key),))
        return deserialize(rows[0][0]) if rows else MISSING

    def get_many(self, keys: Sequence[object]) -> JsDict:
        """The values of those keys that exist, in UTF-8 order of the keys."""
        self._check_batch(len(keys))
        found = JsDict()
        for key in sorted(dict.fromkeys(map(text_of, keys))):
            value = self.get(key)
            if value is not MISSING:
                found[key] = value
        return found

    def put(self, key: object, value: object, *, confirmed: bool = True) -> None:
        """Store one pair.

        Raises:
            JsException: DataCloneError, or `string or blob too big`.
        """
        blob = serialize(value)
        text = text_of(key)
        self._check_pair(text, blob)
        self._units.write(_PUT, (text, blob), confirmed=confirmed)

    def put_many(self, entries: dict[Any, Any], *, confirmed: bool = True) -> None:
        """Store several pairs, all or none."""
        self._check_batch(len(entries))
        rows = [(text_of(key), serialize(value)) for key, value in entries.items()]
        for text, blob in rows:
            self._check_pair(text, blob)
        units = self._units
        if not any(len(text) + len(blob) > _LARGE_BYTES for text, blob in rows):
            for row in rows:
                units.write(_PUT, row, confirmed=confirmed)
            return
        frame = units.push(is_transaction=False)
        try:
            for row in rows:
                units.write(_PUT, row, confirmed=confirmed)
        except Exception:
            if frame.is_open:
                units.roll_back(frame)
            raise
        units.commit(frame)

    def delete(self, key: object, *, confirmed: bool = True) -> bool:
        """Remove one pair; tells whether it was there."""
        return bool(self._units.write(_DELETE, (text_of(key),), confirmed=confirmed))

    def delete_many(self, keys: Sequence[object], *, confirmed: bool = True) -> int:
        """Remove several pairs; tells how many were there."""
        self._check_batch(len(keys))
        return sum(self.delete(key, confirmed=confirmed) for key in keys)

    def delete_all(self) -> None:
        """Remove every pair, and every table and view of user SQL."""
        units = self._units
        if units.begin_read() is None:
            return
        frame = units.push(is_transaction=False)
        units.write(_DELETE_ALL)
        objects = units.write(_OBJECTS)
        if objects:
            # Tables may refer to each other in any order; in the end nothing refers.
            units.write("PRAGMA defer_foreign_keys = ON")
            for kind, name in objects:
                quoted = str(name).replace('"', '""')
                units.write(f'DROP {kind} IF EXISTS "{quoted}"')
        units.commit(frame)

    def rows(self, keys: KeyRange) -> list[tuple[str, Any]]:
        """The pairs of a range, in its order."""
        sqlite = self._units.begin_read()
        if sqlite is None or keys.is_empty:
            return []
        return [(key, deserialize(blob)) for key, blob in sqlite.execute(*_select(keys))]

    def iterate(self, keys: KeyRange) -> Iterator[tuple[str, Any]]:
        """The pairs of a range, each read when it is asked for; writes meanwhile are seen."""
        remaining = _ALL if keys.limit is None else keys.limit
        while remaining:
            found = self.rows(keys._replace(limit=1))
            if not found:
                return
            yield found[0]
            remaining -= 1
            if keys.is_reverse:
                keys = keys._replace(high=found[0][0])
            else:
                keys = keys._replace(low=found[0][0], is_low_excluded=True)

    def _check_batch(self, count: int) -> None:
        most = self._limits.batch_keys_max
        if most is not None and count > most:
            message = (
                f"Maximum number of key value pairs is {most}. {count} pairs were provided."
            )
            raise JsRangeError(message)

    def _check_pair(self, text: str, blob: bytes) -> None:
        most = self._limits.key_value_bytes_max
        if most is not None and len(blob) + len(text.encode()) > most:
            message = "string or blob too big: SQLITE_TOOBIG"
            raise JsException(message)


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
