"""Required: the arguments without which a method of the platform cannot be called.

Promises: a missing argument, or what should be a function and is none, is refused in the words
of workerd's binding layer (its jsg library; texts measured). Leaves to others: what is made of
the arguments that are there.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from emulator.errors import js_error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GLOBAL", "required"]

_F = TypeVar("_F", bound="Callable[..., Any]")

_FUNCTION = "function"
#: The class of JavaScript's global functions, in the platform's words.
GLOBAL = "ServiceWorkerGlobalScope"


def required(
    owner: str, *types: str, name: str | None = None, is_constructor: bool = False
) -> Callable[[_F], _F]:
    """Decorator: refuse calls that lack one of the first arguments.

    Args:
        owner: The platform's name of the class, or of the global scope.
        types: The platform's name of each argument's type; "function" must be callable.
        name: The platform's name of the method, if it is not the function's.
        is_constructor: It is the constructor `new`.
    """

    def decorate(function: _F) -> _F:
        method = name or function.__name__
        start = (
            f"Failed to construct '{owner}': constructor parameter"
            if is_constructor
            else f"Failed to execute '{method}' on '{owner}': parameter"
        )
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]
        own = names[:1] in (("self",), ("cls",))
        parameters = names[own : own + len(types)]
        count = own + len(types)
        functions = tuple(own + place for place, kind in enumerate(types) if kind == _FUNCTION)

        @wraps(function)
        def checked(*args: Any, **options: Any) -> Any:
            if len(args) < count or functions:
                for place, parameter in enumerate(parameters, own):
                    if place < len(args):
                        value = args[place]
                    elif parameter in options:
                        value = options[parameter]
                    else:
                        raise _refused(start, place - own, types)
                    if place in functions and not callable(value):
                        raise _refused(start, place - own, types)
            return function(*args, **options)

        return cast("_F", checked)

    return decorate


def _refused(start: str, place: int, types: tuple[str, ...]) -> Exception:
    return js_error("TypeError", f"{start} {place + 1} is not of type '{types[place]}'.")
