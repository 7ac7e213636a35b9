"""Laws of every kind of fault: what a worker meets is what the platform would show it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import emulator
from emulator import faults
from emulator.errors import JsException
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOST = "Network connection lost."


class Jobs(DurableObject):
    """Counts in memory and in storage, waits, and works by alarms."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.memory = 0

    async def count(self) -> list[int]:
        self.memory += 1
        stored = (await self.ctx.storage.get("n") or 0) + 1
        await self.ctx.storage.put("n", stored)
        return [self.memory, stored]

    async def stored(self) -> Any:
        return await self.ctx.storage.get("n")

    async def wait(self) -> str:
        await asyncio.sleep(5)
        return "done"

    async def upload(self, key: str) -> None:
        await self.env.BUCKET.put(key, "bytes")

    async def set_alarm(self, time_ms: int, *, again_ms: int = 0) -> None:
        await self.ctx.storage.put("again", again_ms)
        await self.ctx.storage.setAlarm(time_ms)

    async def alarm(self, info: Any) -> None:
        runs = await self.ctx.storage.get("runs") or []
        runs.append([info.scheduledTime, info.retryCount])
        await self.ctx.storage.put("runs", runs)
        again_ms = await self.ctx.storage.get("again")
        if again_ms and len(runs) == 1:
            await self.ctx.storage.setAlarm(again_ms)

    async def runs(self) -> Any:
        return await self.ctx.storage.get("runs") or []

    async def fetch(self, request: Any) -> Response:
        return Response("0123456789")


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Response:
        if request.url.endswith("/wait"):
            await asyncio.sleep(5)
            return Response("waited")
        answer = await self.env.AUTH.fetch("https://auth/")
        return Response(await answer.text(), status=answer.status)


def simulate(
    scenario: Callable[[Any], Awaitable[Any]], *rules: faults.FaultRule, seed: int = 0
) -> Any:
    async def auth(_: Any) -> Response:
        return Response("0123456789")

    async def main() -> Any:
        async with emulator.Miniflare(
            worker=sys.modules[__name__],
            durable_objects={"JOBS": "Jobs"},
            r2_buckets=["BUCKET"],
            d1_databases=["DB"],
            service_bindings={"AUTH": auth},
            faults=list(rules),
        ) as mf:
            await mf.get_d1_database("DB").exec("CREATE TABLE t(x)")
            return await scenario(mf)

    return emulator.run(main, seed=seed)


async def refusal(awaitable: Awaitable[Any]) -> JsException:
    with pytest.raises(JsException) as caught:
        await awaitable
    return caught.value


def job(mf: Any, name: str = "a") -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName(name)


# -- what the other side answers ------------------------------------------------------------


def test_what_is_missing_is_there_for_the_next_call():
    async def scenario(mf: Any) -> Any:
        bucket, db = mf.get_r2_bucket("BUCKET"), mf.get_d1_database("DB")
        await bucket.put("u1/a", "x")
        await db.prepare("INSERT INTO t VALUES (1)").run()
        first = db.prepare("SELECT x FROM t").first
        return [
            (await bucket.head("u1/a"), await bucket.get("u1/a"), await first()),
            ((await bucket.head("u1/a")).size, (await first("x"))),
        ]

    gone, there = simulate(
        scenario,
        faults.missing("BUCKET", key="u1/*", times=2),
        faults.missing("DB", sql="select X from t", times=1),
    )

    assert gone == (None, None, None)
    assert there == (1, 1)


def test_what_vanishes_was_there_when_head_asked():
    async def scenario(mf: Any) -> Any:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put("k", "x")
        return (
            (await bucket.head("k")).size,
            await bucket.get("k"),
            (await bucket.head("k")).size,
        )

    assert simulate(scenario, faults.vanish("BUCKET")) == (1, None, 1)


