"""The committed image: what a database would be after a rollback, without one.

Inside of a transaction SQLite shows the new pages to everybody who asks its connection, and
keeps the old ones in the rollback journal. A rollback would end the transaction with all its
savepoints and cursors, so the journal is read beside it, through SQLite's public interface:
SQLITE_FCNTL_JOURNAL_POINTER gives its file, `sqlite3_io_methods` reads it (sqlite3.h), and
"The Rollback Journal" in SQLite's file format says what is in it.

Promises: the bytes of the last commit; the connection notices nothing. Pages that an
incremental vacuum gives back are in no journal, so no worker may run one (the authorizer).
Leaves to others: when an image is wanted (the database).
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any, ClassVar, Final

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["committed_image"]

_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")
#: Magic, count of records, nonce, pages before the transaction, bytes of the header, of a page.
_HEADER: Final = struct.Struct(">8sIIIII")
_NUMBER: Final = struct.Struct(">I")
#: After each page's bytes.
_CHECKSUM_BYTES: Final = 4


class _Methods(ctypes.Structure):
    """The beginning of `sqlite3_io_methods`, whose order SQLite never changes."""

    _fields_: ClassVar[Any] = (
        ("iVersion", ctypes.c_int),
        ("xClose", ctypes.c_void_p),
        (
            "xRead",
            ctypes.CFUNCTYPE(
                ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
            ),
        ),
        ("xWrite", ctypes.c_void_p),
        ("xTruncate", ctypes.c_void_p),
        ("xSync", ctypes.c_void_p),
        (
            "xFileSize",
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64)),
        ),
    )


def committed_image(connection: apsw.Connection) -> bytes:
    """The database `main` as the last commit left it.

    Args:
        connection: In a transaction or not; its database is in memory.

    Returns:
        An image, as `serialize` gives.
    """
    image = connection.serialize("main")
    journal = _journal_of(connection) if connection.in_transaction else b""
    if not journal:
        return image  # Nothing has been written since.
    magic, _, _, page_count, header_bytes, page_bytes = _HEADER.unpack_from(journal)
    assert magic == _MAGIC, "a journal in memory is never cut into segments"
    committed = bytearray(image[: page_count * page_bytes])
    committed.extend(bytes(page_count * page_bytes - len(committed)))
    for number, page in _pages(journal, header_bytes, page_bytes):
        if number <= page_count:
            committed[(number - 1) * page_bytes : number * page_bytes] = page
    return bytes(committed)


def _pages(journal: bytes, start: int, page_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Each page that has been changed since the commit, as it was."""
    record_bytes = _NUMBER.size + page_bytes + _CHECKSUM_BYTES
    for offset in range(start, len(journal) - record_bytes + 1, record_bytes):
        (number,) = _NUMBER.unpack_from(journal, offset)
        page_at = offset + _NUMBER.size
        yield number, journal[page_at : page_at + page_bytes]


def _journal_of(connection: apsw.Connection) -> bytes:
    file = ctypes.c_void_p()
    connection.file_control("main", apsw.SQLITE_FCNTL_JOURNAL_POINTER, ctypes.addressof(file))
    # The first member of every file of SQLite points to its methods; it has none while closed.
    if not file.value or not ctypes.c_void_p.from_address(file.value).value:
        return b""
    methods = ctypes.cast(file, ctypes.POINTER(ctypes.POINTER(_Methods))).contents
    size = ctypes.c_int64()
    status = methods.contents.xFileSize(file, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    status = status or methods.contents.xRead(file, buffer, size.value, 0)
    assert status == apsw.SQLITE_OK, "memory can be read"
    return buffer.raw
