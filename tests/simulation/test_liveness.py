"""Laws of liveness: workers that never come to rest, and what is said of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from js import Date
from workers import DurableObject

import emulator
from emulator.catalogue import CATALOGUE
from emulator.errors import NotAtRest
from emulator.simulation import resting
from emulator.simulation.playing import play


class Restless(DurableObject):
    """Each method is another way to go on for ever."""

    async def rearm(self) -> None:
        await self.ctx.storage.setAlarm(Date.now() + 60_000)

    async def alarm(self) -> None:
        await self.rearm()

    async def wait(self) -> None:
        await asyncio.Event().wait()

    async def wait_for_all(self) -> None:
        await asyncio.gather(self.wait(), asyncio.Queue().get())

    async def wait_in_a_group(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.wait(), name="member")

    async def wait_for_a_promise(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def poll(self) -> None:
        await self.poll_every(600)

    async def poll_quickly(self) -> None:
        await self.poll_every(0.001)

    async def poll_every(self, pause_s: float) -> None:
        done = await self.ctx.storage.get("done")
        while not done:
            await asyncio.sleep(pause_s)
            done = await self.ctx.storage.get("done")

    async def retry(self) -> None:
        while True:
            try:
                await self.env.JOBS.getByName("other").fail()
            except Exception:
                await asyncio.sleep(60)

    async def fail(self) -> None:
        message = "always"
        raise ValueError(message)

    async def lock_both(self, other: str) -> None:
        self.__dict__.setdefault("mutex", asyncio.Lock())
        async with self.mutex:
            await self.env.JOBS.getByName(other).lock_both(str(self.ctx.id.name))

    async def call_round(self, names: str) -> None:
        if names:
            await self.env.JOBS.getByName(names[0]).call_round(names[1:])
        else:
            await self.wait()


OPTIONS: Any = {"worker": Restless, "durable_objects": {"JOBS": "Restless"}}


def error_of(method: str, *args: Any, rest_ms: int = 3_600_000) -> NotAtRest:
    """What a run of one call, which nobody awaits, ends with."""

    async def scenario() -> None:
        async with emulator.Miniflare(
            worker=Restless, durable_objects={"JOBS": "Restless"}
        ) as mf:
            job = mf.get_durable_object_namespace("JOBS").getByName("a")
            call = asyncio.ensure_future(getattr(job, method)(*args))
            await mf.advance(5)
            assert not call.done() or method == "rearm"

    played = play(scenario, catalogue=CATALOGUE, rest_ms=rest_ms)
    assert isinstance(played.error, NotAtRest), played.error
    return played.error


def names_of(*names: str) -> list[str]:
    """Who the objects are in the trace."""

    async def main() -> list[str]:
        async with emulator.Miniflare(
            worker=Restless, durable_objects={"JOBS": "Restless"}
        ) as mf:
            jobs = mf.get_durable_object_namespace("JOBS")
            return [f"JOBS#{str(jobs.idFromName(name))[:8]}" for name in names]

    return emulator.run(main)


@pytest.mark.parametrize(
    ("method", "goal"),
    [
        ("wait", "Event.wait()"),
        ("wait_for_all", "the task Task-1 and the task Task-2"),
        ("wait_in_a_group", "the end of TaskGroup()"),
        ("wait_for_a_promise", "a future that nobody has completed"),
    ],
)
def test_what_waits_for_ever_is_told_with_what_it_waits_for(method, goal):
    error = error_of(method)

    (a,) = names_of("a")
    assert "nothing is left to happen, yet no answer came from" in str(error)
    assert error.waiters[0].startswith(f"{a} in Restless.{method} (test_liveness.py:")
    assert error.waiters[0].endswith(f" waits for {goal}")


def test_a_part_of_a_handler_is_told_with_whose_it_is():
    error = error_of("wait_in_a_group")

    (a,) = names_of("a")
    assert error.waiters[1].startswith(f"member of {a} in Restless.wait (")


@pytest.mark.parametrize("method", ["rearm", "poll", "retry"])
def test_what_goes_on_for_ever_is_told_with_what_goes_on(method):
    told = str(error_of(method))

    assert "faults have ended, and 3,600,000 simulated ms later there is still no rest" in told
    expected = {
        "rearm": "alarm of JOBS#",
        "poll": "waits for a time to come (asyncio.sleep)",
        "retry": "object.rpc of JOBS",
    }
    assert expected[method] in told


def test_many_events_in_little_time_are_no_rest_either(monkeypatch):
    monkeypatch.setattr(resting, "EVENTS_MAX", 5_000)

    told = str(error_of("poll_quickly", rest_ms=86_400_000))
    assert "(5,000 events)" in told


def test_two_objects_that_wait_for_each_other_are_told_as_a_circle():
    error = error_of("lock_both", "b")

    a, b = names_of("a", "b")
    assert error.waiters[-1] == (
        f"{a} waits for {b}, which waits for {a}, and so round in a circle"
    )
    assert f"waits for JOBS.object.rpc('lock_both') at {b}" in str(error)


def test_a_chain_of_calls_is_told_from_its_beginning_to_who_does_not_go_on():
    error = error_of("call_round", "bcd")

    a, b, c, d = names_of("a", "b", "c", "d")
    assert error.waiters[-1] == (f"{a} waits for {b}, which waits for {c}, which waits for {d}")


async def _deadlock() -> None:
    async with emulator.Miniflare(**OPTIONS) as mf:
        await mf.get_durable_object_namespace("JOBS").getByName("a").call_round("b")


def test_the_chain_of_a_deadlock_begins_with_the_test():
    with pytest.raises(emulator.errors.SimulationDeadlock) as caught:
        emulator.run(_deadlock)

    a, b = names_of("a", "b")
    assert caught.value.waiters[-1] == f"test waits for {a}, which waits for {b}"
