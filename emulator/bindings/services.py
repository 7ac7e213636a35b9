"""Services: a binding to something that answers requests.

Promises: `fetch` with Cloudflare's arguments, carried through the corridor, redirects
followed, and the methods of a WorkerEntrypoint. Leaves to others: who answers (the world:
a test's function, or another worker).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.arguments import wrong_type
from emulator.durable_objects.context import IoContext, current_context
from emulator.durable_objects.remote_properties import RemoteProperties
from emulator.durable_objects.rpc_call import rejected_call, send_call
from emulator.errors import JsException, JsTypeError
from emulator.simulation.rules import Operation
from emulator.values import undefined
from emulator.values.refusals import not_supported
from emulator.web.redirects import fetch_followed
from emulator.web.request import outgoing_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.rpc_call import RpcCall
    from emulator.durable_objects.rpc_promise import RpcPromise
    from emulator.simulation.handles import SimulationFuture
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["Service"]


@final
class Service(RemoteProperties):
    """One service binding.

    Args:
        handler: Answers a request.
        binding_name: The name under which the worker knows it.
        operation: What faults and the trace call a request, such as "service.fetch".
        is_external: It stands for what is not Cloudflare's.
        outside: The context of callers that are not worker code.
        rpc: Answers a call of a method; None has no methods.
    """

    __slots__ = (
        "_binding_name", "_handler", "_is_external", "_operation", "_outside", "_rpc",
    )  # fmt: skip

    __js_class__ = "Fetcher"
    __not_sent__ = __not_cloned__ = not_supported("Fetcher")

    def __init__(
        self,
        handler: Callable[[Request], Awaitable[Response]],
        *,
        binding_name: str,
        operation: str,
        is_external: bool,
        outside: IoContext,
        rpc: Callable[[RpcCall], SimulationFuture] | None = None,
    ) -> None:
        self._handler = handler
        self._binding_name = binding_name
        self._operation = operation
        self._is_external = is_external
        self._outside = outside
        self._rpc = rpc

    def fetch(
        self, resource: Any = undefined, init: Any = None, **options: Any
    ) -> SimulationFuture:
        """Send a request.

        Args:
            resource: An absolute URL, or a Request.
            init: Options of a Request made from a URL, as a dict.
            options: The same, as keywords.

        Returns:
            A future with the Response; what the service raises rejects it.
        """
        context = current_context(self._outside)
        if resource is undefined:
            return context.rejected(wrong_type("fetch", "Fetcher", 1, "Request or string"))
        try:
            request = outgoing_request(resource, init, options)
        except JsException as error:
            return context.rejected(error)
        operation = Operation(self._binding_name, self._operation, request.url)

        return context.carry(
            operation,
            lambda: fetch_followed(
                request,
                self._handler,
                lambda: context.count_hop(is_external=self._is_external),
            ),
            is_external=self._is_external,
            takes_connection=self._is_external,
        )

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> RpcPromise:
        rpc = self._rpc
        if rpc is None:
            message = f'The RPC receiver does not implement the method "{path[0]}".'
            error = JsTypeError(message, remote=True)
            error.add_note(
                f"{self._binding_name} is bound to a function, which answers requests only: "
                "bind it to a WorkerEntrypoint to call its methods"
            )
            return rejected_call(current_context(self._outside), error)
        return send_call(
            current_context(self._outside),
            Operation(self._binding_name, "service.rpc", ".".join(path)),
            rpc,
            (path, args, kwargs, is_call),
            lane=None,
        )

    def __repr__(self) -> str:
        return f"<Service {self._binding_name}>"
