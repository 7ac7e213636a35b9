"""One body of each test about WebSockets, run on the emulator and on the real workerd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import UpgradeRefused, WebSocketClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WORKERS = Path(__file__).parent / "workers"
URL = "http://localhost/"


@pytest.fixture
def in_rooms(
    on_each: Callable[..., None], request: pytest.FixtureRequest
) -> Callable[..., None]:
    """Runs `body(mf)` in a world whose worker is the room."""
    suffix = ".mjs" if "workerd" in request.node.name else ".py"

    def run(body: Callable[[Any], Awaitable[None]]) -> None:
        on_each(
            body,
            script_path=WORKERS / f"rooms{suffix}",
            durable_objects={"ROOMS": "Room"},
            r2_buckets=[],
            d1_databases=[],
        )

    return run


def test_everybody_in_a_room_hears_what_is_said(in_rooms: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        async with (
            mf.connect(f"{URL}?who=ann", headers={"x-room": "blue"}) as ann,
            mf.connect("ws://localhost/?who=bob") as bob,
        ):
            assert ann.response.status_code == 101
            assert ann.response.headers["x-room"] == "blue"
            await ann.send("hello")
            assert await ann.receive() == await bob.receive() == "ann: hello"
            await bob.send("hé")
            assert await ann.receive() == "bob: hé"
            await bob.send(b"\0\xff")
            assert [await bob.receive(), await bob.receive()] == ["bob: hé", b"\0\xff"]

    in_rooms(body)


def test_what_was_said_before_anybody_listened_is_heard(in_rooms: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        async with mf.connect(f"{URL}greeted") as socket:
            assert await socket.receive() == "welcome"

    in_rooms(body)


def test_a_room_that_closes_ends_the_conversation(in_rooms: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        async with mf.connect(URL) as socket:
            await socket.send("one")
            await socket.send("close")
            assert [message async for message in socket] == ["nobody: one"]
            assert (socket.close_code, socket.close_reason) == (4001, "enough")
            with pytest.raises(WebSocketClosed):
                await socket.send("late")
        await mf.advance(50)
        assert (await mf.dispatch_fetch(f"{URL}log")).json() == [[4001, "enough", True]]

    in_rooms(body)


@pytest.mark.parametrize(
    ("end", "heard"),
    [
        (lambda socket: socket.close(4000, "bye"), [4000, "bye", True]),
        (lambda socket: socket.close(), [1000, "", True]),
        (lambda socket: socket.close(None), [1005, "", True]),
        (
            lambda socket: socket.drop(),
            [1006, "WebSocket disconnected without sending Close frame.", False],
        ),
    ],
    ids=["a code", "no reason", "no code", "a loss"],
)
def test_a_room_hears_how_a_client_went(
    in_rooms: Callable[..., None], end: Callable[[Any], Awaitable[None]], heard: list[Any]
) -> None:
    async def body(mf: Any) -> None:
        async with mf.connect(URL) as socket:
            await end(socket)
        await mf.advance(50)
        assert (await mf.dispatch_fetch(f"{URL}log")).json() == [heard]

    in_rooms(body)


def test_who_asks_for_a_websocket_and_gets_none_is_told(in_rooms: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(UpgradeRefused, match="answered 404 'no rooms here'") as caught:
            async with mf.connect(f"{URL}none"):
                pass
        assert caught.value.response.status_code == 404
        with pytest.raises(TypeError, match="boom"):
            async with mf.connect(f"{URL}boom"):
                pass

    in_rooms(body)


def test_a_request_with_the_upgrade_header_opens_one_too(in_rooms: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        headers = {"Upgrade": "websocket"}
        response = await mf.dispatch_fetch(URL, headers=headers)
        async with response.extensions["websocket"] as socket:
            await socket.send("hello")
            assert await socket.receive() == "nobody: hello"
        other = await mf.dispatch_fetch(f"{URL}none", headers=headers)
        assert (other.status_code, other.extensions.get("websocket")) == (404, None)

    in_rooms(body)
