"""`--emulator-target workerd`: one test file, the same laws, on both runtimes."""

from __future__ import annotations

from typing import Any

import pytest

WORKER_PY = """
from js import Date
from workers import DurableObject, Response, WorkerEntrypoint

class Bell(DurableObject):
    async def set(self, delay_ms):
        await self.ctx.storage.setAlarm(Date.now() + delay_ms)

    async def alarm(self, info):
        print("rang")
        await self.ctx.storage.put("rang", (await self.ctx.storage.get("rang") or 0) + 1)

    async def rang(self):
        return await self.ctx.storage.get("rang") or 0

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        bell = self.env.BELLS.getByName("b")
        if request.method == "POST":
            await bell.set(100)
        return Response(str(await bell.rang()))
"""

WORKER_TS = """
import { DurableObject } from "cloudflare:workers";

interface Env { BELLS: DurableObjectNamespace<Bell> }

export class Bell extends DurableObject<Env> {
  async set(delayMs: number) { await this.ctx.storage.setAlarm(Date.now() + delayMs); }
  async alarm() {
    console.log("rang");
    await this.ctx.storage.put("rang", ((await this.ctx.storage.get<number>("rang")) ?? 0) + 1);
  }
  async rang() { return (await this.ctx.storage.get<number>("rang")) ?? 0; }
}

export default {
  async fetch(request: Request, env: Env) {
    const bell = env.BELLS.get(env.BELLS.idFromName("b"));
    if (request.method === "POST") await bell.set(100);
    return new Response(String(await bell.rang()));
  },
};
"""

TESTS = """
import asyncio
import pytest
from hypothesis import given, settings, strategies as st

URL = "http://localhost/"
pytestmark = pytest.mark.miniflare(
    script_path="worker.py",
    durable_objects={"BELLS": "Bell"},
    workerd={"script_path": "worker.ts"},
)

async def ask(world, method="GET"):
    return int((await world.dispatch_fetch(URL, method=method)).text)

async def until_it_rang(world):
    for _ in range(200):
        if await ask(world):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never rang")

async def test_an_alarm_fires(miniflare):
    assert await ask(miniflare, "POST") == 0
    await until_it_rang(miniflare)
    await miniflare.advance(1)
    assert [line.message for line in miniflare.logs] == ["rang"]

async def test_each_test_has_a_fresh_world(miniflare):
    assert await ask(miniflare) == 0

@pytest.fixture(scope="module")
async def shared(miniflare_factory):
    async with miniflare_factory() as world:
        await ask(world, "POST")
        yield world

async def test_a_module_shares_a_world(shared):
    await until_it_rang(shared)

async def test_and_its_loop(shared):
    assert await ask(shared) == 1

@settings(max_examples=2)
@given(number=st.integers(1, 2))
async def test_each_example_has_a_fresh_world(miniflare, number):
    assert await ask(miniflare) == 0

def test_the_factory(miniflare_factory):
    assert miniflare_factory.run(ask) == 0

@pytest.mark.simulated(seed=3)
async def test_of_simulated_time(miniflare):
    await miniflare.run_until_idle()
"""


@pytest.mark.parametrize("target", ["emulator", "workerd"])
def test_one_file_keeps_its_laws_on_both_runtimes(
    run_sample: Any, real_runtime: None, target: str
) -> None:
    files = {"worker.py": WORKER_PY, "worker.ts": WORKER_TS, "test_bells.py": TESTS}
    run = run_sample(files, "--emulator-target", target, "-p", "no:asyncio")

    outcomes = run.outcomes()
    simulated = outcomes.pop("test_of_simulated_time")
    assert set(outcomes.values()) == {"passed"}, run.output
    assert len(outcomes) == 6
    assert simulated == ("passed" if target == "emulator" else "skipped")
