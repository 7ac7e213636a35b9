"""Laws of determinism: one run is one run, and whoever breaks that is named."""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest

import emulator
from emulator.errors import SimulationDiverged
from emulator.sdk.workers import DurableObject
from emulator.simulation.deviations import Inject, Site
from emulator.simulation.divergence import check_same, divergence, self_check
from emulator.simulation.playing import play

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


class Job(DurableObject):
    async def put(self, key: str) -> None:
        await self.ctx.storage.put(key, 1)

    async def upload(self, key: str) -> None:
        await self.env.BUCKET.put(key, "x")


def world() -> emulator.Miniflare:
    return emulator.Miniflare(
        worker=Job, durable_objects={"JOBS": "Job"}, r2_buckets=["BUCKET"]
    )


def job(mf: Any) -> Any:
    return mf.get_durable_object_namespace("JOBS").getByName("a")


async def sound() -> None:
    async with world() as mf:
        await job(mf).put("x")
        await job(mf).upload("y")


class Thing:
    """Hashes by its address, as objects do."""


async def by_address() -> None:
    things = {Thing(): number for number in range(40)}
    async with world() as mf:
        await job(mf).put("x")
        await job(mf).upload(f"k{things[next(iter(set(things)))]}")


def test_a_run_that_is_decided_by_its_seed_passes_the_check_and_is_handed_back():
    played = play(sound, seed=3)

    assert self_check(lambda: play(sound, seed=3), played).digest == played.digest


def test_the_check_plays_the_deviations_too():
    crash = [Inject(Site("test", "JOBS.object.rpc", 1), "error before")]
    played = play(sound, crash)

    assert played.error is not None
    assert type(self_check(lambda: play(sound, crash), played).error) is type(played.error)


def test_the_order_of_a_set_of_objects_is_found_and_its_first_step_is_named():
    played = play(by_address)

    def check_often() -> None:
        for _ in range(40):
            self_check(lambda: play(by_address), played)

    with pytest.raises(SimulationDiverged, match=r"step 4 was BUCKET\.r2\.put\('k\d+'\) of"):
        check_often()


def test_what_a_former_run_left_behind_is_found():
    runs: list[int] = []

    async def counting() -> None:
        runs.append(1)
        async with world() as mf:
            for number in range(len(runs)):
                await job(mf).put(f"{number}")

    played = play(counting)

    with pytest.raises(SimulationDiverged, match=r"2 steps the first time and 4 the second"):
        self_check(lambda: play(counting), played)


def test_another_event_between_the_same_steps_is_told():
    words = iter("ab")

    async def tracing() -> None:
        async with world() as mf:
            await job(mf).put("x")
            mf.trace.record("note", next(words))

    one, other = play(tracing), play(tracing)

    assert "all 2 steps were the same, and event 4 was `" in divergence(one, other)
    assert "note a` the first time and" in divergence(one, other)


def test_another_end_is_another_run():
    ends = iter([ValueError, KeyError, None])

    async def ending() -> None:
        if (error := next(ends)) is not None:
            raise error

    one, other, third = play(ending), play(ending), play(ending)

    check_same(one, one)
    for another in (other, third):
        with pytest.raises(SimulationDiverged):
            check_same(one, another)
    assert "with ValueError the first time and KeyError the second" in divergence(one, other)


def test_worlds_are_the_same_in_processes_with_random_and_fixed_hash_seeds(monkeypatch):
    spec = util.spec_from_file_location("digests", BENCHMARKS / "digests.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "digests", module)
    spec.loader.exec_module(module)

    found = module.digests(35)

    assert len(found) == 6
    assert set(found) == {module.digest(35)}
