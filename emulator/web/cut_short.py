"""Cut short: a stream that ends before its end, as one does whose connection is lost.

Promises: the bytes that come are those of the stream, in order. Measured on workerd: a body of
known length that ends early breaks with "Network connection lost." after what has come, and one
of a length that nobody said just ends. Leaves to others: why (faults).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.errors import JsException
from emulator.web.pull_source import END
from emulator.web.readable import ReadableStream

if TYPE_CHECKING:
    import asyncio

__all__ = ["cut_short"]


def cut_short(
    stream: ReadableStream, kept_bytes: int | None, *, breaks: bool
) -> ReadableStream:
    """The beginning of a byte stream, which nobody has begun to read.

    Args:
        stream: Where the bytes come from.
        kept_bytes: How many come. None is half of them; of a stream of unknown length, the
            first chunk.
        breaks: It ends with "Network connection lost."; else as if that were all.
    """
    source, length = stream._source, stream.known_length
    left = length // 2 if kept_bytes is None and length is not None else kept_bytes
    is_short = length is None or left is None or left < length

    async def pull() -> bytes | None:
        nonlocal left
        if left == 0:
            if not is_short:
                return None
            source.cancel("cut short")
            if breaks:
                raise JsException("Network connection lost.", retryable=True)
            return None
        chunk = await source.next()
        if chunk is END:
            return None
        data = bytes(chunk) if left is None else bytes(chunk)[:left]
        left = 0 if left is None else left - len(data)
        return data

    def cancel(reason: Any) -> asyncio.Future[Any]:
        return source.cancel(reason)

    claimed = length if breaks or length is None or left is None else min(left, length)
    return ReadableStream.from_source(pull, cancel=cancel, known_length=claimed)
