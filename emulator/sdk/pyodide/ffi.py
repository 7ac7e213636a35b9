"""`pyodide.ffi`: the bridge between Python and JavaScript, where there is no gap to bridge.

Promises: code written for the bridge runs: `to_js` converts as it does there, a proxy does
what its object does, and `isinstance` tells the platform's objects from Python's. Leaves to
others: the conversions (conversion), the proxies (proxies).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from emulator.errors import JsException, SimulationEscape
from emulator.sdk.pyodide.conversion import ConversionError, to_js
from emulator.sdk.pyodide.proxies import (
    Proxy,
    create_once_callable,
    create_proxy,
    destroy_proxies,
)
from emulator.simulation.awaitables import is_awaitable
from emulator.values.js_map import JsMap as _JsMap
from emulator.web.js_object import JsArray as _JsArray
from emulator.web.js_object import JsObject
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ConversionError",
    "JsArray",
    "JsAsyncIterable",
    "JsBuffer",
    "JsCallable",
    "JsDoubleProxy",
    "JsException",
    "JsIterable",
    "JsMap",
    "JsMutableMap",
    "JsPromise",
    "JsProxy",
    "JsTypedArray",
    "can_run_sync",
    "create_once_callable",
    "create_proxy",
    "destroy_proxies",
    "jsnull",
    "run_sync",
    "to_js",
]

#: JavaScript's null, which is Python's None everywhere here.
jsnull = None

_OBJECTS = (JsObject, _JsMap, JsException, Proxy)


class _Kind(type):
    """Decides by what an object is, since none is made of these classes (as in Pyodide)."""

    def __instancecheck__(cls, instance: object) -> bool:
        holds: Callable[[object], bool] = cls.holds  # type: ignore[attr-defined]
        return holds(instance)


class JsProxy(metaclass=_Kind):
    """Any object of JavaScript.

    Not so a JsDict: what bindings answer with is one, and on Cloudflare it has been
    converted for Python. `to_py()` works on it all the same.
    """

    @staticmethod
    def holds(value: object) -> bool:
        """Whether the value is one; so in the other classes."""
        return isinstance(value, _OBJECTS)

    def __new__(cls, *arguments: Any, **options: Any) -> NoReturn:
        raise TypeError(f"{cls.__name__} cannot be instantiated.")


class JsDoubleProxy(JsProxy):
    """A proxy of a Python object, as `create_proxy` gives it."""

    @staticmethod
    def holds(value: object) -> bool:
        """Whether it is a proxy."""
        return isinstance(value, Proxy)


class JsPromise(JsProxy):
    """What a call of the platform gives, to be awaited."""

    @staticmethod
    def holds(value: object) -> bool:
        """Whether it can be awaited."""
        return is_awaitable(value)


class JsCallable(JsProxy):
    """A function."""

    @staticmethod
    def holds(value: object) -> bool:
        """Whether it can be called."""
        return callable(value)


class JsBuffer(JsProxy):
    """Bytes: an ArrayBuffer or a view of one."""

    @staticmethod
    def holds(value: object) -> bool:
        """Whether it is a Uint8Array."""
        return isinstance(value, Uint8Array)


class JsTypedArray(JsBuffer):
    """A view of bytes."""


class JsArray(JsProxy):
    """An Array."""

    @staticmethod
    def holds(value: object) -> bool:
        """Whether it is an Array."""
        return isinstance(value, _JsArray)


class JsMap(JsProxy):
    """A Map."""

    @staticmethod
    def holds(value: object) -> bool:
        """Whether it is a Map."""
        return isinstance(value, _JsMap)


class JsMutableMap(JsMap):
    """A Map that can be changed, as each can."""


class JsIterable(JsProxy):
    """An object that can be iterated."""

    @staticmethod
    def holds(value: object) -> bool:
        """Whether it is an object, and can be."""
        return isinstance(value, _OBJECTS) and isinstance(value, Iterable)


class JsAsyncIterable(JsProxy):
    """An object that can be iterated with `async for`, such as a ReadableStream."""

    @staticmethod
    def holds(value: object) -> bool:
        """Whether it is an object, and can be."""
        return isinstance(value, _OBJECTS) and isinstance(value, AsyncIterable)


def can_run_sync() -> bool:
    """Whether `run_sync` works: never here."""
    return False


def run_sync(awaitable: Any, /) -> NoReturn:
    """Pyodide's stack switching, which CPython cannot do.

    Raises:
        SimulationEscape: Always.
    """
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
    message = (
        "pyodide.ffi.run_sync() switches stacks, which CPython cannot do: make the function "
        "async, and put `await` before what it waits for"
    )
    raise SimulationEscape(message)
