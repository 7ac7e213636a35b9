"""JsDict: what a JavaScript object looks like to Python worker code.

Promises: a dict whose keys are also attributes, as in Cloudflare's `workers` package
(rpc.py). A key that bears the name of a dict method is reached by subscript only, and so is
one of the names that Pyodide gives an object (`constructor`, `to_py`, `object_keys` and kin).
Leaves to others: which objects become one (the clone, the bindings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JsDict"]


@final
class JsDict(dict[str, Any]):
    """A dict with attribute access, for results, options and cloned objects."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    # -- as Pyodide shows an object that has not been converted --------------------------------

    @property
    def constructor(self) -> Any:
        """The class of the object, whose name is "Object"."""
        from emulator.web.js_object import JsConstructor

        return JsConstructor("Object")

    def to_py(
        self, *, depth: int = -1, default_converter: Callable[..., Any] | None = None
    ) -> Any:
        """A plain dict; what is in it is converted as well."""
        from emulator.web.js_object import to_py

        return to_py(self, depth=depth, default_converter=default_converter)

    def object_keys(self) -> Any:
        """The names, as an Array."""
        return _array(self)

    def object_values(self) -> Any:
        """The values, as an Array."""
        return _array(self.values())

    def object_entries(self) -> Any:
        """Names and values, as an Array of Arrays."""
        return _array(map(_array, self.items()))


def _array(items: Any) -> Any:
    from emulator.web.js_object import JsArray

    return JsArray(items)
