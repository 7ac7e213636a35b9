"""serialize: a Python value as the bytes that workerd keeps in storage.

Promises: V8's wire format, version 15 (V8's value-serializer.cc), byte for byte as V8
writes the JavaScript value that Pyodide makes of the Python one. Bytes are copied at most
twice. The same value gives the same bytes in every process.
Leaves to others: which value may be stored or sent, and how large it may be.
"""

from __future__ import annotations

import re
from array import array
from datetime import datetime
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import JsException, js_error
from emulator.values.conversion import (
    DOM_EXCEPTIONS,
    INT32_MAX,
    INT32_MIN,
    SAFE_INTEGER_MAX,
    array_index,
    error_fields,
    ms_of_date,
    own_properties,
    property_order,
    regexp_of,
    view_of,
)
from emulator.values.host_objects import (
    HOST_OBJECT,
    NATIVE_ERROR,
    dom_exception_bytes,
    error_number,
    headers_bytes,
)
from emulator.values.js_map import JsMap
from emulator.values.refusals import passes_by_reference, refusal
from emulator.values.undefined import Undefined
from emulator.values.varint import varint
from emulator.web.headers import Headers
from emulator.web.js_dict import JsDict
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEADER", "serialize", "serialized_size"]

HEADER: Final = b"\xff\x0f"  # kVersion, 15: workerd pins it for everything it stores.
_DOUBLE: Final = Struct("<d").pack
_ERROR_TAGS: Final = {
    "EvalError": b"E",
    "RangeError": b"R",
    "ReferenceError": b"F",
    "SyntaxError": b"S",
    "TypeError": b"T",
    "URIError": b"U",
}
# What one stub, function or stream adds to a message: a tag and an index.
_REFERENCE: Final = b"\\\x01\x00"


def serialize(value: object, *, has_enhanced_errors: bool = False) -> bytes:
    """The bytes of a value as Durable Object storage keeps them.

    A set is written sorted by the bytes of its elements, because Python gives it no order.
    Containers and errors which occur twice are written once and referred to; strings,
    numbers, tuples and buffers are written each time, as Pyodide converts them.

    Args:
        value: What worker code hands to storage.
        has_enhanced_errors: Names and own properties of the platform's errors survive.

    Returns:
        Header FF 0F and the value.

    Raises:
        JsException: DataCloneError, if something in it cannot be stored.
        JsRangeError: It is nested too deeply.
    """
    return _serialize(value, for_storage=True, keeps_all=has_enhanced_errors)


def serialized_size(value: object, *, has_enhanced_errors: bool = False) -> int:
    """How many bytes a value has on the wire between stubs, header included.

    Functions, stubs, streams and the like count a few bytes each, since they cross by
    reference.

    Raises:
        JsException: DataCloneError, if something in it cannot be sent.
    """
    return len(_serialize(value, for_storage=False, keeps_all=has_enhanced_errors))


def _serialize(value: object, *, for_storage: bool, keeps_all: bool) -> bytes:
    if isinstance(value, bytes):
        # One copy instead of two for the large plain case.
        length = varint(len(value))
        return b"".join((HEADER, b"B", length, value, b"VB\x00", length, b"\x00"))
    if isinstance(value, int) and type(value) is int and INT32_MIN <= value <= INT32_MAX:
        return HEADER + _int32(value)
    writer = _Writer(for_storage=for_storage, keeps_all=keeps_all)
    try:
        writer.write(value)
    except RecursionError:
        raise js_error("RangeError", "Maximum call stack size exceeded") from None
    return bytes(writer.out)


def _int32(value: int) -> bytes:
    return b"I" + varint(value << 1 if value >= 0 else (-value << 1) - 1)


