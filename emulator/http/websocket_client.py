"""The WebSocket client: a test's end of a connection.

Promises: text and bytes both ways, in order; a Close frame of the other side is answered, as
browsers do. Leaves to others: opening it (the facades), carrying what is said (the ends;
the driver of the real runtime).
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, Self, final

from emulator.durable_objects.websocket_end import LOST, NO_CODE, TOO_LARGE, Frame
from emulator.errors import ConfigurationError, JsException, UpgradeRefused, WebSocketClosed
from emulator.simulation.calls import awaited
from emulator.web.websocket import check_close

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from types import TracebackType

    import httpx

    from emulator.durable_objects.websocket_end import End

__all__ = ["Connection", "WebSocketClient", "refused", "upgraded"]


class Connection(Protocol):
    """What carries the words of a client."""

    def check_usable(self) -> None:
        """Refuse to be used after the end of the world."""

    async def send(self, message: str | bytes) -> None:
        """Send a message."""

    async def close(self, code: int | None, reason: str) -> None:
        """Send a Close frame."""

    async def drop(self) -> None:
        """Break off."""

    def future(self, waits_for: str) -> asyncio.Future[None]:
        """A future of the loop; `waits_for` is for the report of a deadlock."""


@final
class WebSocketClient:
    """A connection to a worker, seen from the test. Made by `mf.connect()`.

    Args:
        connection: What carries it.
        name: Of the connection, for errors.

    Attributes:
        response: The answer with which the worker opened it.
        close_code: Why it ended; None while it is open. 1006 is a lost connection.
        close_reason: The same in words.
    """

    response: httpx.Response

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._messages: deque[str | bytes] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closing = False
        self.close_code: int | None = None
        self.close_reason = ""

    @awaited
    async def send(self, message: str | bytes) -> None:
        """Send a message; simulated, it has arrived when this returns.

        Raises:
            ConfigurationError: If it is neither text nor bytes.
            WebSocketClosed: If the connection has ended, or a fault breaks it.
            WorldError: If the world has been disposed.
        """
        if not isinstance(message, str | bytes | bytearray | memoryview):
            text = f"a WebSocket message is text or bytes, got {message!r}"
            raise ConfigurationError(text)
        self._connection.check_usable()
        if self._is_closing or self.close_code is not None:
            raise self._closed()
        await self._connection.send(message if isinstance(message, str) else bytes(message))

    @awaited
    async def receive(self) -> str | bytes:
        """The next message; waits for it.

        Raises:
            WebSocketClosed: If the connection has ended, and every message been taken.
            WorldError: If the world has been disposed.
        """
        if not self._messages and self.close_code is None:
            self._connection.check_usable()
            future = self._connection.future(f"a message on the WebSocket {self._name}")
            self._waiting.append(future)
            await future
        if not self._messages:
            raise self._closed()
        return self._messages.popleft()

    @awaited
    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Say that nothing more will be sent. Nothing happens the second time.

        Args:
            code: 1000 to 4999; None sends none.
            reason: At most 123 bytes.

        Raises:
            JsException: For what no Close frame can say.
        """
        check_close(code, reason or None)
        if not self._is_closing and self.close_code is None:
            self._is_closing = True
            await self._connection.close(code, reason)

    @awaited
    async def drop(self) -> None:
        """Lose the connection without a Close frame, as a client whose power fails."""
        if self.close_code is None:
            await self._connection.drop()
            self.ended(1006, "")

    def heard(self, message: str | bytes) -> None:
        """A message has come. For the connection."""
        if self.close_code is None:
            self._messages.append(message)
            self._wake(1)

    def ended(self, code: int, reason: str) -> None:
        """The connection has ended. For the connection."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._wake(len(self._waiting))

    def _wake(self, count: int) -> None:
        while count and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    def _closed(self) -> WebSocketClosed:
        code = NO_CODE if self.close_code is None else self.close_code
        return WebSocketClosed(self._name, code, self.close_reason)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while self._messages or self.close_code is None:
            try:
                message = await self.receive()
            except WebSocketClosed:
                return
            yield message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "open" if self.close_code is None else f"closed {self.close_code}"
        return f"<WebSocketClient {self._name} {state}>"


@final
class _Simulated:
    """The connection of a simulated world: one of its ends."""

    def __init__(self, end: End, name: str) -> None:
        self._end = end
        self._name = name
        self._outside = end.outside
        self.client = WebSocketClient(self, name)
        end.listen(self._arrived)

    def check_usable(self) -> None:
        self._outside.check_usable()

    async def send(self, message: str | bytes) -> None:
        limit = self._end.options.limits.websocket_message_bytes_max
        if len(message.encode() if isinstance(message, str) else message) <= limit:
            try:
                await self._end.send(self._outside, Frame("message", message))
            except JsException as error:
                # A fault broke the connection; the client hears of it as of any other loss.
                raise WebSocketClosed(self._name, LOST.code, error.message) from error
            return
        # Measured on workerd: the worker hears of an error, the client of 1009.
        await self._end.send(self._outside, TOO_LARGE)
        self._end.has_closed = self._end.is_closed = True
        self.client.ended(1009, "Message is too large")

    async def close(self, code: int | None, reason: str) -> None:
        if self._outside.is_closed or self._end.has_closed:
            return
        self._end.has_closed = True
        frame = Frame("close", code=NO_CODE if code is None else code, reason=reason)
        # A Close frame that gets lost is no error of whoever says it: both ends are lost.
        with suppress(JsException):
            await self._end.send(self._outside, frame)

    async def drop(self) -> None:
        self._end.break_off()

    def future(self, waits_for: str) -> asyncio.Future[None]:
        future = self._outside.loop.create_future()
        future.waits_for = waits_for
        return future  # type: ignore[no-any-return]

    def _arrived(self, frame: Frame) -> None:
        if frame.kind == "message":
            self.client.heard(frame.data)
            return
        self._end.is_closed = True
        if frame.kind == "close" and not self._end.has_closed:
            self._end.has_closed = True
            self._end.send_unasked(frame)
        self.client.ended(frame.code, frame.reason)


def refused(response: httpx.Response) -> UpgradeRefused:
    """The error of whoever asked for a WebSocket and got another answer."""
    return UpgradeRefused(
        f"connect({str(response.request.url)!r}): the worker did not open a WebSocket, it "
        f"answered {response.status_code} {response.text[:80]!r}",
        response,
    )


def upgraded(response: Any, name: str) -> WebSocketClient:
    """The test's end of the WebSocket that a Response of the worker carries."""
    return _Simulated(response.web_socket.handed_over().end, name).client
