"""A world with one or more buckets, without the rest of the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator.bindings.r2 import DOCUMENTED, R2Bucket, R2Profile, R2Storage
from emulator.durable_objects.context import IoContext
from emulator.simulation.runner import current_simulation, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class World:
    """One storage on the running simulation."""

    def __init__(self, profile: R2Profile = DOCUMENTED) -> None:
        simulation = current_simulation()
        self.simulation = simulation
        self.storage = R2Storage(
            now_ms=lambda: simulation.clock.now_ms,
            token_hex=simulation.randomness.token_hex,
            profile=profile,
        )
        self.outside = IoContext(simulation, "test")

    def bucket(self, name: str = "BUCKET") -> R2Bucket:
        return R2Bucket(self.storage.store(name), binding_name=name, outside=self.outside)


@pytest.fixture
def in_world() -> Callable[..., Any]:
    """Run `async def body(world, bucket)` under simulated time."""

    def go(body: Callable[[World, R2Bucket], Coroutine[Any, Any, Any]], **options: Any) -> Any:
        async def main() -> Any:
            world = World(**options)
            try:
                return await body(world, world.bucket())
            finally:
                world.storage.dispose()

        return run(main)

    return go


@pytest.fixture
def make_world() -> type[World]:
    return World
