"""JsObject: what every object of the platform answers to, whatever its class.

Promises: the names that Pyodide gives a JavaScript object in Python: its `constructor`, by
which Cloudflare's `workers` package tells the classes apart, and `to_py`. Leaves to others:
everything that is the class's own.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NoReturn, final

from emulator.errors import js_error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JsArray", "JsConstructor", "JsObject", "options_of", "to_py"]


@final
class JsConstructor:
    """The class of an object, as JavaScript code asks for it.

    Args:
        name: The platform's name of the class.
        refusal: What V8 says to who calls it.
    """

    __slots__ = ("_refusal", "name")

    def __init__(self, name: str, refusal: str = "Illegal constructor") -> None:
        self.name = name
        self._refusal = refusal

    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise js_error("TypeError", self._refusal)

    def __repr__(self) -> str:
        return f"[Function: {self.name}]"


_constructors: dict[type, JsConstructor] = {}


class JsObject:
    """Base of the platform's objects.

    A class whose name on the platform is another has it as `__js_class__`.
    """

    __slots__ = ()

    @property
    def constructor(self) -> JsConstructor:
        """The class, whose `name` is the platform's."""
        cls = type(self)
        found = _constructors.get(cls)
        if found is None:
            name = getattr(cls, "__js_class__", cls.__name__)
            found = _constructors[cls] = JsConstructor(name)
        return found

    def to_py(
        self, *, depth: int = -1, default_converter: Callable[..., Any] | None = None
    ) -> Any:
        """What the converter makes of the object; without one it stays what it is."""
        if default_converter is None:
            return self
        return default_converter(self, lambda value: value, lambda value, result: None)


@final
class JsArray(JsObject, list[Any]):
    """A list with the names of an Array, where JavaScript code made it."""

    __slots__ = ()

    __js_class__ = "Array"

    @property
    def length(self) -> int:
        """The number of elements."""
        return len(self)

    def push(self, *values: Any) -> int:
        """Add elements, and give the new length."""
        self.extend(values)
        return len(self)

    def to_py(
        self, *, depth: int = -1, default_converter: Callable[..., Any] | None = None
    ) -> Any:
        """A plain list; what is in it is converted as well."""
        return to_py(self, depth=depth, default_converter=default_converter)

    def __repr__(self) -> str:
        return list.__repr__(self)


def options_of(
    value: Any, owner: str, expected: str, method: str | None = None
) -> dict[str, Any]:
    """The options that an object holds, which is the second argument; None holds none.

    Args:
        value: The argument.
        owner: The class that is asked, in the platform's words.
        expected: The type that the argument should have.
        method: The method that is asked; None is the constructor.

    Raises:
        JsTypeError: If it holds no options (measured).

    Warns:
        UserWarning: For a Map, which has no properties: it is what `to_js` makes of a dict.
    """
    if value is None:
        return {}
    if getattr(type(value), "__js_class__", None) == "Map":
        message = (
            "these options are a Map, of which the platform reads nothing: call "
            "to_js(options, dict_converter=Object.fromEntries), or give them as keywords"
        )
        warnings.warn(message, stacklevel=3)
        return {}
    if isinstance(value, dict):
        return dict(value)
    start = (
        f"Failed to construct '{owner}': constructor parameter"
        if method is None
        else f"Failed to execute '{method}' on '{owner}': parameter"
    )
    raise js_error("TypeError", f"{start} 2 is not of type '{expected}'.")


def to_py(
    value: Any, *, depth: int = -1, default_converter: Callable[..., Any] | None = None
) -> Any:
    """A JavaScript value as plain Python data (Pyodide: `JsProxy.to_py`).

    Args:
        value: Objects and Maps become dicts, Arrays lists; Python's own stay as they are.
        depth: How many levels are converted; -1 is all of them.
        default_converter: Called with (value, convert, cache) for any other object.
    """
    return _to_py(value, depth, default_converter, ())


def _to_py(
    value: Any,
    depth: int,
    default_converter: Callable[..., Any] | None,
    above: tuple[tuple[Any, Any], ...],
) -> Any:
    if depth == 0:
        return value
    if isinstance(value, dict | list):
        # A cycle leads back to a container above, so no other copies need be known.
        for original, copy in above:
            if original is value:
                return copy
        if isinstance(value, dict):
            names: dict[Any, Any] = {}
            within = (*above, (value, names))
            for key, item in value.items():
                names[key] = _to_py(item, depth - 1, default_converter, within)
            return names
        items: list[Any] = []
        within = (*above, (value, items))
        items.extend(_to_py(item, depth - 1, default_converter, within) for item in value)
        return items
    if isinstance(value, JsObject):
        return value.to_py(depth=depth, default_converter=default_converter)
    return value
