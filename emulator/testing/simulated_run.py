"""The simulated run: what one test and its async fixtures run on.

Promises: one simulation for one test, started when it is first needed and closed after the
last fixture; time goes on from the fixtures to the test and back to the fixtures; an async
fixture lives in one task from its set-up to its end, so that it may hold a task group or a
timeout across its `yield`; what it does to context variables reaches the test. Leaves to
others: pytest (the plugin), and the words for a failure (the report).
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, final

from emulator.errors import ConfigurationError
from emulator.runtime.console import worker_output
from emulator.simulation.ambient import frozen_start_ms
from emulator.simulation.handles import SimulationFuture
from emulator.simulation.runner import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context, ContextVar, Token
    from datetime import datetime

__all__ = ["AsyncFixture", "SimulatedRun"]

_UNSET = object()


@final
class SimulatedRun:
    """One test's simulation.

    Args:
        seed: Decides every random stream.
        start_time: Epoch milliseconds or a datetime; None is where freezegun holds time when
            the first async fixture or the test begins, else 2026-01-01T00:00:00Z.
    """

    def __init__(self, *, seed: int = 0, start_time: int | datetime | None = None) -> None:
        self.seed = seed
        self._start_time = start_time
        self._may_freeze = True
        #: None until something has run.
        self.simulation: Simulation | None = None

    def call(self, async_fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
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
        simulation = Simulation(seed=self.seed, start_time=self._start_time)
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

    def close(self) -> None:
        """End every task that is left, and name the faults that never happened."""
        simulation = self.simulation
        if simulation is not None:
            with worker_output():
                simulation.close()
            simulation.rules.settle()


@final
class AsyncFixture:
    """One async fixture of one test.

    Args:
        run: The test's run.
        name: The fixture's name.
        function: A coroutine function or an async generator function.
        arguments: Its arguments.
    """

    def __init__(
        self,
        run: SimulatedRun,
        name: str,
        function: Callable[..., Any],
        arguments: dict[str, Any],
    ) -> None:
        self._run = run
        self._name = name
        self._function = function
        self._arguments = arguments
        self._task: asyncio.Task[None] | None = None
        self._leave: asyncio.Future[None] | None = None
        self._variables: list[tuple[ContextVar[Any], Token[Any]]] = []

    def enter(self) -> Any:
        """Set it up.

        Returns:
            What the fixture returns or yields.
        """
        __tracebackhide__ = True
        context = copy_context()
        value = self._run.call(self._enter, context)
        self._take_variables(context)
        return value

    def leave(self) -> None:
        """Let it go on after its `yield`, to its end."""
        __tracebackhide__ = True
        for variable, token in reversed(self._variables):
            variable.reset(token)
        self._run.call(self._await_end)

    async def _enter(self, context: Context) -> Any:
        loop = asyncio.get_running_loop()
        name = f"fixture {self._name}"
        entered, self._leave = SimulationFuture(loop=loop), SimulationFuture(loop=loop)
        # For the report of a deadlock.
        entered.waits_for, self._leave.waits_for = f"the {name}", "the end of the test"
        self._task = loop.create_task(
            self._live(entered, self._leave), name=name, context=context
        )

        def ended(task: asyncio.Task[None]) -> None:
            if entered.done():
                return  # What it raised now is for `leave`.
            if task.cancelled():
                entered.cancel()
            elif (error := task.exception()) is not None:
                entered.set_exception(error)

        self._task.add_done_callback(ended)
        return await entered

    async def _live(self, entered: asyncio.Future[Any], leave: asyncio.Future[None]) -> None:
        if not inspect.isasyncgenfunction(self._function):
            entered.set_result(await self._function(**self._arguments))
            return
        async with asynccontextmanager(self._function)(**self._arguments) as value:
            entered.set_result(value)
            await leave

    async def _await_end(self) -> None:
        assert self._task is not None
        assert self._leave is not None
        if not self._leave.done():
            self._leave.set_result(None)
        await self._task

    def _take_variables(self, context: Context) -> None:
        for variable, value in context.items():
            if variable.get(_UNSET) is not value:
                self._variables.append((variable, variable.set(value)))
