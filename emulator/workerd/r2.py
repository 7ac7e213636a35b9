"""r2: a real R2 bucket, as worker code calls it.

Promises: the platform's methods, answered by workerd itself; objects and errors in the
emulator's shapes; bodies stream both ways. Leaves to others: storing (workerd).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.bindings.r2.body_reader import BodyReader
from emulator.bindings.r2.metadata import HTTP_FIELDS, write_http_metadata
from emulator.values import JsDict, undefined
from emulator.workerd.frames import body_of
from emulator.workerd.wire import decode, encode

if TYPE_CHECKING:
    import asyncio

    from emulator.web.readable import ReadableStream
    from emulator.workerd.frames import Answer
    from emulator.workerd.world import World

__all__ = ["R2Bucket", "R2MultipartUpload", "R2Object", "R2ObjectBody"]

_MISSING: Final = object()


class R2Object:
    """An object without its body.

    Attributes:
        key: As it was stored; and `version`, `size`, `etag`, `httpEtag`, `uploaded`,
            `checksums`, `httpMetadata`, `customMetadata`, `storageClass`, `range`,
            `ssecKeyMd5`, as the platform has them.
    """

    def __init__(self, fields: JsDict) -> None:
        self.key: str = fields["key"]
        self.version: str = fields["version"]
        self.size: int = fields["size"]
        self.etag: str = fields["etag"]
        self.httpEtag: str = fields["httpEtag"]
        self.uploaded: Any = fields["uploaded"]
        self.checksums: JsDict = fields["checksums"]
        self.storageClass: str = fields["storageClass"]
        self.range: JsDict | None = fields["range"]
        self.ssecKeyMd5: str | None = fields["ssecKeyMd5"]
        self.customMetadata: JsDict | None = fields["customMetadata"]
        self.httpMetadata: JsDict | None = None
        if fields["httpMetadata"] is not None:
            names = (*HTTP_FIELDS, "cacheExpiry")
            self.httpMetadata = JsDict((n, fields["httpMetadata"].get(n)) for n in names)

    def writeHttpMetadata(self, headers: Any) -> None:
        """Set the headers that `httpMetadata` stands for."""
        fields = self.httpMetadata or JsDict()
        write_http_metadata({k: v for k, v in fields.items() if v is not None}, headers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r} {self.size} bytes>"


@final
class R2ObjectBody(BodyReader, R2Object):
    """An object with its body, which is read once."""

    def __init__(self, fields: JsDict, body: ReadableStream) -> None:
        super().__init__(fields)
        self._body = body

    @property
    def body(self) -> ReadableStream:
        """The bytes as a stream."""
        return self._body


def _result(answer: Answer) -> Any:
    """A result of the bucket as worker code sees it."""
    line = answer.line
    if not isinstance(line, dict):
        return decode(line)
    if line.get("$") == "r2":
        fields = decode(line["fields"])
        return R2ObjectBody(fields, answer.body) if line["hasBody"] else R2Object(fields)
    if "objects" in line:
        objects = [R2Object(decode(item["fields"])) for item in line.pop("objects")]
        page = decode(line)
        return JsDict(
            objects=objects,
            truncated=page["truncated"],
            cursor=page.get("cursor"),
            delimitedPrefixes=page["delimitedPrefixes"],
        )
    return decode(line)


@final
class R2Bucket:
    """A bucket binding of a real world.

    Args:
        world: Whose it is.
        binding: The name under which the worker knows it.
    """

    def __init__(self, world: World, binding: str) -> None:
        self._world = world
        self._binding = binding

    def head(self, key: Any = _MISSING) -> asyncio.Future[R2Object | None]:
        """The object without its body, or None."""
        return self._send("head", (key,))

    def get(self, key: Any = _MISSING, options: Any = None, **more: Any) -> asyncio.Future[Any]:
        """The object with its body (without one where `onlyIf` failed), or None."""
        return self._send("get", (key, _options(options, more)))

    def put(
        self, key: Any = _MISSING, value: Any = _MISSING, options: Any = None, **more: Any
    ) -> asyncio.Future[R2Object | None]:
        """Store an object. A stream must have a known length, as on the platform."""
        return self._send("put", (key, value, _options(options, more)))

    def delete(self, keys: Any = _MISSING) -> asyncio.Future[None]:
        """Delete one object, or up to 1,000."""
        return self._send("delete", (keys,))

    def list(self, options: Any = None, **more: Any) -> asyncio.Future[JsDict]:
        """One page of the bucket."""
        return self._send("list", (_options(options, more),))

    def createMultipartUpload(
        self, key: Any = _MISSING, options: Any = None, **more: Any
    ) -> asyncio.Future[R2MultipartUpload]:
        """Begin an upload in parts."""
        return self._world.start_call(self._create((key, _options(options, more))))

    def resumeMultipartUpload(self, key: str, uploadId: str) -> R2MultipartUpload:
        """The handle of an upload that was begun elsewhere, unchecked."""
        return R2MultipartUpload(self, key, uploadId)

    async def _create(self, args: tuple[Any, ...]) -> R2MultipartUpload:
        line = (await self._call("createMultipartUpload", args, None)).line
        return R2MultipartUpload(self, line["key"], line["uploadId"])

    def _send(
        self, method: str, args: tuple[Any, ...], upload: R2MultipartUpload | None = None
    ) -> asyncio.Future[Any]:
        async def carry() -> Any:
            return _result(await self._call(method, args, upload))

        return self._world.start_call(carry())

    async def _call(
        self, method: str, args: tuple[Any, ...], upload: R2MultipartUpload | None
    ) -> Answer:
        given = list(args)
        while given and given[-1] is _MISSING:
            given.pop()
        body = None
        if method in ("put", "uploadPart") and len(given) > 1:
            body = body_of(given[1])
        encoded = [
            {"$": "stream", "length": body.length}
            if body is not None and position == 1
            else encode(value)
            for position, value in enumerate(given)
        ]
        call: dict[str, Any] = {
            "call": "r2",
            "binding": self._binding,
            "method": method,
            "args": encoded,
        }
        if upload is not None:
            call["upload"] = {"key": upload.key, "uploadId": upload.uploadId}
        return await self._world.call(call, body)

    def __repr__(self) -> str:
        return f"<R2Bucket {self._binding}>"


def _options(options: Any, more: dict[str, Any]) -> Any:
    if options is None and not more:
        return undefined
    return {**(options or {}), **more}


@final
class R2MultipartUpload:
    """An upload in parts of a real world."""

    def __init__(self, bucket: R2Bucket, key: str, upload_id: str) -> None:
        self._bucket = bucket
        self.key = key
        self.uploadId = upload_id

    def uploadPart(
        self, partNumber: Any = _MISSING, value: Any = _MISSING, options: Any = None
    ) -> asyncio.Future[JsDict]:
        """Upload one part; a future with `{partNumber, etag}`."""
        return self._bucket._send(
            "uploadPart", (partNumber, value, _options(options, {})), self
        )

    def complete(self, parts: Any = _MISSING) -> asyncio.Future[R2Object]:
        """Make the object of the parts."""
        if isinstance(parts, list | tuple):
            parts = [dict(part) if isinstance(part, dict) else part for part in parts]
        return self._bucket._send("complete", (parts,), self)

    def abort(self) -> asyncio.Future[None]:
        """Give the upload up."""
        return self._bucket._send("abort", (), self)

    def __repr__(self) -> str:
        return f"<R2MultipartUpload {self.key!r}>"
