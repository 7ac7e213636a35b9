"""TransformStream: a writable half and a readable half with something between them.

Promises: a write waits until the reader wants more; an error of one half reaches the
other. Leaves to others: the halves themselves.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self, final

from emulator.errors import js_error
from emulator.web.callbacks import as_error, call_user, follow, member, promise
from emulator.web.js_object import JsObject
from emulator.web.passage import Passage
from emulator.web.pull_source import END, PullSource
from emulator.web.queue_source import QueueSource
from emulator.web.readable import ReadableStream
from emulator.web.writable import WritableStream

if TYPE_CHECKING:
    import asyncio

    from emulator.web.writable import WritableStreamDefaultController

__all__ = ["FixedLengthStream", "IdentityTransformStream", "TransformStream"]


class TransformStream(JsObject):
    """A pair of streams: what is written to one is read, transformed, from the other.

    Args:
        transformer: A dict or an object with `start(controller)`,
            `transform(chunk, controller)`, `flush(controller)`, plain or async; without
            `transform` chunks pass as they are.
        writableStrategy: `highWaterMark` (1 unless given) and `size`.
        readableStrategy: `highWaterMark` (0 unless given) and `size`.
    """

    readable: ReadableStream
    writable: WritableStream

    @classmethod
    def new(cls, *arguments: Any, **transformer: Any) -> Self:
        """JavaScript's `new`, as Pyodide spells it: keywords are an object."""
        return cls(*arguments, *([transformer] if transformer else ()))

    def __init__(
        self,
        transformer: Any = None,
        writableStrategy: Any = None,
        readableStrategy: Any = None,
    ) -> None:
        if transformer is None and readableStrategy is None:
            self._connect(Passage(is_bytes=False), writableStrategy)
            return
        between = _Transformer(transformer, readableStrategy)
        self.readable = ReadableStream._over(between.source)
        self.writable = WritableStream.from_sink(between, writableStrategy)
        between.writable = self.writable

    def _connect(self, passage: Passage, strategy: Any, length: int | None = None) -> None:
        is_bytes = passage.holds_nothing
        self.readable = ReadableStream._over(
            PullSource(
                passage.take,
                cancel=passage.cancel,
                known_length=length,
                is_bytes=is_bytes,
                end=END,
            )
        )
        self.writable = WritableStream.from_sink(passage, strategy)
        passage.writable = self.writable


class IdentityTransformStream(TransformStream):
    """workerd's own: bytes only, a write waits until its bytes are read."""

    def __init__(self, queuingStrategy: Any = None) -> None:
        self._connect(Passage(is_bytes=True), queuingStrategy)


@final
class FixedLengthStream(IdentityTransformStream):
    """An identity transform through which exactly so many bytes must pass.

    Args:
        expectedLength: How many bytes; the readable half has it as its known length.

    Raises:
        JsTypeError: If the length is negative or not a whole number.
    """

    def __init__(self, expectedLength: int, queuingStrategy: Any = None) -> None:
        if isinstance(expectedLength, bool) or not isinstance(expectedLength, int):
            raise js_error(
                "TypeError", "The value cannot be converted because it is not an integer."
            )
        if expectedLength < 0:
            raise js_error(
                "TypeError",
                "The value cannot be converted because it is negative and this API expects "
                "a positive bigint.",
            )
        passage = Passage(is_bytes=True, length=expectedLength)
        self._connect(passage, queuingStrategy, length=expectedLength)


@final
class TransformStreamDefaultController:
    """What the methods of a transformer are given."""

    def __init__(self, between: _Transformer) -> None:
        self._between = between

    @property
    def desiredSize(self) -> float | None:
        """How much the readable half would like."""
        return self._between.source.desired_size

    def enqueue(self, chunk: Any = None) -> None:
        """Give a chunk to the readable half."""
        self._between.enqueue(chunk)

    def error(self, reason: Any = None) -> None:
        """Fail both halves."""
        self._between.fail(as_error(reason))

    def terminate(self) -> None:
        """End the readable half and fail the writable one."""
        self._between.terminate()


@final
class _Transformer:
    """A transformer of user code between its two halves (a sink for the writable one)."""

    holds_nothing = False
    aborts_at_once = True

    def __init__(self, underlying: Any, readable_strategy: Any) -> None:
        self.writable: WritableStream | None = None
        self._underlying = underlying
        self._context = copy_context()
        self._controller = TransformStreamDefaultController(self)
        self._wanted: asyncio.Future[Any] | None = None
        self.source = QueueSource(
            {"pull": self._pull, "cancel": self._cancel}, readable_strategy, high_water_mark=0
        )

    def _call(self, name: str, *args: Any) -> Any:
        function = member(self._underlying, name)
        if function is None:
            return None
        return call_user(self._context, function, *args, self._controller)

    def _pull(self, _: Any) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def _is_wanted(self) -> bool:
        size = self.source.desired_size
        return self.source.has_waiting_read or (size is not None and size > 0)

    def start(self, controller: WritableStreamDefaultController) -> Any:
        return self._call("start")

    async def _transform(self, chunk: Any) -> None:
        while not self._is_wanted():
            if self.source.error is not None:
                raise self.source.error
            self._wanted = promise()
            await self._wanted
        result = self._call("transform", chunk)
        if result is not None:
            await result

    def write(self, chunk: Any) -> Any:
        if member(self._underlying, "transform") is None:
            return call_user(self._context, self._pass_on, chunk)
        return call_user(self._context, self._guarded, chunk)

    async def _pass_on(self, chunk: Any) -> None:
        while not self._is_wanted():
            self._wanted = promise()
            await self._wanted
        self.source.enqueue(chunk)

    async def _guarded(self, chunk: Any) -> None:
        try:
            await self._transform(chunk)
        except Exception as error:
            self.source.fail(error)
            raise

    def enqueue(self, chunk: Any) -> None:
        try:
            self.source.enqueue(chunk)
        except Exception as error:
            self.fail(error)
            raise

    def close(self) -> Any:
        result = self._call("flush")
        answer = promise()

        def flushed() -> None:
            if not self.source.is_ended and self.source.error is None:
                self.source.close()
            if not answer.done():
                answer.set_result(None)

        def failed(error: BaseException) -> None:
            self.source.fail(error)
            if not answer.done():
                answer.set_exception(error)

        follow(result, done=flushed, failed=failed)
        return answer

    def abort(self, reason: Any) -> None:
        error = as_error(reason)
        self.source.fail(error)
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_exception(error)

    def _cancel(self, reason: Any) -> None:
        self._fail_writable(as_error(reason))

    def _fail_writable(self, error: BaseException) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_exception(error)
        if self.writable is not None:
            self.writable._fail(error)

    def fail(self, error: BaseException) -> None:
        self.source.fail(error)
        self._fail_writable(error)

    def terminate(self) -> None:
        if not self.source.is_ended:
            self.source.close()
        self._fail_writable(js_error("TypeError", "The transform stream has been terminated"))
