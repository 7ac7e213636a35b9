"""Multipart: the upload as worker code holds it.

Promises: workerd's checks of part numbers and parts; every call takes the corridor. Leaves to
others: the state of the upload and R2's rules (uploads), the bytes (values).
"""

from __future__ import annotations

import hashlib
import math
from functools import partial
from typing import TYPE_CHECKING, Any, final

from emulator.bindings.r2.errors import (
    OBJECT_TOO_LARGE,
    element_type_error,
    parameter_type_error,
    r2_error,
)
from emulator.bindings.r2.keys import MISSING, check_key
from emulator.bindings.r2.objects import R2Object
from emulator.bindings.r2.uploads import PART_NUMBER_MAX, PartName, Upload
from emulator.bindings.r2.values import (
    BODY_KINDS,
    SINGLE_UPLOAD_BYTES_MAX,
    StreamBody,
    is_buffer,
    snapshot,
)
from emulator.durable_objects.arguments import text_of
from emulator.durable_objects.context import current_context
from emulator.errors import JsException, js_error
from emulator.simulation.rules import Operation
from emulator.values import JsDict
from emulator.web.callbacks import rejected
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    import asyncio

    from emulator.bindings.r2.store import R2Store
    from emulator.durable_objects.context import IoContext

__all__ = ["R2MultipartUpload"]

_CLASS = "R2MultipartUpload"


def _part_number(value: Any) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    whole = int(number) if math.isfinite(number) else 0
    if not -(2**31) <= whole < 2**31:
        text = "Value out of range. Must be between -2147483648 and 2147483647 (inclusive)."
        raise js_error("TypeError", text)
    if not 1 <= whole <= PART_NUMBER_MAX:
        text = (
            f"Part number must be between 1 and {PART_NUMBER_MAX} (inclusive). "
            f"Actual value was: {whole}"
        )
        raise js_error("TypeError", text)
    return whole


def _member(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, dict) else getattr(part, name, None)


def _part_names(parts: Any) -> list[PartName]:
    if not isinstance(parts, list | tuple):
        raise parameter_type_error("complete", 1, "Array", on=_CLASS)
    names: list[PartName] = []
    for index, part in enumerate(parts):
        if not (isinstance(part, dict) or hasattr(part, "partNumber")):
            raise element_type_error(index, "UploadedPart")
        etag = _member(part, "etag")
        if etag is not None:
            etag = text_of(etag)
        names.append(PartName(_part_number(_member(part, "partNumber")), etag))
    return names


@final
class R2MultipartUpload:
    """An upload in parts, new or resumed.

    Args:
        store: The bucket.
        key: The object's key.
        upload_id: R2's name for the upload; nothing checks it until it is used.
        binding: The bucket's name for the worker.
        outside: The context of callers outside of every worker.
    """

    __slots__ = ("_binding", "_outside", "_store", "key", "uploadId")

    def __init__(
        self, store: R2Store, key: str, upload_id: str, *, binding: str, outside: IoContext
    ) -> None:
        self._store = store
        self.key = key
        self.uploadId = upload_id
        self._binding = binding
        self._outside = outside

    def uploadPart(
        self, partNumber: Any = MISSING, value: Any = MISSING, options: Any = None
    ) -> asyncio.Future[JsDict]:
        """Upload one part; an earlier one of its number is replaced.

        Args:
            partNumber: 1 to 10,000.
            value: Text, bytes or a stream of known length, at most 5 GiB less 5 MiB.
            options: Customer keys, which are not supported here, are passed over.

        Returns:
            A future with `{partNumber, etag}`. It rejects with TypeError for wrong
            arguments, with 10024 if the upload is not open when the part has arrived.
        """
        try:
            if partNumber is MISSING:
                raise parameter_type_error("uploadPart", 1, "integer", on=_CLASS)
            number = _part_number(partNumber)
            if isinstance(value, ReadableStream):
                body = StreamBody(value)
                return self._carry("uploadPart", partial(self._stream_part, number, body))
            if not (isinstance(value, str) or is_buffer(value)):
                raise parameter_type_error("uploadPart", 2, BODY_KINDS, on=_CLASS)
        except JsException as error:
            return rejected(error)
        return self._carry("uploadPart", partial(self._put_part, number, value))

    def complete(self, uploadedParts: Any = MISSING) -> asyncio.Future[R2Object]:
        """Make the object of the named parts.

        Args:
            uploadedParts: What `uploadPart` answered, in any order.

        Returns:
            A future with the object. All parts but the last must have the same size of at
            least 5 MiB, the last at most that: 10011 and 10048 else. 10025 for a part that
            is not there, 10001 for one that is named twice, 10024 if the upload is over.
        """
        try:
            names = _part_names(uploadedParts)
        except JsException as error:
            return rejected(error)
        return self._carry("complete", partial(self._complete, names))

    def abort(self) -> asyncio.Future[None]:
        """Give the parts up. Again, or after `complete`, it does nothing."""
        return self._carry("abort", self._abort)

    def _carry(self, name: str, effect: Any) -> asyncio.Future[Any]:
        operation = Operation(self._binding, f"r2.{name}", self.key)
        return current_context(self._outside).carry(operation, effect, takes_connection=True)

    def _put_part(self, number: int, value: Any) -> JsDict:
        data = snapshot(value)
        if len(data) > SINGLE_UPLOAD_BYTES_MAX:
            raise r2_error("uploadPart", OBJECT_TOO_LARGE)
        upload = self._open_upload()
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        etag = upload.add_part(number, self._store.spool.blob(data), md5)
        return JsDict(partNumber=number, etag=etag)

    async def _stream_part(self, number: int, body: StreamBody) -> JsDict:
        blob, digester = await body.read(self._store.spool, "uploadPart")
        # The state that counts is that of the instant at which the part is all there.
        etag = self._open_upload().add_part(number, blob, digester.finish()["md5"])
        return JsDict(partNumber=number, etag=etag)

    def _open_upload(self) -> Upload:
        check_key(self.key, "uploadPart")
        upload = Upload.of(self._store, self.key, self.uploadId, "uploadPart")
        upload.check_open("uploadPart")
        return upload

    def _complete(self, names: list[PartName]) -> R2Object:
        method = "completeMultipartUpload"
        check_key(self.key, method)
        upload = Upload.of(self._store, self.key, self.uploadId, method)
        return R2Object(upload.complete(names))

    def _abort(self) -> None:
        method = "abortMultipartUpload"
        check_key(self.key, method)
        Upload.of(self._store, self.key, self.uploadId, method).abort()

    def __repr__(self) -> str:
        return f"<R2MultipartUpload {self.key!r} {self.uploadId[:8]}>"
