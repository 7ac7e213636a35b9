"""Members: what a name after a dot is on the emulator, and the target that programs call.

Promises: a member is looked up as JavaScript does, with the words of V8 where there is nothing
to look at. Leaves to others: calling it (operations).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.arguments import js_string
from emulator.durable_objects.rpc_target import RpcTarget
from emulator.errors import JsRangeError, JsTypeError
from emulator.values import JsMap, undefined

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Target", "member_of"]


@final
class Target(RpcTarget):
    """Something to call by RPC, with a state of its own.

    Args:
        disposed: Called when its last stub is disposed of.
    """

    def __init__(self, disposed: Callable[[], object]) -> None:
        self._count = 0
        self._disposed = disposed

    def inc(self, by: int = 1) -> int:
        """Add to its number, which is the result."""
        self._count += by
        return self._count

    @property
    def n(self) -> int:
        """Its number."""
        return self._count

    def boom(self) -> None:
        """Fail."""
        message = "target boom"
        raise JsRangeError(message)

    def __dispose__(self) -> None:
        """Its last stub is gone."""
        self._disposed()


def member_of(target: Any, name: str) -> Any:
    """A member of anything; undefined if there is none."""
    if target is None or target is undefined:
        kind = "null" if target is None else "undefined"
        message = f"Cannot read properties of {kind} (reading '{name}')"
        raise JsTypeError(message)
    if isinstance(target, dict) and name in target:
        return target[name]
    if name.isdigit() and isinstance(target, (list, tuple)):
        return target[int(name)] if int(name) < len(target) else undefined
    if name == "length" and isinstance(target, (list, str, bytes)):
        return len(target)
    if name == "size" and isinstance(target, (JsMap, set)):
        return len(target)
    if name == "toString" and not hasattr(type(target), "toString"):
        return lambda: js_string(target)
    return getattr(target, name, undefined)
