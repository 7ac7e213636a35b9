"""The folder: which files of a directory are exported, and as what.

Promises: every regular file once, in an order that does not depend on the file system;
what cannot be exported is either an error that names the path, or a warning that does.
Leaves to others: reading the files (the export).

The rule: the first folder level is the product if it is one of the four that the schema
knows (blog, ivy, profile, themes), the next level is the category. A file that lies under
another folder belongs to the product "blog", or the one given, and that folder is its
category; a file without a folder for its category is "uncategorized". Deeper folders do
not show in the archive; files that would meet there are numbered.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

__all__ = ["PRODUCTS", "FolderError", "LocalFile", "Scan", "scan", "shown"]

PRODUCTS: Final = ("blog", "ivy", "profile", "themes")
CATEGORY_DEFAULT: Final = "uncategorized"
# R2's longest key (Cloudflare docs, R2 limits), less room for the user's folder.
KEY_BYTES_MAX: Final = 1_024


class FolderError(Exception):
    """The folder cannot be exported. The message names the path."""


@final
@dataclass(frozen=True, slots=True)
class LocalFile:
    """One file to export."""

    path: Path
    relative: str
    product: str
    category: str
    size_bytes: int

    @property
    def filename(self) -> str:
        """The last part of its path."""
        return self.relative.rpartition("/")[2]

    def key(self, user: str) -> str:
        """Where it lies in R2: its path below the user's folder.

        A path too long for a key keeps its end, behind a hash of the whole.
        """
        key = f"{user}/{self.relative}"
        encoded = key.encode()
        if len(encoded) <= KEY_BYTES_MAX:
            return key
        digest = hashlib.sha256(encoded).hexdigest()
        tail = encoded[-512:].decode(errors="ignore").rpartition("/")[2]
        return f"{user}/{digest}/{tail}"


@final
@dataclass(frozen=True, slots=True)
class Scan:
    """What a folder holds.

    Attributes:
        files: In the order of their paths.
        skipped: One sentence for each entry that is no regular file.
    """

    files: tuple[LocalFile, ...]
    skipped: tuple[str, ...]


def scan(folder: Path, *, product: str = "blog", out: Path | None = None) -> Scan:
    """Find the files of a folder.

    Args:
        folder: A directory.
        product: What files belong to whose first folder names no product.
        out: Where the archive goes; one from an earlier run is not exported.

    Raises:
        FolderError: If it does not exist, is no folder, holds no file, or holds something
            that cannot be read or whose name is not UTF-8.
    """
    if not folder.exists():
        message = f"there is no folder {shown(folder)}"
        raise FolderError(message)
    if not folder.is_dir():
        message = f"{shown(folder)} is not a folder"
        raise FolderError(message)
    files: list[LocalFile] = []
    skipped: list[str] = []
    written = None if out is None or not out.exists() else out.stat()
    pending = [(folder, "")]
    while pending:
        directory, prefix = pending.pop()
        for entry in _entries(directory):
            relative = f"{prefix}{_checked_name(entry)}"
            kind = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(kind.st_mode):
                pending.append((Path(entry.path), f"{relative}/"))
            elif written is not None and os.path.samestat(kind, written):
                skipped.append(f"skipped {relative}: it is the archive of an earlier run")
            elif stat.S_ISREG(kind.st_mode):
                _check_readable(entry)
                files.append(_local_file(Path(entry.path), relative, kind.st_size, product))
            else:
                skipped.append(f"skipped {relative}: {_kind_name(kind.st_mode)}")
    if not files:
        message = f"{shown(folder)} holds no files"
        raise FolderError(message)
    files.sort(key=lambda file: file.relative)
    return Scan(tuple(files), tuple(sorted(skipped)))


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError as error:
        message = f"cannot read the folder {shown(directory)}: {error.strerror}"
        raise FolderError(message) from error


def _checked_name(entry: os.DirEntry[str]) -> str:
    try:
        entry.name.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"the name of {shown(Path(entry.path))} is not UTF-8; rename it"
        raise FolderError(message) from error
    return entry.name


def _check_readable(entry: os.DirEntry[str]) -> None:
    try:
        with Path(entry.path).open("rb"):
            pass
    except OSError as error:
        message = f"cannot read {shown(Path(entry.path))}: {error.strerror}"
        raise FolderError(message) from error


def _local_file(path: Path, relative: str, size_bytes: int, product: str) -> LocalFile:
    *folders, _ = relative.split("/")
    if folders and folders[0] in PRODUCTS:
        product, *folders = folders
    category = folders[0] if folders else CATEGORY_DEFAULT
    return LocalFile(path, relative, product, category, size_bytes)


def _kind_name(mode: int) -> str:
    for test, name in (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "no regular file"


def shown(path: Path) -> str:
    """A path as any terminal can print it: what is no UTF-8 as an escape."""
    return repr(str(path))
