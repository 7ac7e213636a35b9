"""Web values: streams, requests, responses and WebSockets as a program writes them.

Promises: each is made anew for every op, as the interpreter worker on workerd makes it. Leaves
to others: the tags' fields (tags), all other values (tagged_values).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from emulator.durable_objects.websockets import WebSocketRequestResponsePair
from emulator.errors import js_error
from emulator.web.blob import Blob
from emulator.web.headers import Headers
from emulator.web.request import Request
from emulator.web.response import Response
from emulator.web.streams import IdentityTransformStream, ReadableStream

if TYPE_CHECKING:
    from collections.abc import Callable

    Inner = Callable[[Any], Any]

__all__ = ["WEB_DECODERS"]

_BODY: Final = "abc"


def _stream(value: dict[str, Any], inner: Inner) -> Any:
    if "chunks" not in value:
        return Response(_BODY).body
    chunks = iter(inner(value["chunks"]))
    fails = value.get("fails")

    def pull(controller: Any) -> None:
        for chunk in chunks:
            controller.enqueue(chunk)
            return
        if fails is None:
            controller.close()
        else:
            controller.error(js_error(fails["name"], fails["message"]))

    return ReadableStream({"pull": pull})


def _response(value: dict[str, Any], inner: Inner) -> Response:
    return Response(
        inner(value.get("body", _BODY)), value.get("status", 200), headers=_headers(value)
    )


def _request(value: dict[str, Any], inner: Inner) -> Request:
    options = {"body": inner(value["body"])} if "body" in value else {}
    url = value.get("url", "http://localhost/")
    return Request(url, method=value.get("method", "GET"), headers=_headers(value), **options)


def _headers(value: dict[str, Any]) -> Headers:
    return Headers([tuple(pair) for pair in value.get("headers", [])])


#: By tag: what makes the value, from its fields and a way to decode what is in them.
WEB_DECODERS: Final[dict[str, Callable[[dict[str, Any], Inner], Any]]] = {
    "headers": lambda value, inner: Headers([tuple(pair) for pair in value["of"]]),
    "stream": _stream,
    "response": _response,
    "request": _request,
    "transform": lambda value, inner: IdentityTransformStream(),
    "blob": lambda value, inner: Blob([_BODY]),
    "upgrade": lambda value, inner: Response(
        None, status=101, web_socket=inner(value["of"]) or None
    ),
    "auto_response": lambda value, inner: WebSocketRequestResponsePair(*inner(value["of"])),
}
