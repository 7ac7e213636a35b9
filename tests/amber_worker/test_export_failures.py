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

    amber.run(test, faults=[faults.error(operation=operation, key=key, nth=1, when=when)])


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
        when=when,
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

    rule = faults.error("it was token-of-u1", operation="service.fetch", binding="AUTH")
    amber.run(test, faults=[rule])
