"""Errors: how D1 words what SQLite or its own checks refuse.

Promises: a plain Error with a prefix that names the call, and the text without the prefix as
its `cause` (workerd's d1-api.ts). Leaves to others: the texts of SQL (`sqlite`).
"""

from __future__ import annotations

from typing import Final

from emulator.durable_objects.arguments import js_string
from emulator.errors import JsException, JsTypeError
from emulator.values import undefined

__all__ = [
    "CONSTRAINTS_VIOLATED",
    "INTERNAL_ERROR",
    "NOT_A_STRING",
    "NO_STATEMENTS",
    "d1_error",
    "no_method",
]

NO_STATEMENTS: Final = "No SQL statements detected."

#: SQL that is not a string. Locally the text is a stack trace of the simulator's own check.
NOT_A_STRING: Final = "Expected string for the SQL text of a statement."

#: After an `INSERT OR ROLLBACK` that did. The platform puts a random reference here; nobody
#: could look ours up.
INTERNAL_ERROR: Final = "internal error; reference = 000000000000000000000000"

#: What local workerd says of a call that ends with a deferred foreign key violated.
CONSTRAINTS_VIOLATED: Final = (
    "Durable Object was reset and rolled back to its last known good state because the "
    "application left the database in a state where constraints were violated: "
)


def d1_error(text: str, prefix: str = "D1_ERROR") -> JsException:
    """The error of one call.

    Args:
        text: What went wrong; it is the message of the error's `cause`.
        prefix: "D1_ERROR", "D1_EXEC_ERROR", "D1_TYPE_ERROR" or "D1_DUMP_ERROR".
    """
    error = JsException(f"{prefix}: {text}")
    error.properties["cause"] = JsException(text)
    return error


def no_method(name: str, value: object, method: str) -> JsTypeError:
    """The TypeError for an argument of the wrong type: D1 does not check, it calls.

    Args:
        name: The argument's name in the platform's own code.
        value: The argument.
        method: What that code calls on it.
    """
    if value is None or value is undefined:
        shown = js_string(value)
        return JsTypeError(f"Cannot read properties of {shown} (reading '{method}')")
    return JsTypeError(f"{name}.{method} is not a function")
