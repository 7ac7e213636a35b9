"""ReadableStream: chunks that one reader takes, at the reader's pace.

Promises: the platform's locks, errors and texts; back-pressure all the way to the source.
Leaves to others: where chunks come from (pull_source, queue_source), writing (writable).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.errors import js_error
from emulator.web.callbacks import member, promise, rejected
from emulator.web.js_dict import JsDict
from emulator.web.js_object import JsObject
from emulator.web.pipe import Pipe
from emulator.web.pull_source import END, PullSource
from emulator.web.queue_source import QueueSource
from emulator.web.tee import Tee
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable

    from emulator.web.writable import WritableStream

__all__ = ["ReadableStream", "ReadableStreamDefaultReader"]

_LOCKED = "This ReadableStream is currently locked to a reader."
_RELEASED = "This ReadableStream reader has been released."


def _as_seen(chunk: Any) -> Any:
    """A chunk as worker code sees it: plain bytes are a Uint8Array."""
    return Uint8Array(chunk) if type(chunk) is bytes else chunk


class ReadableStream(JsObject):
    """A stream to read from (WHATWG Streams, with workerd's texts).

    Args:
        underlyingSource: A dict or an object with `start(controller)`,
            `pull(controller)`, `cancel(reason)`, plain or async, and `type`.
        queuingStrategy: A dict or an object with `highWaterMark` and `size(chunk)`.
    """

    def __init__(self, underlyingSource: Any = None, queuingStrategy: Any = None) -> None:
        self._setup(QueueSource(underlyingSource, queuingStrategy))

    def _setup(self, source: PullSource | QueueSource) -> None:
        self._source = source
        self._lock: object | None = None
        self._disturbed = False

    @classmethod
    def new(cls, *arguments: Any, **source: Any) -> ReadableStream:
        """JavaScript's `new`, as Pyodide spells it: keywords are an object."""
        return cls(*arguments, *([source] if source else ()))

    @classmethod
    def _over(cls, source: PullSource | QueueSource) -> ReadableStream:
        stream = cls.__new__(cls)
        stream._setup(source)
        return stream

    @classmethod
    def from_source(
        cls,
        pull: Callable[[], Awaitable[bytes | None]],
        *,
        cancel: Callable[[Any], Any] | None = None,
        known_length: int | None = None,
    ) -> ReadableStream:
        """A byte stream over a function: the door for rooms that produce bytes.

        Args:
            pull: Awaited for each chunk, one call at a time; None is the end.
            cancel: Called with the reason if the reader gives up. Plain or async.
            known_length: Bytes to come, if known.
        """
        return cls._over(PullSource(pull, cancel=cancel, known_length=known_length))

    @classmethod
    def from_bytes(cls, data: bytes) -> ReadableStream:
        """A byte stream of known length with one chunk (none if there are no bytes)."""
        rest: list[bytes] = [data] if data else []

        async def pull() -> bytes | None:
            return rest.pop() if rest else None

        return cls.from_source(pull, known_length=len(data))

    @property
    def known_length(self) -> int | None:
        """Bytes still to come, if the platform would know; None if not."""
        return self._source.known_length

    @property
    def locked(self) -> bool:
        """Whether a reader, a pipe, a tee or a loop holds the stream."""
        return self._lock is not None

    @property
    def is_disturbed(self) -> bool:
        """Whether it has been read from or cancelled, even if only begun."""
        return self._disturbed

    def _acquire(self, holder: object) -> None:
        if self._lock is not None:
            raise js_error("TypeError", _LOCKED)
        self._lock = holder

    def _let_go(self, holder: object) -> None:
        if self._lock is holder:
            self._lock = None

    def getReader(
        self, options: Any = None, *, mode: str | None = None
    ) -> ReadableStreamDefaultReader:
        """Lock the stream to a new reader.

        Raises:
            JsTypeError: If the stream is locked, or `mode` is "byob", which only
                byte-oriented streams of the platform have.
        """
        if (mode or member(options, "mode")) == "byob":
            raise js_error("TypeError", "This ReadableStream does not support BYOB reads.")
        return ReadableStreamDefaultReader(self)

    def cancel(self, reason: Any = None) -> asyncio.Future[Any]:
        """Give up the rest; the source is told why. Rejected while locked."""
        if self._lock is not None:
            return rejected(js_error("TypeError", _LOCKED))
        return self._cancel(reason)

    def _cancel(self, reason: Any) -> asyncio.Future[Any]:
        self._disturbed = True
        return self._source.cancel(reason)

    def pipeTo(
        self, destination: WritableStream, options: Any = None, **more: Any
    ) -> asyncio.Future[Any]:
        """Move every chunk into a writable, at the pace of the slower side.

        Args:
            destination: Where to; it is closed at the end.
            options: `preventClose`, `preventAbort`, `preventCancel`, as dict or keywords.
            more: The same as keywords.

        Returns:
            A future, resolved when all is written. An error of one side reaches the other
            side and rejects it.
        """
        from emulator.web.writable import WritableStream

        if not isinstance(destination, WritableStream):
            text = (
                "Failed to execute 'pipeTo' on 'ReadableStream': parameter 1 is not of "
                "type 'WritableStream'."
            )
            return rejected(js_error("TypeError", text))
        if self._lock is not None:
            return rejected(js_error("TypeError", _LOCKED))
        if destination.locked:
            text = "This WritableStream is currently locked to a writer"
            return rejected(js_error("TypeError", text))
        return Pipe(self, destination, options=options, more=more).outcome

    def pipeThrough(self, transform: Any, options: Any = None, **more: Any) -> ReadableStream:
        """Pipe into the writable half of a pair and give its readable half.

        Raises:
            JsTypeError: If this stream or the writable half is locked.
        """
        writable: WritableStream = member(transform, "writable")
        readable: ReadableStream = member(transform, "readable")
        if self._lock is not None:
            raise js_error("TypeError", _LOCKED)
        if writable.locked:
            raise js_error("TypeError", "This WritableStream is currently locked to a writer.")
        self.pipeTo(writable, options, **more)
        return readable

    def tee(self) -> tuple[ReadableStream, ReadableStream]:
        """Two streams with the same chunks; this one stays locked.

        What one branch has taken and the other not is kept without bound, as on the
        platform: read both at a like pace.

        Raises:
            JsTypeError: If the stream is locked.
        """
        if self._lock is not None:
            # workerd's own text here ends in a comma (readable.c++, `tee`).
            raise js_error("TypeError", _LOCKED[:-1] + ",")
        source = self._source
        tee = Tee(source)
        self._lock = tee
        self._disturbed = True
        left, right = (
            ReadableStream._over(
                PullSource(
                    branch.next,
                    cancel=branch.cancel,
                    known_length=source.known_length,
                    is_bytes=source.is_bytes,
                    end=END,
                )
            )
            for branch in tee.branches
        )
        return left, right

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.values()

    async def values(
        self, options: Any = None, *, preventCancel: bool = False
    ) -> AsyncIterator[Any]:
        """Iterate; leaving the loop early cancels the rest unless `preventCancel`."""
        keep = preventCancel or bool(member(options, "preventCancel"))
        holder = object()
        self._acquire(holder)
        self._disturbed = True
        source = self._source
        is_over = False
        try:
            while True:
                try:
                    chunk = await source.next()
                except BaseException:
                    is_over = source.error is not None
                    raise
                if chunk is END:
                    is_over = True
                    return
                yield _as_seen(chunk)
        finally:
            self._let_go(holder)
            if not is_over and not keep:
                source.cancel(None)

    async def read_all(self) -> bytes:
        """The rest of the stream as bytes.

        Raises:
            JsTypeError: If the stream is locked, or a chunk is not bytes.
        """
        holder = object()
        self._acquire(holder)
        self._disturbed = True
        parts: list[bytes] = []
        try:
            while (chunk := await self._source.next()) is not END:
                if not isinstance(chunk, bytes | bytearray | memoryview):
                    error = js_error("TypeError", "This ReadableStream did not return bytes.")
                    self._source.cancel(error)
                    raise error
                parts.append(bytes(chunk))
        finally:
            self._let_go(holder)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __repr__(self) -> str:
        source = self._source
        state = "errored" if source.error else "closed" if source.is_ended else "readable"
        return f"<ReadableStream {state}{' locked' if self.locked else ''}>"


@final
class ReadableStreamDefaultReader:
    """The one reader of a stream, until it lets go.

    Args:
        stream: The stream to lock.

    Raises:
        JsTypeError: If the stream is locked.
    """

    def __init__(self, stream: ReadableStream) -> None:
        stream._acquire(self)
        self._stream: ReadableStream | None = stream
        self._reads: dict[asyncio.Future[Any], asyncio.Future[Any]] = {}
        self._closed: asyncio.Future[Any] | None = None

    def read(self) -> asyncio.Future[JsDict]:
        """The next chunk, as `{"done": False, "value": chunk}`, or `{"done": True}`."""
        stream = self._stream
        if stream is None:
            return rejected(js_error("TypeError", _RELEASED))
        stream._disturbed = True
        inner = stream._source.start_next()
        read = promise()
        self._reads[read] = inner
        inner.add_done_callback(lambda _: self._arrived(read))
        return read

    def _arrived(self, read: asyncio.Future[Any]) -> None:
        inner = self._reads.pop(read, None)
        if inner is None or read.done():
            return
        if inner.cancelled():
            read.cancel()
            return
        error = inner.exception()
        if error is not None:
            read.set_exception(error)
            return
        chunk = inner.result()
        if chunk is END:
            read.set_result(JsDict(done=True, value=None))
        else:
            read.set_result(JsDict(done=False, value=_as_seen(chunk)))

    @property
    def closed(self) -> asyncio.Future[Any]:
        """Resolved at the end, rejected with the stream's error or by releasing."""
        if self._closed is None:
            if self._stream is None:
                return rejected(js_error("TypeError", _RELEASED))
            self._closed = promise()
            source = self._stream._source
            if source.is_ended or source.error is not None:
                self._settle_closed()
            else:
                source.settled.append(self._settle_closed)
        return self._closed

    def _settle_closed(self) -> None:
        if self._closed is None or self._closed.done() or self._stream is None:
            return
        error = self._stream._source.error
        if error is not None:
            self._closed.set_exception(error)
        else:
            self._closed.set_result(None)

    def cancel(self, reason: Any = None) -> asyncio.Future[Any]:
        """Give up the rest of the stream; the reader keeps the lock."""
        if self._stream is None:
            return rejected(js_error("TypeError", _RELEASED))
        return self._stream._cancel(reason)

    def releaseLock(self) -> None:
        """Let go of the stream.

        Raises:
            JsTypeError: If a read of a stream of the runtime's own still waits. A read of
                a user's stream is rejected instead, as the standard has it.
        """
        stream = self._stream
        if stream is None:
            return
        for read, inner in list(self._reads.items()):
            if inner.done():
                self._arrived(read)
        if self._reads and stream._source.is_bytes:
            raise js_error(
                "TypeError",
                "Cannot call releaseLock() on a reader with outstanding read promises.",
            )
        released = js_error("TypeError", _RELEASED)
        for read, inner in self._reads.items():
            inner.cancel()
            read.set_exception(released)
        self._reads.clear()
        if self._closed is not None and not self._closed.done():
            self._closed.set_exception(released)
        self._stream = None
        stream._let_go(self)
