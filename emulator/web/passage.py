"""Passage: hands one chunk from a writer to a reader, face to face.

Promises: a write is done when the reader has taken the chunk; at most one chunk is held.
Leaves to others: the two streams around it (transform).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.errors import js_error
from emulator.web.callbacks import as_error, promise, rejected
from emulator.web.pull_source import END

if TYPE_CHECKING:
    import asyncio

    from emulator.web.writable import WritableStream, WritableStreamDefaultController

__all__ = ["Passage", "checked_bytes"]

_NOT_BYTES = "This TransformStream is being used as a byte stream, but received "


def checked_bytes(chunk: Any) -> bytes:
    """The bytes of a chunk that was written to a byte stream.

    Raises:
        JsTypeError: If it is anything else.
    """
    if isinstance(chunk, str):
        text = (
            "a string on its writable side. If you wish to write a string, you'll "
            "probably want to explicitly UTF-8-encode it with TextEncoder."
        )
        raise js_error("TypeError", _NOT_BYTES + text)
    if not isinstance(chunk, bytes | bytearray | memoryview):
        text = "an object of non-ArrayBuffer/ArrayBufferView type on its writable side."
        raise js_error("TypeError", _NOT_BYTES + text)
    return bytes(chunk)


@final
class Passage:
    """The inside of an identity transform: a sink whose chunks `take` gives out.

    Args:
        is_bytes: Only bytes pass (workerd's IdentityTransformStream); otherwise anything
            does (the standard's TransformStream).
        length: With bytes: exactly how many have to pass (FixedLengthStream).
    """

    def __init__(self, *, is_bytes: bool, length: int | None = None) -> None:
        self.holds_nothing = is_bytes
        self.aborts_at_once = True
        self.writable: WritableStream | None = None
        self._is_bytes = is_bytes
        self._rest = length
        self._offer: tuple[Any, asyncio.Future[Any]] | None = None
        self._taker: asyncio.Future[Any] | None = None
        self._is_closed = False
        self._error: BaseException | None = None

    def start(self, controller: WritableStreamDefaultController) -> None:
        """Nothing to prepare."""

    def write(self, chunk: Any) -> asyncio.Future[Any] | None:
        """Offer a chunk; done when it is taken. Empty bytes are done at once."""
        if self._error is not None:
            return rejected(self._error)
        if self._is_bytes:
            chunk = checked_bytes(chunk)
            if not chunk:
                return None
        return self._put(chunk)

    def close(self) -> asyncio.Future[Any] | None:
        """The end. It is done at once; what was written has been taken before."""
        if self._error is not None:
            return rejected(self._error)
        self._is_closed = True
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(END)
        return None

    def _put(self, item: Any) -> asyncio.Future[Any] | None:
        taker, self._taker = self._taker, None
        if taker is not None and not taker.done():
            taker.set_result(item)
            return None
        taken = promise()
        self._offer = (item, taken)
        return taken

    async def take(self) -> Any:
        """The next chunk for the reader, or END.

        Raises:
            JsTypeError: If more or fewer bytes came than the fixed length.
        """
        if self._offer is not None:
            item, taken = self._offer
            self._offer = None
            if not taken.done():
                taken.set_result(None)
        elif self._error is not None:
            raise self._error
        elif self._is_closed:
            item = END
        else:
            self._taker = promise()
            item = await self._taker
        if self._rest is not None:
            self._count(item)
        return item

    def _count(self, item: Any) -> None:
        # As in workerd (identity-transform-stream.c++) it is the read that fails; the
        # write whose bytes were too many has been taken and succeeds.
        assert self._rest is not None
        if item is END:
            if self._rest > 0:
                text = "FixedLengthStream did not see all expected bytes before close()."
                # The writable half is not failed: its close has succeeded.
                error = js_error("TypeError", text)
                self._break(error)
                raise error
        elif len(item) > self._rest:
            text = "Attempt to write too many bytes through a FixedLengthStream."
            raise self._failed(js_error("TypeError", text))
        else:
            self._rest -= len(item)

    def _failed(self, error: BaseException) -> BaseException:
        self._break(error)
        if self.writable is not None:
            self.writable._fail(error)
        return error

    def _break(self, error: BaseException) -> None:
        if self._error is not None:
            return
        self._error = error
        if self._offer is not None:
            _, taken = self._offer
            self._offer = None
            if not taken.done():
                taken.set_exception(error)
        if self._taker is not None and not self._taker.done():
            self._taker.set_exception(error)

    def abort(self, reason: Any) -> None:
        """The writer gave up: the reader's next read fails with the reason."""
        self._break(as_error(reason))

    def cancel(self, reason: Any) -> None:
        """The reader gave up: waiting and later writes fail with the reason."""
        default = "Stream was cancelled." if self._is_bytes else "undefined"
        self._failed(as_error(reason, default))
