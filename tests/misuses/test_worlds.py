"""Misuses 45 to 54: a world that is used too early, too late, or on another loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from workers import DurableObject, WorkerEntrypoint

import emulator
from emulator.errors import WorldError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

URL = "http://localhost/"
#: Each way to use what a world gave out.
USES = {
    "request": lambda mf, _: mf.dispatch_fetch(URL),
    "client": lambda _, kept: kept["client"].get("/"),
    "object": lambda _, kept: kept["stub"].hello(),
    "bucket": lambda _, kept: kept["bucket"].put("k", "v"),
    "database": lambda _, kept: kept["database"].prepare("SELECT 1").all(),
    "time": lambda mf, _: mf.advance(1),
    "idleness": lambda mf, _: mf.run_until_idle(),
    "cron": lambda mf, _: mf.get_worker().scheduled(),
}


def keepsakes(mf: Any) -> dict[str, Any]:
    return {
        "client": mf.client(),
        "stub": mf.get_durable_object_namespace("JOBS").getByName("a"),
        "bucket": mf.get_r2_bucket("BUCKET"),
        "database": mf.get_d1_database("DB"),
    }


@pytest.mark.parametrize("use", USES.values(), ids=[f"45 {name}" for name in USES])
def test_a_disposed_world_refuses_every_use(
    try_out: Callable[..., Any], use: Callable[..., Awaitable[Any]]
) -> None:
    async def scenario(mf: Any) -> str:
        kept = keepsakes(mf)
        await mf.dispose()
        with pytest.raises(WorldError) as caught:
            await use(mf, kept)
        return str(caught.value)

    text = try_out(scenario)
    assert "has been disposed" in text
    assert "async with" in text


@pytest.mark.parametrize("name", ["get_d1_database", "get_r2_bucket"])
def test_46_a_disposed_world_gives_no_bindings(try_out: Callable[..., Any], name: str) -> None:
    async def scenario(mf: Any) -> None:
        await mf.dispose()
        for get in (lambda: getattr(mf, name)("DB"), mf.get_bindings):
            with pytest.raises(WorldError, match="has been disposed; make a new one"):
                get()

    try_out(scenario)


@pytest.mark.parametrize("use", USES.values(), ids=[f"47 {name}" for name in USES])
def test_a_world_of_another_run_refuses_every_use(
    use: Callable[..., Awaitable[Any]], try_out: Callable[..., Any]
) -> None:
    kept: list[Any] = []

    async def first(mf: Any) -> None:
        kept.extend((mf, keepsakes(mf)))

    async def second() -> str:
        with pytest.raises(WorldError) as caught:
            await use(*kept)
        return str(caught.value)

    try_out(first)
    text = emulator.run(second)
    assert "another simulation" in text or "has been disposed" in text


def test_48_a_world_entered_twice_is_refused(told: Callable[..., str]) -> None:
    async def scenario(mf: Any) -> None:
        async with mf:
            pass

    assert (
        told(scenario, WorldError) == "this Miniflare has been entered before; make a new one"
    )


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda mf: mf.clock, id="49 clock"),
        pytest.param(lambda mf: mf.client(), id="49 client"),
        pytest.param(lambda mf: mf.get_bindings(), id="49 bindings"),
    ],
)
def test_a_world_that_was_not_entered_says_how(use: Callable[[Any], Any]) -> None:
    with pytest.raises(WorldError) as caught:
        use(emulator.Miniflare(worker=WorkerEntrypoint))
    assert str(caught.value) == (
        "this Miniflare has not been entered: use `async with Miniflare(...) as mf:`"
    )


def test_50_with_instead_of_async_with_is_told() -> None:
    with (
        pytest.raises(WorldError, match="`async with Miniflare"),
        emulator.Miniflare(worker=WorkerEntrypoint),
    ):
        pass


def test_51_a_world_on_a_real_loop_names_emulator_run() -> None:
    async def main() -> None:
        async with emulator.Miniflare(worker=WorkerEntrypoint):
            pass

    with pytest.raises(WorldError) as caught:
        asyncio.run(main())
    text = str(caught.value)
    assert "EventLoop is running: start with emulator.run(async_fn), or use the" in text


class Job(DurableObject):
    async def hello(self, other: Any = None) -> str:
        return "hello"


def test_52_an_id_of_another_world_makes_a_new_object_with_a_warning() -> None:
    async def main() -> str:
        options: dict[str, Any] = {"worker": Job, "durable_objects": {"JOBS": "Job"}}
        async with (
            emulator.Miniflare(name="first", **options) as first,
            emulator.Miniflare(name="second", **options) as second,
        ):
            foreign = first.get_durable_object_namespace("JOBS").idFromName("a")
            with pytest.warns(UserWarning, match="made by another namespace") as caught:
                second.get_durable_object_namespace("JOBS").get(foreign)
            return str(caught[0].message)

    assert emulator.run(main).endswith(
        "was made by another namespace (first-Job) than JOBS (second-Job), which makes a new "
        "object of it: make the id with JOBS.idFromName(name)"
    )


def test_53_a_stub_is_no_argument_of_a_call() -> None:
    async def main() -> None:
        options: dict[str, Any] = {"worker": Job, "durable_objects": {"JOBS": "Job"}}
        async with emulator.Miniflare(**options) as mf:
            jobs = mf.get_durable_object_namespace("JOBS")
            await jobs.getByName("a").hello(jobs.getByName("b"))

    with pytest.raises(emulator.errors.JsException, match='of type "DurableObject"'):
        emulator.run(main)


def test_54_a_coroutine_is_not_run_twice() -> None:
    async def main() -> None:
        """Never runs."""

    with pytest.raises(ValueError, match=r"run\(main\), not run\(main\(\)\)"):
        emulator.run(main())  # type: ignore[arg-type]  # The misuse.
