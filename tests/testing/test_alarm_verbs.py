"""The laws of the verbs for alarms."""

from __future__ import annotations

import pytest
from workers import DurableObject, Response, WorkerEntrypoint

from emulator import faults
from emulator.errors import JsException
from emulator.testing import (
    list_alarms,
    run_durable_object_alarm,
    run_in_durable_object,
)

FAR_MS = 4_000_000_000_000


class Reminder(DurableObject):
    """Fails as often as it was told, and keeps what each run was told."""

    async def remind(self, time_ms=FAR_MS, failures=0):
        await self.ctx.storage.put("failures", failures)
        await self.ctx.storage.setAlarm(time_ms)

    async def alarm(self, info):
        storage = self.ctx.storage
        runs = await storage.get("runs") or []
        seen = [info.scheduledTime, info.retryCount, info.isRetry, await storage.getAlarm()]
        await storage.put("runs", [*runs, seen])
        how = await storage.get("how")
        if how == "again":
            await storage.setAlarm(FAR_MS + 1)
        if how == "abort" or (how == "abort once" and not info.isRetry):
            self.ctx.abort("as the test said")
        if len(runs) < await storage.get("failures"):
            message = f"failure {len(runs) + 1}"
            raise LookupError(message)

    async def fail_by(self, how):
        await self.ctx.storage.put("how", how)

    async def runs(self):
        return await self.ctx.storage.get("runs")

    async def get_alarm(self):
        return await self.ctx.storage.getAlarm()


class Silent(DurableObject):
    async def alarm(self):
        await self.ctx.storage.put("ran", True)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("")


pytestmark = pytest.mark.miniflare(
    worker=Default, durable_objects={"REMINDERS": "Reminder", "SILENT": "Silent"}
)


@pytest.fixture
def reminders(miniflare):
    return miniflare.get_durable_object_namespace("REMINDERS")


@pytest.fixture
def stub(reminders):
    return reminders.getByName("a")


# -- run_durable_object_alarm ----------------------------------------------------------------


async def test_an_alarm_is_run_at_once_with_its_info_and_removed(miniflare, stub):
    await stub.remind()

    assert await run_durable_object_alarm(stub) is True
    assert miniflare.clock.elapsed_ms < 1000
    assert await stub.runs() == [[FAR_MS, 0, False, None]]
    assert await run_durable_object_alarm(stub) is False


async def test_a_handler_that_takes_no_info_is_run_too(miniflare):
    stub = miniflare.get_durable_object_namespace("SILENT").getByName("a")
    await run_in_durable_object(stub, lambda _, state: state.storage.setAlarm(FAR_MS))

    assert await run_durable_object_alarm(stub) is True
    assert await run_in_durable_object(stub, lambda _, state: state.storage.get("ran"))


async def test_what_the_handler_raises_comes_out_and_is_not_retried(miniflare, stub):
    await stub.remind(failures=1)

    with pytest.raises(LookupError, match="failure 1"):
        await run_durable_object_alarm(stub)
    await miniflare.run_until_idle()
    assert len(await stub.runs()) == 1
    assert miniflare.trace.of_kind("alarm") == []


async def test_retries_come_after_the_platforms_delays_until_one_succeeds(miniflare, stub):
    await stub.remind(failures=2)

    assert await run_durable_object_alarm(stub, retries=6) is True

    assert await stub.runs() == [
        [FAR_MS, 0, False, None],
        [FAR_MS, 1, True, None],
        [FAR_MS, 2, True, None],
    ]
    assert 6_000 <= miniflare.clock.elapsed_ms <= 7_600


async def test_the_last_failure_comes_out_when_the_retries_are_used_up(miniflare, stub):
    await stub.remind(failures=9)

    with pytest.raises(LookupError, match="failure 3"):
        await run_durable_object_alarm(stub, retries=2)
    assert [run[1] for run in await stub.runs()] == [0, 1, 2]
    assert await stub.get_alarm() is None
    assert list_alarms(miniflare) == []


