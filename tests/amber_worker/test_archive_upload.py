"""The archive's upload: equal parts, one at a time, to be taken up again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import emulator
from amber_worker.archive_upload import PART_BYTES_MIN, PARTS_MAX, ArchiveUpload, part_bytes_for


class Upload:
    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}

    async def uploadPart(self, number: int, part: bytes) -> Any:
        self.parts[number] = part
        return SimpleNamespace(partNumber=number, etag=f"etag-{number}")


@pytest.mark.parametrize("piece_sizes", [[1] * 25, [10, 10, 5], [25], [3, 22], [9, 1, 10, 5]])
def test_whatever_the_pieces_the_parts_are_equal_but_for_the_last(
    piece_sizes: list[int],
) -> None:
    async def main() -> None:
        upload, position = Upload(), 0
        archive = ArchiveUpload(upload, 10, [], b"")
        for size in piece_sizes:
            await archive.write(bytes(range(position, position + size)))
            position += size
        await archive.flush()
        assert [len(upload.parts[n]) for n in (1, 2, 3)] == [10, 10, 5]
        assert b"".join(upload.parts.values()) == bytes(range(25))
        assert archive.etags == ["etag-1", "etag-2", "etag-3"]

    emulator.run(main)


def test_what_has_not_filled_a_part_can_be_taken_up_again() -> None:
    async def main() -> None:
        upload = Upload()
        first = ArchiveUpload(upload, 10, [], b"")
        await first.write(b"a" * 17)
        second = ArchiveUpload(upload, 10, list(first.etags), first.rest)
        await second.write(b"b" * 5)
        await second.flush()
        assert upload.parts == {1: b"a" * 10, 2: b"a" * 7 + b"b" * 3, 3: b"b" * 2}

    emulator.run(main)


def test_an_empty_archive_has_one_part_and_a_full_one_no_empty_part() -> None:
    async def main() -> None:
        empty, full = Upload(), Upload()
        await ArchiveUpload(empty, 10, [], b"").flush()
        archive = ArchiveUpload(full, 10, [], b"")
        await archive.write(b"x" * 20)
        await archive.flush()
        assert empty.parts == {1: b""}
        assert [len(part) for part in full.parts.values()] == [10, 10]

    emulator.run(main)


@pytest.mark.parametrize("size", [0, 1, 5 * 1024**2, 25 * 1024**3, 1024**4])
def test_parts_are_large_enough_for_r2_and_few_enough_for_twice_the_size(size: int) -> None:
    part_bytes = part_bytes_for(size)
    assert part_bytes >= PART_BYTES_MIN
    assert 2 * size / part_bytes <= PARTS_MAX
