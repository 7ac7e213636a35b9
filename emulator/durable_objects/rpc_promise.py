"""RpcPromise: the answer to a call, which may be used before it is there.

Promises: what is called on it, or read of it, is sent at once and runs where the answer
is made, without waiting for the answer to travel (Cloudflare's Workers RPC, "Promise
pipelining"); awaiting it gives the answer, any number of times. Leaves to others: the
message (the call). The names of an asyncio future (`result`, `cancel`, ...) are its own:
await the answer to reach a method of such a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.context import CURRENT
from emulator.durable_objects.foreign_use import foreign_use
from emulator.durable_objects.remote_properties import RpcProperty, is_remote
from emulator.errors import JsException, copied
from emulator.simulation.handles import SimulationFuture
from emulator.simulation.rules import Operation
from emulator.values.refusals import not_supported
from emulator.web.js_object import JsObject

if TYPE_CHECKING:
    from collections.abc import Hashable

    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.rpc_call import RpcCall

__all__ = ["RpcPromise"]


@final
class RpcPromise(JsObject, SimulationFuture):
    """What a call on a stub returns."""

    __slots__ = ("_call", "_holder", "_is_disposed", "_lane", "_last")

    __not_sent__ = not_supported("RpcPromise")
    __not_cloned__ = "#<RpcPromise> could not be cloned."

    _call: RpcCall | None
    _holder: IoContext
    _is_disposed: bool
    _lane: Hashable
    #: What was called on it last.
    _last: RpcPromise

    def __getattr__(self, name: str) -> RpcProperty:
        if name in _OWN or not is_remote(name):
            raise AttributeError(name)
        return RpcProperty(self, (name,))

    def __call__(self, *args: Any, **kwargs: Any) -> RpcPromise:
        return self._send((), args, kwargs, is_call=True)

    def __dispose__(self) -> None:
        """Give up what the answer holds; calls that were made on it before still run."""
        if getattr(self, "_is_disposed", False) or self._call is None:
            return
        self._is_disposed = True
        call, last = self._call, getattr(self, "_last", self)
        if last.done():
            call.let_go_of_result()
        else:
            last.add_done_callback(
                lambda _: call.let_go_of_result(), context=self._holder.loop.platform_context
            )

    def __enter__(self) -> RpcPromise:
        return self

    def __exit__(self, *error: object) -> None:
        self.__dispose__()

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> RpcPromise:
        # Calls are answered by promises, and made on promises.
        from emulator.durable_objects.rpc_call import rejected_call, send_call

        context = CURRENT.get() or self._holder
        error = foreign_use(self._holder, "Client")
        if error is None and getattr(self, "_is_disposed", False):
            error = JsException("RPC promise used after being disposed.")
        if error is not None:
            return rejected_call(context, error)
        # Its error is told to whoever awaits what is made of it.
        self.add_done_callback(_seen, context=self._holder.loop.platform_context)
        parent = self._call
        name = ".".join(path)
        if parent is None:
            operation = Operation("", "object.rpc", name)
        else:
            key = f"{parent.operation.key}.{name}" if name else ""
            operation = parent.operation._replace(key=key)
        self._last = send_call(
            context,
            operation,
            lambda call: self._pipelined(call),
            (path, args, kwargs, is_call),
            lane=self._lane,
        )
        return self._last

    def _pipelined(self, call: RpcCall) -> SimulationFuture:
        """Run a call on the answer, where the answer is made."""
        parent = self._call
        made = self if parent is None or parent.answer is None else parent.answer
        outcome = SimulationFuture(loop=call.receiver.loop)

        def go_on(made: SimulationFuture) -> None:
            error = made.exception()
            if error is not None:
                call.drop()
                outcome.set_exception(
                    copied(error) if isinstance(error, JsException) else error
                )
                return
            call.run_on(made.result(), outcome)

        made.add_done_callback(go_on, context=call.receiver.loop.platform_context)
        return outcome


_OWN = frozenset(RpcPromise.__slots__) | frozenset(SimulationFuture.__slots__)


def _seen(promise: Any) -> None:
    """Asyncio notes that somebody has asked for the error."""
    if not promise.cancelled():
        promise.exception()
