"""JsMap: a JavaScript Map as Python sees it.

Promises: a dict that is written as a Map whatever its keys are, so that a Map of strings
which was read from storage is a Map again when it is put back.
Leaves to others: plain dicts (objects if every key is a string, else Maps).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.web.js_object import JsObject, to_py

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JsMap"]


@final
class JsMap(JsObject, dict[Any, Any]):
    """A dict that crosses as a JavaScript Map, in insertion order."""

    __slots__ = ()

    __js_class__ = "Map"

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self)

    def has(self, key: Any) -> bool:
        """Whether there is an entry of this key."""
        return key in self

    def set(self, key: Any, value: Any) -> JsMap:
        """Set an entry, and give the Map."""
        self[key] = value
        return self

    def delete(self, key: Any) -> bool:
        """Remove an entry, and tell whether there was one."""
        has = key in self
        self.pop(key, None)
        return has

    def to_py(
        self, *, depth: int = -1, default_converter: Callable[..., Any] | None = None
    ) -> Any:
        """A plain dict; what is in it is converted as well."""
        return to_py(self, depth=depth, default_converter=default_converter)

    def __repr__(self) -> str:
        return f"JsMap({super().__repr__()})"
