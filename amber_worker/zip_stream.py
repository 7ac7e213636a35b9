"""The ZIP stream: an archive that is written while it is read, one file at a time.

Promises: one chunk in, one chunk out, in lockstep, so that no file and no archive is ever
held whole; complete entries only in the directory, in the order that the caller gives; ZIP64
where sizes or counts ask for it; the same bytes for the same input, on every machine. An
entry whose source breaks stays out of the directory, and its bytes are dead weight. Leaves
to others: names (zip_names), where the bytes go (the sink).

The formats are zipstream-ng's: its `ZipStreamInfo` writes headers and descriptors, its
`ZipStream` the end of the directory. Both are used from within, so their range is pinned.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream, ZipStreamInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from datetime import datetime

__all__ = ["ZIP_CONFIG", "BrokenSource", "ZipEntry", "ZipStreamer"]

#: README's three values.
ZIP_CONFIG: Final = {
    "MAX_FILES_PER_CHUNK": 100,
    "MAX_CHUNK_SIZE": 50 * 1024 * 1024,
    "COMPRESSION_LEVEL": 6,
}

#: Sizes follow the data (APPNOTE 4.4.4, bit 3).
_FLAG_DATA_DESCRIPTOR: Final = 1 << 3
#: A plain file, readable by everybody: Unix mode in the upper half.
_PLAIN_FILE: Final = 0o100644 << 16
_UNIX: Final = 3
#: The first instant that the format knows.
_DATE_DEFAULT: Final = (1980, 1, 1, 0, 0, 0)
_DATE_LAST: Final = (2107, 12, 31, 23, 59, 58)


class BrokenSource(Exception):
    """The source of one entry failed; the archive goes on without that entry.

    Attributes:
        reason: Why, in words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ZipEntry(NamedTuple):
    """One complete entry, as the directory needs it. JSON can hold it.

    Attributes:
        path: Its path in the archive.
        date: Year, month, day, hour, minute, second.
        is_stored: Not deflated, its sizes in front of the data.
        crc: CRC-32 of the content.
        size_bytes: Bytes of the content.
        compressed_bytes: Bytes of it in the archive.
        offset: Where its header begins.
        version: What an extractor must know: 20, or 45 for ZIP64.
    """

    path: str
    date: tuple[int, ...]
    is_stored: bool
    crc: int
    size_bytes: int
    compressed_bytes: int
    offset: int
    version: int

    def directory_record(self) -> bytes:
        """Its header in the central directory."""
        info = _info(self.path, self.date, is_stored=self.is_stored)
        if not self.is_stored:
            info.flag_bits |= _FLAG_DATA_DESCRIPTOR
        info.CRC = self.crc
        info.file_size = self.size_bytes
        info.compress_size = self.compressed_bytes
        info.header_offset = self.offset
        info.extract_version = info.create_version = self.version
        record: bytes = info._central_directory_header_data()
        return record


