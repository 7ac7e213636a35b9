"""The stub: an object seen from outside.

Promises: calls made on stubs of one object are delivered in call order, `fetch` and RPC
each in their own; a stub whose instance was reset or lost stays broken and says why.
Creating a stub sends nothing. Leaves to others: which instance answers (the record), and
what may be called (the rpc room). Documented by Cloudflare, Durable Object stubs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.context import IoContext, current_context
from emulator.errors import JsException, JsTypeError
from emulator.simulation.handles import SimulationFuture
from emulator.simulation.rules import Operation
from emulator.values import serialized_size_bound, structured_clone
from emulator.web.request import Request

if TYPE_CHECKING:
    from collections.abc import Generator

    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.instance import Instance
    from emulator.durable_objects.record import ObjectRecord
    from emulator.web.response import Response

__all__ = ["DurableObjectStub", "RpcProperty"]

PATH_DEPTH_MAX: Final = 64


@final
class RpcProperty:
    """A property on the other side: call it, await it, or go deeper."""

    __slots__ = ("_path", "_stub")

    def __init__(self, stub: DurableObjectStub, path: tuple[str, ...]) -> None:
        self._stub = stub
        self._path = path

    def __getattr__(self, name: str) -> RpcProperty:
        if name.startswith("__") or name == "then":
            raise AttributeError(name)
        if len(self._path) >= PATH_DEPTH_MAX:
            message = "RPC pipelined property path is too deep (max 64)."
            raise JsTypeError(message)
        return RpcProperty(self._stub, (*self._path, name))

    def __call__(self, *args: Any, **kwargs: Any) -> SimulationFuture:
        return self._stub._send(self._path, args, kwargs, is_call=True)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._stub._send(self._path, (), {}, is_call=False).__await__()

    def __repr__(self) -> str:
        return f"<RpcProperty {'.'.join(self._path)} of {self._stub!r}>"


@final
class DurableObjectStub:
    """A client of one object. Obtained from its namespace.

    Attributes:
        id: The object's id.
        name: The name it was reached by, or None.
    """

    __slots__ = ("_instance", "_outside", "_record", "id", "name")

    def __init__(
        self, record: ObjectRecord, object_id: DurableObjectId, outside: IoContext
    ) -> None:
        self._record = record
        self._outside = outside
        #: The instance that last answered; when it broke, so did this stub.
        self._instance: Instance | None = None
        self.id = object_id
        self.name = object_id.name

    def __getattr__(self, name: str) -> RpcProperty:
        if name.startswith("__") or name == "then":
            raise AttributeError(name)
        return RpcProperty(self, (name,))

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
            if isinstance(resource, str) and "://" not in resource:
                message = f"Invalid URL: {resource}"
                raise JsTypeError(message)
            request = Request(resource, **{**(init or {}), **options})
        except JsException as error:
            return _rejected(context, error)
        operation = Operation(self._record.binding_name, "object.fetch", request.url)

        def effect() -> Any:
            return self._deliver(lambda instance: instance.fetch(request))

        return self._carry(context, operation, effect, "fetch")

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> SimulationFuture:
        context = current_context(self._outside)
        if path in (("id",), ("name",)):
            return _rejected(context, JsTypeError(f"stub.{path[0]} is not a function"))
        try:
            message = structured_clone([list(args), kwargs], for_storage=False)
            self._check_size(message[0])
        except JsException as error:
            return _rejected(context, error)
        operation = Operation(self._record.binding_name, "object.rpc", ".".join(path))

        def effect() -> Any:
            return self._deliver(
                lambda instance: instance.rpc(path, message[0], message[1], is_call=is_call)
            )

        return self._carry(context, operation, effect, "rpc")

    def _carry(
        self, context: IoContext, operation: Operation, effect: Any, kind: str
    ) -> SimulationFuture:
        broken = self._instance.broken if self._instance is not None else None
        if broken is not None:
            return _rejected(context, broken.as_seen(is_fetch=kind == "fetch"))
        return context.carry(operation, effect, lane=(kind, self._record.name))

    def _deliver(self, send: Any) -> Any:
        instance = self._record.wake()
        self._instance = instance
        return send(instance)

    def _check_size(self, message: Any) -> None:
        limit = self._record.kind.limits.rpc_bytes_max
        size = serialized_size_bound(message, limit_bytes=limit)
        if size is not None and size > limit:
            text = (
                "Serialized RPC arguments or return values are limited to 32MiB, but the "
                f"size of this value was: {size} bytes."
            )
            raise JsException(text)

    def __repr__(self) -> str:
        return f"<DurableObjectStub {self._record.name}>"


def _rejected(context: IoContext, error: BaseException) -> SimulationFuture:
    future = SimulationFuture(loop=context.loop)
    future.set_exception(error)
    return future
