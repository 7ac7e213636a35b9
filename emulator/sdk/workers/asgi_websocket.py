"""ASGI over a WebSocket: an application at the server's side of a pair.

Promises: messages to and from the application as the ASGI specification has them; when the
application ends, the WebSocket closes. Leaves to others: WebSockets (web).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emulator.sdk.environment import wait_until
from emulator.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

__all__ = ["serve"]


def serve(
    app: Any, scope: dict[str, Any], run_in_background: Callable[[Awaitable[Any]], Any]
) -> Response:
    """Open a pair, and run an application on its server's side.

    Args:
        app: An ASGI application.
        scope: Of the connection.
        run_in_background: Starts the task of the application.

    Returns:
        The Response with the client's side.
    """
    from emulator.sdk import js

    client, server = js.WebSocketPair.new().object_values()
    server.accept()
    server.binaryType = "arraybuffer"
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "websocket.connect"})
    is_closed_by_app = False

    def on_message(event: Any) -> None:
        data = event.data
        part = {"text": data} if isinstance(data, str) else {"bytes": bytes(data)}
        inbox.put_nowait({"type": "websocket.receive", **part})

    def on_close(event: Any) -> None:
        message = {"type": "websocket.disconnect", "code": event.code, "reason": event.reason}
        inbox.put_nowait(message)

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal is_closed_by_app
        if message["type"] == "websocket.send":
            for data in (message.get("bytes"), message.get("text")):
                if data is not None:
                    server.send(data)
        elif message["type"] == "websocket.close":
            is_closed_by_app = True
            server.close(message.get("code", 1000), message.get("reason", ""))

    def ended(task: asyncio.Future[Any]) -> None:
        if not is_closed_by_app:
            failed = not task.cancelled() and task.exception() is not None
            try:
                server.close(1011 if failed else 1000, "")
            except Exception:
                return  # The other side has closed it.

    server.addEventListener("message", on_message)
    server.addEventListener("close", on_close)
    task = run_in_background(app(scope, inbox.get, send))
    task.add_done_callback(ended)
    wait_until(task)
    return Response(None, status=101, web_socket=client)
