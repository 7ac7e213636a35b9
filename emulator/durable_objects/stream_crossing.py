"""The crossing of streams: one end here, the other in another worker.

Promises: the sender's stream is locked, and its chunks travel at the reader's pace, one at a
time; only bytes do; when the sender's event or object ends, the reader is told, and when
the writer's does, so is the sink. Leaves to others: which values are streams (the
crossing). Texts are workerd's (worker-rpc.c++ and streams, measured).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.context import CURRENT, IoContext
from emulator.errors import JsException, js_error
from emulator.simulation.handles import SimulationFuture
from emulator.simulation.rules import Operation
from emulator.web.passage import checked_bytes
from emulator.web.pull_source import END
from emulator.web.streams import ReadableStream, WritableStream

if TYPE_CHECKING:
    import asyncio

__all__ = ["send_readable", "send_writable"]

_LOCKED: Final = "The ReadableStream has been locked to a reader."
_CUT: Final = "ReadableStream received over RPC disconnected prematurely."
_WRITER_GONE: Final = (
    "WritableStream received over RPC was disconnected because the remote execution context "
    "has endeded."
)


def send_readable(
    stream: ReadableStream, sender: IoContext, receiver: IoContext | None
) -> ReadableStream:
    """The stream as the receiver gets it; the sender's is locked from now on.

    Args:
        stream: The sender's.
        sender: Where its chunks are made.
        receiver: Who reads them; None is whoever's code does.

    Raises:
        JsTypeError: If the stream is locked.
    """
    if stream.locked or stream.is_disturbed:
        raise js_error("TypeError", _LOCKED)
    pump = _Pump(stream, sender)
    operation = Operation(sender.name, "rpc.body")

    async def pull() -> Any:
        context = CURRENT.get() or receiver or sender
        return await context.carry_inner(operation, pump.read)

    return ReadableStream.from_source(
        pull, cancel=pump.cancel, known_length=stream.known_length
    )


@final
class _Pump:
    """The sender's end of a stream to read from."""

    def __init__(self, stream: ReadableStream, sender: IoContext) -> None:
        self._source = stream._source
        self._sender = sender
        self._waiting: SimulationFuture | None = None
        self._error: JsException | None = None
        self._is_over = False
        stream._acquire(self)
        stream._disturbed = True
        sender.held[self] = None
        sender.hosted_count += 1

    def read(self) -> Any:
        """The next chunk, None at the end."""
        if self._error is not None:
            raise self._error
        if self._is_over:
            return None
        self._waiting = waiting = SimulationFuture(loop=self._sender.loop)
        chunk: asyncio.Future[Any] = self._source.start_next()
        chunk.add_done_callback(self._made, context=self._sender.loop.platform_context)
        return waiting

    def _made(self, made: asyncio.Future[Any]) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        chunk = None if made.cancelled() or made.exception() is not None else made.result()
        if chunk is END:
            self._end()
            waiting.set_result(None)
        elif isinstance(chunk, (bytes, bytearray, memoryview)):
            waiting.set_result(bytes(chunk))
        else:
            # Not bytes, or the source has failed: the receiver is not told why.
            self.let_go()

    def let_go(self) -> None:
        """The sender is gone."""
        if self._is_over:
            return
        self._end()
        self._error = JsException(_CUT)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(self._error)

    def cancel(self, reason: Any) -> None:
        """The reader gave up. The source is not asked again, and not told (measured)."""
        self._end()

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            sender = self._sender
            sender.held.pop(self, None)
            sender.hosted_count -= 1
            sender.unhosted()


def send_writable(
    stream: WritableStream, sender: IoContext, receiver: IoContext | None
) -> WritableStream:
    """The stream as the receiver gets it; the sender's is locked from now on.

    Raises:
        JsTypeError: If the stream is locked.
    """
    return WritableStream.from_sink(_Sink(stream, sender, receiver))


@final
class _Sink:
    """The receiver's end of a stream to write to."""

    holds_nothing = True
    aborts_at_once = True

    def __init__(
        self, stream: WritableStream, sender: IoContext, receiver: IoContext | None
    ) -> None:
        self._writer: Any = stream.getWriter()
        self._sender = sender
        self._receiver = receiver
        self._operation = Operation(sender.name, "rpc.body")
        self._is_over = False

    def _carry(self, work: Any) -> SimulationFuture:
        context = CURRENT.get() or self._receiver or self._sender
        if not self._is_over and context is not self._sender:
            context.held[self] = None
            self._receiver = context
        return context.carry_inner(self._operation, work)

    def start(self, controller: Any) -> None:
        """Nothing to prepare."""

    def write(self, chunk: Any) -> SimulationFuture | None:
        """Carry bytes over."""
        data = checked_bytes(chunk)
        return self._carry(lambda: self._writer.write(data)) if data else None

    def close(self) -> SimulationFuture:
        """Carry the end over."""
        self._end()
        return self._carry(lambda: self._writer.close())

    def abort(self, reason: Any) -> None:
        """Give up. The sink is not told the reason (measured)."""
        self.let_go()

    def let_go(self) -> None:
        """The writer is gone."""
        if not self._is_over:
            self._end()
            self._writer.abort(JsException(_WRITER_GONE, retryable=True))

    def _end(self) -> None:
        self._is_over = True
        if self._receiver is not None:
            self._receiver.held.pop(self, None)
