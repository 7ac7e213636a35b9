"""The runner: one simulation, from its seed to its end.

Promises: one loop, one clock, one seed, one trace, one set of rules; when `run` returns,
every task has ended and Python's clocks, chance and doors are as they were. Leaves to
others: worlds, which are named parts of the running simulation.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from emulator.errors import ConfigurationError, SimulationError, WorldError
from emulator.simulation.ambient import ambient, frozen_start_ms, hold_module
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.calls import Calls
from emulator.simulation.clock import START_MS_DEFAULT, Clock, instant_ms
from emulator.simulation.loop import SimulationLoop
from emulator.simulation.randomness import Randomness
from emulator.simulation.replaying import REPLAYING
from emulator.simulation.rules import RuleSet
from emulator.simulation.schedules import Deviating, Fifo, Schedule
from emulator.simulation.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from datetime import datetime
    from types import ModuleType

    from emulator.simulation.player import Player

__all__ = ["Simulation", "collection_paused", "current_simulation", "run"]

T = TypeVar("T")

#: Simulated seconds that cancelled tasks have for their `finally` blocks. Ours: without it,
#: a task that ignores its cancellation would keep the simulation alive for ever.
CLEANUP_S: Final = 60
#: The year 9000: Python's dates end with the year 9999, and a simulation lasts for at most
#: a hundred years.
START_MS_MAX: Final = 221_845_392_000_000


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
        _check(seed, schedule)
        token = schedule.token if isinstance(schedule, Deviating) else None
        if token is not None:
            seed = token.seed
            start_time = token.start_ms if start_time is None else start_time
        if start_time is not None:
            start_ms = _start_ms(start_time)
        else:
            frozen_ms = frozen_start_ms()
            start_ms = START_MS_DEFAULT if frozen_ms is None else frozen_ms
        self.seed = seed
        self.clock = Clock(start_ms)
        self.randomness = Randomness(seed)
        self.schedule: Schedule = schedule if schedule is not None else Fifo()
        self.schedule.bind(self.randomness)
        self.trace = Trace(self.clock)
        self.rules = RuleSet(self.trace, self.randomness)
        self.calls = Calls()
        self.loop = SimulationLoop(self.clock, self.schedule)
        self.loop.simulation = self
        #: What records the run and makes it deviate; None costs nothing.
        self.player: Player | None = None
        if isinstance(self.schedule, Deviating):
            from emulator.simulation.player import Player

            try:
                Player.of_schedule(self, self.schedule)
            except BaseException:
                self.loop.close()
                raise
        #: Acts of instances that had lost power, were reset or evicted, and that were refused.
        self.refused_count = 0
        self._modules: dict[ModuleType, None] = {}
        #: What other rooms keep for the length of the simulation, by name.
        self.attachments: dict[str, Any] = {}
        #: What still has to end when the simulation does, and how; ended last in, first out.
        self.endings: dict[Any, Callable[[], None]] = {}

    def run(self, async_fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run `async_fn(*args)` to its end, under this simulation's time and chance.

        May be called again; time goes on where it stood. Tasks that are still alive stay
        alive until `close`.

        Raises:
            SimulationDeadlock: If it waits for something that nothing can complete.
            SimulationRunaway: If events or simulated time do not end.
            WorldError: If a loop is already running in this thread, or another simulation
                in another thread.
            ConfigurationError: If `async_fn` is no async function.
        """
        _refuse_inside_a_loop()
        if asyncio.iscoroutine(async_fn):
            async_fn.close()
            message = "run() takes the async function itself: run(main), not run(main())"
            raise ConfigurationError(message)

        if not callable(async_fn):
            message = f"run() takes an async function, got {async_fn!r}"
            raise ConfigurationError(message)

        async def main() -> T:
            value = async_fn(*args)
            if not is_awaitable(value):
                name = getattr(async_fn, "__qualname__", repr(async_fn))
                message = f"run() takes an async function: write `async def` before {name}"
                raise ConfigurationError(message)
            result: T = await value
            return result

        with self.in_force():
            return self._run_main(main())

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Hold clocks and chance, and collect garbage only where the loop says so.

        `run` and `close` do it themselves; around both it saves doing it twice.
        """
        with ambient(self.clock, self.randomness, self._modules), collection_paused():
            yield

    def hold_module(self, module: ModuleType | None) -> None:
        """A worker was written in this module: what it bound before obeys the simulation."""
        if module is not None and module not in self._modules:
            self._modules[module] = None
            hold_module(module)

    def _run_main(self, coro: Coroutine[Any, Any, T]) -> T:
        main = self.loop.create_task(coro, name="main")
        try:
            return self.loop.run_until_complete(main)
        except BaseException:
            # A deadlock, a runaway or Ctrl-C leaves the main task unfinished: end it now,
            # so that its `finally` blocks run while the simulation still stands.
            if not main.done():
                self._finish([main])
            elif not main.cancelled():
                main.exception()  # Seen: it is on its way to the caller.
            raise

    def _finish(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Run cancelled tasks to their end; whatever still hangs is left behind."""
        for task in tasks:
            task.cancel()
        if tasks:
            with suppress(SimulationError):
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=CLEANUP_S))

    def close(self) -> None:
        """End every task that is left, close the loop. Nothing happens the second time.

        Raises:
            ForgottenAwait: If an async call of the test was never awaited, unless an error is
                on its way: then that gets a note.
        """
        if self.loop.is_closed():
            return
        try:
            with self.in_force():
                self._finish(self.loop.living_tasks())
                for end in reversed(list(self.endings.values())):
                    end()
                if self.loop.has_async_generators:
                    with suppress(SimulationError):
                        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()
        self.calls.settle(sys.exception())

    def __repr__(self) -> str:
        return f"<Simulation seed={self.seed} {self.schedule!r} {self.clock!r}>"


