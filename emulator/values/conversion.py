"""Conversion: what a Python value is in JavaScript, and the way back.

Promises: the rules that the serializer, the deserializer and the clone share, each in one
place: safe integers, the order of properties, dates, expressions, errors, typed arrays.
Leaves to others: bytes (serializer, deserializer) and copying (clone).
"""

from __future__ import annotations

import re
from array import array
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import JsException, JsTypeError, js_error
from emulator.values.refusals import refusal
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DOM_EXCEPTIONS",
    "FLAGS",
    "INT32_MAX",
    "INT32_MIN",
    "SAFE_INTEGER_MAX",
    "array_index",
    "date_of_ms",
    "error_fields",
    "hashable",
    "ms_of_date",
    "number_of_float",
    "own_properties",
    "pattern_of",
    "property_order",
    "regexp_flags",
    "regexp_letters",
    "regexp_of",
    "set_own_properties",
    "typed_array",
    "view_of",
]

INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1
SAFE_INTEGER_MAX: Final = 2**53 - 1  # JavaScript's Number.MAX_SAFE_INTEGER.
_ARRAY_INDEX_MAX: Final = 2**32 - 2  # ECMA-262, "array index".

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# V8's value-serializer.cc, ErrorTag: the built-in classes which survive a clone.
ERROR_CLASSES: Final = frozenset(
    {"EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"}
)

#: Names of a DOMException (WebIDL, "DOMException names").
DOM_EXCEPTIONS: Final = frozenset(
    {"AbortError", "ConstraintError", "DataCloneError", "DataError", "EncodingError",
     "HierarchyRequestError", "IndexSizeError", "InUseAttributeError", "InvalidAccessError",
     "InvalidCharacterError", "InvalidModificationError", "InvalidNodeTypeError",
     "InvalidStateError", "NamespaceError", "NetworkError", "NoModificationAllowedError",
     "NotAllowedError", "NotFoundError", "NotReadableError", "NotSupportedError",
     "OperationError", "QuotaExceededError", "ReadOnlyError", "SecurityError",
     "TimeoutError", "TransactionInactiveError", "TypeMismatchError", "URLMismatchError",
     "UnknownError", "VersionError", "WrongDocumentError"}
)  # fmt: skip

# JavaScript's flags that Python has too. The others (d, g, u, v, y) have no meaning there.
_REGEXP_FLAGS: Final = (
    ("i", 1 << 1, re.IGNORECASE),
    ("m", 1 << 2, re.MULTILINE),
    ("s", 1 << 5, re.DOTALL),
)
_UNESCAPED_SLASH: Final = re.compile(r"(\\.)|/", re.DOTALL)


def number_of_float(value: float) -> int | float:
    """A JavaScript number as Pyodide shows it: a safe integer is an int.

    Unlike Pyodide, -0 stays a float: it would lose its sign, and a comparison with the
    real platform must see it.
    """
    if (
        value.is_integer()
        and -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX
        and (value or str(value)[0] != "-")
    ):
        return int(value)
    return value


def array_index(key: str) -> int | None:
    """The number that a property key stands for, if JavaScript orders it as a number."""
    if not (key.isascii() and key.isdigit()) or (key[0] == "0" and len(key) > 1):
        return None
    if len(key) > 10:
        return None
    index = int(key)
    return index if index <= _ARRAY_INDEX_MAX else None


