"""Laws of the write unit, of its flush, and of the output gate."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator import faults
from emulator.errors import JsException
from emulator.sdk.workers import DurableObject

FULL = "database or disk is full: SQLITE_FULL"


class Job(DurableObject):
    async def put(self, key: str, value: Any) -> None:
        await self.ctx.storage.put(key, value)

    async def all(self) -> Any:
        return await self.ctx.storage.list()

    async def writes_and_aborts(self, wait: str) -> None:
        storage = self.ctx.storage
        await storage.put("a", 1)
        await storage.put("b", 2)
        if wait == "another put":
            await storage.put("c", 3)
        elif wait == "a sync":
            await storage.sync()
        elif wait == "a bookmark":
            await storage.getCurrentBookmark()
        elif wait == "a timer":
            await asyncio.sleep(0.001)
        elif wait == "R2":
            await self.env.BUCKET.head("k")
        elif wait == "a transaction":
            await storage.transaction(lambda txn: None)
        await storage.put("d", 4)
        self.ctx.abort()

    async def raises_after_put(self) -> None:
        await self.ctx.storage.put("a", 1)
        raise ValueError("after put")

    async def uploads(self, end: str) -> None:
        """Starts an upload behind a write, and ends."""
        await self.ctx.storage.put("a", 1)
        self.upload = self.env.BUCKET.put("k", "x")
        if end == "abort":
            self.ctx.abort()


def again(mf: Any) -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName("a")


@pytest.mark.parametrize(
    ("wait", "left"),
    [
        ("nothing", {}),
        ("another put", {}),
        ("a sync", {"a": 1, "b": 2}),
        ("a bookmark", {"a": 1, "b": 2}),
        ("a timer", {"a": 1, "b": 2}),
        ("R2", {"a": 1, "b": 2}),
        ("a transaction", {"a": 1, "b": 2}),
    ],
)
def test_a_unit_ends_at_the_first_real_wait_and_not_at_an_await_of_storage(
    with_jobs, wait, left
):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="abort"):
            await stub.writes_and_aborts(wait)
        return await again(mf).all()

    assert with_jobs(Job, scenario, r2_buckets=["BUCKET"]) == left


def test_an_exception_undoes_no_write_and_resets_nothing(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="after put"):
            await stub.raises_after_put()
        return await stub.all()

    assert with_jobs(Job, scenario) == {"a": 1}


def test_all_kinds_of_writes_of_one_turn_are_one_unit(with_jobs):
    class Mixed(Job):
        async def alarm(self, info: Any) -> None: ...

        async def mixed(self) -> None:
            storage = self.ctx.storage
            await storage.put("a", 1)
            storage.kv.put("b", 2)
            await storage.delete("a")
            await storage.setAlarm(4_000_000_000_000)
            self.ctx.abort()

        async def alarm_time(self) -> Any:
            return await self.ctx.storage.getAlarm()

    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="abort"):
            await stub.mixed()
        return await again(mf).all(), await again(mf).alarm_time()

    assert with_jobs(Mixed, scenario) == ({}, None)


def test_units_of_different_turns_may_share_one_flush(with_jobs):
    class Two(Job):
        async def two(self) -> None:
            await self.ctx.storage.put("a", 1)
            await asyncio.sleep(0.01)
            await self.ctx.storage.put("b", 2)

    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.latency(100, operation="storage.flush", nth=1))
        await stub.two()
        return len(mf.trace.of_kind("storage.flush")), await stub.all()

    flush_count, pairs = with_jobs(Two, scenario)

    assert (flush_count, pairs) == (1, {"a": 1, "b": 2})


# -- the output gate -----------------------------------------------------------------------


def test_an_answer_waits_until_the_writes_before_it_are_durable(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.latency(500, operation="storage.flush"))
        await stub.put("a", 1)
        with_write = mf.clock.elapsed_ms
        await stub.all()
        return with_write, mf.clock.elapsed_ms - with_write

    assert with_jobs(Job, scenario) == (501, 1)


def test_a_call_waits_until_the_writes_before_it_are_durable(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.latency(500, operation="storage.flush"))
        call = asyncio.ensure_future(stub.uploads("end"))
        await mf.advance(400)
        early = await mf.get_r2_bucket("BUCKET").head("k")
        await call
        await mf.advance(10)
        late = await mf.get_r2_bucket("BUCKET").head("k")
        return early is None, late is None

    assert with_jobs(Job, scenario, r2_buckets=["BUCKET"]) == (True, False)


def test_a_call_behind_a_lost_write_never_leaves(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="abort"):
            await stub.uploads("abort")
        await mf.advance(1_000)
        return await mf.get_r2_bucket("BUCKET").head("k"), await again(mf).all()

    assert with_jobs(Job, scenario, r2_buckets=["BUCKET"]) == (None, {})


def test_an_rpc_exception_does_not_wait_for_the_output_gate(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.latency(500, operation="storage.flush"))
        with pytest.raises(JsException, match="after put"):
            await stub.raises_after_put()
        return mf.clock.elapsed_ms

    assert with_jobs(Job, scenario) == 1


def test_a_fetch_exception_waits_for_the_output_gate(with_jobs):
    class Fetching(Job):
        async def fetch(self, request: Any) -> None:
            await self.raises_after_put()

    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.latency(500, operation="storage.flush"))
        with pytest.raises(JsException, match="after put"):
            await stub.fetch("http://x/")
        return mf.clock.elapsed_ms

    assert with_jobs(Fetching, scenario) == 501


def test_an_unconfirmed_write_holds_nothing(with_jobs):
    class Loose(Job):
        async def loose(self) -> None:
            await self.ctx.storage.put("a", 1, allowUnconfirmed=True)

    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.latency(500, operation="storage.flush"))
        await stub.loose()
        return mf.clock.elapsed_ms, await stub.all()

    assert with_jobs(Loose, scenario) == (1, {"a": 1})


def test_sync_waits_for_unconfirmed_writes_too(with_jobs):
    class Loose(Job):
        async def loose(self) -> None:
            await self.ctx.storage.put("a", 1, allowUnconfirmed=True)
            await self.ctx.storage.sync()

    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.latency(500, operation="storage.flush"))
        await stub.loose()
        return mf.clock.elapsed_ms

    assert with_jobs(Loose, scenario) == 501


def test_a_flush_of_more_than_thirty_seconds_resets_the_object(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        mf.faults.add(faults.latency(60_000, operation="storage.flush", nth=1))
        with pytest.raises(JsException) as caught:
            await stub.put("a", 1)
        error = caught.value
        elapsed_ms = mf.clock.elapsed_ms
        return (
            error.message,
            error.overloaded,
            error.durableObjectReset,
            elapsed_ms,
            (await again(mf).all()),
        )

    assert with_jobs(Job, scenario) == (
        "Durable Object storage operation exceeded timeout which caused object to be reset.",
        True,
        True,
        30_001,
        {},
    )


def test_a_full_disk_loses_the_whole_unit_and_resets_the_object(with_jobs):
    class Big(Job):
        async def fill(self) -> None:
            for number in range(100):
                await self.ctx.storage.put(f"k{number}", "x" * 20_000)

    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.put("before", 1)
        with pytest.raises(JsException) as caught:
            await stub.fill()
        error = caught.value
        return error.message, error.durableObjectReset, error.remote, await again(mf).all()

    found = with_jobs(Big, scenario, limits={"storage_bytes_max": 50 * 4_096})

    assert found == (FULL, True, False, {"before": 1})