@contextmanager
def collection_paused() -> Iterator[None]:
    """Collect no garbage while the block runs."""
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_collecting:
            gc.enable()


def _check(seed: object, schedule: object) -> None:
    if not isinstance(seed, int) or isinstance(seed, bool):
        message = f"seed must be a whole number such as 7, got {seed!r}"
        raise ConfigurationError(message)
    if schedule is not None and (
        isinstance(schedule, type) or not hasattr(schedule, "tie_break")
    ):
        message = (
            "schedule must be one of emulator.schedules, such as schedules.random(7), got "
            f"{schedule!r}"
        )
        raise ConfigurationError(message)


def _start_ms(start_time: int | datetime) -> int:
    start_ms = instant_ms(start_time)
    if not 0 <= start_ms <= START_MS_MAX:
        message = f"start_time must be between the years 1970 and 9000, got {start_time!r}"
        raise ConfigurationError(message)
    return start_ms


def _refuse_inside_a_loop() -> None:
    if asyncio._get_running_loop() is not None:
        message = (
            "emulator.run() starts a loop of its own, and a loop is already running here: "
            "await the coroutine instead"
        )
        raise WorldError(message)


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
        WorldError: If a loop is already running in this thread, or another simulation in
            another thread.
        ConfigurationError: If `async_fn` is no async function, or an option has a wrong type
            or value.
        ForgottenAwait: If an async call of the test was never awaited.

    Warns:
        UnusedFaultWarning: If a fault that was added never matched an operation.
    """
    _refuse_inside_a_loop()
    if REPLAYING.token is not None and schedule is None:
        token = REPLAYING.token_for(async_fn)
        schedule = None if token is None else token.schedule()
    with collection_paused():
        simulation = Simulation(seed=seed, schedule=schedule, start_time=start_time)
        try:
            # Held once for both: holding and letting go costs more than an empty run.
            with simulation.in_force():
                try:
                    result = simulation.run(async_fn, *args)
                finally:
                    simulation.close()
        except BaseException as error:
            simulation.loop.close()  # Where the process could not be held at all.
            simulation.rules.settle(error=error)
            if simulation.player is not None:
                from emulator.simulation.run_notes import note_run

                note_run(error, simulation, async_fn, args)
            raise
        simulation.rules.settle()
        # The collector comes back to a simulation that is garbage. A living one it would walk
        # through and hand to an older generation, for as much time as the ambient room takes.
        del simulation
    return result
