"""WebSockets of an object: those that outlive its instances, by hibernation.

Promises: a WebSocket taken by `ctx.acceptWebSocket()` stays connected while its object is
evicted; what comes on it starts a new instance and is an event there, through the input
gate, in the order of each socket; its tags and its attachment are kept; what the object
answers automatically wakes nobody. A reset or a power cut drops all of them. As workerd's
io/hibernation-manager.c++; texts and orders measured. Leaves to others: what travels (the
ends), the members of a WebSocket.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import js_number, js_string
from emulator.durable_objects.events import outcome_of
from emulator.durable_objects.relaxed_call import relaxed_call
from emulator.durable_objects.websocket import WebSocket
from emulator.durable_objects.websocket_end import Frame
from emulator.errors import JsException, JsRangeError, JsTypeError
from emulator.simulation.awaitables import is_awaitable
from emulator.values import undefined
from emulator.web.js_object import JsObject
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.durable_objects.record import ObjectRecord
    from emulator.durable_objects.websocket_end import End

__all__ = [
    "HibernatableSocket",
    "HibernatableSockets",
    "WebSocketRequestResponsePair",
    "event_timeout_ms",
]

# Cloudflare docs, Durable Objects, WebSocket hibernation; texts measured.
TAGS_MAX: Final = 10
TAG_LENGTH_MAX: Final = 256
SOCKETS_MAX: Final = 32_768
EVENT_TIMEOUT_MS_MAX: Final = 604_800_000
AUTO_RESPONSE_BYTES_MAX: Final = 2_048
_UINT32_MAX: Final = 2**32 - 1


@final
class WebSocketRequestResponsePair(JsObject):
    """A text, and what is answered to it without waking the object.

    Args:
        texts: The request and the response.

    Raises:
        JsTypeError: If one is missing.
    """

    def __init__(self, *texts: object) -> None:
        if len(texts) < 2:
            message = (
                "Failed to construct 'WebSocketRequestResponsePair': constructor parameter "
                f"{len(texts) + 1} is not of type 'string'."
            )
            raise JsTypeError(message)
        self._texts = (js_string(texts[0]), js_string(texts[1]))

    @classmethod
    def new(cls, *texts: object) -> WebSocketRequestResponsePair:
        """JavaScript's constructor."""
        return cls(*texts)

    @property
    def request(self) -> str:
        """What is answered."""
        return self._texts[0]

    @property
    def response(self) -> str:
        """The answer."""
        return self._texts[1]

    def check(self) -> None:
        """Refuse texts that are too long.

        Raises:
            JsRangeError: If one is over 2,048 bytes.
        """
        for what, text in zip(("request", "response"), self._texts, strict=True):
            size_bytes = len(text.encode("utf-8", "replace"))
            if size_bytes > AUTO_RESPONSE_BYTES_MAX:
                message = (
                    f"{what.capitalize()} cannot be larger than {AUTO_RESPONSE_BYTES_MAX} "
                    f"bytes. A {what} of size {size_bytes} was provided."
                )
                raise JsRangeError(message)

    def __repr__(self) -> str:
        return f"<WebSocketRequestResponsePair {self.request!r} {self.response!r}>"


@final
class HibernatableSocket:
    """One WebSocket that an object has taken.

    Attributes:
        end: What it holds.
        tags: By which the object finds it, in the order given.
        attachment: What the object keeps with it, serialised.
        auto_response_ms: When it was last answered automatically, epoch milliseconds.
        view: The WebSocket as the running instance has it.
    """

    __slots__ = ("attachment", "auto_response_ms", "end", "tags", "view")

    def __init__(self, end: End, tags: tuple[str, ...], view: WebSocket) -> None:
        self.end = end
        self.tags = tags
        self.attachment = view.attachment
        self.auto_response_ms: int | None = None
        self.view: WebSocket | None = view

    def websocket(self) -> WebSocket:
        """The WebSocket; a new one after a hibernation."""
        if self.view is None:
            self.view = WebSocket(self.end)
            self.view.hibernate(self)
        return self.view


