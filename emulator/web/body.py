"""Body: the half that Request and Response share.

Promises: a body is used once, and says so in the platform's words; bytes are not copied
through a stream that nobody asked for. Leaves to others: status, method, URL.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, final

from emulator.errors import JsTypeError, js_error
from emulator.web.blob import Blob
from emulator.web.form_data import FormData
from emulator.web.js_object import JsObject
from emulator.web.readable import ReadableStream
from emulator.web.search_params import URLSearchParams
from emulator.web.uint8_array import Uint8Array

if TYPE_CHECKING:
    import builtins

    from emulator.web.headers import Headers

__all__ = ["Body", "BodyUsedError", "as_content"]

_USED = (
    "Body has already been used. It can only be used once. Use tee() first if you need to "
    "read it twice."
)


@final
class BodyUsedError(JsTypeError, OSError):
    """The body was used already: the platform's TypeError, and the OSError of Pyodide."""


def as_content(body: Any, *, owner: str) -> tuple[bytes | ReadableStream | None, str | None]:
    """A body argument as bytes or a stream.

    Args:
        body: str, bytes and the like, Blob, FormData, URLSearchParams, a
            ReadableStream, or None.
        owner: "Request" or "Response", for the error.

    Returns:
        The content, and the content type that the platform gives a body which names none.

    Raises:
        TypeError: For any other type, in the words of Cloudflare's `workers` package.
        JsTypeError: If the stream has been read from.
    """
    if body is None or isinstance(body, bytes):
        return body, None
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain;charset=UTF-8"
    if isinstance(body, bytearray | memoryview):
        return bytes(body), None
    if isinstance(body, FormData):
        return body.encode()
    if isinstance(body, Blob):
        return body.content, body.content_type or None
    if isinstance(body, URLSearchParams):
        kind = "application/x-www-form-urlencoded;charset=UTF-8"
        return body.toString().encode("ascii"), kind
    if isinstance(body, ReadableStream):
        if body.is_disturbed:
            raise js_error(
                "TypeError",
                "This ReadableStream is disturbed (has already been read from), and cannot "
                "be used as a body.",
            )
        return body, None
    error = TypeError(f"Unsupported type in {owner}: {type(body).__name__}")
    if hasattr(body, "__await__"):
        error.add_note(
            f"what was given to {owner}() has not been awaited: put `await` before it"
        )
    elif isinstance(body, dict | list):
        fix = "Response.json(...)" if owner == "Response" else "json.dumps(...)"
        error.add_note(f"a {type(body).__name__} is no body: give {fix} of it")
    raise error


class Body(JsObject):
    """What can be read once: text, bytes, JSON, or a stream."""

    headers: Headers
    _content: builtins.bytes | ReadableStream | None
    _data_used: bool

    #: What makes a value of the text for `json()`; JavaScript's `fetch` puts its own here.
    _parse: Any = staticmethod(json.loads)

    def _set_content(self, content: builtins.bytes | ReadableStream | None) -> None:
        self._content = content
        self._data_used = False

    @property
    def body(self) -> ReadableStream | None:
        """The body as a stream; None if there is none."""
        if isinstance(self._content, bytes):
            stream = ReadableStream.from_bytes(self._content)
            stream._disturbed = self._data_used
            if self._data_used:
                stream._lock = self
            self._content = stream
        return self._content

    @property
    def body_used(self) -> bool:
        """Whether the body has been read, even if only begun."""
        if isinstance(self._content, ReadableStream):
            return self._content.is_disturbed
        return self._data_used

    bodyUsed = body_used

    @property
    def body_length(self) -> int | None:
        """The body's length in bytes if it is known; 0 without a body."""
        if self._content is None:
            return 0
        if isinstance(self._content, bytes):
            return len(self._content)
        return self._content.known_length

    def refuse_if_used(self) -> None:
        """Raise `BodyUsedError` if there is a body and it has been read."""
        if self._content is not None and self.body_used:
            raise BodyUsedError(_USED)

    async def _consume(self) -> builtins.bytes:
        self.refuse_if_used()
        content = self._content
        if content is None:
            return b""
        if isinstance(content, bytes):
            self._data_used = True
            return content
        return await content.read_all()

    async def buffer(self) -> Uint8Array:
        """The body as an ArrayBuffer.

        Raises:
            BodyUsedError: If it was read before. So do all the others.
        """
        return Uint8Array(await self._consume())

    async def arrayBuffer(self) -> Uint8Array:
        """The same under JavaScript's name."""
        return await self.buffer()

    async def bytes(self) -> builtins.bytes:
        """The body as bytes."""
        return bytes(await self._consume())

    async def memoryview(self) -> builtins.memoryview:
        """The body as a view."""
        return memoryview(await self._consume())

    async def text(self) -> str:
        """The body as text; bytes that are no UTF-8 become U+FFFD."""
        return (await self._consume()).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")

    async def string(self) -> str:
        """The same under Pyodide's name."""
        return await self.text()

    async def blob(self) -> Blob:
        """The body as a Blob of the content type in the headers."""
        kind = self.headers.get("content-type", "")
        blob = Blob(await self._consume())
        blob._content_type = _mime_text(kind)
        return blob

    async def form_data(self) -> FormData:
        """The body as a form.

        Raises:
            JsTypeError: If the content type is no form's, or the body is none.
        """
        kind = self.headers.get("content-type")
        return FormData.decode(await self._consume(), kind)

    async def formData(self) -> FormData:
        """The same under JavaScript's name."""
        return await self.form_data()

    async def _json(self, **kwargs: Any) -> Any:
        return self._parse(await self.text(), **kwargs)

    def _split(self) -> builtins.bytes | ReadableStream | None:
        """Content for a clone; this body keeps its own."""
        content = self._content
        if content is None:
            return None
        if self.body_used or (isinstance(content, ReadableStream) and content.locked):
            # The text is workerd's, comma and all: clone() is a tee() of the body.
            raise BodyUsedError("This ReadableStream is currently locked to a reader,")
        if isinstance(content, bytes):
            return content
        self._content, other = content.tee()
        return other

    def _take_over(self) -> builtins.bytes | ReadableStream | None:
        """Content for a new owner; this body is used from now on."""
        content = self._content
        if isinstance(content, bytes):
            self._data_used = True
            return content
        if content is None:
            return None
        moved = ReadableStream._over(content._source)
        content._acquire(self)
        content._disturbed = True
        return moved


def _mime_text(kind: str) -> str:
    """A content type as workerd writes it again: "" for what is none."""
    essence, *parameters = (part.strip() for part in kind.split(";"))
    if "/" not in essence:
        return ""
    found: dict[str, str] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if equals:
            found.setdefault(name.lower(), value)
    return ";".join([essence.lower(), *(f"{name}={value}" for name, value in found.items())])
