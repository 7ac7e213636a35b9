"""Writer: the one hand that writes into a WritableStream.

Promises: the platform's methods, and its text once the lock is released. Leaves to others:
queue, sink and errors (writable).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.errors import js_error
from emulator.web.callbacks import promise, rejected

if TYPE_CHECKING:
    import asyncio

    from emulator.web.writable import WritableStream

__all__ = ["WritableStreamDefaultWriter"]

_RELEASED = "This WritableStream writer has been released."


@final
class WritableStreamDefaultWriter:
    """The one writer of a stream, until it lets go.

    Args:
        stream: The stream to lock.

    Raises:
        JsTypeError: If the stream is locked.
    """

    def __init__(self, stream: WritableStream) -> None:
        stream._acquire(self)
        self._stream: WritableStream | None = stream
        self._closed: asyncio.Future[Any] | None = None

    def write(self, chunk: Any = None) -> asyncio.Future[Any]:
        """Write a chunk; resolved when the sink has taken it."""
        if self._stream is None:
            return rejected(js_error("TypeError", _RELEASED))
        return self._stream._write(chunk)

    def close(self) -> asyncio.Future[Any]:
        """Close the stream after all that was written."""
        if self._stream is None:
            return rejected(js_error("TypeError", _RELEASED))
        return self._stream._close()

    def abort(self, reason: Any = None) -> asyncio.Future[Any]:
        """Give up: what waits is rejected with the reason, and the sink is told."""
        if self._stream is None:
            return rejected(js_error("TypeError", _RELEASED))
        return self._stream._abort(reason)

    @property
    def ready(self) -> asyncio.Future[Any]:
        """Resolved when there is room for another chunk."""
        if self._stream is None:
            return rejected(js_error("TypeError", _RELEASED))
        return self._stream._wait_ready()

    @property
    def closed(self) -> asyncio.Future[Any]:
        """Resolved when closed, rejected when failed or released."""
        if self._closed is None:
            if self._stream is None:
                return rejected(js_error("TypeError", _RELEASED))
            self._closed = promise()
            stream = self._stream
            if stream._is_closed or (stream._error is not None and not stream._is_erroring):
                self._settle_closed()
            else:
                stream._settled.append(self._settle_closed)
        return self._closed

    def _settle_closed(self) -> None:
        if self._closed is None or self._closed.done() or self._stream is None:
            return
        if self._stream._error is not None:
            self._closed.set_exception(self._stream._error)
        else:
            self._closed.set_result(None)

    @property
    def desiredSize(self) -> float | None:
        """How many chunks would still be welcome; None once failed.

        Raises:
            JsTypeError: If the writer has let go.
        """
        if self._stream is None:
            raise js_error("TypeError", _RELEASED)
        return self._stream._desired_size

    def releaseLock(self) -> None:
        """Let go of the stream; what was written still goes its way."""
        stream = self._stream
        if stream is None:
            return
        if self._closed is not None and not self._closed.done():
            self._closed.set_exception(js_error("TypeError", _RELEASED))
        self._stream = None
        stream._let_go(self)
