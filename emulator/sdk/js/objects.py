"""Object, Array, Map and Set: JavaScript's own containers, as Python's.

Promises: what `new` and the functions of these classes make is a dict, list or set of
Python with the names that JavaScript code expects. Leaves to others: everything that a
Python program would do with Python's own methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, final

from emulator.values.conversion import property_order
from emulator.values.js_map import JsMap
from emulator.web.js_dict import JsDict
from emulator.web.js_object import JsArray

__all__ = ["Array", "Map", "Object", "Set"]


def _pairs(entries: Any) -> Iterable[tuple[Any, Any]]:
    return list(entries.items()) if isinstance(entries, Mapping) else entries


@final
class _Object:
    """`Object`, as `to_js` is given it: `dict_converter=Object.fromEntries`."""

    def new(self, value: Any = None, **properties: Any) -> JsDict:
        """An object of these properties."""
        return JsDict({**(value or {}), **properties})

    def fromEntries(self, entries: Any) -> JsDict:
        """An object of these names and values."""
        return JsDict((str(name), value) for name, value in _pairs(entries))

    def keys(self, value: dict[str, Any]) -> JsArray:
        """Its names."""
        return JsArray(name for name, _ in property_order(value))

    def values(self, value: dict[str, Any]) -> JsArray:
        """Its values."""
        return JsArray(item for _, item in property_order(value))

    def entries(self, value: dict[str, Any]) -> JsArray:
        """Its names and values."""
        return JsArray(map(JsArray, property_order(value)))

    def assign(self, target: dict[str, Any], *sources: Any) -> dict[str, Any]:
        """Copy the properties of the sources to the target, and give the target."""
        for source in sources:
            target.update(source or {})
        return target


@final
class _Array:
    """`Array`."""

    def new(self, *items: Any) -> JsArray:
        """An Array of these; one whole number is its length."""
        if len(items) == 1 and isinstance(items[0], int) and not isinstance(items[0], bool):
            return JsArray([None] * items[0])
        return JsArray(items)

    def of(self, *items: Any) -> JsArray:
        """An Array of these."""
        return JsArray(items)

    def from_(self, items: Iterable[Any], convert: Any = None) -> JsArray:
        """An Array of what can be iterated (Pyodide's spelling of `Array.from`)."""
        if convert is None:
            return JsArray(items)
        return JsArray(convert(item, index) for index, item in enumerate(items))

    def isArray(self, value: Any) -> bool:
        """Whether it is an Array, for which a list of Python stands."""
        return isinstance(value, list | tuple)


@final
class _Map:
    """`Map`."""

    def new(self, entries: Any = ()) -> JsMap:
        """A Map of these keys and values."""
        return JsMap(_pairs(entries or ()))


@final
class _Set:
    """`Set`."""

    def new(self, items: Iterable[Any] = ()) -> set[Any]:
        """A set of these."""
        return set(items or ())


Object = _Object()
Array = _Array()
Map = _Map()
Set = _Set()
