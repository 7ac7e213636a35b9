"""Laws of WebSockets in an object: hibernation, order, ends. As measured on workerd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from js import WebSocketPair, WebSocketRequestResponsePair
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator import faults
from emulator.errors import JsException, WebSocketClosed
from emulator.testing import (
    crash_durable_object,
    evict_durable_object,
    run_in_durable_object,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOST = "WebSocket disconnected without sending Close frame."
HIBERNATING = "http://localhost/hibernating"
PLAIN = "http://localhost/plain"


class Room(DurableObject):
    """It tells what happens to it over RPC, in a log that is stored."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.memory = 0
        self.note("constructor", len(ctx.getWebSockets()))

    def note(self, *words: Any) -> None:
        lines = self.ctx.storage.kv.get("log") or []
        self.ctx.storage.kv.put("log", [*lines, " ".join(map(str, words))])

    async def log(self) -> list[str]:
        lines: list[str] = self.ctx.storage.kv.get("log")
        return [line for line in lines if not line.startswith("constructor")]

    async def lives(self) -> int:
        lines = self.ctx.storage.kv.get("log")
        return sum(line.startswith("constructor") for line in lines)

    async def count(self) -> int:
        return len(self.ctx.getWebSockets())

    async def fetch(self, request: Any) -> Any:
        client, server = WebSocketPair.new().object_values()
        if "plain" in request.url:
            server.addEventListener("message", lambda event: self.heard(server, event))
            server.addEventListener(
                "close",
                lambda event: self.note(
                    "close", event.code, event.reason, event.wasClean, server.readyState
                ),
            )
            server.addEventListener("error", lambda event: self.note("error", event.message))
            server.addEventListener("message", self.heard_later)
            server.accept()
        else:
            tag = request.url.rpartition("/")[2]
            self.ctx.acceptWebSocket(server, [tag, "all"])
        return Response(None, status=101, web_socket=client)

    async def heard_later(self, event: Any) -> None:
        if event.data == "throw later":
            raise ValueError("later")

    def heard(self, server: Any, event: Any) -> None:
        self.memory += 1
        self.note("message", event.data)
        if event.data == "throw":
            raise ValueError("boom")
        server.send(f"{event.data} {self.memory}")

    async def webSocketMessage(self, ws: Any, message: Any) -> None:
        self.memory += 1
        self.note("message", message)
        if message == "throw":
            raise ValueError("boom")
        if message == "abort":
            self.ctx.abort("why")
        elif message == "close":
            ws.close(4001, "enough")
            self.note(len(self.ctx.getWebSockets()), ws.readyState)
        elif message == "slow":
            await asyncio.sleep(0.02)
            self.note("slow is done")
        elif message == "section":
            await self.ctx.blockConcurrencyWhile(lambda: asyncio.sleep(0.02))
            self.note("section is done")
        elif message == "keep":
            ws.serializeAttachment({"kept": self.memory})
        elif message == "kept":
            ws.send(f"{ws.deserializeAttachment().kept} {list(self.ctx.getTags(ws))}")
        elif message == "write":
            self.ctx.storage.kv.put("k", 1)
            ws.send("written")
        else:
            ws.send(message if isinstance(message, bytes) else f"{message} {self.memory}")

    async def webSocketClose(self, ws: Any, code: int, reason: str, clean: Any) -> None:
        self.note("close", code, reason, clean, ws.readyState, len(self.ctx.getWebSockets()))
        if reason == "throw":
            raise ValueError("boom")
        if reason == "answer":
            ws.close(code, "answered")
        await asyncio.sleep(0.01)
        self.note("later", len(self.ctx.getWebSockets()))

    async def webSocketError(self, ws: Any, error: Any) -> None:
        self.note("error", error, ws.readyState)


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        return await self.env.ROOMS.getByName("a").fetch(request)


def with_room(scenario: Callable[..., Awaitable[Any]], **options: Any) -> Any:
    """Run `await scenario(mf, stub)`."""

    async def main() -> Any:
        async with emulator.Miniflare(
            worker=Default, durable_objects={"ROOMS": "Room"}, **options
        ) as mf:
            return await scenario(mf, mf.get_durable_object_namespace("ROOMS").getByName("a"))

    return emulator.run(main)


# -- messages ------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [HIBERNATING, PLAIN])
def test_messages_come_and_go_in_order(url: str) -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(url) as socket:
            for word in ("a", "b", "c"):
                await socket.send(word)
            assert [await socket.receive() for _ in range(3)] == ["a 1", "b 2", "c 3"]
        return await stub.log()

    assert with_room(scenario)[:3] == ["message a", "message b", "message c"]


