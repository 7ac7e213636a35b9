"""The archive: a ZIP that is not believed until every byte has been looked at.

Promises: what is told of an archive was read from its bytes, both its directory and the
headers in front of the data; whatever does not agree is named with its place. Leaves to
others: where the bytes come from (user), what should be in it (seeds).
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amber_worker.contract.seeds import SeededFile

__all__ = ["Archive", "LawBroken", "difference"]

MANIFEST: Final = "manifest.json"
README: Final = "README.txt"
#: Differences that evidence shows; the rest is counted.
SHOWN_MAX: Final = 5
FLAG_UTF8: Final = 1 << 11

_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)
_LOCAL_HEADER: Final = struct.Struct("<4s5H3I2H")
_CENTRAL_SIGNATURE: Final = b"PK\x01\x02"


class LawBroken(AssertionError):
    """The worker has broken a law; the message is the evidence."""


@final
class Archive:
    """One downloaded archive.

    Args:
        data: Its bytes.
        told: Whose it is, for the evidence.

    Raises:
        LawBroken: If it cannot be opened.
    """

    def __init__(self, data: bytes, told: str) -> None:
        self.data = data
        self.told = told
        #: What was read so far, by the places of the entries' headers.
        self._contents: dict[int, bytes] = {}
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
            message = (
                f"{told}: {len(data)} bytes that are no ZIP ({error}); they begin with "
                f"{data[:24]!r}"
            )
            raise LawBroken(message) from error
        #: The directory's entries, in its order.
        self.entries: list[zipfile.ZipInfo] = self._zip.infolist()

    @property
    def names(self) -> list[str]:
        """Every entry's name, in the order of the directory."""
        return [entry.filename for entry in self.entries]

    @property
    def file_entries(self) -> list[zipfile.ZipInfo]:
        """The entries of the user's files, in the order of the directory."""
        return [entry for entry in self.entries if entry.filename not in (MANIFEST, README)]

    def entry(self, name: str) -> zipfile.ZipInfo:
        """One entry.

        Raises:
            LawBroken: If there is none of that name.
        """
        for entry in self.entries:
            if entry.filename == name:
                return entry
        message = f"{self.told} has no entry {name!r}; it has {_some(map(repr, self.names))}"
        raise LawBroken(message)

    def read(self, entry: zipfile.ZipInfo | str) -> bytes:
        """One entry's content, its checksum tested.

        Raises:
            LawBroken: If it is not there, cannot be read or has another checksum.
        """
        found = self.entry(entry) if isinstance(entry, str) else entry
        try:
            return self._read(found)
        except _UNREADABLE as error:
            raise LawBroken(f"{self.told}: {_unreadable(found, error)}") from error

    def _read(self, entry: zipfile.ZipInfo) -> bytes:
        content = self._contents.get(entry.header_offset)
        if content is None:
            content = self._contents[entry.header_offset] = self._zip.read(entry)
        return content

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What manifest.json tells.

        Raises:
            LawBroken: If it is not there, or no JSON object.
        """
        text = self.read(MANIFEST)
        try:
            told = json.loads(text.decode("utf-8"))
        except ValueError as error:
            message = f"{self.told}: manifest.json is no JSON ({error}): {text[:200]!r}"
            raise LawBroken(message) from error
        if not isinstance(told, dict):
            message = f"{self.told}: manifest.json is no object: {text[:200]!r}"
            raise LawBroken(message)
        return told

    @property
    def manifest_files(self) -> list[dict[str, Any]]:
        """The manifest's `files`.

        Raises:
            LawBroken: If they are no list of objects.
        """
        files = self.manifest.get("files")
        if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
            message = f"{self.told}: manifest.json has no list of objects `files`: {files!r}"
            raise LawBroken(message)
        return files

    @property
    def readme(self) -> str:
        """The text of README.txt."""
        return self.read(README).decode("utf-8")

    # -- tests -----------------------------------------------------------------------------

    def test(self) -> None:
        """Read every entry, and compare both of its headers.

        Raises:
            LawBroken: With every entry that is broken.
        """
        self._complain([problem for entry in self.entries if (problem := self._problem(entry))])

    def _problem(self, entry: zipfile.ZipInfo) -> str | None:
        try:
            size_bytes = len(self._read(entry))
        except _UNREADABLE as error:
            return _unreadable(entry, error)
        if size_bytes != entry.file_size:
            return _told(entry, f"{size_bytes} bytes", f"{entry.file_size}")
        return self._header_problem(entry)

    def _header_problem(self, entry: zipfile.ZipInfo) -> str | None:
        """How the header in front of the data differs from the directory."""
        start = entry.header_offset
        fields = self.data[start : start + _LOCAL_HEADER.size]
        if len(fields) < _LOCAL_HEADER.size:
            return f"{entry.filename!r}: no header at byte {start}"
        _, _, flags, method, _, _, crc, _, size, name_size, _ = _LOCAL_HEADER.unpack(fields)
        name = self.data[start + _LOCAL_HEADER.size :][:name_size]
        encoding = "utf-8" if flags & FLAG_UTF8 else "cp437"
        if name.decode(encoding, "replace") != entry.orig_filename:
            return f"{entry.filename!r}: its header at byte {start} names it {name!r}"
        if method != entry.compress_type:
            return _told(entry, f"method {method} in its header", f"{entry.compress_type}")
        # Bit 3: sizes and checksum follow the data, and are nothing here.
        if not flags & 8 and crc != entry.CRC:
            return _told(entry, f"checksum {crc:08x} in its header", f"{entry.CRC:08x}")
        if not flags & 8 and size not in (entry.file_size, 0xFFFFFFFF):
            return _told(entry, f"{size} bytes in its header", f"{entry.file_size}")
        return None

    def compare(self, files: Iterable[SeededFile]) -> None:
        """Open, test and compare: exactly these files, at their paths, byte for byte.

        Raises:
            LawBroken: With every difference.
        """
        self.test()
        self.has_unique_names()
        expected = {file.path: file.content for file in files}
        found = {entry.filename: self.read(entry) for entry in self.file_entries}
        problems = [f"lost: {path!r}" for path in expected if path not in found]
        problems += [f"not expected: {path!r}" for path in found if path not in expected]
        problems += [
            f"changed: {path!r}: {difference(content, found[path])}"
            for path, content in expected.items()
            if path in found and found[path] != content
        ]
        self._complain(problems)

    def compare_contents(self, files: Iterable[SeededFile]) -> None:
        """Like `compare`, for files whose names a worker may change: contents must differ.

        Raises:
            LawBroken: With every difference.
        """
        self.test()
        self.has_unique_names()
        expected = {file.content: file.path for file in files}
        found = {self.read(entry): entry.filename for entry in self.file_entries}
        problems = [
            f"the content of {path!r} is in no entry"
            for content, path in expected.items()
            if content not in found
        ]
        problems += [
            f"entry {path!r} has the content of no file"
            for content, path in found.items()
            if content not in expected
        ]
        if len(self.file_entries) != len(expected):
            problems.append(f"{len(self.file_entries)} entries for {len(expected)} files")
        self._complain(problems)

    def has_unique_names(self) -> None:
        """No two entries may have one name: tools would extract one over the other.

        Raises:
            LawBroken: With the names.
        """
        twice = [(name, count) for name, count in Counter(self.names).items() if count > 1]
        self._complain([f"{count} entries have the name {name!r}" for name, count in twice])

    def path_of(self, content: bytes) -> str:
        """The name of the entry with this content.

        Raises:
            LawBroken: If there is none.
        """
        for entry in self.file_entries:
            if entry.file_size == len(content) and self.read(entry) == content:
                return entry.filename
        message = f"{self.told}: no entry has the content {content[:40]!r}"
        raise LawBroken(message)

    def is_utf8(self, entry: zipfile.ZipInfo) -> bool:
        """Whether both of its headers say that the name is UTF-8."""
        (flags,) = struct.unpack_from("<H", self.data, entry.header_offset + 6)
        return bool(flags & FLAG_UTF8 and entry.flag_bits & FLAG_UTF8)

    def _complain(self, problems: list[str]) -> None:
        if problems:
            raise LawBroken(f"{self.told}: {_some(problems)}")


def difference(expected: bytes, found: bytes) -> str:
    """Where two contents differ, in words."""
    common = min(len(expected), len(found))
    place = next((at for at in range(common) if expected[at] != found[at]), common)
    return (
        f"{len(found)} bytes instead of {len(expected)}, the first difference at byte {place}: "
        f"{found[place : place + 16]!r} instead of {expected[place : place + 16]!r}"
    )


def _unreadable(entry: zipfile.ZipInfo, error: Exception) -> str:
    return (
        f"entry {entry.filename!r} at byte {entry.header_offset} cannot be read: "
        f"{type(error).__name__}: {error}"
    )


def _told(entry: zipfile.ZipInfo, found: str, listed: str) -> str:
    return f"{entry.filename!r}: {found}, {listed} in the directory"


def _some(items: Iterable[str]) -> str:
    listed = list(items)
    more = f" and {len(listed) - SHOWN_MAX} more" if len(listed) > SHOWN_MAX else ""
    return "; ".join(listed[:SHOWN_MAX]) + more