@final
class HibernatableSockets:
    """The hibernatable WebSockets of one object.

    Args:
        record: The object.

    Attributes:
        auto_response: What is answered without waking the object.
        event_timeout_ms: How long an event may run; None is no limit.
    """

    def __init__(self, record: ObjectRecord) -> None:
        self._record = record
        self._sockets: dict[HibernatableSocket, None] = {}
        self.auto_response: WebSocketRequestResponsePair | None = None
        self.event_timeout_ms: int | None = None

    def accept(self, websocket: WebSocket, tags: tuple[str, ...]) -> None:
        """Take a WebSocket.

        Args:
            websocket: One that is not accepted yet.
            tags: By which it is found.

        Raises:
            JsException: If it cannot be taken, or there are too many, or tags that are.
        """
        websocket.check_hibernatable()
        if len(self._sockets) >= SOCKETS_MAX:
            message = (
                f"only {SOCKETS_MAX} websockets can be accepted on a single Durable Object "
                "instance"
            )
            raise JsException(message)
        # Duplicates collapse, the order stays; one beyond the last place is one too many.
        distinct: dict[str, None] = {}
        for tag in tags:
            if len(distinct) >= TAGS_MAX:
                message = f"a Hibernatable WebSocket cannot have more than {TAGS_MAX} tags"
                raise JsException(message)
            if len(tag.encode("utf-8", "replace")) > TAG_LENGTH_MAX:
                message = (
                    f'"{tag}" is longer than the max tag length ({TAG_LENGTH_MAX} characters).'
                )
                raise JsException(message)
            distinct[tag] = None
        end = websocket.end
        socket = HibernatableSocket(end, tuple(distinct), websocket)
        websocket.hibernate(socket)
        self._sockets[socket] = None
        end.listen(lambda frame: self._arrived(socket, frame))

    def tagged(self, tag: str | None) -> Iterator[WebSocket]:
        """Those with a tag, in the order of acceptance; all of them the other way round."""
        if tag is None:
            return (socket.websocket() for socket in reversed(self._sockets))
        return (socket.websocket() for socket in self._sockets if tag in socket.tags)

    def hibernate(self) -> None:
        """The instance was evicted: the connections stay."""
        for socket in self._sockets:
            socket.view = None

    def drop(self) -> None:
        """The instance was reset, or has lost its power: so have the connections."""
        sockets, self._sockets = self._sockets, {}
        for socket in sockets:
            socket.end.break_off()

    # -- what comes ----------------------------------------------------------------------------

    def _arrived(self, socket: HibernatableSocket, frame: Frame) -> None:
        record = self._record
        is_last = frame.kind != "message"
        if socket not in self._sockets or socket.end.is_closed:
            return
        if not is_last:
            mark = record.kind.usage.mark("websocket_message_bytes_max")
            mark.saw(len(frame.data), record.name)
            if self._answers(socket, frame):
                return
        socket.end.is_closed = is_last
        socket.end.is_lost = frame.kind == "lost"
        instance = record.wake()
        name, arguments = _event(socket.websocket(), frame)

        async def handler(target: Any) -> None:
            if is_last:
                # It is listed until the handler first waits (measured).
                instance.at_turn_end(lambda: self._forget(socket))
            method = getattr(target, name, None)
            try:
                value = None if method is None else relaxed_call(method, *arguments)
                if is_awaitable(value):
                    await value
            except Exception as error:
                # It neither closes the socket nor resets the object (measured).
                self._tell_error(name, f"{type(error).__name__}: {error}")

        record.simulation.trace.record(name, record.name)
        answer = instance.websocket_event(handler, self.event_timeout_ms)
        # A reset rejects it, and nobody waits for it.
        answer.add_done_callback(outcome_of, context=instance.context.loop.platform_context)

    def _tell_error(self, name: str, text: str) -> None:
        record = self._record
        record.simulation.trace.record(f"{name}.failed", record.name, error=text)
        if record.instance is not None and record.instance.context.logs is not None:
            record.instance.context.logs.write("ERROR", f"{name} failed: {text}", record.name)

    def _forget(self, socket: HibernatableSocket) -> None:
        self._sockets.pop(socket, None)

    def _answers(self, socket: HibernatableSocket, frame: Frame) -> bool:
        pair, record = self.auto_response, self._record
        if pair is None or frame.data != pair.request:
            return False
        socket.auto_response_ms = record.simulation.clock.now_ms
        record.simulation.trace.record("websocket.autoResponse", record.name)
        if not socket.end.has_closed:
            socket.end.send_unasked(Frame("message", pair.response))
        return True

    def __repr__(self) -> str:
        return f"<HibernatableSockets {len(self._sockets)} of {self._record.name}>"


def event_timeout_ms(value: Any) -> int:
    """The limit that worker code sets for events, as workerd converts it.

    Raises:
        JsTypeError: If it is no number, or out of range.
        JsException: If it is over a week.
    """
    if value is None or value is undefined:
        return 0
    number = js_number(value)
    if not isfinite(number):
        message = "The value cannot be converted because it is not an integer."
        raise JsTypeError(message)
    if number < 0:
        message = (
            "The value cannot be converted because it is negative and this API expects a "
            "positive number."
        )
        raise JsTypeError(message)
    if number > _UINT32_MAX:
        message = f"Value out of range. Must be less than or equal to {_UINT32_MAX}."
        raise JsTypeError(message)
    if number > EVENT_TIMEOUT_MS_MAX:
        message = f"Event timeout should not exceed {EVENT_TIMEOUT_MS_MAX} ms."
        raise JsException(message)
    return int(number)


def _event(websocket: WebSocket, frame: Frame) -> tuple[str, tuple[Any, ...]]:
    """The handler's name and what it is handed."""
    if frame.kind == "message":
        data = frame.data
        return "webSocketMessage", (
            websocket,
            data if isinstance(data, str) else Uint8Array(data),
        )
    if frame.kind == "error":
        return "webSocketError", (websocket, JsException(str(frame.data)))
    return "webSocketClose", (websocket, frame.code, frame.reason, frame.kind == "close")
