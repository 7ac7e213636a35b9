"""Missing files: rows whose objects are not there, or are not what the row says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amber_worker.contract.archive import LawBroken
from amber_worker.contract.seeds import SeededFile, noise, numbered_files

if TYPE_CHECKING:
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import Export, User

PRESENT = [SeededFile(f"present {n}.txt", noise(f"present {n}", 90)) for n in range(3)]
LOST = [SeededFile(f"lost {n}.txt", noise(f"lost {n}", 90), has_object=False) for n in range(2)]


async def test_a_file_that_is_missing_is_left_out_and_the_others_are_there(
    user: User, storage: Storage
) -> None:
    await (await user.export_of(*PRESENT, *LOST)).compare(PRESENT)


async def test_a_file_that_is_missing_is_not_among_the_manifests_files(
    user: User, storage: Storage
) -> None:
    export = await user.export_of(*PRESENT, *LOST)
    told = [file["filename"] for file in (await export.archive()).manifest_files]
    assert sorted(told) == [file.filename for file in PRESENT]


async def test_a_file_that_is_missing_does_not_count(user: User, storage: Storage) -> None:
    export = await user.export_of(*PRESENT, *LOST)
    assert (await export.archive()).manifest["summary"] == {"totalFiles": 3, "totalSize": 270}
    assert export.row["file_count"] in (None, 3)


async def test_an_export_whose_files_are_all_missing_completes(
    user: User, storage: Storage, dialect: Any
) -> None:
    export = await user.export_of(*LOST)
    kept = "an archive" if export.has_archive else "no archive"
    dialect("an export whose files are all missing", kept)
    if export.has_archive:
        await export.compare([])
    assert export.row["file_count"] in (None, 0)


async def test_missing_files_in_several_chunks_are_left_out(
    user: User, storage: Storage
) -> None:
    present = numbered_files(108)
    lost = numbered_files(12, prefix="lost", has_object=False, created_at="2025-11-01 00:00:00")
    more = numbered_files(5, prefix="old", created_at="2025-10-01 00:00:00")
    export = await user.export_of(*present, *lost, *more)
    await export.compare([*present, *more])


async def test_a_file_longer_than_its_row_says_is_whole_or_left_out(
    user: User, storage: Storage, dialect: Any
) -> None:
    file = SeededFile("longer.bin", noise("longer", 5_000), declared_bytes=1_000)
    await _assert_whole_or_gone(user, file, dialect, "a file longer than its row says")


async def test_a_file_shorter_than_its_row_says_is_whole_or_left_out(
    user: User, storage: Storage, dialect: Any
) -> None:
    file = SeededFile("shorter.bin", noise("shorter", 1_000), declared_bytes=5_000)
    await _assert_whole_or_gone(user, file, dialect, "a file shorter than its row says")


async def _assert_whole_or_gone(user: User, file: SeededFile, dialect: Any, topic: str) -> None:
    """A size that is not true may cost the file, or the export, but no byte of a file."""
    files = await user.add(file, *PRESENT)
    export: Export = await (await user.begin()).end()
    if export.row["status"] == "failed":
        dialect(topic, "the export fails")
        assert export.row["error_message"]
        assert export.row["r2_key"] is None
        return
    archive = await export.archive()
    is_there = len(archive.file_entries) == len(files)
    dialect(topic, "whole" if is_there else "left out")
    try:
        archive.compare(files if is_there else files[1:])
    except LawBroken as broken:
        message = f"{topic}, which says {file.size_bytes} bytes: {broken}"
        raise LawBroken(message) from broken
