"""JsDict: what a JavaScript object looks like to Python worker code.

Promises: a dict whose keys are also attributes, as in Cloudflare's `workers` package
(rpc.py). A key that bears the name of a dict method is reached by subscript only.
Leaves to others: which objects become one (the clone, the bindings).
"""

from __future__ import annotations

from typing import Any, final

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
