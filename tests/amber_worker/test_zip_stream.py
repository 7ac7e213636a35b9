"""The ZIP stream: formats, lockstep, broken sources, and README's two examples."""

from __future__ import annotations

import io
import random
import subprocess
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import amber_worker
import emulator
from amber_worker.zip_stream import BrokenSource, ZipEntry, ZipStreamer
from emulator.errors import JsTypeError, SimulationDeadlock
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path


def stream_of(*chunks: bytes, length: int | None = None) -> ReadableStream:
    rest = list(chunks)

    async def pull() -> bytes | None:
        return rest.pop(0) if rest else None

    return ReadableStream.from_source(pull, known_length=length)


def written_by(write: Callable[[ZipStreamer], Coroutine[Any, Any, None]]) -> bytes:
    pieces: list[bytes] = []

    async def main() -> None:
        async def take(piece: bytes) -> None:
            pieces.append(piece)

        await write(ZipStreamer(take))

    emulator.run(main)
    return b"".join(pieces)


def opened(data: bytes) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return archive


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_a_file_comes_out_as_it_went_in(size: int) -> None:
    content = random.Random(size).randbytes(size)

    async def write(zip_: ZipStreamer) -> None:
        chunks = [content[start : start + 65_536] for start in range(0, size, 65_536)]
        await zip_.add_file("a/b.bin", stream_of(*chunks), size)
        await zip_.close()

    assert opened(written_by(write)).read("a/b.bin") == content


def test_files_are_deflated_and_texts_are_stored_with_their_sizes_in_front() -> None:
    async def write(zip_: ZipStreamer) -> None:
        await zip_.add_text_file("t.txt", "grüße " * 100)
        await zip_.add_file("f.txt", stream_of(b"x" * 1_000), 1_000)
        await zip_.close()

    data = written_by(write)
    text, file = opened(data).infolist()
    assert (text.compress_type, file.compress_type) == (
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,
    )
    assert file.compress_size < 50
    # Bit 3 says that sizes follow the data.
    assert (text.flag_bits & 8, file.flag_bits & 8) == (0, 8)
    assert data[22:26] == (800).to_bytes(4, "little")


def test_names_beyond_ascii_are_utf8_and_flagged() -> None:
    async def write(zip_: ZipStreamer) -> None:
        await zip_.add_text_file("grüße ☘.txt", "")
        await zip_.add_text_file("plain.txt", "")
        await zip_.close()

    named, plain = opened(written_by(write)).infolist()
    assert named.filename == "grüße ☘.txt"
    assert (named.flag_bits & 0x800, plain.flag_bits & 0x800) == (0x800, 0)


def test_dates_are_what_the_caller_says_within_what_the_format_knows() -> None:
    async def write(zip_: ZipStreamer) -> None:
        for name, when in (
            ("now", datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)),
            ("old", datetime(1970, 1, 1, tzinfo=UTC)),
            ("far", datetime(2200, 1, 1, tzinfo=UTC)),
            ("none", None),
        ):
            await zip_.add_text_file(name, "", modified=when)
        await zip_.close()

    dates = {info.filename: info.date_time for info in opened(written_by(write)).infolist()}
    assert dates == {
        "now": (2026, 1, 2, 3, 4, 6),
        "old": (1980, 1, 1, 0, 0, 0),
        "far": (2107, 12, 31, 23, 59, 58),
        "none": (1980, 1, 1, 0, 0, 0),
    }


def test_the_source_is_asked_for_one_chunk_only_when_the_last_one_has_left() -> None:
    events: list[str] = []

    async def main() -> None:
        count = 0

        async def pull() -> bytes | None:
            nonlocal count
            count += 1
            events.append(f"pull {count}")
            # Incompressible, so that each chunk in is a chunk out.
            return random.Random(count).randbytes(100_000) if count <= 4 else None

        async def take(piece: bytes) -> None:
            if len(piece) > 10_000:
                events.append("write")

        source = ReadableStream.from_source(pull)
        await ZipStreamer(take).add_file("f", source, 400_000)

    emulator.run(main)
    assert events[:6] == ["pull 1", "write", "pull 2", "write", "pull 3", "write"]