@final
class _Writer:
    """One message in the making: its bytes, and the number of each object in it."""

    __slots__ = ("count", "for_storage", "keeps_all", "numbers", "out")

    def __init__(self, *, for_storage: bool, keeps_all: bool) -> None:
        self.out = bytearray(HEADER)
        self.for_storage = for_storage
        self.keeps_all = keeps_all
        self.count = 0  # Objects so far; V8 numbers all of them, referred to or not.
        # Identity of containers; they stay alive while the message is written, and no
        # order depends on it.
        self.numbers: dict[int, int] = {}

    def write(self, value: Any) -> None:
        writer = _WRITERS.get(type(value))
        if writer is not None:
            writer(self, value)
        else:
            self._write_unusual(value)

    def _write_unusual(self, value: Any) -> None:
        for cls, writer in _WRITERS_OF_BASES:
            if isinstance(value, cls):
                writer(self, value)
                return
        if isinstance(value, Headers):
            if not self.refer(value):
                self.out += headers_bytes(value)
            return
        if not self.for_storage and passes_by_reference(value):
            self.count += 1
            self.out += _REFERENCE
            return
        raise refusal(value)

    def refer(self, value: object) -> bool:
        """Write a reference if the object is in the message already, else number it."""
        number = self.numbers.get(id(value))
        if number is not None:
            self.out += b"^" + varint(number)
            return True
        self.numbers[id(value)] = self.count
        self.count += 1
        return False

    def write_none(self, value: None) -> None:
        self.out += b"0"

    def write_undefined(self, value: Undefined) -> None:
        self.out += b"_"

    def write_bool(self, value: bool) -> None:  # noqa: FBT001 - it is the datum.
        self.out += b"T" if value else b"F"

    def write_int(self, value: int) -> None:
        if INT32_MIN <= value <= INT32_MAX:
            self.out += _int32(value)
        elif -SAFE_INTEGER_MAX < value < SAFE_INTEGER_MAX:
            self.out += b"N" + _DOUBLE(value)
        else:
            self.out += b"Z"
            magnitude = abs(value)
            # Whole words of 64 bits; the lowest bit of the field is the sign.
            size = (magnitude.bit_length() + 63) // 64 * 8
            self.out += varint(size << 1 | (value < 0)) + magnitude.to_bytes(size, "little")

    def write_float(self, value: float) -> None:
        if (
            value.is_integer()
            and INT32_MIN <= value <= INT32_MAX
            and (value or str(value)[0] != "-")
        ):
            self.write_int(int(value))
        else:
            self.out += b"N" + _DOUBLE(value)

    def write_str(self, value: str) -> None:
        out = self.out
        try:
            data = value.encode("latin-1")
        except UnicodeEncodeError:
            data = value.encode("utf-16-le", "surrogatepass")
            length = varint(len(data))
            if (len(out) + 1 + len(length)) & 1:
                out.append(0)  # V8 aligns the 16-bit units.
            out += b"c" + length
        else:
            out += b'"' + varint(len(data))
        out += data

    def write_buffer(self, value: Any) -> None:
        view = view_of(value)
        assert view is not None
        tag, data = view
        length = varint(len(data))
        out = self.out
        out += b"B" + length
        out += data
        out += b"V" + tag.encode() + b"\x00" + length + b"\x00"
        self.count += 2  # The buffer and its view.

    def write_list(self, value: list[Any]) -> None:
        if not self.refer(value):
            self._write_items(value)

    def write_tuple(self, value: tuple[Any, ...]) -> None:
        self.count += 1
        self._write_items(value)

    def _write_items(self, value: list[Any] | tuple[Any, ...]) -> None:
        length = varint(len(value))
        self.out += b"A" + length
        if _is_double_array(value):
            for item in value:
                self.out += b"N" + _DOUBLE(item)
        else:
            for item in value:
                self.write(item)
        self.out += b"$\x00" + length

    def write_dict(self, value: dict[Any, Any]) -> None:
        for key in value:
            if not isinstance(key, str):
                self.write_map(value)
                return
        if not self.refer(value):
            self._write_members(value)

    def _write_members(self, value: dict[str, Any]) -> None:
        self.out += b"o"
        for key, item in property_order(value):
            index = array_index(key) if "0" <= key[:1] <= "9" else None
            if index is None:
                self.write_str(key)
            else:
                self.write_int(index)
            self.write(item)
        self.out += b"{" + varint(len(value))

    def write_map(self, value: dict[Any, Any]) -> None:
        if self.refer(value):
            return
        self.out += b";"
        for key, item in value.items():
            self.write(key)
            self.write(item)
        self.out += b":" + varint(2 * len(value))

    def write_set(self, value: set[Any] | frozenset[Any]) -> None:
        if self.refer(value):
            return
        self.out += b"'"
        for item in sorted(value, key=self._bytes_alone):
            self.write(item)
        self.out += b"," + varint(len(value))

    def _bytes_alone(self, item: object) -> bytes:
        return _serialize(item, for_storage=self.for_storage, keeps_all=self.keeps_all)

    def write_date(self, value: datetime) -> None:
        self.count += 1
        self.out += b"D" + _DOUBLE(ms_of_date(value))

    def write_regexp(self, value: re.Pattern[Any]) -> None:
        source, flags = regexp_of(value)
        self.count += 1
        self.out += b"R"
        self.write_str(source)
        self.out += varint(flags)

    def write_error(self, value: Exception) -> None:
        if self.refer(value):
            return
        if isinstance(value, JsException) and value.name in DOM_EXCEPTIONS:
            self.out += dom_exception_bytes(value)
            return
        if self.keeps_all:
            self._write_whole_error(value)
            return
        name, message = error_fields(value)
        self.out += b"r" + _ERROR_TAGS.get(name, b"")
        if message is not None:
            self.out += b"m"
            self.write_str(message)
        if isinstance(value, JsException) and "cause" in value.properties:
            self.out += b"c"
            self.write(value.properties["cause"])
        self.out += b"."

    def _write_whole_error(self, value: Exception) -> None:
        name, message = error_fields(value)
        properties: dict[str, Any] = {}
        if isinstance(value, JsException):
            name, properties = value.name, own_properties(value)
        number = error_number(name)
        self.out += HOST_OBJECT + bytes((NATIVE_ERROR, number))
        if not number:
            self.write_str(name)
        self.write_str(message or "")
        self.count += 1
        self._write_members(properties)


