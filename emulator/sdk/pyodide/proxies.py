"""Proxies: what `create_proxy` gives to be handed to JavaScript.

Promises: a proxy does what its object does, until it is destroyed; then it refuses, as
Pyodide's does. Leaves to others: converting values (conversion).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.errors import JsException
from emulator.simulation.awaitables import is_awaitable
from emulator.web.js_dict import JsDict
from emulator.web.js_object import JsObject
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Proxy", "create_once_callable", "create_proxy", "destroy_proxies"]


class Proxy:
    """A Python object in JavaScript's hands.

    Args:
        value: The object.
    """

    def __init__(self, value: Any) -> None:
        self.__wrapped__ = value
        self._is_destroyed = False

    def unwrap(self) -> Any:
        """The object itself (Pyodide: JsDoubleProxy).

        Raises:
            JsException: If the proxy has been destroyed.
        """
        if self._is_destroyed:
            raise JsException("Object has already been destroyed")
        return self.__wrapped__

    def destroy(self) -> None:
        """Let the object go; JavaScript can no longer use it."""
        self._is_destroyed = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unwrap(), name)

    def __repr__(self) -> str:
        return f"<Proxy of {type(self.__wrapped__).__name__}>"


class _FunctionProxy(Proxy):
    """A proxy that is called."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.unwrap()(*arguments, **options)


@final
class _OnceProxy(_FunctionProxy):
    """A proxy that is called once."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self._is_destroyed:
            raise JsException("OnceProxy can only be called once")
        value = self.unwrap()
        self.destroy()
        return value(*arguments, **options)


@final
class _AwaitableProxy(Proxy):
    """A proxy that is awaited."""

    def __await__(self) -> Generator[Any, Any, Any]:
        awaited: Generator[Any, Any, Any] = self.unwrap().__await__()
        return awaited


@final
class _BytesProxy(Proxy):
    """A proxy of bytes."""

    def getBuffer(self, kind: str | None = None) -> JsDict:
        """The bytes as JavaScript sees them: `data`, and `release()`."""
        # A copy, so what is written to a bytearray later does not show in `data`.
        return JsDict(data=Uint8Array(self.unwrap()), release=_do_nothing)


def _do_nothing() -> None:
    """Release a buffer that holds nothing back."""


def create_proxy(obj: Any, /, *, capture_this: bool = False, roundtrip: bool = True) -> Any:
    """A proxy of an object, with `destroy()`; an object of the platform is its own.

    Args:
        obj: A function, an awaitable, bytes, or anything else.
        capture_this: Taken; there is no `this` here.
        roundtrip: Taken; the proxy stays one when it comes back.
    """
    if isinstance(obj, JsObject | JsDict | Proxy):
        return obj
    if isinstance(obj, bytes | bytearray | memoryview):
        return _BytesProxy(obj)
    if callable(obj):
        return _FunctionProxy(obj)
    return _AwaitableProxy(obj) if is_awaitable(obj) else Proxy(obj)


def create_once_callable(obj: Any, /) -> Any:
    """A proxy of a function that is destroyed by its first call."""
    return _OnceProxy(obj)


def destroy_proxies(pyproxies: Any, /) -> None:
    """Destroy each proxy of a list."""
    for proxy in pyproxies:
        if isinstance(proxy, Proxy):
            proxy.destroy()
