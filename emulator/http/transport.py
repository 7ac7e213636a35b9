"""The transport: httpx on the one side, the worker on the other.

Promises: what a client sends reaches the worker as a Request, and the worker's Response
comes back as workerd would put it on the wire, with every header and a body that streams
both ways; no socket is opened. Leaves to others: building requests (httpx), answering
them (the world).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, final

import httpx

from emulator.errors import js_error
from emulator.web.pull_source import END
from emulator.web.request import Request
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from emulator.runtime.world import World
    from emulator.web.response import Response

__all__ = ["WorkerTransport"]

# What a worker cannot say about the connection; workerd drops it (measured). The length is
# that of the body, whatever the worker wrote.
_NOT_THE_WORKERS: Final = {
    *("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding"),
    "upgrade",
}
_NO_LENGTH: Final = (204, 304)


@final
class _Body(httpx.AsyncByteStream):
    """A worker's body, as httpx reads it."""

    def __init__(self, content: bytes | ReadableStream | None, *, is_compressed: bool) -> None:
        if isinstance(content, bytes):
            content = ReadableStream.from_bytes(content)
        self._rest = None if content is None else content._source
        self._is_compressed = is_compressed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # A gzip file without a time in it, as workerd writes it.
        gzip = zlib.compressobj(wbits=31) if self._is_compressed else None
        while self._rest is not None:
            rest, self._rest = self._rest, None
            chunk = await rest.next()
            if chunk is END:
                break
            self._rest = rest
            if not isinstance(chunk, bytes):
                raise js_error("TypeError", "This ReadableStream did not return bytes.")
            data = bytes(chunk) if gzip is None else gzip.compress(chunk)
            if data:
                yield data
        if gzip is not None:
            yield gzip.flush()

    async def aclose(self) -> None:
        """The client has gone: tell the source, unless it ended or failed."""
        if self._rest is not None:
            await self._rest.cancel(None)


@final
class WorkerTransport(httpx.AsyncBaseTransport):
    """Sends every request to one worker.

    Args:
        world: Whose worker answers.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request.

        Raises:
            Exception: Whatever the worker's handler raised, as Miniflare's `dispatchFetch`
                does.
        """
        response = await self._world.fetch(_to_worker(request))
        return _to_client(response, request)


def _to_worker(request: httpx.Request) -> Request:
    # The platform reads and writes the bytes of headers as UTF-8 (measured).
    headers = [
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        for name, value in request.headers.raw
    ]
    body: bytes | ReadableStream | None
    if isinstance(request.stream, httpx.ByteStream):
        body = request.read() or None
    else:
        chunks = aiter(request.stream)  # type: ignore[arg-type]  # An async client's streams are async.
        length = request.headers.get("content-length")

        async def pull() -> bytes | None:
            return await anext(chunks, None)

        body = ReadableStream.from_source(pull, known_length=int(length) if length else None)
    return Request(
        str(request.url),
        method=request.method,
        headers=headers,
        body=body,
        redirect="manual",
    )


def _to_client(response: Response, request: httpx.Request) -> httpx.Response:
    is_head = request.method == "HEAD"
    length = response.body_length
    content = None if is_head else response._take_over()
    is_compressed = (
        response.headers.get("content-encoding", "").lower() == "gzip"
        and response.encode_body == "automatic"
    )
    headers = [
        (name.encode(), value.encode("utf-8", "replace"))
        for name, value in response.headers.items()
        if name not in _NOT_THE_WORKERS or (is_head and name == "content-length")
    ]
    if not (is_head or is_compressed or length is None or response.status in _NO_LENGTH):
        headers.append((b"content-length", b"%d" % length))
    if isinstance(content, bytes) and not is_compressed:
        # Already whole: `dispatch_fetch` can read it without a generator or a task.
        stream: httpx.AsyncByteStream = httpx.ByteStream(content)
    else:
        stream = _Body(content, is_compressed=is_compressed)
    extensions: dict[str, Any] = {
        "http_version": b"HTTP/1.1",
        "reason_phrase": response.status_text.encode("latin-1"),
    }
    if response.web_socket is not None:
        from emulator.http.websocket_client import upgraded

        extensions["websocket"] = upgraded(response, str(request.url))
    return httpx.Response(
        response.status,
        headers=headers,
        stream=stream,
        request=request,
        extensions=extensions,
    )
