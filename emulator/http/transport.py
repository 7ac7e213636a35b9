"""The transport: httpx on the one side, the worker on the other.

Promises: what a client sends reaches the worker as a Request, and the worker's Response
comes back with every header and a body that streams; no socket is opened. Leaves to
others: building requests (httpx), answering them (the world).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import httpx

from emulator.web.request import Request
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from emulator.runtime.world import World
    from emulator.web.response import Response

__all__ = ["WorkerTransport"]


@final
class _Body(httpx.AsyncByteStream):
    """A worker's body, as httpx reads it."""

    def __init__(self, stream: ReadableStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield bytes(chunk)

    async def aclose(self) -> None:
        """The reader has gone: tell the source."""
        if not self._stream.locked:
            await self._stream.cancel()


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
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
    ]
    body: bytes | ReadableStream | None
    if isinstance(request.stream, httpx.ByteStream):
        body = request.read()
    else:
        chunks = aiter(request.stream)  # type: ignore[arg-type]  # An async client's streams are async.
        length = request.headers.get("content-length")

        async def pull() -> bytes | None:
            return await anext(chunks, None)

        body = ReadableStream.from_source(pull, known_length=int(length) if length else None)
    if body == b"":
        body = None
    return Request(str(request.url), method=request.method, headers=headers, body=body)


def _to_client(response: Response, request: httpx.Request) -> httpx.Response:
    headers = [(name, value) for name, value in response.headers.raw_items()]
    stream = response.body
    if stream is None or request.method == "HEAD":
        return httpx.Response(response.status, headers=headers, request=request)
    if stream.known_length is not None and "content-length" not in response.headers:
        headers.append(("content-length", str(stream.known_length)))
    return httpx.Response(
        response.status, headers=headers, stream=_Body(stream), request=request
    )
