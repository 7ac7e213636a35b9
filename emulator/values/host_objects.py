"""Host objects: what storage can hold beyond V8's own objects.

Promises: Headers, DOMExceptions, and since compatibility date 2026-04-21 all errors, as
workerd writes them into V8's format (headers.c++, `serialize`, and the names of its HTTP
library by number; measured), but for two things that Python does not know: how an unusual
header's name was spelled, and the stack.
Leaves to others: where they stand in a message (serializer, deserializer).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from emulator.errors import JsException, js_error
from emulator.values.conversion import set_own_properties
from emulator.values.varint import varint
from emulator.web.headers import Headers

__all__ = [
    "HOST_OBJECT",
    "NATIVE_ERROR",
    "dom_exception_bytes",
    "error_number",
    "headers_bytes",
    "read_host_object",
]

#: V8's tag of what its embedder writes itself.
HOST_OBJECT: Final = b"\\"
_HEADERS: Final = 4
_DOM_EXCEPTION: Final = 8
#: An error with all that it has: the number of its class, its text, its own properties.
NATIVE_ERROR: Final = 10
#: The classes of errors by their numbers; 0 stands before any other name.
_ERRORS: Final = {
    "Error": 1, "TypeError": 2, "RangeError": 3, "ReferenceError": 4, "SyntaxError": 5,
    "EvalError": 10, "URIError": 11, "AggregateError": 12,
}  # fmt: skip
_ERROR_NAMES: Final = {number: name for name, number in _ERRORS.items()}
#: Whether headers may be changed: not those that came over a wire (headers.h, Guard).
_IMMUTABLE, _FREE = 0, 3
#: By their numbers, from 1 on (workerd's http-over-capnp.capnp, CommonHeaderName).
_COMMON: Final = (
    "accept-charset", "accept-encoding", "accept-language", "accept-ranges",
    "accept", "access-control-allow-origin", "age", "allow",
    "authorization", "cache-control", "content-disposition", "content-encoding",
    "content-language", "content-length", "content-location", "content-range",
    "content-type", "cookie", "date", "etag",
    "expect", "expires", "from", "host",
    "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "last-modified", "link", "location",
    "max-forwards", "proxy-authenticate", "proxy-authorization", "range",
    "referer", "refresh", "retry-after", "server",
    "set-cookie", "strict-transport-security", "transfer-encoding", "user-agent",
    "vary", "via", "www-authenticate",
)  # fmt: skip
_NUMBERS: Final = {name: number for number, name in enumerate(_COMMON, 1)}


class Source(Protocol):
    """What a message is read from."""

    def read(self) -> Any: ...
    def read_string(self) -> str: ...
    def varint(self) -> int: ...
    def take(self, size: int) -> memoryview: ...


def headers_bytes(headers: Headers) -> bytes:
    """Headers, tag included."""
    fields = sorted(headers._values.items())
    out = bytearray(HOST_OBJECT)
    out += bytes((_HEADERS, _IMMUTABLE if headers._is_frozen else _FREE))
    out += varint(sum(len(values) for _, values in fields))
    for name, values in fields:
        number = _NUMBERS.get(name, 0)
        for value in values:
            out += varint(number) + (b"" if number else _text(name)) + _text(value)
    return bytes(out)


def dom_exception_bytes(error: JsException) -> bytes:
    """A DOMException, tag included."""
    stack = f"{error.name}: {error.message}"
    return b"".join(
        (HOST_OBJECT, bytes((_DOM_EXCEPTION,)), *map(_text, (error.name, error.message, stack)))
    )


def error_number(name: str) -> int:
    """The number of an error's class; 0 if it has none."""
    return _ERRORS.get(name, 0)


def read_host_object(source: Source) -> Headers | JsException | None:
    """What follows the tag; None if it is nothing that can be stored."""
    kind = source.varint()
    if kind == _HEADERS:
        guard = source.varint()
        headers = Headers()
        for _ in range(source.varint()):
            number = source.varint()
            headers.append(_COMMON[number - 1] if number else _read(source), _read(source))
        return headers.freeze() if guard == _IMMUTABLE else headers
    if kind == _DOM_EXCEPTION:
        name, message, _ = _read(source), _read(source), _read(source)
        return js_error(name, message)
    if kind == NATIVE_ERROR:
        number = source.varint()
        name = _ERROR_NAMES[number] if number else source.read_string()
        error, properties = js_error(name, source.read_string()), source.read()
        if isinstance(properties, dict):
            set_own_properties(error, properties)
            return error
    return None


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return varint(len(data)) + data


def _read(source: Source) -> str:
    return bytes(source.take(source.varint())).decode("utf-8", "replace")
