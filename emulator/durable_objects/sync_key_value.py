"""Key-value storage, synchronous: `storage.kv`.

Promises: the same pairs as the asynchronous methods, without promises; one key at a time;
a lazy `list`, of which one is alive at a time. Leaves to others: the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import key_range, merged_options, wrong_type
from emulator.durable_objects.key_value_table import MISSING
from emulator.durable_objects.units import internal_error_text
from emulator.errors import JsException
from emulator.values import undefined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.durable_objects.key_value_table import KeyValueTable

__all__ = ["SyncKvStorage"]

_OWNER: Final = "SyncKvStorage"
_INVALIDATED: Final = (
    "kv.list() iterator was invalidated because a new call to kv.list() was started. Only "
    "one kv.list() iterator can exist at a time."
)
#: No argument at all, which `undefined` is not here: it can be stored.
_ABSENT: Final = object()


@final
class SyncKvStorage:
    """`ctx.storage.kv`.

    Args:
        table: What it reads and writes.
        refusal: Why the class has none of this; None if it has.
    """

    __slots__ = ("_refusal", "_table")

    def __init__(self, table: KeyValueTable, refusal: str | None = None) -> None:
        self._table = table
        self._refusal = refusal

    def get(self, key: object = undefined) -> Any:
        """The value of a key; None if there is none.

        Raises:
            JsTypeError: If no key is given.
        """
        if key is undefined:
            raise wrong_type("get", _OWNER, 1, "string")
        self._check_class()
        value = self._table.get(key)
        return None if value is MISSING else value

    def put(self, key: object = undefined, value: object = _ABSENT) -> None:
        """Store a pair. Unlike the asynchronous `put`, it stores `undefined` too.

        Raises:
            JsTypeError: If key or value are not given.
            JsException: DataCloneError, or `string or blob too big`.
        """
        if key is undefined:
            raise wrong_type("put", _OWNER, 1, "string")
        if value is _ABSENT:
            raise wrong_type("put", _OWNER, 2, "JsValue")
        self._check_class()
        self._table.put(key, value)

    def delete(self, key: object = undefined) -> bool:
        """Remove a pair; tells whether it was there.

        Raises:
            JsTypeError: If no key is given.
        """
        if key is undefined:
            raise wrong_type("delete", _OWNER, 1, "string")
        self._check_class()
        return self._table.delete(key)

    def list(self, options: object = undefined, **keywords: Any) -> Iterator[tuple[str, Any]]:
        """The pairs of a range, each read when it is asked for.

        Args:
            options: start, startAfter, end, prefix, reverse, limit.

        Raises:
            JsTypeError: If the options do not fit.
            JsException: From an older iterator, once a new one has been started.
        """
        given = merged_options(options, keywords, "list", _OWNER, 1, "ListOptions")
        self._check_class()
        keys = key_range(given)
        self._table.list_count += 1
        table = self._table
        return self._live(table.iterate(keys), table.list_count, table.delete_all_count)

    def _check_class(self) -> None:
        if self._refusal is not None:
            raise JsException(self._refusal)

    def _live(
        self, pairs: Iterator[tuple[str, Any]], list_count: int, delete_all_count: int
    ) -> Iterator[tuple[str, Any]]:
        table = self._table
        while True:
            if list_count != table.list_count:
                raise JsException(_INVALIDATED)
            if delete_all_count != table.delete_all_count:
                raise JsException(internal_error_text())  # Its file is another one.
            pair = next(pairs, None)
            if pair is None:
                return
            yield pair
