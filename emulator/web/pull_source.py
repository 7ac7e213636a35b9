"""PullSource: a stream that asks for its next chunk only when somebody reads.

Promises: one pull at a time, nothing held, no task for a chunk when the reader is our own
loop. Leaves to others: locks and readers (readable), queues (queue_source).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import js_error
from emulator.web.callbacks import as_error, rejected, resolved

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["END", "PullSource"]


@final
class _End:
    """The end of a stream, where None could be a chunk."""

    def __repr__(self) -> str:
        return "END"


END: Final = _End()


@final
class PullSource:
    """The runtime's own kind of stream: workerd's internal ReadableStream.

    Args:
        pull: Awaited for each chunk; `end` (None unless said otherwise) ends the stream.
        cancel: Called once with the reason when the reader gives up.
        known_length: Bytes to come, if known.
        is_bytes: Chunks are bytes: empty ones are passed over, and a second read while one
            waits is refused, as workerd does for its internal streams.
        end: What `pull` answers at the end.
    """

    def __init__(
        self,
        pull: Callable[[], Awaitable[Any]],
        *,
        cancel: Callable[[Any], Any] | None = None,
        known_length: int | None = None,
        is_bytes: bool = True,
        end: object = None,
    ) -> None:
        self.is_bytes = is_bytes
        self.known_length = known_length
        self.is_ended = False
        self.error: BaseException | None = None
        self.settled: list[Callable[[], object]] = []
        self._pull = pull
        self._cancel = cancel
        self._end = end
        self._is_busy = False
        self._turn: asyncio.Lock | None = None if is_bytes else asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._cancel_error: BaseException | None = None

    async def next(self) -> Any:
        """The next chunk, or END."""
        if self._turn is not None:
            async with self._turn:
                return await self._next()
        if self._is_busy:
            raise _only_one_read()
        return await self._next()

    def start_next(self) -> asyncio.Future[Any]:
        """The same, begun now: a read promise."""
        if self.error is not None:
            return rejected(self.error)
        if self.is_ended:
            return resolved(END)
        if self.is_bytes:
            if self._is_busy:
                return rejected(_only_one_read())
            self._is_busy = True
            coroutine = self._next()
        else:
            coroutine = self.next()
        self._task = asyncio.get_running_loop().create_task(coroutine)
        return self._task

    async def _next(self) -> Any:
        self._is_busy = True
        try:
            while True:
                if self.error is not None:
                    raise self.error
                if self.is_ended:
                    return END
                chunk = await self._pull()
                if self._cancel_error is not None:
                    return self._after_cancel()
                if chunk is self._end:
                    self._finish()
                    return END
                if not self.is_bytes:
                    return chunk
                if chunk:
                    if self.known_length is not None:
                        self.known_length = max(self.known_length - len(chunk), 0)
                    return chunk
        except asyncio.CancelledError:
            if self._cancel_error is not None:
                return self._after_cancel()
            raise
        except Exception as error:
            if self.error is None:
                self.error = error
                self._tell()
            raise
        finally:
            self._is_busy = False

    def _after_cancel(self) -> Any:
        # workerd rejects the waiting read of an internal stream; other streams end.
        if self.is_bytes and self._cancel_error is not None:
            raise self._cancel_error
        return END

    def cancel(self, reason: Any) -> asyncio.Future[Any]:
        """Give up: nothing is pulled any more, and the source is told why."""
        if self.error is not None:
            return rejected(self.error)
        if self.is_ended:
            return resolved()
        self._cancel_error = as_error(reason, "Stream was cancelled.")
        self._finish()
        if self._task is not None and not self._task.done():
            self._task.cancel()
        try:
            result = None if self._cancel is None else self._cancel(reason)
        except Exception as error:
            return rejected(error)
        if isinstance(result, asyncio.Future):
            return result
        if asyncio.iscoroutine(result):
            return asyncio.get_running_loop().create_task(result)
        return resolved()

    def _finish(self) -> None:
        self.is_ended = True
        if self.known_length is not None:
            self.known_length = 0
        self._tell()

    def _tell(self) -> None:
        callbacks, self.settled = self.settled, []
        for callback in callbacks:
            callback()


def _only_one_read() -> Exception:
    return js_error(
        "TypeError",
        "This ReadableStream only supports a single pending read request at a time.",
    )
