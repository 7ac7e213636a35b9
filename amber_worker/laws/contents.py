"""The contents of an export: the archive, entry by entry, and what it tells of itself.

Promises: laws about a completed export's archive. A file is known by its content, which no
other file has, since a worker may give odd names another form. Leaves to others: the ZIP
itself (amber_worker.contract.archive), when an export completes (life).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Final

from amber_worker.contract.archive import LawBroken
from amber_worker.laws.evidence import is_untrue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amber_worker.contract.seeds import SeededFile
    from amber_worker.laws.evidence import ExportEvidence

__all__ = ["CONTENT_LAWS", "way_out"]

#: What no worker has a reason to change in a name, on any system.
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f\\/:*?\"<>|\u200e\u200f\u202a-\u202e]+(?<![. ])\Z")
_DEVICE: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)")
_NAME_BYTES_MAX: Final = 200


def a_completed_export_has_its_archive(export: ExportEvidence) -> Iterator[str]:
    """It can be downloaded, opened and tested; without files there may be none."""
    if not export.is_completed:
        return
    row, archive = export.row, export.archive
    if archive is None:
        if row.get("r2_key") is not None or any(_must_be_there(export)):
            yield export.download or f"it has no archive: {dict(row)}"
        return
    try:
        archive.test()
        archive.has_unique_names()
    except LawBroken as broken:
        yield str(broken)
    prefix = f"exports/{row.get('user_id')}/{row.get('id')}/"
    if not str(row.get("r2_key")).startswith(prefix):
        yield f"its archive lies at {row.get('r2_key')!r}, not below {prefix!r}"
    if row.get("size_bytes") not in (None, len(archive.data)):
        yield f"size_bytes is {row['size_bytes']}, and the archive has {len(archive.data)}"


def each_live_file_is_there_once_byte_for_byte(export: ExportEvidence) -> Iterator[str]:
    """No file is lost, doubled or changed, and none of anybody else is there."""
    if (found := export.entries) is None:
        return
    expected = export.expected
    for file in _must_be_there(export):
        if file.content not in found:
            yield f"lost: {file.path!r} ({file.key!r}) is in no entry"
    known = {file.content: file for file in (*expected.files, *expected.perhaps)}
    strange = {file.content: file for file in expected.strange}
    for content, names in found.items():
        if content in strange:
            yield f"entry {names[0]!r} has the content of {strange[content].key!r}"
        elif content not in known:
            yield f"entry {names[0]!r} has {len(content)} bytes which are no file's"
        elif len(names) > 1:
            file = known[content]
            yield f"doubled: {file.path!r} ({file.key!r}) is in {len(names)} entries: {names}"


def an_ordinary_name_is_kept_and_no_name_leads_out(export: ExportEvidence) -> Iterator[str]:
    """`product/category/filename`, unless a system would stumble over it or it is taken."""
    if (found := export.entries) is None or export.archive is None:
        return
    expected = export.expected
    files = (*expected.files, *expected.perhaps)
    marks = Counter(_mark(file) for file in files)
    # Where names clash, what one of them becomes may be another one's.
    crowded = {
        (f.product, f.category) for f in files if marks[_mark(f)] > 1 or not _is_plain(f)
    }
    for file in files:
        names = found.get(file.content)
        is_free = (file.product, file.category) not in crowded
        if names and is_free and file.path not in names:
            yield f"{file.path!r} is called {names[0]!r}"
    for name in export.archive.names:
        if told := way_out(name):
            yield f"entry {name!r} {told}"


def each_missing_file_is_named(export: ExportEvidence) -> Iterator[str]:
    """The manifest lists what is there, and, in a list `missing`, what is not.

    A worker without such a list leaves a missing file out of the manifest, except for one that
    went while it was copied: the manifest may have been written before.
    """
    if (found := export.entries) is None or export.archive is None:
        return
    try:
        files, manifest = export.archive.manifest_files, export.archive.manifest
    except LawBroken as broken:
        yield str(broken)
        return
    expected = export.expected
    listed = Counter(str(file.get("r2_key")) for file in files)
    missing = manifest.get("missing")
    told = {_key_of(one) for one in missing} if isinstance(missing, list) else None
    perhaps = {file.key for file in expected.perhaps}
    for file in (*expected.files, *expected.perhaps):
        if file.content in found:
            if (count := listed[file.key]) != 1:
                yield f"{file.key!r} is there, and manifest.json lists it {count} times"
            if told is not None and file.key in told:
                yield f"{file.key!r} is there, and manifest.json calls it missing"
        elif told is None:
            if listed[file.key] and file.key not in export.disturbance.unread:
                yield f"{file.key!r} is missing, and manifest.json lists it"
        elif listed[file.key]:
            yield f"{file.key!r} is missing, and manifest.json lists it"
        elif file.key not in told and file.key not in perhaps:
            yield f"{file.key!r} is missing, and manifest.json does not name it"
    known = {file.key for file in (*expected.files, *expected.perhaps)}
    for key in sorted({*listed, *(told or ())} - known):
        yield f"manifest.json names {key!r}, which is none of the export's files"


def what_an_export_tells_of_itself_is_true(export: ExportEvidence) -> Iterator[str]:
    """Counts and sizes in the row and in the manifest."""
    if (found := export.entries) is None or export.archive is None:
        return
    entry_count = sum(map(len, found.values()))
    told = export.row.get("file_count")
    # Who counted at the lookups may have lost a file since.
    allowed = range(entry_count, entry_count + len(export.disturbance.unread) + 1)
    if told is not None and told not in allowed and not export.expected.is_untrue:
        yield f"file_count is {told}, and the archive has {entry_count} files"
    try:
        files, summary = export.archive.manifest_files, export.archive.manifest.get("summary")
    except LawBroken:
        return  # Told by the law above.
    sizes = [file.get("size") for file in files]
    if not isinstance(summary, dict) or summary.get("totalFiles") != len(files):
        yield f"manifest.json lists {len(files)} files, and its summary is {summary}"
    elif summary.get("totalSize") != sum(s for s in sizes if isinstance(s, int)):
        yield f"the sizes in manifest.json do not add up to {summary.get('totalSize')}"
    true_sizes = {
        file.key: {file.size_bytes, len(file.content)}
        for file in (*export.expected.files, *export.expected.perhaps)
    }
    for file in files:
        key = str(file.get("r2_key"))
        if key in true_sizes and file.get("size") not in true_sizes[key]:
            yield f"manifest.json gives {key!r} {file.get('size')} bytes"


CONTENT_LAWS: Final[tuple[Callable[[ExportEvidence], Iterator[str]], ...]] = (
    a_completed_export_has_its_archive,
    each_live_file_is_there_once_byte_for_byte,
    an_ordinary_name_is_kept_and_no_name_leads_out,
    each_missing_file_is_named,
    what_an_export_tells_of_itself_is_true,
)


def way_out(name: str) -> str | None:
    """How extracting this entry would leave the folder, on any system; None if it stays."""
    parts = re.split(r"[/\\]", name)
    if ".." in parts:
        return "goes up"
    if not parts[0]:
        return "begins at the root"
    if any(re.match(r"[A-Za-z]:", part) for part in parts):
        return "names a drive"
    return None


def _must_be_there(export: ExportEvidence) -> list[SeededFile]:
    unread = export.disturbance.unread
    return [
        file
        for file in export.expected.files
        if file.has_object and file.key not in unread and not is_untrue(file)
    ]


def _is_plain(file: SeededFile) -> bool:
    return all(
        _PLAIN.match(part)
        and not _DEVICE.match(part)
        and unicodedata.is_normalized("NFC", part)
        and len(part.encode("utf-8", "surrogatepass")) <= _NAME_BYTES_MAX
        for part in (file.category, file.filename)
    )


def _mark(file: SeededFile) -> str:
    return unicodedata.normalize("NFC", file.path).casefold()


def _key_of(told: object) -> str:
    return str(told.get("r2_key")) if isinstance(told, dict) else str(told)
