"""Spool: one temporary file a bucket, in which large bodies lie as extents.

Promises: bytes that were written stay readable for as long as a `Blob` of them is held, also
when their object was replaced or deleted; extents that nobody holds are used again, and a
free tail is given back to the disk; one file descriptor, whatever the number of objects; a
fork of the process makes both sides go on in a file of their own. The file has no name from
the start where the system allows it. Leaves to others: which bodies are large (`BlobWriter`
is told), names.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from emulator.errors import WorldError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["IN_MEMORY_BYTES_MAX", "Blob", "BlobWriter", "Spool", "SpoolStatistics"]

#: Bodies up to this size stay in memory; ours, the size of one chunk of a body stream.
IN_MEMORY_BYTES_MAX: Final = 64 * 1024

#: How much is copied at once where a blob is read as a whole.
_READ_BYTES: Final = 1024 * 1024

_fork_count = 0


def _count_fork() -> None:
    global _fork_count
    _fork_count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork)


@final
class _File:
    """The temporary file, which of its bytes are free, and where it ends."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # Closed by `close`.
        self._descriptor = self._file.fileno()
        self.fork_count = _fork_count
        self.size_bytes = 0
        # Free extents, ascending and never touching: where each begins, and how long it is.
        self._free_offsets: list[int] = []
        self._free_lengths: list[int] = []
        # A world that was not disposed must not warn of an unclosed file in later tests.
        self._finalizer = weakref.finalize(self, self._file.close)

    @property
    def free_bytes(self) -> int:
        return sum(self._free_lengths)

    @property
    def is_closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        self._finalizer()

    def allocate(self, length: int) -> tuple[int, int]:
        """Take up to `length` bytes, at least one: (offset, how many)."""
        if self._free_offsets:
            offset, free = self._free_offsets[0], self._free_lengths[0]
            if free > length:
                self._free_offsets[0] += length
                self._free_lengths[0] -= length
                return offset, length
            del self._free_offsets[0], self._free_lengths[0]
            return offset, free
        offset = self.size_bytes
        self.size_bytes += length
        return offset, length

    def free(self, offset: int, length: int) -> None:
        """Give an extent back. After a fork nothing is used again: the other side may read."""
        if self.is_closed or self.fork_count != _fork_count:
            return
        offsets, lengths = self._free_offsets, self._free_lengths
        index = bisect_left(offsets, offset)
        if index < len(offsets) and offset + length == offsets[index]:
            length += lengths[index]
            del offsets[index], lengths[index]
        if index and offsets[index - 1] + lengths[index - 1] == offset:
            index -= 1
            offset = offsets[index]
            length += lengths[index]
            del offsets[index], lengths[index]
        if offset + length == self.size_bytes:
            self.size_bytes = offset
            self._file.truncate(offset)
            return
        offsets.insert(index, offset)
        lengths.insert(index, length)

    def write(self, offset: int, data: memoryview) -> None:
        while data:
            if hasattr(os, "pwrite"):
                written = os.pwrite(self._descriptor, data, offset)
            else:
                self._file.seek(offset)
                written = self._file.write(data) or 0
            data = data[written:]
            offset += written

    def read(self, offset: int, length: int) -> bytes:
        if self.is_closed:
            message = "this R2 body belongs to a world that was disposed: read it before"
            raise WorldError(message)
        if hasattr(os, "pread"):
            data = os.pread(self._descriptor, length, offset)
        else:
            self._file.seek(offset)
            data = self._file.read(length) or b""
        assert len(data) == length
        return data


@final
class _Extent:
    """Bytes of the file that are taken; they are free again when nobody holds this."""

    __slots__ = ("file", "length", "offset")

    def __init__(self, file: _File, offset: int, length: int) -> None:
        self.file = file
        self.offset = offset
        self.length = length

    def __del__(self) -> None:
        self.file.free(self.offset, self.length)


