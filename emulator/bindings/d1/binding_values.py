"""Binding values: what `bind` takes, and what SQLite gets.

Promises: D1's conversions, so that numbers are always REAL and bytes become a BLOB, and its
refusal of every other type, with its text. Leaves to others: how many values a statement
wants (`sqlite`).

Types as Pyodide pairs them: an int beyond 2**53 - 1 is a BigInt, which D1 refuses; a float of
that size is a number. bytes, bytearray and memoryview are ArrayBuffer and its views, lists and
tuples are arrays, a datetime is a Date. Rules measured on workerd.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from emulator.bindings.d1.errors import d1_error
from emulator.durable_objects.arguments import js_string
from emulator.values import undefined
from emulator.values.conversion import SAFE_INTEGER_MAX
from emulator.values.text import well_formed

if TYPE_CHECKING:
    from emulator.sqlite.query import SqlValue

__all__ = ["bound_value"]

_BYTE_VALUES: Final = 256


def bound_value(value: Any) -> SqlValue:
    """One value of `bind` as SQLite takes it.

    Args:
        value: None, a bool, number, string, bytes-like, or a list of numbers 0 to 255.

    Returns:
        A float for every number, also for bools; None for a number that is not finite,
        because values travel as JSON; text without lone surrogates; bytes.

    Raises:
        JsException: "D1_TYPE_ERROR: Type '...' not supported for value '...'".
    """
    if value is None:
        return None
    if isinstance(value, str):
        # A subclass, such as an enumeration, may show itself as something else.
        return well_formed(value if type(value) is str else str.__str__(value))
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, (list, tuple)):
        if all(_is_byte(item) for item in value):
            return bytes([int(item) for item in value])
        raise _refusal("object", value)
    try:
        view = memoryview(value)
    except TypeError:
        raise _refusal(_type_of(value), value) from None
    return _view_bytes(view)


def _number(value: int | float) -> float | None:
    if isinstance(value, int):
        if not -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX:
            raise _refusal("bigint", value)
        return float(value)
    if not math.isfinite(value):
        return None
    # JSON has no negative zero.
    return float(value) or 0.0


def _is_byte(item: object) -> bool:
    is_number = isinstance(item, (int, float)) and not isinstance(item, bool)
    return is_number and 0 <= item < _BYTE_VALUES  # type: ignore[operator]


def _view_bytes(view: memoryview) -> bytes:
    """Each element of a typed array as one byte (Array.from, then Uint8Array's modulo)."""
    if view.itemsize == 1 and view.format in ("B", "c"):
        return view.tobytes()
    elements = view.tolist()
    return bytes([int(x) % _BYTE_VALUES if math.isfinite(x) else 0 for x in elements])


def _type_of(value: object) -> str:
    """JavaScript's `typeof`."""
    if value is undefined:
        return "undefined"
    return "function" if callable(value) else "object"


def _refusal(kind: str, value: object) -> Exception:
    return d1_error(
        f"Type '{kind}' not supported for value '{js_string(value)}'", "D1_TYPE_ERROR"
    )
