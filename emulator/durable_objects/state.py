"""The state: `ctx`, what an object's constructor is handed.

Promises: the names of Cloudflare's DurableObjectState. Leaves to others: doing it (the
instance, the storage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, final

from emulator.durable_objects.arguments import js_string, merged_options, wrong_type
from emulator.durable_objects.foreign_use import check_own
from emulator.durable_objects.storage import DurableObjectStorage
from emulator.durable_objects.websocket import WebSocket
from emulator.durable_objects.websockets import WebSocketRequestResponsePair, event_timeout_ms
from emulator.errors import DurableObjectAbort, JsException
from emulator.simulation.handles import SimulationFuture
from emulator.values import undefined
from emulator.values.conversion import date_of_ms
from emulator.web.js_dict import JsDict
from emulator.web.js_object import JsArray

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.instance import Instance

__all__ = ["DurableObjectState"]

_ABORTED = "Application called abort() to reset Durable Object."


@final
class DurableObjectState:
    """The object's door to the runtime.

    Args:
        instance: The life it belongs to.
        object_id: The id by which it was reached.

    Attributes:
        id: The object's id; its `name` is known if the object was reached by a name of at
            most 1,024 bytes.
        storage: What survives this life.
    """

    def __init__(self, instance: Instance, object_id: DurableObjectId) -> None:
        self._instance = instance
        self.id = object_id.seen_inside()
        self.storage = DurableObjectStorage(instance, instance.record)
        #: What a caller that made the instance may hand it; nobody here does.
        self.props = JsDict()
        #: Containers are not emulated, and a class without one has none.
        self.container = None

    def waitUntil(self, *awaitable: Any) -> None:
        """Let work go on after the answer.

        Args:
            awaitable: What it raises neither fails the event nor resets the object.

        Raises:
            JsTypeError: If there is none.
        """
        if not awaitable:
            raise wrong_type("waitUntil", "DurableObjectState", 1, "Promise")
        self._instance.background.start(awaitable[0])

    def blockConcurrencyWhile(self, *callback: Callable[[], Any]) -> Awaitable[Any]:
        """Run `callback` while no other event may enter; its failure resets the object.

        Args:
            callback: Sync or async, without arguments. At most 30 s.

        Returns:
            A future with what the callback returns.
        """
        if not callback or not callable(callback[0]):
            future = SimulationFuture(loop=self._instance.context.loop)
            future.set_exception(
                wrong_type("blockConcurrencyWhile", "DurableObjectState", 1, "function")
            )
            return future
        return self._instance.critical_section(callback[0])

    def abort(
        self, reason: object = undefined, options: object = undefined, **keywords: Any
    ) -> NoReturn:
        """Reset the object at once: writes that are not yet committed are lost.

        Args:
            reason: What everybody who waits is told. None is no reason, as in Cloudflare's
                `workers` package; the local runtime, asked without it, says "null".
            options: `retryAlarm` false keeps a running alarm from being tried again
                (Cloudflare's changelog of 2026-08-25); the local runtime ignores it.

        Raises:
            DurableObjectAbort: Always; nothing of this instance runs after it.
            JsException: If it is another object's code that asks; then nothing happens.
        """
        check_own(self._instance.context, "ActorCacheInterface")
        is_local = self._instance.record.kind.limits.is_local
        given = merged_options(
            undefined if is_local else options,
            {} if is_local else keywords,
            "abort",
            "DurableObjectState",
            2,
            "AbortOptions",
        )
        has_reason = reason is not undefined and (is_local or reason is not None)
        message = js_string(reason) if has_reason else _ABORTED
        self._instance.reset(
            JsException(message), retries_alarm=bool(given.get("retryAlarm", True))
        )
        raise DurableObjectAbort(message)

    # -- WebSockets that hibernate -------------------------------------------------------------

    def acceptWebSocket(self, *arguments: Any) -> None:
        """Take a WebSocket that stays connected while the object is evicted.

        What comes on it is an event: `webSocketMessage(ws, message)`,
        `webSocketClose(ws, code, reason, was_clean)` and `webSocketError(ws, error)`.

        Args:
            arguments: One end of a WebSocketPair, and up to ten tags by which to find it.

        Raises:
            JsTypeError: If the arguments are not a WebSocket and a list.
            JsException: If one of its ends is in use, or a tag is too long.
        """
        websocket = _websocket(arguments, "acceptWebSocket")
        tags = arguments[1] if len(arguments) > 1 else undefined
        if tags is undefined:
            tags = ()
        if not isinstance(tags, list | tuple):
            raise wrong_type("acceptWebSocket", "DurableObjectState", 2, "Array")
        self._instance.record.websockets.accept(websocket, tuple(map(js_string, tags)))

    def getWebSockets(self, tag: object = undefined) -> list[WebSocket]:
        """The WebSockets taken by `acceptWebSocket()` that are not closed.

        Args:
            tag: Those with it only.
        """
        sockets = self._instance.record.hibernation
        if sockets is None:
            return JsArray()
        return JsArray(sockets.tagged(None if tag is undefined else js_string(tag)))

    def getTags(self, *arguments: Any) -> list[str]:
        """The tags with which a WebSocket was taken.

        Raises:
            JsException: If it was not taken by `acceptWebSocket()`.
        """
        websocket = _websocket(arguments, "getTags")
        websocket.check_own()
        if websocket.hibernation is not None:
            return JsArray(websocket.hibernation.tags)
        message = (
            "only hibernatable websockets can have tags."
            if websocket.is_accepted
            else "you must call 'acceptWebSocket()' before attempting to access the tags of a "
            "WebSocket."
        )
        raise JsException(message)

    def setWebSocketAutoResponse(self, pair: Any = undefined) -> None:
        """Answer a text without waking the object.

        Args:
            pair: A WebSocketRequestResponsePair; without one nothing is answered any more.

        Raises:
            JsTypeError: If it is something else.
            JsRangeError: If one of its texts is over 2,048 bytes.
        """
        if pair is undefined:
            self._instance.record.websockets.auto_response = None
            return
        if not isinstance(pair, WebSocketRequestResponsePair):
            raise wrong_type(
                "setWebSocketAutoResponse",
                "DurableObjectState",
                1,
                "WebSocketRequestResponsePair",
            )
        pair.check()
        self._instance.record.websockets.auto_response = pair

    def getWebSocketAutoResponse(self) -> WebSocketRequestResponsePair | None:
        """What `setWebSocketAutoResponse()` has set, or None."""
        sockets = self._instance.record.hibernation
        return None if sockets is None else sockets.auto_response

    def getWebSocketAutoResponseTimestamp(self, *arguments: Any) -> datetime | None:
        """When a WebSocket was last answered automatically, or None."""
        websocket = _websocket(arguments, "getWebSocketAutoResponseTimestamp")
        taken = websocket.hibernation
        if taken is None or taken.auto_response_ms is None:
            return None
        return date_of_ms(taken.auto_response_ms)

    def setHibernatableWebSocketEventTimeout(self, timeout_ms: Any = undefined) -> None:
        """Cancel the handlers of WebSocket events that take longer.

        Args:
            timeout_ms: At most 604,800,000; 0 or none is no limit.

        Raises:
            JsTypeError: If it is no number, or negative.
            JsException: If it is too long.
        """
        websockets = self._instance.record.websockets
        websockets.event_timeout_ms = event_timeout_ms(timeout_ms) or None

    def getHibernatableWebSocketEventTimeout(self) -> int | None:
        """What `setHibernatableWebSocketEventTimeout()` has set, or None."""
        sockets = self._instance.record.hibernation
        return None if sockets is None else sockets.event_timeout_ms

    def __repr__(self) -> str:
        return f"<DurableObjectState {self._instance.context.name}>"


def _websocket(arguments: tuple[Any, ...], method: str) -> WebSocket:
    """The first argument, which must be a WebSocket."""
    if not arguments or not isinstance(arguments[0], WebSocket):
        raise wrong_type(method, "DurableObjectState", 1, "WebSocket")
    return arguments[0]
