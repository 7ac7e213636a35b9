"""Laws of a test's end of a WebSocket."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from js import WebSocketPair
from workers import Response

import emulator
from emulator import faults
from emulator.errors import (
    ConfigurationError,
    JsException,
    SimulationDeadlock,
    UpgradeRefused,
    WebSocketClosed,
    WorldError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

URL = "http://localhost/"


async def echo(request: Any, env: Any, ctx: Any) -> Any:
    if request.headers.get("upgrade") is None:
        return Response("no upgrade", status=426)
    client, server = WebSocketPair.new().object_values()

    def heard(event: Any) -> None:
        if event.data == "close":
            server.close(4000, "enough")
        elif event.data == "twice":
            server.send("one")
            server.send("two")
            server.close(4000, "enough")
        else:
            server.send(event.data)

    server.binaryType = "arraybuffer"
    server.addEventListener("message", heard)
    server.accept()
    return Response(None, status=101, web_socket=client, headers={"x-who": "echo"})


def world() -> emulator.Miniflare:
    made = ModuleType("made")
    made.on_fetch = echo  # type: ignore[attr-defined]
    return emulator.Miniflare(worker=made, compatibility_date="2026-04-20")


def in_world(scenario: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with world() as mf:
            return await scenario(mf)

    return emulator.run(main)


@pytest.mark.parametrize("url", [URL, "ws://localhost/", "wss://localhost/"])
def test_what_is_sent_comes_back(url: str) -> None:
    async def scenario(mf: Any) -> Any:
        async with mf.connect(url) as socket:
            assert socket.response.status_code == 101
            assert socket.response.headers["x-who"] == "echo"
            await socket.send("text")
            await socket.send(bytearray(b"bytes"))
            return await socket.receive(), await socket.receive()

    assert in_world(scenario) == ("text", b"bytes")


def test_a_request_with_the_upgrade_header_opens_one_too() -> None:
    async def scenario(mf: Any) -> Any:
        response = await mf.dispatch_fetch(URL, headers={"Upgrade": "websocket"})
        async with response.extensions["websocket"] as socket:
            await socket.send("text")
            return response.status_code, await socket.receive()

    assert in_world(scenario) == (101, "text")


def test_a_conversation_takes_simulated_time_only() -> None:
    async def scenario(mf: Any) -> Any:
        async with mf.connect(URL) as socket:
            begun_ms = mf.clock.now_ms
            await socket.send("text")
            sent_ms = mf.clock.now_ms
            await socket.receive()
            return sent_ms - begun_ms, mf.clock.now_ms - sent_ms

    assert in_world(scenario) == (1, 1)


def test_an_iteration_ends_with_the_connection() -> None:
    async def scenario(mf: Any) -> Any:
        async with mf.connect(URL) as socket:
            await socket.send("twice")
            heard = [message async for message in socket]
            assert (socket.close_code, socket.close_reason) == (4000, "enough")
            with pytest.raises(WebSocketClosed, match=r"has ended \(4000 enough\)"):
                await socket.send("late")
            return heard

    assert in_world(scenario) == ["one", "two"]


def test_the_end_of_the_block_closes_it_and_closing_twice_does_nothing() -> None:
    async def scenario(mf: Any) -> Any:
        async with mf.connect(URL) as socket:
            pass
        await mf.advance(5)
        await socket.close(4001, "again")
        return socket.close_code, [e.facts["key"] for e in mf.trace.of_kind("websocket.close")]

    # The worker's runtime answers with a frame of its own.
    assert in_world(scenario) == (1000, ["1000", "1000"])


def test_a_code_that_no_frame_may_bear_is_refused() -> None:
    async def scenario(mf: Any) -> Any:
        async with mf.connect(URL) as socket:
            await socket.close(1006)

    with pytest.raises(JsException, match="Invalid WebSocket close code: 1006"):
        in_world(scenario)


def test_whoever_waits_for_nothing_is_told_where() -> None:
    async def scenario(mf: Any) -> Any:
        async with mf.connect(URL) as socket:
            await socket.receive()

    with pytest.raises(
        SimulationDeadlock, match="a message on the WebSocket http://localhost/"
    ):
        in_world(scenario)


def test_what_is_neither_text_nor_bytes_is_refused() -> None:
    async def scenario(mf: Any) -> Any:
        async with mf.connect(URL) as socket:
            await socket.send(5)

    with pytest.raises(ConfigurationError, match="text or bytes, got 5"):
        in_world(scenario)


def test_an_answer_that_is_no_websocket_is_told() -> None:
    async def refuse(request: Any, env: Any, ctx: Any) -> Any:
        return Response("no rooms here", status=404)

    async def main() -> Any:
        made = ModuleType("made")
        made.on_fetch = refuse  # type: ignore[attr-defined]
        async with emulator.Miniflare(worker=made) as mf, mf.connect(URL):
            pass

    text = "did not open a WebSocket, it answered 404 'no rooms here'"
    with pytest.raises(UpgradeRefused, match=text) as caught:
        emulator.run(main)

    assert caught.value.response.status_code == 404


def test_a_socket_does_not_outlive_its_world() -> None:
    async def main() -> Any:
        async with world() as mf:
            socket = await mf.connect(URL).__aenter__()
        with pytest.raises(WorldError, match="disposed"):
            await socket.send("late")
        with pytest.raises(WorldError, match="disposed"):
            await socket.receive()

    emulator.run(main)


def test_a_world_may_end_while_a_socket_is_open() -> None:
    async def main() -> Any:
        mf = await world().__aenter__()
        socket = await mf.connect(URL).__aenter__()
        await socket.send("text")
        return await socket.receive()

    assert emulator.run(main) == "text"


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("/chat", {}, r"connect needs an absolute URL .*, got '/chat'$"),
        (URL, {"protocols": ["a"]}, "connect has no option 'protocols'"),
    ],
)
def test_what_connect_refuses_it_refuses_by_its_own_name(
    url: str, options: dict[str, Any], told: str
) -> None:
    async def scenario(mf: Any) -> None:
        async with mf.connect(url, **options):
            pass

    with pytest.raises(ConfigurationError, match=told):
        in_world(scenario)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_hears_of_a_fault_as_of_a_lost_connection(when: Any) -> None:
    async def scenario(mf: Any) -> int | None:
        mf.faults.add(faults.error(op="websocket.message", after_effect=when == "after", nth=1))
        async with mf.connect(URL) as socket:
            with pytest.raises(WebSocketClosed, match=r"1006 Network connection lost\."):
                await socket.send("lost")
            async for _ in socket:
                pass
            return socket.close_code  # type: ignore[no-any-return]

    assert in_world(scenario) == 1006


def test_a_close_frame_that_gets_lost_is_no_error_of_the_client() -> None:
    async def scenario(mf: Any) -> int | None:
        mf.faults.add(faults.error(operation="websocket.close", nth=1))
        async with mf.connect(URL) as socket:
            await socket.close()
            with pytest.raises(WebSocketClosed):
                await socket.receive()
            return socket.close_code  # type: ignore[no-any-return]

    assert in_world(scenario) == 1006
