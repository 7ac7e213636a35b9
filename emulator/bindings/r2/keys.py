"""Keys: what an argument becomes as a key, and when a key is refused.

Promises: the text by which an object is stored and compared. Leaves to others: the store.
"""

from __future__ import annotations

from typing import Any, Final

from emulator.bindings.r2.errors import INVALID_OBJECT_NAME, parameter_type_error, r2_error
from emulator.values import undefined

__all__ = ["KEY_BYTES_MAX", "MISSING", "check_key", "key_text", "string_of"]

# Cloudflare docs, R2, Limits: 1,024 bytes of UTF-8. An empty key is fine (workerd).
KEY_BYTES_MAX: Final = 1_024

#: An argument that was not given at all; the platform tells it from undefined.
MISSING: Final = object()


def string_of(value: Any) -> str:
    """JavaScript's string coercion (ECMA-262, ToString) of a Python value.

    A lone surrogate becomes three U+FFFD, as in the local simulator.
    """
    if isinstance(value, str):
        text = value
    elif value is None:
        text = "null"
    elif value is undefined:
        text = "undefined"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    elif isinstance(value, dict):
        text = "[object Object]"
    elif isinstance(value, list | tuple):
        text = ",".join(
            "" if item is None or item is undefined else string_of(item) for item in value
        )
    else:
        text = str(value)
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def key_text(value: Any, method: str, *, kind: str = "string") -> str:
    """An argument as a key. `kind` is what the method takes, in words.

    Raises:
        JsTypeError: If it was not given.
    """
    if value is MISSING:
        raise parameter_type_error(method, 1, kind)
    return string_of(value)


def check_key(key: str, method: str) -> None:
    """Refuse a key of more than 1,024 bytes.

    Raises:
        JsException: "The specified object name is not valid. (10020)".
    """
    if len(key) > KEY_BYTES_MAX or (
        len(key) > KEY_BYTES_MAX // 4 and len(key.encode()) > KEY_BYTES_MAX
    ):
        raise r2_error(method, INVALID_OBJECT_NAME)
