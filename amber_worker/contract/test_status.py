"""Status: GET /api/storage/export/:id."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from amber_worker.contract.seeds import SeededFile
from amber_worker.contract.user import ENDED, error_of

if TYPE_CHECKING:
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import Export, User

COLUMNS = {
    "id", "user_id", "status", "export_type", "filter_params", "r2_key", "size_bytes",
    "file_count", "created_at", "completed_at", "expires_at", "error_message",
}  # fmt: skip
FORWARD = ["pending", "processing", "completed"]
RETENTION_MS = 7 * 86_400_000
DATABASE_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def test_the_row_is_told_with_all_its_columns(finished: Export) -> None:
    assert finished.row.keys() >= COLUMNS


async def test_the_row_that_is_told_is_the_one_in_the_database(
    finished: Export, storage: Storage
) -> None:
    (row,) = await storage.rows("SELECT * FROM storage_exports WHERE id = ?", finished.id)
    assert {name: finished.row[name] for name in row} == row


async def test_the_status_only_moves_forward(finished: Export) -> None:
    seen = finished.statuses
    assert seen == [status for status in FORWARD if status in seen]
    assert seen[-1] == "completed"


async def test_a_completed_export_stays_as_it_is(finished: Export) -> None:
    before = dict(finished.row)
    assert await finished.look() == before


async def test_an_export_that_has_not_ended_has_no_key_and_no_end(
    user: User, storage: Storage
) -> None:
    await user.add(SeededFile("a.txt", b"a"))
    row = await (await user.begin()).look()
    assert row["status"] not in ENDED
    told = {name: row[name] for name in ("r2_key", "completed_at", "expires_at")}
    assert told == dict.fromkeys(told)


async def test_the_row_tells_whose_export_it_is(finished: Export, storage: Storage) -> None:
    assert finished.row["user_id"] == finished.user.id


async def test_a_completed_export_has_no_error(finished: Export) -> None:
    assert finished.row["error_message"] in (None, "")


async def test_the_time_of_the_request_is_utc_text_of_the_database(finished: Export) -> None:
    created = finished.row["created_at"]
    assert DATABASE_TIME.fullmatch(str(created))
    assert _is_between(finished, _ms(created), finished.asked_ms, finished.seen_ms)


async def test_the_time_of_completion_is_that_of_the_completion_or_null(
    finished: Export, dialect: Any
) -> None:
    completed = finished.row["completed_at"]
    dialect("completed_at", "null" if completed is None else "written")
    assert completed is None or _is_between(
        finished, _ms(completed), finished.unfinished_ms, finished.seen_ms
    )


async def test_the_time_of_expiry_is_iso_text_with_milliseconds(with_archive: Export) -> None:
    assert ISO_TIME.fullmatch(str(with_archive.row["expires_at"]))


async def test_an_export_expires_seven_days_after_its_completion(with_archive: Export) -> None:
    completed_ms = _ms(with_archive.row["expires_at"]) - RETENTION_MS
    assert _is_between(
        with_archive, completed_ms, with_archive.unfinished_ms, with_archive.seen_ms
    )


async def test_size_bytes_is_the_size_of_the_archive_or_null(
    with_archive: Export, dialect: Any
) -> None:
    size = with_archive.row["size_bytes"]
    dialect("size_bytes", "null" if size is None else "written")
    assert size is None or size == len((await with_archive.archive()).data)


async def test_file_count_is_the_number_of_files_or_null(
    with_archive: Export, dialect: Any
) -> None:
    count = with_archive.row["file_count"]
    dialect("file_count", "null" if count is None else "written")
    assert count is None or count == len((await with_archive.archive()).file_entries)


async def test_the_key_tells_user_export_and_time_of_the_start(with_archive: Export) -> None:
    key = str(with_archive.row["r2_key"])
    found = re.fullmatch(r"exports/([^/]+)/([^/]+)/(\d+)-export\.zip", key)
    assert found, key
    assert found[1] == with_archive.row["user_id"]
    assert found[2] == with_archive.id
    assert _is_between(with_archive, int(found[3]), with_archive.asked_ms, with_archive.seen_ms)


async def test_an_unknown_export_is_a_404(user: User) -> None:
    answer = await user.get("/export/00000000-0000-0000-0000-000000000000")
    assert error_of(answer) == (404, {"error": "Export not found"})


@pytest.mark.parametrize("export_id", ["' OR '1'='1", "%", "_", '"', "0", "é☘", "x" * 1_500])
async def test_an_id_that_is_none_finds_nothing(finished: Export, export_id: str) -> None:
    answer = await finished.user.get(f"/export/{quote(export_id, safe='')}")
    assert error_of(answer) == (404, {"error": "Export not found"})


def _ms(text: Any) -> int:
    instant = datetime.fromisoformat(str(text))
    return int(instant.replace(tzinfo=instant.tzinfo or UTC).timestamp() * 1_000)


def _is_between(export: Export, found_ms: int, first_ms: int, last_ms: int) -> bool:
    """Whether an instant lies between two that were seen from here.

    The database's times are whole seconds; a deployed worker has a clock of its own.
    """
    slack_ms = 300_000 if export.user.world.target.is_deployed else 1_000
    assert first_ms - slack_ms <= found_ms <= last_ms + slack_ms, (
        f"{found_ms} is not between {first_ms} and {last_ms}, give or take {slack_ms} ms"
    )
    return True
