"""Laws of timers in an object: their order, and how many there may be. Measured on workerd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from workers import DurableObject

from emulator.errors import JsException


def text_of(active: int, limit: int = 10_000, finished: int = 0) -> str:
    return (
        f"You have exceeded the number of active timeouts you may set. max active timeouts: "
        f"{limit}, current active timeouts: {active}, finished timeouts: {finished}"
    )


class Clockwork(DurableObject):
    async def set_timers(self, count: int) -> str:
        loop = asyncio.get_running_loop()
        try:
            for _ in range(count):
                loop.call_later(100, str)
        except JsException as error:
            return f"{error.name}: {error.message}"
        return "all set"

    async def sleep(self) -> None:
        await asyncio.sleep(50)

    async def order(self) -> list[str]:
        loop, fired = asyncio.get_running_loop(), []
        for name, delay_ms in (("b", 5), ("a", 1), ("a again", 1), ("0", 0), ("-5", -5)):
            loop.call_later(delay_ms / 1000, fired.append, name)
        await asyncio.sleep(0.01)
        return fired


def test_timers_fire_in_due_order_and_ties_in_the_order_of_creation(with_jobs):
    async def scenario(_: Any, stub: Any) -> Any:
        return await stub.order()

    assert with_jobs(Clockwork, scenario) == ["0", "-5", "a", "a again", "b"]


def test_an_object_has_ten_thousand_timers_at_most(with_jobs):
    async def scenario(_: Any, stub: Any) -> Any:
        return [await stub.set_timers(count) for count in (9_999, 1, 1)]

    refused = f"QuotaExceededError: {text_of(10_000)}"
    assert with_jobs(Clockwork, scenario) == ["all set", "all set", refused]


def test_timers_that_have_fired_make_room(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        first = await stub.set_timers(3)
        await mf.advance(101_000)
        return first, await stub.set_timers(4)

    limits = {"profile": "paid", "timers_max": 3}
    refused = f"QuotaExceededError: {text_of(3, limit=3, finished=3)}"
    assert with_jobs(Clockwork, scenario, limits=limits) == ("all set", refused)


def test_every_object_has_timers_of_its_own(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        other = mf.get_durable_object_namespace("JOBS").getByName("b")
        return await stub.set_timers(10_000), await other.set_timers(10_000)

    assert with_jobs(Clockwork, scenario) == ("all set", "all set")


def test_a_sleep_is_a_timer(with_jobs):
    async def scenario(_: Any, stub: Any) -> Any:
        await stub.set_timers(3)
        await stub.sleep()

    limits = {"profile": "paid", "timers_max": 3}
    with pytest.raises(JsException, match="exceeded the number of active timeouts"):
        with_jobs(Clockwork, scenario, limits=limits)


def test_the_limit_is_in_the_report(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.set_timers(4)
        return next(use for use in mf.limits.report() if use.name == "timers_max")

    use = with_jobs(Clockwork, scenario, limits={"profile": "paid", "timers_max": 3})
    assert (use.seen, use.limit) == (4, 3)


def test_timers_that_run_are_in_the_report(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        await stub.set_timers(2)
        asyncio.get_running_loop().call_later(5, int)  # The test's own is nobody's.
        return mf.limits.report()["timers_max"]

    use = with_jobs(Clockwork, scenario)
    assert (use.seen, use.where[:5]) == (2, "JOBS#")
