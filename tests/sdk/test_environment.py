"""What worker code reaches without being handed it: env, waitUntil, fetch, js."""

# ruff: noqa: T201  # Workers print.

from __future__ import annotations

import asyncio
from typing import Any

import js
import pytest
import workers
from workers import DurableObject, Request, Response, WorkerEntrypoint, env, patch_env

import emulator
from emulator.errors import EmulatorError, WorldError


class Reader(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        with patch_env(VAR="patched", NEW=1):
            patched = [env.VAR, self.env.NEW]
        return Response.json([env.VAR, *patched, hasattr(self.env, "NEW")])


def test_env_is_that_of_the_worker_which_runs() -> None:
    async def main() -> list[Any]:
        async with (
            emulator.Miniflare(worker=Reader, bindings={"VAR": "one"}) as one,
            emulator.Miniflare(worker=Reader, bindings={"VAR": "two"}) as two,
        ):
            return [(await mf.dispatch_fetch("http://x/")).json() for mf in (one, two)]

    assert emulator.run(main) == [
        ["one", "patched", 1, False],
        ["two", "patched", 1, False],
    ]


def test_env_outside_of_a_worker_says_what_to_use() -> None:
    with pytest.raises(WorldError, match=r"in a test use mf\.get_bindings\(\)"):
        _ = env.VAR
    with pytest.raises(WorldError, match="none runs here"):
        workers.wait_until(asyncio.sleep)


class Waiter(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        async def later() -> None:
            await asyncio.sleep(5)
            print("later")

        workers.waitUntil(later())
        return Response("now")


class WaitingObject(DurableObject):
    async def go(self) -> str:
        async def later() -> None:
            await asyncio.sleep(5)
            print("later")

        workers.wait_until(later())
        return "now"


def test_work_handed_to_wait_until_goes_on_after_the_answer() -> None:
    async def main() -> tuple[list[str], list[int]]:
        async with emulator.Miniflare(
            worker=Waiter, durable_objects={"OBJECTS": "WaitingObject"}
        ) as mf:
            started_ms = mf.clock.now_ms
            answers = [
                (await mf.dispatch_fetch("http://x/")).text,
                await mf.get_durable_object_namespace("OBJECTS").getByName("a").go(),
            ]
            assert mf.logs == []
            await mf.run_until_idle()
            return answers, [line.time_ms - started_ms for line in mf.logs]

    answers, times_ms = emulator.run(main)

    assert answers == ["now", "now"]
    assert times_ms == [5_001, 5_002]


class Fetcher(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        first = await workers.fetch("https://out/a", method="POST", body="x")
        second = await js.fetch("https://out/b", {"headers": {"a": "b"}})
        third = await workers.fetch(Request("https://out/c"))
        inner = await workers.fetch("https://auth/d", fetcher=self.env.AUTH.fetch)
        return Response.json([await r.text() for r in (first, second, third, inner)])


def test_fetch_goes_to_the_outbound_service_or_to_its_fetcher() -> None:
    async def outbound(request: Any) -> Any:
        return Response(f"out {request.method} {request.url} {request.headers['a']}")

    async def auth(request: Any) -> Any:
        return Response(f"auth {request.url}")

    async def main() -> Any:
        async with emulator.Miniflare(
            worker=Fetcher, outbound_service=outbound, service_bindings={"AUTH": auth}
        ) as mf:
            return (await mf.dispatch_fetch("http://x/")).json()

    assert emulator.run(main) == [
        "out POST https://out/a None",
        "out GET https://out/b b",
        "out GET https://out/c None",
        "auth https://auth/d",
    ]


def test_fetch_without_an_outbound_service_says_what_is_missing() -> None:
    async def main() -> None:
        async with emulator.Miniflare(worker=Fetcher) as mf:
            with pytest.raises(EmulatorError, match="give Miniflare an outbound_service="):
                await mf.dispatch_fetch("http://x/")

    emulator.run(main)


class Chancer(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        return Response.json([js.Date.now(), js.crypto.randomUUID()])


def test_date_and_crypto_obey_the_simulation() -> None:
    async def main() -> list[Any]:
        async with emulator.Miniflare(worker=Chancer) as mf:
            first = (await mf.dispatch_fetch("http://x/")).json()
            second = (await mf.dispatch_fetch("http://x/")).json()
            assert first[0] == mf.clock.now_ms - 1
            return [first, second]

    one, other = emulator.run(main, seed=1), emulator.run(main, seed=2)

    assert emulator.run(main, seed=1) == one
    assert len({pair[1] for pair in (*one, *other)}) == 4
    with pytest.raises(WorldError, match="needs simulated time"):
        js.crypto.randomUUID()


class Talker(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        for level in ("debug", "log", "info", "warn", "error"):
            getattr(js.console, level)(level, 1, None)
        return Response(None)


def test_the_console_has_five_levels() -> None:
    async def main() -> list[tuple[str, str]]:
        async with emulator.Miniflare(worker=Talker) as mf:
            await mf.dispatch_fetch("http://x/")
            return [(line.level, line.message) for line in mf.logs]

    assert emulator.run(main) == [
        ("DEBUG", "debug 1 None"),
        ("INFO", "log 1 None"),
        ("INFO", "info 1 None"),
        ("WARNING", "warn 1 None"),
        ("ERROR", "error 1 None"),
    ]
