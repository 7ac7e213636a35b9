"""web: streams, headers, requests and responses, as the platform has them.

Promises: works on any asyncio loop and knows nothing of simulation. Leaves to others: who
sends what to whom. Each name lives in the room of its noun:

* streams: ReadableStream, ReadableStreamDefaultReader, WritableStream,
  WritableStreamDefaultWriter, TransformStream, IdentityTransformStream,
  FixedLengthStream, Uint8Array
* headers: Headers
* request: Request
* response: Response
* body: Body, BodyUsedError
* js_dict: JsDict
"""

from __future__ import annotations

from emulator.web.body import Body, BodyUsedError
from emulator.web.headers import Headers
from emulator.web.js_dict import JsDict
from emulator.web.request import Request
from emulator.web.response import Response
from emulator.web.streams import (
    FixedLengthStream,
    IdentityTransformStream,
    ReadableStream,
    ReadableStreamDefaultReader,
    TransformStream,
    Uint8Array,
    WritableStream,
    WritableStreamDefaultWriter,
)

__all__ = [
    "Body",
    "BodyUsedError",
    "FixedLengthStream",
    "Headers",
    "IdentityTransformStream",
    "JsDict",
    "ReadableStream",
    "ReadableStreamDefaultReader",
    "Request",
    "Response",
    "TransformStream",
    "Uint8Array",
    "WritableStream",
    "WritableStreamDefaultWriter",
]
