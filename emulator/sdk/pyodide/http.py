"""`pyodide.http`: Pyodide's own way to fetch.

Promises: `pyfetch` asks as `workers.fetch` does, and its errors are OSErrors; its response
gives Python's data. Leaves to others: the response itself (web), who answers (the world).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emulator.errors import JsException
from emulator.sdk import environment

if TYPE_CHECKING:
    import builtins

    from emulator.web.response import Response
    from emulator.web.uint8_array import Uint8Array

__all__ = ["FetchResponse", "pyfetch"]


class FetchResponse:
    """A response as Python code reads it.

    Args:
        url: What was asked.
        js_response: The Response, which remains reachable under this name.
    """

    def __init__(self, url: str, js_response: Response) -> None:
        self._url = url
        self.js_response = js_response

    @property
    def url(self) -> str:
        """Where the response came from."""
        return self.js_response.url

    @property
    def status(self) -> int:
        """The status."""
        return self.js_response.status

    @property
    def status_text(self) -> str:
        """The reason phrase."""
        return self.js_response.status_text

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return self.js_response.ok

    @property
    def redirected(self) -> bool:
        """Whether a redirect was followed."""
        return self.js_response.redirected

    @property
    def type(self) -> str:
        """The kind of response."""
        return self.js_response.type

    @property
    def body_used(self) -> bool:
        """Whether the body has been read."""
        return self.js_response.body_used

    @property
    def headers(self) -> Any:
        """The headers, as a dict."""
        return dict(self.js_response.headers.entries())

    def _raise_if_failed(self) -> None:
        if self.body_used:
            raise OSError("Response body is already used")

    def raise_for_status(self) -> None:
        """Refuse an error.

        Raises:
            OSError: For a status of 400 to 599.
        """
        self.js_response.raise_for_status()

    def clone(self) -> FetchResponse:
        """A second response with the same body.

        Raises:
            OSError: If the body has been read. So do the others.
        """
        self._raise_if_failed()
        return FetchResponse(self._url, self.js_response.clone())

    async def buffer(self) -> Uint8Array:
        """The body as an ArrayBuffer."""
        self._raise_if_failed()
        return await self.js_response.buffer()

    async def text(self) -> str:
        """The body as text."""
        self._raise_if_failed()
        return await self.js_response.text()

    async def string(self) -> str:
        """The same, under its old name."""
        return await self.text()

    async def json(self, **kwargs: Any) -> Any:
        """The body parsed by `json.loads`, which is handed the keywords."""
        return json.loads(await self.text(), **kwargs)

    async def memoryview(self) -> builtins.memoryview:
        """The body as a view."""
        return (await self.buffer()).to_memoryview()

    async def bytes(self) -> builtins.bytes:
        """The body as bytes."""
        return (await self.buffer()).to_bytes()


async def pyfetch(url: Any, /, **options: Any) -> FetchResponse:
    """Fetch a URL.

    Args:
        url: An absolute URL, or a Request.
        options: What `fetch` takes.

    Raises:
        OSError: If the platform refuses.
    """
    try:
        return FetchResponse(str(url), await environment.fetch(url, **options))
    except JsException as error:
        raise OSError(error.message) from None
