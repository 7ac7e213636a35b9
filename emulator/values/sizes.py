"""sizes: how large a message is, without writing the small ones.

Promises: a glance that costs microseconds answers for small values, or knows that it cannot.
Leaves to others: the refusal, and its text (stubs).
"""

from __future__ import annotations

import re
import sys
from array import array
from typing import Any, Final

__all__ = ["RPC_BYTES_MAX", "serialized_size_at_most"]

# One message between stubs (Cloudflare docs, Workers RPC, "Limitations").
RPC_BYTES_MAX: Final = 32 * 1_024 * 1_024
_VISITS_MAX: Final = 1_000  # Ours: beyond so many values, counting bytes is as cheap.
# Ours: tag, length, index and padding of any one value are less than this.
_OVERHEAD_BYTES: Final = 32
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)


def serialized_size_at_most(value: Any, *, limit_bytes: int = RPC_BYTES_MAX) -> int | None:
    """A number of bytes that a value on the wire does not have more of, by a glance.

    workerd counts the result of a call, or the array of its arguments.

    Args:
        value: What would be sent.
        limit_bytes: Give up beyond it.

    Returns:
        None if a glance cannot tell that the value is within the limit.
    """
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
                return None
            waiting += item
            if isinstance(item, dict):
                waiting += item.values()
        else:
            left -= _bytes_at_most(item)
        if left < 0:
            return None
    return limit_bytes - left


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
        return sys.maxsize if getattr(item, "properties", None) else 4 * len(str(item))
    if isinstance(item, re.Pattern):
        return 8 * len(item.pattern)
    return 0
