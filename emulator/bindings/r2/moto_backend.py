"""moto: the S3 backend in which a world's objects lie.

Promises: a backend of the world's own, or moto's shared one when `mock_aws()` was active when
the world began; keys that boto3 and moto's other code read like any key of theirs, but whose
bytes may lie in a spool and survive the start of a later `mock_aws()`. Leaves to others: every
rule of R2 (store). Imported only when the first byte is stored: moto takes a quarter of a
second. It uses moto's model layer, which is private: pyproject.toml pins the tested range.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, final

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import (
    FakeAcl,
    FakeBucket,
    FakeGrant,
    FakeGrantee,
    FakeKey,
    S3Backend,
    s3_backends,
)

from emulator.bindings.r2.spool import Blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.bindings.r2.record import ObjectRecord

__all__ = ["MotoBackend", "StoredKey", "adopt", "stored_key"]

_PARTITION: Final = "aws"
_REGION: Final = "us-east-1"
# moto declares it abstract for its type checker and makes it all the same.
_BUCKET: Final[Any] = FakeBucket


class StoredKey(FakeKey):
    """A key whose bytes lie where our record says; moto and boto3 see no difference."""

    r2_record: ObjectRecord

    def __new__(cls, *_args: Any, **_options: Any) -> StoredKey:
        # moto keeps each model it makes for ever, and disposes of them all when a mock
        # starts: a world's objects must be in neither.
        return object.__new__(cls)

    @property
    def value(self) -> bytes:
        blob = self.r2_record.blob
        return blob.read(0, blob.size_bytes)

    @value.setter
    def value(self, new_value: bytes) -> None:
        data = new_value.encode() if isinstance(new_value, str) else new_value
        # Another one: snapshots hold the record that was committed.
        self.r2_record = record = copy(self.r2_record)
        record.blob = Blob(data)
        record.size_bytes = self.contentsize = len(data)

    def dispose(self, garbage: bool = False) -> None:  # noqa: FBT001, FBT002  # moto's signature.
        self.disposed = True

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        # One thread is the law, so all keys may share one lock.
        self.__dict__.update(state, lock=_TEMPLATE["lock"])


def _template() -> dict[str, Any]:
    """The attributes of one real key: whatever this version of moto gives them."""
    key = FakeKey(name="", value=b"", account_id=DEFAULT_ACCOUNT_ID, region_name=_REGION)
    attributes = dict(key.__dict__)
    key.dispose()
    tracked: list[Any] = getattr(FakeKey, "instances_tracked", [])
    tracked.remove(key)
    attributes["_value_buffer"] = None
    attributes["_version_id"] = "null"
    return attributes


_TEMPLATE: Final = _template()
_METADATA_TYPE: Final = type(_TEMPLATE["_metadata"])


def stored_key(record: ObjectRecord, bucket_name: str) -> StoredKey:
    """The key for a record that was just committed."""
    key = object.__new__(StoredKey)
    attributes = key.__dict__
    attributes.update(_TEMPLATE)
    attributes["r2_record"] = record
    attributes["name"] = record.key
    attributes["bucket_name"] = bucket_name
    attributes["_etag"] = record.etag
    attributes["contentsize"] = record.size_bytes
    # moto's own times are naive and in UTC.
    attributes["last_modified"] = datetime.fromtimestamp(
        record.uploaded_ms / 1000, tz=UTC
    ).replace(tzinfo=None)
    metadata = attributes["_metadata"] = _METADATA_TYPE()
    metadata["Content-Type"] = record.http_metadata.get(
        "contentType", "application/octet-stream"
    )
    for name, header in _S3_HEADERS:
        if name in record.http_metadata:
            metadata[header] = record.http_metadata[name]
    for name, text in record.custom_metadata.items():
        if name and name.isascii() and text.isascii() and text.isprintable():
            metadata[f"x-amz-meta-{name}"] = text
    return key


def _bucket(name: str) -> FakeBucket:
    bucket: FakeBucket = _BUCKET(name=name, account_id=DEFAULT_ACCOUNT_ID, region_name=_REGION)
    return bucket


def _untracked_bucket(name: str) -> FakeBucket:
    """A bucket that is gone with its world: moto keeps each model it makes for ever."""
    lists: list[list[Any]] = [
        getattr(model, "instances_tracked", [])
        for model in (FakeBucket, FakeAcl, FakeGrant, FakeGrantee)
    ]
    lengths = [len(tracked) for tracked in lists]
    bucket = _bucket(name)
    for tracked, length in zip(lists, lengths, strict=True):
        del tracked[length:]
    return bucket


_S3_HEADERS: Final = (
    ("contentLanguage", "Content-Language"),
    ("contentDisposition", "Content-Disposition"),
    ("contentEncoding", "Content-Encoding"),
    ("cacheControl", "Cache-Control"),
)


def adopt(
    key: Any,
    make_record: Callable[[str, bytes, str, dict[str, str], dict[str, str]], ObjectRecord],
) -> StoredKey | None:
    """One of our keys in the place of one that boto3 put; None for a delete marker.

    Args:
        key: moto's key.
        make_record: Called with name, bytes, etag, http and custom metadata.
    """
    if not isinstance(key, FakeKey):
        return None
    http: dict[str, str] = {}
    custom: dict[str, str] = {}
    names = {header.lower(): name for name, header in _S3_HEADERS}
    names["content-type"] = "contentType"
    for header, text in key.metadata.items():
        lower = header.lower()
        if lower in names:
            http[names[lower]] = text
        elif lower.startswith("x-amz-meta-"):
            custom[lower.removeprefix("x-amz-meta-")] = text
    data = key.value
    etag = key.etag.strip('"')
    adopted = object.__new__(StoredKey)
    adopted.__dict__.update(key.__dict__)
    adopted.__dict__["_value_buffer"] = None
    adopted.multipart = None
    adopted.r2_record = make_record(key.name, data, etag, http, custom)
    key.dispose()
    return adopted


@final
class MotoBackend:
    """The backend of one world.

    Args:
        is_shared: Use moto's global backend, as boto3 does inside `mock_aws()`.
    """

    def __init__(self, *, is_shared: bool) -> None:
        self.is_shared = is_shared
        self._own = None if is_shared else S3Backend(_PARTITION, DEFAULT_ACCOUNT_ID)
        self._bucket_accounts: dict[str, tuple[str, str]] = {}

    @property
    def backend(self) -> S3Backend:
        """moto's backend. The shared one is another after each start of a mock."""
        if self._own is not None:
            return self._own
        shared: S3Backend = s3_backends[DEFAULT_ACCOUNT_ID][_PARTITION]
        return shared

    def keys(self, bucket_name: str) -> dict[str, list[Any]]:
        """The bucket's keys, each with its versions; the bucket is made if it is missing."""
        buckets = self.backend.buckets
        bucket = buckets.get(bucket_name)
        if bucket is None:
            with self._registry():
                make = _bucket if self.is_shared else _untracked_bucket
                bucket = buckets[bucket_name] = make(bucket_name)
        keys: dict[str, list[Any]] = bucket.keys
        return keys

    @contextmanager
    def _registry(self) -> Iterator[None]:
        """Keep moto's process-wide list of bucket names free of a world's own buckets."""
        if self.is_shared:
            yield
            return
        outer = s3_backends.bucket_accounts
        s3_backends.bucket_accounts = self._bucket_accounts
        try:
            yield
        finally:
            s3_backends.bucket_accounts = outer

    @contextmanager
    def installed(self) -> Iterator[None]:
        """This backend is the one that moto's S3 answers from, while the block runs."""
        if self._own is None:
            yield
            return
        outer: Any = dict.get(s3_backends, DEFAULT_ACCOUNT_ID)
        own: Any = {_PARTITION: self._own}
        with self._registry():
            dict.__setitem__(s3_backends, DEFAULT_ACCOUNT_ID, own)
            try:
                yield
            finally:
                if outer is None:
                    dict.__delitem__(s3_backends, DEFAULT_ACCOUNT_ID)
                else:
                    dict.__setitem__(s3_backends, DEFAULT_ACCOUNT_ID, outer)

    def s3_client(self, after: Callable[[], None]) -> Any:
        """A boto3 client that moto answers from this backend, mock or no mock.

        Args:
            after: Called after each request.
        """
        from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
        from moto.core.models import botocore_stubber

        # boto3 and botocore have no types, and are wanted only here.
        boto3 = import_module("boto3")
        config = import_module("botocore.config").Config
        aws_response = import_module("botocore.awsrequest").AWSResponse
        client = boto3.client(
            "s3",
            region_name=_REGION,
            aws_access_key_id="amber",
            aws_secret_access_key="amber",
            config=config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )
        stubber = BotocoreStubber()

        def answer(request: Any, **_: Any) -> Any:
            with self.installed():
                response = stubber.process_request(request)
            after()
            assert response is not None
            status, headers, body = response
            raw: Any = MockRawResponse(body)
            return aws_response(request.url, status, headers, raw)

        # botocore asks everybody, also when it has an answer: while a mock is active, moto's
        # own would take each request once more.
        client.meta.events.unregister("before-send", botocore_stubber)
        client.meta.events.register_first("before-send.s3", answer)
        return client
