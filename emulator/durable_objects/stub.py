"""The stub: an object seen from outside.

Promises: calls made on stubs of one object are delivered in call order, `fetch` and RPC
each in their own; a stub whose instance was reset or lost stays broken and says why.
Creating a stub sends nothing. Leaves to others: which instance answers (the record), and
what may be called (the rpc room). Documented by Cloudflare, Durable Object stubs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.arguments import wrong_type
from emulator.durable_objects.context import CURRENT, IoContext, current_context
from emulator.durable_objects.foreign_use import foreign_use
from emulator.durable_objects.remote_properties import RemoteProperties
from emulator.durable_objects.rpc_call import rejected_call, send_call
from emulator.errors import JsException
from emulator.simulation.rules import Operation
from emulator.values import undefined
from emulator.values.refusals import not_supported
from emulator.web.redirects import followed
from emulator.web.request import outgoing_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.broken import Broken
    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.instance import Instance
    from emulator.durable_objects.namespace import DurableObjectNamespace
    from emulator.durable_objects.record import ObjectRecord
    from emulator.durable_objects.rpc_promise import RpcPromise
    from emulator.simulation.handles import SimulationFuture

__all__ = ["DurableObjectStub"]


@final
class DurableObjectStub(RemoteProperties):
    """A client of one object. Obtained from its namespace.

    Attributes:
        id: The object's id.
        name: The name it was reached by, or None.
    """

    __slots__ = ("_actor", "_holder", "_instance", "_namespace", "_outside", "id", "name")

    __js_class__ = "DurableObject"
    __not_sent__ = __not_cloned__ = not_supported("DurableObject")

    def __init__(
        self,
        namespace: DurableObjectNamespace,
        object_id: DurableObjectId,
        outside: IoContext,
    ) -> None:
        self._namespace = namespace
        self._outside = outside
        #: The event or object whose code made it, and alone may call by it.
        self._holder = CURRENT.get()
        #: The instance that last answered; when it broke, so did this stub.
        self._instance: Instance | None = None
        #: Who the object is for faults and the trace.
        self._actor = namespace.name_of(object_id)
        if object_id.name is not None:
            namespace.note_name(self._actor, object_id.name)
        self.id = object_id
        self.name = object_id.name

    def fetch(
        self, resource: Any = undefined, init: Any = None, **options: Any
    ) -> SimulationFuture:
        """Send a request to the object's `fetch` handler.

        Args:
            resource: An absolute URL, or a Request.
            init: Options of a Request made from a URL, as a dict.
            options: The same, as keywords.

        Returns:
            A future with the Response; what the handler raises rejects it.
        """
        context, refused = self._user()
        if refused is not None:
            return context.rejected(refused)
        if resource is undefined:
            return context.rejected(wrong_type("fetch", "Fetcher", 1, "Request or string"))
        try:
            request = outgoing_request(resource, init, options)
        except JsException as error:
            return context.rejected(error)
        operation = Operation(
            self._namespace.binding_name, "object.fetch", request.url, target=self._actor
        )
        broken = self._broken()
        if broken is not None:
            return context.rejected(broken.as_seen(is_fetch=False))
        return context.carry(
            operation,
            lambda: followed(
                request,
                lambda request: self._awake(is_fetch=True).fetch(request),
                context.count_hop,
            ),
            lane=self._namespace.lane(self.id, context, is_fetch=True),
        )

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> RpcPromise:
        context, refused = self._user()
        if refused is not None:
            return rejected_call(context, refused)
        broken = self._broken()
        namespace = self._namespace
        key = path[0] if len(path) == 1 else ".".join(path)
        return send_call(
            context,
            Operation(namespace.binding_name, "object.rpc", key, target=self._actor),
            lambda call: self._awake(is_fetch=False).rpc(call),
            (path, args, kwargs, is_call),
            lane=namespace.lane(self.id, context, is_fetch=False),
            refusal=None if broken is None else broken.as_seen(is_fetch=False),
        )

    def _user(self) -> tuple[IoContext, JsException | None]:
        """Whose code uses the stub, and what is wrong with that."""
        return current_context(self._outside), foreign_use(self._holder, "OutgoingFactory")

    def _broken(self) -> Broken | None:
        self._namespace.check_open()
        return self._instance.broken if self._instance is not None else None

    def _awake(self, *, is_fetch: bool) -> Instance:
        """The instance that answers a call which has just arrived."""
        # It may have broken since the call was made.
        instance = self._instance
        if instance is not None and instance.broken is not None:
            raise instance.broken.as_seen(is_fetch=is_fetch)
        self._instance = instance = self._record.wake(self.id)
        return instance

    def _run_inside(self, name: str, function: Callable[..., Any]) -> SimulationFuture:
        """Run a test's function in the object, on the way of a request. Not for workers."""
        broken = self._broken()
        if broken is not None:
            return self._outside.rejected(broken.as_seen(is_fetch=False))
        return self._outside.carry(
            Operation(self._namespace.binding_name, name, target=self._actor),
            lambda: self._awake(is_fetch=True).run_inside(function),
            lane=self._namespace.lane(self.id, self._outside, is_fetch=True),
        )

    @property
    def _record(self) -> ObjectRecord:
        """The object behind it. Not for workers."""
        return self._namespace.record(self.id)

    def __repr__(self) -> str:
        return f"<DurableObjectStub {self._actor}>"