def test_bytes_stay_bytes() -> None:
    async def scenario(mf: Any, _: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.send(b"\0\xff")
            return await socket.receive()

    assert with_room(scenario) == b"\0\xff"


def test_a_message_of_a_socket_does_not_wait_for_the_handler_of_the_one_before() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.send("slow")
            await socket.send("quick")
            await mf.advance(50)
            return await stub.log()

    assert with_room(scenario) == ["message slow", "message quick", "slow is done"]


def test_a_critical_section_holds_messages_back() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.send("section")
            await socket.send("quick")
            await mf.advance(50)
            return await stub.log()

    assert with_room(scenario) == ["message section", "section is done", "message quick"]


def errors_in(logs: Any) -> list[str]:
    return [line.message for line in logs if line.level == "ERROR"]


def test_an_error_of_a_handler_neither_closes_the_socket_nor_resets_the_object() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.send("throw")
            await socket.send("after")
            failed = [event for event in mf.trace.events if event.kind.endswith(".failed")]
            assert [event.facts["error"] for event in failed] == ["ValueError: boom"]
            assert errors_in(mf.logs) == ["webSocketMessage failed: ValueError: boom"]
            return await socket.receive(), await stub.lives()

    assert with_room(scenario) == ("after 2", 1)


def test_an_error_of_a_listener_breaks_the_connection() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(PLAIN) as socket:
            await socket.send("throw")
            await socket.send("never heard")
            with pytest.raises(WebSocketClosed) as caught:
                await socket.receive()
            assert (caught.value.code, caught.value.reason) == (1006, LOST)
        assert errors_in(mf.logs) == ["Uncaught ValueError: boom"]
        return await stub.log()

    assert with_room(scenario) == ["message throw", "error Uncaught ValueError: boom"]


def test_an_error_of_an_async_listener_is_in_the_logs_and_breaks_nothing() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(PLAIN) as socket:
            await socket.send("throw later")
            await socket.send("after")
            await asyncio.sleep(0.1)
            assert errors_in(mf.logs) == ["Uncaught ValueError: later"]
            return await socket.receive(), await socket.receive()

    assert with_room(scenario) == ("throw later 1", "after 2")


def test_what_was_written_is_durable_before_a_message_leaves() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            mf.faults.add(faults.crash(before="storage.flush"))
            await socket.send("write")
            with pytest.raises(WebSocketClosed):
                await socket.receive()
            mf.faults.clear()
            return await run_in_durable_object(stub, lambda _, ctx: ctx.storage.get("k"))

    assert with_room(scenario) is None


def test_a_message_is_no_subrequest() -> None:
    async def scenario(mf: Any, _: Any) -> Any:
        async with mf.connect(PLAIN) as socket:
            for _ in range(5):
                await socket.send("x")
            return [await socket.receive() for _ in range(5)][-1]

    assert with_room(scenario, limits={"profile": "paid", "subrequests_max": 2}) == "x 5"


# -- hibernation ---------------------------------------------------------------------------


def test_an_object_hibernates_while_its_socket_stays_open() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.send("keep")
            await mf.advance(12_000)
            assert mf.trace.events[-1].kind == "evict"
            await socket.send("a")
            await socket.send("kept")
            return await socket.receive(), await socket.receive(), await stub.lives()

    assert with_room(scenario) == ("a 1", "1 ['hibernating', 'all']", 2)


def test_an_object_that_listens_stays_in_memory() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(PLAIN) as socket:
            await socket.send("a")
            await mf.advance(1_000_000)
            await socket.send("b")
            assert [await socket.receive(), await socket.receive()] == ["a 1", "b 2"]
        await mf.advance(10)
        in_between = await stub.lives()
        await mf.advance(20_000)
        return in_between, await stub.lives()

    # From 2026-04-07 on the runtime answers the Close frame, so the connection is over.
    assert with_room(scenario, compatibility_date="2026-04-20") == (1, 2)


def test_the_socket_is_the_same_object_until_the_instance_ends() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        def first(_: Any, ctx: Any) -> Any:
            return ctx.getWebSockets()[0]

        async with mf.connect(HIBERNATING):
            one, same = [await run_in_durable_object(stub, first) for _ in range(2)]
            await mf.advance(20)
            await evict_durable_object(stub)
            other = await run_in_durable_object(stub, first)
            return one is same, one is other

    assert with_room(scenario) == (True, False)


def test_what_is_answered_automatically_wakes_nobody() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        def set_up(_: Any, ctx: Any) -> None:
            ctx.setWebSocketAutoResponse(WebSocketRequestResponsePair.new("ping", "pong"))

        def when(_: Any, ctx: Any) -> Any:
            return ctx.getWebSocketAutoResponseTimestamp(ctx.getWebSockets()[0])

        async with mf.connect(HIBERNATING) as socket:
            await run_in_durable_object(stub, set_up)
            assert await run_in_durable_object(stub, when) is None
            await mf.advance(12_000)
            await socket.send("ping")
            answered = mf.clock.now
            assert await socket.receive() == "pong"
            assert not [e for e in mf.trace.events[-3:] if e.kind == "start"]
            await socket.send("ping?")
            assert await socket.receive() == "ping? 1"
            return await run_in_durable_object(stub, when) == answered, await stub.log()

    assert with_room(scenario) == (True, ["message ping?"])


def test_a_handler_that_takes_longer_than_the_limit_is_cancelled() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await run_in_durable_object(
                stub, lambda _, ctx: ctx.setHibernatableWebSocketEventTimeout(10)
            )
            await socket.send("slow")
            await mf.advance(50)
            await socket.send("after")
            return await socket.receive(), await stub.log()

    assert with_room(scenario) == ("after 2", ["message slow", "message after"])


def test_a_close_wakes_the_object() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await mf.advance(12_000)
            await socket.close(4000, "bye")
            await mf.advance(20)
        return await stub.log(), await stub.lives(), await stub.count()

    lines = ["close 4000 bye True 2 1", "later 0"]
    assert with_room(scenario) == (lines, 2, 0)


# -- ends ----------------------------------------------------------------------------------


def test_a_socket_that_closes_is_listed_until_its_handler_first_waits() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.close()
            await mf.advance(20)
        return await stub.log()

    assert with_room(scenario) == ["close 1000  True 2 1", "later 0"]


@pytest.mark.parametrize(("reason", "code"), [("answer", 4000), ("", None)])
def test_a_hibernatable_socket_answers_a_close_frame_only_if_its_object_does(
    reason: str, code: int | None
) -> None:
    async def scenario(mf: Any, _: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.close(4000, reason)
            await mf.advance(20)
            return socket.close_code

    assert with_room(scenario, compatibility_date="2026-04-20") == code


@pytest.mark.parametrize(
    ("date", "state", "code"), [("2026-04-06", 2, None), ("2026-04-07", 3, 4000)]
)
def test_a_plain_socket_answers_a_close_frame_by_itself_since_2026_04_07(
    date: str, state: int, code: int | None
) -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(PLAIN) as socket:
            await socket.close(4000, "bye")
            await mf.advance(20)
            return await stub.log(), socket.close_code

    assert with_room(scenario, compatibility_date=date) == (
        [f"close 4000 bye True {state}"],
        code,
    )


def test_a_server_that_closes_hears_the_answer() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.send("close")
            with pytest.raises(WebSocketClosed, match="4001 enough"):
                await socket.receive()
            await mf.advance(20)
        return await stub.log()

    lines = ["message close", "1 2", "close 4001 enough True 3 1", "later 0"]
    assert with_room(scenario) == lines


def test_a_client_that_vanishes_is_an_unclean_close() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.drop()
            await mf.advance(20)
        return await stub.log()

    assert with_room(scenario) == [f"close 1006 {LOST} False 2 1", "later 0"]


@pytest.mark.parametrize("url", [HIBERNATING, PLAIN])
@pytest.mark.parametrize("end", ["abort", "crash"])
def test_a_reset_and_a_power_cut_drop_every_socket(url: str, end: str) -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(url) as socket:
            if end == "abort":
                with pytest.raises(JsException, match="why"):
                    await stub.fail()
            else:
                await crash_durable_object(stub)
            with pytest.raises(WebSocketClosed) as caught:
                await socket.receive()
        again = mf.get_durable_object_namespace("ROOMS").getByName("a")
        return caught.value.code, caught.value.reason, await again.count()

    async def fail(self: Any) -> None:
        self.ctx.abort("why")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Room, "fail", fail, raising=False)
        assert with_room(scenario) == (1006, LOST, 0)


def test_a_message_above_the_limit_ends_the_connection() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            await socket.send("x" * 101)
            with pytest.raises(WebSocketClosed, match="1009 Message is too large"):
                await socket.receive()
            await mf.advance(20)
        return await stub.log(), await stub.count()

    limits = {"profile": "paid", "websocket_message_bytes_max": 100}
    text = "WebSocket protocol error; protocolError.statusCode = 1009; "
    text += "protocolError.description = Message is too large"
    assert with_room(scenario, limits=limits) == ([f"error Error: {text} 2"], 0)


# -- faults --------------------------------------------------------------------------------


def test_a_late_message_holds_back_those_behind_it() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            mf.faults.add(faults.latency(500, operation="websocket.message", key="a"))
            late = asyncio.ensure_future(socket.send("a"))
            await asyncio.sleep(0)
            await socket.send("b")
            await late
            return await stub.log()

    assert with_room(scenario) == ["message a", "message b"]


def test_a_message_that_fails_on_its_way_breaks_the_connection() -> None:
    async def scenario(mf: Any, stub: Any) -> Any:
        async with mf.connect(HIBERNATING) as socket:
            mf.faults.add(faults.error(operation="websocket.message", key="a 1"))
            await socket.send("a")
            with pytest.raises(WebSocketClosed, match="1006"):
                await socket.receive()
            await mf.advance(20)
        return await stub.log()

    lines = ["message a", f"close 1006 {LOST} False 2 1", "later 0"]
    assert with_room(scenario) == lines


def test_two_runs_of_a_conversation_have_one_trace() -> None:
    async def scenario(mf: Any, _: Any) -> Any:
        async with mf.connect(HIBERNATING) as one, mf.connect(PLAIN) as other:
            for word in ("a", "b"):
                await one.send(word)
                await other.send(word)
            await mf.advance(20_000)
            await one.send("c")
        return mf.trace.digest()

    assert with_room(scenario) == with_room(scenario)
