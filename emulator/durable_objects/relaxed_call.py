"""The relaxed call: a handler takes as many of its arguments as it names.

Promises: `async def alarm(self)` and `async def alarm(self, info)` are both handlers, as
under Pyodide, whose `callRelaxed` drops what a Python function does not take. Leaves to
others: which handler, and its arguments.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["note_arguments", "relaxed_call"]


def relaxed_call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with as many of the arguments, from the first on, as it takes."""
    code = getattr(function, "__code__", None)
    if code is not None and not code.co_flags & inspect.CO_VARARGS:
        # A plain function or method, which is nearly every handler: its code tells.
        count = code.co_argcount - (getattr(function, "__self__", None) is not None)
        return function(*arguments[:count])
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return function(*arguments)
    count = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    return function(*arguments[:count])


def note_arguments(
    error: TypeError, function: Callable[..., Any], told: str, *arguments: Any
) -> None:
    """If a call failed because the function does not take its arguments, say what they are.

    Args:
        error: What the call raised; it gets the note.
        function: What was called.
        told: Its arguments in words.
        arguments: The arguments themselves.
    """
    if not _takes(function, arguments):
        name = getattr(function, "__qualname__", repr(function))
        error.add_note(f"{name} is called with {told}: let it take these")


def _takes(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True  # Nobody knows what it takes.
    return True
