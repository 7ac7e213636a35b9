"""Key-value storage, asynchronous: `storage.get`, `put`, `delete`, `list`.

Promises: Cloudflare's methods, their argument rules and their words; every call acts when
it is called and returns a settled promise. Leaves to others: the table.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import key_range, merged_options, wrong_type
from emulator.durable_objects.guarded import Guarded
from emulator.durable_objects.key_value_table import MISSING
from emulator.durable_objects.settled import Rejected, Settled
from emulator.errors import JsTypeError
from emulator.values import JsDict, JsMap, undefined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.key_value_table import KeyValueTable
    from emulator.durable_objects.kv_backed import Overlay

__all__ = ["KeyValue"]

_NO_OPTIONS: Final[dict[str, Any]] = {}
#: What JavaScript takes for an object whose properties are entries, an array apart.
_OBJECTS: Final = (dict, datetime, set, frozenset, bytes, bytearray, memoryview, BaseException)
_PUT_SHAPES: Final = (
    "put() may only be called with a single key-value pair and optional options as "
    "put(key, value, options) or with multiple key-value pairs and optional options as "
    "put(entries, options)"
)


@final
class KeyValue:
    """The four methods, for the storage and for a transaction.

    Args:
        table: What they read and write.
        owner: The platform's class whose methods they are, for its words.
    """

    __slots__ = ("_owner", "_table")

    def __init__(self, table: KeyValueTable | Overlay | Guarded, owner: str) -> None:
        self._table = table
        self._owner = owner

    def behind(self, check: Callable[[str], None]) -> KeyValue:
        """The same, and each call is told to `check` before the table is touched."""
        return KeyValue(Guarded(self._table, check), self._owner)

    def get(self, key: object, options: object, keywords: dict[str, Any]) -> Awaitable[Any]:
        """See `DurableObjectStorage.get`."""
        try:
            if options is not undefined or keywords:
                merged_options(options, keywords, "get", self._owner, 2, "GetOptions")
            if isinstance(key, (list, tuple)):
                return Settled(self._table.get_many(key))
            if key is undefined:
                raise wrong_type("get", self._owner, 1, "string or Array")
            value = self._table.get(key)
        except Exception as error:
            return Rejected[Any](error)
        return Settled(None if value is MISSING or value is undefined else value)

    def put(
        self, key: object, value: object, options: object, keywords: dict[str, Any]
    ) -> Awaitable[Any]:
        """See `DurableObjectStorage.put`."""
        try:
            if isinstance(key, _OBJECTS):
                self._put_entries(_entries(key), value, keywords)
                return Settled(None)
            given = _NO_OPTIONS
            if options is not undefined or keywords:
                given = merged_options(options, keywords, "put", self._owner, 3, "PutOptions")
            if key is undefined:
                raise wrong_type("put", self._owner, 1, "string or object")
            if value is undefined:
                message = "put() called with undefined value."
                raise JsTypeError(message)
            self._table.put(key, value, confirmed=not given.get("allowUnconfirmed"))
        except Exception as error:
            return Rejected[Any](error)
        return Settled(None)

    def _put_entries(
        self, entries: dict[Any, Any], options: object, keywords: dict[str, Any]
    ) -> None:
        if not (options is undefined or options is None or isinstance(options, dict)):
            raise JsTypeError(_PUT_SHAPES)
        given = merged_options(options, keywords, "put", self._owner, 2, "PutOptions")
        present = {key: value for key, value in entries.items() if value is not undefined}
        self._table.put_many(present, confirmed=not given.get("allowUnconfirmed"))

    def delete(self, key: object, options: object, keywords: dict[str, Any]) -> Awaitable[Any]:
        """See `DurableObjectStorage.delete`."""
        try:
            given = _NO_OPTIONS
            if options is not undefined or keywords:
                given = merged_options(
                    options, keywords, "delete", self._owner, 2, "PutOptions"
                )
            confirmed = not given.get("allowUnconfirmed")
            if isinstance(key, (list, tuple)):
                return Settled(self._table.delete_many(key, confirmed=confirmed))
            if key is undefined:
                raise wrong_type("delete", self._owner, 1, "string or Array")
            return Settled(self._table.delete(key, confirmed=confirmed))
        except Exception as error:
            return Rejected[Any](error)

    def list(self, options: object, keywords: dict[str, Any]) -> Awaitable[Any]:
        """See `DurableObjectStorage.list`."""
        try:
            given = merged_options(options, keywords, "list", self._owner, 1, "ListOptions")
            keys = key_range(given)
            # Nothing can be in it: not even a transaction that is over is asked.
            rows = () if keys.is_empty else self._table.rows(keys)
        except Exception as error:
            return Rejected[Any](error)
        return Settled(JsDict(rows))


def _entries(given: Any) -> dict[Any, Any]:
    """The properties of its own that an object has in JavaScript."""
    if isinstance(given, dict) and not isinstance(given, JsMap):
        return given
    if isinstance(given, (bytes, bytearray, memoryview)):
        return {str(index): byte for index, byte in enumerate(bytes(given))}
    return {}  # A Map, a Set, a Date and an Error keep what they hold elsewhere.
