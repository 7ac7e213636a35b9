"""The runtime's own loops, beside the same loops on workerd.

Claim: at least 0.2 of what a loop inside an object does on workerd, and at least ten times
the calls that its own test process makes by `dispatchFetch`; on one core at least 22,000
pairs, 112,000 inserts and 11,800 calls a second. Both sides run here, one after the other,
each round is timed by this process from the request to its answer, and the ratios are of
this run.

* pairs: `await put(key, i)`, `await get(key)` in one method of one object;
* inserts: `sql.exec("INSERT ...", i, "value")`, all of them one unit;
* lookups: `sql.exec("SELECT ... WHERE key = ?", 1).one()`;
* rows: the rows of one cursor;
* calls: `await stub.echo(i)` of another object, from inside an object;
* callbacks: `await function(i)`, where another object has handed over the function;
* alarms: 50 objects, each of which sets its next alarm 1 ms ahead until it has had enough;
* dispatch: requests from the test to the worker, which makes one call of an object.

Needs Node and `make setup`.

    python benchmarks/runtime.py [LOOP ...] [--rounds 5] [--without-workerd]
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

#: How often each loop turns in one round; calls stay below an event's 10,000.
COUNTS = {
    "pairs": 10_000,
    "inserts": 50_000,
    "lookups": 20_000,
    "rows": 50_000,
    "calls": 9_000,
    "callbacks": 9_000,
    "alarms": 2_000,
    "dispatch": 300,
}
ALARM_OBJECTS = 50


class Loops(DurableObject):
    """The object of every loop; benchmarks/runtime_worker.mjs has the same."""

    async def fetch(self, request: Request) -> Response:
        """Turn one loop."""
        body = await request.json()
        await getattr(self, body["loop"])(body["count"])
        return Response("done")

    async def pairs(self, count: int) -> None:
        """Put and get."""
        storage = self.ctx.storage
        for i in range(count):
            await storage.put("key", i)
            await storage.get("key")

    async def inserts(self, count: int) -> None:
        """Write SQL."""
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS written(k, v)")
        for i in range(count):
            sql.exec("INSERT INTO written VALUES (?, ?)", i, "value")
        sql.exec("DELETE FROM written")

    async def lookups(self, count: int) -> None:
        """Read SQL by a key."""
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS kept(k INTEGER PRIMARY KEY, v)")
        sql.exec("INSERT OR IGNORE INTO kept VALUES (1, 'value')")
        for _ in range(count):
            sql.exec("SELECT v FROM kept WHERE k = ?", 1).one()

    async def rows(self, count: int) -> None:
        """Read the rows of one cursor."""
        counting = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n LIMIT ?)"
        cursor = self.ctx.storage.sql.exec(f"{counting} SELECT k, 'value' AS v FROM n", count)
        for _ in cursor:
            pass

    async def calls(self, count: int) -> None:
        """RPC."""
        other = self.env.LOOPS.getByName("other")
        for i in range(count):
            await other.echo(i)

    async def callbacks(self, count: int) -> None:
        """RPC by a function that was handed over."""
        await self.env.LOOPS.getByName("other").call_back(self.echo, count)

    async def call_back(self, function: Any, count: int) -> None:
        """Call it."""
        for i in range(count):
            await function(i)

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
        await mf.dispatch_fetch("http://localhost/ping")
        if loop != "alarms":
            return await _rate(mf, loop, count)
        namespace = mf.get_durable_object_namespace("LOOPS")
        start = perf_counter()
        for number in range(ALARM_OBJECTS):
            await namespace.getByName(f"alarm {number}").start(count // ALARM_OBJECTS)
        await mf.run_until_idle()
        return count / (perf_counter() - start)


async def theirs(loops: list[str], rounds: int) -> dict[str, float]:
    """The best of some rounds on workerd, turns a second."""
    best = dict.fromkeys(loops, 0.0)
    script = Path(__file__).with_name("runtime_worker.mjs")
    async with RealMiniflare(script_path=script, durable_objects={"LOOPS": "Loops"}) as mf:
        await mf.dispatch_fetch("http://localhost/ping")
        for _ in range(rounds):
            for loop in loops:
                best[loop] = max(best[loop], await _rate(mf, loop, COUNTS[loop]))
    return best


async def _rate(mf: emulator.Miniflare | RealMiniflare, loop: str, count: int) -> float:
    """Turns a second, seen from here."""
    body: dict[str, Any] = {"loop": loop, "count": count}
    if loop == "alarms":
        body = {"objects": ALARM_OBJECTS, "count": count // ALARM_OBJECTS}
    path = "alarms" if loop == "alarms" else ""
    start = perf_counter()
    if loop == "dispatch":
        for _ in range(count):
            await mf.dispatch_fetch("http://localhost/ping")
    else:
        answer = await mf.dispatch_fetch(f"http://localhost/{path}", method="POST", json=body)
        assert answer.text == "done", answer.text
    return count / (perf_counter() - start)


def main() -> None:
    """Print both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loops", nargs="*", metavar="LOOP", help=f"of {', '.join(COUNTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-workerd", action="store_true")
    arguments = parser.parse_args()
    loops = arguments.loops or list(COUNTS)
    if not COUNTS.keys() >= set(loops):
        parser.error(f"the loops are {', '.join(COUNTS)}")
    here = {
        loop: max(emulator.run(ours, loop) for _ in range(arguments.rounds)) for loop in loops
    }
    there = {} if arguments.without_workerd else asyncio.run(theirs(loops, arguments.rounds))
    for loop, rate in here.items():
        line = f"{loop:9} {rate:10,.0f} a second"
        if there:
            line += f", workerd {there[loop]:10,.0f}, ratio {rate / there[loop]:.2f}"
        print(line)
    if "calls" in here and "dispatch" in there:
        ratio = here["calls"] / there["dispatch"]
        print(f"calls here to dispatchFetch there: {ratio:.0f}")


if __name__ == "__main__":
    main()
