"""Worlds beside and after each other, their bindings, and what is left of them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator.errors import ConfigurationError, JsException, WorldError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Job(DurableObject):
    async def add(self) -> int:
        count = (await self.ctx.storage.get("count") or 0) + 1
        await self.ctx.storage.put("count", count)
        return count

    async def wait(self) -> None:
        await self.ctx.storage.setAlarm(self.env.NOW_MS + 3_600_000)
        asyncio.get_running_loop().call_later(1_800, print, "timer")

    async def alarm(self) -> None:
        await self.ctx.storage.put("rang", True)


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        return Response.json([self.env.VAR, await self.env.JOBS.getByName("a").add()])


def miniflare(**options: Any) -> emulator.Miniflare:
    return emulator.Miniflare(
        worker=Default,
        durable_objects={"JOBS": "Job"},
        bindings={"VAR": "x", "NOW_MS": 1_767_225_600_000},
        **options,
    )


# -- beside and after each other --------------------------------------------------------------


def test_worlds_beside_each_other_share_time_and_nothing_else() -> None:
    async def main() -> tuple[list[Any], int]:
        async with miniflare() as one, miniflare() as two:
            answers = [(await mf.dispatch_fetch("http://x/")).json() for mf in (one, one, two)]
            assert one.clock is two.clock
            assert one.trace is two.trace
            return answers, len(
                {
                    str(mf.get_durable_object_namespace("JOBS").idFromName("a"))
                    for mf in (one, two)
                }
            )

    answers, id_count = emulator.run(main)

    assert answers == [["x", 1], ["x", 2], ["x", 1]]
    assert id_count == 1  # Ids are made of names, as on the platform.


def test_a_world_after_another_starts_empty() -> None:
    async def main() -> list[Any]:
        answers = []
        for _ in range(2):
            async with miniflare() as mf:
                answers.append((await mf.dispatch_fetch("http://x/")).json())
        return answers

    assert emulator.run(main) == [["x", 1], ["x", 1]]


def test_nothing_of_a_disposed_world_runs_again() -> None:
    async def main() -> tuple[int, list[Any]]:
        async with miniflare() as mf:
            await mf.get_durable_object_namespace("JOBS").getByName("a").wait()
        logs = mf.logs
        async with miniflare() as after:
            before_ms = after.clock.now_ms
            await after.run_until_idle()
            await after.advance(7_200_000)
            return after.clock.now_ms - before_ms, logs

    assert emulator.run(main) == (7_200_000, [])


def test_the_same_seed_gives_the_same_digest_whatever_ran_before() -> None:
    async def main() -> str:
        async with miniflare() as mf:
            await mf.dispatch_fetch("http://x/")
            await mf.run_until_idle()
            return mf.trace.digest()

    first = emulator.run(main, seed=3)
    emulator.run(main, seed=4)

    assert emulator.run(main, seed=3) == first


async def _used(mf: emulator.Miniflare) -> None:
    await mf.dispatch_fetch("http://x/")


async def _with_a_sleeping_object(mf: emulator.Miniflare) -> None:
    await mf.get_durable_object_namespace("JOBS").getByName("a").wait()


async def _with_a_bucket_in_use(mf: emulator.Miniflare) -> None:
    await mf.get_r2_bucket("BUCKET").put("k", b"x")


async def _with_a_database_in_use(mf: emulator.Miniflare) -> None:
    await mf.get_d1_database("DB").prepare("SELECT datetime('now')").first()


@pytest.mark.parametrize(
    "use", [_used, _with_a_sleeping_object, _with_a_bucket_in_use, _with_a_database_in_use]
)
def test_nothing_of_a_world_is_kept_after_its_simulation(
    use: Callable[[emulator.Miniflare], Awaitable[None]],
) -> None:
    async def main() -> weakref.ref[Any]:
        async with miniflare(r2_buckets=["BUCKET"], d1_databases=["DB"]) as mf:
            await use(mf)
            return weakref.ref(mf.world)

    world = emulator.run(main)
    gc.collect()

    assert world() is None


def test_a_world_that_was_done_is_not_kept_while_the_simulation_goes_on() -> None:
    async def main() -> list[Any]:
        kept = []
        for _ in range(3):
            async with miniflare() as mf:
                await mf.dispatch_fetch("http://x/")
                kept.append(weakref.ref(mf.world))
        del mf
        await asyncio.sleep(60)  # The loop itself still knows its last delivery.
        gc.collect()
        return [world() for world in kept]

    assert emulator.run(main) == [None, None, None]


# -- bindings ----------------------------------------------------------------------------------


def test_a_binding_that_is_not_there_is_named_with_those_that_are() -> None:
    async def main() -> None:
        async with miniflare() as mf:
            env = mf.world.env
            text = r"env has no binding 'NOPE'; it has VAR, NOW_MS, JOBS"
            with pytest.raises(AttributeError, match=text):
                _ = env.NOPE
            assert getattr(env, "NOPE", None) is None
            assert not hasattr(env, "NOPE")
            for get, option in (
                (mf.get_r2_bucket, "r2_buckets"),
                (mf.get_d1_database, "d1_databases"),
            ):
                with pytest.raises(
                    ConfigurationError, match=f"'NOPE' in {option}; there is none"
                ):
                    get("NOPE")
            with pytest.raises(ConfigurationError, match="in durable_objects; there is JOBS"):
                mf.get_durable_object_namespace("NOPE")

    emulator.run(main)


def test_a_test_sees_the_very_objects_that_the_worker_sees() -> None:
    async def main() -> None:
        async with miniflare(r2_buckets=["BUCKET"], d1_databases=["DB"]) as mf:
            bindings = mf.get_bindings()
            assert bindings["JOBS"] is mf.get_durable_object_namespace("JOBS")
            assert bindings["BUCKET"] is mf.get_r2_bucket("BUCKET")
            assert bindings["DB"] is mf.get_d1_database("DB")
            assert bindings == vars(mf.world.env)

    emulator.run(main)


class Caller(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        response = await self.env.OTHER.fetch(
            "https://other/path", {"method": "POST", "body": "héy"}, headers={"a": "b"}
        )
        with pytest.raises(TypeError, match="Can't modify immutable headers"):
            response.headers.set("x", "y")
        return Response.json([response.status, response.url, await response.text()])


async def as_function(request: Any) -> Any:
    return Response(f"{request.method} {request.headers['a']} {await request.text()}")


def as_plain_function(request: Any) -> Any:
    return Response("plain")


class Other(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        return await as_function(request)


def as_module() -> ModuleType:
    made = ModuleType("other")
    made.on_fetch = as_function  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (as_function, "POST b héy"),
        (as_plain_function, "plain"),
        (Other, "POST b héy"),
        (as_module(), "POST b héy"),
    ],
    ids=["function", "plain function", "class", "module"],
)
def test_a_service_is_a_function_a_class_or_a_module(service: Any, text: str) -> None:
    async def main() -> Any:
        async with emulator.Miniflare(worker=Caller, service_bindings={"OTHER": service}) as mf:
            return (await mf.dispatch_fetch("http://x/")).json()

    assert emulator.run(main) == [200, "https://other/path", text]


def test_a_service_that_raises_raises_at_its_caller() -> None:
    async def other(request: Any) -> Any:
        raise KeyError("inside")

    async def main() -> None:
        async with emulator.Miniflare(worker=Caller, service_bindings={"OTHER": other}) as mf:
            with pytest.raises(KeyError, match="inside"):
                await mf.dispatch_fetch("http://x/")

    emulator.run(main)


def test_a_service_that_answers_no_response_is_refused() -> None:
    async def other(request: Any) -> Any:
        return {"status": 200}

    async def main() -> None:
        async with emulator.Miniflare(worker=Caller, service_bindings={"OTHER": other}) as mf:
            with pytest.raises(TypeError, match="did not resolve to 'Response'"):
                await mf.dispatch_fetch("http://x/")

    emulator.run(main)


def test_a_head_request_to_a_service_gets_headers_and_no_body() -> None:
    class Head(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Any:
            response = await self.env.OTHER.fetch("http://o/", method="HEAD")
            return Response.json([response.headers["x"], response.body, await response.text()])

    async def other(request: Any) -> Any:
        return Response("body", headers={"x": "y"})

    async def main() -> Any:
        async with emulator.Miniflare(worker=Head, service_bindings={"OTHER": other}) as mf:
            return (await mf.dispatch_fetch("http://x/")).json()

    assert emulator.run(main) == ["y", None, ""]


def test_a_call_to_a_service_is_a_subrequest_with_a_budget() -> None:
    class Greedy(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Any:
            for _ in range(1_001):
                await self.env.OTHER.fetch("http://o/")

    async def main() -> None:
        async with emulator.Miniflare(
            worker=Greedy, service_bindings={"OTHER": as_plain_function}, limits="free"
        ) as mf:
            with pytest.raises(JsException, match="Too many subrequests"):
                await mf.dispatch_fetch("http://x/")

    emulator.run(main)


def test_a_world_that_cannot_be_built_leaves_nothing_behind() -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match="does not define"):
            async with emulator.Miniflare(worker=Default, durable_objects={"JOBS": "Nope"}):
                raise AssertionError
        async with miniflare() as mf:
            await mf.dispatch_fetch("http://x/")

    emulator.run(main)


def test_a_world_that_nobody_ends_ends_with_its_simulation() -> None:
    async def main() -> Any:
        return (await miniflare(r2_buckets=["BUCKET"]).__aenter__()).world

    world = emulator.run(main)

    assert world.is_disposed


def test_a_disposed_world_says_so() -> None:
    async def main() -> None:
        async with miniflare() as mf:
            world = mf.world
        with pytest.raises(WorldError, match=r"has been disposed; make a new one with `async"):
            await mf.dispatch_fetch("http://x/")
        world.dispose()
        await mf.dispose()

    emulator.run(main)


def test_a_service_may_be_called_outbound_and_is_still_a_service() -> None:
    async def service(request: Any) -> Any:
        return Response("here")

    class Calls(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Any:
            return await self.env.outbound.fetch("http://service/")

    async def main() -> list[str]:
        async with emulator.Miniflare(
            worker=Calls, service_bindings={"outbound": service}
        ) as mf:
            await mf.dispatch_fetch("http://x/")
            return [event.kind for event in mf.trace]

    assert emulator.run(main) == ["worker.fetch", "service.fetch"]
