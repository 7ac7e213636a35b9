"""Streams: the door to everything that moves chunks.

Promises: the platform's stream classes under their own names, each defined in the room of
its noun. Leaves to others: bodies (request, response).
"""

from __future__ import annotations

from emulator.web.readable import ReadableStream, ReadableStreamDefaultReader
from emulator.web.transform import (
    FixedLengthStream,
    IdentityTransformStream,
    TransformStream,
)
from emulator.web.uint8_array import Uint8Array
from emulator.web.writable import WritableStream
from emulator.web.writer import WritableStreamDefaultWriter

__all__ = [
    "FixedLengthStream",
    "IdentityTransformStream",
    "ReadableStream",
    "ReadableStreamDefaultReader",
    "TransformStream",
    "Uint8Array",
    "WritableStream",
    "WritableStreamDefaultWriter",
]
