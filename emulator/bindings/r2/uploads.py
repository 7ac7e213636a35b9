"""Uploads: the state of multipart uploads, and R2's rules for completing one.

Promises: an upload is open, completed or aborted, and its id is known for ever after, so that
the errors tell a dead id from one that never was; completing copies no bytes that lie in the
spool. Leaves to others: arguments, and pulling a part's bytes from a stream.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from emulator.bindings.r2.errors import (
    INTERNAL_ERROR,
    INVALID_PART,
    MULTIPART_PROBLEM,
    NO_SUCH_UPLOAD,
    OBJECT_TOO_SMALL,
    r2_error,
)
from emulator.bindings.r2.spool import Blob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.bindings.r2.record import ObjectRecord
    from emulator.bindings.r2.store import R2Store

__all__ = [
    "PART_BYTES_MIN",
    "PART_NUMBER_MAX",
    "UPLOAD_LIFE_MS",
    "PartName",
    "Upload",
    "UploadSnapshot",
]

# Cloudflare docs, R2, Limits.
PART_BYTES_MIN: Final = 5 * 1024 * 1024
PART_NUMBER_MAX: Final = 10_000
# Cloudflare docs, R2, Object lifecycles: unfinished uploads are aborted after 7 days.
UPLOAD_LIFE_MS: Final = 7 * 24 * 60 * 60 * 1000


class PartName(NamedTuple):
    """A part as `complete` names it; an etag that was not given is None."""

    number: int
    etag: str | None


class _Part(NamedTuple):
    blob: Blob
    etag: str
    md5: bytes


class UploadSnapshot(NamedTuple):
    """One upload at one instant."""

    upload_id: str
    key: str
    facts: Mapping[str, Any]
    began_ms: int
    parts: Mapping[int, _Part]
    is_open: bool


@final
class Upload:
    """One multipart upload.

    Args:
        store: The bucket.
        key: The object's key.
        http_metadata: The object's, fixed from now on.
        custom_metadata: The object's, fixed from now on.
        storage_class: The object's, or None for the usual one.
    """

    def __init__(
        self,
        store: R2Store,
        key: str,
        *,
        http_metadata: Mapping[str, Any],
        custom_metadata: Mapping[str, str],
        storage_class: str | None,
    ) -> None:
        self._store = store
        self.key = key
        self._facts: dict[str, Any] = {
            "http_metadata": http_metadata,
            "custom_metadata": custom_metadata,
            "storage_class": storage_class,
        }
        self.upload_id = store.token("r2.uploads", 64)
        self._began_ms = store.now_ms
        self._parts: dict[int, _Part] = {}
        self._is_open = True
        store.uploads[self.upload_id] = self

    def snapshot(self) -> UploadSnapshot:
        """The upload with its parts, whose bytes are not copied."""
        return UploadSnapshot(
            self.upload_id,
            self.key,
            self._facts,
            self._began_ms,
            dict(self._parts),
            self._is_open,
        )

    @classmethod
    def restored(cls, store: R2Store, snapshot: UploadSnapshot) -> Upload:
        """The upload of a snapshot, with its id, in a bucket."""
        upload = cls.__new__(cls)
        upload._store = store
        upload.upload_id, upload.key, facts, upload._began_ms, parts, is_open = snapshot
        upload._facts = dict(facts)
        upload._parts = dict(parts)
        upload._is_open = is_open
        store.uploads[upload.upload_id] = upload
        return upload

    @property
    def is_open(self) -> bool:
        """Whether it can still take parts."""
        if self._is_open and self._store.now_ms - self._began_ms >= UPLOAD_LIFE_MS:
            self._end()
        return self._is_open

    def _end(self) -> None:
        self._is_open = False
        self._parts.clear()

    @staticmethod
    def of(store: R2Store, key: str, upload_id: str, method: str) -> Upload:
        """The upload that bears this id for this key.

        Raises:
            JsException: If there never was one: 10024 for uploadPart, else 10001.
        """
        upload = store.uploads.get(upload_id)
        if upload is None or upload.key != key:
            code = NO_SUCH_UPLOAD if method == "uploadPart" else INTERNAL_ERROR
            raise r2_error(method, code)
        return upload

    def check_open(self, method: str) -> None:
        """Refuse what needs an open upload.

        Raises:
            JsException: If it was completed or aborted (10024).
        """
        if not self.is_open:
            raise r2_error(method, NO_SUCH_UPLOAD)

    def add_part(self, number: int, blob: Blob, md5: bytes) -> str:
        """Keep a part in the place of an earlier one of its number; its etag."""
        self.check_open("uploadPart")
        store = self._store
        etag = md5.hex() if store.profile.is_part_etag_digest else store.token("r2.parts", 64)
        self._parts[number] = _Part(blob, etag, md5)
        return etag

    def abort(self) -> None:
        """Give up the parts. Nothing happens if it is over already."""
        self._end()

    def complete(self, names: list[PartName]) -> ObjectRecord:
        """Make the object of the named parts.

        Raises:
            JsException: By R2's rules; the upload stays open then.
        """
        method = "completeMultipartUpload"
        self.check_open(method)
        ordered = sorted(names, key=_number)
        if any(a.number == b.number for a, b in itertools.pairwise(ordered)):
            raise r2_error(method, INTERNAL_ERROR)
        for name in names:
            part = self._parts.get(name.number)
            if part is None or part.etag != name.etag:
                raise r2_error(method, INVALID_PART)
        # In the order of the argument first, in the order of numbers then: so the local
        # simulator does it (Miniflare's r2/bucket.worker.ts).
        if any(self._size(name) < PART_BYTES_MIN for name in names[:-1]):
            raise r2_error(method, OBJECT_TOO_SMALL)
        sizes = [self._size(name) for name in ordered]
        if sizes and (
            any(size < PART_BYTES_MIN or size != sizes[0] for size in sizes[:-1])
            or sizes[-1] > sizes[0]
        ):
            raise r2_error(method, MULTIPART_PROBLEM)
        parts = [self._parts[name.number] for name in ordered]
        digest = hashlib.md5(b"".join([part.md5 for part in parts]), usedforsecurity=False)
        blob = Blob.join([part.blob for part in parts], self._store.spool)
        record = self._store.commit(
            self.key,
            blob,
            etag=f"{digest.hexdigest()}-{len(parts)}",
            checksums={},
            **self._facts,
        )
        self._end()
        return record

    def _size(self, name: PartName) -> int:
        return self._parts[name.number].blob.size_bytes

    def __repr__(self) -> str:
        state = "open" if self._is_open else "over"
        return f"<Upload {self.key!r} {state} parts={len(self._parts)}>"


def _number(name: PartName) -> int:
    return name.number
