"""RPC: how many calls of an object's trivial method a second, inside one world.

Claim: at least 11,800 a second on one core, from a worker's loop and from another object's.
Each call is a whole one: copied arguments, the journey, the input gate, a task, the output
gate, the copied result, and two lines of the timeline.
"""

from __future__ import annotations

import sys
from time import perf_counter  # Inside a simulation the module's own is simulated.
from types import ModuleType
from typing import TYPE_CHECKING, Any

import emulator
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 9_000  # Below a request's 10,000 calls.
ROUNDS = 5


class Echo(DurableObject):
    """Answers with what it is given, or has another object do so."""

    async def echo(self, value: Any) -> Any:
        """The value itself."""
        return value

    async def call_other(self) -> None:
        """Call another object in a loop."""
        stub = self.env.ECHO.getByName("other")
        for _ in range(COUNT):
            await stub.echo(1)

    async def call_back(self, function: Any) -> None:
        """Call what the caller has handed over, in a loop."""
        for _ in range(COUNT):
            await function(1)


class Default(WorkerEntrypoint):
    """Calls an object in a loop."""

    async def fetch(self, request: Any) -> Any:
        """One request, many calls."""
        stub = self.env.ECHO.getByName("a")
        for _ in range(COUNT):
            await stub.echo(1)
        return Response("done")


async def main() -> None:
    """Print the rate of the best round of each kind."""
    module = ModuleType("worker")
    module.Default, module.Echo = Default, Echo  # type: ignore[attr-defined]
    async with emulator.Miniflare(worker=module, durable_objects={"ECHO": "Echo"}) as mf:
        stub = mf.get_durable_object_namespace("ECHO").getByName("a")

        async def by_test() -> None:
            for _ in range(COUNT):
                await stub.echo(1)

        kinds: dict[str, Callable[[], Awaitable[Any]]] = {
            "a worker's loop, by mf.dispatch_fetch": lambda: mf.dispatch_fetch("http://x/"),
            "an object's loop, calling another object": stub.call_other,
            "an object's loop, calling a function back": lambda: stub.call_back(abs),
            "a test's loop": by_test,
        }
        for kind, run in kinds.items():
            best = float("inf")
            for _ in range(ROUNDS):
                start = perf_counter()
                await run()
                best = min(best, perf_counter() - start)
            print(f"{COUNT / best:10,.0f} calls a second: {kind}")


if __name__ == "__main__":
    emulator.run(main)
