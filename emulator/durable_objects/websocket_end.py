"""Ends: the two ends of a WebSocket connection, and what travels between them.

Promises: what one end says arrives at the other in the order in which it was said, however
late; it goes by the corridor, so the output gate holds it and faults may meet it; what
nobody hears yet waits. A frame that fails on its way breaks the connection, as a lost
packet does in TCP. Leaves to others: who holds an end, and what a frame means to him.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, final

from emulator.durable_objects.context import TRAVEL_MS
from emulator.simulation.rules import Operation

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from emulator.durable_objects.context import IoContext
    from emulator.simulation.handles import SimulationFuture

__all__ = ["LOST", "NO_CODE", "TOO_LARGE", "End", "Frame"]

#: A Close frame without a code reads as this one (RFC 6455, 7.1.5).
NO_CODE: Final = 1005
#: Characters of a message that the trace shows.
_SHOWN_MAX: Final = 80


class Frame(NamedTuple):
    """One thing that travels.

    Attributes:
        kind: "message", "close", "lost" or "error".
        data: The text or the bytes of a message; the text of an error.
        code: Why it closes.
        reason: The same in words.
    """

    kind: str
    data: str | bytes = ""
    code: int = NO_CODE
    reason: str = ""

    @property
    def told(self) -> str:
        """What it says, in short."""
        if self.kind != "message":
            return f"{self.code} {self.reason}".rstrip()
        if isinstance(self.data, bytes):
            return f"{len(self.data)} bytes"
        is_short = len(self.data) <= _SHOWN_MAX
        return self.data if is_short else f"{self.data[:_SHOWN_MAX]}..."


#: The connection broke: what the other side reads (measured on workerd).
LOST: Final = Frame(
    "lost", code=1006, reason="WebSocket disconnected without sending Close frame."
)
#: A message above the limit came from the network (measured on workerd).
TOO_LARGE: Final = Frame(
    "error",
    "WebSocket protocol error; protocolError.statusCode = 1009; "
    "protocolError.description = Message is too large",
)


@final
class End:
    """One end.

    Args:
        outside: The context of test code in the world of the connection.
        options: Those of the world that made it (WorldOptions).

    Attributes:
        peer: The other end.
        is_given: It was handed over in a Response.
        is_held: Somebody has accepted it.
        has_closed: Its Close frame has been sent, or it is broken.
        is_closed: The other end's Close frame has come, or it is broken.
        is_lost: It broke before its Close frame was sent, or somebody else holds it now: what
            is said is lost.
    """

    __slots__ = (
        "_lane", "_receive", "_waiting", "has_closed", "is_closed", "is_given", "is_held",
        "is_lost", "options", "outside", "peer",
    )  # fmt: skip

    def __init__(self, outside: IoContext, options: Any) -> None:
        self.outside = outside
        self.options = options
        self.peer: End = self
        #: Ours among the lanes of the loop, which outlives us.
        self._lane = object()
        self.is_given = False
        self.is_held = False
        self.has_closed = False
        self.is_closed = False
        self.is_lost = False
        self._waiting: list[Frame] = []
        self._receive: Callable[[Frame], None] | None = None

    @classmethod
    def pair(cls, outside: IoContext, options: Any) -> tuple[Self, Self]:
        """Two ends of one connection."""
        one, other = cls(outside, options), cls(outside, options)
        one.peer, other.peer = other, one
        return one, other

    def listen(self, receive: Callable[[Frame], None]) -> None:
        """Hand over every frame, those that wait first.

        Args:
            receive: Called on the platform's side, when a frame has arrived.
        """
        self.is_held = True
        self._receive = receive
        self._hand_on()

    def arrive(self, frame: Frame) -> None:
        """A frame has come."""
        if self._receive is None or self._waiting:
            self._waiting.append(frame)
        else:
            self._receive(frame)

    def _hand_on(self) -> None:
        """Each frame that waits is an event of its own, and ahead of all that come."""
        if self._waiting:
            loop = self.outside.loop
            loop.deliver(loop.clock.now_ms, self._hand_on_first)

    def _hand_on_first(self) -> None:
        assert self._receive is not None
        self._receive(self._waiting.pop(0))
        self._hand_on()

    def send(self, context: IoContext, frame: Frame) -> SimulationFuture:
        """Say something to the other end.

        Args:
            context: Who says it.
            frame: What.

        Returns:
            A future, done when it has arrived.
        """
        operation = Operation("WebSocket", f"websocket.{frame.kind}", frame.told)
        answer = context.carry(
            operation, lambda: self.peer.arrive(frame), lane=self._lane, is_subrequest=False
        )
        answer.add_done_callback(self._travelled, context=context.loop.platform_context)
        return answer

    def send_unasked(self, frame: Frame) -> None:
        """The same, said by the platform: no code runs for it, and no gate holds it."""
        loop, player = self.outside.loop, self.outside.simulation.player
        arrive: Callable[[], None] = partial(self.peer.arrive, frame)
        if player is not None:
            arrive = player.line_up(self._lane, arrive)
        loop.deliver(loop.clock.now_ms + TRAVEL_MS, arrive, lane=self._lane)

    def _travelled(self, answer: asyncio.Future[None]) -> None:
        if not answer.cancelled() and answer.exception() is not None:
            self.send_unasked(LOST)
            self.peer.send_unasked(LOST)

    def break_off(self) -> None:
        """Whoever holds this end is gone: nothing is said or heard here any more."""
        if self.has_closed and self.is_closed:
            return
        self.is_lost = not self.has_closed
        self.has_closed = self.is_closed = True
        self._receive = _ignore
        self.send_unasked(LOST)

    def __repr__(self) -> str:
        state = "closed" if self.has_closed and self.is_closed else "open"
        return f"<End {state}, {len(self._waiting)} waiting>"


def _ignore(frame: Frame) -> None:
    """Nobody is there."""
