"""Chunks: exports that do not fit into one step."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from amber_worker.contract.seeds import SeededFile, noise, numbered_files

if TYPE_CHECKING:
    from amber_worker.contract.archive import Archive
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import User

MIB = 1024 * 1024
#: Between the first chunk (a second after the request) and the second (two seconds later).
BETWEEN_CHUNKS_S = 2.0


@pytest.mark.parametrize("count", [100, 101, 205])
async def test_as_many_files_as_there_are_are_exported(
    user: User, storage: Storage, count: int
) -> None:
    # All of one moment, so that only the id tells in which order they come.
    export = await user.export_of(*numbered_files(count))
    await export.compare()
    assert export.row["file_count"] in (None, count)


async def test_the_order_goes_on_from_chunk_to_chunk(user: User, storage: Storage) -> None:
    times = [f"2025-12-01 10:{n // 60:02}:{n % 60:02}" for n in range(120)]
    files = [
        SeededFile(f"{n}.txt", noise(f"{n}", 30), created_at=t) for n, t in enumerate(times)
    ]
    archive = await (await user.export_of(*files)).compare()
    found = [entry.filename for entry in archive.file_entries]
    assert found == [file.path for file in reversed(files)]


async def test_files_added_during_an_export_hide_no_others(
    user: User, storage: Storage, dialect: Any
) -> None:
    files = await user.add(*numbered_files(150))
    export = await user.begin()
    await asyncio.sleep(BETWEEN_CHUNKS_S)
    newer = numbered_files(30, prefix="newer", created_at="2025-12-31 12:00:00")
    older = numbered_files(5, prefix="older", created_at="2025-01-01 12:00:00")
    added = await user.add(*newer, *older)
    await export.complete()
    # Whether a new file is taken is open. By offset, each one above repeats one below.
    lost, repeated = _lost_and_repeated(await export.archive(), files, added)
    dialect("files added during an export", f"repeat {repeated} others")
    assert lost == 0, f"{lost} files are lost"
    assert repeated <= len(newer), f"{repeated} files are repeated for {len(newer)} new ones"


async def test_files_trashed_during_an_export_hide_no_more_others_than_by_offset(
    user: User, storage: Storage, dialect: Any
) -> None:
    files = await user.add(
        *numbered_files(60, prefix="new", created_at="2025-12-31 12:00:00"),
        *numbered_files(90, prefix="old", created_at="2025-01-01 12:00:00"),
    )
    trashed, kept = files[:20], files[20:]
    export = await user.begin()
    await asyncio.sleep(BETWEEN_CHUNKS_S)
    await storage.trash(trashed)
    await export.complete()
    # Whether a file just trashed is taken is open. By offset, each one above hides one below.
    lost, repeated = _lost_and_repeated(await export.archive(), kept, trashed)
    dialect("files trashed during an export", f"hide {lost} others")
    assert repeated == 0
    assert lost <= len(trashed), f"{lost} files are lost for {len(trashed)} in the trash"


async def test_a_file_larger_than_two_parts_of_an_upload_is_whole(
    user: User, storage: Storage
) -> None:
    # R2's parts have at least 5 MiB; noise keeps its size in the archive.
    files = [SeededFile("large.bin", noise("large", 12 * MIB)), SeededFile("b.txt", b"b")]
    await (await user.export_of(*files)).compare()


async def test_many_files_that_fill_several_parts_are_whole(
    user: User, storage: Storage
) -> None:
    files = numbered_files(8, size_bytes=int(1.5 * MIB))
    await (await user.export_of(*files)).compare()


async def test_more_than_fifty_megabytes_are_exported_with_the_file_that_alone_is_more(
    user: User, storage: Storage
) -> None:
    block = noise("row of beds", 4_096)
    files = [
        SeededFile("before.txt", b"before", created_at="2025-12-03 10:00:00"),
        SeededFile("bed.raw", block * (52 * 256), created_at="2025-12-02 10:00:00"),
        SeededFile("after.txt", b"after", created_at="2025-12-01 10:00:00"),
    ]
    export = await user.export_of(*files)
    await export.compare()
    assert export.row["file_count"] in (None, 3)


def _lost_and_repeated(
    archive: Archive, files: list[SeededFile], perhaps: list[SeededFile]
) -> tuple[int, int]:
    """How many of `files` are not there, and how many entries are there again.

    By their contents, of which each file has its own: who repeats a file may rename it.
    """
    archive.test()
    found = Counter(archive.read(entry) for entry in archive.file_entries)
    strange = found.keys() - {file.content for file in (*files, *perhaps)}
    assert not strange, f"{len(strange)} entries have the content of no file"
    lost = sum(file.content not in found for file in files)
    return lost, found.total() - len(found)
