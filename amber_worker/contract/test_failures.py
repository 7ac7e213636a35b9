"""Failures: an export whose success D1 refuses to note."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amber_worker.contract.user import error_of

if TYPE_CHECKING:
    from amber_worker.contract.user import Export


async def test_an_export_that_cannot_complete_ends_as_failed(failed: Export) -> None:
    assert failed.row["status"] == "failed"


async def test_a_failed_export_tells_why(failed: Export, dialect: Any) -> None:
    told = failed.row["error_message"]
    dialect("error_message", repr(told))
    assert isinstance(told, str)
    assert told.strip()


async def test_a_failed_export_has_no_key(failed: Export) -> None:
    assert failed.row["r2_key"] is None


async def test_a_failed_export_has_no_end_and_does_not_expire(failed: Export) -> None:
    assert failed.row["expires_at"] is None


async def test_a_failed_export_has_no_link(failed: Export) -> None:
    answer = await failed.user.get(f"/export/{failed.id}/download")
    assert error_of(answer) == (404, {"error": "Export not found or not ready"})


async def test_a_failed_export_was_pending_or_processing_before(failed: Export) -> None:
    seen = failed.statuses
    assert seen == [s for s in ("pending", "processing", "failed") if s in seen]


async def test_a_failed_export_stays_as_it_is(failed: Export) -> None:
    before = dict(failed.row)
    assert await failed.look() == before


async def test_a_failed_export_is_no_obstacle_for_the_next(failed: Export) -> None:
    answer = await failed.user.post_export()
    assert answer.status_code in (200, 202)
