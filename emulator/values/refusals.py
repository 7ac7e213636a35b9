"""Refusals: which Python values are no data, and what the platform says about each.

Promises: the DataCloneError that worker code gets for a value that cannot be cloned, and
the answer to "does this cross a stub by reference?". No text holds a memory address.
Leaves to others: walking through values (serializer, clone).
"""

from __future__ import annotations

import inspect
import types

from emulator.errors import JsException, js_error

__all__ = ["not_supported", "passes_by_reference", "refusal"]

# Rooms whose objects cross a stub as themselves: bodies, Headers, Request, Response
# (Cloudflare docs, Workers RPC, "Structured clonable types, and more").
_WEB_ROOM = "emulator.web."
# Rooms of that house whose classes are no such objects.
_NOT_SENT = ("emulator.web.js_object", "emulator.web.search_params", "emulator.web.url")
_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
)


def _is_of_the_web(value: object) -> bool:
    rooms = (cls.__module__ for cls in type(value).__mro__)
    return any(room.startswith(_WEB_ROOM) and room not in _NOT_SENT for room in rooms)


def passes_by_reference(value: object) -> bool:
    """Whether a value crosses a stub as itself instead of as a copy.

    So do functions and other callables, classes, streams, Headers, Request, Response, and
    every object whose attribute `__rpc_passthrough__` is True.
    """
    if getattr(type(value), "__rpc_passthrough__", False) is True:
        return True
    if inspect.isawaitable(value):
        return False
    return callable(value) or _is_of_the_web(value)


def refusal(value: object) -> JsException:
    """The DataCloneError for a value that is no data.

    A Python object without a JavaScript counterpart reaches the platform as a proxy of its
    own, which no serializer takes; the text is the one for class instances. An object of the
    platform may bear its own text, in `__not_cloned__`.
    """
    own = getattr(type(value), "__not_cloned__", None)
    if own is not None:
        return js_error("DataCloneError", own)
    if inspect.isawaitable(value):
        return _could_not_be_cloned("#<Promise>")
    if isinstance(value, types.GeneratorType):
        return _could_not_be_cloned("[object Generator]")
    if isinstance(value, types.AsyncGeneratorType):
        return _could_not_be_cloned("[object AsyncGenerator]")
    if isinstance(value, type):
        return _could_not_be_cloned(f"class {value.__name__} {{ [native code] }}")
    if isinstance(value, _FUNCTIONS):
        # JavaScript quotes the source; this is how it quotes a function that has none.
        return _could_not_be_cloned(f"function {value.__name__}() {{ [native code] }}")
    name = type(value).__name__
    if name in ("Request", "Response") and getattr(value, "_content", None) is not None:
        name = "ReadableStream"  # Its body is what cannot be stored.
    if _is_of_the_web(value) and name in ("ReadableStream", "WritableStream"):
        # workerd: streams/readable.c++ and writable.c++, `serialize`.
        return js_error("DataCloneError", f"{name} can only be serialized for RPC.")
    return js_error("DataCloneError", not_supported(name))


def not_supported(name: str) -> str:
    """The platform's text for an object of one of its classes.

    Args:
        name: The class, by the platform's name.
    """
    return (
        f'Could not serialize object of type "{name}". '
        "This type does not support serialization."
    )


def _could_not_be_cloned(what: str) -> JsException:
    return js_error("DataCloneError", f"{what} could not be cloned.")
