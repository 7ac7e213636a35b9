"""frames: one call or answer of a world's front: a line of JSON, then perhaps bytes.

Promises: bodies stream both ways and are not held; small ones are read at once, so that
their connection is free again. Leaves to others: what is called (the bindings' rooms), how
values look (wire).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import httpx

from emulator.errors import JsException, js_error
from emulator.web.pull_source import END
from emulator.web.readable import ReadableStream
from emulator.workerd.wire import dumps, loads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Answer", "BodyStream", "Outgoing", "body_of", "chunks_of", "read_frame"]

#: A body that is no longer than this is read before the call returns.
_READ_AT_ONCE_BYTES_MAX: Final = 1024 * 1024


class Outgoing(NamedTuple):
    """A body that a call sends.

    Attributes:
        content: The bytes, or a stream.
        length: Its length in bytes if that is known.
    """

    content: bytes | ReadableStream
    length: int | None


class Answer(NamedTuple):
    """What came back.

    Attributes:
        line: The value of the line of JSON.
        body: The bytes after it.
    """

    line: Any
    body: ReadableStream


def body_of(value: Any) -> Outgoing | None:
    """A body as `put` and its like take one; None if the value is none."""
    if isinstance(value, ReadableStream):
        if value.locked:
            raise js_error("TypeError", "The ReadableStream has been locked to a reader.")
        return Outgoing(value, value.known_length)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
    else:
        return None
    return Outgoing(data, len(data))


async def chunks_of(content: bytes | ReadableStream | None) -> AsyncIterator[bytes]:
    """The bytes of a body, chunk by chunk."""
    if isinstance(content, ReadableStream):
        source = content._source
        content._disturbed = True
        while (chunk := await source.next()) is not END:
            yield bytes(chunk)
    elif content:
        yield content


@final
class BodyStream(httpx.AsyncByteStream):
    """A head and a body, as httpx sends them."""

    def __init__(self, head: bytes, content: bytes | ReadableStream | None) -> None:
        self._head = head
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not isinstance(self._content, ReadableStream):
            yield self._head + (self._content or b"")
            return
        if self._head:
            yield self._head
        async for chunk in chunks_of(self._content):
            yield chunk

    @classmethod
    def of_call(cls, call: dict[str, Any], body: Outgoing | None) -> BodyStream:
        """The frame of a call."""
        return cls(dumps(call), None if body is None else body.content)


async def read_frame(response: httpx.Response) -> Answer:
    """Take an answer apart; the rest of its bytes is read by whoever reads the body.

    Raises:
        JsException: If the connection breaks before the line has ended.
    """
    chunks = response.aiter_raw()
    parts: list[bytes] = []
    while not parts or b"\n" not in parts[-1]:
        chunk = await anext(chunks, None)
        if chunk is None:
            await response.aclose()
            text = "the real runtime ended in the middle of a call"
            raise JsException(text)
        parts.append(chunk)
    head, _, rest = b"".join(parts).partition(b"\n")
    line = loads(head)
    length = line["length"]
    if length is not None and length <= _READ_AT_ONCE_BYTES_MAX:
        whole = rest + b"".join([chunk async for chunk in chunks])
        return Answer(line, ReadableStream.from_bytes(whole))
    first = [rest]

    async def pull() -> bytes | None:
        try:
            return first.pop() if first else await anext(chunks, None)
        except httpx.HTTPError as error:
            raise JsException(f"the body broke off: {error}") from error

    async def cancel(_: Any) -> None:
        with suppress(httpx.HTTPError):
            await response.aclose()

    stream = ReadableStream.from_source(pull, cancel=cancel, known_length=length)
    return Answer(line, stream)