def _is_double_array(value: list[Any] | tuple[Any, ...]) -> bool:
    """Whether V8 keeps the array as raw doubles; it then writes each as a double."""
    has_double = False
    for item in value:
        kind = type(item)
        if kind is float:
            if item.is_integer() and INT32_MIN <= item <= INT32_MAX:
                has_double = has_double or (not item and str(item)[0] == "-")
            else:
                has_double = True
        elif kind is int:
            if not INT32_MIN <= item <= INT32_MAX:
                if not -SAFE_INTEGER_MAX < item < SAFE_INTEGER_MAX:
                    return False
                has_double = True
        else:
            return False
    return has_double


_WRITERS: Final[dict[type, Callable[[_Writer, Any], None]]] = {
    str: _Writer.write_str,
    int: _Writer.write_int,
    dict: _Writer.write_dict,
    JsDict: _Writer.write_dict,
    list: _Writer.write_list,
    type(None): _Writer.write_none,
    bool: _Writer.write_bool,
    float: _Writer.write_float,
    bytes: _Writer.write_buffer,
    Uint8Array: _Writer.write_buffer,
    tuple: _Writer.write_tuple,
    Undefined: _Writer.write_undefined,
    datetime: _Writer.write_date,
    JsMap: _Writer.write_map,
    set: _Writer.write_set,
    frozenset: _Writer.write_set,
}
_WRITERS_OF_BASES: Final[tuple[tuple[type | tuple[type, ...], Any], ...]] = (
    (str, _Writer.write_str),
    (int, _Writer.write_int),
    (float, _Writer.write_float),
    ((bytes, bytearray, memoryview, array), _Writer.write_buffer),
    (dict, _Writer.write_dict),
    (list, _Writer.write_list),
    (tuple, _Writer.write_tuple),
    ((set, frozenset), _Writer.write_set),
    (datetime, _Writer.write_date),
    (re.Pattern, _Writer.write_regexp),
    (Exception, _Writer.write_error),
)
