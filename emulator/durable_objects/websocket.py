"""WebSocket: one end of a connection, as worker code holds it.

Promises: the members, states and refusals of workerd's WebSocket (its api/web-socket.c++;
texts measured); what comes is told as an event of the worker or object that called
`accept()`, one after the other; an error in a listener breaks the connection. Leaves to
others: what travels (the ends), hibernation (the websockets room).
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, final

from emulator.durable_objects.arguments import js_number, js_string, merged_options, wrong_type
from emulator.durable_objects.context import CURRENT, SECTION, current_context
from emulator.durable_objects.foreign_use import check_own
from emulator.durable_objects.websocket_end import LOST, NO_CODE, End, Frame
from emulator.errors import (
    DeadInstance,
    DurableObjectAbort,
    JsException,
    JsTypeError,
    WorldError,
)
from emulator.values import deserialize, serialize, undefined
from emulator.web.blob import Blob
from emulator.web.events import CloseEvent, ErrorEvent, MessageEvent
from emulator.web.js_object import JsArray, JsObject
from emulator.web.uint8_array import Uint8Array
from emulator.web.websocket import UpgradeSocket, check_close

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Context

    from emulator.durable_objects.websockets import HibernatableSocket
    from emulator.web.events import Event

__all__ = ["WebSocket", "WebSocketPair"]

#: Bytes of a serialised attachment (Cloudflare docs, WebSocket hibernation).
ATTACHMENT_BYTES_MAX: Final = 16_384

# Compatibility dates, from Cloudflare's list of compatibility flags.
_BLOBS_SINCE: Final = "2026-03-17"
_AUTO_REPLIES_SINCE: Final = "2026-04-07"


@final
class WebSocket(UpgradeSocket):
    """One end of a connection.

    Args:
        end: What it holds.
    """

    #: It does not cross a stub, not even by reference (measured).
    __rpc_passthrough__ = False

    READY_STATE_CONNECTING = CONNECTING = 0
    READY_STATE_OPEN = OPEN = 1
    READY_STATE_CLOSING = CLOSING = 2
    READY_STATE_CLOSED = CLOSED = 3

    def __init__(self, end: End) -> None:
        super().__init__()
        self._end = end
        self._context = end.outside
        #: Whose code made or accepted it, and alone may use it; None is anybody's.
        self._owner = CURRENT.get()
        self._scope: Context | None = None
        self._is_half_open = False
        self._has_failed = False
        #: Set when an object took it by `acceptWebSocket()`.
        self._hibernation: HibernatableSocket | None = None
        self._attachment: bytes | None = None
        date = end.options.compatibility_date
        self._auto_replies = date >= _AUTO_REPLIES_SINCE
        self._binary_type = "blob" if date >= _BLOBS_SINCE else "arraybuffer"
        self.url: str | None = None
        self.protocol = ""
        self.extensions = ""

    # -- state -----------------------------------------------------------------------------

    @property
    def readyState(self) -> int:
        """1 is open, 2 is closing (one side has closed), 3 is closed."""
        self.check_own()
        return self._state

    @property
    def _state(self) -> int:
        return 1 + self._end.has_closed + self._end.is_closed

    @property
    def binaryType(self) -> str:
        """What binary messages are told as: "blob" or "arraybuffer"."""
        return self._binary_type

    @binaryType.setter
    def binaryType(self, value: str) -> None:
        if value in ("blob", "arraybuffer"):  # Anything else is ignored, as in browsers.
            self._binary_type = value

    # -- what worker code does ---------------------------------------------------------------

    def accept(self, options: Any = None, **keywords: Any) -> None:
        """Hear what comes, in this worker or object. An object stays in memory for it.

        Args:
            options: `allowHalfOpen` keeps the runtime from answering a Close frame.
            keywords: The same.

        Raises:
            JsTypeError: If it was handed over in a Response, or is hibernatable.
        """
        given = merged_options(options, keywords, "accept", "WebSocket", 1, "AcceptOptions")
        self.check_own()
        if self._hibernation is not None:
            message = "Can't accept() WebSocket after enabling hibernation."
            raise JsTypeError(message)
        if self.is_accepted:
            return
        if self._end.is_held:
            message = "Can't accept() WebSocket that was already used in a response."
            raise JsTypeError(message)
        self._is_half_open = bool(given.get("allowHalfOpen"))
        self._scope = copy_context()
        self._context = context = current_context(self._end.outside)
        self._owner = context
        context.check_alive()
        context.sockets[self] = None
        self._end.listen(self._receive)

    def send(self, *message: Any) -> None:
        """Send a message.

        Args:
            message: Text or bytes; anything else is sent as its text.

        Raises:
            JsTypeError: Before `accept()` and after `close()`.
        """
        if not message:
            raise wrong_type("send", "WebSocket", 1, "ArrayBuffer or ArrayBufferView or string")
        self.check_own()
        if self._end.is_lost:
            return  # As browsers do.
        self._check_accepted()
        if self._end.has_closed:
            refusal = "Can't call WebSocket send() after close()."
            raise JsTypeError(refusal)
        data = message[0]
        if isinstance(data, bytes | bytearray | memoryview):
            data = bytes(data)
        else:
            data = "undefined" if data is undefined else js_string(data)
        self._end.send(current_context(self._end.outside), Frame("message", data))

    def close(self, code: Any = undefined, reason: Any = undefined) -> None:
        """Say that nothing more will be sent. Nothing happens the second time.

        Args:
            code: 1000 to 4999.
            reason: At most 123 bytes.

        Raises:
            JsTypeError: Before `accept()`.
            JsException: InvalidAccessError or SyntaxError, for what no frame can say.
        """
        self.check_own()
        number = None if code is undefined else _whole(code)
        text = None if reason is undefined else js_string(reason)
        check_close(number, text)
        if self._end.is_lost:
            return
        self._check_accepted()
        if self._end.has_closed:
            return
        self._close(
            Frame("close", code=NO_CODE if number is None else number, reason=text or "")
        )

    def serializeAttachment(self, *value: Any) -> None:
        """Keep a value with the connection; it outlives a hibernation.

        Args:
            value: Any structured-cloneable value, at most 16,384 bytes.

        Raises:
            JsException: If it is too large, or cannot be cloned.
        """
        if not value:
            raise wrong_type("serializeAttachment", "WebSocket", 1, "JsValue")
        enhanced = self._context.rpc_rules.has_enhanced_errors
        data = serialize(value[0], has_enhanced_errors=enhanced)
        if len(data) > ATTACHMENT_BYTES_MAX:
            message = (
                f"A WebSocket 'attachment' cannot be larger than {ATTACHMENT_BYTES_MAX} bytes."
                f"'attachment' was {len(data)} bytes."
            )
            raise JsException(message)
        self._attachment = data
        if self._hibernation is not None:
            self._hibernation.attachment = data

    def deserializeAttachment(self) -> Any:
        """A copy of the value that was last kept, or None."""
        return None if self._attachment is None else deserialize(self._attachment)

    def _check_accepted(self) -> None:
        if self._scope is None and self._hibernation is None:
            message = (
                "You must call one of accept() or state.acceptWebSocket() on this WebSocket "
                "before sending messages."
            )
            raise JsTypeError(message)

    def _close(self, frame: Frame) -> None:
        self._end.send(current_context(self._end.outside), frame)
        self._end.has_closed = True
        self._let_go()

    def _let_go(self, *, is_lost: bool = False) -> None:
        """Its worker or object need not stay for it any longer, if it has ended."""
        if self._end.is_closed and (self._end.has_closed or is_lost):
            context = self._context
            context.sockets.pop(self, None)
            if context.when_unhosted is not None:
                context.when_unhosted()

    # -- who holds it; not for worker code ---------------------------------------------------

    def check_own(self) -> None:
        """Refuse code of another request or object.

        Raises:
            JsException: The platform's.
        """
        check_own(self._owner, "Native")

    @property
    def end(self) -> End:
        """What it holds."""
        return self._end

    @property
    def hibernation(self) -> HibernatableSocket | None:
        """What an object has made of it by `acceptWebSocket()`."""
        return self._hibernation

    @property
    def attachment(self) -> bytes | None:
        """What is kept with the connection, serialised."""
        return self._attachment

    @property
    def is_accepted(self) -> bool:
        """Whether `accept()` was called, and the connection has not ended since."""
        return self._scope is not None and self._state < self.CLOSED

    def check_hibernatable(self) -> None:
        """Refuse to become hibernatable.

        Raises:
            JsException: If it, or its other end, is in somebody's hands already.
        """
        if self.is_accepted or self._hibernation is not None:
            message = (
                "Cannot call `acceptWebSocket()` if the WebSocket was already accepted via "
                "`accept()`"
            )
            raise JsException(message)
        peer = self._end.peer
        if peer.is_held or peer.is_given or self._end.is_held:
            message = (
                "Cannot call `acceptWebSocket()` on this WebSocket because its pair has "
                "already been accepted or used in a Response."
            )
            raise JsException(message)

    def hibernate(self, socket: HibernatableSocket) -> None:
        """An object has taken it: what comes is an event of the object."""
        self._hibernation = socket
        self._attachment = socket.attachment

    def handed_over(self) -> Self:
        """The end as the one who gets the Response holds it."""
        end = self._end
        spare = End(end.outside, end.options)
        if end.is_held:
            # It was accepted here, or handed over before: whoever gets it finds it broken
            # (measured).
            end.break_off()
            spare.arrive(LOST)
            end = spare
        else:
            # What is said on the one that stays here is lost, without a word (measured).
            spare.is_held = spare.is_lost = end.is_given = True
            self._end = spare
        other = type(self)(end)
        other._owner = None
        return other

    def lose(self) -> None:
        """Its worker or object is gone, without a word."""
        self._end.break_off()

    # -- what comes ----------------------------------------------------------------------------

    def _receive(self, frame: Frame) -> None:
        context = self._context
        if context.is_dead:
            return
        gate = context.input_gate
        if gate is None:
            self._tell_frame(frame)
        else:
            assert self._scope is not None
            gate.enter(self._scope.get(SECTION), partial(self._tell_frame, frame))

    def _tell_frame(self, frame: Frame) -> None:
        context, end = self._context, self._end
        if context.is_dead or end.is_closed:
            return
        if context.input_gate is not None:
            context.top_up()
        if frame.kind == "message":
            if context.world is not None:
                mark = context.world.usage.mark("websocket_message_bytes_max")
                mark.saw(len(frame.data), context.name)
            self._dispatch(MessageEvent(self._told(frame.data)))
        elif frame.kind == "error":
            self._fail(JsException(str(frame.data)))
        elif frame.kind == "lost":
            self._dispatch(CloseEvent(frame.code, frame.reason, was_clean=False))
            end.is_closed = end.is_lost = True
        else:
            end.is_closed = True
            if self._auto_replies and not self._is_half_open and not end.has_closed:
                end.send(context, frame)
                end.has_closed = True
            self._dispatch(CloseEvent(frame.code, frame.reason, was_clean=True))
        self._let_go(is_lost=frame.kind == "lost")

    def _told(self, data: str | bytes) -> Any:
        if isinstance(data, str):
            return data
        return Blob([data]) if self._binary_type == "blob" else Uint8Array(data)

    def _dispatch(self, event: Event) -> None:
        assert self._scope is not None
        try:
            self._tell(event, self._scope)
        except (DurableObjectAbort, DeadInstance):
            pass  # It has reset itself.
        except Exception as error:
            self._fail(error)

    def _uncaught(self, error: Exception) -> None:
        """What a listener raised, for those who read logs."""
        context = self._context
        text = f"{type(error).__name__}: {error}"
        context.simulation.trace.record("websocket.failed", context.name, error=text)
        if context.logs is not None:
            context.logs.write("ERROR", f"Uncaught {text}", context.name)

    def _fail(self, error: Exception) -> None:
        """An error of a listener, or of the protocol, ends the connection."""
        self._uncaught(error)
        self._end.break_off()
        self._let_go()
        if not self._has_failed:  # What a listener of this event raises is nobody's.
            self._has_failed = True
            self._dispatch(ErrorEvent(error))

    def __repr__(self) -> str:
        state = ("CONNECTING", "OPEN", "CLOSING", "CLOSED")[self._state]
        return f"<WebSocket {state}>"


@final
class WebSocketPair(JsObject):
    """Two ends of one connection: one to hand over, one to keep.

    `client, server = WebSocketPair.new().object_values()`, as under Pyodide.

    Raises:
        WorldError: Outside of worker code.
    """

    def __init__(self) -> None:
        context = CURRENT.get()
        if context is None:
            message = (
                "a WebSocketPair is made by worker code; a test connects with "
                "`async with mf.connect(url) as socket:`"
            )
            raise WorldError(message)
        world = context.world
        one, other = End.pair(world.outside, world.options)
        self._sockets = (WebSocket(one), WebSocket(other))

    @classmethod
    def new(cls) -> WebSocketPair:
        """JavaScript's constructor."""
        return cls()

    def object_values(self) -> JsArray:
        """The two WebSockets."""
        return JsArray(self._sockets)

    def object_keys(self) -> JsArray:
        """Their names."""
        return JsArray(("0", "1"))

    def object_entries(self) -> JsArray:
        """Names and WebSockets."""
        return JsArray(JsArray((str(n), s)) for n, s in enumerate(self._sockets))

    def __getitem__(self, index: int | str) -> WebSocket:
        return self._sockets[int(index)]

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self._sockets)

    def __repr__(self) -> str:
        return "<WebSocketPair>"


def _whole(value: Any) -> int:
    """What workerd makes of a number: its whole part, and 0 of what is none."""
    try:
        return int(js_number(value))
    except (ValueError, OverflowError):
        return 0
