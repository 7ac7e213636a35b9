"""Record: what R2 knows about one version of one object.

Promises: a value that never changes once it is committed. Leaves to others: how worker code
sees it (objects), where it is kept (store).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.bindings.r2.spool import Blob

__all__ = ["ObjectRecord"]


@final
class ObjectRecord:
    """One version of an object.

    Attributes:
        key: As it was spelled when it was stored.
        version: Opaque; another one after each write.
        etag: MD5 as hex digits, or the multipart form `<md5 of md5s>-<parts>`.
        uploaded_ms: When the write was committed, in epoch milliseconds.
        blob: The bytes.
    """

    __slots__ = (
        "blob", "checksums", "custom_metadata", "etag", "http_metadata", "key",
        "size_bytes", "storage_class", "uploaded_ms", "version",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        blob: Blob,
        *,
        version: str,
        etag: str,
        uploaded_ms: int,
        http_metadata: Mapping[str, Any],
        custom_metadata: Mapping[str, str],
        checksums: Mapping[str, bytes],
        storage_class: str,
    ) -> None:
        self.key = key
        self.blob = blob
        self.size_bytes = blob.size_bytes
        self.version = version
        self.etag = etag
        self.uploaded_ms = uploaded_ms
        self.http_metadata = http_metadata
        self.custom_metadata = custom_metadata
        self.checksums = checksums
        self.storage_class = storage_class

    def __repr__(self) -> str:
        return f"<ObjectRecord {self.key!r} {self.size_bytes} bytes etag={self.etag}>"
