"""What fails: retries, the end in failure, and what is left behind."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from emulator import faults

ATTEMPTS = 7  # The platform runs a failing alarm once and six times more.


async def objects_below(mf: Any, prefix: str) -> list[str]:
    listed = await mf.get_r2_bucket("R2_BUCKET").list(prefix=prefix)
    return [found.key for found in listed.objects]


@pytest.mark.parametrize(
    ("operation", "key"),
    [
        ("d1.all", "*FROM storage_files*"),
        ("r2.createMultipartUpload", "exports/*"),
        ("r2.uploadPart", "exports/*"),
        ("r2.complete", "exports/*"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_step_that_fails_once_is_taken_again(
    amber: Any, operation: str, key: str, when: Any
) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(12)
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        amber.check(archive, files)
        assert len(mf.trace.of_kind("alarm.failed")) == 1

    amber.run(
        test,
        faults=[
            faults.error(operation=operation, key=key, nth=1, after_effect=when == "after")
        ],
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_completing_in_d1_fails_once_and_is_told_once(amber: Any, when: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        archive = await amber.export(mf)
        amber.check(archive, files)
        done = [log for log in mf.logs if " completed: " in log.message]
        assert len(done) == 1

    rule = faults.error(
        operation="d1.run", key="UPDATE storage_exports SET status = 'completed'*", nth=1,
        after_effect=when == "after",
    )  # fmt: skip
    amber.run(test, faults=[rule])


@pytest.mark.parametrize(
    "rule",
    [
        faults.error(operation="r2.uploadPart", key="exports/*"),
        faults.error(operation="r2.complete", key="exports/*"),
        faults.error(operation="r2.createMultipartUpload", key="exports/*"),
        faults.error(operation="d1.all", key="*FROM storage_files*"),
    ],
    ids=repr,
)
def test_an_export_that_always_fails_ends_as_failed_and_leaves_nothing(
    amber: Any, rule: Any
) -> None:
    async def test(mf: Any) -> None:
        from emulator.testing import run_in_durable_object

        await amber.seed(mf, amber.files(3))
        row = await amber.finished(mf)

        assert row["status"] == "failed"
        assert row["error_message"].startswith("Error: ")
        assert (row["r2_key"], row["completed_at"], row["expires_at"]) == (None, None, None)
        assert len(mf.trace.of_kind("alarm")) == ATTEMPTS
        assert await objects_below(mf, "exports/") == []
        errors = [log.message for log in mf.logs if log.level == "ERROR"]
        assert errors == [f"Export {row['id']} failed: {row['error_message']}"]
        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        stub = jobs.get(jobs.idFromName(row["id"]))

        async def left(job: Any, state: Any) -> Any:
            return len(await state.storage.list()), await state.storage.getAlarm()

        assert await run_in_durable_object(stub, left) == (0, None)

    amber.run(test, faults=[rule])


async def assert_nothing_is_left(mf: Any, export_id: str) -> None:
    from emulator.testing import run_in_durable_object

    assert await objects_below(mf, "exports/") == []
    jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
    stub = jobs.get(jobs.idFromName(export_id))

    async def left(job: Any, state: Any) -> Any:
        return len(await state.storage.list()), await state.storage.getAlarm()

    assert await run_in_durable_object(stub, left) == (0, None)


def test_a_success_whose_answer_was_lost_is_not_taken_back_by_the_failure_behind_it(
    amber: Any,
) -> None:
    # D1 takes the first message and loses its answer, then refuses all others for a while.
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        amber.check(await amber.export(mf), files)
        assert len(mf.trace.of_kind("alarm")) >= ATTEMPTS

    completed = "UPDATE storage_exports SET status = 'completed'*"
    rules = [
        faults.error(operation="d1.run", key=completed, nth=1, after_effect=True),
        faults.error(operation="d1.run", key=completed, nth=range(2, ATTEMPTS + 1)),
    ]
    amber.run(test, faults=rules)


def test_a_failure_is_told_although_its_parts_cannot_be_removed_yet(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(3))
        posted = await amber.post(mf)
        await mf.advance(200_000)
        row = await amber.status(mf, posted.json()["export_id"])
        assert row["status"] == "failed"
        await mf.run_until_idle()
        assert len(mf.trace.of_kind("r2.abort")) == 6
        await assert_nothing_is_left(mf, row["id"])

    refused = faults.error(operation="r2.abort", nth=range(1, 6))
    amber.run(test, faults=[faults.error(operation="r2.complete"), refused])


@pytest.mark.parametrize("operation", ["r2.head", "r2.get", "r2.body"])
def test_a_step_that_hangs_fails_before_the_platform_ends_it_for_good(
    amber: Any, operation: str
) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(3))
        row = await amber.finished(mf)
        assert row["status"] == "failed"
        assert row["error_message"] == "TimeoutError: a step took longer than 13 minutes"
        assert mf.trace.of_kind("reset") == []
        await assert_nothing_is_left(mf, row["id"])

    amber.run(test, faults=[faults.latency(3_600_000, operation=operation, key="u1/*")])


def test_a_chunk_whose_lookups_are_slow_ends_early(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(25)
        await amber.seed(mf, files)
        amber.check(await amber.export(mf), files)
        lines = [log.message for log in mf.logs if ": chunk " in log.message]
        assert [line.split(" with ")[1].split(" files")[0] for line in lines] == [
            "6", "6", "6", "6", "1",
        ]  # fmt: skip

    amber.run(test, faults=[faults.latency(400_000, operation="r2.head", key="u1/*")])


def test_what_was_deflated_in_vain_counts_for_the_end_of_a_step(
    amber: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each file breaks at the last of its five pieces, four times: one alarm deflates no
    # second one.
    monkeypatch.setattr("amber_worker.allowance.STEP_BYTES_MAX", 1_000_000)

    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(5, size=300_000))
        archive = await amber.export(mf)
        assert len(archive.manifest["missing"]) == 5
        assert len(mf.trace.of_kind("alarm")) == 5

    amber.run(test, faults=[faults.error(operation="r2.body", nth=range(5, 101, 5))])


def test_an_error_of_python_is_told_by_its_class(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(1))
        await mf.get_d1_database("DB").exec("UPDATE storage_files SET filename = x'41'")
        row = await amber.finished(mf)
        assert row["status"] == "failed"
        assert row["error_message"].startswith("AttributeError: ")

    amber.run(test)


def test_the_upload_of_a_failed_export_is_aborted(amber: Any) -> None:
    async def test(mf: Any) -> None:
        from emulator.errors import JsException
        from emulator.testing import run_in_durable_object

        await amber.seed(mf, amber.files(3))
        posted = await amber.post(mf)
        await mf.advance(1_500)
        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        stub = jobs.get(jobs.idFromName(posted.json()["export_id"]))

        async def upload_of(job: Any, state: Any) -> tuple[str, str]:
            import json

            header = json.loads(await state.storage.get("export_state"))
            return header["r2Key"], header["archive"]["uploadId"]

        key, upload_id = await run_in_durable_object(stub, upload_of)
        await mf.run_until_idle()
        upload = mf.get_r2_bucket("R2_BUCKET").resumeMultipartUpload(key, upload_id)
        mf.faults.clear()
        with pytest.raises(JsException, match=r"does not exist. \(10024\)"):
            await upload.uploadPart(1, b"x")

    amber.run(test, faults=[faults.error(operation="r2.complete", key="exports/*")])


def test_a_failure_that_d1_cannot_be_told_is_told_when_it_can(amber: Any) -> None:
    # D1 refuses the message five times; every minute it is tried again.
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(3))
        row = await amber.finished(mf)
        assert row["status"] == "failed"
        alarms = mf.trace.of_kind("alarm")
        assert len(alarms) == ATTEMPTS + 5
        late = alarms[-5:]
        gaps = [b.time_ms - a.time_ms for a, b in pairwise(late)]
        assert all(60_000 <= gap < 60_100 for gap in gaps)

    amber.run(
        test,
        faults=[
            faults.error(operation="r2.complete", key="exports/*"),
            faults.error(
                operation="d1.run",
                key="UPDATE storage_exports SET status = 'failed'*",
                nth=range(1, 6),
            ),
        ],
    )


def test_after_a_failure_the_next_export_may_start_at_once(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(3)
        await amber.seed(mf, files)
        assert (await amber.finished(mf))["status"] == "failed"
        mf.faults.clear()
        amber.check(await amber.export(mf), files)

    amber.run(test, faults=[faults.error(operation="r2.uploadPart", key="exports/*")])


def test_an_alarm_without_state_logs_an_error_and_stops(amber: Any) -> None:
    async def test(mf: Any) -> None:
        from emulator.testing import run_in_durable_object

        jobs = mf.get_durable_object_namespace("EXPORT_JOBS")
        stub = jobs.get(jobs.idFromName("x"))

        async def set_alarm(job: Any, state: Any) -> None:
            await state.storage.setAlarm(mf.clock.now_ms + 10)

        await run_in_durable_object(stub, set_alarm)
        await mf.run_until_idle()
        assert [log.message for log in mf.logs] == ["alarm without export state"]
        assert len(mf.trace.of_kind("alarm")) == 1

    amber.run(test)


def test_an_export_whose_row_is_gone_leaves_no_archive(amber: Any) -> None:
    async def test(mf: Any) -> None:
        await amber.seed(mf, amber.files(3))
        posted = await amber.post(mf)
        await mf.advance(500)
        await mf.get_d1_database("DB").exec("DELETE FROM storage_exports")
        await mf.run_until_idle()
        assert posted.status_code == 202
        assert await objects_below(mf, "exports/") == []

    amber.run(test)


def test_an_auth_service_that_fails_means_nobody_and_tells_no_secret(amber: Any) -> None:
    async def test(mf: Any) -> None:
        answer = await amber.post(mf, "token-of-u1")
        assert answer.status_code == 401
        assert [log.message for log in mf.logs] == ["authentication failed: JsException"]

    rule = faults.error("AUTH", op="service.fetch", message="it was token-of-u1")
    amber.run(test, faults=[rule])