@pytest.mark.parametrize(("after_effect", "stored"), [(False, 0), (True, 1)])
def test_a_failed_write_has_happened_only_if_the_error_is_after_its_effect(
    after_effect, stored
):
    async def scenario(mf: Any) -> Any:
        bucket, db = mf.get_r2_bucket("BUCKET"), mf.get_d1_database("DB")
        errors = [
            await refusal(bucket.put("k", "x")),
            await refusal(db.prepare("INSERT INTO t VALUES (1)").run()),
        ]
        kept = [
            len((await bucket.list()).objects),
            await db.prepare("SELECT count(*) AS n FROM t").first("n"),
        ]
        return [error.message for error in errors], kept

    told, kept = simulate(
        scenario,
        faults.error("BUCKET", op="put", after_effect=after_effect),
        faults.error("DB", op="run", sql="INSERT INTO t *", after_effect=after_effect),
    )

    assert told == [
        "put: We encountered an internal error. Please try again. (10001)",
        f"D1_ERROR: {LOST}",
    ]
    assert kept == [stored, stored]


def test_a_write_too_many_to_a_key_is_refused_by_r2_and_a_request_too_many_by_a_server():
    async def scenario(mf: Any) -> Any:
        bucket = mf.get_r2_bucket("BUCKET")
        upload = await bucket.createMultipartUpload("big")
        part = await upload.uploadPart(1, "x")
        told = [
            (await refusal(bucket.put("k", "x"))).message,
            (await refusal(upload.complete([part]))).message,
        ]
        answer = await mf.dispatch_fetch("http://localhost/")
        return told, (await bucket.list()).objects, answer.status_code

    told, kept, status = simulate(
        scenario, faults.rate_limit("BUCKET"), faults.rate_limit("AUTH")
    )

    text = "Reduce your concurrent request rate for the same object. (10058)"
    assert told == [f"put: {text}", f"completeMultipartUpload: {text}"]
    assert kept == []
    assert status == 429


def test_a_call_too_many_of_a_database_or_an_object_is_refused_in_its_words():
    async def scenario(mf: Any) -> Any:
        d1 = await refusal(mf.get_d1_database("DB").prepare("SELECT 1").all())
        rpc = await refusal(job(mf).count())
        return d1.message, rpc.message, rpc.overloaded

    assert simulate(scenario, faults.rate_limit("DB", op="all"), faults.rate_limit("JOBS")) == (
        "D1_ERROR: D1 DB is overloaded. Too many requests queued.",
        "Durable Object is overloaded. Too many requests for the same object within a 10 "
        "second window.",
        True,
    )


def test_an_overloaded_database_or_object_says_so_and_does_nothing():
    async def scenario(mf: Any) -> Any:
        d1 = await refusal(mf.get_d1_database("DB").exec("INSERT INTO t VALUES (1)"))
        rpc = await refusal(job(mf).count())
        return d1, rpc, await job(mf).count()

    d1, rpc, counted = simulate(
        scenario, faults.overloaded("DB", sql="insert*"), faults.overloaded("JOBS", nth=1)
    )

    assert d1.message == (
        "D1_EXEC_ERROR: Error in line 1: INSERT INTO t VALUES (1): D1 DB is overloaded. Too "
        "many requests queued."
    )
    assert rpc.message == "Durable Object is overloaded. Too many requests queued."
    assert (rpc.overloaded, rpc.retryable, rpc.durableObjectReset) == (True, False, False)
    assert counted == [1, 1]


@pytest.mark.parametrize(("after_effect", "stored"), [(False, 0), (True, 1)])
def test_a_reset_database_may_or_may_not_have_executed(after_effect, stored):
    async def scenario(mf: Any) -> Any:
        db = mf.get_d1_database("DB")
        error = await refusal(db.prepare("INSERT INTO t VALUES (1)").run())
        return error.message, await db.prepare("SELECT count(*) AS n FROM t").first("n")

    told, kept = simulate(scenario, faults.reset("DB", op="run", after_effect=after_effect))

    assert told == "D1_ERROR: Internal error in D1 DB storage caused object to be reset."
    assert kept == stored


