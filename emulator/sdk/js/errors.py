"""Error and its kin: what JavaScript code makes to be thrown or stored.

Promises: `Error.new(message)` is the exception that Python code would catch. Leaves to
others: raising it.
"""

from __future__ import annotations

from typing import Any, final

from emulator.errors import JsException, js_error

__all__ = ["Error", "RangeError", "TypeError"]


@final
class _ErrorClass:
    """One of JavaScript's error classes.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def new(self, message: Any = "", options: Any = None, **more: Any) -> JsException:
        """An error; the option `cause` is kept as its property."""
        error = js_error(self.name, str(message))
        error.properties.update({**(options or {}), **more})
        return error

    def __repr__(self) -> str:
        return f"[Function: {self.name}]"


Error = _ErrorClass("Error")
TypeError = _ErrorClass("TypeError")  # noqa: A001  # JavaScript's names.
RangeError = _ErrorClass("RangeError")
