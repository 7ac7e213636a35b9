"""Digests: the same worlds in six processes, under random and fixed hash seeds.

Claim: 1,000 worlds (5 scenarios, 200 seeds and deviations each) have one set of digests in
every one of six processes, half of them with a random PYTHONHASHSEED, half with a fixed one.

    python benchmarks/digests.py [WORLDS]
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import emulator
from emulator import schedules
from emulator.errors import JsException
from emulator.sdk.js import Date
from emulator.sdk.workers import DurableObject
from emulator.simulation.deviations import At
from emulator.simulation.playing import play

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: The hash seeds of the six processes.
HASH_SEEDS = ("random", "random", "random", "0", "1", "4294967295")


class Job(DurableObject):
    """It keeps words, in memory and in storage, and works by alarms."""

    async def say(self, word: str) -> list[str]:
        """Keep a word, by way of a bucket."""
        await self.env.BUCKET.put(word, word)
        await self.ctx.storage.put(word, len(word))
        return list(await self.ctx.storage.list())

    async def wake(self, in_ms: int) -> None:
        """Set the alarm."""
        await self.ctx.storage.setAlarm(Date.now() + in_ms)

    async def alarm(self, info: Any) -> None:
        """Fail the first time, and then do several things at once."""
        if info.retryCount == 0:
            message = "the first run fails"
            raise ValueError(message)
        rows = self.env.DB.prepare("SELECT random() AS r").all()
        await asyncio.gather(rows, self.env.BUCKET.list(), self.say("alarm"))


def world() -> emulator.Miniflare:
    """A world with everything."""
    return emulator.Miniflare(
        worker=Job,
        durable_objects={"JOBS": "Job"},
        r2_buckets=["BUCKET"],
        d1_databases=["DB"],
    )


def job(mf: Any, name: str) -> Any:
    """One object."""
    return mf.get_durable_object_namespace("JOBS").getByName(name)


async def words() -> None:
    """Three objects at once."""
    async with world() as mf:
        calls = (job(mf, name).say(name * 3) for name in "abc")
        await asyncio.gather(*calls, return_exceptions=True)


async def alarms() -> None:
    """An alarm that is retried, in two objects."""
    async with world() as mf:
        for name in "ab":
            await asyncio.gather(job(mf, name).wake(1_000), return_exceptions=True)
        await mf.run_until_idle()


async def groups() -> None:
    """A group of tasks of which one fails: the others are cancelled in the order of a set."""

    async def say(mf: Any, number: int) -> None:
        try:
            await job(mf, f"{number % 2}").say(f"word {number}")
            await asyncio.sleep(1)
        finally:
            await job(mf, "end").say(f"end of {number}")

    async def fail() -> None:
        await asyncio.sleep(0.1)
        message = "one of the group fails"
        raise ValueError(message)

    async with world() as mf:
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(5):
                    group.create_task(say(mf, number))
                group.create_task(fail())
        except* (ValueError, JsException):
            pass


async def sets() -> None:
    """Whoever is done first, out of sets of futures."""
    async with world() as mf:
        pending = {asyncio.ensure_future(job(mf, name).say(name)) for name in "abcd"}
        while pending:
            done, pending = await asyncio.wait(pending, return_when="FIRST_COMPLETED")
            for one in done:
                await asyncio.gather(one, return_exceptions=True)


async def restarts() -> None:
    """New ids, and an eviction."""
    async with world() as mf:
        namespace = mf.get_durable_object_namespace("JOBS")
        stubs = [namespace.get(namespace.newUniqueId()) for _ in range(3)]
        for stub in stubs:
            await asyncio.gather(stub.say("first"), return_exceptions=True)
        await mf.advance(20_000)
        for stub in stubs:
            await asyncio.gather(stub.say("second"), return_exceptions=True)


SCENARIOS: tuple[Callable[[], Awaitable[None]], ...] = (words, alarms, groups, sets, restarts)


def digest(count: int) -> str:
    """One hash over the digests and failures of so many worlds."""
    total = sha256()
    for number in range(count):
        scenario, seed = SCENARIOS[number % len(SCENARIOS)], number // len(SCENARIOS)
        schedule = (None, schedules.pct(seed, 2, 30), schedules.random(seed))[seed % 3]
        # The calm run first, then a fault or a hold at some operation.
        deviations = (At(seed % 17 + 1, seed % 7),) if seed else ()
        played = play(scenario, deviations, seed=seed, schedule=schedule)
        total.update(f"{played.digest} {played.error!r}\n".encode())
    return total.hexdigest()


def digests(count: int) -> list[str]:
    """The hash of each process, by turns."""
    found = []
    for hash_seed in HASH_SEEDS:
        done = subprocess.run(
            [sys.executable, __file__, str(count), "--one"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.strip())
    return found


def main() -> None:
    """Print the hashes, and fail if there is more than one."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    if "--one" in sys.argv:
        print(digest(count))
        return
    found = digests(count)
    for hash_seed, one in zip(HASH_SEEDS, found, strict=True):
        print(f"PYTHONHASHSEED={hash_seed:<10} {one}")
    print(f"{count:,} worlds, {len(set(found))} set of digests in {len(found)} processes")
    sys.exit(len(set(found)) != 1)


if __name__ == "__main__":
    main()