def property_order(value: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """The properties in JavaScript's order: array indexes ascending, then as inserted."""
    for key in value:
        if "0" <= key[:1] <= "9":
            break
    else:
        return value.items()
    indexed: list[tuple[int, str]] = []
    named: list[str] = []
    for key in value:
        index = array_index(key)
        if index is None:
            named.append(key)
        else:
            indexed.append((index, key))
    ordered = [key for _, key in sorted(indexed)] + named
    return [(key, value[key]) for key in ordered]


def ms_of_date(value: datetime) -> int:
    """Milliseconds since the Unix epoch; a naive datetime is UTC, as on the platform.

    JavaScript cuts a fraction of a millisecond off towards zero (ECMA-262, TimeClip).
    """
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    difference = aware - _EPOCH
    if difference.days >= 0:
        return difference // _MILLISECOND
    return -(-difference // _MILLISECOND)


def date_of_ms(time_ms: float) -> datetime:
    """The aware UTC datetime of a JavaScript Date.

    Raises:
        JsRangeError: The Date is invalid (NaN), or outside Python's years 1 to 9999.
    """
    try:
        return _EPOCH + timedelta(milliseconds=time_ms)
    except (OverflowError, ValueError):
        raise js_error("RangeError", "Invalid time value") from None


def regexp_letters(flags: int) -> str:
    """The flags of a RegExp as letters: those that Python has."""
    return "".join(letter for letter, bit, _ in _REGEXP_FLAGS if flags & bit)


def regexp_flags(letters: str) -> int:
    """The flag bits of letters; those that Python does not have are dropped."""
    return sum(bit for letter, bit, _ in _REGEXP_FLAGS if letter in letters)


def regexp_of(value: re.Pattern[Any]) -> tuple[str, int]:
    """Source and flag bits of the RegExp that bears a Python pattern's text.

    Raises:
        JsException: DataCloneError, for a pattern of bytes.
    """
    source = value.pattern
    if not isinstance(source, str):
        raise refusal(value)
    flags = 0
    for _, bit, flag in _REGEXP_FLAGS:
        if value.flags & flag:
            flags |= bit
    # ECMA-262, EscapeRegExpPattern: the source can stand between slashes on one line.
    escaped = _UNESCAPED_SLASH.sub(lambda match: match[1] or "\\/", source)
    return escaped.replace("\n", "\\n") or "(?:)", flags


def pattern_of(source: str, flags: int) -> re.Pattern[str]:
    """The Python pattern for a RegExp; flags without a Python counterpart are dropped.

    Raises:
        JsException: SyntaxError, when Python's syntax has no such expression.
    """
    python_flags = re.NOFLAG
    for _, bit, flag in _REGEXP_FLAGS:
        if flags & bit:
            python_flags |= flag
    text = "" if source == "(?:)" else source.replace("\\/", "/")
    text = re.sub(r"\(\?<(?![=!])", "(?P<", text)
    try:
        return re.compile(text, python_flags)
    except re.error as error:
        raise js_error(
            "SyntaxError", f"Invalid regular expression: /{source}/: {error}"
        ) from None


def error_fields(error: Exception) -> tuple[str, str | None]:
    """Class name and message with which an exception crosses.

    A platform error keeps a built-in class; any other name is lost, as V8 writes the
    prototype only. A Python exception is an Error with its text (Cloudflare's `workers`
    package: `js.Error.new(str(exc))`).

    Returns:
        The class, and the message or None when the error has none of its own.
    """
    if isinstance(error, JsException):
        name = error.name if error.name in ERROR_CLASSES else "Error"
        return name, error.message or None
    return "Error", str(error)


#: What the platform says of an error in properties of its own.
FLAGS: Final = ("remote", "retryable", "overloaded", "durableObjectReset")


def own_properties(error: JsException) -> dict[str, Any]:
    """The properties with which an error crosses since compatibility date 2026-04-21.

    Those whose names are numbers are lost (measured on workerd).
    """
    flags = {name: True for name in FLAGS if getattr(error, name) is True}
    others = {k: v for k, v in error.properties.items() if array_index(k) is None}
    return flags | others


def set_own_properties(error: JsException, properties: dict[str, Any]) -> None:
    """Give an error what `own_properties` told of it; the stack of an engine is nothing."""
    for name, value in properties.items():
        if name in FLAGS:
            setattr(error, name, value)
        elif name != "stack":
            error.properties[name] = value


def hashable(value: Any) -> Any:
    """A value in the form that can be an element of a set or a key of a dict.

    Raises:
        JsTypeError: An object or Map was an element or key; Pyodide's text.
    """
    if isinstance(value, list):
        return tuple([hashable(item) for item in value])
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, dict):
        raise JsTypeError("Cannot use key of type Object as a key to a Python dict")
    return value


# Python's type codes and V8's ArrayBufferViewTag, by kind and size.
_INTEGER_TAGS: Final = {1: "bB", 2: "wW", 4: "dD", 8: "qQ"}


def view_of(value: Any) -> tuple[str, bytes | bytearray | memoryview] | None:
    """The V8 tag of the typed array for a buffer, and its bytes; None if it is no buffer.

    Raises:
        JsException: DataCloneError, for a buffer without a typed array of its kind.
    """
    if isinstance(value, (bytes, bytearray)):
        return "B", value
    if isinstance(value, array):
        code, size = str(value.typecode), value.itemsize
    elif isinstance(value, memoryview):
        code, size = value.format.lstrip("@<=") or "B", value.itemsize
    else:
        return None
    view = memoryview(value)
    if view.ndim != 1:
        raise refusal(value)
    data = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    if code in "f":
        return "f", data
    if code in "d":
        return "F", data
    if code in "bhilq":
        return _INTEGER_TAGS[size][0], data
    if code in "BHILQc?":
        return _INTEGER_TAGS[size][1], data
    raise refusal(value)


_VIEW_CODES: Final = {
    "b": "b",
    "w": "h",
    "W": "H",
    "d": "i",
    "D": "I",
    "f": "f",
    "F": "d",
    "q": "q",
    "Q": "Q",
}


def typed_array(tag: str, data: bytes | bytearray | memoryview) -> Any:
    """A copy of the bytes as the Python value of a typed array.

    Args:
        tag: V8's ArrayBufferViewTag. Bytes, clamped bytes and a DataView are a Uint8Array.
        data: The bytes; not kept.

    Raises:
        KeyError: No such tag.
        ValueError: The bytes do not fill whole elements.
    """
    if tag in "BC?":
        return Uint8Array(data)
    result = array(_VIEW_CODES[tag])
    result.frombytes(data)
    return result
