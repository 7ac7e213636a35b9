"""RPC: which methods a caller may reach, and how errors cross the stub.

Promises: a property is reachable if the class, or one of its bases short of the platform's
own, defines it; errors arrive as JavaScript errors do, by the rules of the world's
compatibility date. Leaves to others: carrying the call (the stub), running it (the
instance). Rules and texts are workerd's (worker-rpc.c++, jsg's error tunnelling).
"""

from __future__ import annotations

import re
from typing import Any, Final

from emulator.errors import JsException, JsTypeError, js_error

__all__ = ["BUILT_IN_ERRORS", "carry_error", "resolve"]

#: Names that the other side keeps to itself.
_RESERVED: Final = frozenset(
    {"alarm", "webSocketMessage", "webSocketClose", "webSocketError", "dup", "fetch",
     "connect", "constructor"}
)  # fmt: skip

#: Error classes that keep their class across a stub.
BUILT_IN_ERRORS: Final = frozenset(
    {"Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError", "EvalError",
     "URIError", "AggregateError", "DataCloneError"}
)  # fmt: skip

_NO_RPC: Final = (
    "The receiving Durable Object does not support RPC, because its class was not declared "
    "with `extends DurableObject`. In order to enable RPC, make sure your class extends the "
    "special class `DurableObject`, which can be imported from the module "
    '"cloudflare:workers".'
)
_CAMEL_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def resolve(target: object, path: tuple[str, ...]) -> Any:
    """The value at `path` below an object, if a caller may reach it.

    Names in camelCase find a method in snake_case too, so that a worker written after a
    TypeScript interface answers to the same calls.

    Args:
        target: The object behind the stub.
        path: Property names, outermost first.

    Raises:
        JsTypeError: If the class does not support RPC, the name is reserved, or there is
            no such property.
    """
    if not getattr(type(target), "__workers_rpc__", False):
        raise JsTypeError(_NO_RPC)
    value: Any = target
    for depth, name in enumerate(path):
        if depth == 0:
            value = _own_property(target, name)
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise _missing(name)
    return value


def _own_property(target: object, name: str) -> Any:
    if name in _RESERVED:
        message = f"'{name}' is a reserved method and cannot be called over RPC."
        raise JsTypeError(message)
    for candidate in (name, _CAMEL_HUMP.sub("_", name).lower()):
        if candidate.startswith("__"):
            break
        for owner in type(target).__mro__:
            if owner is object or "__workers_rpc__" in vars(owner):
                break
            found = vars(owner).get(candidate)
            if found is None:
                continue
            if isinstance(found, (staticmethod, classmethod)):
                break
            return getattr(target, candidate)
    raise _missing(name)


def _missing(name: str) -> JsTypeError:
    return JsTypeError(f'The RPC receiver does not implement the method "{name}".')


def carry_error(error: BaseException, *, is_enhanced: bool) -> JsException:
    """The error as the caller sees it.

    Args:
        error: What the method raised.
        is_enhanced: The compatibility date is 2026-04-21 or later
            (`enhanced_error_serialization`): name and own properties survive.

    Returns:
        A new error with `remote` set; `retryable` and `overloaded` survive.
    """
    if isinstance(error, JsException):
        name, message, properties = error.name, error.message, dict(error.properties)
        overloaded, retryable = error.overloaded, error.retryable and not error.overloaded
    else:
        name, message = type(error).__name__, str(error)
        name = "Error" if name == "Exception" else name
        properties = {k: v for k, v in vars(error).items() if not k.startswith("_")}
        overloaded = retryable = False
    if name not in BUILT_IN_ERRORS and not is_enhanced:
        name, message = "Error", f"{name}: {message}"
    carried = js_error(name, message, remote=True, retryable=retryable, overloaded=overloaded)
    if is_enhanced:
        carried.properties = properties
    return carried
