"""Pipe: moves a readable into a writable until one of them ends.

Promises: reads only when the writable has room; an error of either side reaches the other.
Leaves to others: both streams.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from emulator.errors import js_error
from emulator.web.callbacks import member, promise
from emulator.web.pull_source import END

if TYPE_CHECKING:
    from emulator.web.readable import ReadableStream
    from emulator.web.writable import WritableStream

__all__ = ["Pipe"]


@final
class Pipe:
    """One `pipeTo`, begun when made.

    Args:
        readable: Where from; locked until the end.
        writable: Where to; locked until the end.
        options: `preventClose`, `preventAbort`, `preventCancel`.
        more: The same as keywords.
    """

    def __init__(
        self,
        readable: ReadableStream,
        writable: WritableStream,
        *,
        options: Any,
        more: dict[str, Any],
    ) -> None:
        def chosen(name: str) -> bool:
            return bool(more.get(name) or member(options, name))

        self.outcome = promise()
        self._readable = readable
        self._writable = writable
        self._prevent_close = chosen("preventClose")
        self._prevent_abort = chosen("preventAbort")
        self._prevent_cancel = chosen("preventCancel")
        readable._acquire(self)
        readable._disturbed = True
        writable._acquire(self)
        self._failure: BaseException | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())
        writable._on_failure(self._destination_failed)

    def _destination_failed(self) -> None:
        # The pump may be waiting for a chunk that never comes; it must hear of this now.
        if not self._task.done():
            self._failure = self._writable._error
            self._task.cancel()

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            error = await self._pump()
        except asyncio.CancelledError:
            error = self._failure
            if error is None:
                self._release(asyncio.CancelledError())
                raise
            error = self._cancel_source(error)
        except Exception as failure:
            error = failure
        self._release(error)

    def _release(self, error: BaseException | None) -> None:
        self._readable._let_go(self)
        self._writable._let_go(self)
        if self.outcome.done():
            return
        if error is None:
            self.outcome.set_result(None)
        elif isinstance(error, asyncio.CancelledError):
            self.outcome.cancel()
        else:
            self.outcome.set_exception(error)

    def _cancel_source(self, error: BaseException) -> BaseException:
        if not self._prevent_cancel:
            self._readable._source.cancel(error)
        return error

    async def _pump(self) -> BaseException | None:
        source, writable = self._readable._source, self._writable
        last: asyncio.Future[Any] | None = None
        while True:
            if writable._error is not None:
                return self._cancel_source(writable._error)
            if writable._is_closing:
                text = "This destination writable stream is closed."
                return self._cancel_source(js_error("TypeError", text))
            if writable._has_pressure:
                await writable._wait_ready()
                continue
            try:
                chunk = await source.next()
            except Exception as error:
                if not self._prevent_abort:
                    writable._abort(error)
                return error
            if chunk is END:
                break
            last = writable._write(chunk)
            if writable._holds_nothing:
                await asyncio.wait([last])
        if not self._prevent_close:
            await writable._close()
        elif last is not None:
            await last
        return None
