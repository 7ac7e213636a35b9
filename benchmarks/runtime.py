"""The runtime's own loops, beside the same loops on workerd.

Claim: at least 0.2 of what a loop inside an object does on workerd (pairs of put and get, SQL
inserts, RPC calls), and at least ten times the calls that its own test process makes by
`dispatchFetch`. Both sides run here, one after the other, and the ratios are of this run.

* pairs: `await put(key, i)`, `await get(key)` in one method of one object;
* inserts: `sql.exec("INSERT ...", i, "value")` in one method;
* calls: `await stub.echo(i)` of another object, from inside an object;
* alarms: 50 objects, each of which sets its next alarm 1 ms ahead until it has had enough;
* dispatch: requests from the test to the worker, which makes one call of an object.

Needs Node and `make setup`.

    python benchmarks/runtime.py [--rounds 5] [--without-workerd]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from time import perf_counter  # Inside a simulation the module's own is simulated.
from typing import Any

import emulator
from emulator.sdk.js import Date
from emulator.sdk.workers import DurableObject, Request, Response, WorkerEntrypoint
from emulator.workerd import Miniflare as RealMiniflare

#: How often each loop turns in one round.
COUNTS = {"pairs": 10_000, "inserts": 3, "calls": 3_000, "alarms": 2_000, "dispatch": 300}
ALARM_OBJECTS = 50


class Loops(DurableObject):
    """The object of every loop; benchmarks/runtime_worker.mjs has the same."""

    async def fetch(self, request: Request) -> Response:
        """Turn one loop and tell how long it took, in milliseconds."""
        body = await request.json()
        start = perf_counter()
        await getattr(self, body["loop"])(body["count"])
        return Response.json((perf_counter() - start) * 1000)

    async def pairs(self, count: int) -> None:
        """Put and get."""
        storage = self.ctx.storage
        for i in range(count):
            await storage.put("key", i)
            await storage.get("key")

    async def inserts(self, count: int) -> None:
        """SQL."""
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS rows(k, v)")
        for i in range(count):
            sql.exec("INSERT INTO rows VALUES (?, ?)", i, "value")
        sql.exec("DELETE FROM rows")

    async def calls(self, count: int) -> None:
        """RPC."""
        other = self.env.LOOPS.getByName("other")
        for i in range(count):
            await other.echo(i)

    def echo(self, value: Any) -> Any:
        """The value."""
        return value

    def ping(self) -> None:
        """Nothing."""

    async def start(self, count: int) -> None:
        """Have so many alarms."""
        self.left = count
        await self.ctx.storage.setAlarm(Date.now() + 1)

    async def alarm(self) -> None:
        """Have the next."""
        self.left -= 1
        if self.left > 0:
            await self.ctx.storage.setAlarm(Date.now() + 1)


class Default(WorkerEntrypoint):
    """The way in."""

    async def fetch(self, request: Request) -> Response:
        """One call for /ping; else the object has the request."""
        stub = self.env.LOOPS.getByName("main")
        if request.url.endswith("/ping"):
            await stub.ping()
            return Response("ok")
        answer: Response = await stub.fetch(request)
        return answer


async def ours(loop: str) -> float:
    """Turns a second of one round here."""
    count = COUNTS[loop]
    async with emulator.Miniflare(
        worker=sys.modules[__name__], durable_objects={"LOOPS": "Loops"}, limits="workerd"
    ) as mf:
        if loop == "dispatch":
            start = perf_counter()
            for _ in range(count):
                await mf.dispatch_fetch("http://localhost/ping")
            return count / (perf_counter() - start)
        if loop == "alarms":
            namespace = mf.get_durable_object_namespace("LOOPS")
            start = perf_counter()
            for number in range(ALARM_OBJECTS):
                await namespace.getByName(f"alarm {number}").start(count // ALARM_OBJECTS)
            await mf.run_until_idle()
            return count / (perf_counter() - start)
        body = {"loop": loop, "count": count}
        taken = await mf.dispatch_fetch("http://localhost/", method="POST", json=body)
        return float(count / taken.json() * 1000)


async def theirs(rounds: int) -> dict[str, float]:
    """The best of some rounds on workerd, turns a second."""
    best = dict.fromkeys(COUNTS, 0.0)
    script = Path(__file__).with_name("runtime_worker.mjs")
    async with RealMiniflare(script_path=script, durable_objects={"LOOPS": "Loops"}) as mf:
        for _ in range(rounds):
            for loop, count in COUNTS.items():
                if loop == "dispatch":
                    start = perf_counter()
                    for _ in range(count):
                        await mf.dispatch_fetch("http://localhost/ping")
                    rate = count / (perf_counter() - start)
                else:
                    path = "alarms" if loop == "alarms" else ""
                    body: dict[str, Any] = {"loop": loop, "count": count}
                    if loop == "alarms":
                        body = {"objects": ALARM_OBJECTS, "count": count // ALARM_OBJECTS}
                    taken = await mf.dispatch_fetch(
                        f"http://localhost/{path}", method="POST", json=body
                    )
                    rate = count / taken.json() * 1000
                best[loop] = max(best[loop], rate)
    return best


def main() -> None:
    """Print both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-workerd", action="store_true")
    arguments = parser.parse_args()
    here = {
        loop: max(emulator.run(ours, loop) for _ in range(arguments.rounds)) for loop in COUNTS
    }
    there = {} if arguments.without_workerd else asyncio.run(theirs(arguments.rounds))
    for loop, rate in here.items():
        line = f"{loop:9} {rate:10,.0f} a second"
        if there:
            line += f", workerd {there[loop]:10,.0f}, ratio {rate / there[loop]:.2f}"
        print(line)
    if there:
        ratio = here["calls"] / there["dispatch"]
        print(f"calls here to dispatchFetch there: {ratio:.0f}")


if __name__ == "__main__":
    main()
