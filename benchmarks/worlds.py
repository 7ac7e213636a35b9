"""Worlds: how many runs of a scenario exploration makes in a second.

Claim: at least 1,000 a second on one core, of a world with three objects, SQLite storage and an
alarm in each: built, run, recorded, brought to rest, disposed and hashed. The ratio is to the
same scenario under `emulator.run`, which records nothing.

    python benchmarks/worlds.py [WORLDS]
"""

from __future__ import annotations

import sys
from functools import partial
from time import (
    perf_counter,
    process_time,
)  # Inside a simulation the module's own are simulated.
from typing import TYPE_CHECKING, Any

import emulator
from emulator.sdk.js import Date
from emulator.sdk.workers import DurableObject
from emulator.simulation.deviations import Hold, Inject, Site
from emulator.simulation.playing import play

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.deviations import Deviation
    from emulator.simulation.playing import Played

ROUNDS = 7
NAMES = "abc"


class Job(DurableObject):
    """It keeps a count, and counts once more by its alarm."""

    async def start(self, delay_ms: int) -> None:
        """Write, and set the alarm."""
        await self.ctx.storage.put("count", 1)
        await self.ctx.storage.setAlarm(Date.now() + delay_ms)

    async def alarm(self, info: Any) -> None:
        """Read and write."""
        count = await self.ctx.storage.get("count")
        await self.ctx.storage.put("count", count + 1)


async def scenario() -> None:
    """Three objects, each with a call and an alarm."""
    async with emulator.Miniflare(worker=Job, durable_objects={"JOBS": "Job"}) as mf:
        jobs = mf.get_durable_object_namespace("JOBS")
        for delay_ms, name in enumerate(NAMES, 1):
            await jobs.getByName(name).start(delay_ms)
        await mf.run_until_idle()


def played_world(deviations: tuple[Deviation, ...], seed: int) -> Played:
    """One recorded run."""
    return play(scenario, deviations, seed=seed)


def rate(world: Callable[[int], object], count: int) -> tuple[float, float]:
    """Worlds a second by the clock, and by the processor's own, of the best round."""
    best = best_cpu = float("inf")
    for _ in range(ROUNDS):
        start, start_cpu = perf_counter(), process_time()
        for seed in range(count):
            world(seed)
        best = min(best, (perf_counter() - start) / count)
        best_cpu = min(best_cpu, (process_time() - start_cpu) / count)
    return 1 / best, 1 / best_cpu


def main() -> None:
    """Print the rates."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    calm = play(scenario)
    assert calm.error is None, calm.error
    actors = list(
        dict.fromkeys(step.operation.target for step in calm.steps[:9] if step.operation.target)
    )
    crash = (Inject(Site(actors[0], "alarm.deliver", 1), "crash after"),)
    first, second = (Site(actor, "alarm.deliver", 1) for actor in actors[:2])
    hold = (Hold(first, second),)
    plain, plain_cpu = rate(lambda seed: emulator.run(scenario, seed=seed), count)
    print(f"{'emulator.run':<16} {plain:>7,.0f} worlds/s ({plain_cpu:,.0f} of processor time)")
    runs: dict[str, tuple[Deviation, ...]] = {"calm": (), "one crash": crash, "one hold": hold}
    for name, deviations in runs.items():
        assert play(scenario, deviations).applied == deviations
        played, cpu = rate(partial(played_world, deviations), count)
        print(
            f"{name:<16} {played:>7,.0f} worlds/s ({cpu:,.0f} of processor time), "
            f"{cpu / plain_cpu:.2f} of emulator.run"
        )


if __name__ == "__main__":
    main()
