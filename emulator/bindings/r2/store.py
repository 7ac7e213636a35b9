"""Store: the objects of one bucket, and the storage of one world.

Promises: a commit is one step that nothing interleaves with; versions and upload ids come from
named random streams, times from the simulated clock; keys that boto3 put get a record when
they are first seen; moto is imported when the first byte is stored, not before. Leaves to
others: arguments and errors (bucket), the shape of S3 (moto_backend), bytes (spool).
"""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

from emulator.bindings.r2.profile import DOCUMENTED, R2Profile
from emulator.bindings.r2.record import ObjectRecord
from emulator.bindings.r2.spool import Blob, Spool, SpoolStatistics
from emulator.bindings.r2.uploads import Upload, UploadSnapshot
from emulator.errors import WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from emulator.bindings.r2.moto_backend import MotoBackend

__all__ = ["R2Storage", "R2Store", "R2StoreSnapshot", "R2StoreStatistics"]


def _is_mock_active() -> bool:
    """Whether the code that runs is inside of moto's `mock_aws()`. Never imports moto."""
    models = sys.modules.get("moto.core.models")
    mock: Any = getattr(models, "MockAWS", None)
    return mock is not None and mock._nested_count > 0


@final
class R2Storage:
    """All buckets of one world.

    Args:
        now_ms: The simulated clock, epoch milliseconds.
        token_hex: `Randomness.token_hex`: (stream name, bytes) to hex digits.
        profile: Whose limits hold: the documented platform's or local workerd's.
        may_share: Whether a `mock_aws()` that is active has the buckets; a forked world must
            have its own.
    """

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        token_hex: Callable[[str, int], str],
        profile: R2Profile = DOCUMENTED,
        may_share: bool = True,
    ) -> None:
        self.now_ms = now_ms
        self.token_hex = token_hex
        self.profile = profile
        self._is_shared = may_share and _is_mock_active()
        self._moto: MotoBackend | None = None
        self._stores: dict[str, R2Store] = {}
        self._is_disposed = False

    def store(self, bucket_name: str) -> R2Store:
        """The bucket of this name; it is made at the first call.

        Raises:
            WorldError: If the storage was disposed of.
        """
        self._check_alive()
        store = self._stores.get(bucket_name)
        if store is None:
            store = self._stores[bucket_name] = R2Store(self, bucket_name)
            if self._is_shared:
                # moto is imported already, and boto3 is to see the bucket.
                self.backend().keys(bucket_name)
        return store

    def backend(self) -> MotoBackend:
        """moto's side of this world; made at the first call."""
        if self._moto is None:
            self._check_alive()
            from emulator.bindings.r2.moto_backend import MotoBackend

            self._moto = MotoBackend(is_shared=self._is_shared)
        return self._moto

    @property
    def backend_nowait(self) -> MotoBackend | None:
        """moto's side, or None while nothing was stored."""
        return self._moto

    def s3_client(self) -> Any:
        """A boto3 S3 client on this world's buckets, inside of `mock_aws()` or not."""
        backend = self.backend()
        for store in self._stores.values():
            store.fill()
        return backend.s3_client(self._adopt_all)

    def _adopt_all(self) -> None:
        for store in self._stores.values():
            store.adopt_all()

    def clear(self) -> None:
        """Delete every object and give up every upload."""
        for store in self._stores.values():
            store.clear()

    def snapshot(self) -> dict[str, R2StoreSnapshot]:
        """Every bucket by its real name. No bytes are copied."""
        return {name: store.snapshot() for name, store in self._stores.items()}

    def restore(self, snapshot: Mapping[str, R2StoreSnapshot]) -> None:
        """Hold what a snapshot of the same buckets holds, and nothing else."""
        for name, stored in snapshot.items():
            self.store(name).restore(stored)

    def _check_alive(self) -> None:
        if self._is_disposed:
            message = "this world's R2 was disposed of: make a new world"
            raise WorldError(message)

    def dispose(self) -> None:
        """Give up every object and every file. Nothing happens the second time."""
        self._is_disposed = True
        for store in self._stores.values():
            store.dispose()
        self._moto = None

    def __repr__(self) -> str:
        kind = "shared" if self._is_shared else "own"
        return f"<R2Storage {kind} buckets={list(self._stores)}>"


