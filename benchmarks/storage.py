"""Storage: how many reads and writes a second, inside one object.

Claim: at least 22,000 pairs of `await storage.put` and `await storage.get`, and at least
112,000 `storage.sql.exec` with an INSERT of two values, a second on one core. All writes of a
round are one unit: they stand for a loop inside of one event.
"""

from __future__ import annotations

import sys
from time import perf_counter  # Inside a simulation the module's own is simulated.
from typing import TYPE_CHECKING, Any

import emulator
from emulator.sdk.workers import DurableObject
from emulator.testing import run_in_durable_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = 5


class Store(DurableObject):
    """An object without methods."""


async def pairs(storage: Any, count: int) -> None:
    """Put a key and get it back, `count` times."""
    for number in range(count):
        await storage.put("key", number)
        await storage.get("key")


async def inserts(storage: Any, count: int) -> None:
    """Insert `count` rows."""
    sql = storage.sql
    for number in range(count):
        sql.exec("INSERT INTO t VALUES (?, ?)", number, "x")


async def lookups(storage: Any, count: int) -> None:
    """Read `count` rows by their primary key."""
    sql = storage.sql
    for _ in range(count):
        sql.exec("SELECT b FROM u WHERE a = ?", 1).one()


async def scan(storage: Any, count: int) -> None:
    """Read `count` rows of one cursor."""
    for _ in storage.sql.exec("SELECT a, b FROM t LIMIT ?", count):
        pass


LOADS: dict[str, tuple[str, Callable[[Any, int], Awaitable[None]], int]] = {
    "pairs": ("put+get pairs", pairs, 10_000),
    "inserts": ("SQL inserts", inserts, 50_000),
    "lookups": ("SQL lookups by key", lookups, 20_000),
    "scan": ("SQL rows of a cursor", scan, 50_000),
}


def rate(name: str, rounds: int = ROUNDS) -> float:
    """How many a second of the best round, by a name in LOADS."""
    _, load, count = LOADS[name]

    async def inside(_: Any, state: Any) -> float:
        storage = state.storage
        storage.sql.exec("CREATE TABLE t(a, b); CREATE TABLE u(a INTEGER PRIMARY KEY, b)")
        storage.sql.exec("INSERT INTO u VALUES (1, 'x')")
        await inserts(storage, count)
        best = float("inf")
        for _ in range(rounds):
            start = perf_counter()
            await load(storage, count)
            best = min(best, perf_counter() - start)
            await storage.sync()
        return count / best

    async def main() -> float:
        async with emulator.Miniflare(worker=Store, durable_objects={"STORE": "Store"}) as mf:
            stub = mf.get_durable_object_namespace("STORE").getByName("a")
            found: float = await run_in_durable_object(stub, inside)
            return found

    return emulator.run(main)


def main() -> None:
    """Print the rate of each load, or of those that are named."""
    for name in sys.argv[1:] or LOADS:
        print(f"{rate(name):>10,.0f} {LOADS[name][0]} a second, one object, one core")


if __name__ == "__main__":
    main()
