"""`js`: JavaScript's global names that Python workers reach for.

Promises: the console goes where prints go; time and chance are the simulation's; classes
are made with `new`, as Pyodide makes them. Leaves to others: each name's own room, and the
rest of JavaScript.
"""

from __future__ import annotations

from typing import Any

from emulator.durable_objects.context import CURRENT
from emulator.durable_objects.websocket import WebSocket, WebSocketPair
from emulator.durable_objects.websockets import WebSocketRequestResponsePair
from emulator.sdk import environment
from emulator.sdk.js.abort import AbortController, AbortSignal
from emulator.sdk.js.console import console
from emulator.sdk.js.crypto import crypto
from emulator.sdk.js.date import JsDate as Date
from emulator.sdk.js.errors import Error, RangeError, TypeError  # noqa: A004  # JavaScript's.
from emulator.sdk.js.json_text import JSON
from emulator.sdk.js.objects import Array, Map, Object, Set
from emulator.sdk.js.performance import navigator, performance
from emulator.sdk.js.text import (
    TextDecoder,
    TextEncoder,
    atob,
    btoa,
    decodeURIComponent,
    encodeURI,
    encodeURIComponent,
)
from emulator.sdk.js.timers import (
    clearInterval,
    clearTimeout,
    queueMicrotask,
    scheduler,
    setInterval,
    setTimeout,
)
from emulator.values import structured_clone, undefined
from emulator.web.blob import Blob, File
from emulator.web.form_data import FormData
from emulator.web.headers import Headers
from emulator.web.js_object import options_of
from emulator.web.request import Request
from emulator.web.required import GLOBAL, required
from emulator.web.response import Response
from emulator.web.search_params import URLSearchParams
from emulator.web.streams import (
    FixedLengthStream,
    IdentityTransformStream,
    ReadableStream,
    TransformStream,
    Uint8Array,
    WritableStream,
)
from emulator.web.url import URL

__all__ = [
    "JSON",
    "URL",
    "AbortController",
    "AbortSignal",
    "Array",
    "Blob",
    "Date",
    "Error",
    "File",
    "FixedLengthStream",
    "FormData",
    "Headers",
    "IdentityTransformStream",
    "Map",
    "Object",
    "RangeError",
    "ReadableStream",
    "Request",
    "Response",
    "Set",
    "TextDecoder",
    "TextEncoder",
    "TransformStream",
    "TypeError",
    "URLSearchParams",
    "Uint8Array",
    "WebSocket",
    "WebSocketPair",
    "WebSocketRequestResponsePair",
    "WritableStream",
    "atob",
    "btoa",
    "clearInterval",
    "clearTimeout",
    "console",
    "crypto",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "fetch",
    "navigator",
    "performance",
    "queueMicrotask",
    "scheduler",
    "setInterval",
    "setTimeout",
    "structuredClone",
    "undefined",
]


@required(GLOBAL, "JsValue")
def structuredClone(value: Any, options: Any = None) -> Any:
    """A deep copy by the rules of structured clone."""
    context = CURRENT.get()
    enhanced = context is not None and context.rpc_rules.has_enhanced_errors
    return structured_clone(value, for_storage=True, has_enhanced_errors=enhanced)


@required(GLOBAL, "Request or string")
async def fetch(resource: str | Request | URL, init: Any = None, **options: Any) -> Response:
    """`workers.fetch`, whose options may also come as a dict; `json()` gives objects."""
    if isinstance(resource, URL):
        resource = resource.href
    given = options_of(init, GLOBAL, "RequestInitializerDict or Request", "fetch")
    response = await environment.fetch(resource, **{**given, **options})
    # JavaScript's `json()` gives objects, and Python code written for it calls `to_py()`.
    response._parse = JSON.parse
    return response