class R2StoreSnapshot(NamedTuple):
    """One bucket at one instant: the newest version of each object, and the uploads."""

    records: tuple[ObjectRecord, ...]
    uploads: tuple[UploadSnapshot, ...]


@final
@dataclass(frozen=True, slots=True)
class R2StoreStatistics:
    """Seen from outside: what one bucket holds."""

    object_count: int
    open_upload_count: int
    spool: SpoolStatistics


@final
class R2Store:
    """The objects and uploads of one bucket.

    Args:
        storage: The world's storage.
        bucket_name: The bucket's real name.
    """

    def __init__(self, storage: R2Storage, bucket_name: str) -> None:
        self.storage = storage
        self.bucket_name = bucket_name
        self.profile = storage.profile
        self.spool = Spool()
        self.uploads: dict[str, Upload] = {}
        # The spelling under which an object lies, by its NFC form; non-ASCII keys only.
        self._spellings: dict[str, str] = {}
        self._sorted: list[str] | None = None
        #: What a snapshot put here, until somebody looks.
        self._pending: tuple[ObjectRecord, ...] = ()
        self._is_disposed = False

    @property
    def now_ms(self) -> int:
        """The simulated time, epoch milliseconds."""
        return self.storage.now_ms()

    def token(self, stream: str, size_bytes: int) -> str:
        """Hex digits of random bytes from a named stream."""
        return self.storage.token_hex(stream, size_bytes)

    def _keys(self) -> dict[str, list[Any]] | None:
        if self._pending:
            self.fill()
        backend = self.storage.backend_nowait
        if backend is None:
            if self._is_disposed:
                message = "this world's R2 was disposed of: make a new world"
                raise WorldError(message)
            return None
        return backend.keys(self.bucket_name)

    def find(self, key: str) -> ObjectRecord | None:
        """The newest version of an object, or None."""
        keys = self._keys()
        if keys is None:
            return None
        if not key.isascii() and self.profile.is_key_normalized:
            key = self._spelling(key, keys)
        # Past moto's own `get`, which is meant for one version.
        versions = dict.get(keys, key)
        return self._record_of(versions) if versions else None

    def _spelling(self, key: str, keys: dict[str, list[Any]]) -> str:
        normal = unicodedata.normalize("NFC", key)
        known = self._spellings.get(normal)
        if known is not None and known in keys:
            return known
        # boto3 may have put it in either form.
        return normal if normal in keys else key

    def _record_of(self, versions: list[Any]) -> ObjectRecord | None:
        newest = versions[-1]
        record: ObjectRecord | None = getattr(newest, "r2_record", None)
        if record is not None:
            return record
        from emulator.bindings.r2.moto_backend import adopt

        adopted = adopt(newest, self._record_of_boto3)
        if adopted is None:
            return None
        versions[-1] = adopted
        return adopted.r2_record

    def _record_of_boto3(
        self, key: str, data: bytes, etag: str, http: dict[str, str], custom: dict[str, str]
    ) -> ObjectRecord:
        return self._record(
            key,
            self.spool.blob(data),
            etag=etag,
            http_metadata=http,
            custom_metadata=custom,
            # boto3's multipart objects have no digest, as R2's have none.
            checksums={} if "-" in etag else {"md5": bytes.fromhex(etag)},
            storage_class=self.profile.storage_class,
        )

    def _record(self, key: str, blob: Blob, **facts: Any) -> ObjectRecord:
        return ObjectRecord(
            key,
            blob,
            version=self.storage.token_hex("r2.versions", 16),
            uploaded_ms=self.storage.now_ms(),
            **facts,
        )

    def commit(
        self,
        key: str,
        blob: Blob,
        *,
        etag: str,
        http_metadata: Mapping[str, Any],
        custom_metadata: Mapping[str, str],
        checksums: Mapping[str, bytes],
        storage_class: str | None,
    ) -> ObjectRecord:
        """Make this the object under the key, in one step."""
        profile = self.profile
        if storage_class is None or not profile.keeps_storage_class:
            storage_class = profile.storage_class
        record = self._record(
            key,
            blob,
            etag=etag,
            http_metadata=http_metadata,
            custom_metadata=custom_metadata,
            checksums=checksums,
            storage_class=storage_class,
        )
        keys = self.fill()
        if not key.isascii() and profile.is_key_normalized:
            old = self._spelling(key, keys)
            if old != key and old in keys:
                keys.pop(old)
                self._sorted = None
            self._spellings[unicodedata.normalize("NFC", key)] = key
        if key not in keys:
            self._sorted = None
        self._lay(record, keys)
        return record

    def _lay(self, record: ObjectRecord, keys: dict[str, list[Any]]) -> None:
        """Make a record the only version of its object in moto."""
        from emulator.bindings.r2.moto_backend import stored_key

        # moto disposes of the versions that this replaces.
        keys.setlist(record.key, [stored_key(record, self.bucket_name)])  # type: ignore[attr-defined]  # moto's own kind of dict.

    def fill(self) -> dict[str, list[Any]]:
        """moto's keys of the bucket, with what a snapshot has left to be put there."""
        keys = self.storage.backend().keys(self.bucket_name)
        records, self._pending = self._pending, ()
        for record in records:
            self._lay(record, keys)
        return keys

    def remove(self, key: str) -> None:
        """Delete an object; nothing happens if there is none."""
        keys = self._keys()
        if keys is None:
            return
        if not key.isascii() and self.profile.is_key_normalized:
            key = self._spelling(key, keys)
            self._spellings.pop(unicodedata.normalize("NFC", key), None)
        if key in keys:
            keys.pop(key)
            self._sorted = None

    def sorted_keys(self) -> list[str]:
        """All keys in the order of a list: by code point, which is that of UTF-8 bytes."""
        keys = self._keys()
        if keys is None:
            return []
        backend = self.storage.backend_nowait
        if self._sorted is None or backend is None or backend.is_shared:
            self._sorted = sorted(dict.keys(keys))
        return self._sorted

    def adopt_all(self) -> None:
        """See every key that boto3 put. The start of a `mock_aws()` would empty it else."""
        self._sorted = None
        for _ in self._records():
            pass

    def clear(self) -> None:
        """Delete every object and give up every upload."""
        self._pending = ()
        for key in list(self.sorted_keys()):
            self.remove(key)
        self._spellings.clear()
        self.uploads.clear()

    def snapshot(self) -> R2StoreSnapshot:
        """The bucket as it is now. What boto3 has set beside objects is not in it."""
        self.spool.share()
        return R2StoreSnapshot(
            self._pending or tuple(self._records()),
            tuple(upload.snapshot() for upload in self.uploads.values()),
        )

    def _records(self) -> Iterator[ObjectRecord]:
        keys = self._keys()
        for versions in () if keys is None else dict.values(keys):
            record = self._record_of(versions)
            if record is not None:
                yield record

    def restore(self, snapshot: R2StoreSnapshot) -> None:
        """Hold what a snapshot holds, and nothing else."""
        self.clear()
        self._pending, self._sorted = snapshot.records, None
        for record in snapshot.records:
            if not record.key.isascii():
                self._spellings[unicodedata.normalize("NFC", record.key)] = record.key
        for upload in snapshot.uploads:
            Upload.restored(self, upload)
        if self.storage.backend_nowait is not None:
            self.fill()  # boto3 may look without asking us.

    def dispose(self) -> None:
        """Give up the objects and the file."""
        self._is_disposed = True
        self._pending = ()
        self.uploads.clear()
        self.spool.close()

    def statistics(self) -> R2StoreStatistics:
        """How many objects and open uploads there are, and how large the spool is."""
        open_count = sum(upload.is_open for upload in self.uploads.values())
        return R2StoreStatistics(len(self.sorted_keys()), open_count, self.spool.statistics())

    def __repr__(self) -> str:
        return f"<R2Store {self.bucket_name!r}>"
