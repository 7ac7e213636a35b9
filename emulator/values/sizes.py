"""sizes: how large a message is, without writing the small ones.

Promises: a glance that costs microseconds answers for small values; the exact count of
the wire answers for the others.
Leaves to others: the refusal, and its text (stubs).
"""

from __future__ import annotations

import re
from array import array
from typing import Any, Final

from emulator.values.serializer import serialized_size

__all__ = ["RPC_BYTES_MAX", "serialized_size_bound"]

# One message between stubs (Cloudflare docs, Workers RPC, "Limitations").
RPC_BYTES_MAX: Final = 32 * 1_024 * 1_024
_VISITS_MAX: Final = 1_000  # Ours: beyond so many values, counting bytes is as cheap.
# Ours: tag, length, index and padding of any one value are less than this.
_OVERHEAD_BYTES: Final = 32
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)


def serialized_size_bound(value: Any, *, limit_bytes: int = RPC_BYTES_MAX) -> int | None:
    """The size of a value on the wire, if it may be over a limit.

    workerd counts the result of a call, or the array of its arguments.

    Args:
        value: What would be sent.
        limit_bytes: The size in question, header included.

    Returns:
        None when the value is within the limit by a glance, else its exact size in bytes,
        which may still be within.

    Raises:
        JsException: DataCloneError, if the bytes were counted and something in the value
            cannot be sent.
    """
    return None if _is_surely_within(value, limit_bytes) else serialized_size(value)


def _is_surely_within(value: Any, limit_bytes: int) -> bool:
    left = limit_bytes
    visits = _VISITS_MAX
    waiting = [value]
    for item in waiting:  # Grows meanwhile.
        left -= _OVERHEAD_BYTES
        if type(item) is str:
            left -= 4 * len(item)  # Two 16-bit units for a character beyond the first plane.
        elif isinstance(item, _CONTAINERS):
            visits -= 2 * len(item)
            if visits < 0:
                return False
            waiting += item
            if isinstance(item, dict):
                waiting += item.values()
        else:
            left -= _bytes_at_most(item)
        if left < 0:
            return False
    return True


def _bytes_at_most(item: Any) -> int:
    """The most bytes that one value without parts has, beside tag and length."""
    if isinstance(item, (bytes, bytearray)):
        return len(item)
    if isinstance(item, str):
        return 4 * len(item)
    if isinstance(item, memoryview):
        return item.nbytes
    if isinstance(item, array):
        return len(item) * item.itemsize
    if isinstance(item, int):
        return item.bit_length() // 8
    if isinstance(item, Exception):
        return 4 * len(str(item))
    if isinstance(item, re.Pattern):
        return 8 * len(item.pattern)
    return 0
