"""Host objects: the two kinds of objects beyond V8's own that storage can hold.

Promises: Headers and DOMExceptions as workerd writes them into V8's format (headers.c++,
`serialize`, and the names of its HTTP library by number; measured), but for two things that
Python does not know: how an unusual header's name was spelled, and the stack.
Leaves to others: where they stand in a message (serializer, deserializer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from emulator.errors import js_error
from emulator.web.headers import Headers

if TYPE_CHECKING:
    from emulator.errors import JsException

__all__ = ["HOST_OBJECT", "dom_exception_bytes", "headers_bytes", "read_host_object"]

#: V8's tag of what its embedder writes itself.
HOST_OBJECT: Final = b"\\"
_HEADERS: Final = 4
_DOM_EXCEPTION: Final = 8
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

    def varint(self) -> int: ...
    def take(self, size: int) -> memoryview: ...


def headers_bytes(headers: Headers) -> bytes:
    """Headers, tag included."""
    fields = sorted(headers._values.items())
    out = bytearray(HOST_OBJECT)
    out += bytes((_HEADERS, _IMMUTABLE if headers._is_frozen else _FREE))
    out += _varint(sum(len(values) for _, values in fields))
    for name, values in fields:
        number = _NUMBERS.get(name, 0)
        for value in values:
            out += _varint(number) + (b"" if number else _text(name)) + _text(value)
    return bytes(out)


def dom_exception_bytes(error: JsException) -> bytes:
    """A DOMException, tag included."""
    stack = f"{error.name}: {error.message}"
    return b"".join(
        (HOST_OBJECT, bytes((_DOM_EXCEPTION,)), *map(_text, (error.name, error.message, stack)))
    )


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
    return None


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return _varint(len(data)) + data


def _read(source: Source) -> str:
    return bytes(source.take(source.varint())).decode("utf-8", "replace")
