"""QueueSource: a stream that user code fills, with a queue and a high-water mark.

Promises: `pull` is called only while the queue is below its mark or a read waits, one call
at a time. Leaves to others: locks and readers (readable).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, final

from emulator.errors import js_error
from emulator.web.callbacks import (
    as_error,
    call_user,
    follow,
    fulfil,
    member,
    number_member,
    promise,
    rejected,
    resolved,
)
from emulator.web.pull_source import END

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["QueueSource", "ReadableStreamDefaultController"]


@final
class ReadableStreamDefaultController:
    """What `start` and `pull` of an underlying source are given."""

    def __init__(self, source: QueueSource) -> None:
        self._source = source

    @property
    def desiredSize(self) -> float | None:
        """How much the queue would like; None once the stream has failed."""
        return self._source.desired_size

    def enqueue(self, chunk: Any = None) -> None:
        """Put a chunk in the queue.

        Raises:
            JsTypeError: If the stream was closed or has failed.
        """
        self._source.enqueue(chunk)

    def close(self) -> None:
        """End the stream once its queue has been read.

        Raises:
            JsTypeError: If it is closed already.
        """
        self._source.close()

    def error(self, reason: Any = None) -> None:
        """Fail the stream: its queue is dropped and every read is rejected."""
        self._source.fail(as_error(reason))


@final
class QueueSource:
    """The standard's kind of stream: WHATWG Streams, ReadableStreamDefaultController.

    Args:
        underlying: A dict or an object with `start`, `pull`, `cancel`, `type`.
        strategy: A dict or an object with `highWaterMark` and `size`.
        high_water_mark: The mark when the strategy names none.
    """

    is_bytes = False

    def __init__(self, underlying: Any, strategy: Any, *, high_water_mark: float = 1) -> None:
        self.known_length: int | None = None
        self.is_ended = False
        self.error: BaseException | None = None
        self.settled: list[Callable[[], object]] = []
        self.controller = ReadableStreamDefaultController(self)
        self._only_bytes = member(underlying, "type") == "bytes"
        mark = 0 if self._only_bytes else high_water_mark
        self._high_water_mark = number_member(strategy, "highWaterMark", mark)
        self._size = member(strategy, "size")
        self._pull = member(underlying, "pull")
        self._cancel = member(underlying, "cancel")
        self._context = copy_context()
        self._queue: deque[tuple[Any, float]] = deque()
        self._queue_size: float = 0
        self._reads: deque[asyncio.Future[Any]] = deque()
        self._is_closing = False
        self._is_started = False
        self._is_pulling = False
        self._pull_again = False
        self._begin(member(underlying, "start"))

    def _begin(self, start: Callable[..., Any] | None) -> None:
        result = None
        try:
            if start is not None:
                result = call_user(self._context, start, self.controller)
        except Exception as error:
            # workerd fails the stream; the constructor does not throw (measured).
            self.fail(error)
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            # Made outside any loop, as at import: the first read pulls.
            self._is_started = True
            return
        follow(result, done=self._started, failed=self.fail)

    def _started(self) -> None:
        self._is_started = True
        self._pull_if_needed()

    @property
    def desired_size(self) -> float | None:
        """The mark less the queue; 0 when closed, None when failed."""
        if self.error is not None:
            return None
        if self.is_ended:
            return 0
        return self._high_water_mark - self._queue_size

    @property
    def has_waiting_read(self) -> bool:
        """Whether a read waits for a chunk."""
        return bool(self._reads)

    async def next(self) -> Any:
        """The next chunk, or END."""
        if self._queue:
            return self._take()
        return await self.start_next()

    def start_next(self) -> asyncio.Future[Any]:
        """The same, begun now: a read promise."""
        if self._queue:
            return resolved(self._take())
        if self.error is not None:
            return rejected(self.error)
        if self.is_ended:
            return resolved(END)
        read = promise()
        self._reads.append(read)
        self._pull_if_needed()
        return read

    def _take(self) -> Any:
        chunk, size = self._queue.popleft()
        self._queue_size -= size
        if self._is_closing and not self._queue:
            self._finish()
        else:
            self._pull_if_needed()
        return chunk

    def enqueue(self, chunk: Any) -> None:
        """Hand a chunk to the waiting read, or queue it."""
        if self._is_closing or self.is_ended or self.error is not None:
            raise js_error("TypeError", "Unable to enqueue")
        if self._only_bytes:
            chunk = self._checked(chunk)
        read = self._waiting_read()
        if read is not None:
            read.set_result(chunk)
        else:
            size = 1 if self._size is None else call_user(self._context, self._size, chunk)
            self._queue.append((chunk, size))
            self._queue_size += size
        self._pull_if_needed()

    @staticmethod
    def _checked(chunk: Any) -> bytes:
        if isinstance(chunk, bytes | bytearray | memoryview):
            return bytes(chunk)
        raise js_error("TypeError", "This ReadableStream only accepts bytes.")

    def _waiting_read(self) -> asyncio.Future[Any] | None:
        while self._reads:
            read = self._reads.popleft()
            if not read.done():
                return read
        return None

    def close(self) -> None:
        """End the stream after what is queued."""
        if self._is_closing or self.is_ended or self.error is not None:
            raise js_error("TypeError", "This ReadableStream is closed.")
        self._is_closing = True
        if not self._queue:
            self._finish()

    def fail(self, error: BaseException) -> None:
        """Fail the stream; without effect once it has ended or failed."""
        if self.is_ended or self.error is not None:
            return
        self.error = error
        self._queue.clear()
        self._queue_size = 0
        while (read := self._waiting_read()) is not None:
            read.set_exception(error)
        self._tell()

    def cancel(self, reason: Any) -> asyncio.Future[Any]:
        """Give up: the queue is dropped, waiting reads end, the source is told why."""
        if self.error is not None:
            return rejected(self.error)
        if self.is_ended:
            return resolved()
        self._queue.clear()
        self._queue_size = 0
        self._finish()
        answer = promise()
        try:
            result = None
            if self._cancel is not None:
                result = call_user(self._context, self._cancel, reason)
        except Exception as error:
            return rejected(error)
        follow(
            result,
            done=lambda: fulfil(answer),
            failed=lambda error: fulfil(answer, error),
        )
        return answer

    def _finish(self) -> None:
        self.is_ended = True
        while (read := self._waiting_read()) is not None:
            read.set_result(END)
        self._tell()

    def _tell(self) -> None:
        callbacks, self.settled = self.settled, []
        for callback in callbacks:
            callback()

    def _pull_if_needed(self) -> None:
        if self._pull is None or not self._is_started or self._is_closing:
            return
        if self.is_ended or self.error is not None:
            return
        if not self._reads and self._queue_size >= self._high_water_mark:
            return
        if self._is_pulling:
            self._pull_again = True
            return
        self._is_pulling = True
        try:
            result = call_user(self._context, self._pull, self.controller)
        except Exception as error:
            self._is_pulling = False
            self.fail(error)
            return
        follow(result, done=self._pulled, failed=self.fail)

    def _pulled(self) -> None:
        self._is_pulling = False
        if self._pull_again:
            self._pull_again = False
            self._pull_if_needed()
