"""JsMap: a JavaScript Map as Python sees it.

Promises: a dict that is written as a Map whatever its keys are, so that a Map of strings
which was read from storage is a Map again when it is put back.
Leaves to others: plain dicts (objects if every key is a string, else Maps).
"""

from __future__ import annotations

from typing import Any, final

__all__ = ["JsMap"]


@final
class JsMap(dict[Any, Any]):
    """A dict that crosses as a JavaScript Map, in insertion order."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"JsMap({super().__repr__()})"
