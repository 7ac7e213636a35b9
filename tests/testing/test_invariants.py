"""Laws of the stock invariants: each is content with what the platform promises, and finds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from js import Date
from workers import DurableObject

import emulator
from emulator import faults
from emulator.catalogue import CATALOGUE
from emulator.durable_objects.alarms import AlarmScheduler
from emulator.durable_objects.gates import InputGate, OutputGate
from emulator.errors import ConfigurationError, MonitorFailure
from emulator.simulation.deviations import Inject
from emulator.simulation.playing import play
from emulator.simulation.tokens import name_of, resolve
from emulator.testing import crash_durable_object, fork, invariants, watching


class Job(DurableObject):
    """It does what its callers ask for."""

    async def work(self, count: int) -> int:
        await self.ctx.storage.put("count", count)
        await self.ctx.storage.setAlarm(Date.now() + 1_000)
        await self.env.BUCKET.put("key", "value")
        return count

    async def alarm(self) -> None:
        await self.ctx.storage.put("alarms", 1)
        if await self.ctx.storage.get("fails"):
            message = "no"
            raise ValueError(message)

    async def fail(self) -> None:
        self.ctx.storage.put("fails", 1)
        await self.work(1)

    async def write_unconfirmed(self) -> None:
        self.ctx.storage.put("count", 1, allowUnconfirmed=True)

    async def write(self) -> None:
        self.ctx.storage.put("count", 1)

    async def look(self) -> None:
        await self.env.BUCKET.head("key")

    async def upload(self, key: str) -> None:
        await self.env.BUCKET.createMultipartUpload(key)

    async def upload_all(self, key: str) -> None:
        upload = await self.env.BUCKET.createMultipartUpload(key)
        part = await upload.uploadPart(1, b"x")
        await upload.complete([part])
        await (await self.env.BUCKET.createMultipartUpload(key)).abort()

    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def hang_after_answer(self) -> None:
        self.ctx.waitUntil(asyncio.Event().wait())

    async def block(self) -> None:
        async def section() -> None:
            await asyncio.sleep(1)

        await self.ctx.blockConcurrencyWhile(section)

    async def meet(self, other: str) -> None:
        async with self.lock():
            await self.env.JOBS.getByName(other).meet(str(self.ctx.id.name))

    def lock(self) -> asyncio.Lock:
        self.__dict__.setdefault("mutex", asyncio.Lock())
        return self.mutex


OPTIONS: Any = {"worker": Job, "durable_objects": {"JOBS": "Job"}, "r2_buckets": ["BUCKET"]}


def job(mf: Any, name: str = "a") -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName(name)


def watched(act: Any, *monitors: Any, rules: Any = ()) -> None:
    """Run `act(mf)` under invariants; all of them unless told."""

    async def main() -> None:
        async with (
            emulator.Miniflare(**OPTIONS, faults=rules) as mf,
            watching(mf, *(monitors or invariants.standard())),
        ):
            await act(mf)

    emulator.run(main)


def failure_of(act: Any, *monitors: Any, rules: Any = ()) -> str:
    with pytest.raises(MonitorFailure) as caught:
        watched(act, *monitors, rules=rules)
    return str(caught.value)


def going(call: Any) -> None:
    """Let a call of the test go on by itself; how it ends does not matter."""

    async def quiet() -> None:
        try:
            await call
        except Exception:
            return

    task = asyncio.ensure_future(quiet())
    task.add_done_callback(lambda _: None)
    KEPT.append(task)


KEPT: list[Any] = []


async def work(mf: Any) -> None:
    going(job(mf).work(1))
    going(job(mf).work(2))
    going(job(mf, "b").block())
    going(job(mf, "b").upload_all("big"))
    await mf.advance(3_000)
    going(job(mf).work(3))
    await mf.advance(2)
    for record in mf.get_durable_object_namespace("JOBS").records():
        record.power_cut("a test")
    await mf.advance(1)
    going(job(mf).work(4))


# -- what the platform promises ----------------------------------------------------------------


def test_a_decent_worker_keeps_all_of_them():
    watched(work)


def test_a_decent_worker_keeps_all_of_them_at_every_single_fault():
    async def scenario() -> None:
        async with emulator.Miniflare(**OPTIONS) as mf:
            await work(mf)

    monitors = invariants.standard()
    calm = play(scenario, catalogue=CATALOGUE, monitors=monitors)
    assert calm.error is None
    deviations = [
        Inject(step.site, kind)
        for step in calm.steps
        for kind in CATALOGUE.kinds_of(step.operation)
        # A test may lose what it was to be told of an upload.
        if "createMultipartUpload" not in step.operation.name and "Part" not in kind
    ]
    assert len(deviations) > 100
    for deviation in deviations:
        played = play(scenario, (deviation,), catalogue=CATALOGUE, monitors=monitors)
        if isinstance(played.error, MonitorFailure):
            # A failing upload is left open, and that is found.
            assert "no_open_upload" in str(played.error), deviation
        else:
            assert played.error is None, deviation


@pytest.mark.parametrize("make", invariants.__all__)
def test_each_says_what_the_platform_promises_and_where(make):
    words = " ".join(getattr(invariants, make).__doc__.split())
    assert make == "standard" or "Cloudflare docs" in words


def test_they_are_told_by_the_call_that_makes_them():
    made = [
        *invariants.standard(),
        invariants.one_handler_at_a_time("JOBS"),
        invariants.every_alarm_runs(may_give_up=False),
        invariants.no_open_upload("BUCKET", but="tmp/*"),
    ]

    assert [monitor.name for monitor in made] == [
        "one_handler_at_a_time()",
        "acknowledged_writes_survive()",
        "every_alarm_runs()",
        "nothing_is_forgotten()",
        "no_leaked_write()",
        "no_open_upload()",
        "one_handler_at_a_time('JOBS')",
        "every_alarm_runs(may_give_up=False)",
        "no_open_upload('BUCKET', but=('tmp/*',))",
    ]


def test_a_token_can_name_them():
    made = [
        invariants.no_open_upload("BUCKET", but="tmp/*"),
        invariants.every_alarm_runs(may_give_up=False),
    ]
    for monitor in made:
        assert resolve(name_of(monitor)).name == monitor.name
    with pytest.raises(ConfigurationError, match="there is no"):
        resolve("emulator.testing.invariants:no_open_upload(1 +")
    with pytest.raises(ConfigurationError, match="there is no"):
        resolve("emulator.testing.invariants:no_open_upload(standard())")


def test_worlds_of_one_simulation_are_told_apart():
    async def main() -> None:
        async with emulator.Miniflare(**OPTIONS) as mf:
            async with watching(mf, *invariants.standard()):
                await job(mf).work(1)
            # Its objects have the same names in the trace.
            async with fork(mf) as other, watching(other, *invariants.standard()):
                await job(other).work(2)
                await job(mf).work(3)

    emulator.run(main)


# -- answers and writes ------------------------------------------------------------------------


async def unconfirmed(mf: Any) -> None:
    await job(mf).write_unconfirmed()


def test_an_unconfirmed_write_that_is_flushed_in_time_is_no_loss():
    watched(unconfirmed)


def test_an_answer_that_a_power_cut_belies_is_found():
    told = failure_of(
        unconfirmed,
        invariants.acknowledged_writes_survive(),
        rules=[faults.crash(before="storage.flush")],
    )

    assert "acknowledged_writes_survive(): JOBS#" in told
    assert "answered a call at +0.001 s, and has now lost what it had written before" in told


def test_an_output_gate_that_leaks_is_found(monkeypatch):
    monkeypatch.setattr(OutputGate, "leave", lambda _, callback: callback())

    async def act(mf: Any) -> None:
        going(job(mf).write())
        await mf.advance(5)

    told = failure_of(
        act,
        invariants.acknowledged_writes_survive(),
        rules=[faults.crash(before="storage.flush")],
    )
    assert "has now lost what it had written before" in told


def test_a_write_while_nobody_lives_is_found():
    async def act(mf: Any) -> None:
        await job(mf).work(1)
        await crash_durable_object(job(mf))
        record = mf.get_durable_object_namespace("JOBS").records()[0]
        record.database.opened().execute("INSERT INTO _cf_KV VALUES ('leak', x'00')")
        await mf.advance(1)
        await job(mf).look()

    assert "was written to JOBS#" in failure_of(act, invariants.no_leaked_write())


def test_a_call_that_the_dead_make_is_found():
    async def act(mf: Any) -> None:
        await job(mf).work(1)
        instance = mf.get_durable_object_namespace("JOBS").records()[0].instance
        await crash_durable_object(job(mf))
        await mf.advance(1)
        instance.context.is_dead = False  # The fence is down.
        binding = instance.context.world.env.BUCKET
        instance.base.copy().run(lambda: binding.put("leak", "x"))
        instance.context.is_dead = True
        await mf.advance(5)

    told = failure_of(act, invariants.no_leaked_write())
    assert "is dead, and yet r2.put of it took effect" in told


# -- handlers ----------------------------------------------------------------------------------


async def two_calls(mf: Any) -> None:
    await job(mf).work(1)
    await asyncio.gather(job(mf).look(), job(mf).look())


def test_handlers_may_interleave_unless_their_namespace_is_named():
    watched(two_calls, invariants.one_handler_at_a_time())
    told = failure_of(two_calls, invariants.one_handler_at_a_time("JOBS"))
    assert "a call began in JOBS#" in told
    assert told.split(" (")[0].endswith(" beside a call")


def test_an_input_gate_that_leaks_is_found(monkeypatch):
    async def act(mf: Any) -> None:
        going(job(mf).block())
        await mf.advance(10)
        monkeypatch.setattr(InputGate, "enter", lambda _, __, callback: callback())
        going(job(mf).look())

    told = failure_of(act, invariants.one_handler_at_a_time())
    assert "in a critical section" in told


def test_an_alarm_beside_itself_is_found():
    async def act(mf: Any) -> None:
        await job(mf).work(1)
        record = mf.get_durable_object_namespace("JOBS").records()[0]
        await mf.advance(999)
        record.instance.alarm(_Info())
        record.instance.alarm(_Info())

    class _Info:
        scheduledTime = 1_767_225_601_001
        retryCount = 0
        isRetry = False

    told = failure_of(act, invariants.one_handler_at_a_time())
    assert "began while it runs already" in told


def test_a_namespace_that_is_not_there_is_refused():
    with pytest.raises(ConfigurationError, match="JOB"):
        watched(work, invariants.one_handler_at_a_time("JOB"))


# -- alarms ------------------------------------------------------------------------------------


async def failing(mf: Any) -> None:
    await job(mf).fail()


def test_an_alarm_that_is_given_up_is_a_matter_of_choice():
    watched(failing, invariants.every_alarm_runs())
    told = failure_of(failing, invariants.every_alarm_runs(may_give_up=False))
    assert "has failed too often and was given up" in told


async def working(mf: Any) -> None:
    await job(mf).work(1)


def test_an_alarm_that_the_platform_loses_is_found(monkeypatch):
    monkeypatch.setattr(AlarmScheduler, "time_changed", lambda *_: None)

    told = failure_of(working, invariants.every_alarm_runs())
    assert "stores an alarm that nothing will ever deliver" in told


def test_an_alarm_that_is_gone_and_was_not_deleted_is_found():
    async def act(mf: Any) -> None:
        await job(mf).work(1)
        record = mf.get_durable_object_namespace("JOBS").records()[0]
        record.alarms.stop()
        slot = record.database.alarm
        slot.now = slot.durable = slot.durable._replace(time_ms=None)

    told = failure_of(act, invariants.every_alarm_runs())
    assert "for +1.001 s never ran, and nothing has replaced, deleted or dropped it" in told


def test_an_alarm_before_its_time_is_found(monkeypatch):
    arm = AlarmScheduler._arm

    def early(self: AlarmScheduler, time_ms: int) -> None:
        arm(self, time_ms - 500)
        self.scheduled_time_ms = time_ms

    monkeypatch.setattr(AlarmScheduler, "_arm", early)
    told = failure_of(working, invariants.every_alarm_runs())
    assert "for +1.001 s ran at +0.501 s" in told


# -- at rest -----------------------------------------------------------------------------------


def test_what_had_no_answer_is_found_with_who_waits_for_what():
    async def act(mf: Any) -> None:
        going(job(mf).hang())

    told = failure_of(act, invariants.nothing_is_forgotten())
    assert "1 event of JOBS#" in told
    assert "1 call of the test had no answer" in told
    assert "in Job.hang (test_invariants.py:" in told
    assert "waits for Event.wait()" in told


def test_work_after_the_answer_is_not_forgotten_either():
    async def act(mf: Any) -> None:
        await job(mf).hang_after_answer()

    told = failure_of(act, invariants.nothing_is_forgotten())
    assert "handed to waitUntil goes on" in told


def test_two_objects_that_wait_for_each_other_are_told_as_a_circle():
    async def act(mf: Any) -> None:
        going(job(mf, "a").meet("b"))

    told = failure_of(act, invariants.nothing_is_forgotten())
    assert ", and so round in a circle" in told


def test_an_upload_that_is_left_open_is_found():
    async def act(mf: Any) -> None:
        await job(mf).upload("tmp/a")

    told = failure_of(act, invariants.no_open_upload())
    assert "neither completed nor aborted: 'tmp/a' in BUCKET" in told
    watched(act, invariants.no_open_upload(but="tmp/*"))
    watched(act, invariants.no_open_upload("BUCKET", but=["tmp/a"]))
    failure_of(act, invariants.no_open_upload("BUCKET", but="other/*"))
    with pytest.raises(ConfigurationError, match="BUCKETS"):
        watched(act, invariants.no_open_upload("BUCKETS"))
