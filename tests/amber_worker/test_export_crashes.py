"""Power cuts: a crash before and after every single operation ends in a right archive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emulator import faults
from emulator.errors import JsException
from emulator.simulation.rules import Operation, Verdict

if TYPE_CHECKING:
    import pytest

COUNT = 12


class Recorder:
    """A rule that never decides, and remembers every operation that it was asked about."""

    def __init__(self) -> None:
        self.seen: list[Operation] = []
        self.is_on = False

    def decide(self, operation: Operation) -> Verdict | None:
        if self.is_on:
            self.seen.append(operation)
        return None


class CrashAt:
    """Crashes the caller at the n-th operation from `arm` on."""

    def __init__(self, nth: int, when: str) -> None:
        self.nth, self.when = nth, when
        self.count: int | None = None
        self.hit: Operation | None = None

    def decide(self, operation: Operation) -> Verdict | None:
        if self.count is None:
            return None
        self.count += 1
        if self.count != self.nth:
            return None
        self.hit = operation
        return Verdict(crash=self.when)

    def __repr__(self) -> str:
        return f"CrashAt({self.nth}, {self.when!r})"


async def wait_until_over(amber: Any, mf: Any, export_id: str) -> dict[str, Any]:
    """What a client does: ask how far it is, now and then."""
    row: dict[str, Any] = {}
    for _ in range(3):
        await mf.run_until_idle()
        row = await amber.status(mf, export_id)
        if row["status"] not in ("pending", "processing"):
            break
    return row


async def post_until_accepted(amber: Any, mf: Any) -> str:
    """What a client does: ask again when the connection is lost."""
    while True:
        try:
            answer = await amber.post(mf)
        except JsException as error:
            if not error.retryable:
                raise
            continue
        if answer.status_code == 409:
            # The request that was cut off had got that far.
            row = await (
                mf.get_d1_database("DB").prepare("SELECT id FROM storage_exports").first()
            )
            return str(row.id)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["export_id"])


def operations_of(amber: Any, files: list[Any]) -> list[Operation]:
    recorder = Recorder()

    async def test(mf: Any) -> None:
        await amber.seed(mf, files)
        mf.faults.add(recorder)
        recorder.is_on = True
        await post_until_accepted(amber, mf)
        await mf.run_until_idle()
        mf.faults.remove(recorder)

    amber.run(test)
    return recorder.seen


def crash_everywhere(amber: Any, count: int) -> int:
    """Crash once in each world, at each operation, before and after; how many worlds."""
    files = amber.files(count)
    operations = operations_of(amber, files)
    worlds = 0
    for nth, operation in enumerate(operations, start=1):
        if operation.actor == "test":
            continue  # The test's own request: nobody there can lose power.
        for when in ("before", "after"):
            rule = CrashAt(nth, when)

            async def test(mf: Any, rule: Any = rule) -> None:
                await amber.seed(mf, files)
                mf.faults.add(rule)
                rule.count = 0
                export_id = await post_until_accepted(amber, mf)
                row = await wait_until_over(amber, mf, export_id)
                assert rule.hit is not None, rule
                assert row["status"] == "completed", (rule.hit, rule, row)
                amber.check(await amber.download(mf, row), files)
                assert mf.trace.of_kind("crash"), rule
                mf.faults.remove(rule)

            try:
                amber.run(test)
            except BaseException as error:
                error.add_note(f"crash {when} operation {nth}: {operation}")
                raise
            worlds += 1
    return worlds


def test_a_crash_before_or_after_any_operation_ends_in_a_right_archive(
    amber: Any, tell: Any
) -> None:
    worlds = crash_everywhere(amber, COUNT)
    tell(f"{worlds} crashes in an export of {COUNT} files, one world each")
    # Twelve heads, twelve gets with a chunk of body each, and all that is around them.
    assert worlds > 2 * 3 * COUNT


class SlowStorage:
    """Storage after whose every write a turn ends, as at any wait of Python on Cloudflare."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        def call(*arguments: Any) -> Any:
            # It acts when it is called, not when it is awaited.
            answer = method(*arguments)

            async def wait() -> Any:
                value = await answer
                if name not in ("get", "getAlarm"):
                    await asyncio.sleep(0.001)
                return value

            return wait()

        return call


def test_a_step_is_one_write_unit_even_where_every_wait_ends_a_turn(
    amber: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that is kept without its file would give that file another one.
    from amber_worker.export_job import ExportJob

    begin = ExportJob.__init__

    def begin_slowly(job: Any, ctx: Any, env: Any) -> None:
        begin(job, ctx, env)
        job._storage = SlowStorage(ctx.storage)
        job._store = type(job._store)(job._storage)

    monkeypatch.setattr(ExportJob, "__init__", begin_slowly)
    files = amber.files(4)
    flushes = sum(op.name == "storage.flush" for op in operations_of(amber, files))
    assert flushes > 4
    for nth in range(1, flushes + 1):
        for when in ("before", "after"):

            async def test(mf: Any) -> None:
                await amber.seed(mf, files)
                row = await wait_until_over(amber, mf, await post_until_accepted(amber, mf))
                amber.check(await amber.download(mf, row), files)

            rule = faults.crash(**{when: "storage.flush"}, nth=nth)
            amber.run(test, faults=[rule])


def test_a_crash_in_a_step_of_several_alarms_neither_repeats_nor_loses_a_file(
    amber: Any,
) -> None:
    # 410 files are five chunks and two steps of the archive.
    files = amber.files(410, size=20)

    def run(*rules: Any) -> None:
        async def test(mf: Any) -> None:
            await amber.seed(mf, files)
            amber.check(await amber.export(mf), files)

        amber.run(test, faults=list(rules))

    for nth in (1, 200, 401, 410):
        run(faults.crash(after="r2.get", key="u1/*", nth=nth))
    # The start, five chunks, the upload, two steps, the end.
    for nth in range(1, 11):
        run(faults.crash(before="storage.flush", nth=nth))
        run(faults.crash(after="storage.flush", nth=nth))
    for nth in range(1, 7):
        run(faults.crash(before="alarm.ack", nth=nth))
        run(faults.crash(after="alarm.ack", nth=nth))


def test_an_object_that_crashes_again_and_again_still_ends(amber: Any) -> None:
    async def test(mf: Any) -> None:
        files = amber.files(12)
        await amber.seed(mf, files)
        amber.check(await amber.export(mf), files)
        assert len(mf.trace.of_kind("crash")) == 20

    amber.run(test, faults=[faults.crash(before="r2.get", nth=range(1, 21))])
