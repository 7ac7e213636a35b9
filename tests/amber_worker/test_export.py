"""A whole export, over HTTP, D1, R2 and alarms: what a user gets."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from emulator import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250, 1_000])
def test_an_archive_holds_every_file_byte_for_byte(
    amber: Any, count: int, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    unzip = require_tool("unzip")

    files = amber.files(count)

    async def test(mf: Any) -> Any:
        await amber.seed(mf, files)
        return await amber.export(mf)

    archive = amber.run(test)
    amber.check(archive, files)
    assert archive.manifest["missing"] == []
    assert amber.extract(archive, unzip, tmp_path) == archive.contents


@pytest.mark.parametrize(
    ("count", "alarm_count"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3), (1_000, 12)]
)
def test_a_chunk_ends_at_a_hundred_files_and_a_step_at_four_hundred(
    amber: Any, count: int, alarm_count: int
) -> None:
    # Ten chunks; the last alarm of them copies 400 files, two more copy the rest.
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(count, size=10))
        await amber.finished(mf)
        alarms = mf.trace.of_kind("alarm")

        assert len(alarms) == alarm_count
        gaps = [b.time_ms - a.time_ms for a, b in pairwise(alarms)]
        assert all(2_000 <= gap < 3_000 for gap in gaps)

    amber.run(test)


def test_the_first_alarm_comes_a_second_after_the_start(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(1))
        await amber.finished(mf)
        start, alarm = mf.trace.of_kind("start")[0], mf.trace.of_kind("alarm")[0]
        # One millisecond to D1 and back lies between the call and the alarm's setting.
        assert alarm.time_ms - start.time_ms == 1_001

    amber.run(test)


def test_a_chunk_ends_at_fifty_megabytes(amber: Any) -> None:
    # Declared sizes count: 30 files of 2 MB are 25 and 5.
    async def test(mf: Any) -> None:
        size = 2 * 1024 * 1024
        files = amber.files(30, size=10)
        for file in files:
            file.declared_size = size
        await amber.seed(mf, files)
        await amber.finished(mf)
        lines = [log.message for log in mf.logs if ": chunk " in log.message]
        assert ["with 25 files" in lines[0], "with 5 files" in lines[1]] == [True, True]
        assert len(lines) == 2

    amber.run(test)


def test_a_file_larger_than_a_chunk_is_a_chunk_of_its_own(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3, size=10)
        files[1].declared_size = 60 * 1024 * 1024
        await amber.seed(mf, files)
        await amber.finished(mf)
        lines = [log.message for log in mf.logs if ": chunk " in log.message]
        assert [line.split(" with ")[1].split(" files")[0] for line in lines] == ["1", "1", "1"]

    amber.run(test)


def test_sixty_megabytes_in_thirty_files_arrive_whole(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(30, size=2 * 1024 * 1024)
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        amber.check(archive, files)

    amber.run(test)


def test_parts_are_equal_and_at_least_five_mebibytes(amber: Any) -> None:
    # Random-looking bytes do not shrink: 12 MB are three parts.
    async def test(mf: Any) -> None:
        files = amber.files(12, size=1024 * 1024)
        import random

        for number, file in enumerate(files):
            file.content = random.Random(number).randbytes(1024 * 1024)
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        amber.check(archive, files)
        uploaded = await mf.get_r2_bucket("R2_BUCKET").head(archive.row["r2_key"])
        assert uploaded.etag.endswith("-3")
        assert len(mf.trace.of_kind("r2.uploadPart")) == 3

    amber.run(test)


def test_missing_files_are_named_with_the_reason_and_fail_nothing(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(120)
        await amber.seed(mf, files)
        for file in (files[3], files[70], files[119]):
            await mf.get_r2_bucket("R2_BUCKET").delete(file.key)
        archive = await amber.export(mf)

        gone = {files[3].key, files[70].key, files[119].key}
        amber.check(archive, [file for file in files if file.key not in gone])
        assert {item["r2_key"] for item in archive.manifest["missing"]} == gone
        assert {item["reason"] for item in archive.manifest["missing"]} == {"not found"}
        assert any("3 files missing in R2" in log.message for log in mf.logs)

    amber.run(test)


def test_a_file_deleted_between_head_and_get_is_missing(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(10)
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        amber.check(archive, [file for file in files if file.id != "f00004"])
        assert archive.manifest["missing"] == [
            {"r2_key": "u1/f00004", "filename": "00004.bin", "reason": "not found"}
        ]
        warnings = [log.message for log in mf.logs if log.level == "WARNING"]
        assert warnings == ["file 'u1/f00004' is gone since it was checked, skipped"]

    amber.run(test, faults=[faults.vanish(key="u1/f00004")])


@pytest.mark.parametrize("declared", [0, 1, 10_000])
def test_a_wrong_declared_size_is_noted_and_the_real_one_counts(
    amber: Any, declared: int
) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3)
        files[1].declared_size = declared
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        amber.check(archive, files)
        noted = {
            entry["r2_key"]: entry["declared_size"]
            for entry in archive.manifest["files"]
            if "declared_size" in entry
        }
        assert noted == {files[1].key: declared}

    amber.run(test)


@pytest.mark.parametrize("operation", ["r2.head", "r2.get"])
def test_a_file_that_errs_three_times_is_read_at_the_fourth(amber: Any, operation: str) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        amber.check(archive, files)

    rule = faults.error(operation=operation, key="u1/f00001", nth=range(1, 4))
    amber.run(test, faults=[rule])


@pytest.mark.parametrize("operation", ["r2.head", "r2.get", "r2.body"])
def test_a_file_that_cannot_be_read_is_missing_with_the_reason(
    amber: Any, operation: str
) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        amber.check(archive, [files[0], files[2]])
        (missing,) = archive.manifest["missing"]
        assert missing["reason"].startswith("unreadable: ")
        # One try, and three more after one, two and four seconds.
        times = [e.time_ms for e in mf.trace.of_kind("fault")]
        gaps = [b - a for a, b in pairwise(times)]
        assert [round(gap / 1_000) for gap in gaps] == [1, 2, 4]

    amber.run(test, faults=[faults.error(operation=operation, key="u1/f00001")])


def test_a_body_that_breaks_once_is_copied_again_and_its_ruins_are_not_listed(
    amber: Any, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    # The archive then holds dead bytes between entries, which zipfile and unzip accept.
    unzip = require_tool("unzip")

    files = amber.files(4, size=200_000)

    async def test(mf: Any) -> Any:
        await amber.seed(mf, files)
        return await amber.export(mf)

    rule = faults.error(operation="r2.body", key="u1/f00002", nth=2)
    archive = amber.run(test, faults=[rule])
    amber.check(archive, files)
    assert amber.extract(archive, unzip, tmp_path) == archive.contents


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"type": "full"}, {"a", "b", "c", "d"}),
        ({"type": "blog"}, {"a", "b"}),
        ({"type": "ivy"}, {"c"}),
        ({"type": "category", "filters": {"category": "photos"}}, {"b", "d"}),
        ({"type": "blog", "filters": {"category": "photos"}}, {"a", "b"}),
        ({"type": "category", "filters": {"category": "nothing"}}, set()),
    ],
)
def test_the_type_decides_which_files_are_taken(
    amber: Any, seeded_file: Any, body: dict[str, Any], wanted: set[str]
) -> None:
    async def test(mf: Any) -> None:
        files = [
            seeded_file("a", b"1", "a", "blog", "posts"),
            seeded_file("b", b"2", "b", "blog", "photos"),
            seeded_file("c", b"3", "c", "ivy", "mail"),
            seeded_file("d", b"4", "d", "themes", "photos"),
        ]
        await amber.seed(mf, files)
        archive = await amber.export(mf, **body)
        amber.check(archive, [file for file in files if file.id in wanted])

    amber.run(test)


def test_files_of_others_and_files_in_the_trash_stay_out(amber: Any) -> None:
    async def test(mf: Any) -> None:
        mine, theirs = amber.files(5), amber.files(5, user="u2")
        for file in theirs:
            file.id = f"other-{file.id}"
        await amber.seed(mf, mine + theirs)
        database = mf.get_d1_database("DB")
        await database.exec(
            "UPDATE storage_files SET deleted_at = '2025-12-31 00:00:00' WHERE id = 'f00002'"
        )
        archive = await amber.export(mf)
        amber.check(archive, [file for file in mine if file.id != "f00002"])

    amber.run(test)


def test_files_come_newest_first_and_equal_times_by_id(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(4)
        for file, day in zip(files, (3, 1, 3, 2), strict=True):
            file.created_at = f"2025-12-0{day} 00:00:00"
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        keys = [entry["r2_key"] for entry in archive.manifest["files"]]
        assert keys == ["u1/f00002", "u1/f00000", "u1/f00003", "u1/f00001"]

    amber.run(test)


def test_rows_added_or_trashed_between_chunks_neither_hide_nor_repeat_others(
    amber: Any,
) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(250)
        await amber.seed(mf, files)
        posted = await amber.post(mf)
        await mf.advance(1_500)
        # Behind the first chunk: one row that was taken goes, newer ones come.
        database = mf.get_d1_database("DB")
        await database.exec("UPDATE storage_files SET deleted_at = 'x' WHERE id = 'f00249'")
        newer = amber.files(20, created_at="2025-12-31 00:00:00")
        for file in newer:
            file.id, file.key = f"new-{file.id}", f"u1/new-{file.id}"
            file.filename = f"new-{file.filename}"
        await amber.seed(mf, newer)
        await mf.run_until_idle()
        row = await amber.status(mf, posted.json()["export_id"])
        amber.check(await amber.download(mf, row), files)

    amber.run(test)


def test_rows_without_a_creation_time_are_taken_too(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        await mf.get_d1_database("DB").exec(
            "UPDATE storage_files SET created_at = NULL WHERE id = 'f00001'"
        )
        amber.check(await amber.export(mf), files)

    amber.run(test)


def test_the_row_and_the_object_tell_how_it_ended(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(5)
        await amber.seed(mf, files)
        await mf.get_r2_bucket("R2_BUCKET").delete(files[0].key)
        row = await amber.finished(mf)

        assert row["status"] == "completed"
        assert row["error_message"] is None
        assert row["file_count"] == 4
        assert row["completed_at"] == "2026-01-01 00:00:01"
        assert row["expires_at"].startswith("2026-01-08T00:00:01.")
        assert row["expires_at"].endswith("Z")
        head = await mf.get_r2_bucket("R2_BUCKET").head(row["r2_key"])
        assert head.size == row["size_bytes"]
        assert head.httpMetadata.contentType == "application/zip"
        assert dict(head.customMetadata) == {
            "export-id": row["id"],
            "user-id": "u1",
            "export-type": "full",
            "file-count": "4",
            "total-size": "800",
        }
        folder, name = row["r2_key"].rsplit("/", 1)
        assert folder == f"exports/u1/{row['id']}"
        milliseconds, _, rest = name.partition("-")
        assert rest == "export.zip"
        assert 0 <= int(milliseconds) - mf.clock.start_ms < 1_000

    amber.run(test)


def test_nothing_is_left_in_the_object_when_the_export_is_over(amber: Any) -> None:
    async def test(mf: Any) -> None:
        from emulator.testing import run_in_durable_object

        await amber.seed(mf, amber.files(5))
        row = await amber.finished(mf)
        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        stub = jobs.get(jobs.idFromName(row["id"]))

        async def look(job: Any, state: Any) -> tuple[int, Any]:
            return len(await state.storage.list()), await state.storage.getAlarm()

        assert await run_in_durable_object(stub, look) == (0, None)

    amber.run(test)


def test_the_state_is_readmes_object_with_its_ten_fields(amber: Any) -> None:
    async def test(mf: Any) -> None:
        import dataclasses

        from emulator.testing import run_in_durable_object

        files = amber.files(150)
        await amber.seed(mf, files)
        await mf.get_r2_bucket("R2_BUCKET").delete("u1/f00149")
        posted = await amber.post(mf)
        await mf.advance(1_500)
        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        stub = jobs.get(jobs.idFromName(posted.json()["export_id"]))
        state = dataclasses.asdict(
            await run_in_durable_object(stub, lambda job, _: job.state())
        )
        first = files[148]
        assert list(state) == [
            "exportId", "userId", "exportType", "filterParams", "currentOffset",
            "processedFiles", "totalSize", "missingFiles", "r2Key", "createdAt",
        ]  # fmt: skip
        assert state["exportId"] == posted.json()["export_id"]
        assert (state["userId"], state["exportType"], state["filterParams"]) == (
            "u1", "full", None,
        )  # fmt: skip
        assert state["currentOffset"] == 100
        assert state["totalSize"] == 99 * 200
        assert state["missingFiles"] == ["u1/f00149"]
        assert len(state["processedFiles"]) == 99
        assert state["processedFiles"][0] == {
            "id": first.id, "r2_key": first.key, "filename": first.filename,
            "size_bytes": 200, "product": "blog", "category": "posts",
        }  # fmt: skip

    amber.run(test)


def test_a_stored_value_does_not_grow_with_the_export(amber: Any) -> None:
    async def test(mf: Any) -> int:
        from emulator.testing import run_in_durable_object

        sizes = []
        await amber.seed(mf, amber.files(900, size=10))
        posted = await amber.post(mf)
        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        stub = jobs.get(jobs.idFromName(posted.json()["export_id"]))

        async def largest(job: Any, state: Any) -> int:
            return max(len(value) for value in (await state.storage.list()).values())

        for _ in range(8):
            await mf.advance(2_000)
            sizes.append(await run_in_durable_object(stub, largest))
        assert max(sizes) < 40_000
        assert max(sizes) - min(sizes) < 1_000

    amber.run(test)


@pytest.mark.parametrize("letter", ["ü", "\x01", "😀"])
def test_names_and_keys_of_any_length_meet_no_limit(
    amber: Any, seeded_file: Any, letter: str
) -> None:
    async def test(mf: Any) -> None:
        # The first letter makes JavaScript keep every character in two bytes.
        text, tail = f"日{letter * 50_000}", letter * (1_000 // len(letter.encode()))
        files = [
            seeded_file(f"{n:03d}", b"x", f"{text}.txt", category=text, key=f"{n:03d}{tail}")
            for n in range(120)
        ]
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        assert len(archive.files) == 120
        assert all(
            len(part.encode()) <= 255 for path in archive.files for part in path.split("/")
        )

    amber.run(test)


def test_a_key_that_holds_a_nul_is_no_other_files_key(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(2)
        await amber.seed(mf, files)
        await mf.get_d1_database("DB").exec(
            "UPDATE storage_files SET r2_key = r2_key || char(0) || 'x' WHERE id = 'f00000';"
            "UPDATE storage_files SET r2_key = 'u1/f00000' WHERE id = 'f00001'"
        )
        archive = await amber.export(mf)
        assert archive.files == {"blog/posts/00001.bin": files[0].content}
        (missing,) = archive.manifest["missing"]
        assert missing == {
            "r2_key": "u1/f00000\0x", "filename": "00000.bin", "reason": "not found",
        }  # fmt: skip

    amber.run(test)


def test_a_declared_size_decides_nothing_about_the_parts(amber: Any) -> None:
    # Parts for an archive of petabytes would never be full, and memory would be.
    async def test(mf: Any) -> None:
        import random

        files = amber.files(4, size=10)
        for number, file in enumerate(files):
            file.content = random.Random(number).randbytes(3 * 1024 * 1024)
        files[0].declared_size = 2**52
        await amber.seed(mf, files)
        amber.check(await amber.export(mf), files)
        assert len(mf.trace.of_kind("r2.uploadPart")) == 3

    amber.run(test)


def test_a_free_name_is_found_in_a_few_tries(
    amber: Any, seeded_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Names that differ only where a number cuts them share their numbers.
    from amber_worker import archive_step

    tries = 0
    numbered = archive_step.numbered

    def counted(path: str, number: int) -> str:
        nonlocal tries
        tries += 1
        return numbered(path, number)

    monkeypatch.setattr(archive_step, "numbered", counted)

    async def test(mf: Any) -> None:
        names = [f"{'z' * 246}{n // 2:04d}.txt" for n in range(200)]
        await amber.seed(mf, [seeded_file(f"{n}", b"x", name) for n, name in enumerate(names)])
        archive = await amber.export(mf)
        assert len(archive.files) == 200

    amber.run(test)
    assert tries == 100


def test_starting_twice_is_starting_once(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(150)
        await amber.seed(mf, files)
        posted = await amber.post(mf)
        export_id = posted.json()["export_id"]
        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        stub = jobs.get(jobs.idFromName(export_id))
        await mf.advance(1_500)
        await stub.start_export(export_id)
        await mf.run_until_idle()
        row = await amber.status(mf, export_id)
        amber.check(await amber.download(mf, row), files)
        # When it is over, a start changes nothing either.
        await stub.start_export(export_id)
        await mf.run_until_idle()
        assert await amber.status(mf, export_id) == row

    amber.run(test)


def test_two_starts_at_one_moment_are_one(amber: Any) -> None:
    async def test(mf: Any) -> None:
        import asyncio

        files = amber.files(10)
        await amber.seed(mf, files)
        await mf.get_d1_database("DB").exec(
            "INSERT INTO storage_exports (id, user_id, export_type) VALUES ('e', 'u1', 'full')"
        )
        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        await asyncio.gather(
            *(jobs.get(jobs.idFromName("e")).start_export("e") for _ in range(5))
        )
        await mf.run_until_idle()
        assert len(mf.trace.of_kind("alarm")) == 1
        amber.check(await amber.download(mf, await amber.status(mf, "e")), files)

    amber.run(test)


def test_an_unknown_id_is_an_error_that_names_it_and_changes_nothing(amber: Any) -> None:
    async def test(mf: Any) -> None:
        from emulator.errors import JsException

        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        with pytest.raises(JsException, match="Export nope not found"):
            await jobs.get(jobs.idFromName("nope")).start_export("nope")
        await mf.run_until_idle()
        assert mf.trace.of_kind("alarm") == []
        assert mf.trace.of_kind("storage.flush") == []

    amber.run(test)


def test_readmes_usage_example_works(amber: Any) -> None:
    # Its names: the binding EXPORT_JOB, startExport, the object's name is the export's id.
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        env = mf.get_bindings()
        await (
            env["DB"]
            .prepare("INSERT INTO storage_exports (id, user_id, export_type) VALUES (?, ?, ?)")
            .bind("export-1", "u1", "full")
            .run()
        )
        job = env["EXPORT_JOB"].get(env["EXPORT_JOB"].idFromName("export-1"))
        await job.startExport("export-1")
        started = await amber.status(mf, "export-1")
        await mf.run_until_idle()
        finished = await amber.status(mf, "export-1")
        assert [started["status"], finished["status"]] == ["processing", "completed"]
        amber.check(await amber.download(mf, finished), files)

    amber.run(test, dialect="readme")


def test_the_log_has_a_line_for_each_chunk_and_one_for_the_end(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(120, size=10))
        row = await amber.finished(mf)
        object_lines = [log for log in mf.logs if log.object.startswith("EXPORT_JOBS#")]
        told = [log.message for log in object_lines]
        assert told[0] == f"Export {row['id']}: chunk 1 with 100 files, 1000 bytes"
        assert told[1] == f"Export {row['id']}: chunk 2 with 20 files, 200 bytes"
        assert told[-1] == f"Export {row['id']} completed: 120 files, 1200 bytes"
        assert {log.level for log in object_lines} == {"INFO"}

    amber.run(test)


def test_no_invocation_makes_a_thousand_calls(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(450, size=10))
        await amber.finished(mf)
        (record,) = mf.get_durable_object_namespace("EXPORT_JOBS").records()
        assert 400 < record.subrequests_most <= 600

    amber.run(test)


def test_even_where_every_file_errs_no_invocation_makes_a_thousand_calls(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(150, size=10))
        archive = await amber.export(mf)
        assert len(archive.manifest["missing"]) == 150
        (record,) = mf.get_durable_object_namespace("EXPORT_JOBS").records()
        assert record.subrequests_most < 1_000
        # Nor does any alarm pass the platform's fifteen minutes.
        acks = mf.trace.of_kind("alarm.ack")
        for alarm, ack in zip(mf.trace.of_kind("alarm"), acks, strict=True):
            assert ack.time_ms - alarm.time_ms < 900_000

    amber.run(test, faults=[faults.error(operation="r2.get", key="u1/f*")])
