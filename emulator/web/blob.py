"""Blob and File: bytes with a type, and with a name.

Promises: the surface of Cloudflare's `workers` package and the JavaScript names. Leaves to
others: forms (form_data), bodies (body).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from emulator.web.js_object import JsObject
from emulator.web.readable import ReadableStream
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    import builtins

__all__ = ["Blob", "BlobEnding", "File"]

_PYTHON_NAMES: Final = {"type": "content_type", "lastModified": "last_modified"}


class BlobEnding(StrEnum):
    """What becomes of line ends; the platform leaves them alone either way."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


def _is_one_part(value: Any) -> bool:
    # The rule of the `workers` package: text and bytes are one part, what iterates is many.
    return isinstance(value, str | bytes | bytearray | memoryview | Blob)


def _bytes_of(part: Any) -> builtins.bytes:
    if isinstance(part, str):
        return part.encode("utf-8", "replace")
    if isinstance(part, Blob):
        return part.content
    try:
        with memoryview(part) as view:
            return bytes(view)
    except TypeError:
        raise TypeError(f"Don't know how to handle {type(part)} for Blob()") from None


class Blob(JsObject):
    """Immutable bytes with a content type.

    Args:
        blob_parts: Text, bytes or a Blob, or several of them.
        content_type: Kept in lower case; that of a single Blob is inherited.
        endings: "transparent" or "native"; without effect.

    Raises:
        TypeError: For a part of another type.
    """

    def __init__(
        self,
        blob_parts: Any = (),
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
    ) -> None:
        if _is_one_part(blob_parts) or not isinstance(blob_parts, Iterable):
            if not content_type and isinstance(blob_parts, Blob):
                content_type = blob_parts.content_type
            blob_parts = [blob_parts]
        #: The bytes themselves; `bytes()` is how worker code gets them.
        self.content = b"".join(_bytes_of(part) for part in blob_parts)
        self._content_type = (content_type or "").lower()

    @classmethod
    def new(cls, *args: Any, **options: Any) -> Self:
        """JavaScript's constructor: `type`, `endings` and `lastModified` are options."""
        if args and isinstance(args[-1], dict):
            options.update(args[-1])
            args = args[:-1]
        return cls(*args, **{_PYTHON_NAMES.get(k, k): v for k, v in options.items()})

    @property
    def js_object(self) -> Self:
        """The object as JavaScript has it; here they are one."""
        return self

    @property
    def size(self) -> int:
        """The length in bytes."""
        return len(self.content)

    @property
    def content_type(self) -> str:
        """The content type, "" if it has none."""
        return self._content_type

    @property
    def type(self) -> str:
        """The same under JavaScript's name."""
        return self._content_type

    async def text(self) -> str:
        """The content as text; bytes that are no UTF-8 become U+FFFD."""
        return self.content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")

    async def bytes(self) -> builtins.bytes:
        """The content."""
        return self.content

    async def arrayBuffer(self) -> Uint8Array:
        """The content under JavaScript's name."""
        return Uint8Array(self.content)

    def stream(self) -> ReadableStream:
        """The content as a stream."""
        return ReadableStream.from_bytes(self.content)

    def slice(
        self,
        start: int | None = None,
        end: int | None = None,
        content_type: str | None = None,
    ) -> Blob:
        """A part of the content, without its type.

        Args:
            start: First byte; negative counts from the end.
            end: Byte after the last; negative counts from the end.
            content_type: The type of the part.
        """
        return Blob(self.content[start:end], content_type)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.size} bytes {self.content_type!r}>"


class File(Blob):
    """A Blob with a name.

    Args:
        blob_parts: As for a Blob; a single File gives its type and its time on.
        filename: The name.
        content_type: The type.
        endings: Without effect.
        last_modified: Epoch milliseconds; 0 unless given, since a value has no clock.
    """

    def __init__(
        self,
        blob_parts: Any,
        filename: str,
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
        last_modified: int | None = None,
    ) -> None:
        super().__init__(blob_parts, content_type, endings)
        if last_modified is None and isinstance(blob_parts, File):
            last_modified = blob_parts.last_modified
        self._name = filename
        self._last_modified = last_modified or 0

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def last_modified(self) -> int:
        """When it was changed, in epoch milliseconds."""
        return self._last_modified

    @property
    def lastModified(self) -> int:
        """The same under JavaScript's name."""
        return self._last_modified
