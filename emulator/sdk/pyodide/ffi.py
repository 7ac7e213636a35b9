"""`pyodide.ffi`: the bridge between Python and JavaScript, where there is no gap to bridge.

Promises: code written for the bridge runs: conversions give back what they were handed.
Leaves to others: the copying that real conversions do at the next call (structured clone).
"""

from __future__ import annotations

from typing import Any, final

from emulator.errors import JsException

__all__ = [
    "JsException",
    "JsProxy",
    "create_once_callable",
    "create_proxy",
    "destroy_proxies",
    "jsnull",
    "to_js",
]

#: JavaScript's null, which is Python's None everywhere here.
jsnull = None


@final
class JsProxy:
    """The class of JavaScript's objects; nothing here is one, so `isinstance` is False."""


def to_js(value: Any, **options: Any) -> Any:
    """The value itself; options such as `dict_converter` have nothing to convert."""
    return value


def create_proxy(value: Any, **options: Any) -> Any:
    """The value itself: nothing here is collected behind Python's back."""
    return value


def create_once_callable(value: Any, **options: Any) -> Any:
    """The function itself."""
    return value


def destroy_proxies(proxies: Any) -> None:
    """Nothing: the proxies are the values themselves."""