def test_a_reset_object_loses_its_memory_and_tells_all_who_wait_for_it():
    async def scenario(mf: Any) -> Any:
        assert await job(mf).count() == [1, 1]
        waiting = job(mf).wait()  # It acts when it is called.
        await asyncio.sleep(1)
        errors = [await refusal(job(mf).count()), await refusal(waiting)]
        return errors, await job(mf).count()

    errors, counted = simulate(scenario, faults.reset("JOBS", key="count", nth=2))

    for error in errors:
        assert error.message == "Durable Object reset because its code was updated."
        assert error.durableObjectReset
    assert counted == [1, 2]


def test_a_server_in_trouble_answers_with_its_status_and_is_not_asked():
    async def scenario(mf: Any) -> Any:
        answer = await mf.dispatch_fetch("http://localhost/")
        return answer.status_code, answer.text, mf.trace.of_kind("service.fetch")[0].facts

    status, text, facts = simulate(scenario, faults.status("AUTH", 502, body="no"))

    assert (status, text) == (502, "no")
    assert facts["outcome"] == "answered by a rule"


@pytest.mark.parametrize("size", [1, 10, 200_000])
@pytest.mark.parametrize("kept", [None, 0, 7])
def test_a_body_that_breaks_off_gives_its_beginning_and_then_the_error(size, kept):
    data = bytes(range(251)) * (size // 251 + 1)

    async def scenario(mf: Any) -> Any:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put("k", data[:size])
        found = await bucket.get("k")
        reader, come = found.body.getReader(), b""
        error = None
        try:
            while not (step := await reader.read())["done"]:
                come += bytes(step["value"])
        except JsException as caught:
            error = caught
        whole = await (await bucket.get("k")).bytes()
        return found.size, come, error, bytes(whole) == data[:size]

    told, come, error, is_whole = simulate(
        scenario, faults.truncate("BUCKET", kept_bytes=kept, breaks=True, nth=1)
    )

    assert told == size
    expected = size // 2 if kept is None else min(kept, size)
    assert come == data[:expected]
    assert (error is None) == (expected == size)
    if error is not None:
        assert (error.message, error.retryable) == (LOST, True)
    assert is_whole


def test_a_body_that_ends_early_does_not_say_so():
    async def scenario(mf: Any) -> Any:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put("k", "0123456789")
        found = await bucket.get("k")
        return found.size, await found.text()

    assert simulate(scenario, faults.truncate("BUCKET", kept_bytes=3)) == (10, "012")


@pytest.mark.parametrize(("breaks", "stored"), [(False, 3), (True, None)])
def test_what_is_copied_from_a_body_that_breaks_off_is_not_stored(breaks, stored):
    async def scenario(mf: Any) -> Any:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put("k", "0123456789")
        with suppress(JsException):
            await bucket.put("copy", (await bucket.get("k")).body)
        copy = await bucket.head("copy")
        return None if copy is None else copy.size

    rule = faults.truncate("BUCKET", kept_bytes=3, breaks=breaks)
    assert simulate(scenario, rule) == stored


def test_the_answer_of_a_service_or_an_object_may_be_cut_short():
    async def scenario(mf: Any) -> Any:
        answer = await mf.dispatch_fetch("http://localhost/")
        response = await job(mf).fetch("http://o/")
        return answer.text, await refusal(response.text())

    text, error = simulate(
        scenario,
        faults.truncate("AUTH", kept_bytes=4),
        faults.truncate("JOBS", breaks=True),
    )

    assert text == "0123"
    assert error.message == LOST


@pytest.mark.parametrize(("by_bytes", "told"), [(1, 4), (-1, 2), (-9, 0), (1_000, 1_003)])
def test_a_corrupt_size_is_only_said(by_bytes, told):
    async def scenario(mf: Any) -> Any:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put("k", "abc")
        found = await bucket.get("k")
        sizes = [(await bucket.head("k")).size, found.size]
        sizes += [listed.size for listed in (await bucket.list()).objects]
        return sizes, await found.text()

    rule = faults.corrupt_size("BUCKET", by_bytes=by_bytes)
    assert simulate(scenario, rule) == ([told] * 3, "abc")


# -- when ----------------------------------------------------------------------


def head_ms(*rules: faults.FaultRule, seed: int = 0, count: int = 1) -> list[int]:
    """How long each of some calls of `head` takes."""

    async def scenario(mf: Any) -> Any:
        bucket, taken = mf.get_r2_bucket("BUCKET"), []
        for _ in range(count):
            start_ms = mf.clock.now_ms
            await bucket.head("k")
            taken.append(mf.clock.now_ms - start_ms)
        return taken

    taken: list[int] = simulate(scenario, *rules, seed=seed)
    return taken


@pytest.mark.parametrize("after_effect", [False, True])
def test_latency_is_added_to_the_usual_millisecond(after_effect):
    delay = timedelta(seconds=2)
    assert head_ms(faults.latency(delay, "BUCKET", after_effect=after_effect)) == [2_001]
    assert head_ms(faults.stall("BUCKET", after_effect=after_effect)) == [30_001]


def test_a_range_of_latencies_is_drawn_for_each_call_by_the_seed():
    rule = faults.latency((5, 9), "BUCKET")
    taken = head_ms(rule, count=40)

    assert set(taken) == {6, 7, 8, 9, 10}
    assert head_ms(rule, count=40) == taken
    assert head_ms(rule, count=40, seed=1) != taken


def test_one_rules_luck_is_not_anothers():
    rule = faults.latency((5, 900), "BUCKET", op="head")
    beside = faults.latency((5, 900), "BUCKET", op="put")

    with pytest.warns(UserWarning, match="no operation ever matched"):
        taken = head_ms(beside, rule, count=5)

    assert taken == head_ms(rule, count=5)


def test_of_equal_rules_beside_each_other_each_has_luck_of_its_own():
    def met(*rules: faults.FaultRule) -> list[int]:
        return head_ms(*rules, count=30)

    one, both = met(rule := faults.latency(50, probability=0.3)), met(rule, rule)

    assert {50 in (a - 1, b - 1) for a, b in zip(one, both, strict=True)} == {True, False}
    assert [b for a, b in zip(one, both, strict=True) if a == 51] == [51] * one.count(51)
    assert both.count(51) > one.count(51)


# -- the caller and the runtime -------------------------------------------------------------


@pytest.mark.parametrize(("when", "uploaded"), [("before", 0), ("after", 1)])
def test_an_object_crashes_before_or_after_its_upload(when, uploaded):
    async def scenario(mf: Any) -> Any:
        await job(mf).count()
        error = await refusal(job(mf).upload("k"))
        kept = len((await mf.get_r2_bucket("BUCKET").list()).objects)
        return error, kept, await job(mf).count()

    rule = faults.crash("JOBS", **{when: "BUCKET.r2.put"}, nth=1)
    error, kept, counted = simulate(scenario, rule)

    assert (error.message, error.retryable) == (LOST, True)
    assert kept == uploaded
    assert counted == [1, 2], "memory is lost, storage is kept"


def test_a_crash_befalls_the_object_of_that_name_only():
    async def scenario(mf: Any) -> Any:
        for name in ("user-1", "user-2", "other"):
            await job(mf, name).count()
        errors = []
        for name in ("other", "user-2", "user-1"):
            try:
                await job(mf, name).upload(name)
            except JsException:
                errors.append(name)
        return errors

    assert simulate(scenario, faults.crash("JOBS", after="put", object="user-2")) == ["user-2"]
    assert simulate(scenario, faults.crash(after="put", object="user-*", nth=2)) == ["user-1"]


def test_a_restart_takes_everything_along():
    async def scenario(mf: Any) -> Any:
        for name in ("a", "b"):
            await job(mf, name).count()
        request = asyncio.create_task(mf.dispatch_fetch("http://localhost/wait"))
        waiting = job(mf, "b").wait()  # It acts when it is called.
        await asyncio.sleep(1)
        errors = [
            await refusal(job(mf, "a").upload("k")),
            await refusal(waiting),
            await refusal(request),
        ]
        kept = len((await mf.get_r2_bucket("BUCKET").list()).objects)
        counted = [await job(mf, name).count() for name in ("a", "b")]
        return [error.message for error in errors], kept, counted

    told, kept, counted = simulate(scenario, faults.restart("JOBS", after="r2.put"))

    assert told == [LOST] * 3
    assert kept == 1
    assert counted == [[1, 2], [1, 2]]


def test_a_restart_is_of_one_world():
    async def scenario(mf: Any) -> Any:
        other = emulator.Miniflare(worker=Jobs, durable_objects={"JOBS": "Jobs"})
        async with other:
            for world in (mf, other):
                await job(world).count()
            await refusal(job(mf).upload("k"))
            return [await job(world).count() for world in (mf, other)]

    assert simulate(scenario, faults.restart(after="r2.put")) == [[1, 2], [2, 2]]


def test_a_restart_counts_the_retries_of_an_alarm_afresh():
    async def scenario(mf: Any) -> Any:
        now_ms = mf.clock.now_ms
        await job(mf).set_alarm(now_ms + 1_000)
        await mf.run_until_idle()
        return [[time_ms - now_ms, retry] for time_ms, retry in await job(mf).runs()]

    rules = faults.restart("JOBS", before="alarm.ack")
    assert simulate(scenario, rules) == [[1_000, 0], [1_000, 0]]


def test_an_idle_object_is_evicted_and_keeps_what_it_wrote():
    async def scenario(mf: Any) -> Any:
        first = await job(mf).count()
        stub = job(mf)
        return first, await stub.count(), await stub.count(), len(mf.trace.of_kind("evict"))

    told = simulate(scenario, faults.evict("JOBS", key="count", nth=2))

    assert told == ([1, 1], [1, 2], [2, 3], 1)


def test_an_object_that_is_busy_is_not_evicted():
    async def scenario(mf: Any) -> Any:
        await job(mf).count()
        waiting = job(mf).wait()  # It acts when it is called.
        await asyncio.sleep(1)
        return await job(mf).count(), await waiting

    assert simulate(scenario, faults.evict("JOBS", nth=3)) == ([2, 2], "done")


@pytest.mark.parametrize(("after_effect", "stored"), [(False, None), (True, 1)])
def test_a_failed_flush_resets_the_object_and_tells_whoever_waits_for_it(after_effect, stored):
    async def scenario(mf: Any) -> Any:
        return await refusal(job(mf).count()), await job(mf).stored()

    rule = faults.flush_failure("JOBS", after_effect=after_effect)
    error, kept = simulate(scenario, rule)

    assert error.message == (
        "Internal error in Durable Object storage write caused object to be reset."
    )
    assert error.durableObjectReset
    assert not error.retryable
    assert kept == stored


def test_nothing_leaves_that_was_said_after_a_write_that_failed():
    async def scenario(mf: Any) -> Any:
        async def write_and_upload(instance: Any, state: Any) -> None:
            state.storage.put("n", 1)
            await instance.env.BUCKET.put("k", "x")

        from emulator.testing import run_in_durable_object

        await refusal(run_in_durable_object(job(mf), write_and_upload))
        await mf.run_until_idle()
        return await mf.get_r2_bucket("BUCKET").head("k")

    assert simulate(scenario, faults.flush_failure("JOBS")) is None


def test_an_alarm_whose_writes_fail_runs_again_and_that_is_not_counted():
    async def scenario(mf: Any) -> Any:
        await job(mf).set_alarm(mf.clock.now_ms + 1_000)
        await mf.run_until_idle()
        return [retry for _, retry in await job(mf).runs()], len(mf.trace.of_kind("alarm"))

    assert simulate(scenario, faults.flush_failure("JOBS", nth=2)) == ([0], 2)


def alarms_at_ms(*rules: faults.FaultRule, again: bool = False) -> tuple[Any, Any]:
    """When an alarm set for 1,000 ms ran, and what each run was told."""

    async def scenario(mf: Any) -> Any:
        now_ms = mf.clock.now_ms
        await job(mf).set_alarm(now_ms + 1_000, again_ms=now_ms + 60_000 if again else 0)
        await mf.run_until_idle()
        runs = [[time_ms - now_ms, retry] for time_ms, retry in await job(mf).runs()]
        return [event.time_ms - now_ms for event in mf.trace.of_kind("alarm")], runs

    told: tuple[Any, Any] = simulate(scenario, *rules)
    return told


def test_a_late_alarm_is_told_its_own_time():
    assert alarms_at_ms(faults.late_alarm("JOBS")) == ([61_000], [[1_000, 0]])
    rule = faults.late_alarm("JOBS", timedelta(milliseconds=5))
    assert alarms_at_ms(rule) == ([1_005], [[1_000, 0]])


def test_an_alarm_that_is_set_anew_while_it_is_late_runs_at_its_new_time_only():
    async def scenario(mf: Any) -> Any:
        now_ms = mf.clock.now_ms
        await job(mf).set_alarm(now_ms + 1_000)
        await mf.advance(5_000)
        await job(mf).set_alarm(now_ms + 9_000)
        await mf.run_until_idle()
        return [time_ms - now_ms for time_ms, _ in await job(mf).runs()]

    assert simulate(scenario, faults.late_alarm("JOBS", nth=1)) == [9_000]


def test_an_alarm_of_which_nobody_heard_that_it_was_done_runs_again():
    (first_ms, second_ms), runs = alarms_at_ms(faults.duplicate_alarm("JOBS"))

    assert first_ms == 1_000
    assert 3_000 <= second_ms <= 3_510
    assert runs == [[1_000, 0], [1_000, 0]]


def test_an_alarm_that_its_handler_has_set_anew_is_not_doubled():
    times_ms, runs = alarms_at_ms(faults.duplicate_alarm("JOBS"), again=True)

    assert times_ms == [1_000, 60_000]
    assert runs == [[1_000, 0], [60_000, 0]]


@pytest.mark.parametrize("when", ["before", "after"])
def test_power_may_fail_at_the_delivery_of_an_alarm_which_is_then_delivered(when):
    _, runs = alarms_at_ms(faults.crash("JOBS", **{when: "alarm.deliver"}))

    assert runs == [[1_000, 0]]


def test_an_alarm_may_find_its_object_evicted():
    async def scenario(mf: Any) -> Any:
        await job(mf).count()
        await job(mf).set_alarm(mf.clock.now_ms + 1_000)
        await mf.advance(2_000)
        return await job(mf).count()

    assert simulate(scenario, faults.evict("JOBS", op="alarm.deliver")) == [1, 2]


# -- accounts ----------------------------------------------------------------------


def test_every_fault_that_happens_is_in_the_trace():
    async def scenario(mf: Any) -> Any:
        with suppress(JsException):
            await job(mf).upload("k")
        return [(event.subject, event.facts) for event in mf.trace.of_kind("fault")]

    rule = faults.crash("JOBS", after="r2.put", nth=1)
    ((subject, facts),) = simulate(scenario, rule)

    assert subject == "BUCKET.r2.put('k')"
    assert facts["rule"] == repr(rule)


def test_what_the_dead_still_try_is_refused_and_counted():
    async def scenario(mf: Any) -> Any:
        from emulator.testing import crash_durable_object, run_in_durable_object

        states: list[Any] = []
        await run_in_durable_object(job(mf), lambda _, state: states.append(state))
        before = mf.refused_count
        await crash_durable_object(job(mf))
        for _ in range(3):
            with suppress(BaseException):
                states[0].storage.put("late", 1)
        return before, mf.refused_count, await job(mf).stored()

    assert simulate(scenario) == (0, 3, None)
