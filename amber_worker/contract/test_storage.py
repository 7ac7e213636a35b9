"""Storage: what an export leaves in R2 and D1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amber_worker.contract.seeds import SeededFile, garden

if TYPE_CHECKING:
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import Export, User


@pytest.fixture
async def stored(finished: Export, storage: Storage) -> Any:
    """The object that the finished export has made."""
    found = await storage.bucket.head(finished.row["r2_key"])
    assert found is not None, f"there is no object {finished.row['r2_key']!r} in R2"
    return found


@pytest.fixture
def metadata(stored: Any) -> dict[str, Any]:
    """Its custom metadata."""
    return dict(stored.customMetadata or {})


async def test_the_download_is_the_object_under_the_rows_key(
    finished: Export, storage: Storage
) -> None:
    found = await storage.bucket.get(finished.row["r2_key"])
    assert found is not None
    content = bytes((await found.arrayBuffer()).to_py())
    assert content == (await finished.archive()).data


async def test_the_object_has_the_size_of_the_archive(finished: Export, stored: Any) -> None:
    assert stored.size == len((await finished.archive()).data)


async def test_the_objects_metadata_names_the_export(
    finished: Export, metadata: dict[str, Any]
) -> None:
    assert metadata.get("export-id") == finished.id


async def test_the_objects_metadata_names_the_user(
    finished: Export, metadata: dict[str, Any]
) -> None:
    assert metadata.get("user-id") == finished.user.id


async def test_the_objects_metadata_counts_the_files(metadata: dict[str, Any]) -> None:
    assert metadata.get("file-count") == str(len(garden()))


async def test_the_objects_metadata_tells_the_total_size_as_text_or_not_at_all(
    metadata: dict[str, Any], dialect: Any
) -> None:
    dialect("metadata of an archive", ", ".join(sorted(metadata)))
    total = sum(len(file.content) for file in garden())
    assert metadata.get("total-size", str(total)) == str(total)


async def test_the_objects_metadata_tells_the_type_or_not_at_all(
    metadata: dict[str, Any],
) -> None:
    assert metadata.get("export-type", "full") == "full"


async def test_an_export_leaves_one_object_and_no_more(
    finished: Export, storage: Storage
) -> None:
    keys = await storage.keys(f"exports/{finished.user.id}/")
    assert keys == [finished.row["r2_key"]]


async def test_an_export_leaves_one_row_and_no_more(finished: Export, storage: Storage) -> None:
    rows = await storage.rows(
        "SELECT id FROM storage_exports WHERE user_id = ?", finished.user.id
    )
    assert rows == [{"id": finished.id}]


async def test_an_export_changes_no_file_and_no_row_of_one(
    user: User, storage: Storage
) -> None:
    await user.add(*garden(), SeededFile("lost.txt", b"lost", has_object=False))
    before = await _belongings(user)
    await user.export()
    assert await _belongings(user) == before


async def test_an_export_does_not_count_as_used_space(
    finished: Export, storage: Storage
) -> None:
    (row,) = await storage.rows(
        "SELECT used_bytes FROM user_storage WHERE user_id = ?", finished.user.id
    )
    assert row == {"used_bytes": 0}


async def _belongings(user: User) -> tuple[list[dict[str, Any]], dict[str, int]]:
    storage = user.world.storage
    rows = await storage.rows(
        "SELECT * FROM storage_files WHERE user_id = ? ORDER BY id", user.id
    )
    found = {key: await storage.bucket.head(key) for key in await storage.keys(f"{user.id}/")}
    return rows, {key: head.size for key, head in found.items()}
