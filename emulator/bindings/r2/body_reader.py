"""The body reader: what an R2 object with a body gives of it.

Promises: the platform's ways to read a body, once; whose stream it is does not matter. Leaves
to others: the stream (objects here, and those of the real runtime).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emulator.errors import js_error
from emulator.values import JsDict
from emulator.web.streams import Uint8Array

if TYPE_CHECKING:
    from emulator.web.streams import ReadableStream

__all__ = ["BodyReader"]


class BodyReader:
    """Reads `body`, which is whoever's it is."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def body(self) -> ReadableStream:
            """The bytes as a stream."""

    @property
    def bodyUsed(self) -> bool:
        """Whether the body has been read from or cancelled."""
        return self.body.is_disturbed

    async def bytes(self) -> Uint8Array:
        """The whole body.

        Raises:
            JsTypeError: If it was read before, or somebody holds the stream.
        """
        if self.bodyUsed:
            text = (
                "Body has already been used. It can only be used once. Use tee() first if "
                "you need to read it twice."
            )
            raise js_error("TypeError", text)
        return Uint8Array(await self.body.read_all())

    async def arrayBuffer(self) -> Uint8Array:
        """The same as `bytes`: Python has one type for both."""
        return await self.bytes()

    async def text(self) -> str:
        """The body as UTF-8; a leading mark goes, bad bytes become U+FFFD."""
        data = await self.bytes()
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")

    async def json(self) -> Any:
        """The body as JSON, its objects with attribute access.

        Raises:
            JsException: SyntaxError, if it is no JSON.
        """
        text = await self.text()
        try:
            return json.loads(text, object_hook=JsDict, parse_constant=_refuse_constant)
        except ValueError as error:
            message = (
                "Unexpected end of JSON input"
                if not text.strip()
                else f"Unexpected token in JSON: {error}"
            )
            raise js_error("SyntaxError", message) from None


def _refuse_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)
