"""The WebSocket client of the real runtime: the driver's socket, under the emulator's names.

Promises: the same client as in a simulated world (`WebSocketClient`), over a real
connection. Leaves to others: the socket itself (sockets.mjs).
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, final

import httpx

from emulator.errors import UpgradeRefused
from emulator.http.websocket_client import WebSocketClient, refused
from emulator.workerd.wire import decode_error

if TYPE_CHECKING:
    import asyncio

    from emulator.workerd.world import World

__all__ = ["RealConnection", "open_socket", "upgrade"]


@final
class RealConnection:
    """One socket that the driver holds.

    Args:
        world: Whose worker is at the other end.
        number: The driver's name of it.
        name: Of the connection, for errors.
    """

    def __init__(self, world: World, number: str, name: str) -> None:
        self._world = world
        self._number = number
        self.client = WebSocketClient(self, name)

    def check_usable(self) -> None:
        """Refuse to be used after the end of the world."""
        self._world.check_open()

    async def send(self, message: str | bytes) -> None:
        """Send a message."""
        is_text = isinstance(message, str)
        await self._say({"text": message} if is_text else {"base64": _base64(message)})

    async def close(self, code: int | None, reason: str) -> None:
        """Send a Close frame."""
        if not self._world.is_disposed:
            await self._say({"code": code, "reason": reason})

    async def drop(self) -> None:
        """Break off."""
        await self._say({"drops": True})

    def future(self, waits_for: str) -> asyncio.Future[None]:
        """A future of the loop."""
        return self._world.loop.create_future()

    async def _say(self, word: dict[str, Any]) -> None:
        await self._world.ask_about_sockets(f"/{self._number}", word)

    def take(self, event: dict[str, Any]) -> None:
        """Something came on the socket."""
        if "text" in event:
            self.client.heard(event["text"])
        elif "base64" in event:
            self.client.heard(b64decode(event["base64"]))
        else:
            self.client.ended(event["code"], event["reason"])


async def open_socket(world: World, request: httpx.Request) -> WebSocketClient:
    """Open a WebSocket to the world's worker.

    Args:
        world: A running one.
        request: What is asked; its URL is the worker's.

    Raises:
        JsException: What the worker's handler threw.
        UpgradeRefused: If the answer is no WebSocket.
    """
    await world.faults.arrive()
    own = {"amber-token": world.token, "amber-url": str(request.url)}
    if world.faults.is_asked:
        own["amber-rules"] = "1"
    # What the handshake says is the socket's own business.
    given = [
        (name.lower(), value)
        for name, value in request.headers.multi_items()
        if name.lower() not in {*own, "connection", "upgrade", "content-length"}
    ]
    answer = await world.ask_about_sockets(
        "", {"path": request.url.raw_path.decode(), "headers": [*given, *own.items()]}
    )
    response = httpx.Response(
        answer.get("status", 101),
        headers=[(name, value) for name, value in answer["headers"]],
        content=b64decode(answer.get("body", "")),
        request=request,
    )
    if "id" not in answer:
        if response.headers.get("amber-outcome") == world.token:
            thrown = decode_error(json.loads(response.content))
            thrown.remote = False
            raise thrown
        raise refused(response)
    connection = RealConnection(world, answer["id"], str(request.url))
    connection.client.response = response
    world.add_socket(answer["id"], connection)
    return connection.client


async def upgrade(world: World, request: httpx.Request) -> httpx.Response:
    """The answer to a request for a WebSocket, which carries the client as an extension."""
    try:
        client = await open_socket(world, request)
    except UpgradeRefused as error:
        response: httpx.Response = error.response
        return response
    client.response.extensions["websocket"] = client
    return client.response


def _base64(message: str | bytes) -> str:
    assert isinstance(message, bytes)
    return b64encode(message).decode()