@pytest.mark.parametrize(
    ("chunks", "size", "reason"),
    [
        ((b"abc",), 5, "ended after 3 of 5 bytes"),
        ((b"abc", b"def"), 5, "longer than its 5 bytes"),
        ((), 1, "ended after 0 of 1 bytes"),
    ],
)
def test_a_source_of_another_length_is_broken_and_stays_out_of_the_directory(
    chunks: tuple[bytes, ...], size: int, reason: str
) -> None:
    async def write(zip_: ZipStreamer) -> None:
        await zip_.add_file("before", stream_of(b"1"), 1)
        with pytest.raises(BrokenSource) as caught:
            await zip_.add_file("broken", stream_of(*chunks), size)
        assert caught.value.reason == reason
        await zip_.add_file("after", stream_of(b"2"), 1)
        await zip_.close()

    archive = opened(written_by(write))
    assert archive.namelist() == ["before", "after"]
    assert archive.read("after") == b"2"


def test_a_source_that_raises_is_broken_and_says_why() -> None:
    async def write(zip_: ZipStreamer) -> None:
        async def pull() -> bytes | None:
            raise OSError("the disk is gone")

        with pytest.raises(BrokenSource, match="the disk is gone"):
            await zip_.add_file("f", ReadableStream.from_source(pull), 10)
        await zip_.close()

    assert opened(written_by(write)).namelist() == []


def test_a_sink_that_fails_is_not_the_sources_fault_and_lets_the_source_go() -> None:
    async def main() -> None:
        cancelled = []

        async def pull() -> bytes | None:
            return b"x" * 100_000

        async def take(piece: bytes) -> None:
            raise OSError("full")

        source = ReadableStream.from_source(pull, cancel=cancelled.append)
        with pytest.raises(OSError, match="full"):
            await ZipStreamer(take).add_file("f", source, 1_000_000)
        assert len(cancelled) == 1

    emulator.run(main)


def test_an_archive_goes_on_where_another_streamer_stopped() -> None:
    pieces: list[bytes] = []

    async def main() -> None:
        async def take(piece: bytes) -> None:
            pieces.append(piece)

        first = ZipStreamer(take)
        await first.add_file("one", stream_of(b"1" * 500), 500)
        second = ZipStreamer(take, position=first.position)
        await second.add_file("two", stream_of(b"2" * 500), 500)
        # Entries go through JSON between two alarms.
        import json

        kept = [ZipEntry(*entry) for entry in json.loads(json.dumps(first.entries))]
        kept = [entry._replace(date=tuple(entry.date)) for entry in kept]
        await second.close([*second.entries, *kept], 2)

    emulator.run(main)
    archive = opened(b"".join(pieces))
    assert archive.namelist() == ["two", "one"]
    assert archive.read("one") == b"1" * 500


def test_more_entries_than_sixteen_bits_count_are_zip64() -> None:
    async def write(zip_: ZipStreamer) -> None:
        for number in range(70_000):
            await zip_.add_text_file(f"{number}", "")
        await zip_.close()

    data = written_by(write)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 70_000
    assert b"PK\x06\x06" in data[-200:]


def test_offsets_beyond_four_gigabytes_are_zip64() -> None:
    # The first four gigabytes are left out: only the directory is looked at.
    start = 5 * 1024**3
    pieces: list[bytes] = []

    async def main() -> None:
        async def take(piece: bytes) -> None:
            pieces.append(piece)

        zip_ = ZipStreamer(take, position=start)
        await zip_.add_file("far", stream_of(b"content"), 7)
        await zip_.close()

    emulator.run(main)
    data = b"".join(pieces)
    directory = data.index(b"PK\x01\x02")
    assert data[directory + 42 : directory + 46] == b"\xff\xff\xff\xff"
    assert start.to_bytes(8, "little") in data[directory:]
    assert b"PK\x06\x06" in data


