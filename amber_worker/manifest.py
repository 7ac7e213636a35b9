"""The manifest and the README of an archive: what a user finds beside the files.

Promises: they tell what is really in the archive, and which files are missing and why.
Leaves to others: writing them into the archive (export_job).
"""

from __future__ import annotations

from json.encoder import encode_basestring as _text
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amber_worker.export_state import MissingFile, WrittenFile

__all__ = ["create_manifest", "create_readme"]

MANIFEST_VERSION: Final = "1.0"

_README: Final = """\
Amber Export Archive
====================

Contents:
- manifest.json: a list of every file in this archive, and of every file that is missing
- {file_count} files, sorted by product and category

{missing}Extraction:
Unpack this archive with any ZIP tool; it makes a folder for each product.

Created: {created}

Amber: https://amber.autumnsgrove.dev
"""


def create_manifest(
    written: Iterable[WrittenFile], missing: Iterable[MissingFile], *, created: str
) -> str:
    """The text of manifest.json.

    Args:
        written: The files in the archive, in their order.
        missing: The files that are not in it.
        created: ISO time of the export.
    """
    files = []
    total_bytes = 0
    for item in written:
        file, entry = item.file, item.entry
        shown: dict[str, Any] = {
            "filename": file["filename"],
            "size": entry.size_bytes,
            "r2_key": file["r2_key"],
            "product": file["product"],
            "category": file["category"],
            "path": entry.path,
        }
        if file["size_bytes"] != entry.size_bytes:
            shown["declared_size"] = file["size_bytes"]
        files.append(_object(shown, "    "))
        total_bytes += entry.size_bytes
    gone = [_object(file, "    ") for file in missing]
    summary = _object({"totalFiles": len(files), "totalSize": total_bytes}, "  ")
    facts = (
        f'"version": {_text(MANIFEST_VERSION)}',
        f'"created": {_text(created)}',
        f'"files": {_array(files)}',
        f'"missing": {_array(gone)}',
        f'"summary": {summary}',
    )
    return "{\n  " + ",\n  ".join(facts) + "\n}\n"


# Python's `json` indents at a fortieth of the speed at which it encodes, and a manifest may
# have a hundred thousand files.


def _object(facts: dict[str, Any], indent: str) -> str:
    """An object whose values are texts and whole numbers, as `json.dumps(indent=2)` has it."""
    lines = [
        f"{indent}  {_text(name)}: {_text(value) if isinstance(value, str) else value}"
        for name, value in facts.items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _array(items: list[str]) -> str:
    if not items:
        return "[]"
    return "[\n    " + ",\n    ".join(items) + "\n  ]"


def create_readme(*, file_count: int, missing_count: int, created: str) -> str:
    """The text of README.txt.

    Args:
        file_count: Files in the archive.
        missing_count: Files that are not in it.
        created: ISO time of the export.
    """
    told = ""
    if missing_count:
        told = (
            f"{missing_count} files could not be read and are missing; manifest.json names "
            "them, with the reason.\n\n"
        )
    return _README.format(file_count=file_count, missing=told, created=created)
