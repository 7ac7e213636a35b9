"""SQL values: what a worker's values are in SQL, and the way back.

Promises: workerd's conversions for objects. Every number binds as REAL, a bool as the text
"true" or "false", bytes as a BLOB, null and undefined as NULL, anything else as its text; an
INTEGER comes back as the nearest JavaScript number. Leaves to others: running the SQL. Rules
measured on workerd.

Types as Pyodide pairs them: an int beyond 2**53 - 1 is a BigInt, which is refused.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from emulator.durable_objects.arguments import js_string
from emulator.errors import JsTypeError
from emulator.values import JsDict, undefined
from emulator.values.conversion import SAFE_INTEGER_MAX, number_of_float, property_order
from emulator.values.text import well_formed
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emulator.sqlite.query import Row, SqlValue

__all__ = ["bound_values", "js_row", "object_maker"]

_BIGINT: Final = "Cannot convert a BigInt value to a number"


def bound_values(values: Sequence[Any]) -> list[SqlValue]:
    """The arguments of `exec` behind its text, as SQLite takes them.

    Raises:
        JsTypeError: One is a BigInt.
    """
    return [_BINDINGS.get(type(value), _bound_other)(value) for value in values]


def _bound_integer(value: int) -> float:
    if not -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX:
        raise JsTypeError(_BIGINT)
    return float(value)


def _same(value: Any) -> Any:
    return value


def _bound_other(value: Any) -> SqlValue:
    if value is undefined:
        return None
    if isinstance(value, str):
        # A subclass, such as an enumeration, may show itself as something else.
        return well_formed(str.__str__(value))
    if isinstance(value, int):
        return _bound_integer(int(value))
    if isinstance(value, float):
        return float(value)
    try:
        return memoryview(value).tobytes()
    except TypeError:
        return well_formed(js_string(value))


_BINDINGS: Final[dict[type, Callable[[Any], SqlValue]]] = {
    int: _bound_integer,
    str: well_formed,
    float: _same,
    type(None): _same,
    bool: js_string,
    bytes: _same,
}


def js_row(row: Row) -> Row:
    """A row of SQLite as worker code gets it."""
    for value in row:
        if type(value) is not str and value is not None:
            return tuple([_RESULTS[type(value)](value) for value in row])
    return row


def _integer(value: int) -> int | float:
    # Beyond, it is the nearest double that worker code gets.
    return value if -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX else float(value)


_RESULTS: Final[dict[type, Callable[[Any], Any]]] = {
    type(None): _same,
    str: _same,
    int: _integer,
    float: number_of_float,
    bytes: Uint8Array,
}


@lru_cache(maxsize=128)
def object_maker(columns: tuple[str, ...]) -> Callable[[Row], JsDict]:
    """What makes an object of a row.

    Of two columns with one name the last value stays, in the place of the first; names that
    are array indexes come first, as JavaScript has it, and `__proto__` is no property.
    """
    if not any("0" <= name[:1] <= "9" or name == "__proto__" for name in columns):
        return lambda row: JsDict(zip(columns, row, strict=True))

    def ordered(row: Row) -> JsDict:
        named = dict(zip(columns, row, strict=True))
        named.pop("__proto__", None)
        return JsDict(property_order(named))

    return ordered
