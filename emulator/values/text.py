"""Text: what becomes of a string that UTF-8 cannot hold.

Promises: one answer for keys, names, SQL and values. Leaves to others: V8's own bytes, which
can hold it (the serializer).
"""

from __future__ import annotations

__all__ = ["well_formed"]


def well_formed(text: str) -> str:
    """Text as UTF-8 can hold it.

    The halves of a surrogate pair, which Python may hold as two characters, become the
    character that they stand for; a surrogate alone becomes three U+FFFD, one for each byte
    that V8 would have written for it.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return paired.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text
