"""ZIP names: where each file lies in the archive.

Promises: `{product}/{category}/{filename}` with names from hostile users made harmless, so
that every standard tool extracts every file, below the archive's own folder, no two files on
one path, on every common file system. Leaves to others: remembering which paths are taken.

The rules: a component has at most 255 bytes of UTF-8 and holds no control character, slash,
backslash or colon; it is not empty, `.` or `..`, does not end in a dot or a space, and is not
the name of a Windows device. Two paths are the same if they are under Unicode's NFC and case
folding, as on macOS and Windows; the second gets a number.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

__all__ = ["entry_path", "family", "fingerprint", "numbered"]

COMPONENT_BYTES_MAX: Final = 255
#: Room that a number takes in front of the extension: " (9999999)".
NUMBER_BYTES_MAX: Final = 10
#: A longer "extension" is part of the name.
EXTENSION_BYTES_MAX: Final = 20

#: Microsoft, "Naming Files, Paths, and Namespaces"; with or without an extension.
_DEVICES: Final = frozenset(
    (
        *("con", "prn", "aux", "nul", "conin$", "conout$"),
        *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"),
    )
)
#: The two files beside the folders.
_TOP_NAMES: Final = frozenset(("readme.txt", "manifest.json"))


def entry_path(product: str, category: str, filename: str) -> str:
    """The path of a file, harmless but perhaps taken.

    Args:
        product: The first folder.
        category: The second folder.
        filename: The file's own name, of any kind.
    """
    top = _component(product)
    if _fold(top) in _TOP_NAMES:
        top = f"{top}_"
    return f"{top}/{_component(category)}/{_component(filename)}"


def numbered(path: str, number: int) -> str:
    """The path with a number in front of its extension: `a/b/c (2).txt`."""
    stem, extension = _with_room(path)
    return f"{stem} ({number}){extension}"


def family(path: str) -> str:
    """What paths have in common whose numbered forms are the same; no path of a file."""
    return "/".join(_with_room(path))


def _with_room(path: str) -> tuple[str, str]:
    """What stands before and behind a number; the stem is cut so that any number fits."""
    folder, _, name = path.rpartition("/")
    stem, extension = _split(name)
    room = COMPONENT_BYTES_MAX - NUMBER_BYTES_MAX - len(extension.encode())
    return f"{folder}/{_cut(stem, room).rstrip(' .')}", extension


def fingerprint(path: str) -> str:
    """A short key that is equal for paths which some file system takes for one."""
    return hashlib.sha256(_fold(path).encode()).hexdigest()[:32]


def _fold(text: str) -> str:
    folded = unicodedata.normalize("NFC", text).casefold()
    # Folding can take apart what NFC has put together.
    return unicodedata.normalize("NFC", folded)


def _component(text: str) -> str:
    # A lone surrogate has no UTF-8; D1 cannot hold one, but a caller might.
    text = text.encode("utf-8", "replace").decode("utf-8")
    text = "".join(_harmless(character) for character in text)
    stem, extension = _split(text)
    if len(text.encode()) > COMPONENT_BYTES_MAX:
        stem = _cut(stem, COMPONENT_BYTES_MAX - len(extension.encode()))
    text = _safe_end(f"{stem}{extension}")
    # Windows looks at what stands before the first dot, blanks aside.
    if _fold(text.partition(".")[0].rstrip(" ")) in _DEVICES:
        text = _safe_end(f"_{_cut(text, COMPONENT_BYTES_MAX - 1)}")
    return text


def _harmless(character: str) -> str:
    if character in "/\\:" or unicodedata.category(character) == "Cc":
        return "_"
    return character


def _safe_end(text: str) -> str:
    """Without a dot or blank at the end; this also leaves nothing of `.` and `..`."""
    kept = text.rstrip(". ")
    return kept if len(kept) == len(text) and kept else f"{_cut(kept, 254)}_"


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if not stem or not dot or len(extension.encode()) > EXTENSION_BYTES_MAX:
        return name, ""
    return stem, f".{extension}"


def _cut(text: str, size_bytes: int) -> str:
    """At most so many bytes of UTF-8, whole characters."""
    return text.encode()[:size_bytes].decode("utf-8", "ignore")
