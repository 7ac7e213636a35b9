"""The facade: how a test reaches a world, and what it is told when it does so wrongly."""

# ruff: noqa: T201  # Workers print.

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import httpx
import js
import pytest
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator.errors import ConfigurationError, SimulationRunaway, WorldError
from emulator.simulation import loop

START_MS = 1_767_225_600_000


class Job(DurableObject):
    async def start(self, delay_ms: int) -> None:
        await self.ctx.storage.put("left", 3)
        await self.ctx.storage.setAlarm(START_MS + delay_ms)

    async def start_for_ever(self) -> None:
        await self.ctx.storage.put("left", -1)
        await self.ctx.storage.setAlarm(START_MS + 1_000)

    async def alarm(self, info: Any) -> None:
        left = await self.ctx.storage.get("left") - 1
        await self.ctx.storage.put("left", left)
        print("alarm")
        if left:
            await self.ctx.storage.setAlarm(js.Date.now() + 1_000)


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        return Response.json([request.method, request.url, request.headers["a"]])


def miniflare(**options: Any) -> emulator.Miniflare:
    return emulator.Miniflare(worker=Default, **options)


# -- requests --------------------------------------------------------------------------------


def test_a_request_is_described_as_httpx_describes_it() -> None:
    async def main() -> list[Any]:
        async with miniflare() as mf:
            answers = [
                await mf.dispatch_fetch("http://any.host/x"),
                await mf.dispatch_fetch(
                    "http://x/p", method="PUT", params={"q": "1"}, headers={"A": "b"}, json={}
                ),
            ]
            assert all(isinstance(answer, httpx.Response) for answer in answers)
            return [answer.json() for answer in answers]

    assert emulator.run(main) == [
        ["GET", "http://any.host/x", None],
        ["PUT", "http://x/p?q=1", "b"],
    ]


def test_a_relative_url_says_what_is_missing() -> None:
    async def main() -> None:
        async with miniflare() as mf:
            with pytest.raises(ConfigurationError, match=r"absolute URL .*, got '/x'; or use"):
                await mf.dispatch_fetch("/x")

    emulator.run(main)


def test_a_client_has_a_base_url_and_takes_httpx_options() -> None:
    async def main() -> list[Any]:
        async with miniflare() as mf:
            async with mf.client(headers={"a": "b"}) as client:
                first = (await client.get("/p")).json()
            async with mf.client(base_url="https://amber.test/api/") as client:
                second = (await client.get("p")).json()
            return [first, second]

    assert emulator.run(main) == [
        ["GET", "http://localhost/p", "b"],
        ["GET", "https://amber.test/api/p", None],
    ]


def test_the_environment_of_the_machine_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")

    async def main() -> int:
        async with miniflare() as mf, mf.client() as client:
            return (await client.get("/")).status_code

    assert emulator.run(main) == 200


# -- time ------------------------------------------------------------------------------------


def jobs() -> emulator.Miniflare:
    return miniflare(durable_objects={"JOBS": "Job"})


async def after(duration: Any) -> tuple[int, int]:
    """How many alarms have rung, and how far the clock went, from an alarm at 2 s."""
    async with jobs() as mf:
        await mf.get_durable_object_namespace("JOBS").getByName("a").start(2_000)
        before_ms = mf.clock.now_ms
        await mf.advance(duration)
        return len(mf.logs), mf.clock.now_ms - before_ms


@pytest.mark.parametrize(
    ("duration", "alarms", "passed_ms"),
    [
        (0, 0, 0),
        (1_998, 0, 1_998),
        (1_999, 1, 1_999),
        (timedelta(seconds=2), 1, 2_000),
        (timedelta(seconds=60), 3, 60_000),
        (0.5, 0, 1),
    ],
)
def test_advance_delivers_what_falls_due_and_ends_at_its_instant(
    duration: Any, alarms: int, passed_ms: int
) -> None:
    assert emulator.run(after, duration) == (alarms, passed_ms)


@pytest.mark.parametrize("duration", [-1, timedelta(seconds=-1)])
def test_time_does_not_run_backwards(duration: Any) -> None:
    with pytest.raises(ValueError, match="a duration cannot be negative"):
        emulator.run(after, duration)


