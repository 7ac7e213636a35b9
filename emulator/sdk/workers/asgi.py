"""ASGI: a FastAPI or Starlette application as a worker.

Promises: `asgi.fetch(app, request, env, ctx)` and `asgi.entrypoint(app)` of Cloudflare's
package, and what they do there: one lifespan around each request, `env` in the scope, bodies
that stream, work in the background kept by `wait_until`, plain `def` endpoints without a
thread. Leaves to others: the lifespan (lifespan), WebSockets' own classes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import unquote

from emulator.sdk.environment import wait_until
from emulator.sdk.workers.entrypoints import WorkerEntrypoint
from emulator.sdk.workers.gateway import BaseOptions
from emulator.sdk.workers.lifespan import ASGI, start_application
from emulator.sdk.workers.threads import run_sync_functions_inline
from emulator.simulation.runner import current_simulation
from emulator.web.response import Response
from emulator.web.transform import TransformStream
from emulator.web.url import URL

if TYPE_CHECKING:
    from collections.abc import Awaitable, MutableMapping

    from emulator.sdk.workers.types import Context
    from emulator.web.request import Request

__all__ = [
    "ASGI",
    "DEFAULT_OPTIONS",
    "NULL_BODY_STATUSES",
    "Options",
    "entrypoint",
    "fetch",
    "process_request",
    "process_websocket",
    "request_to_scope",
    "run_in_background",
    "start_application",
    "websocket",
]

#: Statuses whose response has no body (WHATWG Fetch).
NULL_BODY_STATUSES: Final = frozenset({101, 103, 204, 205, 304})

logger = logging.getLogger("asgi")


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """Options of the adapter; see `BaseOptions`."""


DEFAULT_OPTIONS: Final = Options()


def run_in_background(coro: Awaitable[Any]) -> asyncio.Future[Any]:
    """Start something that nobody awaits; its error is logged."""
    future = asyncio.ensure_future(coro)
    # Who has nobody that awaits him needs somebody who holds him.
    background: set[asyncio.Future[Any]] = current_simulation().attachments.setdefault(
        "asgi.background", set()
    )
    background.add(future)

    def ended(future: asyncio.Future[Any]) -> None:
        background.discard(future)
        error = None if future.cancelled() else future.exception()
        if error is not None:
            logger.error("Unhandled exception in background task", exc_info=error)

    future.add_done_callback(ended)
    return future


def request_to_scope(
    req: Request, env: Any, *, ws: bool = False, state: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The scope of a connection (the ASGI specification, HTTP and WebSocket).

    Args:
        req: What was asked.
        env: The worker's bindings, for `scope["env"]`.
        ws: Whether it asks for a WebSocket.
        state: What the lifespan has left; each request gets a shallow copy.
    """
    url = URL(req.url)
    scope: dict[str, Any] = {
        "asgi": ASGI,
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in req.headers.items()
        ],
        "http_version": "1.1",
        "method": str(req.method),
        "scheme": url.protocol[:-1],
        "path": unquote(url.pathname),
        "raw_path": url.pathname.encode(),
        "query_string": url.search[1:].encode(),
        "type": "websocket" if ws else "http",
        "env": env,
    }
    if state is not None:
        scope["state"] = dict(state)
    return scope


@final
class _Exchange:
    """One request and its response.

    Args:
        messages: What the application will receive, in order.
        options: Of the adapter.
    """

    def __init__(self, messages: list[dict[str, Any]], options: Options) -> None:
        self._messages = deque(messages)
        self._options = options
        self._status = 200
        self._headers: list[tuple[str, str]] = []
        self._writer: Any = None
        self._is_ended = asyncio.Event()
        #: The Response, once it has begun.
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    @property
    def is_streamed(self) -> bool:
        """Whether the body is written while it is read."""
        return self._writer is not None

    async def receive(self) -> dict[str, Any]:
        """The next message for the application."""
        if self._messages:
            return self._messages.popleft()
        await self._is_ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take a message of the application."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            # Pairs, since a name may repeat (Set-Cookie).
            headers = message.get("headers", ())
            self._headers = [(name.decode(), value.decode()) for name, value in headers]
        elif message["type"] == "http.response.body":
            await self._send_body(bytes(message.get("body", b"")), message.get("more_body"))

    async def _send_body(self, body: bytes, more_body: Any) -> None:
        if self._writer is None and more_body:
            stream = TransformStream()
            self._writer = stream.writable.getWriter()
            self._respond(stream.readable)
        if self._writer is None:
            self._respond(None if self._status in NULL_BODY_STATUSES else body)
            self._is_ended.set()
            return
        if body:
            await self._writer.write(body)
        if not more_body:
            await self._writer.close()
            self._is_ended.set()

    def _respond(self, body: Any) -> None:
        init = self._options.response_init()
        self.response.set_result(
            Response(body, status=self._status, headers=self._headers, **init)
        )

    def fail(self, error: Exception) -> None:
        """The application raised: tell the one who asked, or, if it is late, the log."""
        if not self.response.done():
            self.response.set_exception(error)
        else:
            logger.error("Exception in ASGI application after response started", exc_info=error)
            if self._writer is not None and not self._is_ended.is_set():
                # The body ends here, so that its reader does not wait for ever. Not awaited:
                # a body that nobody reads would never let this task end.
                run_in_background(_close_quietly(self._writer))
        self._is_ended.set()


