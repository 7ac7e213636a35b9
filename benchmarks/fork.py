"""Forking: what a fork of a world costs, against a fresh world with the same content set up.

Claims: a fork of a small world (three objects with alarms, five R2 objects, a table of ten
rows) takes well under a millisecond, and a restore too; with 10,000 keys in an object a fork
still costs a small part of writing them.

    python benchmarks/fork.py [--rounds 5]
"""

from __future__ import annotations

import argparse
from time import perf_counter  # Inside a simulation the module's own is simulated.
from typing import Any

import emulator
from emulator.sdk.workers import DurableObject, WorkerEntrypoint
from emulator.testing import fork, restore, snapshot
from emulator.web.response import Response

COUNT = 100
OBJECTS = 3
FILES = 5
ROWS = 10
KEYS_LARGE = 10_000


class Job(DurableObject):
    """An object with some keys and an alarm."""

    async def fill(self, count: int) -> None:
        """Store so many keys, and set an alarm that is far away."""
        for start in range(0, count, 100):
            keys = range(start, min(start + 100, count))
            await self.ctx.storage.put({f"key {n:05}": {"number": n} for n in keys})
        await self.ctx.storage.setAlarm(4_000_000_000_000)

    async def get(self) -> Any:
        """Read one key."""
        return await self.ctx.storage.get("key 00000")

    async def alarm(self) -> None:
        """Nothing."""


class Default(WorkerEntrypoint):
    """A worker that answers."""

    async def fetch(self, request: object) -> Response:
        """An empty answer."""
        return Response()


def world() -> emulator.Miniflare:
    """A world that is yet to be entered and filled."""
    return emulator.Miniflare(
        worker=Default,
        durable_objects={"JOBS": "Job"},
        r2_buckets=["BUCKET"],
        d1_databases=["DB"],
    )


async def fill(mf: emulator.Miniflare, key_count: int) -> None:
    """Set the content up, as a test would."""
    jobs = mf.get_durable_object_namespace("JOBS")
    for number in range(OBJECTS):
        await jobs.getByName(f"job {number}").fill(key_count if number == 0 else 10)
    bucket, database = mf.get_r2_bucket("BUCKET"), mf.get_d1_database("DB")
    for number in range(FILES):
        await bucket.put(f"file {number}", "content" * 100)
    await database.exec("CREATE TABLE files (id INTEGER PRIMARY KEY, name TEXT)")
    insert = database.prepare("INSERT INTO files (name) VALUES (?)")
    await database.batch([insert.bind(f"file {number}") for number in range(ROWS)])


async def times_ms(key_count: int) -> dict[str, float]:
    """Milliseconds of each way to a world with the content."""
    count = COUNT if key_count < KEYS_LARGE else COUNT // 10
    times = {}

    def note(name: str, start: float, rounds: int) -> None:
        times[name] = (perf_counter() - start) / rounds * 1000

    start = perf_counter()
    for _ in range(count):
        async with world() as mf:
            await fill(mf, key_count)
    note("fresh", start, count)
    async with world() as mf:
        await fill(mf, key_count)
        start = perf_counter()
        for _ in range(COUNT):
            async with fork(mf):
                pass
        note("fork", start, COUNT)
        start = perf_counter()
        for _ in range(COUNT):
            async with fork(mf) as other:
                await other.get_durable_object_namespace("JOBS").getByName("job 0").get()
                await other.get_r2_bucket("BUCKET").head("file 0")
                await other.get_d1_database("DB").prepare("SELECT count(*) FROM files").first()
        note("fork and use", start, COUNT)
        start = perf_counter()
        for _ in range(COUNT):
            taken = snapshot(mf)
        note("snapshot", start, COUNT)
        start = perf_counter()
        for _ in range(COUNT):
            restore(mf, taken)
        note("restore", start, COUNT)
    return times


def main() -> None:
    """Print one line for each way to a world with content."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for key_count in (10, KEYS_LARGE):
        emulator.run(times_ms, key_count)
        all_times = [emulator.run(times_ms, key_count) for _ in range(rounds)]
        best = {name: min(times[name] for times in all_times) for name in all_times[0]}
        print(f"{OBJECTS} objects, one with {key_count:,} keys:")
        print(f"  a fresh world with the content set up: {best['fresh']:.2f} ms")
        for name in ("fork", "fork and use", "snapshot", "restore"):
            ratio = best["fresh"] / best[name]
            print(f"  {name}: {best[name]:.3f} ms, {ratio:.0f} times less")


if __name__ == "__main__":
    main()
