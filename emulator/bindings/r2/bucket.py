"""Bucket: R2 as worker code calls it, `env.BUCKET`.

Promises: the platform's seven methods. Each acts when it is called and takes the corridor;
every failure comes by the future, in workerd's order: arguments at once, R2's own rules where
the effect is. Leaves to others: the rules of parts (multipart), pages (listing), conditions
and ranges, and what an object keeps (store).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, final

from emulator.bindings.r2.checksums import Digester, ExpectedDigest, expected_digest
from emulator.bindings.r2.conditions import Condition, condition_of
from emulator.bindings.r2.errors import (
    OBJECT_TOO_LARGE,
    UNSPECIFIED,
    parameter_type_error,
    r2_error,
)
from emulator.bindings.r2.keys import MISSING, check_key, key_text
from emulator.bindings.r2.listing import ListRequest, list_request, page_of
from emulator.bindings.r2.metadata import (
    check_metadata_size,
    custom_metadata_of,
    http_metadata_of,
)
from emulator.bindings.r2.multipart import R2MultipartUpload
from emulator.bindings.r2.objects import R2Object, R2ObjectBody
from emulator.bindings.r2.ranges import RangeRequest, byte_range, range_request
from emulator.bindings.r2.uploads import Upload
from emulator.bindings.r2.values import (
    BODY_KINDS,
    SINGLE_UPLOAD_BYTES_MAX,
    StreamBody,
    is_buffer,
    snapshot,
)
from emulator.durable_objects.arguments import text_of, warn_of_snake_case
from emulator.durable_objects.context import current_context
from emulator.errors import JsException, js_error, no_attribute
from emulator.simulation.rules import Operation
from emulator.values import JsDict, undefined
from emulator.web.callbacks import rejected
from emulator.web.js_object import JsObject
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from emulator.bindings.r2.spool import Blob
    from emulator.bindings.r2.store import R2Store
    from emulator.durable_objects.context import IoContext

__all__ = ["R2Bucket"]

_STREAM_CANCELLED = (
    "Stream cancelled because the associated put operation encountered an error."
)


class _Facts(NamedTuple):
    """What a put or a new upload says of its object, besides the bytes."""

    http_metadata: dict[str, Any]
    custom_metadata: dict[str, str]
    storage_class: str | None
    expected: ExpectedDigest | None = None
    condition: Condition | None = None


_NO_FACTS = _Facts({}, {}, None)


def _options(
    options: Any, more: dict[str, Any], method: str, position: int, struct: str
) -> dict[str, Any]:
    """Options as one dict, whether they came as a dict, as keywords or as both."""
    if options is None or options is undefined:
        if more:
            warn_of_snake_case(f"R2Bucket.{method}", more)
        return more
    if not isinstance(options, dict):
        raise parameter_type_error(method, position, struct)
    warn_of_snake_case(f"R2Bucket.{method}", {**options, **more})
    return {**options, **more} if more else options


def _facts(options: dict[str, Any], struct: str) -> _Facts:
    if not options:
        return _NO_FACTS
    storage_class = options.get("storageClass")
    if storage_class is undefined or storage_class is None:
        storage_class = None
    else:
        storage_class = text_of(storage_class)
    return _Facts(
        http_metadata_of(options.get("httpMetadata"), struct),
        custom_metadata_of(options.get("customMetadata", undefined), struct),
        storage_class,
    )


@final
class R2Bucket(JsObject):
    """A bucket binding.

    Args:
        store: The bucket's objects.
        binding_name: The name under which the worker knows it, such as "BUCKET".
        outside: The context of callers outside of every worker.
    """

    def __init__(self, store: R2Store, *, binding_name: str, outside: IoContext) -> None:
        self._store = store
        self._name = binding_name
        self._outside = outside

    def head(self, key: Any = MISSING) -> asyncio.Future[R2Object | None]:
        """The object without its body, or None if there is none."""
        try:
            name = key_text(key, "head")
        except JsException as error:
            return rejected(error)
        return self._carry("r2.head", name, partial(self._head, name))

    def get(
        self, key: Any = MISSING, options: Any = None, **more: Any
    ) -> asyncio.Future[R2Object | R2ObjectBody | None]:
        """The object with its body, or None if there is none.

        Args:
            key: At most 1,024 bytes of UTF-8.
            options: `range` and `onlyIf`, as a dict or as keywords.
            more: The same as keywords.

        Returns:
            A future. Where the condition fails it gives an object without a body. It
            rejects with 10020 for a key that is too long, with 10039 for a range that
            cannot be satisfied, with TypeError or RangeError for wrong options.
        """
        try:
            name = key_text(key, "get")
            chosen = _options(options, more, "get", 2, "GetOptions")
            condition = condition_of(chosen.get("onlyIf")) if chosen else None
            wanted = range_request(chosen.get("range")) if chosen else None
        except JsException as error:
            return rejected(error)
        return self._carry("r2.get", name, partial(self._get, name, condition, wanted))

    def put(
        self, key: Any = MISSING, value: Any = MISSING, options: Any = None, **more: Any
    ) -> asyncio.Future[R2Object | None]:
        """Store an object in the place of whatever was there.

        Args:
            key: At most 1,024 bytes of UTF-8.
            value: Text, bytes, a stream of known length, or None for an empty object; at
                most 5 GiB less 5 MiB.
            options: `httpMetadata`, `customMetadata` (at most 8,192 bytes), `onlyIf`,
                `storageClass`, and one of `md5`, `sha1`, `sha256`, `sha384`, `sha512`.
            more: The same as keywords.

        Returns:
            A future with the new object, or None where the condition failed. It rejects
            with TypeError for wrong arguments and by R2's rules (10020, 100100, 10012,
            10037); nothing is stored then.
        """
        try:
            name = key_text(key, "put")
            is_stream = isinstance(value, ReadableStream)
            if not (
                is_stream
                or value is None
                or value is undefined
                or isinstance(value, str)
                or is_buffer(value)
            ):
                raise parameter_type_error("put", 2, BODY_KINDS)
            facts = self._put_facts(options, more)
            body = StreamBody(value) if is_stream else None
        except JsException as error:
            if isinstance(value, ReadableStream) and not value.locked:
                value.cancel(js_error("Error", _STREAM_CANCELLED))
            return rejected(error)
        if body is not None:
            return self._carry("r2.put", name, partial(self._put_stream, name, body, facts))
        return self._carry("r2.put", name, partial(self._put, name, value, facts))

    @staticmethod
    def _put_facts(options: Any, more: dict[str, Any]) -> _Facts:
        chosen = _options(options, more, "put", 3, "PutOptions")
        if not chosen:
            return _NO_FACTS
        return _facts(chosen, "PutOptions")._replace(
            condition=condition_of(chosen.get("onlyIf")), expected=expected_digest(chosen)
        )

    def delete(self, keys: Any = MISSING) -> asyncio.Future[None]:
        """Delete one object, or up to 1,000. Keys without an object are fine."""
        try:
            if isinstance(keys, list | tuple):
                names = [text_of(key) for key in keys]
            else:
                names = [key_text(keys, "delete", kind="string or Array")]
        except JsException as error:
            return rejected(error)
        shown = names[0] if len(names) == 1 else ",".join(names[:3])
        return self._carry("r2.delete", shown, partial(self._delete, names))

    def list(self, options: Any = None, **more: Any) -> asyncio.Future[JsDict]:
        """One page of the bucket, in the order of the keys' UTF-8 bytes.

        Args:
            options: `prefix`, `delimiter`, `startAfter`, `cursor`, `limit` (1 to 1,000)
                and `include` (of "httpMetadata", "customMetadata").
            more: The same as keywords.

        Returns:
            A future with `{objects, truncated, cursor, delimitedPrefixes}`. A page may be
            shorter than the limit: go on while it is truncated. It rejects with 10022 for
            a limit out of range.
        """
        try:
            chosen = _options(options, more, "list", 1, "ListOptions")
            request = list_request(chosen)
        except JsException as error:
            return rejected(error)
        return self._carry("r2.list", request.prefix, partial(self._list, request))

    def createMultipartUpload(
        self, key: Any = MISSING, options: Any = None, **more: Any
    ) -> asyncio.Future[R2MultipartUpload]:
        """Begin an upload in parts.

        Args:
            key: At most 1,024 bytes of UTF-8.
            options: `httpMetadata`, `customMetadata` and `storageClass` of the object.
            more: The same as keywords.
        """
        method = "createMultipartUpload"
        try:
            name = key_text(key, method)
            chosen = _options(options, more, method, 2, "MultipartOptions")
            facts = _facts(chosen, "MultipartOptions")
        except JsException as error:
            return rejected(error)
        return self._carry(f"r2.{method}", name, partial(self._create_upload, name, facts))

    def resumeMultipartUpload(
        self, key: Any = MISSING, uploadId: Any = MISSING
    ) -> R2MultipartUpload:
        """The handle of an upload that was begun elsewhere. At once, and unchecked.

        Raises:
            JsTypeError: If an argument is missing.
        """
        name = key_text(key, "resumeMultipartUpload")
        if uploadId is MISSING:
            raise parameter_type_error("resumeMultipartUpload", 2, "string")
        return self._handle(name, text_of(uploadId))

    def _carry(self, name: str, key: str, effect: Any) -> asyncio.Future[Any]:
        operation = Operation(self._name, name, key)
        return current_context(self._outside).carry(operation, effect, takes_connection=True)

    def _handle(self, key: str, upload_id: str) -> R2MultipartUpload:
        return R2MultipartUpload(
            self._store, key, upload_id, binding=self._name, outside=self._outside
        )

    # What follows happens on R2's side, when the operation takes effect.

    def _head(self, key: str) -> R2Object | None:
        check_key(key, "head")
        record = self._store.find(key)
        return None if record is None else R2Object(record, (0, record.size_bytes))

    def _get(
        self, key: str, condition: Condition | None, wanted: RangeRequest | None
    ) -> R2Object | None:
        check_key(key, "get")
        record = self._store.find(key)
        if record is None:
            return None
        if condition is not None and not condition.holds(record):
            return R2Object(record, (0, record.size_bytes))
        range_ = byte_range(wanted, record.size_bytes)
        return R2ObjectBody(record, range_, binding=self._name, outside=self._outside)

    def _put(self, key: str, value: Any, facts: _Facts) -> R2Object | None:
        data = b"" if value is None or value is undefined else snapshot(value)
        check_key(key, "put")
        if len(data) > SINGLE_UPLOAD_BYTES_MAX:
            raise r2_error("put", OBJECT_TOO_LARGE)
        digester = Digester(facts.expected)
        digester.update(data)
        return self._commit(key, self._store.spool.blob(data), digester, facts)

    async def _put_stream(self, key: str, body: StreamBody, facts: _Facts) -> R2Object | None:
        blob, digester = await body.read(self._store.spool, "put", facts.expected)
        check_key(key, "put")
        return self._commit(key, blob, digester, facts)

    def _commit(
        self, key: str, blob: Blob, digester: Digester, facts: _Facts
    ) -> R2Object | None:
        """The rest of a put, in R2's order: metadata, digest, condition."""
        store = self._store
        check_metadata_size(facts.custom_metadata, store.profile, "put")
        checksums = digester.finish()
        if facts.condition is not None and not facts.condition.holds(store.find(key)):
            return None
        record = store.commit(
            key,
            blob,
            etag=checksums["md5"].hex(),
            http_metadata=facts.http_metadata,
            custom_metadata=facts.custom_metadata,
            checksums=checksums,
            storage_class=facts.storage_class,
        )
        return R2Object(record)

    def _delete(self, names: Sequence[str]) -> None:
        delete_max = self._store.profile.delete_keys_max
        if delete_max is not None and len(names) > delete_max:
            # The number is documented; the text of the refusal is not.
            text = f"You can only delete up to {delete_max} keys at a time."
            raise r2_error("delete", UNSPECIFIED, text)
        # One bad key, and nothing is deleted.
        for name in names:
            check_key(name, "delete")
        for name in names:
            self._store.remove(name)

    def _list(self, request: ListRequest) -> JsDict:
        store = self._store
        include = request.include
        page = page_of(
            store.sorted_keys(),
            request,
            self._page_size(request),
            is_strict=store.profile.refuses_foreign_cursors,
        )
        always = store.profile.lists_metadata_always
        objects = [
            R2Object(
                record,
                has_http_metadata=always or "httpMetadata" in include,
                has_custom_metadata=always or "customMetadata" in include,
            )
            for key in page.keys
            if (record := store.find(key)) is not None
        ]
        return JsDict(
            objects=objects,
            truncated=page.cursor is not None,
            cursor=page.cursor,
            delimitedPrefixes=page.groups,
        )

    def _page_size(self, request: ListRequest) -> int:
        """With metadata a page may be shorter than the limit, as R2's budget has it."""
        profile, limit = self._store.profile, request.limit
        size_min = profile.include_page_min
        if not request.include or limit <= size_min:
            return limit
        if not profile.include_page_varies:
            return size_min
        drawn = int(self._store.token("r2.list", 4), 16)
        return size_min + drawn % (limit - size_min + 1)

    def _create_upload(self, key: str, facts: _Facts) -> R2MultipartUpload:
        method = "createMultipartUpload"
        check_key(key, method)
        if self._store.profile.checks_upload_metadata:
            check_metadata_size(facts.custom_metadata, self._store.profile, method)
        upload = Upload(
            self._store,
            key,
            http_metadata=facts.http_metadata,
            custom_metadata=facts.custom_metadata,
            storage_class=facts.storage_class,
        )
        return self._handle(key, upload.upload_id)

    def __getattr__(self, name: str) -> NoReturn:
        raise no_attribute(self, name)

    def __repr__(self) -> str:
        return f"<R2Bucket {self._name}>"
