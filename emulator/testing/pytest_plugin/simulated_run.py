"""The simulated run: what a test and its async fixtures run on.

Promises: one simulation, started when it is first needed and closed by its owner; time goes
on from the fixtures to the test and back to the fixtures, and from test to test where
several share it; a fault that a test adds to a shared simulation ends with that test.
Leaves to others: whose it is (the shared loops), the life of a fixture (the async fixture),
pytest (the plugin), and the words for a failure (the report).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, final

from emulator.errors import ConfigurationError
from emulator.runtime.console import worker_output
from emulator.simulation.ambient import frozen_start_ms
from emulator.simulation.handles import SimulationFuture
from emulator.simulation.runner import Simulation

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import datetime

    from emulator.simulation.schedules import Schedule

__all__ = ["Run", "SimulatedRun"]


class Run(Protocol):
    """What an async fixture and an async test run on: a loop, and what belongs to it."""

    def call(self, async_fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `async_fn(*args, **kwargs)` to its end."""

    def future(self, waits_for: str) -> asyncio.Future[Any]:
        """A future of the running loop; `waits_for` is for the report of a deadlock."""

    def keep_faults(self) -> None:
        """The faults that are there now outlive the present test."""

    def end_test(self) -> None:
        """One test of several has ended."""

    def close(self) -> None:
        """End whatever is left."""

    def describe(self) -> str | None:
        """What happened so far, for the report of a failure; None is nothing to tell."""


@final
class SimulatedRun:
    """One simulation, for one test or for all that share an async fixture.

    Args:
        seed: Decides every random stream.
        start_time: Epoch milliseconds or a datetime; None is where freezegun holds time when
            the first async fixture or the test begins, else 2026-01-01T00:00:00Z.
        schedule: Decides latencies and ties; None is the calm run.
        owner: Who shares it, in words; empty for a single test.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        start_time: int | datetime | None = None,
        schedule: Schedule | None = None,
        owner: str = "",
    ) -> None:
        self.seed = seed
        self._schedule = schedule
        self.start_time = start_time
        self._owner = owner
        self._may_freeze = True
        self._kept_faults: list[Any] = []
        #: None until something has run.
        self.simulation: Simulation | None = None

    def call(self, async_fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `async_fn(*args, **kwargs)` to its end.

        Raises:
            ConfigurationError: If freezegun froze time after the simulation had begun.
            SimulationDeadlock: If it waits for something that nothing can complete.
            SimulationRunaway: If events or simulated time do not end.
        """
        __tracebackhide__ = True
        simulation = self.simulation
        if simulation is None:
            simulation = self.simulation = self._begin()
        else:
            self._check_frozen()

        async def main() -> Any:
            return await async_fn(*args, **kwargs)

        with worker_output():
            return simulation.run(main)

    def _begin(self) -> Simulation:
        simulation = Simulation(
            seed=self.seed, start_time=self.start_time, schedule=self._schedule
        )
        if frozen_start_ms() is None:
            simulation.clock.observe(lambda _: self._check_frozen())
            self._may_freeze = False
        return simulation

    def _check_frozen(self) -> None:
        """Refuse a freeze that came too late: nobody could say what time it is."""
        if not self._may_freeze and frozen_start_ms() is not None:
            message = (
                "freeze_time began when the simulation was running already: use it as a "
                "decorator of the test, or in a fixture that comes before all async ones"
            )
            raise ConfigurationError(message)

    def future(self, waits_for: str) -> SimulationFuture:
        """A future of this simulation's loop, which says what it waits for."""
        assert self.simulation is not None, "a task of this run asks"
        future = SimulationFuture(loop=self.simulation.loop)
        future.waits_for = waits_for
        return future

    def keep_faults(self) -> None:
        """The faults that are there now outlive the present test: a wider fixture's are."""
        if self.simulation is not None:
            self._kept_faults = list(self.simulation.rules)

    def end_test(self) -> None:
        """Take away the faults which the test has added, and name what it left unused.

        Warns:
            UnusedFaultWarning: If some of them never matched an operation.

        Raises:
            ForgottenAwait: If an async call was never awaited.
        """
        if self.simulation is not None:
            kept = self._kept_faults
            rules = [
                rule
                for rule in self.simulation.rules
                if not any(rule is other for other in kept)
            ]
            try:
                self.simulation.calls.settle()
            finally:
                self.simulation.rules.settle(rules, error=sys.exception())

    def close(self) -> None:
        """End every task that is left, and name the faults that never happened."""
        simulation = self.simulation
        if simulation is not None:
            try:
                with worker_output():
                    simulation.close()
            finally:
                simulation.rules.settle(error=sys.exception(), owner=self._owner)

    def describe(self) -> str | None:
        """The report of the simulation, if it has begun."""
        if self.simulation is None:
            return None
        from emulator.testing.failure_report import describe

        told = describe(self.simulation)
        return f"{told}\nshared by the tests of {self._owner}" if self._owner else told
