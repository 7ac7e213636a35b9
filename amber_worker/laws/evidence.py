"""The evidence: what HTTP, D1, R2 and an object's storage show of exports that are over.

Promises: values only, so that a law can be tested on evidence made by hand. Leaves to others:
gathering it (amber_worker.chaos), judging it (the laws).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

from amber_worker.contract.archive import LawBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amber_worker.contract.archive import Archive
    from amber_worker.contract.seeds import SeededFile

__all__ = ["Disturbance", "Expected", "ExportEvidence", "OpenUpload", "WorldEvidence"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What was done to a run, as far as it excuses anything.

    Attributes:
        count: Faults, crashes and lost calls; 0 is a calm run.
        may_fail: Whether some call of the worker failed or hung: Amber allows an export to
            fail for "any error that is not a missing file". A power cut is no error.
        unread: Keys of R2 objects whose reading failed, hung, or was answered by nothing.
    """

    count: int = 0
    may_fail: bool = False
    unread: frozenset[str] = frozenset()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What there was to export.

    Attributes:
        files: The user's live files that the export's type takes. One that has no object is
            missing; one whose declared size is untrue may be.
        perhaps: Files that were added or trashed while the export ran.
        strange: Files that it must not take: of other users, trashed, or of other types.
    """

    files: tuple[SeededFile, ...] = ()
    perhaps: tuple[SeededFile, ...] = ()
    strange: tuple[SeededFile, ...] = ()

    @property
    def is_untrue(self) -> bool:
        """Whether some row declares another size than its object has."""
        return any(is_untrue(file) for file in self.files)


@final
@dataclass(frozen=True, kw_only=True)
class ExportEvidence:
    """One export.

    Attributes:
        row: What the API tells of it.
        history: Every status that D1 had, in order.
        expected: What there was to export.
        disturbance: What was done to the run.
        archive: What was downloaded; None if there was nothing to download.
        download: What happened instead of a download, in words.
    """

    row: Mapping[str, Any]
    history: tuple[str, ...]
    expected: Expected = field(default_factory=Expected)
    disturbance: Disturbance = field(default_factory=Disturbance)
    archive: Archive | None = None
    download: str = ""

    @property
    def is_completed(self) -> bool:
        """Whether it says that it has an archive, or had nothing to put into one."""
        return self.row.get("status") == "completed"

    @cached_property
    def entries(self) -> dict[bytes, list[str]] | None:
        """The names of the files' entries by content; None if nothing can be looked into."""
        if not self.is_completed or self.archive is None:
            return None
        found: dict[bytes, list[str]] = {}
        try:
            for entry in self.archive.file_entries:
                found.setdefault(self.archive.read(entry), []).append(entry.filename)
        except LawBroken:
            return None  # Told by the law that tests the archive.
        return found

    def __str__(self) -> str:
        return f"export {self.row.get('id')} ({' → '.join(self.history) or 'never seen'})"


@final
@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    part_count: int


@final
@dataclass(frozen=True, kw_only=True)
class WorldEvidence:
    """A world at rest.

    Attributes:
        exports: Every export that D1 knows.
        unknown: Ids that the worker has answered with, and D1 does not know.
        refused: Every answer to the request, in words, if none was accepted.
        archives: Objects below `exports/` in R2: sizes by key.
        uploads: Multipart uploads that are still open.
        kept: What objects still have in their storage, in words.
        changed: Objects of users that are not as they were, in words.
        glimpses: What did not agree at some instant of the run, in words.
        next_row: The row of an export that was asked for when all were over, as soon as it
            has had time to start; None if there is none.
        next_answer: The answer to that request, in words.
        disturbance: What was done to the run.
    """

    exports: tuple[ExportEvidence, ...]
    unknown: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    archives: Mapping[str, int] = field(default_factory=dict)
    uploads: tuple[OpenUpload, ...] = ()
    kept: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    glimpses: tuple[str, ...] = ()
    next_row: Mapping[str, Any] | None = None
    next_answer: str = ""
    disturbance: Disturbance = field(default_factory=Disturbance)


def is_untrue(file: SeededFile) -> bool:
    """Whether a row declares another size than its object has."""
    return file.has_object and file.size_bytes != len(file.content)
