"""Laws of an object's lives: constructor, eviction, reset, and what goes on behind them."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from typing import Any, ClassVar

import pytest

import emulator
from emulator.errors import JsException
from emulator.sdk.workers import DurableObject, Response

ABORTED = "Application called abort() to reset Durable Object."


class Job(DurableObject):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.memory = 0
        self.log: list[str] = []

    async def count(self) -> int:
        self.memory += 1
        return self.memory

    async def lines(self) -> list[str]:
        return self.log

    async def start(self, what: str) -> int:
        loop = asyncio.get_running_loop()
        if what == "a timer":
            loop.call_later(15, self.log.append, "fired")
        elif what == "a long timer":
            loop.call_later(10_000, self.log.append, "fired")
        elif what == "waitUntil":
            self.ctx.waitUntil(asyncio.sleep(15))
        elif what == "an interval":
            self.task = asyncio.ensure_future(self.tick())
        elif what == "an outgoing call":
            self.call = self.env.JOBS.getByName("slow").slow()
        elif what == "a promise that nobody resolves":
            self.task = asyncio.ensure_future(self.never())
        return await self.count()

    async def tick(self) -> None:
        for _ in range(10_000):
            await asyncio.sleep(1)

    async def never(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def slow(self) -> None:
        await asyncio.sleep(15)

    async def put(self, key: str) -> None:
        await self.ctx.storage.put(key, 1)

    async def all(self) -> Any:
        return await self.ctx.storage.list()

    async def abort(self, *arguments: Any, wait_ms: int = 0) -> None:
        await self.ctx.storage.put("lost", 1)
        if wait_ms:
            await asyncio.sleep(wait_ms / 1000)
        self.ctx.abort(*arguments)


def another(mf: Any) -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName("a")


# -- eviction ------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait_ms", "count"), [(9_998, 2), (9_999, 1)])
def test_an_idle_object_is_evicted_after_ten_seconds(with_jobs, wait_ms, count):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.put("a")
        await stub.count()
        await mf.advance(wait_ms)
        return await stub.count(), await stub.all()  # A call arrives a millisecond later.

    # The same stub works, and what was stored is there.
    assert with_jobs(Job, scenario) == (count, {"a": 1})


@pytest.mark.parametrize(
    ("what", "at_12_s", "at_22_s"),
    [
        ("nothing", 1, 2),
        ("a timer", 2, 3),
        ("an interval", 2, 3),
        ("waitUntil", 2, 3),
        ("an outgoing call", 2, 3),
        ("a promise that nobody resolves", 1, 2),
    ],
)
def test_what_keeps_an_object_in_memory(with_jobs, what, at_12_s, at_22_s):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.start(what)
        await mf.advance(12_000)
        first = await stub.count()
        await mf.advance(9_990)
        return first, await stub.count()

    assert with_jobs(Job, scenario) == (at_12_s, at_22_s)


def test_ten_seconds_count_from_the_end_of_the_last_work(with_jobs):
    def count_after(wait_ms: int) -> int:
        async def scenario(mf: Any, stub: Any) -> Any:
            await stub.start("a timer")  # It fires 15 s later.
            await mf.advance(wait_ms)
            return await stub.count()

        return with_jobs(Job, scenario)  # type: ignore[no-any-return]

    assert (count_after(24_990), count_after(25_010)) == (2, 1)


def test_a_running_request_keeps_its_object(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.count()
        slow = asyncio.ensure_future(stub.slow())
        await mf.advance(12_500)
        count = await stub.count()
        await slow
        return count

    assert with_jobs(Job, scenario) == 2


def lives_until(with_jobs: Any, what: str, wait_ms: int, **options: Any) -> bool:
    """Whether an idle object with such work is the same one after a while."""

    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.start(what)
        await mf.advance(wait_ms)
        return await stub.count()

    return bool(with_jobs(Job, scenario, **options) == 2)


@pytest.mark.parametrize("what", ["an interval"])
@pytest.mark.parametrize("seed", range(5))
def test_an_idle_object_that_cannot_hibernate_is_evicted_after_70_to_140_s(
    with_jobs, what, seed
):
    assert lives_until(with_jobs, what, 69_000, seed=seed)
    assert not lives_until(with_jobs, what, 150_001, seed=seed)


def test_when_such_an_object_is_evicted_depends_on_the_seed(with_jobs):
    alive = [lives_until(with_jobs, "an interval", 105_000, seed=seed) for seed in range(10)]

    assert len(set(alive)) == 2


def test_the_local_runtime_lets_such_an_object_be(with_jobs):
    assert lives_until(with_jobs, "an interval", 2_000_000, limits="workerd")


def test_since_2026_10_01_work_keeps_its_object_for_fifteen_minutes(with_jobs):
    options = {"compatibility_date": "2026-10-01"}

    assert lives_until(with_jobs, "a long timer", 890_000, **options)
    assert not lives_until(with_jobs, "a long timer", 910_001, **options)
    # Each tick begins anew.
    assert lives_until(with_jobs, "an interval", 2_000_000, **options)


def test_eviction_can_be_prevented(with_jobs):
    async def main() -> int:
        given = {"JOBS": {"className": "Job", "unsafePreventEviction": True}}
        async with emulator.Miniflare(worker=Job, durable_objects=given) as mf:
            await another(mf).count()
            await mf.advance(100_000)
            count: int = await another(mf).count()
            return count

    assert emulator.run(main) == 2


def test_an_idle_object_does_not_keep_the_world_busy(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.count()
        await mf.run_until_idle()
        return mf.clock.elapsed_ms

    assert with_jobs(Job, scenario) == 1


# -- the constructor -----------------------------------------------------------------------


class Made(Job):
    made = 0
    how = ""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        Made.made += 1
        if Made.how == "raises":
            ctx.storage.put("k", 1)
            raise TypeError("ctor boom")
        if Made.how == "aborts":
            ctx.abort("ctor abort")
        if Made.how in ("section", "failing section"):
            ctx.blockConcurrencyWhile(self.init)
        if Made.how == "storage":
            self.task = asyncio.ensure_future(self.read())
        if Made.how == "R2":
            self.task = asyncio.ensure_future(self.head())

    async def init(self) -> None:
        self.log.append("init")
        await self.env.BUCKET.head("k")
        self.log.append("init ends")
        if Made.how == "failing section":
            raise ValueError("init failed")

    async def read(self) -> None:
        await self.ctx.storage.get("k")
        self.log.append("read")

    async def head(self) -> None:
        await self.env.BUCKET.head("k")
        self.log.append("head")

    async def fetch(self, request: Any) -> Any:
        return Response("")

    async def first(self) -> list[str]:
        self.log.append("first")
        return self.log


@pytest.fixture
def made(with_jobs: Any) -> Any:
    """Gives `made(how, scenario)`: runs it with a constructor of that kind."""

    def run(how: str, scenario: Any) -> Any:
        Made.made, Made.how = 0, how
        return with_jobs(Made, scenario, r2_buckets=["BUCKET"])

    return run


def test_the_constructor_runs_once_at_the_first_call(made):
    async def scenario(mf: Any, stub: Any) -> Any:
        before = Made.made
        await asyncio.gather(stub.count(), another(mf).count())
        return before, Made.made

    assert made("plain", scenario) == (0, 1)


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        ("section", ["init", "init ends", "first"]),
        ("storage", ["read", "first"]),
        ("R2", ["first"]),
    ],
)
def test_a_call_waits_for_the_constructors_section_and_storage_not_for_its_calls(
    made, how, lines
):
    async def scenario(mf: Any, stub: Any) -> Any:
        return await stub.first()

    assert made(how, scenario) == lines


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "TypeError: ctor boom"),
        ("aborts", "Error: ctor abort"),
        ("failing section", "Error: ValueError: init failed"),
    ],
)
def test_a_failing_constructor_rejects_whoever_waits_and_runs_again_for_a_new_stub(
    made, how, message
):
    async def scenario(mf: Any, stub: Any) -> Any:
        errors = await asyncio.gather(
            stub.count(), stub.count(), stub.fetch("http://x/"), return_exceptions=True
        )
        with pytest.raises(JsException) as caught:
            await stub.fetch("http://x/")
        errors.append(caught.value)
        once = Made.made
        with pytest.raises(JsException):
            await another(mf).count()
        return errors, once, Made.made

    errors, once, twice = made(how, scenario)

    assert [str(error) for error in errors] == [message] * 4
    assert [error.remote for error in errors] == [False, False, True, False]
    assert [error.durableObjectReset for error in errors] == [True] * 4
    assert (once, twice) == (1, 2)


# -- abort, and broken stubs ---------------------------------------------------------------


def test_abort_rejects_everybody_and_nothing_goes_on(with_jobs):
    class Going(Job):
        ran: ClassVar[list[str]] = []

        async def go(self) -> None:
            try:
                await asyncio.sleep(0.05)
                Going.ran.append("goes on")
            except BaseException:
                Going.ran.append("except")
                raise
            finally:
                Going.ran.append("finally")

    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.count()
        errors = await asyncio.gather(
            stub.go(), stub.abort(), stub.count(), return_exceptions=True
        )
        await mf.advance(1_000)
        ran = list(Going.ran)
        return errors, ran, await another(mf).count(), await another(mf).all()

    errors, ran, count, pairs = with_jobs(Going, scenario)

    assert [str(error) for error in errors] == [f"Error: {ABORTED}"] * 3
    assert [(e.durableObjectReset, e.remote) for e in errors] == [(True, False)] * 3
    assert (ran, count, pairs) == ([], 1, {})


@pytest.mark.parametrize(
    ("reason", "message"), [("custom reason", "custom reason"), (5, "5"), (True, "true")]
)
def test_the_reason_of_an_abort_becomes_text(with_jobs, reason, message):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await stub.abort(reason)
        return caught.value.message

    assert with_jobs(Job, scenario) == message


def test_a_stub_that_saw_its_instance_break_stays_broken_for_ever(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="gone"):
            await stub.abort("gone")
        await mf.advance(100_000)
        for _ in range(2):
            with pytest.raises(JsException, match="gone"):
                await stub.count()
        return await another(mf).count()

    assert with_jobs(Job, scenario) == 1


def test_a_call_that_was_under_way_when_its_stub_broke_does_not_reach_the_next_life(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.count()
        other = another(mf)
        errors = await asyncio.gather(
            stub.abort("gone"), stub.count(), other.count(), return_exceptions=True
        )
        return [str(outcome) for outcome in errors]

    # The other stub has seen nothing break: it reaches the new instance.
    assert with_jobs(Job, scenario) == ["Error: gone", "Error: gone", "1"]


def test_code_that_catches_the_abort_can_do_nothing_any_more(with_jobs):
    class Stubborn(Job):
        async def go(self) -> None:
            try:
                self.ctx.abort()
            except BaseException:  # The worst that user code can do.
                await self.ctx.storage.put("leak", 1)

    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="abort"):
            await stub.go()
        await mf.advance(1)
        [record] = mf.get_durable_object_namespace("JOBS").records()
        return await another(mf).all(), record.refused_count

    assert with_jobs(Stubborn, scenario) == ({}, 1)


def test_an_abort_makes_no_noise_in_the_log(with_jobs, caplog):
    class Noisy(Job):
        async def go(self) -> None:
            self.task = asyncio.ensure_future(self.abort())
            await asyncio.sleep(1)

    async def scenario(mf: Any, stub: Any) -> None:
        with pytest.raises(JsException, match="abort"):
            await stub.go()

    with caplog.at_level(logging.DEBUG, logger="asyncio"):
        with_jobs(Noisy, scenario)
        gc.collect()

    assert caplog.records == []


# -- what goes on behind -------------------------------------------------------------------


def test_wait_until_goes_on_after_the_answer(with_jobs):
    class Background(Job):
        async def go(self) -> None:
            self.ctx.waitUntil(self.later())

        async def later(self) -> None:
            await asyncio.sleep(5)
            await self.ctx.storage.put("done", 1)

    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.go()
        answered_ms = mf.clock.elapsed_ms
        await mf.run_until_idle()
        return answered_ms, mf.clock.elapsed_ms, await stub.all()

    assert with_jobs(Background, scenario) == (1, 5_001, {"done": 1})


def test_what_fails_behind_an_answer_concerns_nobody(with_jobs, caplog):
    class Failing(Job):
        async def go(self) -> int:
            asyncio.get_running_loop().call_later(0.001, self.fail)
            self.task = asyncio.ensure_future(self.fail_later())
            self.ctx.waitUntil(self.fail_later())
            return await self.count()

        def fail(self) -> None:
            raise ValueError("a timer")

        async def fail_later(self) -> None:
            raise ValueError("a promise")

    async def scenario(mf: Any, stub: Any) -> Any:
        first = await stub.go()
        await mf.advance(10)
        rejected = [event.facts["error"] for event in mf.trace.of_kind("waitUntil.rejected")]
        return first, await stub.count(), rejected

    assert with_jobs(Failing, scenario) == (1, 2, ["ValueError: a promise"])


def test_an_object_may_call_itself_and_a_chain_of_forty_works(with_jobs):
    class Chain(Job):
        async def down(self, depth: int) -> int:
            if depth == 0:
                return 0
            target = self.env.JOBS.getByName(f"n{depth}")
            return 1 + await target.down(depth - 1)

        async def itself(self) -> int:
            return 10 * await self.env.JOBS.get(self.ctx.id).count()

    async def scenario(mf: Any, stub: Any) -> Any:
        return await stub.down(40), await stub.itself()

    assert with_jobs(Chain, scenario) == (40, 10)


# -- the end of the world ------------------------------------------------------------------


class Gone(Job):
    async def alarm(self, info: Any) -> None: ...

    async def go(self) -> None:
        await self.ctx.storage.put("k", "v" * 1_000)
        await self.ctx.storage.setAlarm(4_000_000_000_000)


def test_nothing_is_left_of_a_world_that_was_disposed():
    async def main() -> list[bool]:
        mf = emulator.Miniflare(worker=Gone, durable_objects={"JOBS": "Gone"})
        async with mf:
            stub = another(mf)
            await stub.go()
            await mf.advance(15_000)  # An eviction: the second life is the one disposed of.
            await stub.go()
            [record] = mf.get_durable_object_namespace("JOBS").records()
            sqlite = record.database.sqlite
            held = [
                weakref.ref(thing)
                for thing in (record, record.instance.target, record.database, sqlite, mf)
            ]
        assert record.database.sqlite is None
        assert mf.world.simulation.loop.pending_count == 0
        del mf, stub, record, sqlite
        gc.collect()
        return [ref() is None for ref in held]

    assert emulator.run(main) == [True] * 5


def test_nothing_is_left_of_the_dead_when_the_run_is_over():
    # Until then what dead code holds must not unwind (`emulator.simulation.graveyard`).
    async def main() -> list[Any]:
        async with emulator.Miniflare(worker=Gone, durable_objects={"JOBS": "Gone"}) as mf:
            await another(mf).go()
            slow = asyncio.ensure_future(another(mf).slow())
            with pytest.raises(JsException, match="abort"):
                await another(mf).abort(wait_ms=5)
            with pytest.raises(JsException, match="abort"):
                await slow
            await another(mf).go()
            [record] = mf.get_durable_object_namespace("JOBS").records()
            return [weakref.ref(record), weakref.ref(record.database.sqlite)]

    held = emulator.run(main)
    gc.collect()

    assert [ref() for ref in held] == [None, None]


def test_two_worlds_see_nothing_of_each_other():
    async def main() -> Any:
        options: Any = {"worker": Job, "durable_objects": {"JOBS": "Job"}}
        async with emulator.Miniflare(**options) as one, emulator.Miniflare(**options) as two:
            await another(one).put("one")
            await another(two).put("two")
            return await another(one).all(), await another(two).all()

    assert emulator.run(main) == ({"one": 1}, {"two": 1})
