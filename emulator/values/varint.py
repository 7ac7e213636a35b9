"""Varint: a number in V8's format, seven bits a byte, the lowest first.

Promises: the shortest form. Leaves to others: what the numbers count (the rest of a message).
"""

from __future__ import annotations

from typing import Final

__all__ = ["varint"]

_ONE_BYTE: Final = [bytes((number,)) for number in range(0x80)]


def varint(number: int) -> bytes:
    """The bytes of a number that is not negative."""
    if number < 0x80:
        return _ONE_BYTE[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