async def _close_quietly(writer: Any) -> None:
    try:
        await writer.close()
    except Exception:
        logger.debug("Closing the response stream failed", exc_info=True)


async def _messages_of(req: Request) -> list[dict[str, Any]]:
    messages = []
    if req.body is not None:
        async for chunk in req.body:
            body = bytes(chunk)
            messages.append({"type": "http.request", "body": body, "more_body": True})
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    return messages


async def process_request(
    app: Any,
    req: Request,
    env: Any,
    ctx: Context | None = None,
    state: dict[str, Any] | None = None,
    options: Options = DEFAULT_OPTIONS,
) -> tuple[Response, asyncio.Future[None]]:
    """Ask an application.

    Returns:
        The Response, and the application's task: a body that streams is written by it.

    Raises:
        Exception: What the application raised before it answered.
    """
    exchange = _Exchange(await _messages_of(req), options)
    loop = asyncio.get_running_loop()

    async def run() -> None:
        try:
            scope = request_to_scope(req, env, state=state)
            await app(scope, exchange.receive, exchange.send)
            if not exchange.response.done():
                raise RuntimeError("The application did not generate a response")
        except Exception as error:
            # After the end of the simulation it only unwinds, which is nobody's failure.
            if loop.is_running():
                exchange.fail(error)

    task = asyncio.create_task(run())
    try:
        response = await exchange.response
    except Exception:
        await task
        raise
    # A whole response depends on nobody, so the application may end first, and with it the
    # work that it does in the background.
    if not exchange.is_streamed:
        await task
    return response, task


async def fetch(
    app: Any,
    req: Request,
    env: Any,
    ctx: Context | None = None,
    *,
    options: Options | None = None,
) -> Response:
    """Answer a request with an application.

    Args:
        app: An ASGI application.
        req: The request, as the handler was given it.
        env: `self.env`; the application finds it in `request.scope["env"]`.
        ctx: Taken, and not used, as in Cloudflare's package.
        options: Of the adapter.

    Raises:
        Exception: What the application raised before it answered, its lifespan included.
    """
    run_sync_functions_inline()
    logger.debug("ASGI request: %s %s", req.method, req.url)
    shutdown, state = await start_application(app, run_in_background)
    try:
        response, task = await process_request(
            app, req, env, ctx, state=state, options=options or DEFAULT_OPTIONS
        )
    except Exception:
        logger.exception("ASGI request failed")
        await shutdown()
        raise
    if task.done():
        await shutdown()
        return response

    async def finish() -> None:
        try:
            await task
        finally:
            await shutdown()

    wait_until(run_in_background(finish()))
    return response


async def process_websocket(app: Any, req: Request, env: Any = None) -> Response:
    """Open a WebSocket, and hand its server's side to an application."""
    from emulator.sdk.workers.asgi_websocket import serve

    scope = request_to_scope(req, {} if env is None else env, ws=True)
    return serve(app, scope, run_in_background)


async def websocket(app: Any, req: Request, env: Any = None) -> Response:
    """The same."""
    return await process_websocket(app, req, env)


def entrypoint(app: Any, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """The class `Default` of a worker that is an application and nothing else."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            if (request.headers.get("upgrade") or "").lower() == "websocket":
                return await websocket(app, request, self.env)
            return await fetch(app, request, self.env, self.ctx, options=options)

    return Default


def __getattr__(name: str) -> Any:
    if name == "env":
        # For FastAPI: `async def endpoint(env=asgi.env)`.
        import fastapi

        def env(request: fastapi.Request) -> Any:
            return request.scope["env"]

        # FastAPI reads the annotation by the names of this module.
        env.__annotations__["request"] = fastapi.Request
        return fastapi.Depends(env)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
