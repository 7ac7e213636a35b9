"""Lifespan: an ASGI application's start and end.

Promises: the lifespan protocol of the ASGI specification, around one request, as
Cloudflare's package does it; an application that knows none is served without. Leaves to
others: the request (asgi).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, MutableMapping

__all__ = ["ASGI", "start_application"]

ASGI: Final = {"spec_version": "2.0", "version": "3.0"}

logger = logging.getLogger("asgi")


@final
class _Lifespan:
    """One start and one end of an application."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        loop = asyncio.get_running_loop()
        #: True once it has started, False if it knows no lifespan.
        self.started: asyncio.Future[bool] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()

    async def run(self) -> None:
        """Run the application's lifespan, whatever it does."""
        scope = {"asgi": ASGI, "state": self.state, "type": "lifespan"}
        try:
            await self._app(scope, self._inbox.get, self._send)
        except Exception as error:
            if not self.started.done():
                # By the specification such an application has no lifespan. It is logged, or
                # one that broke in its start would look the same.
                text = (
                    "ASGI lifespan task raised before reporting startup; treating the app as "
                    "not supporting lifespan"
                )
                logger.debug(text, exc_info=error)
            else:
                logger.exception("Exception in ASGI lifespan application")
        if not self.started.done():
            self.started.set_result(False)
        elif not self._ended.done():
            self._ended.set_result(None)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        phase, _, outcome = message["type"].removeprefix("lifespan.").partition(".")
        future: Any = {"startup": self.started, "shutdown": self._ended}.get(phase)
        if future is None or outcome not in ("complete", "failed"):
            raise RuntimeError(f"Unexpected lifespan event {message['type']}")
        if future.done():
            return
        if outcome == "complete":
            future.set_result(True if phase == "startup" else None)
        else:
            text = message.get("message") or f"ASGI lifespan {phase} failed"
            future.set_exception(RuntimeError(text))

    async def shutdown(self) -> None:
        """End it, if it was started."""
        if self.started.result():
            self._inbox.put_nowait({"type": "lifespan.shutdown"})
            await self._ended


async def start_application(
    app: Any, run_in_background: Callable[[Awaitable[Any]], Any] | None = None
) -> tuple[Callable[[], Coroutine[Any, Any, None]], dict[str, Any]]:
    """Start an application.

    Args:
        app: An ASGI application.
        run_in_background: Starts the task of its lifespan.

    Returns:
        How to end it, and the state that it has left for requests.

    Raises:
        RuntimeError: If it tells that it could not start.
    """
    lifespan = _Lifespan(app)
    (run_in_background or asyncio.ensure_future)(lifespan.run())
    await lifespan.started
    return lifespan.shutdown, lifespan.state
