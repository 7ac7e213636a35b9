"""The runner: one simulation, from its seed to its end.

Promises: one loop, one clock, one seed, one trace, one set of rules; when `run` returns,
every task has ended and Python's clocks, chance and doors are as they were. Leaves to
others: worlds, which are named parts of the running simulation.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, TypeVar, final

from emulator.errors import WorldError
from emulator.simulation.ambient import ambient, frozen_start_ms
from emulator.simulation.clock import START_MS_DEFAULT, Clock, instant_ms
from emulator.simulation.loop import SimulationLoop
from emulator.simulation.randomness import Randomness
from emulator.simulation.rules import RuleSet
from emulator.simulation.schedules import Fifo, Schedule
from emulator.simulation.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from datetime import datetime

__all__ = ["Simulation", "current_simulation", "run"]

T = TypeVar("T")


@final
class Simulation:
    """Everything that a run is decided by, and everything it leaves behind.

    Args:
        seed: Decides every random stream.
        schedule: Decides latencies and ties; None is the calm run.
        start_time: Where the clock starts: epoch milliseconds or a datetime (naive means
            UTC). None is where freezegun holds time, else 2026-01-01T00:00:00Z.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        schedule: Schedule | None = None,
        start_time: int | datetime | None = None,
    ) -> None:
        if start_time is not None:
            start_ms = instant_ms(start_time)
        else:
            frozen_ms = frozen_start_ms()
            start_ms = START_MS_DEFAULT if frozen_ms is None else frozen_ms
        self.seed = seed
        self.clock = Clock(start_ms)
        self.randomness = Randomness(seed)
        self.schedule: Schedule = schedule if schedule is not None else Fifo()
        self.schedule.bind(self.randomness)
        self.trace = Trace(self.clock)
        self.rules = RuleSet(self.trace)
        self.loop = SimulationLoop(self.clock, self.schedule)
        self.loop.simulation = self
        #: What other rooms keep for the length of the simulation, by name.
        self.attachments: dict[str, Any] = {}

    def run(self, async_fn: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run `async_fn(*args)` to its end, under this simulation's time and chance.

        May be called again; time goes on where it stood. Tasks that are still alive stay
        alive until `close`.

        Raises:
            SimulationDeadlock: If it waits for something that nothing can complete.
            SimulationRunaway: If events or simulated time do not end.
            WorldError: If a loop is already running in this thread.
        """
        if asyncio._get_running_loop() is not None:
            message = (
                "emulator.run() starts a loop of its own, and a loop is already running "
                "here: await the coroutine instead"
            )
            raise WorldError(message)
        was_collecting = gc.isenabled()
        gc.disable()
        try:
            with ambient(self.clock, self.randomness):
                return self._run_main(async_fn(*args))
        finally:
            if was_collecting:
                gc.enable()

    def _run_main(self, coro: Coroutine[Any, Any, T]) -> T:
        main = self.loop.create_task(coro, name="main")
        try:
            result: T = self.loop.run_until_complete(main)
        except BaseException:
            # A deadlock, a runaway or Ctrl-C leaves the main task unfinished: end it now,
            # so that its `finally` blocks run while the simulation still stands.
            if not main.done():
                main.cancel()
                self._finish([main])
            raise
        return result

    def _finish(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Run cancelled tasks to their end; whatever still hangs is left behind."""
        for task in tasks:
            task.cancel()
        if tasks:
            gathered = asyncio.gather(*tasks, return_exceptions=True)
            try:
                self.loop.run_until_complete(gathered)
            except Exception:
                gathered.cancel()

    def close(self) -> None:
        """End every task that is left, close the loop. Nothing happens the second time."""
        if self.loop.is_closed():
            return
        was_collecting = gc.isenabled()
        gc.disable()
        try:
            with ambient(self.clock, self.randomness):
                alive = sorted(asyncio.all_tasks(self.loop), key=hash)
                self._finish(self.loop.not_buried(alive))
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            if was_collecting:
                gc.enable()
            self.loop.close()

    def __repr__(self) -> str:
        return f"<Simulation seed={self.seed} {self.schedule!r} {self.clock!r}>"


def current_simulation() -> Simulation:
    """The simulation of the running loop.

    Raises:
        WorldError: If no loop runs, or the running loop is not a simulated one.
    """
    loop = asyncio._get_running_loop()
    if isinstance(loop, SimulationLoop):
        simulation: Simulation = loop.simulation
        return simulation
    found = (
        "no event loop is running" if loop is None else f"a {type(loop).__name__} is running"
    )
    message = (
        f"this needs simulated time, and {found}: start with emulator.run(async_fn), or use "
        "the `miniflare` fixture in pytest"
    )
    raise WorldError(message)


def run(
    async_fn: Callable[..., Awaitable[T]],
    *args: Any,
    seed: int = 0,
    schedule: Schedule | None = None,
    start_time: int | datetime | None = None,
) -> T:
    """Run an async function under simulated time, like `asyncio.run`.

    Args:
        async_fn: A coroutine function.
        args: Its arguments.
        seed: Decides every random stream of the run.
        schedule: Decides latencies and ties (`emulator.schedules`); None is the calm run.
        start_time: Where the clock starts: epoch milliseconds or a datetime. None is where
            freezegun holds time, else 2026-01-01T00:00:00Z.

    Returns:
        What `async_fn` returns.

    Raises:
        SimulationDeadlock: If it waits for something that nothing can complete.
        SimulationRunaway: If events or simulated time do not end.
        WorldError: If a loop is already running in this thread.
    """
    simulation = Simulation(seed=seed, schedule=schedule, start_time=start_time)

    async def main() -> T:
        return await async_fn(*args)

    try:
        return simulation.run(main)
    finally:
        simulation.close()
