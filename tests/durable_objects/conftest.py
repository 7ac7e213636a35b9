"""How these tests reach the inside of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import emulator
from emulator.sdk.workers import DurableObject
from emulator.testing import run_in_durable_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Idle(DurableObject):
    """It does nothing by itself; it may set alarms."""

    async def alarm(self, info: Any) -> None:
        pass


@pytest.fixture(scope="session")
def with_jobs() -> Callable[..., Any]:
    """Gives `with_jobs(cls, scenario, **options)`.

    Runs `await scenario(mf, stub)` in a world whose namespace JOBS has objects of `cls`; the
    stub is that of the object "a". `seed` and `schedule` go to the run, all other options to
    the world.
    """

    def run(
        cls: type, scenario: Callable[..., Awaitable[Any]], *, seed: int = 0, **options: Any
    ) -> Any:
        schedule = options.pop("schedule", None)

        async def main() -> Any:
            async with emulator.Miniflare(
                worker=cls, durable_objects={"JOBS": cls.__name__}, **options
            ) as mf:
                return await scenario(
                    mf, mf.get_durable_object_namespace("JOBS").getByName("a")
                )

        return emulator.run(main, seed=seed, schedule=schedule)

    return run


@pytest.fixture(scope="session")
def in_object(with_jobs: Callable[..., Any]) -> Callable[..., Any]:
    """Gives `in_object(*programs, cls=Idle, **options)`.

    Runs each `await program(state)` inside the same object, each as an event of its own;
    gives what the last one returns.
    """

    def run(*programs: Callable[..., Any], cls: type = Idle, **options: Any) -> Any:
        async def scenario(_: Any, stub: Any) -> Any:
            value = None
            for program in programs:
                value = await run_in_durable_object(
                    stub, lambda _, state, program=program: program(state)
                )
            return value

        return with_jobs(cls, scenario, **options)

    return run
