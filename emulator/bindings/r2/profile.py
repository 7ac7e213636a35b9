"""Profile: where local workerd's simulator and the documented platform differ.

Promises: each such difference is one field, and the two profiles are all there are. What is
the same in both stands in the room that enforces it. Leaves to others: which one a world has.
Sources: Miniflare's r2/ workers (the local simulator) and Cloudflare docs, R2, Limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

__all__ = ["DOCUMENTED", "WORKERD", "R2Profile"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class R2Profile:
    """One answer to each question on which the two disagree.

    Attributes:
        metadata_bytes_max: Custom metadata of an object, keys and values together.
        metadata_counts_utf16: A string with a unit of 256 or more counts two bytes a unit.
        checks_upload_metadata: The limit holds for `createMultipartUpload` too.
        delete_keys_max: Keys that one `delete` may name; None is no limit.
        storage_class: What a new object's `storageClass` says when none was asked for.
        keeps_storage_class: Whether a storage class that was asked for is remembered.
        is_key_normalized: Whether NFC and NFD spellings name the same object.
        is_part_etag_digest: Whether a part's etag is its MD5, or a random token.
        include_page_min: The fewest objects on a full page of a list with `include`.
        include_page_varies: Whether such a page is longer by chance, up to the limit.
        lists_metadata_always: Whether a listed object has (empty) metadata without `include`.
        refuses_foreign_cursors: Whether a cursor that no list gave is an error, or a key.
    """

    metadata_bytes_max: int
    metadata_counts_utf16: bool
    checks_upload_metadata: bool
    delete_keys_max: int | None
    storage_class: str
    keeps_storage_class: bool
    is_key_normalized: bool
    is_part_etag_digest: bool
    include_page_min: int
    include_page_varies: bool
    lists_metadata_always: bool
    refuses_foreign_cursors: bool


DOCUMENTED: Final = R2Profile(
    metadata_bytes_max=8_192,
    metadata_counts_utf16=False,
    checks_upload_metadata=True,
    delete_keys_max=1_000,
    storage_class="Standard",
    keeps_storage_class=True,
    is_key_normalized=True,
    is_part_etag_digest=True,
    include_page_min=100,
    include_page_varies=True,
    lists_metadata_always=False,
    refuses_foreign_cursors=True,
)

WORKERD: Final = R2Profile(
    metadata_bytes_max=2_048,
    metadata_counts_utf16=True,
    checks_upload_metadata=False,
    delete_keys_max=None,
    storage_class="",
    keeps_storage_class=False,
    is_key_normalized=False,
    is_part_etag_digest=False,
    include_page_min=100,
    include_page_varies=False,
    lists_metadata_always=True,
    refuses_foreign_cursors=False,
)