async def test_an_object_that_resets_itself_in_the_handler_is_retried_afresh(miniflare, stub):
    await stub.remind()
    await stub.fail_by("abort once")

    assert await run_durable_object_alarm(stub, retries=1) is True

    fresh = miniflare.get_durable_object_namespace("REMINDERS").getByName("a")
    # What the first run wrote in the turn of its end is lost.
    assert await fresh.runs() == [[FAR_MS, 1, True, None]]
    assert await fresh.get_alarm() is None


async def test_a_new_alarm_that_the_handler_sets_ends_the_retries(miniflare, stub):
    await stub.remind(failures=1)
    await stub.fail_by("again")

    with pytest.raises(LookupError, match="failure 1"):
        await run_durable_object_alarm(stub, retries=3)
    assert await stub.get_alarm() == FAR_MS + 1
    assert len(await stub.runs()) == 1


async def test_the_count_of_retries_goes_on_where_the_platform_stood(miniflare, stub):
    await stub.remind(miniflare.clock.now_ms, failures=99)
    await miniflare.advance(7_600)
    assert list_alarms(miniflare)[0].retry_count == 3

    with pytest.raises(LookupError):
        await run_durable_object_alarm(stub, retries=6)
    assert [run[1] for run in await stub.runs()] == [0, 1, 2, 3, 4, 5, 6]


async def test_the_end_of_an_instance_in_the_handler_comes_out_too(stub):
    await stub.remind()
    await stub.fail_by("abort")
    with pytest.raises(JsException, match="as the test said"):
        await run_durable_object_alarm(stub)


@pytest.mark.parametrize("retries", [-1, 7, 1.5, "3"])
async def test_more_retries_than_the_platform_has_are_refused(stub, retries):
    with pytest.raises(ValueError, match="retries must be 0 to 6"):
        await run_durable_object_alarm(stub, retries=retries)


# -- list_alarms -----------------------------------------------------------------------------


async def test_pending_alarms_are_listed_by_their_time(miniflare, reminders):
    now_ms = miniflare.clock.now_ms
    unnamed = reminders.newUniqueId()
    await reminders.getByName("late").remind(now_ms + 3_000)
    await reminders.get(unnamed).remind(now_ms + 1_000)
    await reminders.getByName("none").runs()

    first, second = list_alarms(miniflare)

    assert (first.binding, str(first.id), first.name) == ("REMINDERS", str(unnamed), None)
    assert (first.scheduled_time_ms, first.due_ms) == (now_ms + 1_000, now_ms + 1_000)
    assert (second.name, second.state, second.retry_count) == ("late", "waiting", 0)


async def test_an_alarm_that_failed_is_listed_with_its_retry(miniflare, stub):
    time_ms = miniflare.clock.now_ms + 100
    await stub.remind(time_ms, failures=1)
    await miniflare.advance(200)

    (alarm,) = list_alarms(miniflare)

    assert (alarm.state, alarm.retry_count, alarm.scheduled_time_ms) == ("backoff", 1, time_ms)
    assert time_ms + 2_000 <= alarm.due_ms <= time_ms + 2_500
    await miniflare.advance(3_000)
    assert list_alarms(miniflare) == []


@pytest.mark.miniflare(faults=[faults.latency(500, operation="storage.flush", nth=1)])
async def test_an_alarm_is_listed_when_it_is_durable(miniflare, stub):
    setting = stub.remind()
    await miniflare.advance(100)
    assert list_alarms(miniflare) == []
    await setting
    assert len(list_alarms(miniflare)) == 1


class Slow(DurableObject):
    """Its first instance ends before anything can run in it."""

    starts = []  # noqa: RUF012  All instances share it.

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.starts.append(1)
        if len(self.starts) == 1:
            message = "not yet"
            raise LookupError(message)


@pytest.mark.miniflare(worker=Default, durable_objects={"SLOW": "Slow"})
async def test_an_object_that_does_not_start_has_no_handler_to_run_again(miniflare):
    Slow.starts.clear()
    stub = miniflare.get_durable_object_namespace("SLOW").getByName("x")

    with pytest.raises(JsException, match="not yet"):
        await run_durable_object_alarm(stub, retries=1)
