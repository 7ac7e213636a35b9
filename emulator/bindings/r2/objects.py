"""Objects: what worker code holds after a head, get, put or list.

Promises: the platform's members, read-only; a body is a snapshot of the version on which it
was opened, and is read once. An object without a body has no `body` at all, as the platform
has it after a failed condition. Leaves to others: where the bytes are (spool).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, final

from emulator.bindings.r2.body_reader import BodyReader
from emulator.bindings.r2.checksums import R2Checksums
from emulator.bindings.r2.metadata import shown_http_metadata, write_http_metadata
from emulator.durable_objects.context import IoContext, current_context
from emulator.errors import js_error
from emulator.simulation.rules import Operation
from emulator.values import JsDict
from emulator.values.conversion import date_of_ms
from emulator.web.js_object import JsObject
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    from datetime import datetime

    from emulator.bindings.r2.record import ObjectRecord
    from emulator.bindings.r2.spool import Blob

__all__ = ["BODY_CHUNK_BYTES", "R2Object", "R2ObjectBody"]

#: Bytes of one chunk of a body stream; ours, so that a large body is read at flat memory.
BODY_CHUNK_BYTES: Final = 64 * 1024

_set = object.__setattr__


class R2Object(JsObject):
    """An object without its body: the platform's `HeadResult`.

    Args:
        record: The version it shows.
        range_: Offset and length of what was asked for; None in the answers of put and list.
        has_http_metadata: Whether `httpMetadata` was asked for.
        has_custom_metadata: Whether `customMetadata` was asked for.
    """

    __slots__ = ("_custom", "_http", "_range", "_record")

    __js_class__ = "HeadResult"

    _record: ObjectRecord
    _range: tuple[int, int] | None
    _http: JsDict | bool
    _custom: JsDict | bool

    def __init__(
        self,
        record: ObjectRecord,
        range_: tuple[int, int] | None = None,
        *,
        has_http_metadata: bool = True,
        has_custom_metadata: bool = True,
    ) -> None:
        _set(self, "_record", record)
        _set(self, "_range", range_)
        # Made when it is first looked at, and the same object from then on.
        _set(self, "_http", has_http_metadata)
        _set(self, "_custom", has_custom_metadata)

    def __setattr__(self, name: str, value: object) -> None:
        text = (
            f"Cannot assign to read only property '{name}' of object '#<{self.__js_class__}>'"
        )
        raise js_error("TypeError", text)

    def __getitem__(self, name: str) -> Any:
        # By item as by attribute, as Cloudflare's `workers` package has it (rpc.py).
        return getattr(self, name)

    @property
    def key(self) -> str:
        """The key as it was spelled when it was stored."""
        return self._record.key

    @property
    def version(self) -> str:
        """Opaque; another one after each write, even of the same bytes."""
        return self._record.version

    @property
    def size(self) -> int:
        """The whole object's size in bytes, also when only a range was asked for."""
        return self._record.size_bytes

    @property
    def etag(self) -> str:
        """MD5 in hex; of several parts, `<MD5 of the parts' MD5s>-<number of parts>`."""
        return self._record.etag

    @property
    def httpEtag(self) -> str:
        """The etag in double quotes, as a header wants it."""
        return f'"{self._record.etag}"'

    @property
    def uploaded(self) -> datetime:
        """When the write was committed: aware, UTC, simulated time."""
        return date_of_ms(self._record.uploaded_ms)

    @property
    def checksums(self) -> R2Checksums:
        """The digests of the body that R2 knows."""
        return R2Checksums(self._record.checksums)

    @property
    def httpMetadata(self) -> JsDict | None:
        """The six fields, those missing as None; None if a list did not include them."""
        shown = self._http
        if shown is True:
            shown = shown_http_metadata(self._record.http_metadata)
            _set(self, "_http", shown)
        return None if isinstance(shown, bool) else shown

    @property
    def customMetadata(self) -> JsDict | None:
        """The metadata that was given, or None if a list did not include it."""
        shown = self._custom
        if shown is True:
            shown = JsDict(self._record.custom_metadata)
            _set(self, "_custom", shown)
        return None if isinstance(shown, bool) else shown

    @property
    def storageClass(self) -> str:
        """ "Standard" or "InfrequentAccess"."""
        return self._record.storage_class

    @property
    def range(self) -> JsDict | None:
        """`{offset, length}` of what was asked for; None in the answers of put and list."""
        if self._range is None:
            return None
        return JsDict(offset=self._range[0], length=self._range[1])

    @property
    def ssecKeyMd5(self) -> None:
        """Always None: customer keys are not supported here."""
        return

    def writeHttpMetadata(self, headers: Any) -> None:
        """Set the headers that `httpMetadata` stands for.

        Raises:
            JsTypeError: If a list did not include the metadata.
        """
        if self._http is False:
            text = (
                f"HTTP metadata unknown for key `{self.key}`. Did you forget to add "
                "'httpMetadata' to `include` when listing?"
            )
            raise js_error("TypeError", text)
        write_http_metadata(self._record.http_metadata, headers)

    def resize(self, by_bytes: int) -> None:
        """Say another size than is stored. Not for worker code."""
        record = copy.copy(self._record)
        record.size_bytes = max(record.size_bytes + by_bytes, 0)
        _set(self, "_record", record)

    def __repr__(self) -> str:
        record = self._record
        return f"<{type(self).__name__} {record.key!r} {record.size_bytes} bytes>"


@final
class R2ObjectBody(BodyReader, R2Object):
    """An object with its body: the platform's `GetResult`.

    Args:
        record: The version it shows and reads from.
        range_: Offset and length of what is read.
        binding: The bucket's name for the worker.
        outside: The context of a reader outside of every worker.
    """

    __slots__ = ("_body", "_reader")

    __js_class__ = "GetResult"

    _body: ReadableStream | None
    _reader: tuple[str, IoContext]

    def __init__(
        self, record: ObjectRecord, range_: tuple[int, int], *, binding: str, outside: IoContext
    ) -> None:
        super().__init__(record, range_)
        _set(self, "_body", None)
        _set(self, "_reader", (binding, outside))

    @property
    def body(self) -> ReadableStream:
        """The bytes as a stream of known length. Each chunk is an arrival of its own."""
        stream = self._body
        if stream is None:
            stream = self._open()
            _set(self, "_body", stream)
        return stream

    def _open(self) -> ReadableStream:
        # Let go at the end: a reader and its stream hold each other, and would keep the space.
        blob: Blob | None = self._record.blob
        binding, outside = self._reader
        assert self._range is not None
        position, left = self._range
        operation = Operation(binding, "r2.body", self._record.key)

        def read_chunk() -> bytes:
            nonlocal position, left, blob
            assert blob is not None
            data = blob.read(position, min(left, BODY_CHUNK_BYTES))
            position += len(data)
            left -= len(data)
            if not left:
                blob = None
            return data

        def cancel(_: Any) -> None:
            nonlocal left, blob
            left, blob = 0, None

        async def pull() -> bytes | None:
            if not left:
                return None
            # The context is the reader's of this chunk: a body may be handed on.
            chunk: bytes = await current_context(outside).carry_inner(operation, read_chunk)
            return chunk

        return ReadableStream.from_source(pull, cancel=cancel, known_length=left)

    def replace_body(self, stream: ReadableStream) -> None:
        """Give another body. Not for worker code."""
        _set(self, "_body", stream)

    @property
    def bodyUsed(self) -> bool:
        """Whether the body has been read from or cancelled."""
        return self._body is not None and self._body.is_disturbed
