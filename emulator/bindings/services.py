"""Services: a binding to something that answers requests.

Promises: `fetch` with Cloudflare's arguments, carried through the corridor, redirects
followed. Leaves to others: who answers (the world: a test's function, or another worker).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.context import IoContext, current_context
from emulator.errors import JsException
from emulator.simulation.rules import Operation
from emulator.web.redirects import fetch_followed
from emulator.web.request import outgoing_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.simulation.handles import SimulationFuture
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["Service"]


@final
class Service:
    """One service binding.

    Args:
        handler: Answers a request.
        binding_name: The name under which the worker knows it.
        operation: What faults and the trace call a request, such as "service.fetch".
        outside: The context of callers that are not worker code.
    """

    def __init__(
        self,
        handler: Callable[[Request], Awaitable[Response]],
        *,
        binding_name: str,
        operation: str,
        outside: IoContext,
    ) -> None:
        self._handler = handler
        self._binding_name = binding_name
        self._operation = operation
        self._outside = outside

    def fetch(
        self, resource: str | Request, init: Any = None, **options: Any
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
        try:
            request = outgoing_request(resource, init, options)
        except JsException as error:
            return context.rejected(error)
        operation = Operation(self._binding_name, self._operation, request.url)

        return context.carry(operation, lambda: fetch_followed(request, self._handler))

    def __repr__(self) -> str:
        return f"<Service {self._binding_name}>"
