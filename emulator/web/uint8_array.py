"""Uint8Array: what a chunk of bytes is to worker code.

Promises: plain immutable bytes that also answer to the names which Pyodide gives a
JavaScript Uint8Array. Leaves to others: everything about streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.errors import js_error
from emulator.web.js_object import JsObject

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Uint8Array"]


@final
class Uint8Array(JsObject, bytes):
    """Bytes with the methods of a JavaScript buffer as Pyodide shows it (JsBuffer)."""

    __slots__ = ()

    @classmethod
    def new(cls, source: Any = 0) -> Uint8Array:
        """JavaScript's constructor.

        Args:
            source: A length, whose bytes are 0; bytes, which are copied; or numbers, of which
                each keeps its lowest eight bits.

        Raises:
            JsRangeError: If the length is negative.
        """
        if isinstance(source, int | float):
            if source < 0:
                text = f"Invalid typed array length: {source}"
                raise js_error("RangeError", text)
            return cls(int(source))
        if isinstance(source, bytes | bytearray | memoryview):
            return cls(source)
        return cls(int(number) & 255 for number in source)

    @property
    def byteLength(self) -> int:
        """The length in bytes."""
        return len(self)

    @property
    def length(self) -> int:
        """The number of elements, which for this array is the length in bytes."""
        return len(self)

    @property
    def buffer(self) -> Uint8Array:
        """The ArrayBuffer behind the array; here the bytes themselves."""
        return self

    def to_bytes(self) -> bytes:
        """The same content as plain `bytes`."""
        return bytes(self)

    def to_py(
        self, *, depth: int = -1, default_converter: Callable[..., Any] | None = None
    ) -> memoryview:
        """A view, as Pyodide gives for a typed array."""
        return memoryview(self)

    def to_memoryview(self) -> memoryview:
        """A view without a copy."""
        return memoryview(self)

    def to_string(self, encoding: str | None = None) -> str:
        """The content decoded; the encoding is UTF-8 unless named."""
        return self.decode(encoding or "utf-8")

    def __repr__(self) -> str:
        return f"Uint8Array({bytes(self)!r})"
