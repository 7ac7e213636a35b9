"""structured_clone: a deep copy by the rules of the wire, without the bytes.

Promises: for storage the result is what `deserialize(serialize(value))` gives; between
stubs, functions, streams and the like go along as themselves. Snapshot when called.
Leaves to others: the bytes (serializer), wrapping functions into stubs (namespace).
"""

from __future__ import annotations

import re
from array import array
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import JsException, js_error
from emulator.values.conversion import (
    DOM_EXCEPTIONS,
    date_of_ms,
    error_fields,
    hashable,
    ms_of_date,
    number_of_float,
    own_properties,
    pattern_of,
    property_order,
    regexp_of,
    set_own_properties,
    typed_array,
    view_of,
)
from emulator.values.js_map import JsMap
from emulator.values.refusals import passes_by_reference, refusal
from emulator.values.undefined import Undefined
from emulator.web.headers import Headers
from emulator.web.js_dict import JsDict
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["structured_clone"]

# Immutable, and on the other side what they are on this.
_AS_THEY_ARE: Final = frozenset({str, int, bool, type(None), Undefined, Uint8Array})
_CONTAINERS: Final = (dict, list, set, frozenset, Exception)
_BUFFERS: Final = (bytes, bytearray, memoryview, array)


def structured_clone(
    value: Any,
    *,
    for_storage: bool,
    transfer: Callable[[Any], Any] | None = None,
    has_enhanced_errors: bool = False,
) -> Any:
    """A copy that shares nothing with the value, as the other side would see it.

    Args:
        value: Any Python value.
        for_storage: Only data. Otherwise functions, streams, Headers, Request, Response
            and objects marked `__rpc_passthrough__ = True` are in the copy themselves.
        transfer: Gives what is in the copy for such a value, and for any other that is no
            data, or raises. Then the message is one that Cloudflare's `workers` package
            sends, which has no tuples and no bytearrays.
        has_enhanced_errors: Names and own properties of the platform's errors survive.

    Returns:
        The copy: dicts with string keys as JsDict in JavaScript's property order, other
        dicts as JsMap, tuples as lists, buffers as Uint8Array, dates aware, in UTC and
        whole milliseconds, exceptions as JsException.

    Raises:
        JsException: DataCloneError, if something in it cannot be cloned.
        JsRangeError: It is nested too deeply, or a date is beyond what Python knows.
        TypeError: With `transfer`, for a tuple or bytearray.
    """
    if type(value) in _AS_THEY_ARE:
        return value
    try:
        cloner = _Cloner(transfer, for_storage=for_storage, keeps_all=has_enhanced_errors)
        return cloner.clone(value)
    except RecursionError:
        raise js_error("RangeError", "Maximum call stack size exceeded") from None


@final
class _Cloner:
    """One clone in the making, and the copies of the containers met so far."""

    __slots__ = ("copies", "for_storage", "keeps_all", "transfer", "unfinished")

    def __init__(
        self, transfer: Callable[[Any], Any] | None, *, for_storage: bool, keeps_all: bool
    ) -> None:
        self.transfer = transfer
        self.keeps_all = keeps_all
        self.for_storage = for_storage
        # By identity; the originals stay alive meanwhile, and no order depends on it.
        self.copies: dict[int, Any] = {}
        #: Errors whose properties are being copied, by identity.
        self.unfinished: tuple[int, ...] = ()

    def clone(self, value: Any) -> Any:
        kind = type(value)
        if kind in _AS_THEY_ARE:
            return value
        if kind is float:
            return number_of_float(value)
        if isinstance(value, _CONTAINERS):
            copy = self.copies.get(id(value))
            return self._container(value) if copy is None else copy
        if self.transfer is not None and isinstance(value, (tuple, bytearray)):
            raise TypeError(f"{kind} cannot be sent over RPC.")
        if isinstance(value, tuple):
            return [self.clone(item) for item in value]
        if isinstance(value, _BUFFERS):
            return self._buffer(value)
        return self._rest(value)

    def _container(self, value: Any) -> Any:
        if isinstance(value, dict):
            if not isinstance(value, JsMap) and all(isinstance(key, str) for key in value):
                return self._object(value)
            return self._map(value)
        if isinstance(value, list):
            items = self.copies[id(value)] = []
            items.extend(map(self.clone, value))
            return items
        if isinstance(value, Exception):
            return self._error(value)
        elements: set[Any] = set()
        self.copies[id(value)] = elements
        # Each element is cloned on its own, so the order of the set has no influence.
        elements.update(hashable(self.clone(item)) for item in value)
        return elements

    def _error(self, value: Exception) -> JsException:
        name, message = error_fields(value)
        if not isinstance(value, JsException):
            error = self.copies[id(value)] = js_error(name, message or "")
            return error
        if value.name in DOM_EXCEPTIONS:
            error = self.copies[id(value)] = js_error(value.name, value.message)
            return error
        if self.keeps_all:
            return self._whole_error(value)
        error = self.copies[id(value)] = js_error(name, message or "")
        if "cause" in value.properties:
            error.properties["cause"] = self.clone(value.properties["cause"])
        return error

    def _whole_error(self, value: JsException) -> JsException:
        if id(value) in self.unfinished:
            # workerd writes an error that contains itself, and cannot read it.
            raise js_error("Error", "Unable to deserialize cloned data.")
        self.unfinished += (id(value),)
        error = js_error(value.name, value.message)
        properties = own_properties(value)
        set_own_properties(error, {key: self.clone(properties[key]) for key in properties})
        self.unfinished = self.unfinished[:-1]
        self.copies[id(value)] = error
        return error

    def _object(self, value: dict[str, Any]) -> JsDict:
        result = self.copies[id(value)] = JsDict()
        for key, item in property_order(value):
            result[str(key)] = item if type(item) in _AS_THEY_ARE else self.clone(item)
        return result

    def _map(self, value: dict[Any, Any]) -> JsMap:
        result = self.copies[id(value)] = JsMap()
        for key, item in value.items():
            result[hashable(self.clone(key))] = self.clone(item)
        return result

    def _buffer(self, value: Any) -> Any:
        view = view_of(value)
        assert view is not None
        tag, data = view
        return typed_array(tag, data)

    def _rest(self, value: Any) -> Any:
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return number_of_float(float(value))
        if isinstance(value, datetime):
            return date_of_ms(ms_of_date(value))
        if isinstance(value, re.Pattern):
            return pattern_of(*regexp_of(value))
        if self.transfer is None and isinstance(value, Headers):
            return Headers(value)
        if self.transfer is not None:
            copy = self.copies.get(id(value))
            if copy is None:
                copy = self.copies[id(value)] = self.transfer(value)
            return copy
        if not self.for_storage and passes_by_reference(value):
            return value
        raise refusal(value)
