"""durable_objects: a real namespace and its stubs, as worker code calls them.

Promises: ids are workerd's; a stub carries `fetch` and every method to the real object.
Each call has a stub of its own on the real side, so a broken stub does not stay broken.
Leaves to others: the objects (workerd).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.ids import DurableObjectId, IdFactory
from emulator.durable_objects.remote_properties import RemoteProperties
from emulator.errors import JsException, JsTypeError
from emulator.web.callbacks import rejected
from emulator.web.request import outgoing_request
from emulator.web.response import Response
from emulator.workerd.frames import Outgoing
from emulator.workerd.wire import decode, encode

if TYPE_CHECKING:
    import asyncio

    from emulator.web.request import Request
    from emulator.workerd.frames import Answer
    from emulator.workerd.world import World

__all__ = ["DurableObjectNamespace", "DurableObjectStub", "Service"]


@final
class DurableObjectNamespace:
    """A binding to all objects of one class of a real world.

    Args:
        world: Whose it is.
        binding: The name under which the worker knows it.
        unique_key: What ids are derived from.
    """

    def __init__(self, world: World, binding: str, unique_key: str) -> None:
        self._world = world
        self._binding = binding
        self._ids = IdFactory(unique_key, os.urandom)

    def newUniqueId(self, options: Any = None, **more: Any) -> DurableObjectId:
        """A new random id.

        Raises:
            JsException: If a jurisdiction is asked for.
        """
        if {**(options or {}), **more}.get("jurisdiction") is not None:
            message = "Jurisdiction restrictions are not implemented in workerd."
            raise JsException(message)
        return self._ids.new_unique_id()

    def idFromName(self, *name: object) -> DurableObjectId:
        """The id that belongs to a name, always the same."""
        return self._ids.id_from_name(*name)

    def idFromString(self, *text: object) -> DurableObjectId:
        """The id whose 64 hex digits are given."""
        return self._ids.id_from_string(*text)

    def get(
        self, object_id: DurableObjectId, options: Any = None, **more: Any
    ) -> DurableObjectStub:
        """A stub of the object with this id. Nothing is sent, and options have no effect.

        Raises:
            JsTypeError: If it is no id.
        """
        if not isinstance(object_id, DurableObjectId):
            message = (
                "Failed to execute 'get' on 'DurableObjectNamespace': parameter 1 is not of "
                "type 'DurableObjectId'."
            )
            raise JsTypeError(message)
        return DurableObjectStub(self._world, self._binding, object_id)

    def getByName(self, *name: object, options: Any = None, **more: Any) -> DurableObjectStub:
        """`get(idFromName(name))`; options, which may come second, have no effect."""
        return self.get(self.idFromName(*name[:1]))

    def __repr__(self) -> str:
        return f"<DurableObjectNamespace {self._binding}>"


@final
class DurableObjectStub(RemoteProperties):
    """A client of one real object.

    Attributes:
        id: The object's id.
        name: The name it was reached by, or None.
    """

    __slots__ = ("_binding", "_world", "id", "name")

    def __init__(self, world: World, binding: str, object_id: DurableObjectId) -> None:
        self._world = world
        self._binding = binding
        self.id = object_id
        self.name = object_id.name

    def fetch(
        self, resource: str | Request, init: Any = None, **options: Any
    ) -> asyncio.Future[Response]:
        """Send a request to the object's `fetch` handler; a future with the Response."""
        request = outgoing_request(resource, init, options)
        call = {"call": "objectFetch", **self._address()}
        return self._world.start_call(_fetch(self._world, call, request))

    def _send(
        self,
        path: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_call: bool,
    ) -> asyncio.Future[Any]:
        try:
            # Pyodide hands keywords on as one object after the other arguments.
            encoded = encode([*args, kwargs] if kwargs else args)
        except JsException as error:
            return rejected(error)
        call = {
            "call": "rpc",
            **self._address(),
            "path": list(path),
            "args": encoded,
            "isCall": is_call,
        }

        async def carry() -> Any:
            answer = await self._world.call(call)
            return _result(answer)

        return self._world.start_call(carry())

    def _address(self) -> dict[str, Any]:
        return {"binding": self._binding, "id": str(self.id), "name": self.name}

    def __repr__(self) -> str:
        return f"<DurableObjectStub {self._binding}#{str(self.id)[:8]}>"


@final
class Service:
    """A service binding of a real world, as its worker has it.

    Args:
        world: Whose it is.
        binding: The name under which the worker knows it.
    """

    def __init__(self, world: World, binding: str) -> None:
        self._world = world
        self._binding = binding

    def fetch(
        self, resource: str | Request, init: Any = None, **options: Any
    ) -> asyncio.Future[Response]:
        """Send a request; a future with the Response."""
        request = outgoing_request(resource, init, options)
        call = {"call": "serviceFetch", "binding": self._binding}
        return self._world.start_call(_fetch(self._world, call, request))

    def __repr__(self) -> str:
        return f"<Service {self._binding}>"


async def _fetch(world: World, call: dict[str, Any], request: Request) -> Response:
    length = request.body_length
    content = request._take_over()
    call["request"] = {
        "url": request.url,
        "method": str(request.method),
        "headers": [list(pair) for pair in request.headers.items()],
        "redirect": request.redirect,
        "hasBody": content is not None,
        "length": length,
    }
    body = None if content is None else Outgoing(content, length)
    answer = await world.call(call, body)
    return _response(answer).delivered(request.url, is_head=request.method == "HEAD")


def _result(answer: Answer) -> Any:
    line = answer.line
    tag = line.get("$") if isinstance(line, dict) else None
    if tag == "response":
        return _response(answer)
    return answer.body if tag == "stream" else decode(line)


def _response(answer: Answer) -> Response:
    line = answer.line
    return Response(
        answer.body if line["hasBody"] else None,
        status=line["status"],
        status_text=line["statusText"],
        headers=line["headers"],
    )
