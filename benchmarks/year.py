"""A year: one object whose alarm comes every hour and does three storage operations.

Claim: one simulated year (8,760 alarms, 26,280 storage operations) takes at most 2 s.

    python benchmarks/year.py
"""

from __future__ import annotations

from datetime import timedelta
from time import (
    perf_counter,
    process_time,
)  # Inside a simulation the module's own are simulated.
from typing import TYPE_CHECKING, Any

import emulator
from emulator.sdk.js import Date
from emulator.sdk.workers import DurableObject
from emulator.simulation.playing import play
from emulator.testing import reset

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_MS = 3_600_000
YEAR = timedelta(days=365)


class Hourly(DurableObject):
    """It counts the hours."""

    async def start(self) -> None:
        """Set the first alarm."""
        await self.ctx.storage.setAlarm(Date.now() + HOUR_MS)

    async def count(self) -> int:
        """How many hours it has seen."""
        return await self.ctx.storage.get("hours") or 0

    async def alarm(self, info: Any) -> None:
        """Read, write, and set the next alarm: three storage operations."""
        count = await self.ctx.storage.get("hours") or 0
        await self.ctx.storage.put("hours", count + 1)
        await self.ctx.storage.setAlarm(info.scheduledTime + HOUR_MS)


async def year() -> None:
    """One year, to its last alarm."""
    async with emulator.Miniflare(worker=Hourly, durable_objects={"JOBS": "Hourly"}) as mf:
        job = mf.get_durable_object_namespace("JOBS").getByName("a")
        await job.start()
        await mf.advance(YEAR)
        assert await mf.get_durable_object_namespace("JOBS").getByName("a").count() == 8_760
        await reset(mf)


def main() -> None:
    """Print how long a year takes, in a plain run and in a recorded one."""
    runs: dict[str, Callable[[], object]] = {
        "emulator.run": lambda: emulator.run(year),
        "recorded": lambda: play(year),
    }
    for name, run in runs.items():
        best = best_cpu = float("inf")
        for _ in range(3):
            start, start_cpu = perf_counter(), process_time()
            found = run()
            best = min(best, perf_counter() - start)
            best_cpu = min(best_cpu, process_time() - start_cpu)
            assert getattr(found, "error", None) is None, found
        print(
            f"{name:<14} one simulated year in {best:.2f} s ({best_cpu:.2f} s of processor "
            f"time), {YEAR.total_seconds() / best:,.0f} simulated seconds a second"
        )


if __name__ == "__main__":
    main()
