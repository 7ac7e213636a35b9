"""Remote properties: what a stub does with a name that it does not have itself.

Promises: a name is a property on the other side, which may be called, awaited, or gone into;
Python's own names are not. Leaves to others: sending (the stubs, here and on the real runtime).
Documented by Cloudflare, Workers RPC, promise pipelining.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

from emulator.values.refusals import not_supported
from emulator.web.js_object import JsConstructor, JsObject

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator

__all__ = ["RemoteProperties", "RpcProperty", "is_remote"]


class Sender(Protocol):
    """What can have something on the other side called or read."""

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> asyncio.Future[Any]: ...


class RemoteProperties(JsObject):
    """What stubs have in common."""

    __slots__ = ()

    @property
    def constructor(self) -> JsConstructor:
        """The stub's own class, which nobody may call."""
        return JsConstructor(getattr(self, "__js_class__", "Fetcher"))

    def __getattr__(self, name: str) -> RpcProperty:
        if not is_remote(name):
            message = f"{name!r} is no name for RPC: call a method without `__` in front"
            raise AttributeError(message)
        return RpcProperty(self, (name,))

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> asyncio.Future[Any]:
        """Call the method at the end of a path, or read the property there."""
        raise NotImplementedError


@final
class RpcProperty(JsObject):
    """A property on the other side: call it, await it, or go deeper."""

    __slots__ = ("_path", "_stub")

    __not_sent__ = not_supported("RpcProperty")
    __not_cloned__ = "#<RpcProperty> could not be cloned."

    def __init__(self, stub: Sender, path: tuple[str, ...]) -> None:
        self._stub = stub
        self._path = path

    def __getattr__(self, name: str) -> RpcProperty:
        if not is_remote(name):
            raise AttributeError(name)
        return RpcProperty(self._stub, (*self._path, name))

    def __call__(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        return self._stub._send(self._path, args, kwargs, is_call=True)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._stub._send(self._path, (), {}, is_call=False).__await__()

    def __repr__(self) -> str:
        return f"<RpcProperty {'.'.join(self._path)} of {self._stub!r}>"


def is_remote(name: str) -> bool:
    """Whether a property is looked up on the other side: Python's own are not."""
    return name != "then" and not name.startswith("__")
