"""Types: what annotations in worker code refer to.

Promises: the names of `workers.types` in Cloudflare's package. Leaves to others: every
object that is more than a type.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

from emulator.web.blob import Blob, File
from emulator.web.form_data import FormData
from emulator.web.headers import Headers as HeadersObject
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    from http import HTTPMethod

__all__ = [
    "BlobValue",
    "Body",
    "Context",
    "FetchKwargs",
    "FormDataValue",
    "HeadersInit",
    "JSBody",
    "RequestInitCfProperties",
]

BlobValue: TypeAlias = str | bytes | bytearray | memoryview | Blob | File
FormDataValue: TypeAlias = str | Blob
JSBody: TypeAlias = Blob | FormData | ReadableStream | bytearray | memoryview
Body: TypeAlias = str | bytes | JSBody | None
HeadersInit: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]] | HeadersObject


class Context(Protocol):
    """What a handler is handed as `ctx`."""

    def waitUntil(self, other: Awaitable[Any]) -> None:
        """Let work go on after the answer."""


class RequestInitCfProperties(TypedDict, total=False):
    """The `cf` option of a request; kept, and without effect here."""

    apps: bool | None
    cacheEverything: bool | None
    cacheKey: str | None
    cacheTags: list[str] | None
    cacheTtl: int
    cacheTtlByStatus: dict[str, int]
    image: Any
    mirage: bool | None
    polish: str | None
    resolveOverride: str | None
    scrapeShield: bool | None
    webp: bool | None


class FetchKwargs(TypedDict, total=False):
    """The options of `fetch` and of a Request."""

    headers: HeadersInit | None
    body: Body
    method: HTTPMethod | str | None
    redirect: str | None
    cf: RequestInitCfProperties | None
    fetcher: Callable[..., Any] | None
