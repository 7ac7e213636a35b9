"""Laws of the power cut: nothing of a dead owner runs until the end, and nothing leaks."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import DeadInstance
from emulator.simulation.handles import OWNER
from emulator.simulation.loop import SimulationLoop
from emulator.simulation.runner import Simulation, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from emulator.simulation.handles import Handle


class Instance:
    """An owner with a store that refuses the effects of the dead."""

    def __init__(self, loop: SimulationLoop) -> None:
        self.loop = loop
        self.effects: list[str] = []
        self.refused: list[str] = []
        self.things: list[object] = []

    def admit(self, handle: Handle) -> None:
        self.loop.enqueue(handle)

    def write(self, what: str) -> None:
        if self.loop.is_buried(self):
            self.refused.append(what)
            raise DeadInstance
        self.effects.append(what)

    def start(self, function: Callable[[Instance], Any]) -> None:
        context = self.loop.platform_context.copy()
        context.run(OWNER.set, self)
        self.loop.create_task(function(self), context=context)


async def sync_finally(instance: Instance) -> None:
    try:
        await asyncio.sleep(100)
    finally:
        instance.write("finally")


async def async_finally(instance: Instance) -> None:
    try:
        await asyncio.sleep(100)
    finally:
        await asyncio.sleep(0)
        instance.write("async finally")


async def except_cancelled(instance: Instance) -> None:
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        instance.write("except CancelledError")
        raise


async def context_manager(instance: Instance) -> None:
    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)
            instance.write("context manager")

    async with manager():
        await asyncio.sleep(100)


async def async_generator(instance: Instance) -> None:
    async for _ in _numbers(instance):
        await asyncio.sleep(100)


async def _numbers(instance: Instance) -> AsyncIterator[int]:
    try:
        while True:
            yield 1
    finally:
        await asyncio.sleep(0)
        instance.write("async generator")


async def kept_generator(instance: Instance) -> None:
    generator = _numbers(instance)
    await anext(generator)
    instance.things.append(generator)


async def call_later(instance: Instance) -> None:
    asyncio.get_running_loop().call_later(10, instance.write, "call_later")


async def done_callback(instance: Instance) -> None:
    async def nap() -> None:
        await asyncio.sleep(10)

    task = asyncio.create_task(nap())
    task.add_done_callback(lambda _: instance.write("done callback"))
    instance.things.append(task)


async def finaliser(instance: Instance) -> None:
    class Writer:
        def __del__(self) -> None:
            # Python would tell it as an unraisable exception.
            with suppress(DeadInstance):
                instance.write("__del__")

    writer = Writer()
    await asyncio.sleep(100)
    del writer


async def child_tasks(instance: Instance) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(sync_finally(instance))
        group.create_task(async_finally(instance))


SHAPES = [
    sync_finally, async_finally, except_cancelled, context_manager, async_generator,
    kept_generator, call_later, done_callback, finaliser, child_tasks,
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("at_s", [0, 0.001, 5])
def test_a_power_cut_lets_no_effect_of_the_dead_through_not_even_at_the_end(shape, at_s):
    simulation = Simulation()
    instance = Instance(simulation.loop)

    async def main() -> list[str]:
        instance.start(shape)
        await asyncio.sleep(at_s)
        simulation.loop.bury(instance)
        await asyncio.sleep(1000)
        gc.collect()
        await asyncio.sleep(1000)
        return list(instance.effects + instance.refused)

    assert simulation.run(main) == []

    simulation.close()
    instance.things.clear()
    gc.collect()
    assert instance.effects == []
    assert simulation.loop.is_buried(instance)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_shapes_do_act_when_nobody_cuts_the_power(shape):
    simulation = Simulation()
    instance = Instance(simulation.loop)

    async def main() -> None:
        instance.start(shape)
        await asyncio.sleep(50)

    simulation.run(main)
    simulation.close()
    instance.things.clear()
    gc.collect()
    assert instance.effects
    assert not instance.refused


def test_what_the_dead_would_write_while_they_unwind_at_the_end_is_refused():
    simulation = Simulation()
    instance = Instance(simulation.loop)

    async def main() -> None:
        instance.start(sync_finally)
        await asyncio.sleep(1)
        simulation.loop.bury(instance)

    simulation.run(main)
    assert instance.refused == []

    simulation.close()
    assert instance.refused == ["finally"]


def test_a_dropped_generator_of_a_living_owner_is_closed_with_its_owner():
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        instance = Instance(loop)
        instance.start(kept_generator)
        await asyncio.sleep(1)
        instance.things.clear()
        await asyncio.sleep(1)
        return instance.effects

    assert run(main) == ["async generator"]


def test_a_dropped_generator_of_a_dead_owner_just_stops():
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        instance = Instance(loop)
        instance.start(kept_generator)
        await asyncio.sleep(1)
        loop.bury(instance)
        instance.things.clear()
        await asyncio.sleep(1)
        return instance.effects + instance.refused

    assert run(main) == []


def test_other_owners_and_the_test_go_on_after_a_power_cut():
    async def main() -> tuple[list[str], list[str]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        dead, alive = Instance(loop), Instance(loop)
        dead.start(call_later)
        alive.start(call_later)
        await asyncio.sleep(1)
        loop.bury(dead)
        await asyncio.sleep(100)
        return dead.effects, alive.effects

    assert run(main) == ([], ["call_later"])


def test_the_dead_are_not_among_those_who_wait_in_a_deadlock():
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        dead = Instance(loop)

        async def wait_for_ever(_: Instance) -> None:
            await asyncio.Event().wait()

        dead.start(wait_for_ever)
        await asyncio.sleep(1)
        loop.bury(dead)
        await asyncio.Event().wait()

    with pytest.raises(Exception, match=r"main in ") as caught:
        run(main)
    assert "wait_for_ever" not in str(caught.value)


def test_an_error_that_only_the_dead_would_have_heard_of_is_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        dead = Instance(loop)
        future = loop.create_future()

        async def wait(_: Instance) -> None:
            await future

        dead.start(wait)
        await asyncio.sleep(1)
        loop.bury(dead)
        future.set_exception(ValueError("too late"))

    run(main)
    gc.collect()

    assert caplog.records == []


def test_nor_is_an_error_of_a_task_whose_listeners_died_in_the_instant_of_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        dead = Instance(loop)

        async def err() -> None:
            loop.call_soon(loop.bury, dead, context=loop.platform_context)
            message = "at the end"
            raise ValueError(message)

        async def wait(_: Instance) -> None:
            await asyncio.create_task(err())

        dead.start(wait)
        await asyncio.sleep(1)

    run(main)
    gc.collect()

    assert caplog.records == []


def test_finished_generators_do_not_pile_up():
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async def main() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        kept: list[AsyncIterator[int]] = []
        for _ in range(5000):
            # Kept for a while, so that no two have the same identity by reuse.
            kept = [*kept[-400:], numbers()]
            async for _ in kept[-1]:
                pass
        return len(loop._graveyard._generator_owners)

    assert run(main) <= 1001