@final
class ZipStreamer:
    """Writes one archive.

    Args:
        write: Awaited with each piece of the archive, in order. None makes `readable`, a
            stream whose reader takes the pieces; then every method waits for that reader,
            and the stream's length is not known, so that R2's `put` refuses it.
        position: Bytes of this archive that were written before, by another streamer.
    """

    def __init__(
        self, write: Callable[[bytes], Awaitable[Any]] | None = None, *, position: int = 0
    ) -> None:
        self._stream: Any = None
        self._writer: Any = None
        if write is None:
            from js import IdentityTransformStream

            self._stream = IdentityTransformStream.new()
            self._writer = self._stream.writable.getWriter()
            write = self._writer.write
        self._write = write
        #: Bytes of the archive so far.
        self.position = position
        #: Bytes that went through the compressor here: what the platform charges CPU for.
        self.deflated_bytes = 0
        #: Complete entries of this streamer, in the order in which they were written.
        self.entries: list[ZipEntry] = []

    @property
    def readable(self) -> Any:
        """The archive as a stream; None if it goes to a `write` function."""
        return None if self._stream is None else self._stream.readable

    async def add_file(
        self, path: str, stream: Any, size_bytes: int, *, modified: datetime | None = None
    ) -> ZipEntry:
        """Deflate one file into the archive.

        Args:
            path: Its path in the archive.
            stream: A ReadableStream of bytes; cancelled if the archive cannot go on.
            size_bytes: How many bytes it has.
            modified: The entry's date in UTC; 1980 if there is none.

        Returns:
            The entry, which is also in `entries`.

        Raises:
            BrokenSource: If the stream fails or has another length.
        """
        offset = self.position
        info = _info(path, _date(modified), is_stored=False)
        # From it zipstream decides whether the entry needs ZIP64.
        info.file_size = size_bytes
        slot = _Slot()
        pieces: Iterator[bytes] = info._file_data(slot)
        reader = stream.getReader()
        left = size_bytes
        try:
            await self._put(next(pieces))
            while (chunk := await _read(reader)) is not None:
                left -= len(chunk)
                if left < 0:
                    break
                self.deflated_bytes += len(chunk)
                slot.chunk = chunk
                piece = next(pieces)
                if piece:
                    await self._put(piece)
        except BrokenSource:
            raise
        except Exception:
            await reader.cancel()
            raise
        if left < 0:
            await reader.cancel()
            message = f"longer than its {size_bytes} bytes"
            raise BrokenSource(message)
        if left:
            message = f"ended after {size_bytes - left} of {size_bytes} bytes"
            raise BrokenSource(message)
        for piece in pieces:
            await self._put(piece)
        return self._complete(info, offset, is_stored=False)

    async def add_text_file(
        self, path: str, text: str, *, modified: datetime | None = None
    ) -> ZipEntry:
        """Store one text, in UTF-8, with its sizes in front.

        Args:
            path: Its path in the archive.
            text: The content.
            modified: The entry's date in UTC; 1980 if there is none.
        """
        content = text.encode()
        offset = self.position
        info = _info(path, _date(modified), is_stored=True)
        info.CRC = zlib.crc32(content)
        info.file_size = info.compress_size = len(content)
        await self._put(info.FileHeader(zip64=False))
        if content:
            await self._put(content)
        return self._complete(info, offset, is_stored=True)

    async def close(self, entries: Iterable[ZipEntry] | None = None, count: int = 0) -> None:
        """Write the directory, and end the archive.

        Args:
            entries: What the directory lists, in order; all of `entries` if None.
            count: How many those are, unless None.
        """
        if entries is None:
            entries, count = self.entries, len(self.entries)
        # A sized list of records is all that zipstream's footer asks of its files.
        footer = ZipStream()
        footer._pos = self.position
        footer._filelist = _Directory(entries, count)
        for piece in footer._gen_archive_footer():
            await self._put(piece)
        if self._writer is not None:
            await self._writer.close()

    def _complete(self, info: Any, offset: int, *, is_stored: bool) -> ZipEntry:
        entry = ZipEntry(
            info.filename,
            tuple(info.date_time),
            is_stored,
            info.CRC,
            info.file_size,
            info.compress_size,
            offset,
            info.extract_version,
        )
        self.entries.append(entry)
        return entry

    async def _put(self, piece: bytes) -> None:
        await self._write(piece)
        self.position += len(piece)

    def __repr__(self) -> str:
        return f"<ZipStreamer {len(self.entries)} entries, {self.position} bytes>"


@final
class _Slot:
    """The source that zipstream's compressor asks: it holds one chunk or is at its end."""

    def __init__(self) -> None:
        self.chunk: bytes | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk, self.chunk = self.chunk, None
        if chunk is None:
            raise StopIteration
        return chunk


@final
class _Directory:
    """Entries as zipstream's footer wants them: counted, and walked once."""

    def __init__(self, entries: Iterable[ZipEntry], count: int) -> None:
        self._entries = entries
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[_Record]:
        return (_Record(entry) for entry in self._entries)


class _Record(NamedTuple):
    """One entry under the method name that the footer calls."""

    entry: ZipEntry

    def _central_directory_header_data(self) -> bytes:
        return self.entry.directory_record()


def _info(path: str, date: tuple[int, ...], *, is_stored: bool) -> Any:
    info = ZipStreamInfo(path, date)
    info.create_system = _UNIX
    info.external_attr = _PLAIN_FILE
    info.compress_type = ZIP_STORED if is_stored else ZIP_DEFLATED
    if not is_stored:
        info._compresslevel = ZIP_CONFIG["COMPRESSION_LEVEL"]
    return info


def _date(modified: datetime | None) -> tuple[int, ...]:
    if modified is None:
        return _DATE_DEFAULT
    when = modified
    date = (when.year, when.month, when.day, when.hour, when.minute, when.second)
    return min(max(date, _DATE_DEFAULT), _DATE_LAST)


async def _read(reader: Any) -> bytes | None:
    try:
        result = await reader.read()
    except Exception as error:
        raise BrokenSource(getattr(error, "message", None) or str(error)) from error
    if result.done:
        return None
    chunk: bytes = result.value.to_bytes()
    return chunk