def test_run_until_idle_jumps_to_the_last_alarm_and_no_further() -> None:
    async def main() -> tuple[list[int], int]:
        async with jobs() as mf:
            await mf.get_durable_object_namespace("JOBS").getByName("a").start(86_400_000)
            await mf.run_until_idle()
            return [line.time_ms - START_MS for line in mf.logs], mf.clock.now_ms - START_MS

    times_ms, now_ms = emulator.run(main)

    assert times_ms == [86_400_000, 86_401_000, 86_402_000]
    assert now_ms == 86_402_000


def test_run_until_idle_waits_for_work_after_an_answer() -> None:
    done: list[int] = []

    async def on_fetch(request: Any, env: Any, ctx: Any) -> Any:
        async def later() -> None:
            await asyncio.sleep(5)
            done.append(1)

        ctx.waitUntil(later())
        return Response(None)

    made = ModuleType("made")
    made.on_fetch = on_fetch  # type: ignore[attr-defined]

    async def main() -> None:
        async with emulator.Miniflare(worker=made) as mf:
            await mf.dispatch_fetch("http://x/")
            await mf.run_until_idle()

    emulator.run(main)

    assert done == [1]


def test_run_until_idle_when_nothing_is_pending_takes_no_time() -> None:
    async def main() -> int:
        async with miniflare() as mf:
            await mf.run_until_idle()
            return mf.clock.now_ms

    assert emulator.run(main) == START_MS


def test_an_alarm_that_always_sets_itself_again_is_a_runaway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "COLLECT_INTERVAL", 100)
    monkeypatch.setattr(loop, "IDLE_DELIVERIES_MAX", 1_000)

    async def main() -> None:
        async with jobs() as mf:
            await mf.get_durable_object_namespace("JOBS").getByName("a").start_for_ever()
            await mf.run_until_idle()

    with pytest.raises(SimulationRunaway, match="an alarm that sets itself again"):
        emulator.run(main)


def test_the_clock_is_the_simulations() -> None:
    async def main() -> tuple[int, datetime]:
        async with miniflare() as mf:
            await asyncio.sleep(1.5)
            return mf.clock.now_ms, mf.clock.now

    start = datetime(2030, 5, 17, tzinfo=UTC)

    assert emulator.run(main, start_time=start) == (
        int(start.timestamp() * 1000) + 1_500,
        start + timedelta(seconds=1.5),
    )


# -- misuse ----------------------------------------------------------------------------------


def test_a_world_outside_of_a_simulation_says_how_to_start_one() -> None:
    async def main() -> None:
        async with miniflare():
            raise AssertionError

    with pytest.raises(
        WorldError, match=r"start with emulator\.run\(async_fn\), or use the `mini"
    ):
        asyncio.run(main())


def test_a_world_before_its_entry_says_how_to_enter() -> None:
    mf = miniflare()

    async def main() -> None:
        with pytest.raises(WorldError, match="use `async with Miniflare"):
            await mf.dispatch_fetch("http://x/")
        with pytest.raises(WorldError, match="use `async with Miniflare"):
            _ = mf.clock

    emulator.run(main)


def test_a_world_is_entered_once() -> None:
    async def main() -> None:
        mf = miniflare()
        async with mf:
            with pytest.raises(WorldError, match="has been entered before; make a new one"):
                await mf.__aenter__()
        with pytest.raises(WorldError, match="has been entered before; make a new one"):
            await mf.__aenter__()

    emulator.run(main)


def test_a_world_belongs_to_the_simulation_it_was_entered_in() -> None:
    kept: list[emulator.Miniflare] = []

    async def enter() -> None:
        kept.append(await miniflare().__aenter__())

    async def use() -> None:
        await kept[0].dispatch_fetch("http://x/")

    emulator.run(enter)
    with pytest.raises(WorldError, match=r"enter it inside the emulator\.run\(\) that uses it"):
        emulator.run(use)


def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    async def main() -> None:
        async with miniflare():
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        emulator.run(main)


def test_boto3_sees_the_worlds_objects() -> None:
    async def main() -> Any:
        async with miniflare(r2_buckets={"BUCKET": "real-name"}) as mf:
            await mf.get_r2_bucket("BUCKET").put("k", b"x")
            client = mf.s3_client("BUCKET")
            return client.list_objects_v2(Bucket="real-name")["Contents"][0]["Key"]

    assert emulator.run(main) == "k"
