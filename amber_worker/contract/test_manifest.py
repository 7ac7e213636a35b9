"""The manifest: manifest.json in the archive."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amber_worker.contract.archive import Archive
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import Export
    from amber_worker.contract.world import World

FACTS = {"filename", "size", "r2_key", "product", "category"}


async def test_the_manifest_is_pretty_printed(archive: Archive) -> None:
    text = archive.read("manifest.json").decode("utf-8")
    assert text.strip() != json.dumps(archive.manifest, separators=(",", ":"))
    assert len(text.splitlines()) > len(archive.manifest)


async def test_the_manifest_has_version_1_0(archive: Archive) -> None:
    assert archive.manifest["version"] == "1.0"


async def test_the_manifest_tells_when_it_was_made(archive: Archive, finished: Export) -> None:
    created = datetime.fromisoformat(archive.manifest["created"])
    assert created.utcoffset() is not None
    made_ms = created.astimezone(UTC).timestamp() * 1_000
    slack_ms = 300_000 if finished.user.world.target.is_deployed else 1_000
    assert finished.asked_ms - slack_ms <= made_ms <= finished.seen_ms + slack_ms


async def test_every_file_has_the_five_facts(archive: Archive) -> None:
    lacking = [
        (file.get("filename"), sorted(FACTS - file.keys()))
        for file in archive.manifest_files
        if not file.keys() >= FACTS
    ]
    assert lacking == []


async def test_the_manifest_lists_the_files_in_their_order_with_their_sizes(
    archive: Archive, world: World
) -> None:
    listed, entries = archive.manifest_files, archive.file_entries
    assert len(listed) == len(entries)
    # The sizes are the rows', and only of rows of our own is it known that they are true.
    if not world.target.is_deployed:
        assert [file["size"] for file in listed] == [entry.file_size for entry in entries]


async def test_the_manifest_tells_the_rows_facts(finished: Export, storage: Storage) -> None:
    assert finished.files
    expected = {
        file.key: (file.filename, file.size_bytes, file.product, file.category)
        for file in finished.files
    }
    told = {
        file["r2_key"]: (file["filename"], file["size"], file["product"], file["category"])
        for file in (await finished.archive()).manifest_files
    }
    assert told == expected


async def test_the_summary_counts_the_files(archive: Archive) -> None:
    assert archive.manifest["summary"]["totalFiles"] == len(archive.file_entries)


async def test_the_summary_adds_up_the_sizes(archive: Archive) -> None:
    total = sum(file["size"] for file in archive.manifest_files)
    assert archive.manifest["summary"]["totalSize"] == total
