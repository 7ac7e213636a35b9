"""Crossing: what becomes of a message's values when it goes from one worker to another.

Promises: data is copied; functions and RpcTargets become stubs, and a stub another stub of
the same thing; streams, Headers, Request and Response go along and are used up where they
came from; everything else is refused in the platform's words, and first of all in those of
Cloudflare's `workers` package, which sends it (rpc.py there). Leaves to others: streams
(the stream crossing).
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.foreign_use import foreign_use
from emulator.durable_objects.rpc_stub import Capability, RpcStub
from emulator.durable_objects.rpc_target import RpcTarget
from emulator.durable_objects.settled import Rejected, Settled
from emulator.durable_objects.stream_crossing import send_readable, send_writable
from emulator.errors import js_error
from emulator.simulation.handles import SimulationFuture
from emulator.values import refusal, structured_clone, undefined
from emulator.web.headers import Headers
from emulator.web.request import Request
from emulator.web.response import Response
from emulator.web.streams import ReadableStream, WritableStream

if TYPE_CHECKING:
    from emulator.durable_objects.context import IoContext
    from emulator.web.body import Body

__all__ = ["Crossing", "is_plain"]

_PLAIN = frozenset({str, int, bool, type(None), type(undefined)})
#: The platform's own promises; whatever else can be awaited is Python's.
_PROMISES = (SimulationFuture, Settled, Rejected)

#: With workerd's own spelling.
_BAD_DUP = (
    "Couldn't create a stub for the RcpTarget because it has a dup() method which did not "
    "return another RpcTarget. Either remove the dup() method or make sure it returns an "
    "RpcTarget."
)


def is_plain(value: object) -> bool:
    """Whether a value is on the other side what it is on this."""
    return type(value) in _PLAIN


@final
class Crossing:
    """One message between two contexts.

    Args:
        sender: Where it comes from.
        receiver: Where it goes; None is not known before it arrives.
        moves: Stubs in it are no longer the sender's.
    """

    __slots__ = ("_given", "_moves", "_receiver", "_sender", "_stubs")

    def __init__(
        self, sender: IoContext, *, receiver: IoContext | None = None, moves: bool = False
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._moves = moves
        self._stubs: list[RpcStub] = []
        self._given: list[RpcStub] = []

    @property
    def has_references(self) -> bool:
        """Whether stubs go along."""
        return bool(self._stubs)

    def copy(self, value: Any) -> Any:
        """The value as the receiver gets it.

        Raises:
            JsException: If something in it cannot cross.
            TypeError: For what Cloudflare's `workers` package refuses to send.
        """
        try:
            rules = self._sender.rpc_rules
            copy = structured_clone(
                value,
                for_storage=False,
                transfer=self._transfer,
                has_enhanced_errors=rules.has_enhanced_errors,
            )
        except BaseException:
            self.let_go()
            raise
        if self._moves:
            for stub in self._given:
                stub.let_go()
        return copy

    def arrive(self, receiver: IoContext) -> None:
        """The message has arrived: the stubs in it are the receiver's."""
        for stub in self._stubs:
            stub._arrive(receiver)

    def let_go(self) -> None:
        """The stubs in it are not needed any more."""
        for stub in self._stubs:
            stub.let_go()

    def _transfer(self, value: Any) -> Any:
        if isinstance(value, RpcStub):
            error = foreign_use(value._holder, "Client")
            if error is not None:
                raise error
            self._given.append(value)
            if value._is_disposed:
                return value.dup()
            return self._stub(value._capability)
        not_sent = getattr(type(value), "__not_sent__", None)
        if not_sent is not None:
            raise js_error("DataCloneError", not_sent)
        if isinstance(value, _PROMISES):
            raise refusal(value)
        if inspect.isawaitable(value):
            raise TypeError(f"Awaitable {type(value)} cannot be sent over RPC.")
        if isinstance(value, RpcTarget):
            return self._stub(Capability(self._sender, self._target(value)))
        if callable(value):
            return self._stub(Capability(self._sender, value))
        return self._web_object(value)

    def _target(self, value: RpcTarget) -> RpcTarget:
        """What the other side gets a stub of: what stays ours may have its own `dup`."""
        duplicate = None if self._moves else getattr(value, "dup", None)
        if duplicate is None:
            return value
        other = duplicate()
        if not isinstance(other, RpcTarget):
            raise js_error("DataCloneError", _BAD_DUP)
        return other

    def _stub(self, capability: Capability) -> RpcStub:
        stub = RpcStub.of(capability, self._receiver)
        self._stubs.append(stub)
        return stub

    def _web_object(self, value: Any) -> Any:
        if isinstance(value, Headers):
            return Headers(value)
        if isinstance(value, ReadableStream):
            return send_readable(value, self._sender, self._receiver)
        if isinstance(value, WritableStream):
            return send_writable(value, self._sender, self._receiver)
        if isinstance(value, (Request, Response)):
            socket = getattr(value, "web_socket", None)
            if socket is not None:
                raise refusal(socket)
            return self._with_body(value)
        raise refusal(value)

    def _with_body(self, value: Body) -> Body:
        other: Body = type(value).__new__(type(value))
        other.__dict__.update(value.__dict__)
        other.headers = Headers(value.headers)
        content = value._content
        if value.body_used or isinstance(content, ReadableStream):
            body = value.body
            assert body is not None
            other._set_content(send_readable(body, self._sender, self._receiver))
        else:
            other._set_content(value._take_over())
        return other
