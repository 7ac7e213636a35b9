"""Laws of a run: what it takes, what it leaves, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError, SimulationDeadlock, WorldError
from emulator.simulation import loop as loop_module
from emulator.simulation.loop import SimulationLoop
from emulator.simulation.runner import Simulation, current_simulation, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def add(one: int, two: int) -> int:
    await asyncio.sleep(1)
    return one + two


def test_a_run_returns_what_the_function_returns():
    assert run(add, 1, 2) == 3


@given(st.integers(0, 9), st.integers())
def test_a_run_works_inside_hypothesis(number, seed):
    assert run(add, number, 1, seed=seed) == number + 1


def test_a_run_raises_what_the_function_raises():
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError

    with pytest.raises(LookupError):
        run(main)


@pytest.mark.parametrize("inside", [lambda main: asyncio.run(main()), run])
def test_a_run_inside_a_running_loop_is_refused(inside):
    async def main() -> None:
        with pytest.raises(WorldError, match="await the coroutine instead"):
            run(add, 1, 2)

    inside(main)


def test_a_coroutine_instead_of_a_function_is_refused_with_the_fix():
    with pytest.raises(ConfigurationError, match=r"run\(main\), not run\(main\(\)\)"):
        run(add(1, 2))  # type: ignore[arg-type]  # The mistake that is tested.


def test_without_a_simulated_loop_there_is_no_current_simulation():
    with pytest.raises(WorldError, match=r"no event loop is running: start with emulator\.run"):
        current_simulation()

    async def main() -> None:
        with pytest.raises(WorldError, match="EventLoop is running"):
            current_simulation()

    asyncio.run(main())


def test_tasks_that_are_left_end_with_the_run_and_run_their_finally_blocks():
    seen: list[str] = []

    async def straggler(number: int) -> None:
        try:
            await asyncio.sleep(10_000)
        finally:
            await asyncio.sleep(1)
            seen.append(f"straggler {number}")

    async def main() -> list[object]:
        tasks: list[object] = [asyncio.create_task(straggler(n)) for n in range(3)]
        await asyncio.sleep(1)
        return tasks

    run(main)
    assert seen == ["straggler 0", "straggler 1", "straggler 2"]


def test_a_task_that_ignores_its_end_does_not_keep_the_run_alive():
    async def stubborn() -> None:
        is_done = False
        while not is_done:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                await asyncio.sleep(0)

    async def main() -> object:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(1)
        return task

    run(main)
    gc.collect()


def test_generators_that_are_left_are_closed_in_the_order_of_their_first_step():
    seen: list[int] = []

    async def numbers(name: int) -> AsyncIterator[int]:
        try:
            yield name
        finally:
            await asyncio.sleep(0)
            seen.append(name)

    async def main() -> list[object]:
        kept = [numbers(name) for name in range(20)]
        for generator in kept[::-1]:
            await anext(generator)
        return list(kept)

    assert len(run(main)) == 20
    assert seen == list(range(19, -1, -1))


def test_ctrl_c_inside_a_run_leaves_nothing_behind():
    seen: list[str] = []

    async def straggler() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            seen.append("straggler")

    async def main() -> None:
        task = asyncio.create_task(straggler())
        await asyncio.sleep(1)
        asyncio.get_running_loop().call_later(1, _interrupt)
        try:
            await task
        finally:
            seen.append("main")

    with pytest.raises(KeyboardInterrupt):
        run(main)

    assert sorted(seen) == ["main", "straggler"]
    assert asyncio._get_running_loop() is None
    assert gc.isenabled()
    assert run(add, 1, 1) == 2


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_inside_the_main_task_is_not_told_twice(caplog):
    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(main)
    gc.collect()

    assert caplog.records == []


@pytest.mark.parametrize("is_enabled", [True, False])
def test_garbage_collection_is_off_during_a_run_and_then_as_it_was(is_enabled):
    async def main() -> bool:
        return gc.isenabled()

    was_enabled = gc.isenabled()
    try:
        gc.enable() if is_enabled else gc.disable()
        assert run(main) is False
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable() if was_enabled else gc.disable()


def test_a_long_run_with_cyclic_garbage_stays_flat_in_memory(monkeypatch):
    monkeypatch.setattr(loop_module, "COLLECT_INTERVAL", 1_000)
    counts: list[int] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

    async def main() -> None:
        for step in range(30_000):
            Cycle()
            await asyncio.sleep(0.001)
            if step % 5_000 == 4_999:
                counts.append(len(gc.get_objects()))

    run(main)
    assert max(counts) - min(counts) < 5_000


def test_the_parts_of_a_simulation_can_run_one_after_the_other():
    simulation = Simulation(seed=3)
    assert [simulation.run(add, n, n) for n in range(3)] == [0, 2, 4]
    assert simulation.clock.elapsed_ms == 3000
    simulation.close()
    simulation.close()
    assert simulation.loop.is_closed()
    assert "seed=3" in repr(simulation)


def test_a_task_lives_on_between_two_parts_of_a_simulation():
    simulation = Simulation()
    seen: list[float] = []

    async def start() -> object:
        return asyncio.create_task(tick())

    async def tick() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append(asyncio.get_running_loop().time())

    async def wait() -> None:
        await asyncio.sleep(10)

    kept = simulation.run(start)
    assert seen == []
    simulation.run(wait)
    assert seen == [1, 2, 3]
    assert kept is not None
    simulation.close()


def test_a_hundred_runs_leave_no_loop_task_or_thread_behind():
    gc.collect()
    before = sum(isinstance(thing, SimulationLoop) for thing in gc.get_objects())
    for _ in range(100):
        run(add, 1, 2)
    gc.collect()
    after = sum(isinstance(thing, SimulationLoop) for thing in gc.get_objects())

    assert after <= before


def test_a_failed_run_closes_its_loop():
    async def main() -> None:
        await asyncio.Event().wait()

    for _ in range(5):
        with pytest.raises(SimulationDeadlock):
            run(main)
    gc.collect()  # An open loop would complain here, and complaints are errors.


PROGRAM = """
import asyncio, random, uuid
from emulator.simulation.runner import Simulation
from emulator.simulation.schedules import random as random_schedule

simulation = Simulation(seed=11, schedule=random_schedule())

async def client(number, trace):
    for step in range(20):
        await asyncio.sleep(random.random())
        trace.record("step", f"client {number}", step=step, id=str(uuid.uuid4()))

async def main():
    trace, loop = simulation.trace, simulation.loop
    async def failing():
        await asyncio.sleep(5)
        raise ValueError
    tasks = {asyncio.create_task(client(n, trace)) for n in range(30)}
    for n in range(50):
        loop.deliver(loop.clock.now_ms + n % 7, trace.record, "arrival", str(n))
    done, pending = await asyncio.wait(tasks, timeout=9)
    for task in [*done, *pending]:
        trace.record("set order", task.get_name())

simulation.run(main)
simulation.close()
print(simulation.trace.digest(), len(simulation.trace))
"""


def test_the_same_seed_gives_the_same_digest_in_two_processes_with_other_hash_seeds():
    told = set()
    for hash_seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        finished = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        told.add(finished.stdout)

    (only,) = told
    assert len(only.split()[0]) == 64
    assert int(only.split()[1]) > 500
