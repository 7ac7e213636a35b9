"""Sockets: WebSockets of programs, at the worker's end and at the object's.

Promises: whoever listens to an end is told everything that came to it, in order; what the
handlers of an object do lives outside of the object, as scripts of alarms do. Leaves to
others: running the ops (operations), the steps (interpreter).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, final
from weakref import WeakKeyDictionary

from emulator.conformance.tagged_values import error_facts
from emulator.errors import JsException
from emulator.values import JsDict
from emulator.web.blob import Blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.conformance.recorder import Call

__all__ = ["EventScript", "SocketEvent", "heard", "listen", "waited"]

_POLL_MS: Final = 5
_HEARD_MS_DEFAULT: Final = 2_000
#: What each end that somebody listens to has heard and not told yet.
_inboxes: WeakKeyDictionary[Any, list[list[Any]]] = WeakKeyDictionary()


async def waited(is_so: Callable[[], bool], ms_max: float) -> None:
    """Wait until it is so, or the time is over."""
    end_ms = _now_ms() + ms_max
    # As on workerd, where an event of an object cannot wake a request of the worker.
    while not is_so() and _now_ms() < end_ms:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_MS / 1000)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


# -- whoever holds an end ------------------------------------------------------------------


def listen(socket: Any) -> None:
    """Keep everything that comes to an end from now on, for `heard`."""
    inbox: list[list[Any]] = []

    def close(event: Any) -> None:
        inbox.append(["close", event.code, event.reason, event.wasClean])

    socket.addEventListener("message", lambda event: inbox.append(["message", event.data]))
    socket.addEventListener("close", close)
    socket.addEventListener("error", lambda event: inbox.append(["error", event.message]))
    _inboxes[socket] = inbox


async def heard(socket: Any, count: int, ms_max: float = _HEARD_MS_DEFAULT) -> list[Any]:
    """The next things that an end has heard.

    Args:
        socket: The end.
        count: So many, or fewer if they do not come in time.
        ms_max: How many milliseconds they have.
    """
    inbox = _inboxes.get(socket)
    if inbox is None:
        message = "nobody listens to this WebSocket"
        raise JsException(message)
    await waited(lambda: len(inbox) >= count, ms_max)
    told = inbox[:count]
    del inbox[:count]
    return [[await _shown(item) for item in event] for event in told]


async def _shown(item: Any) -> Any:
    if not isinstance(item, Blob):
        return item
    return JsDict(blob=await item.arrayBuffer())


# -- an object -----------------------------------------------------------------------------


@final
class SocketEvent:
    """One event of a WebSocket of an object.

    Args:
        handler: Who was called for it.
        call: Its ops.
        args: What the handler was handed beside the WebSocket, told.
    """

    __slots__ = ("args", "call", "handler", "outcome")

    def __init__(self, handler: str, call: Call, args: Any) -> None:
        self.handler = handler
        self.call = call
        self.args = args
        self.outcome: Any = "open"

    def told(self) -> dict[str, Any]:
        """What is known of it now."""
        return {
            "handler": self.handler,
            "args": self.args,
            "ops": self.call.outcome(),
            "outcome": self.outcome,
        }


@final
class EventScript:
    """What the handlers of one object do, from the step that says so to the next one.

    Args:
        bodies: By handler, the ops of its first run, of its second, ...; beyond them it does
            what it did last.
    """

    __slots__ = ("_bodies", "ended_count", "events")

    def __init__(self, bodies: dict[str, list[list[Any]]]) -> None:
        self._bodies = bodies
        self.events: list[SocketEvent] = []
        self.ended_count = 0

    @contextmanager
    def event(self, handler: str, call: Call, args: Any) -> Iterator[list[Any]]:
        """Tell what becomes of an event while the block runs, which gets its ops."""
        bodies = self._bodies.get(handler) or [[]]
        before = sum(event.handler == handler for event in self.events)
        event = SocketEvent(handler, call, args)
        self.events.append(event)
        try:
            yield bodies[min(before, len(bodies) - 1)]
        except Exception as error:
            event.outcome = {"error": error_facts(error)}
            raise
        else:
            event.outcome = "ok"
        finally:
            self.ended_count += event.outcome != "open"
