"""Pair limits: how large a key-value pair and a call may be.

Promises: the platform's refusals, by the kind of storage; what was seen is counted. Leaves to
others: the pairs (the table). SQLite-backed objects have one limit for key and value together
and one for the keys of every call, KV-backed ones a limit each for key and value and one for
the keys that a call reads, while longer writes are split (workerd's actor-cache.c++; measured
on its in-memory storage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from emulator.errors import JsException, JsRangeError
from emulator.limits import documented

if TYPE_CHECKING:
    from emulator.usage import Usage

__all__ = ["PairLimits"]

#: What V8's format adds to a value is not held against it (actor-cache.c++).
_CUSHION_BYTES: Final = 34
_SHOWN_CHARACTERS: Final = 40


@final
class PairLimits:
    """The limits of one object's pairs.

    Args:
        usage: The limits in force, and how near the world has come to them.
        name: Who this is, such as "JOBS#1f3a9c02".
        is_kv_backed: The documented storage of classes without SQLite.

    Attributes:
        checks_keys: Whether a key by itself can be too large.
    """

    __slots__ = (
        "_limits",
        "_name",
        "_pair_mark",
        "_pair_max",
        "_usage",
        "checks_keys",
    )

    def __init__(self, usage: Usage, name: str, *, is_kv_backed: bool) -> None:
        self._usage = usage
        self._limits = usage.limits
        self._name = name
        self._pair_max = usage.limits.key_value_bytes_max
        self._pair_mark = usage.mark("key_value_bytes_max")
        self.checks_keys = is_kv_backed

    def check_read(self, count: int) -> None:
        """Refuse to read too many keys in one call."""
        self._usage.mark("batch_keys_max").saw(count, self._name)
        most = self._limits.batch_keys_max
        if most is None or count <= most:
            return
        error = JsRangeError(
            f"Maximum number of key value pairs is {most}. {count} pairs were provided."
        )
        # Of SQLite-backed objects it is only documented.
        raise error if self.checks_keys else documented(error, "batch_keys_max", most)

    def check_write(self, count: int) -> None:
        """Refuse to write too many keys in one call; KV-backed storage splits them."""
        if not self.checks_keys:
            self.check_read(count)

    def check_key(self, text: str) -> None:
        """Refuse a key of a KV-backed object that is too large."""
        size = len(text.encode())
        self._usage.mark("kv_key_bytes_max").saw(size, self._name)
        most = self._limits.kv_key_bytes_max
        if most is not None and size > most:
            message = (
                f"Keys cannot be larger than {most} bytes. A key of size {size} was provided."
            )
            raise JsRangeError(message)

    def check_pair(self, text: str, blob: bytes) -> None:
        """Refuse a pair that is too large."""
        if self.checks_keys:
            self.check_key(text)
            self._check_value(text, len(blob))
            return
        size = len(blob) + (len(text) if text.isascii() else len(text.encode()))
        if size > self._pair_mark.most:
            self._pair_mark.saw(size, self._of(text))
        if self._pair_max is not None and size > self._pair_max:
            error = JsException("string or blob too big: SQLITE_TOOBIG")
            raise documented(error, "key_value_bytes_max", self._pair_max)

    def _check_value(self, text: str, size: int) -> None:
        mark = self._usage.mark("kv_value_bytes_max")
        if size > mark.most:
            mark.saw(size, self._of(text))
        most = self._limits.kv_value_bytes_max
        if most is not None and size > most + _CUSHION_BYTES:
            message = (
                f"Values cannot be larger than {most} bytes. A value of size {size} was "
                "provided."
            )
            raise JsRangeError(message)

    def _of(self, text: str) -> str:
        key = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
        return f"{self._name} {key!r}"

    def __repr__(self) -> str:
        return f"<PairLimits of {self._name}>"
