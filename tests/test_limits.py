"""Laws of limits: profiles, tighter ones, what is refused, and the report."""

from __future__ import annotations

import re
from typing import Any

import pytest

import emulator
from emulator import faults
from emulator.errors import ConfigurationError, JsException
from emulator.limits import Limits
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint

TOO_MANY = "Too many subrequests by single Worker invocation."


class Job(DurableObject):
    """It uses what the limits are about."""

    async def heads(self, count: int) -> None:
        for _ in range(count):
            await self.env.BUCKET.head("key")

    async def put(self, key: str, size: int) -> None:
        await self.ctx.storage.put(key, "x" * size)

    async def get_many(self, count: int) -> None:
        await self.ctx.storage.get([f"k{number}" for number in range(count)])

    async def run_sql(self, text: str) -> None:
        self.ctx.storage.sql.exec("SELECT ?", text)

    async def section(self, sleep_ms: int) -> None:
        async def inside() -> None:
            import asyncio

            await asyncio.sleep(sleep_ms / 1_000)

        await self.ctx.blockConcurrencyWhile(inside)

    async def set(self, time_ms: int) -> None:
        await self.ctx.storage.setAlarm(time_ms)

    async def alarm(self, info: Any) -> None:
        import asyncio

        await asyncio.sleep(3)


class Front(WorkerEntrypoint):
    """It sends as many requests out as it is asked for, and heads to its bucket."""

    async def fetch(self, request: Any) -> Any:
        import asyncio

        import js

        outside, heads = map(int, request.url.rpartition("/")[2].split("-"))
        try:
            for _ in range(outside):
                await js.fetch("https://elsewhere.example/")
            await asyncio.gather(*(self.env.BUCKET.head("key") for _ in range(heads)))
        except JsException as error:
            notes = getattr(error, "__notes__", ["no note"])
            return Response("\n".join([error.message, *notes]))
        return Response("done")


def with_job(scenario: Any, **options: Any) -> Any:
    async def main() -> Any:
        async with emulator.Miniflare(
            worker=Job, durable_objects={"JOBS": "Job"}, r2_buckets=["BUCKET"], **options
        ) as mf:
            return await scenario(mf, mf.get_durable_object_namespace("JOBS").getByName("a"))

    return emulator.run(main)


def answer_of(path: str, limits: Any) -> list[str]:
    async def elsewhere(request: Any) -> Any:
        return Response("")

    async def main() -> Any:
        async with emulator.Miniflare(
            worker=Front, r2_buckets=["BUCKET"], outbound_service=elsewhere, limits=limits
        ) as mf:
            answer = await mf.dispatch_fetch(f"http://x/{path}")
            return answer.text.split("\n")

    found: list[str] = emulator.run(main)
    return found


# -- the option ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["paid", "free", "workerd"])
def test_a_profile_is_named_or_given_in_a_dict(name):
    assert Limits.parsed(name) == Limits.parsed({"profile": name}) == Limits.named(name)


def test_a_limit_can_be_tighter_and_paid_is_the_default():
    found = Limits.parsed({"subrequests_max": 100, "rpc_bytes_max": 1})

    assert (found.name, found.subrequests_max, found.rpc_bytes_max) == ("paid", 100, 1)
    assert found.batch_keys_max == Limits.named("paid").batch_keys_max
    local = Limits.parsed({"profile": "workerd", "subrequests_max": 10**9})
    assert (local.subrequests_max, local.is_local) == (10**9, True)


