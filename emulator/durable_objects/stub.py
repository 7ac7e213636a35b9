"""The stub: an object seen from outside.

Promises: calls made on stubs of one object are delivered in call order, `fetch` and RPC
each in their own; a stub whose instance was reset or lost stays broken and says why.
Creating a stub sends nothing. Leaves to others: which instance answers (the record), and
what may be called (the rpc room). Documented by Cloudflare, Durable Object stubs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.context import IoContext, current_context
from emulator.durable_objects.remote_properties import RemoteProperties
from emulator.durable_objects.rpc import check_message_size
from emulator.errors import JsException
from emulator.simulation.rules import Operation
from emulator.values import structured_clone
from emulator.web.request import outgoing_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.instance import Instance
    from emulator.durable_objects.namespace import DurableObjectNamespace
    from emulator.durable_objects.record import ObjectRecord
    from emulator.simulation.handles import SimulationFuture
    from emulator.web.request import Request

__all__ = ["DurableObjectStub"]


@final
class DurableObjectStub(RemoteProperties):
    """A client of one object. Obtained from its namespace.

    Attributes:
        id: The object's id.
        name: The name it was reached by, or None.
    """

    __slots__ = ("_instance", "_namespace", "_outside", "id", "name")

    def __init__(
        self,
        namespace: DurableObjectNamespace,
        object_id: DurableObjectId,
        outside: IoContext,
    ) -> None:
        self._namespace = namespace
        self._outside = outside
        #: The instance that last answered; when it broke, so did this stub.
        self._instance: Instance | None = None
        self.id = object_id
        self.name = object_id.name

    def fetch(
        self, resource: str | Request, init: Any = None, **options: Any
    ) -> SimulationFuture:
        """Send a request to the object's `fetch` handler.

        Args:
            resource: An absolute URL, or a Request.
            init: Options of a Request made from a URL, as a dict.
            options: The same, as keywords.

        Returns:
            A future with the Response; what the handler raises rejects it.
        """
        context = current_context(self._outside)
        try:
            request = outgoing_request(resource, init, options)
        except JsException as error:
            return context.rejected(error)
        operation = Operation(self._namespace.binding_name, "object.fetch", request.url)
        return self._carry(
            context, operation, lambda instance: instance.fetch(request), is_fetch=True
        )

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> SimulationFuture:
        context = current_context(self._outside)
        try:
            given: list[Any] = structured_clone([list(args), kwargs], for_storage=False)
            message = given if kwargs else given[0]
            check_message_size(message, self._namespace.kind.limits.rpc_bytes_max)
        except JsException as error:
            return context.rejected(error)
        operation = Operation(self._namespace.binding_name, "object.rpc", ".".join(path))
        return self._carry(
            context,
            operation,
            lambda instance: instance.rpc(path, given[0], given[1], is_call=is_call),
            is_fetch=False,
        )

    def _run_inside(self, name: str, function: Callable[..., Any]) -> SimulationFuture:
        """Run a test's function in the object, on the way of a request. Not for workers."""
        operation = Operation(self._namespace.binding_name, name)
        return self._carry(
            self._outside,
            operation,
            lambda instance: instance.run_inside(function),
            is_fetch=True,
        )

    @property
    def _record(self) -> ObjectRecord:
        """The object behind it. Not for workers."""
        return self._namespace.record(self.id)

    def _carry(
        self,
        context: IoContext,
        operation: Operation,
        send: Callable[[Instance], SimulationFuture],
        *,
        is_fetch: bool,
    ) -> SimulationFuture:
        namespace = self._namespace
        namespace.check_open()
        broken = self._instance.broken if self._instance is not None else None
        if broken is not None:
            return context.rejected(broken.as_seen(is_fetch=False))

        def effect() -> SimulationFuture:
            # The instance may have broken since the call was made.
            if self._instance is not None and self._instance.broken is not None:
                raise self._instance.broken.as_seen(is_fetch=is_fetch)
            self._instance = instance = self._record.wake(self.id)
            return send(instance)

        return context.carry(operation, effect, lane=namespace.lane(self.id, is_fetch))

    def __repr__(self) -> str:
        return f"<DurableObjectStub {self._namespace.name_of(self.id)}>"
