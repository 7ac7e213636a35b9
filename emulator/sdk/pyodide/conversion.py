"""Conversion: from Python's data to JavaScript's, as Pyodide's `to_js` does it.

Promises: a copy, by Pyodide's rules: lists and tuples become Arrays, dicts become Maps
unless `dict_converter` makes something else of them, bytes become a Uint8Array. Leaves to
others: the way back (`to_py` of the objects), copying for storage and RPC (the clone).
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final, final

from emulator.values.conversion import typed_array, view_of
from emulator.values.js_map import JsMap
from emulator.web.js_dict import JsDict
from emulator.web.js_object import JsArray, JsObject

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ConversionError", "to_js"]

#: JavaScript's values and objects already, or what both sides have.
_AS_THEY_ARE: Final = (str, int, float, bool, type(None), JsObject, JsDict, JsMap)
_BUFFERS: Final = (bytes, bytearray, memoryview, array)


class ConversionError(Exception):
    """Something has no JavaScript value, and `create_pyproxies=False` refuses a proxy."""


def to_js(
    obj: Any,
    /,
    *,
    depth: int = -1,
    pyproxies: Any = None,
    create_pyproxies: bool = True,
    dict_converter: Callable[..., Any] | None = None,
    default_converter: Callable[..., Any] | None = None,
    eager_converter: Callable[..., Any] | None = None,
) -> Any:
    """The JavaScript value of a Python one.

    Args:
        obj: Anything.
        depth: How many levels of containers are converted; -1 is all of them.
        pyproxies: Taken; no proxy here need be destroyed.
        create_pyproxies: Whether what cannot be converted goes along as it is.
        dict_converter: Makes an object of pairs, as `Object.fromEntries` does. Without it
            a dict becomes a Map, which no option of the platform takes.
        default_converter: Called with (value, convert, cache) for what has no value of its
            own in JavaScript.
        eager_converter: The same, called before any other conversion.

    Raises:
        ConversionError: With `create_pyproxies=False`, for what has none.
    """
    return _Converter(
        dict_converter, default_converter, eager_converter, makes_proxies=create_pyproxies
    ).convert(obj, depth)


@final
class _Converter:
    """One conversion, and the containers it is inside of."""

    def __init__(
        self,
        dict_converter: Callable[..., Any] | None,
        default_converter: Callable[..., Any] | None,
        eager_converter: Callable[..., Any] | None,
        *,
        makes_proxies: bool,
    ) -> None:
        self._dict_converter = dict_converter
        self._default_converter = default_converter
        self._eager_converter = eager_converter
        self._makes_proxies = makes_proxies
        # A cycle leads back to a container above, so no other copies need be known.
        self._above: list[tuple[Any, Any]] = []

    def convert(self, value: Any, depth: int = -1) -> Any:
        """The value of one value."""
        if self._eager_converter is not None:
            return self._eager_converter(
                value, lambda item: self._convert(item, depth), self._remember
            )
        return self._convert(value, depth)

    def _convert(self, value: Any, depth: int) -> Any:
        if isinstance(value, _AS_THEY_ARE):
            return value
        if isinstance(value, _BUFFERS):
            view = view_of(value)
            assert view is not None
            return typed_array(*view)
        if isinstance(value, list | tuple | dict | set | frozenset):
            return value if depth == 0 else self._container(value, depth - 1)
        return self._other(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        for original, copy in self._above:
            if original is value:
                return copy
        if isinstance(value, set | frozenset):
            return {self.convert(item, depth) for item in value}
        is_dict = isinstance(value, dict)
        result: Any = JsMap() if is_dict else JsArray()
        self._above.append((value, result))
        try:
            if not is_dict:
                result.extend(self.convert(item, depth) for item in value)
                return result
            pairs = [JsArray((key, self.convert(item, depth))) for key, item in value.items()]
        finally:
            self._above.pop()
        if self._dict_converter is not None:
            return self._dict_converter(pairs)
        result.update(pairs)
        return result

    def _other(self, value: Any, depth: int) -> Any:
        if self._default_converter is not None:
            return self._default_converter(
                value, lambda item: self.convert(item, depth), self._remember
            )
        if self._makes_proxies or callable(value):
            return value
        message = f"No conversion known for {value!r} of type {type(value).__name__!r}"
        raise ConversionError(message)

    def _remember(self, value: Any, result: Any) -> None:
        """A converter tells what it is about to make, for a value within itself."""
        self._above.append((value, result))
