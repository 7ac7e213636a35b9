"""Keys: what an argument becomes as a key, and when a key is refused.

Promises: the text by which an object is stored and compared. Leaves to others: the store.
"""

from __future__ import annotations

from typing import Any, Final

from emulator.bindings.r2.errors import INVALID_OBJECT_NAME, parameter_type_error, r2_error
from emulator.durable_objects.arguments import text_of

__all__ = ["KEY_BYTES_MAX", "MISSING", "check_key", "key_text"]

# Cloudflare docs, R2, Limits: 1,024 bytes of UTF-8. An empty key is fine (workerd).
KEY_BYTES_MAX: Final = 1_024

#: An argument that was not given at all; the platform tells it from undefined.
MISSING: Final = object()


def key_text(value: Any, method: str, *, kind: str = "string") -> str:
    """An argument as a key. `kind` is what the method takes, in words.

    Raises:
        JsTypeError: If it was not given.
    """
    if value is MISSING:
        raise parameter_type_error(method, 1, kind)
    return text_of(value)


def check_key(key: str, method: str) -> None:
    """Refuse a key of more than 1,024 bytes.

    Raises:
        JsException: "The specified object name is not valid. (10020)".
    """
    if len(key) > KEY_BYTES_MAX or (
        len(key) > KEY_BYTES_MAX // 4 and len(key.encode()) > KEY_BYTES_MAX
    ):
        raise r2_error(method, INVALID_OBJECT_NAME)
