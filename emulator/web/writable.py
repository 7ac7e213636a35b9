"""WritableStream: chunks go in one at a time, and the writer feels the pressure.

Promises: one write in the sink at a time, in order; `ready` and `desiredSize` as the
standard has them; the platform's locks, errors and texts. Leaves to others: the sink.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol, final

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
from emulator.web.js_object import JsObject
from emulator.web.writer import WritableStreamDefaultWriter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Sink", "WritableStream", "WritableStreamDefaultController"]

_LOCKED = "This WritableStream is currently locked to a writer."
_CLOSED = "This WritableStream has been closed."


class Sink(Protocol):
    """Where chunks end up. A future as answer means: not yet done."""

    #: A write goes to a waiting reader at once and is held nowhere, so pressure is felt by
    #: awaiting the write, not by `ready` (workerd's internal streams).
    holds_nothing: bool

    #: The write in the sink waits for a reader, so an abort rejects it instead of
    #: waiting for it, which could be for ever.
    aborts_at_once: bool

    def start(self, controller: WritableStreamDefaultController) -> Any: ...
    def write(self, chunk: Any) -> Any: ...
    def close(self) -> Any: ...
    def abort(self, reason: Any) -> Any: ...


@final
class WritableStreamDefaultController:
    """What the methods of an underlying sink are given."""

    def __init__(self, stream: WritableStream) -> None:
        self._stream = stream

    def error(self, reason: Any = None) -> None:
        """Fail the stream: waiting and later writes are rejected."""
        self._stream._fail(as_error(reason))


@final
class _UserSink:
    """An underlying sink of user code: a dict or an object."""

    holds_nothing = False
    aborts_at_once = False

    def __init__(self, underlying: Any) -> None:
        self._underlying = underlying
        self._context = copy_context()
        self._controller: WritableStreamDefaultController | None = None

    def _call(self, name: str, *args: Any) -> Any:
        function = member(self._underlying, name)
        return None if function is None else call_user(self._context, function, *args)

    def start(self, controller: WritableStreamDefaultController) -> Any:
        self._controller = controller
        return self._call("start", controller)

    def write(self, chunk: Any) -> Any:
        return self._call("write", chunk, self._controller)

    def close(self) -> Any:
        return self._call("close")

    def abort(self, reason: Any) -> Any:
        return self._call("abort", reason)


class WritableStream(JsObject):
    """A stream to write to (WHATWG Streams, with workerd's texts).

    Args:
        underlyingSink: A dict or an object with `start(controller)`,
            `write(chunk, controller)`, `close()`, `abort(reason)`, plain or async.
        queuingStrategy: A dict or an object with `highWaterMark` and `size(chunk)`.
    """

    def __init__(self, underlyingSink: Any = None, queuingStrategy: Any = None) -> None:
        self._setup(_UserSink(underlyingSink), queuingStrategy)

    @classmethod
    def new(cls, *arguments: Any, **sink: Any) -> WritableStream:
        """JavaScript's `new`, as Pyodide spells it: keywords are an object."""
        return cls(*arguments, *([sink] if sink else ()))

    @classmethod
    def from_sink(cls, sink: Sink, queuing_strategy: Any = None) -> WritableStream:
        """A writable over a sink of our own.

        Args:
            sink: Where the chunks end up.
            queuing_strategy: `highWaterMark` and `size`; the mark is 1 unless given.
        """
        stream = cls.__new__(cls)
        stream._setup(sink, queuing_strategy)
        return stream

    def _setup(self, sink: Sink, strategy: Any) -> None:
        self._sink = sink
        self._high_water_mark = number_member(strategy, "highWaterMark", 1)
        self._size = member(strategy, "size")
        self._context = copy_context()
        self._queue: deque[tuple[Any, float, asyncio.Future[Any]]] = deque()
        self._queue_size: float = 0
        self._lock: object | None = None
        self._error: BaseException | None = None
        self._is_erroring = False  # Failed, but a write is still in the sink.
        self._is_closed = False
        self._is_started = False
        self._in_flight = False
        self._closing: asyncio.Future[Any] | None = None
        self._aborting: tuple[Any, asyncio.Future[Any]] | None = None
        self._ready: asyncio.Future[Any] | None = None
        self._settled: list[Callable[[], object]] = []
        self._failure_callbacks: list[Callable[[], object]] = []
        result = sink.start(WritableStreamDefaultController(self))
        if isinstance(result, asyncio.Future):
            follow(result, done=self._started, failed=self._fail_at_start)
        else:
            self._is_started = True

    def _started(self) -> None:
        self._is_started = True
        self._advance()

    def _fail_at_start(self, error: BaseException) -> None:
        self._is_started = True
        self._fail(error)

    @property
    def locked(self) -> bool:
        """Whether a writer or a pipe holds the stream."""
        return self._lock is not None

    @property
    def _is_closing(self) -> bool:
        return self._closing is not None

    @property
    def _holds_nothing(self) -> bool:
        return self._sink.holds_nothing

    @property
    def _desired_size(self) -> float | None:
        if self._error is not None:
            return None
        if self._is_closed:
            return 0
        return (
            self._high_water_mark
            if self._holds_nothing
            else self._high_water_mark - self._queue_size
        )

    @property
    def _has_pressure(self) -> bool:
        size = self._desired_size
        return size is not None and size <= 0 and not self._is_closing

    def _acquire(self, holder: object) -> None:
        if self._lock is not None:
            raise js_error("TypeError", _LOCKED)
        self._lock = holder

    def _let_go(self, holder: object) -> None:
        if self._lock is holder:
            self._lock = None

    def getWriter(self) -> WritableStreamDefaultWriter:
        """Lock the stream to a new writer.

        Raises:
            JsTypeError: If the stream is locked.
        """
        return WritableStreamDefaultWriter(self)

    def close(self) -> asyncio.Future[Any]:
        """Close after all that was written. Rejected while locked."""
        if self._lock is not None:
            return rejected(js_error("TypeError", _LOCKED))
        return self._close()

    def abort(self, reason: Any = None) -> asyncio.Future[Any]:
        """Give up: what waits is rejected, the sink is told why. Rejected while locked."""
        if self._lock is not None:
            return rejected(js_error("TypeError", _LOCKED))
        return self._abort(reason)

    def _write(self, chunk: Any) -> asyncio.Future[Any]:
        if self._error is not None:
            return rejected(self._error)
        if self._is_closing or self._is_closed:
            return rejected(js_error("TypeError", _CLOSED))
        try:
            size = 1 if self._size is None else call_user(self._context, self._size, chunk)
        except Exception as error:
            self._fail(error)
            return rejected(error)
        written = promise()
        self._queue.append((chunk, size, written))
        self._queue_size += size
        self._advance()
        return written

    def _close(self) -> asyncio.Future[Any]:
        if self._error is not None:
            return rejected(self._error)
        if self._is_closing or self._is_closed:
            return rejected(js_error("TypeError", _CLOSED))
        self._closing = promise()
        self._settle_ready()
        closing = self._closing
        self._advance()
        return closing

    def _abort(self, reason: Any) -> asyncio.Future[Any]:
        if self._is_closed or (self._error is not None and not self._is_erroring):
            return resolved()
        if self._aborting is not None:
            return self._aborting[1]
        answer = promise()
        self._aborting = (reason, answer)
        if self._sink.aborts_at_once:
            self._sink.abort(reason)
        self._fail(as_error(reason))
        return answer

    def _advance(self) -> None:
        if self._in_flight or not self._is_started:
            return
        if self._is_erroring:
            self._finish_failing()
            return
        if self._error is not None or self._is_closed:
            return
        if self._queue:
            self._in_flight = True
            self._send(self._sink.write, self._queue[0][0], done=self._written)
        elif self._closing is not None:
            self._in_flight = True
            self._send(self._sink.close, done=self._close_done)

    def _send(self, function: Callable[..., Any], *args: Any, done: Callable[[], None]) -> None:
        try:
            result = function(*args)
        except Exception as error:
            result = rejected(error)
        follow(result, done=done, failed=self._send_failed)

    def _written(self) -> None:
        self._in_flight = False
        _, size, written = self._queue.popleft()
        self._queue_size -= size
        if not written.done():
            written.set_result(None)
        if not self._has_pressure:
            self._settle_ready()
        self._advance()

    def _close_done(self) -> None:
        self._in_flight = False
        self._is_closed = True
        self._is_erroring = False
        self._error = None
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)
        if self._aborting is not None and not self._aborting[1].done():
            self._aborting[1].set_result(None)
        self._settle_ready()
        self._tell()

    def _send_failed(self, error: BaseException) -> None:
        self._in_flight = False
        if self._queue:
            _, size, written = self._queue.popleft()
            self._queue_size -= size
            if not written.done():
                written.set_exception(error)
        elif self._closing is not None and not self._closing.done():
            self._closing.set_exception(error)
        if self._is_erroring:
            self._finish_failing()
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._is_closed or self._error is not None:
            return
        self._error = error
        self._is_erroring = True
        self._settle_ready()
        callbacks, self._failure_callbacks = self._failure_callbacks, []
        for callback in callbacks:
            callback()
        if not self._in_flight and self._is_started:
            self._finish_failing()

    def _finish_failing(self) -> None:
        self._is_erroring = False
        error = self._error
        assert error is not None
        queue, self._queue = self._queue, deque()
        self._queue_size = 0
        for _, _, written in queue:
            if not written.done():
                written.set_exception(error)
        if self._closing is not None and not self._closing.done():
            self._closing.set_exception(error)
        if self._aborting is not None:
            reason, answer = self._aborting
            try:
                result = None if self._sink.aborts_at_once else self._sink.abort(reason)
            except Exception as failure:
                result = rejected(failure)
            follow(
                result,
                done=lambda: fulfil(answer),
                failed=lambda failure: fulfil(answer, failure),
            )
        self._tell()

    def _tell(self) -> None:
        callbacks, self._settled = self._settled, []
        for callback in callbacks:
            callback()

    def _on_failure(self, callback: Callable[[], object]) -> None:
        self._failure_callbacks.append(callback)

    def _settle_ready(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None and not ready.done():
            if self._error is not None:
                ready.set_exception(self._error)
            else:
                ready.set_result(None)

    def _wait_ready(self) -> asyncio.Future[Any]:
        if self._error is not None:
            return rejected(self._error)
        if not self._has_pressure:
            return resolved()
        if self._ready is None:
            self._ready = promise()
        return self._ready

    def __repr__(self) -> str:
        state = "errored" if self._error else "closed" if self._is_closed else "writable"
        return f"<WritableStream {state}{' locked' if self.locked else ''}>"
