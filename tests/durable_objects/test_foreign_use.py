"""Laws of what belongs to one request or object, used in another (measured on workerd)."""

from __future__ import annotations

import types
from typing import Any

import pytest
from js import WebSocketPair

import emulator
from emulator.errors import JsException
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint
from emulator.testing import crash_durable_object, run_in_durable_object

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


class Holder(DurableObject):
    async def leave(self) -> None:
        one, _ = WebSocketPair.new().object_values()
        one.accept()
        other, _ = WebSocketPair.new().object_values()
        taken, _ = WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(taken)
        cursor = self.ctx.storage.sql.exec("SELECT 1 UNION SELECT 2")
        LEFT.update(ctx=self.ctx, one=one, other=other, taken=taken, cursor=cursor)

    async def use(self) -> dict[str, str]:
        ctx, one, storage = LEFT["ctx"], LEFT["one"], LEFT["ctx"].storage
        return {
            "transaction": await told(lambda: storage.transaction(lambda txn: None)),
            "transactionSync": await told(lambda: storage.transactionSync(lambda: None)),
            "sync": await told(storage.sync),
            "cursor": await told(LEFT["cursor"].toArray),
            "bookmark": await told(storage.getCurrentBookmark),
            "abort": await told(ctx.abort),
            "send": await told(lambda: one.send("x")),
            "close": await told(one.close),
            "readyState": await told(lambda: one.readyState),
            "accept": await told(LEFT["other"].accept),
            "getTags": await told(lambda: ctx.getTags(LEFT["taken"])),
            "listen": await told(lambda: one.addEventListener("message", lambda event: None)),
            "attachment": await told(lambda: LEFT["taken"].serializeAttachment(1)),
            "getWebSockets": await told(ctx.getWebSockets),
        }


def test_waits_ends_and_sockets_are_refused_to_another_object(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        other = mf.get_durable_object_namespace("JOBS").getByName("other")
        await stub.leave()
        used = await other.use()
        await stub.leave()  # Nobody has been aborted.
        return used

    storage = f"{OBJECT}I/O type: ActorCacheInterface)"
    native = f"{OBJECT}I/O type: Native)"
    assert with_jobs(Holder, scenario) == {
        **dict.fromkeys(
            ("transaction", "transactionSync", "sync", "bookmark", "abort"), storage
        ),
        "cursor": f"{OBJECT}I/O type: State)",
        **dict.fromkeys(("send", "close", "readyState", "accept", "getTags"), native),
        **dict.fromkeys(("listen", "attachment", "getWebSockets"), "ok"),
    }


def test_what_is_left_of_the_dead_is_refused_to_another_object_too(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        other = mf.get_durable_object_namespace("JOBS").getByName("other")
        await stub.leave()
        await crash_durable_object(stub)
        return (await other.use())["transactionSync"]

    assert with_jobs(Holder, scenario) == f"{OBJECT}I/O type: ActorCacheInterface)"


def test_a_socket_of_one_request_is_refused_to_the_next() -> None:
    sockets: list[Any] = []

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Any:
            if request.headers.get("upgrade") is None:
                return Response(await told(lambda: sockets[0].send("hello")))
            client, server = WebSocketPair.new().object_values()
            server.accept()
            server.addEventListener("message", lambda event: server.send(event.data))
            sockets.append(server)
            return Response(None, status=101, web_socket=client)

    async def main() -> Any:
        async with (
            emulator.Miniflare(worker=Default) as mf,
            mf.connect("http://x/") as socket,
        ):
            await socket.send("own")
            return await socket.receive(), (await mf.dispatch_fetch("http://x/")).text

    assert emulator.run(main) == ("own", f"{REQUEST}I/O type: Native)")
