"""Laws of what belongs to one request or object, used in another (measured on workerd)."""

from __future__ import annotations

import types
from typing import Any

import pytest

import emulator
from emulator.errors import JsException
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint
from emulator.testing import run_in_durable_object

REQUEST = "Cannot perform I/O on behalf of a different request. "
OBJECT = "Cannot perform I/O on behalf of a different Durable Object. "
LEFT: dict[str, Any] = {}


async def told(call: Any) -> str:
    """The beginning and the end of the error, or "ok"."""
    try:
        value = call()
        if hasattr(value, "__await__"):
            await value
    except JsException as error:
        return f"{error.message.partition('I/O objects')[0]}{error.message.rpartition(' (')[2]}"
    return "ok"


async def use() -> dict[str, str]:
    stub, storage, namespace = LEFT["stub"], LEFT["storage"], LEFT["namespace"]
    return {
        "rpc": await told(lambda: stub.hello()),
        "property": await told(lambda: stub.hello),
        "fetch": await told(lambda: stub.fetch("http://x/")),
        "id": await told(lambda: str(stub.id)),
        "get": await told(lambda: storage.get("a")),
        "put": await told(lambda: storage.put("a", 1)),
        "sql": await told(lambda: storage.sql.exec("SELECT 1")),
        "kv": await told(lambda: storage.kv.get("a")),
        "namespace": await told(lambda: namespace.getByName("b").hello()),
        "bucket": await told(lambda: LEFT["bucket"].head("k")),
    }


class Job(DurableObject):
    def hello(self) -> str:
        return "hello"

    async def fetch(self, request: Any) -> Any:
        return Response("hello")

    def leave(self) -> None:
        LEFT.update(
            stub=self.env.JOBS.getByName("z"), storage=self.ctx.storage,
            namespace=self.env.JOBS, bucket=self.env.BUCKET,
        )  # fmt: skip

    async def use(self) -> Any:
        return await use()


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        if request.url.endswith("/leave"):
            LEFT["stub"] = self.env.JOBS.getByName("a")
            return Response("left")
        return Response.json(await use())


@pytest.fixture
def in_world() -> Any:
    """Gives `in_world(scenario)`, whose `await scenario(mf, stub)` runs in a world."""
    module = types.ModuleType("module")
    module.Default, module.Job = Default, Job  # type: ignore[attr-defined]

    def run(scenario: Any) -> Any:
        async def main() -> Any:
            async with emulator.Miniflare(
                worker=module, durable_objects={"JOBS": "Job"}, r2_buckets=["BUCKET"]
            ) as mf:
                stub = mf.get_durable_object_namespace("JOBS").getByName("a")
                await stub.leave()
                return await scenario(mf, stub)

        return emulator.run(main)

    return run


def refused(text: str) -> dict[str, str]:
    stub, storage = f"{text}I/O type: OutgoingFactory)", f"{text}I/O type: ActorCacheInterface)"
    return {
        "rpc": stub, "property": stub, "fetch": stub, "id": "ok", "get": storage,
        "put": storage, "sql": storage, "kv": storage, "namespace": "ok", "bucket": "ok",
    }  # fmt: skip


def test_what_an_object_made_is_refused_to_a_request(in_world):
    async def scenario(mf: Any, stub: Any) -> Any:
        return (await mf.dispatch_fetch("http://x/use")).json()

    assert in_world(scenario) == refused(REQUEST)


def test_what_an_object_made_is_refused_to_another_object(in_world):
    async def scenario(mf: Any, stub: Any) -> Any:
        return await mf.get_durable_object_namespace("JOBS").getByName("other").use()

    assert in_world(scenario) == refused(OBJECT)


def test_what_an_object_made_is_its_own_in_every_later_event(in_world):
    async def scenario(mf: Any, stub: Any) -> Any:
        return await stub.use()

    assert set(in_world(scenario).values()) == {"ok"}


def test_a_stub_of_one_request_is_refused_to_the_next(in_world):
    async def scenario(mf: Any, stub: Any) -> Any:
        await mf.dispatch_fetch("http://x/leave")
        found = (await mf.dispatch_fetch("http://x/use")).json()
        return [found["rpc"], found["fetch"], found["id"]]

    text = f"{REQUEST}I/O type: OutgoingFactory)"
    assert in_world(scenario) == [text, text, "ok"]


def test_test_code_may_use_everything_and_so_may_everybody_what_test_code_made(in_world):
    async def scenario(mf: Any, stub: Any) -> Any:
        LEFT["stub"] = stub
        inside = await run_in_durable_object(stub, lambda *_: use())
        return [await LEFT["storage"].get("a"), await LEFT["stub"].hello(), inside["rpc"]]

    assert in_world(scenario) == [1, "hello", "ok"]
