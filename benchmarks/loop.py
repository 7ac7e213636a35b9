"""The loop against stock asyncio: ratios of steps, and virtual timer events a second.

Every figure is the best of several rounds, and stock and simulated rounds take turns, so
that a busy machine disturbs both alike; trust the ratios, not the absolute numbers.

    python benchmarks/loop.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from typing import TYPE_CHECKING

from emulator.simulation.loop import SimulationLoop
from emulator.simulation.runner import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Bound before any simulation starts: inside one, the module's clocks are simulated.
perf_counter = time.perf_counter

STEPS = 40_000
TASKS = 10


async def sleep_zero() -> None:
    """`STEPS` switches between `TASKS` tasks."""

    async def spin() -> None:
        for _ in range(STEPS // TASKS):
            await asyncio.sleep(0)

    await asyncio.gather(*(spin() for _ in range(TASKS)))


async def call_soon() -> None:
    """`STEPS` callbacks, each of which schedules the next."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def step(left: int) -> None:
        if left:
            loop.call_soon(step, left - 1)
        else:
            done.set_result(None)

    loop.call_soon(step, STEPS)
    await done


async def spawn_and_await() -> None:
    """A quarter of `STEPS` tasks, each awaited before the next is made."""

    async def nothing() -> None:
        pass

    for _ in range(STEPS // 4):
        await asyncio.create_task(nothing())


async def queue_ping_pong() -> None:
    """A quarter of `STEPS` messages there and back."""
    there: asyncio.Queue[int] = asyncio.Queue(1)
    back: asyncio.Queue[int] = asyncio.Queue(1)

    async def echo() -> None:
        for _ in range(STEPS // 4):
            await back.put(await there.get())

    task = asyncio.create_task(echo())
    for number in range(STEPS // 4):
        await there.put(number)
        await back.get()
    await task


async def timers_together() -> None:
    """`STEPS` sleeps of a second; ten tasks wake at each instant."""

    async def tick() -> None:
        for _ in range(STEPS // TASKS):
            await asyncio.sleep(1)

    await asyncio.gather(*(tick() for _ in range(TASKS)))


async def timers_apart() -> None:
    """`STEPS` sleeps, each at an instant of its own, so that the clock moves for each."""

    async def tick(number: int) -> None:
        await asyncio.sleep(number / 1000)
        for _ in range(STEPS // TASKS):
            await asyncio.sleep(1)

    await asyncio.gather(*(tick(number) for number in range(TASKS)))


async def nothing() -> None:
    """An empty simulation."""


def on_stock(work: Callable[[], Awaitable[None]]) -> float:
    """Seconds of `work` on the stock selector loop."""
    loop = asyncio.SelectorEventLoop()
    try:
        return _timed(loop, work)
    finally:
        loop.close()


def on_simulated(work: Callable[[], Awaitable[None]]) -> float:
    """Seconds of `work` on a bare simulated loop."""
    loop = SimulationLoop()
    try:
        return _timed(loop, work)
    finally:
        loop.close()


def _timed(loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[None]]) -> float:
    gc.collect()
    start = perf_counter()
    loop.run_until_complete(work())
    return perf_counter() - start


def in_simulation(work: Callable[[], Awaitable[None]]) -> float:
    """Seconds of `work` in a whole simulation, with Python's clocks held."""
    gc.collect()
    start = perf_counter()
    run(work)
    return perf_counter() - start


def main() -> None:
    """Print a line for each claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    run(nothing)  # The lazy imports of a first run are not the loop's.

    print(f"{'workload':<18}{'stock':>12}{'simulated':>12}{'ratio':>8}")
    for work, count in (
        (sleep_zero, STEPS),
        (call_soon, STEPS),
        (spawn_and_await, STEPS // 4),
        (queue_ping_pong, STEPS // 4),
    ):
        stock, ours = [], []
        for _ in range(rounds):
            stock.append(on_stock(work))
            ours.append(on_simulated(work))
        ratio = min(stock) / min(ours)
        print(
            f"{work.__name__:<18}{count / min(stock) / 1000:>10.0f} k"
            f"{count / min(ours) / 1000:>10.0f} k{ratio:>8.2f}"
        )
    for work in (timers_together, timers_apart):
        bare = min(on_simulated(work) for _ in range(rounds))
        whole = min(in_simulation(work) for _ in range(rounds))
        print(
            f"{work.__name__:<18}{STEPS / bare / 1000:>8.0f} k/s on the bare loop,"
            f"{STEPS / whole / 1000:>6.0f} k/s in a whole simulation"
        )
    many = 300
    best = min(_empty_runs(many) for _ in range(rounds))
    print(f"an empty run      {best / many * 1e6:>8.1f} us")


def _empty_runs(count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        run(nothing)
    return perf_counter() - start


if __name__ == "__main__":
    main()