@final
class Blob:
    """Bytes that never change: in memory, or as extents of a spool.

    Args:
        data: The bytes, when they are in memory.
        extents: Where they lie in order, when they are not.
    """

    __slots__ = ("_data", "_extents", "size_bytes")

    def __init__(self, data: bytes | None, extents: tuple[_Extent, ...] = ()) -> None:
        self._data = data
        self._extents = extents
        self.size_bytes = (
            sum(extent.length for extent in extents) if data is None else len(data)
        )

    @classmethod
    def join(cls, blobs: list[Blob], spool: Spool) -> Blob:
        """One blob after the other as one; what is spooled already is not copied."""
        if sum(blob.size_bytes for blob in blobs) <= IN_MEMORY_BYTES_MAX:
            return cls(b"".join([blob.read(0, blob.size_bytes) for blob in blobs]))
        extents: list[_Extent] = []
        for blob in blobs:
            extents += blob._extents if blob._data is None else spool.store(blob._data)
        return cls(None, tuple(extents))

    @property
    def is_spooled(self) -> bool:
        """Whether the bytes lie in the file."""
        return self._data is None

    def read(self, start: int, length: int) -> bytes:
        """The bytes from `start`, cut off at the end.

        Raises:
            WorldError: If they lie in a spool that was closed.
        """
        if self._data is not None:
            if start == 0 and length >= self.size_bytes:
                return self._data
            return self._data[start : start + length]
        pieces: list[bytes] = []
        for extent in self._extents:
            if start >= extent.length:
                start -= extent.length
                continue
            if length <= 0:
                break
            count = min(length, extent.length - start)
            pieces.append(extent.file.read(extent.offset + start, count))
            start = 0
            length -= count
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def pieces(self) -> Iterator[bytes]:
        """All bytes, in pieces of at most 1 MiB."""
        for start in range(0, self.size_bytes, _READ_BYTES):
            yield self.read(start, _READ_BYTES)

    def __repr__(self) -> str:
        where = f"{len(self._extents)} extents" if self._data is None else "in memory"
        return f"<Blob {self.size_bytes} bytes, {where}>"


@final
@dataclass(frozen=True, slots=True)
class SpoolStatistics:
    """Seen from outside: how large the file is, and how much of it is free."""

    file_bytes: int
    free_bytes: int


@final
class Spool:
    """The file of one bucket. It is opened when the first large body comes."""

    def __init__(self) -> None:
        self._file: _File | None = None
        self._is_closed = False
        #: Whether others read the file too, for longer than this spool is open.
        self._is_shared = False

    def share(self) -> None:
        """Leave the bytes readable after `close`, for as long as a blob of them is held."""
        self._is_shared = True

    def store(self, data: bytes | memoryview) -> list[_Extent]:
        """Write bytes; where they lie, in order.

        Raises:
            WorldError: If the spool was closed.
        """
        if self._is_closed:
            message = "this R2 bucket belongs to a world that was disposed"
            raise WorldError(message)
        file = self._file
        if file is None or file.fork_count != _fork_count:
            file = self._file = _File()
        view = memoryview(data)
        extents: list[_Extent] = []
        while view:
            offset, length = file.allocate(len(view))
            extents.append(_Extent(file, offset, length))
            file.write(offset, view[:length])
            view = view[length:]
        return extents

    def blob(self, data: bytes) -> Blob:
        """Bytes as a blob: in memory if they are few, else in the file."""
        if len(data) <= IN_MEMORY_BYTES_MAX:
            return Blob(data)
        return Blob(None, tuple(self.store(data)))

    def close(self) -> None:
        """Give the file up. Blobs in it cannot be read any more, unless they are shared."""
        self._is_closed = True
        file, self._file = self._file, None
        if file is not None and not self._is_shared:
            file.close()

    def statistics(self) -> SpoolStatistics:
        """The size of the file and of its free parts, in bytes."""
        if self._file is None:
            return SpoolStatistics(0, 0)
        return SpoolStatistics(self._file.size_bytes, self._file.free_bytes)


@final
class BlobWriter:
    """Takes bytes as they come and makes one blob of them.

    What was written is free again if the writer is dropped without `finish`.

    Args:
        spool: Where bytes go as soon as they are more than stay in memory.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._pending = bytearray()
        self._extents: list[_Extent] = []
        self.size_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take some bytes; they are copied."""
        self.size_bytes += len(data)
        self._pending += data
        if len(self._pending) >= _READ_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._extents += self._spool.store(bytes(self._pending))
        self._pending.clear()

    def finish(self) -> Blob:
        """All bytes that were written, as a blob."""
        if not self._extents and self.size_bytes <= IN_MEMORY_BYTES_MAX:
            return Blob(bytes(self._pending))
        if self._pending:
            self._flush()
        return Blob(None, tuple(self._extents))
