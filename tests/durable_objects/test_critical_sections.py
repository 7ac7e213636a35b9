"""Laws of `blockConcurrencyWhile`, and of which waits let other events in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.errors import JsException, JsTypeError
from emulator.sdk.workers import DurableObject

TOO_LONG = (
    "A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was "
    "canceled and the Durable Object was reset."
)


class Job(DurableObject):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.log: list[str] = []
        self.memory = 0

    async def count(self) -> int:
        self.memory += 1
        return self.memory

    async def lines(self) -> list[str]:
        return self.log

    async def wait_for(self, what: str) -> None:
        storage = self.ctx.storage
        if what == "get":
            await storage.get("q")
        elif what == "put":
            await storage.put("q", 1)
        elif what == "list":
            await storage.list()
        elif what == "getAlarm":
            await storage.getAlarm()
        elif what == "transaction":
            await storage.transaction(lambda txn: txn.get("q"))
        elif what == "gather of gets":
            await asyncio.gather(storage.get("a"), storage.get("b"))
        elif what == "tasks":
            for _ in range(50):
                await asyncio.sleep(0)
        elif what == "a section around R2":
            await self.ctx.blockConcurrencyWhile(lambda: self.env.BUCKET.head("k"))
        elif what == "sync":
            await storage.sync()
        elif what == "put and sync":
            await storage.put("q", 1)
            await storage.sync()
        elif what == "bookmark":
            await storage.getCurrentBookmark()
        elif what == "timer":
            await asyncio.sleep(0.001)
        elif what == "R2":
            await self.env.BUCKET.head("k")
        elif what == "another object":
            await self.env.JOBS.getByName("other").count()

    async def add(self, what: str) -> None:
        count = await self.ctx.storage.get("n") or 0
        await self.wait_for(what)
        await self.ctx.storage.put("n", count + 1)

    async def n(self) -> Any:
        return await self.ctx.storage.get("n")


@pytest.mark.parametrize(
    ("what", "total"),
    [
        ("nothing", 8),
        ("tasks", 8),
        ("get", 8),
        ("put", 8),
        ("list", 8),
        ("getAlarm", 8),
        ("transaction", 8),
        ("gather of gets", 8),
        ("a section around R2", 8),
        ("sync", 1),
        ("put and sync", 1),
        ("bookmark", 1),
        ("timer", 1),
        ("R2", 1),
        ("another object", 1),
    ],
)
def test_which_waits_let_other_events_in(with_jobs, what, total):
    async def scenario(mf: Any, stub: Any) -> Any:
        await asyncio.gather(*[stub.add(what) for _ in range(8)])
        return await stub.n()

    assert with_jobs(Job, scenario, r2_buckets=["BUCKET"]) == total


def test_a_hundred_parallel_read_modify_writes_lose_nothing(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")
        stubs = [namespace.getByName("a") for _ in range(100)]
        await asyncio.gather(*[each.add("put") for each in stubs])
        return await stub.n()

    assert with_jobs(Job, scenario) == 100


def test_an_event_is_not_protected_from_itself(in_object):
    async def program(state: Any) -> Any:
        async def add() -> None:
            count = await state.storage.get("n") or 0
            await state.storage.put("n", count + 1)

        await asyncio.gather(add(), add(), add())
        return await state.storage.get("n")

    assert in_object(program) == 1


def test_two_requests_interleave_at_a_real_wait_only(with_jobs):
    class Two(Job):
        async def walk(self, name: str, what: str) -> None:
            self.log.append(f"{name}1")
            await self.ctx.storage.get("k")
            self.log.append(f"{name}2")
            await self.wait_for(what)
            self.log.append(f"{name}3")
            await self.ctx.storage.put("k", 1)
            self.log.append(f"{name}4")

    def walk(what: str) -> str:
        async def scenario(mf: Any, stub: Any) -> Any:
            await asyncio.gather(stub.walk("A", what), stub.walk("B", what))
            return " ".join(await stub.lines())

        return with_jobs(Two, scenario, r2_buckets=["BUCKET"])  # type: ignore[no-any-return]

    assert walk("put") == "A1 A2 A3 A4 B1 B2 B3 B4"
    assert walk("R2") == "A1 A2 B1 B2 A3 A4 B3 B4"


# -- sections ------------------------------------------------------------------------------


def test_a_section_keeps_everything_else_out(with_jobs):
    class Section(Job):
        async def a(self) -> None:
            self.log.append("A:start")
            await asyncio.sleep(0.001)
            await asyncio.sleep(0.001)
            self.log.append("A:end")

        async def b(self) -> None:
            async def inside() -> None:
                self.log.append("B:in")
                for _ in range(20):
                    await self.env.BUCKET.head("k")
                self.log.append("B:out")

            self.log.append("B:call")
            await self.ctx.blockConcurrencyWhile(inside)
            self.log.append("B:after")

        async def c(self) -> None:
            self.log.append("C:start")

    async def scenario(mf: Any, stub: Any) -> Any:
        await asyncio.gather(stub.a(), stub.b(), stub.c())
        return await stub.lines()

    assert with_jobs(Section, scenario, r2_buckets=["BUCKET"]) == [
        "A:start", "B:call", "B:in", "B:out", "B:after", "C:start", "A:end",
    ]  # fmt: skip


def test_the_callback_runs_when_the_present_turn_is_over(in_object):
    async def program(state: Any) -> Any:
        log: list[str] = []

        async def callback() -> None:
            log.append("callback")
            await asyncio.sleep(0.001)
            log.append("callback ends")

        section = state.blockConcurrencyWhile(callback)
        log.append("after the call")
        await state.storage.get("x")
        log.append("after a get")
        await state.storage.sync()
        log.append("after a sync")
        await section
        return log

    assert in_object(program) == [
        "after the call", "after a get", "callback", "callback ends", "after a sync",
    ]  # fmt: skip


def test_the_value_of_the_callback_is_handed_on_itself(in_object):
    async def program(state: Any) -> Any:
        thing = object()

        async def callback() -> object:
            return thing

        return (
            await state.blockConcurrencyWhile(callback) is thing,
            await state.blockConcurrencyWhile(lambda: 7),
        )

    assert in_object(program) == (True, 7)


def test_what_is_no_function_is_refused_and_breaks_nothing(in_object):
    async def program(state: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            await state.blockConcurrencyWhile(5)
        return caught.value.message

    assert in_object(program) == (
        "Failed to execute 'blockConcurrencyWhile' on 'DurableObjectState': parameter 1 is "
        "not of type 'function'."
    )


def test_sections_of_one_event_run_in_start_order(in_object):
    async def program(state: Any) -> Any:
        log: list[str] = []

        def section(name: str) -> Any:
            async def callback() -> None:
                log.append(f"in{name}")
                await asyncio.sleep(0.001)
                log.append(f"out{name}")

            return state.blockConcurrencyWhile(callback)

        await asyncio.gather(section("1"), section("2"), section("3"))
        return log

    assert in_object(program) == ["in1", "out1", "in2", "out2", "in3", "out3"]


@pytest.mark.parametrize("depth", [2, 65])
def test_sections_nest(in_object, depth):
    async def program(state: Any) -> Any:
        log: list[int] = []

        async def nest(level: int) -> None:
            log.append(level)
            await asyncio.sleep(0.001)
            if level < depth:
                await state.blockConcurrencyWhile(lambda: nest(level + 1))
            log.append(-level)

        await nest(1)
        return log

    levels = list(range(1, depth + 1))
    assert in_object(program) == levels + [-level for level in reversed(levels)]


def test_timers_wait_for_the_section_and_fire_each_as_a_turn_of_its_own(with_jobs):
    class Timers(Job):
        async def go(self) -> list[str]:
            loop = asyncio.get_running_loop()
            for name, delay_ms in (("t1", 5), ("t2", 6)):
                loop.call_later(delay_ms / 1000, self.fire, name)

            async def inside() -> None:
                for _ in range(20):
                    await self.env.BUCKET.head("k")
                self.log.append("section ends")

            await self.ctx.blockConcurrencyWhile(inside)
            await asyncio.sleep(0.1)
            return self.log

        def fire(self, name: str) -> None:
            self.log.append(name)
            self.task = asyncio.ensure_future(self.steps(name))

        async def steps(self, name: str) -> None:
            self.log.append(f"{name} step")
            await asyncio.sleep(0)
            self.log.append(f"{name} next step")

    async def scenario(mf: Any, stub: Any) -> Any:
        return await stub.go()

    assert with_jobs(Timers, scenario, r2_buckets=["BUCKET"]) == [
        "section ends",
        "t1", "t1 step", "t1 next step",
        "t2", "t2 step", "t2 next step",
    ]  # fmt: skip


class Breaking(Job):
    async def fail(self, when: str) -> None:
        await self.ctx.storage.put("before", 1)
        try:
            await self.ctx.blockConcurrencyWhile(lambda: self.inside(when))
        except BaseException:
            self.log.append("caught")
            raise
        finally:
            self.log.append("finally")

    async def inside(self, when: str) -> None:
        await self.ctx.storage.put("inside", 1)
        if when == "after R2":
            await self.env.BUCKET.head("k")
        raise IndexError("section failed")

    async def fetch(self, request: Any) -> None:
        await asyncio.sleep(10)

    async def slow(self) -> None:
        await asyncio.sleep(10)
        self.log.append("slow goes on")

    async def all(self) -> Any:
        return await self.ctx.storage.list()


@pytest.mark.parametrize(
    ("when", "left"),
    [("at once", {"before": 1}), ("after R2", {"before": 1, "inside": 1})],
)
def test_a_section_that_fails_resets_the_object(with_jobs, when, left):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.count()
        errors = await asyncio.gather(
            stub.slow(), stub.fetch("http://x/"), stub.fail(when), stub.count(),
            return_exceptions=True,
        )  # fmt: skip
        with pytest.raises(JsException, match="section failed"):
            await stub.count()
        again = mf.get_durable_object_namespace("JOBS").getByName("a")
        left = await again.all()
        return errors, await again.count(), left, await again.lines()

    errors, count, pairs, lines = with_jobs(Breaking, scenario, r2_buckets=["BUCKET"])

    assert [str(error) for error in errors] == ["Error: IndexError: section failed"] * 4
    assert [error.durableObjectReset for error in errors] == [True] * 4
    assert [error.remote for error in errors] == [False, True, False, False]
    assert (count, pairs, lines) == (1, left, [])


def test_a_synchronous_failure_resets_the_object_too(with_jobs):
    class Sync(Job):
        async def fail(self) -> None:
            def callback() -> None:
                raise ValueError("at once")

            await self.ctx.blockConcurrencyWhile(callback)

    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="at once") as caught:
            await stub.fail()
        return caught.value.durableObjectReset

    assert with_jobs(Sync, scenario) is True


class Stuck(Job):
    async def own_stub(self) -> None:
        await self.ctx.blockConcurrencyWhile(lambda: self.env.JOBS.get(self.ctx.id).count())

    async def own_promise(self) -> None:
        async def never() -> None:
            await asyncio.get_running_loop().create_future()

        await self.ctx.blockConcurrencyWhile(never)

    async def older_timer(self) -> None:
        asyncio.get_running_loop().call_later(0.010, lambda: None)
        await self.ctx.blockConcurrencyWhile(lambda: asyncio.sleep(0.100))

    async def long_work(self) -> None:
        await self.ctx.blockConcurrencyWhile(lambda: asyncio.sleep(31))

    async def transaction(self) -> None:
        await self.ctx.storage.transaction(lambda txn: asyncio.sleep(31))


@pytest.mark.parametrize(
    "method", ["own_stub", "own_promise", "older_timer", "long_work", "transaction"]
)
def test_a_section_of_thirty_seconds_resets_the_object(with_jobs, method):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await getattr(stub, method)()
        error = caught.value
        return error.message, error.overloaded, error.durableObjectReset, mf.clock.elapsed_ms

    assert with_jobs(Stuck, scenario) == (TOO_LONG, True, True, 30_001)


def test_a_section_of_less_than_thirty_seconds_is_left_alone(in_object):
    async def program(state: Any) -> str:
        await state.blockConcurrencyWhile(lambda: asyncio.sleep(29.999))
        return "fine"

    assert in_object(program) == "fine"


def test_time_does_not_run_on_to_the_limit_of_a_section_that_died(with_jobs):
    class Dying(Job):
        async def go(self) -> None:
            async def inside() -> None:
                await asyncio.sleep(0.001)
                self.ctx.abort()

            await self.ctx.blockConcurrencyWhile(inside)

    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="abort"):
            await stub.go()
        await mf.run_until_idle()
        return mf.clock.elapsed_ms

    assert with_jobs(Dying, scenario) == 2


# -- what a section leaves behind ----------------------------------------------------------


def test_what_a_section_has_started_goes_on_when_it_is_over(in_object):
    async def program(state: Any) -> Any:
        log: list[str] = []

        async def left_behind(name: str) -> None:
            await asyncio.sleep(0.01)
            log.append(f"{name} 1")
            await state.storage.sync()
            await state.blockConcurrencyWhile(lambda: log.append(f"{name} section"))
            log.append(f"{name} 2")

        async def inner() -> None:
            state.waitUntil(left_behind("inner"))

        async def outer() -> None:
            state.waitUntil(left_behind("outer"))
            await state.blockConcurrencyWhile(inner)

        await state.blockConcurrencyWhile(outer)
        log.append("over")
        await asyncio.sleep(0.1)
        return sorted(log)

    lines = [f"{name} {what}" for name in ("inner", "outer") for what in ("1", "2", "section")]
    assert in_object(program) == [*lines, "over"]


def test_what_waits_at_the_end_of_a_section_comes_before_what_came_later(in_object):
    async def program(state: Any) -> Any:
        log: list[str] = []

        async def section() -> None:
            for name in ("a", "b"):
                asyncio.get_running_loop().call_later(0.01, log.append, name)
            await asyncio.sleep(0.005)

        await state.blockConcurrencyWhile(section)
        asyncio.get_running_loop().call_later(0.005, log.append, "c")
        await asyncio.sleep(0.02)
        return log

    assert in_object(program) == ["a", "b", "c"]