def test_a_size_beyond_four_gigabytes_is_zip64() -> None:
    pieces: list[bytes] = []

    async def main() -> None:
        async def take(piece: bytes) -> None:
            pieces.append(piece)

        async def pull() -> bytes | None:
            raise OSError("that much is not needed")

        with pytest.raises(BrokenSource):
            await ZipStreamer(take).add_file(
                "huge", ReadableStream.from_source(pull), 6 * 1024**3
            )

    emulator.run(main)
    header = pieces[0]
    assert header[18:26] == b"\xff" * 8
    assert header[4:6] == (45).to_bytes(2, "little")


def test_unzip_tests_and_extracts_it(
    tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    unzip = require_tool("unzip")

    async def write(zip_: ZipStreamer) -> None:
        await zip_.add_file("a/ü.bin", stream_of(b"x" * 100_000), 100_000)
        with pytest.raises(BrokenSource):
            await zip_.add_file("broken", stream_of(b"short"), 100)
        await zip_.add_text_file("README.txt", "hello")
        entries = [zip_.entries[1], zip_.entries[0]]
        await zip_.close(entries, 2)

    path = tmp_path / "a.zip"
    path.write_bytes(written_by(write))
    done = subprocess.run(
        [unzip, "-t", str(path)], capture_output=True, text=True, check=False,
        env={"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No errors detected" in done.stdout


# -- README's example ------------------------------------------------------------------------


async def readme_example(env: Any, write: Any = None) -> ZipStreamer:
    """README's ZipStreamer: add files, add a text, close; read `readable` meanwhile."""
    found = await env["R2_BUCKET"].get("u1/photo.jpg")
    zip_ = ZipStreamer() if write is None else ZipStreamer(write)
    await zip_.add_file("photos/photo.jpg", found.body, found.size)
    await zip_.add_text_file("README.txt", "Hello")
    await zip_.close()
    return zip_


def in_world(test: Any) -> None:
    async def main() -> None:
        async with emulator.Miniflare(**amber_worker.options()) as mf:
            await mf.get_r2_bucket("R2_BUCKET").put("u1/photo.jpg", b"jpeg" * 50_000)
            await test(mf.get_bindings())

    emulator.run(main)


def test_readmes_example_to_the_letter_waits_for_a_reader_for_ever() -> None:
    with pytest.raises(SimulationDeadlock, match=r"ZipStreamer\._put"):
        in_world(readme_example)


def test_readmes_stream_is_refused_by_r2_because_its_length_is_not_known() -> None:
    async def test(env: Any) -> None:
        with pytest.raises(JsTypeError, match="known length"):
            await env["R2_BUCKET"].put("exports/x.zip", ZipStreamer().readable)

    in_world(test)


def test_readmes_stream_works_for_a_reader() -> None:
    async def test(env: Any) -> None:
        import asyncio

        zip_ = ZipStreamer()
        reading = asyncio.ensure_future(_read_all(zip_.readable))
        found = await env["R2_BUCKET"].get("u1/photo.jpg")
        await zip_.add_file("photos/photo.jpg", found.body, found.size)
        await zip_.add_text_file("README.txt", "Hello")
        await zip_.close()
        archive = opened(await reading)
        assert archive.read("photos/photo.jpg") == b"jpeg" * 50_000

    in_world(test)


def test_readmes_example_corrected_uploads_in_parts() -> None:
    async def test(env: Any) -> None:
        from amber_worker.archive_upload import PART_BYTES_MIN, ArchiveUpload

        bucket = env["R2_BUCKET"]
        handle = await bucket.createMultipartUpload("exports/x.zip")
        upload = ArchiveUpload(handle, PART_BYTES_MIN, [], b"")
        await readme_example(env, upload.write)
        await upload.flush()
        await handle.complete([{"partNumber": 1, "etag": upload.etags[0]}])
        archive = opened(bytes(await (await bucket.get("exports/x.zip")).bytes()))
        assert archive.namelist() == ["photos/photo.jpg", "README.txt"]

    in_world(test)


async def _read_all(stream: ReadableStream) -> bytes:
    return b"".join([bytes(chunk) async for chunk in stream])
