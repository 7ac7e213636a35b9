"""The life of an export: its status, its end, and what is left of it.

Promises: laws about rows, R2 and storage. Leaves to others: what is in the archive (contents).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amber_worker.laws.evidence import ExportEvidence, WorldEvidence

__all__ = ["ENDED", "EXPORT_LAWS", "ORDER", "WORLD_LAWS"]

ENDED: Final = ("completed", "failed")
#: A status may be passed over, and never comes back.
ORDER: Final = {"pending": 0, "processing": 1, "completed": 2, "failed": 2}


def the_status_reaches_completed_or_failed(export: ExportEvidence) -> Iterator[str]:
    """Whatever happened, an export ends when nothing more goes wrong."""
    status = export.row.get("status")
    if status not in ENDED:
        yield f"everything is at rest, and its status is {status!r}"


def the_status_moves_forward_only(export: ExportEvidence) -> Iterator[str]:
    """From pending to processing, and from there to completed or failed, for good."""
    for before, after in pairwise(export.history):
        if ORDER.get(after, -1) <= ORDER.get(before, -1):
            yield f"it was {before!r} and became {after!r}"


def an_export_fails_for_an_error_only(export: ExportEvidence) -> Iterator[str]:
    """A power cut, a repeated alarm or an eviction is no reason to fail."""
    may_fail = export.disturbance.may_fail or export.expected.is_untrue
    if export.row.get("status") == "failed" and not may_fail:
        yield f"no call had failed: {export.row.get('error_message')!r}"


def a_failed_export_says_why_and_has_no_archive(export: ExportEvidence) -> Iterator[str]:
    """`error_message` is a text, `r2_key` and `expires_at` are null."""
    row = export.row
    if row.get("status") != "failed":
        return
    told = row.get("error_message")
    if not isinstance(told, str) or not told.strip():
        yield f"its error_message is {told!r}"
    for name in ("r2_key", "expires_at"):
        if row.get(name) is not None:
            yield f"its {name} is {row[name]!r}"


def a_completed_export_expires(export: ExportEvidence) -> Iterator[str]:
    """Seven days after its end; the cleanup would keep it for ever else."""
    if export.is_completed and not export.row.get("expires_at"):
        yield "its expires_at is null"


EXPORT_LAWS: Final[tuple[Callable[[ExportEvidence], Iterator[str]], ...]] = (
    the_status_reaches_completed_or_failed,
    the_status_moves_forward_only,
    an_export_fails_for_an_error_only,
    a_failed_export_says_why_and_has_no_archive,
    a_completed_export_expires,
)


def a_request_is_accepted_and_kept(world: WorldEvidence) -> Iterator[str]:
    """Who asks often enough is heard, and what was accepted is known."""
    # Each fault may cost one answer.
    if len(world.refused) > world.disturbance.count:
        yield "; ".join(world.refused)
    for export_id in world.unknown:
        yield f"the worker has answered with the export {export_id!r}, which D1 does not know"


def status_and_r2_agree_at_every_instant(world: WorldEvidence) -> Iterator[str]:
    """As soon as D1 says "completed" the archive is there, and as long."""
    yield from world.glimpses


def no_archive_is_orphaned(world: WorldEvidence) -> Iterator[str]:
    """Each object below `exports/` is the archive of a completed export."""
    known = {export.row.get("r2_key") for export in world.exports if export.is_completed}
    for key, size_bytes in world.archives.items():
        if key not in known:
            yield f"{key!r} ({size_bytes} bytes) belongs to no completed export"


def no_upload_stays_open(world: WorldEvidence) -> Iterator[str]:
    """An upload with parts is completed or aborted.

    One without parts may stay where the answer to its creation was lost: nobody can know it,
    and R2 forgets it after seven days.
    """
    empty_count = 0
    for upload in world.uploads:
        if upload.part_count:
            yield f"the upload of {upload.key!r} is open, with {upload.part_count} parts"
        else:
            empty_count += 1
    if empty_count > world.disturbance.count:
        yield f"{empty_count} uploads are open without a part, and no answer was lost"


def nothing_is_kept_when_an_export_is_over(world: WorldEvidence) -> Iterator[str]:
    """The object's storage is empty, and no alarm is set."""
    yield from world.kept


def the_users_files_stay_as_they_are(world: WorldEvidence) -> Iterator[str]:
    """An export reads."""
    yield from world.changed


def the_next_export_can_start(world: WorldEvidence) -> Iterator[str]:
    """When all are over, another one is accepted, and its job begins."""
    if any(export.row.get("status") not in ENDED for export in world.exports):
        return  # That is another law's.
    status = None if world.next_row is None else world.next_row.get("status")
    if status not in ("processing", "completed"):
        yield f"nothing went wrong any more, and it is {status!r}: {world.next_answer}"


WORLD_LAWS: Final[tuple[Callable[[WorldEvidence], Iterator[str]], ...]] = (
    a_request_is_accepted_and_kept,
    status_and_r2_agree_at_every_instant,
    no_archive_is_orphaned,
    no_upload_stays_open,
    nothing_is_kept_when_an_export_is_over,
    the_users_files_stay_as_they_are,
    the_next_export_can_start,
)
