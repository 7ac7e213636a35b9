"""Watching: monitors at work on the worlds of one run.

    async with watching(mf, always(no_job_is_lost)):
        await mf.dispatch_fetch("http://localhost/start")

Promises: each monitor looks after every event, by a hook of the loop, until one of them fails;
that failure ends the run at the event that caused it, and nobody looks after it. Leaves to
others: what is demanded (the monitors), and when a world has come to rest.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, final

from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.clock import duration_ms
from emulator.simulation.monitors import as_monitor, conclude, raise_together
from emulator.simulation.resting import come_to_rest
from emulator.simulation.runner import current_simulation
from emulator.simulation.schedules import REST_MS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from emulator.simulation.conditions import Condition
    from emulator.simulation.monitors import Monitor
    from emulator.simulation.runner import Simulation

__all__ = ["Watch", "watching"]


@final
class Watch:
    """Monitors of one run, and the worlds that they look at.

    Args:
        monitors: What must hold; a plain function is a check at rest.

    Raises:
        ConfigurationError: If one is neither a monitor nor a function.
    """

    def __init__(self, monitors: Iterable[Monitor | Condition]) -> None:
        self.monitors: tuple[Monitor, ...] = tuple(as_monitor(given) for given in monitors)
        self._worlds: dict[Any, Callable[[], None]] = {}

    def begin(self, mf: Any) -> None:
        """A world was entered, on the running loop: look after every event from now on."""
        if not self.monitors:
            return
        for monitor in self.monitors:
            monitor.begin(mf)
        observers = tuple(monitor.observe for monitor in self.monitors)

        def look() -> None:
            try:
                for observe in observers:
                    observe(mf)
            except BaseException:
                self.stop()
                raise

        self._worlds[mf] = current_simulation().loop.watch_turns(look)

    async def end(self, mf: Any) -> None:
        """A world has come to rest: ask for the last time. Nothing if it is not watched.

        Raises:
            AssertionError: If a monitor is not content; the others add theirs as notes.
        """
        stop = self._worlds.pop(mf, None)
        if stop is None:
            return
        stop()
        failures: list[AssertionError] = []
        for monitor in self.monitors:
            try:
                value = monitor.end(mf)
                if is_awaitable(value):
                    await value
            except AssertionError as failure:
                failures.append(failure)
        raise_together(failures)

    def stop(self) -> None:
        """Look no more, whatever happens: the run is ending."""
        worlds, self._worlds = self._worlds, {}
        for stop in worlds.values():
            stop()


def calm(simulation: Simulation) -> AbstractContextManager[None]:
    """No deviation and no fault rule applies while the block runs."""
    player = simulation.player
    return simulation.rules.paused() if player is None else player.calm()


@asynccontextmanager
async def watching(
    mf: Any,
    *monitors: Monitor | Condition,
    rest: int | float | timedelta | None = REST_MS,
) -> AsyncIterator[Watch]:
    """Watch a world in a plain test.

    When the block ends, no fault and no deviation applies any more, and the world must come to
    rest; then the monitors judge for the last time.

    Args:
        mf: The world.
        monitors: What must hold; a plain function of the world is a check at rest.
        rest: The simulated time within which the world must come to rest at the end of the
            block, milliseconds or a timedelta, a day unless told; None is not to wait.

    Raises:
        AssertionError: At the event after which a monitor fails, or at rest.
        NotAtRest: If the world does not come to rest.
        ConfigurationError: If a monitor is neither a monitor nor a function.
    """
    watch = Watch(monitors)
    watch.begin(mf)
    try:
        yield watch
        with calm(current_simulation()):
            if rest is not None:
                since = "the block of watching() has ended"
                await come_to_rest(current_simulation(), duration_ms(rest), since)
            await watch.end(mf)
    finally:
        watch.stop()
    conclude(watch.monitors, 1)