def test_what_an_account_may_raise_may_be_raised_as_far():
    assert Limits.parsed({"subrequests_max": 10_000_000}).subrequests_max == 10_000_000
    assert Limits.parsed({"cpu_ms_max": 300_000}).cpu_ms_max == 300_000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("payed", "must be one of paid, free, workerd, got 'payed'; did you mean 'paid'?"),
        ({"profile": "frei"}, "got 'frei'; did you mean 'free'?"),
        (5, "must be one of paid, free, workerd, got 5"),
        (
            {"subrequest_max": 5},
            "limits has no 'subrequest_max'; did you mean 'subrequests_max'",
        ),
        ({"name": "x"}, "limits has no 'name'"),
        ({"set_alarm_now_stalls": 1}, "limits has no 'set_alarm_now_stalls'"),
        ({"batch_keys_max": 0}, "limits['batch_keys_max'] must be a whole number >= 1, got 0"),
        ({"batch_keys_max": True}, "must be a whole number >= 1, got True"),
        ({"batch_keys_max": 129}, "can only be tighter than the 128 of the profile 'paid'"),
        ({"subrequests_max": 10_000_001}, "can only be tighter than the 10,000,000 of the"),
        (
            {"profile": "free", "subrequests_max": 1_001},
            "can only be tighter than the 1,000 of the profile 'free', got 1,001",
        ),
        ({"profile": "workerd", "timers_max": 10_001}, "the 10,000 of the profile 'workerd'"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(given, message):
    with pytest.raises(ConfigurationError) as caught:
        emulator.Miniflare(worker=Job, limits=given)

    assert message in str(caught.value)


# -- refusals ------------------------------------------------------------------------------


def test_free_counts_what_leaves_cloudflare_apart():
    assert answer_of("50-900", "free") == ["done"]
    assert answer_of("51-0", "free")[0] == TOO_MANY
    assert answer_of("0-1001", "free")[0] == TOO_MANY
    assert answer_of("60-950", "paid") == ["done"]
    assert answer_of("60-950", "workerd") == ["done"]


def test_a_limit_that_is_documented_only_says_where():
    assert answer_of("3-0", {"subrequests_max": 2}) == [
        TOO_MANY,
        "subrequests_max is 2 here; documented by Cloudflare, Workers, Limits: "
        "https://developers.cloudflare.com/workers/platform/limits/#subrequests",
    ]
    assert answer_of("51-0", "free")[1].startswith("external_subrequests_max is 50 here; docu")


@pytest.mark.parametrize(
    ("method", "arguments", "note"),
    [
        ("get_many", [129], "batch_keys_max is 128"),
        ("put", ["k", 2_000_000], "key_value_bytes"),
    ],
)
def test_so_do_the_limits_of_pairs(method, arguments, note):
    async def scenario(mf: Any, stub: Any) -> Any:
        from emulator.testing import run_in_durable_object

        async def call(job: Any, state: Any) -> Any:
            with pytest.raises(JsException) as caught:
                await getattr(job, method)(*arguments)
            return caught.value.__notes__

        return await run_in_durable_object(stub, call)

    [found] = with_job(scenario)
    assert found.startswith(note)
    assert "https://developers.cloudflare.com/durable-objects/" in found


@pytest.mark.parametrize(
    ("limits", "took_ms"),
    [("paid", 4), ("free", 4), ("workerd", 1), ({"connections_max": 2}, 10)],
)
def test_further_connections_queue(limits, took_ms):
    """Twenty calls of a millisecond, beside the one of the request itself."""

    async def main() -> Any:
        async with emulator.Miniflare(worker=Front, r2_buckets=["BUCKET"], limits=limits) as mf:
            await mf.dispatch_fetch("http://x/0-20")
            use = mf.limits.report()["connections_max"]
            return mf.clock.elapsed_ms - 1, use.seen, use.where

    assert emulator.run(main) == (took_ms, 20, "worker")


def test_a_connection_of_a_failed_call_is_free_again():
    async def main() -> Any:
        async with emulator.Miniflare(
            worker=Front,
            r2_buckets=["BUCKET"],
            limits={"connections_max": 1},
            faults=[faults.error(op="r2.head", nth=[1, 2], message="lost")],
        ) as mf:
            return [(await mf.dispatch_fetch("http://x/0-2")).text for _ in range(2)]

    assert emulator.run(main) == ["lost\nno note", "done"]


@pytest.mark.parametrize("limits", [{"row_bytes_max": 1_000}, {"key_value_bytes_max": 1_000}])
def test_a_tighter_size_of_a_pair_holds(limits):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.put("k", 900)
        with pytest.raises(JsException, match="string or blob too big: SQLITE_TOOBIG"):
            await stub.put("k", 1_000)

    with_job(scenario, limits=limits)


def test_a_tighter_size_of_a_message_holds():
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.run_sql("x" * 900)
        with pytest.raises(JsException, match=r"limited to 1000 bytes, .* 1010 bytes"):
            await stub.run_sql("x" * 1_000)

    with_job(scenario, limits={"rpc_bytes_max": 1_000})


def test_tighter_walls_end_handlers_and_sections():
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.set(mf.clock.now_ms + 1_000)
        await mf.run_until_idle()
        with pytest.raises(JsException, match="waited for too long"):
            await mf.get_durable_object_namespace("JOBS").getByName("a").section(500)
        report = mf.limits.report()
        runs = len(mf.trace.of_kind("alarm"))
        return runs, *(report[name].seen for name in limits)

    limits = {"alarm_wall_ms_max": 2_000, "block_concurrency_ms_max": 400}
    assert with_job(scenario, limits=limits) == (7, 2_000, 400)


# -- the report ----------------------------------------------------------------------------


def test_the_report_tells_how_near_each_limit_came():
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.heads(7)
        await stub.heads(3)
        await stub.put("key", 1_000)
        await stub.get_many(12)
        await stub.run_sql("y" * 500)
        await stub.section(250)
        await stub.set(mf.clock.now_ms + 1_000)
        await mf.run_until_idle()
        report = mf.limits.report()
        storage = report["storage_bytes_max"]
        assert storage.seen
        assert storage.seen % 4_096 == 0
        return {
            use.name: (use.limit, use.seen, use.where[:5])
            for use in report
            if use is not storage
        }

    assert with_job(scenario) == {
        "subrequests_max": (10_000, 7, "JOBS#"),
        "external_subrequests_max": (None, 0, ""),
        "connections_max": (6, 1, "JOBS#"),
        "alarm_wall_ms_max": (900_000, 3_000, "JOBS#"),
        "block_concurrency_ms_max": (30_000, 250, "JOBS#"),
        "output_gate_ms_max": (30_000, 0, ""),
        "timers_max": (10_000, 0, ""),
        "rpc_bytes_max": (33_554_432, 2_064, "test"),
        "websocket_message_bytes_max": (33_554_432, 0, ""),
        "batch_keys_max": (128, 12, "JOBS#"),
        "key_value_bytes_max": (2_000_000, 1_008, "JOBS#"),
        "kv_key_bytes_max": (2_048, 0, ""),
        "kv_value_bytes_max": (131_072, 0, ""),
        "row_bytes_max": (2_200_000, 500, "JOBS#"),
    }


def test_the_report_outlives_the_world_and_reads_as_a_table():
    async def main() -> Any:
        async with emulator.Miniflare(
            worker=Job,
            durable_objects={"JOBS": {"className": "Job", "useSQLite": False}},
            r2_buckets=["BUCKET"],
            limits={"profile": "free", "subrequests_max": 10},
        ) as mf:
            stub = mf.get_durable_object_namespace("JOBS").getByName("a")
            await stub.put("key", 1_000)
            with pytest.raises(JsException, match=TOO_MANY):
                await stub.heads(12)
        return mf.limits.report()

    report = emulator.run(main)
    lines = str(report).splitlines()

    assert lines[0] == "Limits of the profile 'free'"
    where = report["subrequests_max"].where
    row = ["subrequests of one invocation", "11", "10", "110%", where]
    assert re.split(r"  +", lines[2]) == row
    assert report["kv_value_bytes_max"].seen == 1_005
    assert report["storage_bytes_max"].seen == 0
    assert repr(report) == "<LimitsReport 'free', nearest subrequests_max 110%>"
    with pytest.raises(KeyError, match="no limit 'nonsense' is counted; there are subrequests"):
        report["nonsense"]


def test_what_tests_do_is_not_counted():
    async def scenario(mf: Any, stub: Any) -> Any:
        for _ in range(20):
            await mf.get_r2_bucket("BUCKET").head("key")
        return mf.limits.report()["subrequests_max"].seen

    assert with_job(scenario) == 0
