"""Values: what `put` and `uploadPart` take as a body, and how its bytes come in.

Promises: workerd's rule that a stream must have a known length, with its text, and that a
stream that breaks leaves nothing; buffers are read when the write happens, not when it is
called. Leaves to others: what is done with the blob.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.bindings.r2.checksums import Digester, ExpectedDigest
from emulator.bindings.r2.errors import OBJECT_TOO_LARGE, r2_error
from emulator.bindings.r2.spool import Blob, BlobWriter, Spool
from emulator.errors import js_error

if TYPE_CHECKING:
    from emulator.web.readable import ReadableStreamDefaultReader
    from emulator.web.streams import ReadableStream

__all__ = ["BODY_KINDS", "SINGLE_UPLOAD_BYTES_MAX", "StreamBody", "is_buffer", "snapshot"]

# Cloudflare docs, R2, Limits: 5 GiB less 5 MiB in one put or part.
SINGLE_UPLOAD_BYTES_MAX: Final = 5 * 1024**3 - 5 * 1024**2

#: How the platform names the types that it takes (workerd's r2-bucket.h).
BODY_KINDS: Final = "ReadableStream or ArrayBuffer or ArrayBufferView or string or Blob"

# workerd's r2-bucket.c++ and r2-rpc.c++.
_LENGTH_UNKNOWN: Final = (
    "Provided readable stream must have a known length (request/response body or readable "
    "half of FixedLengthStream)"
)
_LOCKED: Final = "The ReadableStream has been locked to a reader."
_DISTURBED: Final = "This ReadableStream is disturbed."


def is_buffer(value: Any) -> bool:
    """Whether the value is bytes, whatever Python calls them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return True
    if isinstance(value, str | list | dict | int | float | bool) or value is None:
        return False
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def snapshot(value: Any) -> bytes:
    """The bytes of a text or a buffer as they are now.

    A lone surrogate becomes three bytes, as workerd writes it.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if type(value) is bytes:
        return value
    return bytes(memoryview(value).cast("B")) if isinstance(value, memoryview) else bytes(value)


@final
class StreamBody:
    """A stream that was given as a body; it is locked from the call on.

    Args:
        stream: The stream.

    Raises:
        JsTypeError: If its length is not known, or it is locked or was read from.
    """

    def __init__(self, stream: ReadableStream) -> None:
        if stream.locked:
            raise js_error("TypeError", _LOCKED)
        length = stream.known_length
        if length is None:
            raise js_error("TypeError", _LENGTH_UNKNOWN)
        if stream.is_disturbed:
            raise js_error("TypeError", _DISTURBED)
        self.length = length
        self._reader: ReadableStreamDefaultReader = stream.getReader()

    async def read(
        self, spool: Spool, method: str, expected: ExpectedDigest | None = None
    ) -> tuple[Blob, Digester]:
        """Read it to its end.

        Raises:
            JsException: If it is larger than one upload may be (100100), or the stream's
                own error. What was read is given up then.
        """
        writer = BlobWriter(spool)
        digester = Digester(expected)
        while True:
            step = await self._reader.read()
            if step["done"]:
                break
            chunk = step["value"]
            writer.write(chunk)
            digester.update(chunk)
            if writer.size_bytes > SINGLE_UPLOAD_BYTES_MAX:
                error = r2_error(method, OBJECT_TOO_LARGE)
                self._reader.cancel(error)
                raise error
        self._reader.releaseLock()
        return writer.finish(), digester
