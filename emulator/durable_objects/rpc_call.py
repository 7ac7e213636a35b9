"""RpcCall: one call on its way, and its answer.

Promises: a call is a message that was copied when it was made; what in it goes by reference
is the callee's until its method has returned; stubs, their answers and service bindings all
call by this one way. Leaves to others: the journey (the corridor), what a caller may reach
(the rpc room), what crosses and how (the crossing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.crossing import Crossing, is_plain
from emulator.durable_objects.rpc import carry_error, check_message_size, resolve
from emulator.durable_objects.rpc_promise import RpcPromise
from emulator.durable_objects.rpc_stub import RpcStub
from emulator.errors import JsException, JsTypeError
from emulator.simulation.awaitables import is_awaitable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from emulator.durable_objects.context import IoContext
    from emulator.simulation.handles import SimulationFuture
    from emulator.simulation.rules import Operation

    #: Property names, arguments, arguments by name, and whether it is called or read.
    Given = tuple[tuple[str, ...], tuple[Any, ...], dict[str, Any], bool]

__all__ = ["RpcCall", "rejected_call", "send_call"]


@final
class RpcCall:
    """One call, or one reading of a property.

    Args:
        receiver: Who called, and gets the answer.
        operation: What faults and the trace call it.
        given: What is called, and with what.

    Raises:
        JsException: If something in the arguments cannot cross, or they are too large.
        TypeError: For what Cloudflare's `workers` package refuses to send.

    Attributes:
        answer: The answer where it is made, ahead of its way back; None until the call has
            taken effect.
    """

    __slots__ = (
        "_crossing", "_result", "answer", "args", "is_call", "kwargs", "operation", "path",
        "receiver",
    )  # fmt: skip

    def __init__(self, receiver: IoContext, operation: Operation, given: Given) -> None:
        self.path, args, kwargs, self.is_call = given
        self.receiver = receiver
        self.operation = operation
        self.answer: SimulationFuture | None = None
        self._crossing: Crossing | None = None
        self._result: Crossing | None = None
        depth_max = receiver.rpc_rules.path_depth_max
        if depth_max is not None and len(self.path) > depth_max:
            refusal = f"RPC pipelined property path is too deep (max {depth_max})."
            raise JsTypeError(refusal)
        if all(map(is_plain, args)) and not kwargs:
            message: Any = list(args)
            self.args, self.kwargs = message, kwargs
        else:
            rules = receiver.rpc_rules
            crossing = Crossing(receiver, moves=not rules.dups_params)
            copy = crossing.copy([list(args), kwargs])
            self.args, self.kwargs = copy
            if crossing.has_references:
                self._crossing = crossing
            message = copy if kwargs else self.args
        try:
            check_message_size(message, receiver.rpc_rules, receiver.name)
        except JsException:
            self.drop()
            raise

    def drop(self) -> None:
        """The call is over, or never arrives: let go of what its arguments refer to."""
        if self._crossing is not None:
            self._crossing.let_go()

    async def run(self, target: object, host: IoContext, *, is_entrypoint: bool = False) -> Any:
        """Call the method, or read the property, as the code of its host.

        Args:
            target: Where the path begins.
            host: Where the target lives.
            is_entrypoint: The target is an object or a worker, which keep some names to
                themselves.

        Returns:
            A copy of the result.
        """
        crossing = self._crossing
        if crossing is not None:
            crossing.arrive(host)
        try:
            value, rest = resolve(target, self.path, is_entrypoint=is_entrypoint)
            if type(value) is RpcStub and (rest or self.is_call):
                sent = (tuple(self.args), self.kwargs)
                value = value._send(rest, *sent, is_call=self.is_call)
            elif self.is_call:
                self._check_callable(value)
                value = value(*self.args, **self.kwargs)
            if is_awaitable(value):
                value = await value
            return self._copied(value, host)
        finally:
            if crossing is not None:
                crossing.let_go()

    def run_on(self, value: Any, outcome: SimulationFuture) -> None:
        """Run on the answer to another call, where that was made.

        Args:
            value: The answer.
            outcome: Gets the result.
        """
        receiver = self.receiver
        try:
            found, rest = resolve(value, self.path, is_entrypoint=False)
            if type(found) is not RpcStub or not (rest or self.is_call):
                if self.is_call:
                    self._check_callable(None)
                self.drop()
                outcome.set_result(self._copied(found, receiver, moves=False))
                return
        except JsException as error:
            self.drop()
            enhanced = receiver.rpc_rules.has_enhanced_errors
            outcome.set_exception(carry_error(error, is_enhanced=enhanced))
            return
        self.path = rest
        answer = found._capability.start(self)

        def answered(answer: SimulationFuture) -> None:
            error = answer.exception()
            if error is None:
                outcome.set_result(answer.result())
            else:
                outcome.set_exception(error)

        answer.add_done_callback(answered, context=receiver.loop.platform_context)

    def _copied(self, value: Any, host: IoContext, *, moves: bool = True) -> Any:
        """A copy of the result, on its way back."""
        if is_plain(value):
            check_message_size(value, host.rpc_rules, host.name)
            return value
        crossing = Crossing(host, receiver=self.receiver, moves=moves)
        result = crossing.copy(value)
        try:
            check_message_size(result, host.rpc_rules, host.name)
        except JsException:
            crossing.let_go()
            raise
        self._result = crossing
        return result

    def let_go_of_result(self) -> None:
        """Nobody needs what the result refers to."""
        if self._result is not None:
            self._result.let_go()

    def _check_callable(self, value: Any) -> None:
        if not callable(value):
            message = f'"{".".join(self.path) or "(this)"}" is not a function.'
            raise JsTypeError(message)


def send_call(
    context: IoContext,
    operation: Operation,
    start: Callable[[RpcCall], SimulationFuture],
    given: Given,
    *,
    lane: Hashable,
    refusal: JsException | None = None,
) -> RpcPromise:
    """Send a call.

    Args:
        context: Who calls.
        operation: What faults and the trace call it.
        start: Runs it where it arrives.
        given: What is called, and with what.
        lane: Calls of one lane arrive in the order in which they were made.
        refusal: It does not leave, though its arguments are checked.

    Returns:
        The answer, or its refusal.

    Raises:
        TypeError: For what Cloudflare's `workers` package refuses to send.
    """
    try:
        call = RpcCall(context, operation, given)
    except JsException as error:
        return rejected_call(context, error)
    if refusal is not None:
        call.drop()
        return rejected_call(context, refusal)
    promise = RpcPromise(loop=context.loop)
    promise._call = call
    promise._holder = context
    promise._lane = lane

    def effect() -> SimulationFuture:
        call.answer = answer = start(call)
        return answer

    context.carry(operation, effect, lane=lane, answer=promise)
    if call._crossing is not None:
        # The call may have met a fault on its way, or the end of who was called.
        promise.add_done_callback(lambda _: call.drop(), context=context.loop.platform_context)
    return promise


def rejected_call(context: IoContext, error: JsException) -> RpcPromise:
    """The answer to a call that is refused before it leaves."""
    promise = RpcPromise(loop=context.loop)
    promise._call = None
    promise._holder = context
    promise._lane = None
    context.rejected(error, promise)
    return promise
