"""Remote properties: what a stub does with a name that it does not have itself.

Promises: a name is a property on the other side, which may be called, awaited, or gone into;
Python's own names are not. Leaves to others: sending (the stubs, here and on the real runtime).
Documented by Cloudflare, Workers RPC, promise pipelining.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import JsTypeError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator

__all__ = ["RemoteProperties", "RpcProperty"]

PATH_DEPTH_MAX: Final = 64


class RemoteProperties:
    """What stubs have in common."""

    __slots__ = ()

    def __getattr__(self, name: str) -> RpcProperty:
        if not _is_remote(name):
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
class RpcProperty:
    """A property on the other side: call it, await it, or go deeper."""

    __slots__ = ("_path", "_stub")

    def __init__(self, stub: RemoteProperties, path: tuple[str, ...]) -> None:
        self._stub = stub
        self._path = path

    def __getattr__(self, name: str) -> RpcProperty:
        if not _is_remote(name):
            raise AttributeError(name)
        if len(self._path) >= PATH_DEPTH_MAX:
            message = "RPC pipelined property path is too deep (max 64)."
            raise JsTypeError(message)
        return RpcProperty(self._stub, (*self._path, name))

    def __call__(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        return self._stub._send(self._path, args, kwargs, is_call=True)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._stub._send(self._path, (), {}, is_call=False).__await__()

    def __repr__(self) -> str:
        return f"<RpcProperty {'.'.join(self._path)} of {self._stub!r}>"


def _is_remote(name: str) -> bool:
    """Whether a property is looked up on the other side: Python's own are not."""
    return name != "then" and not name.startswith("__")
