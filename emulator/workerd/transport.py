"""transport: httpx on the one side, a real worker on the other.

Promises: a request reaches the worker with its own URL, host and headers, over a socket to
127.0.0.1; the answer comes back as workerd wrote it, and streams; what the worker's handler
threw is raised as a `JsException`. Leaves to others: building requests (httpx).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, final

import httpx

from emulator.errors import WorldError
from emulator.workerd.wire import decode_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from emulator.workerd.faults import RealFaults

__all__ = ["LOST", "TIMEOUT_SECONDS", "Pool", "WorldTransport", "dispatch", "has_ended"]

#: How long a real worker may be silent. Nothing may hang a test for ever.
TIMEOUT_SECONDS: Final = 120.0
#: What is read at once at most; a worker may answer without end.
ANSWER_BYTES_MAX: Final = 512 * 1024 * 1024
_TIMEOUT: Final = httpx.Timeout(TIMEOUT_SECONDS, pool=None).as_dict()


#: How a connection ends whose other side is gone, by what it was just about.
LOST: Final = (httpx.NetworkError, httpx.RemoteProtocolError)


def has_ended() -> WorldError:
    """The error of whoever asks a world whose process is gone."""
    return WorldError("the real runtime of this Miniflare has ended: it crashed or was killed")


@final
class Pool:
    """Connections of one loop to one server on this machine.

    Args:
        url: The server, such as "http://127.0.0.1:1234".
    """

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        # No certificates: reading them takes longer than all the rest.
        self._transport = httpx.AsyncHTTPTransport(
            verify=False,
            # Given up sooner than by the other side, which closes idle ones after 5 s: a
            # request that meets this end is lost (httpx: "Server disconnected").
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=16, keepalive_expiry=2.0
            ),
        )

    async def send(
        self,
        method: str,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes | httpx.AsyncByteStream | httpx.SyncByteStream,
        extensions: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Send one request; the body of the answer is not read yet.

        Args:
            method: Upper case.
            target: Path and query.
            headers: All of them; only the length of a body of bytes is added.
            body: Bytes, or a stream whose length the headers tell.
            extensions: As httpx has them.
        """
        url = self._url.copy_with(raw_path=target)
        if isinstance(body, bytes):
            headers = [*headers, (b"content-length", b"%d" % len(body))]
            body = httpx.ByteStream(body)
        request = httpx.Request(
            method,
            url,
            headers=headers,
            stream=body,
            extensions={"timeout": _TIMEOUT, **(extensions or {})},
        )
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


@final
class WorldTransport(httpx.AsyncBaseTransport):
    """Sends every request to the worker of one world.

    Args:
        pool: Connections to the world's front.
        token: What the front knows us by.
        faults: Rules that requests may meet.
        settle: Awaited before an answer is handed out, if it is given.
    """

    def __init__(
        self,
        pool: Pool,
        token: str,
        faults: RealFaults,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._pool = pool
        self._faults = faults
        self._token = token.encode()
        self._settle = settle

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request.

        Raises:
            JsException: What the worker's handler threw.
            WorldError: If the real runtime has ended.
        """
        await self._faults.arrive()
        own = {b"amber-token": self._token, b"amber-url": str(request.url).encode()}
        if self._faults.is_asked:
            own[b"amber-rules"] = b"1"
        given = [pair for pair in request.headers.raw if pair[0].lower() not in own]
        try:
            response = await self._pool.send(
                request.method,
                request.url.raw_path,
                [*given, *own.items()],
                request.stream,
                request.extensions,
            )
        except LOST as error:
            raise has_ended() from error
        if self._settle is not None:
            await self._settle()
        if response.headers.get("amber-outcome", "").encode() == self._token:
            thrown = decode_error(json.loads(await response.aread()))
            # The hop from the front to the worker is ours, and nobody else's.
            thrown.remote = False
            raise thrown
        return response


async def dispatch(transport: WorldTransport, request: httpx.Request) -> httpx.Response:
    """Send one request and read its answer.

    Raises:
        WorldError: If the answer is longer than `ANSWER_BYTES_MAX`.
    """
    response = await transport.handle_async_request(request)
    response.request = request
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Bounded(response.stream)
    try:
        await response.aread()
    except WorldError:
        await response.aclose()
        raise
    return response


@final
class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size_bytes = 0
        async for chunk in self._stream:
            size_bytes += len(chunk)
            if size_bytes > ANSWER_BYTES_MAX:
                message = (
                    f"the answer is longer than {ANSWER_BYTES_MAX} bytes: read it as a stream, "
                    "by client()"
                )
                raise WorldError(message)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
