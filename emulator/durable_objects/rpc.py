"""RPC: which methods a caller may reach, and how errors cross the stub.

Promises: a property is reachable if the class, or one of its bases short of the platform's
own, defines it; errors arrive as JavaScript errors do, by the rules of the world's
compatibility date. Leaves to others: carrying the call (the stub), running it (the
instance). Rules and texts are workerd's (worker-rpc.c++, jsg's error tunnelling).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from emulator.durable_objects.remote_properties import RemoteProperties
from emulator.errors import JsException, JsTypeError, js_error, meant
from emulator.values import serialized_size, serialized_size_at_most, structured_clone
from emulator.values.conversion import DOM_EXCEPTIONS, FLAGS, array_index

if TYPE_CHECKING:
    from emulator.durable_objects.rpc_rules import RpcRules

__all__ = ["carry_error", "check_message_size", "resolve"]

#: Names that the other side keeps to itself.
_RESERVED: Final = frozenset(
    {"alarm", "webSocketMessage", "webSocketClose", "webSocketError", "dup", "fetch",
     "connect", "constructor"}
)  # fmt: skip

#: Error classes that keep their class across a stub.
_BUILT_IN_ERRORS: Final = frozenset(
    {"Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError", "EvalError",
     "URIError", "AggregateError"}
)  # fmt: skip

_NO_RPC: Final = (
    "The receiving Durable Object does not support RPC, because its class was not declared "
    "with `extends DurableObject`. In order to enable RPC, make sure your class extends the "
    "special class `DurableObject`, which can be imported from the module "
    '"cloudflare:workers".'
)
_CAMEL_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def resolve(
    target: object, path: tuple[str, ...], *, is_entrypoint: bool
) -> tuple[Any, tuple[str, ...]]:
    """The value at `path` below an object, if a caller may reach it.

    A plain object gives what is in it, an object of a class what the class defines. Names
    in camelCase find a method in snake_case too, so that a worker written after a
    TypeScript interface answers to the same calls.

    Args:
        target: Where the path begins.
        path: Property names, outermost first.
        is_entrypoint: The target is an object or a worker, which keep some names to
            themselves.

    Returns:
        The value, and the names after it: a stub that lies on the way takes the rest.

    Raises:
        JsTypeError: If the class does not support RPC, the name is reserved, or there is
            no such property.
    """
    if is_entrypoint:
        if not getattr(type(target), "__workers_rpc__", False):
            raise JsTypeError(_NO_RPC)
        if path and path[0] in _RESERVED:
            message = f"'{path[0]}' is a reserved method and cannot be called over RPC."
            raise JsTypeError(message)
        if len(path) == 1:  # Nearly every call.
            return _own_property(target, path[0]), ()
    value: Any = target
    last = len(path) - 1
    for depth, name in enumerate(path):
        if isinstance(value, RemoteProperties):
            return value, path[depth:]
        if isinstance(value, dict):
            if name not in value:
                raise _missing(name)
            value = value[name]
        elif getattr(type(value), "__workers_rpc__", False):
            value = _own_property(value, name)
        else:
            raise _missing(name)
        if depth < last and not _has_properties(value):
            raise _missing(name)
    return value, ()


def _has_properties(value: object) -> bool:
    """Whether a caller may go into a value: only into objects and functions."""
    return (
        isinstance(value, (dict, RemoteProperties))
        or callable(value)
        or getattr(type(value), "__workers_rpc__", False)
    )


def _own_property(target: object, name: str) -> Any:
    for candidate in _spellings(name):
        if candidate.startswith("__"):
            break
        for owner in type(target).__mro__:
            if owner is object:
                break
            found = vars(owner).get(candidate)
            if found is None or "__workers_rpc__" in vars(owner):
                continue  # What the platform's own classes define is not the worker's.
            if isinstance(found, (staticmethod, classmethod)):
                break
            return getattr(target, candidate)
    raise _missing(name, type(target))


# There are few names, and each of them is called again and again.
@lru_cache(maxsize=1_000)
def _spellings(name: str) -> tuple[str, str]:
    return name, _CAMEL_HUMP.sub("_", name).lower()


def _missing(name: str, cls: type | None = None) -> JsTypeError:
    error = JsTypeError(f'The RPC receiver does not implement the method "{name}".')
    if cls is not None:
        base: type = next((o for o in cls.__mro__ if "__workers_rpc__" in vars(o)), object)
        methods = [known for known in dir(cls) if not hasattr(base, known)]
        hint = meant(name, methods) or f"; it has {', '.join(methods) or 'no methods'}"
        error.add_note(f"the class {cls.__name__} has no method {name!r}{hint}")
    return error


def check_message_size(message: Any, rules: RpcRules, name: str) -> None:
    """Refuse what is too large to cross, and count it.

    Args:
        message: The list of arguments, or a result.
        rules: How many bytes it may have on the wire.
        name: Who sends or receives it.

    Raises:
        JsException: With the platform's text.
    """
    bytes_max = rules.bytes_max
    size = serialized_size_at_most(message, limit_bytes=bytes_max)
    if size is None:
        size = serialized_size(message, has_enhanced_errors=rules.has_enhanced_errors)
    if size > rules.bytes_mark.most:
        rules.bytes_mark.saw(size, name)
    if size > bytes_max:
        text = (
            f"Serialized RPC arguments or return values are limited to {_told(bytes_max)}, "
            f"but the size of this value was: {size} bytes."
        )
        raise JsException(text)


def _told(bytes_max: int) -> str:
    whole = bytes_max // 2**20
    return f"{whole}MiB" if whole * 2**20 == bytes_max else f"{bytes_max} bytes"


def carry_error(
    error: BaseException, *, is_enhanced: bool, is_remote: bool = True
) -> JsException:
    """The error as the caller sees it.

    Args:
        error: What the method raised.
        is_enhanced: The compatibility date is 2026-04-21 or later
            (`enhanced_error_serialization`): name and own properties survive.
        is_remote: It comes from the other side of a stub.

    Returns:
        A new error, with `remote` if it is. `retryable` and `overloaded` survive, but of both
        only the latter without `is_enhanced`; with it all flags do.
    """
    is_platform = isinstance(error, JsException)
    name, message = _name_and_message(error)
    flags = {flag: getattr(error, flag, False) is True for flag in FLAGS}
    properties: dict[str, Any] = {}
    if is_platform and name in DOM_EXCEPTIONS:
        is_enhanced = False
    elif is_enhanced:
        try:
            # Data only: an error has no stubs in it.
            properties = structured_clone(
                _own_properties(error), for_storage=True, has_enhanced_errors=True
            )
        except JsException:
            is_enhanced = False  # What cannot be serialised crosses the old way.
    if not is_enhanced:
        is_retryable = flags["retryable"] and not flags["overloaded"]
        flags.update(retryable=is_retryable, remote=False, durableObjectReset=False)
        if name not in _BUILT_IN_ERRORS and not (is_platform and name in DOM_EXCEPTIONS):
            name, message = "Error", f"{name}: {message}" if message else name
    flags["remote"] |= is_remote
    carried = js_error(name, message, **flags)
    carried.properties = properties
    for note in getattr(error, "__notes__", ()):
        carried.add_note(note)
    return carried


def _name_and_message(error: BaseException) -> tuple[str, str]:
    if isinstance(error, JsException):
        return error.name, error.message
    name = type(error).__name__
    return "Error" if name == "Exception" else name, str(error)


def _own_properties(error: BaseException) -> dict[str, Any]:
    """What JavaScript would list as the error's own properties."""
    if isinstance(error, JsException):
        properties = dict(error.properties)
    else:
        properties = {name: value for name, value in vars(error).items() if name[0] != "_"}
    cause = error.__cause__
    if isinstance(cause, Exception):
        properties.setdefault("cause", cause)
    return {
        name: value
        for name, value in properties.items()
        if name not in FLAGS and array_index(name) is None
    }
