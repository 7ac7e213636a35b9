"""JSON: text as JavaScript writes and reads it.

Promises: no spaces unless asked for, text as it is, `1` for 1.0, null for NaN, nothing for
undefined and for functions, properties in JavaScript's order; what was parsed has
attributes, and `to_py()`. Leaves to others: JSON of Python code (the module `json`).
"""

from __future__ import annotations

import json
import math
from array import array
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import js_error
from emulator.sdk.js.date import iso_text
from emulator.values import undefined
from emulator.values.conversion import SAFE_INTEGER_MAX, property_order
from emulator.values.js_map import JsMap
from emulator.web.js_dict import JsDict
from emulator.web.js_object import JsArray

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["JSON", "number_text"]

_NOTHING: Final = object()
_BYTES: Final = (bytes, bytearray, memoryview, array)
_INDENT_MAX: Final = 10  # ECMA-262, JSON.stringify.


def number_text(value: float) -> str:
    """A finite number as JavaScript writes it (ECMA-262, Number::toString)."""
    _, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    point = len(text) + exponent
    sign = "-" if value < 0 else ""
    if text == "0":
        return "0"
    if 0 < point <= 21:
        whole, fraction = text[:point].ljust(point, "0"), text[point:]
        return f"{sign}{whole}.{fraction}" if fraction else sign + whole
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{text}"
    mantissa = f"{text[0]}.{text[1:]}" if len(text) > 1 else text
    return f"{sign}{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"


@final
class _Writer:
    """One `stringify`."""

    def __init__(self, replacer: Any, indent: str) -> None:
        self._replace = replacer if callable(replacer) else None
        self._allowed = (
            None if replacer is None or self._replace is not None else {*map(str, replacer)}
        )
        self._indent = indent
        self._above: list[Any] = []

    def write(self, key: str, value: Any) -> Any:
        """The text of a value, or `_NOTHING` for one that has none."""
        to_json = None if isinstance(value, dict) else getattr(value, "toJSON", None)
        if to_json is not None:
            value = to_json(key)
        if self._replace is not None:
            value = self._replace(key, value)
        if value is None or isinstance(value, bool):
            return "null" if value is None else str(value).lower()
        if isinstance(value, str):
            return _quoted(value)
        if isinstance(value, int):
            if abs(value) > SAFE_INTEGER_MAX:
                raise js_error("TypeError", "Do not know how to serialize a BigInt")
            return str(int(value))
        if isinstance(value, float):
            return number_text(value) if math.isfinite(value) else "null"
        if isinstance(value, datetime):
            return _quoted(iso_text(value))
        if value is undefined or callable(value):
            return _NOTHING
        return self._container(value)

    def _container(self, value: Any) -> str:
        if any(other is value for other in self._above):
            text = "Converting circular structure to JSON"
            raise js_error("TypeError", text)
        self._above.append(value)
        try:
            if isinstance(value, list | tuple):
                return self._array(value)
            return self._object(_properties(value))
        finally:
            self._above.pop()

    def _array(self, value: Iterable[Any]) -> str:
        items = [self.write(str(index), item) for index, item in enumerate(value)]
        return self._joined("[", ["null" if item is _NOTHING else item for item in items], "]")

    def _object(self, properties: Iterable[tuple[Any, Any]]) -> str:
        colon = ": " if self._indent else ":"
        items = []
        for key, item in properties:
            if self._allowed is not None and str(key) not in self._allowed:
                continue
            text = self.write(str(key), item)
            if text is not _NOTHING:
                items.append(f"{_quoted(str(key))}{colon}{text}")
        return self._joined("{", items, "}")

    def _joined(self, opening: str, items: list[str], closing: str) -> str:
        if not self._indent or not items:
            return f"{opening}{','.join(items)}{closing}"
        inner = "\n" + self._indent * len(self._above)
        outer = "\n" + self._indent * (len(self._above) - 1)
        return f"{opening}{inner}{f',{inner}'.join(items)}{outer}{closing}"


def _properties(value: Any) -> Iterable[tuple[Any, Any]]:
    """The properties that JavaScript sees. Maps, Sets and the platform's objects have none."""
    if isinstance(value, dict) and not isinstance(value, JsMap):
        return property_order({str(key): item for key, item in value.items()})
    if isinstance(value, _BYTES):
        return enumerate(value)
    return ()


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    if any("\ud800" <= letter <= "\udfff" for letter in quoted):
        # ECMA-262, QuoteJSONString: half of a surrogate pair is written as an escape.
        return "".join(f"\\u{ord(c):x}" if "\ud800" <= c <= "\udfff" else c for c in quoted)
    return quoted


def _as_arrays(value: Any) -> Any:
    """What was parsed, with its lists as Arrays."""
    if isinstance(value, list):
        return JsArray(map(_as_arrays, value))
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, list | dict):
                value[key] = _as_arrays(item)
    return value


@final
class _Json:
    """`JSON`."""

    def parse(self, text: str, reviver: Any = None) -> Any:
        """The value; objects have attributes.

        Args:
            text: JSON.
            reviver: Called with (key, value) from the inside out; what it gives is taken.

        Raises:
            JsException: SyntaxError, if it is none.
        """
        try:
            value = _as_arrays(json.loads(text, object_hook=JsDict))
        except ValueError as error:
            raise js_error("SyntaxError", f"{error} in JSON") from None
        return value if reviver is None else _revived("", value, reviver)

    def stringify(self, value: Any, replacer: Any = None, space: Any = None) -> Any:
        """The text, or undefined for a value that JSON does not have.

        Args:
            value: Python and JavaScript values. A Map is `{}`, as in JavaScript.
            replacer: Called with (key, value) for what to write; or the names to write.
            space: What to indent by: a text, or a number of spaces up to 10.

        Raises:
            JsTypeError: For a BigInt, and for a value within itself.
        """
        indent = space if isinstance(space, str) else " " * min(int(space or 0), _INDENT_MAX)
        text = _Writer(replacer, indent[:_INDENT_MAX]).write("", value)
        return undefined if text is _NOTHING else text


def _revived(key: str, value: Any, reviver: Any) -> Any:
    entries: Any = ()
    if isinstance(value, list):
        entries = enumerate(list(value))
    elif isinstance(value, dict):
        entries = list(value.items())
    for name, item in entries:
        new = _revived(str(name), item, reviver)
        if new is undefined and isinstance(value, dict):
            del value[name]
        else:
            value[name] = new
    return reviver(key, value)


JSON = _Json()
