"""RpcStub: a function or an RpcTarget that lives elsewhere.

Promises: a call runs where the thing lives, as an event of its own; calls made on one stub
arrive in their order; when the last stub of a thing is disposed of, or the event or object
that held it has ended, the thing is told, at once and never by the garbage collector.
Leaves to others: carrying the message (the call), what in it crosses (the crossing). Rules
and texts are workerd's (worker-rpc.c++, measured).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.context import CURRENT, SECTION, IoContext
from emulator.durable_objects.foreign_use import foreign_use
from emulator.durable_objects.receiving import receive
from emulator.durable_objects.remote_properties import RemoteProperties
from emulator.errors import JsException, JsTypeError
from emulator.simulation.rules import Operation
from emulator.simulation.runner import current_simulation
from emulator.web.js_object import JsConstructor

if TYPE_CHECKING:
    from typing import Self

    from emulator.durable_objects.rpc_call import RpcCall
    from emulator.durable_objects.rpc_promise import RpcPromise
    from emulator.simulation.handles import SimulationFuture

__all__ = ["Capability", "RpcStub"]


@final
class Capability:
    """One thing that is reached by stubs, and how many hold it.

    Args:
        host: Where it lives.
        target: A function, or an RpcTarget.
    """

    __slots__ = ("_count", "_section", "host", "target")

    def __init__(self, host: IoContext, target: Any) -> None:
        self.host = host
        self.target = target
        self._section = SECTION.get()
        self._count = 0

    def hold(self) -> None:
        """One more stub, or call under way."""
        if self._count == 0:
            self.host.hosted_count += 1
        self._count += 1

    def release(self) -> None:
        """One less; the last one lets the target know."""
        self._count -= 1
        if self._count:
            return
        host = self.host
        host.hosted_count -= 1
        if host.is_over:
            return
        dispose = getattr(self.target, "__dispose__", None)
        if callable(dispose):

            async def tell() -> None:
                dispose()

            def told(answer: SimulationFuture) -> None:
                error = answer.exception()
                if error is not None:
                    host.simulation.trace.record("dispose.failed", host.name, error=str(error))

            receive(host, tell, self._section).add_done_callback(told)
        host.unhosted()

    def start(self, call: RpcCall) -> SimulationFuture:
        """Run a call that has arrived.

        Returns:
            A future with its answer.
        """
        self.hold()
        answer = receive(self.host, lambda: call.run(self.target, self.host), self._section)
        answer.add_done_callback(self._answered, context=self.host.loop.platform_context)
        return answer

    def _answered(self, _: SimulationFuture) -> None:
        self.release()


#: V8's words (measured).
_NO_NEW: Final = (
    "Failed to construct 'JsRpcStub': Please use the 'new' operator, this object constructor "
    "cannot be called as a function."
)


@final
class RpcStub(RemoteProperties):
    """A thing that lives elsewhere: call it, call its methods, or read its properties.

    `with stub:` disposes of it at the end of the block, `stub.__dispose__()` at once
    (JavaScript's `stub[Symbol.dispose]()`).

    Args:
        target: A function or RpcTarget of the running code, which reaches it by this stub
            as anybody else would.

    Raises:
        JsTypeError: If it is neither.
    """

    __slots__ = ("_capability", "_holder", "_is_disposed")

    __js_class__ = "RpcStub"
    __not_cloned__ = "#<RpcStub> could not be cloned."

    def __init__(self, target: Any) -> None:
        if not callable(target) and not getattr(type(target), "__workers_rpc__", False):
            message = (
                "Failed to construct 'JsRpcStub': constructor parameter 1 is not of type "
                "'JsObject'."
            )
            raise JsTypeError(message)
        context = CURRENT.get()
        if context is None:
            context = IoContext(current_simulation(), "test")
            context.is_outside = True
        self._set(Capability(context, target), context)

    @property
    def constructor(self) -> JsConstructor:
        """The class, which nobody may call without `new`."""
        return JsConstructor(self.__js_class__, _NO_NEW)

    @classmethod
    def of(cls, capability: Capability, holder: IoContext | None) -> RpcStub:
        """A stub of a thing. Not for workers.

        Args:
            capability: The thing.
            holder: Whose stub it is; None if it is still on its way.
        """
        stub = cls.__new__(cls)
        stub._set(capability, holder)
        return stub

    def _set(self, capability: Capability, holder: IoContext | None) -> None:
        self._capability = capability
        self._holder: IoContext | None = None
        self._is_disposed = False
        capability.hold()
        if holder is not None:
            self._arrive(holder)

    def _arrive(self, holder: IoContext) -> None:
        """The stub belongs to this context now, and ends with it."""
        self._holder = holder
        if holder.is_over:
            self.let_go()
        else:
            holder.held[self] = None

    def let_go(self) -> None:
        """Its holder is no more, or does not need it. Not for workers."""
        if not self._is_disposed:
            self._is_disposed = True
            if self._holder is not None:
                self._holder.held.pop(self, None)
            self._capability.release()

    def dup(self) -> RpcStub:
        """Another stub of the same thing, with a life of its own."""
        if self._is_disposed:
            disposed = RpcStub.__new__(RpcStub)
            disposed._capability, disposed._holder = self._capability, self._holder
            disposed._is_disposed = True
            return disposed
        return RpcStub.of(self._capability, CURRENT.get() or self._holder)

    def __dispose__(self) -> None:
        """Give it up. Nothing happens the second time."""
        self.let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.let_go()

    def __call__(self, *args: Any, **kwargs: Any) -> RpcPromise:
        return self._send((), args, kwargs, is_call=True)

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> RpcPromise:
        # Stubs travel in calls, and calls are made on stubs.
        from emulator.durable_objects.rpc_call import rejected_call, send_call

        context = CURRENT.get() or self._holder
        assert context is not None, "a stub in use has arrived"
        error = foreign_use(self._holder, "Client")
        if error is None and self._is_disposed:
            error = JsException("RPC stub used after being disposed.")
        if error is not None:
            return rejected_call(context, error)
        capability = self._capability
        capability.hold()
        name = ".".join(path) or "(this)"
        promise = send_call(
            context,
            Operation(capability.host.name, "stub.rpc", name, target=capability.host.name),
            capability.start,
            (path, args, kwargs, is_call),
            lane=self,
        )
        promise.add_done_callback(capability._answered, context=context.loop.platform_context)
        return promise

    def __repr__(self) -> str:
        state = "disposed" if self._is_disposed else f"of {self._capability.host.name}"
        return f"<RpcStub {state}>"
