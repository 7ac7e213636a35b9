"""The contract's archive: every way in which a ZIP can lie is told with its place."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import pytest

from amber_worker.contract.archive import Archive, LawBroken, difference
from amber_worker.contract.seeds import SeededFile

FILES = [
    SeededFile("a.txt", b"aaaa" * 50, "blog", "posts"),
    SeededFile("ü.txt", b"bbbb" * 50, "ivy", "mail"),
]


def zipped(entries: dict[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    pairs = entries.items() if isinstance(entries, dict) else entries
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pairs:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def good(**changes: bytes) -> dict[str, bytes]:
    files = {file.path: file.content for file in FILES}
    return {"README.txt": b"hello", "manifest.json": b'{"files": []}', **files, **changes}


def evidence(data: bytes, files: list[SeededFile] = FILES) -> str:
    with pytest.raises(LawBroken) as caught:
        Archive(data, "it").compare(files)
    return str(caught.value)


def test_an_archive_that_is_right_is_taken() -> None:
    archive = Archive(zipped(good()), "it")
    archive.compare(FILES)
    archive.compare_contents(FILES)
    assert archive.manifest == {"files": []}
    assert archive.readme == "hello"
    assert [entry.filename for entry in archive.file_entries] == [f.path for f in FILES]
    assert [archive.is_utf8(entry) for entry in archive.file_entries] == [False, True]
    assert archive.path_of(FILES[1].content) == "ivy/mail/ü.txt"


@pytest.mark.parametrize("data", [b"", b"PK", b"?" * 434, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_is_told_with_its_first_bytes(data: bytes) -> None:
    with pytest.raises(LawBroken, match=f"it: {len(data)} bytes that are no ZIP"):
        Archive(data, "it")


def test_a_file_that_is_lost_or_too_much_is_told() -> None:
    wrong = good()
    del wrong[FILES[0].path]
    wrong["blog/posts/x.txt"] = b"x"
    told = evidence(zipped(wrong))
    assert told == "it: lost: 'blog/posts/a.txt'; not expected: 'blog/posts/x.txt'"


def test_a_content_that_differs_is_told_with_the_place() -> None:
    wrong = good()
    wrong[FILES[0].path] = b"aaaaXaaa" + b"aaaa" * 48
    assert "changed: 'blog/posts/a.txt': 200 bytes instead of 200" in evidence(zipped(wrong))
    assert difference(b"aXb", b"aYb").startswith(
        "3 bytes instead of 3, the first difference at byte 1"
    )
    assert "at byte 1: b'' instead of b'b'" in difference(b"ab", b"a")


def test_a_wrong_checksum_is_told_with_the_entry() -> None:
    data = zipped(good())
    crc = Archive(data, "it").entry(FILES[0].path).CRC
    spoiled = data.replace(struct.pack("<I", crc), struct.pack("<I", crc ^ 1))
    assert "entry 'blog/posts/a.txt' at byte" in evidence(spoiled)
    assert "Bad CRC-32" in evidence(spoiled)


def test_a_deflated_stream_that_is_broken_is_told() -> None:
    data = bytearray(zipped(good()))
    info = Archive(bytes(data), "it").entry(FILES[0].path)
    start = info.header_offset + 30 + len(info.filename)
    data[start : start + 3] = b"\xff\xff\xff"
    assert "cannot be read" in evidence(bytes(data))


def test_headers_that_do_not_agree_are_told() -> None:
    data = zipped(good())
    info = Archive(data, "it").entry(FILES[0].path)
    changed: list[tuple[int, bytes, str]] = [
        (8, struct.pack("<H", 0), "method 0 in its header, 8 in the directory"),
        (14, struct.pack("<I", 5), "checksum 00000005 in its header"),
        (22, struct.pack("<I", 7), "7 bytes in its header, 200 in the directory"),
    ]
    for offset, value, told in changed:
        spoiled = bytearray(data)
        place = info.header_offset + offset
        spoiled[place : place + len(value)] = value
        assert told in evidence(bytes(spoiled))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_told() -> None:
    entries = [*good().items(), (FILES[0].path, b"again")]
    assert evidence(zipped(entries)) == "it: 2 entries have the name 'blog/posts/a.txt'"


def test_contents_are_compared_where_names_may_change() -> None:
    renamed = {"README.txt": b"", "manifest.json": b"{}", "x": FILES[0].content, "y": b"other"}
    with pytest.raises(LawBroken) as caught:
        Archive(zipped(renamed), "it").compare_contents(FILES)
    told = (
        "the content of 'ivy/mail/ü.txt' is in no entry; entry 'y' has the content of no file"
    )
    assert str(caught.value) == f"it: {told}"


def test_evidence_shows_five_differences_and_counts_the_rest() -> None:
    more = good(**{f"blog/posts/{n}": b"n" for n in range(9)})
    assert evidence(zipped(more)).endswith("not expected: 'blog/posts/4' and 4 more")


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (None, "it has no entry 'manifest.json'"),
        (b"{", "manifest.json is no JSON"),
        (b"[]", "manifest.json is no object"),
        (b'{"files": {}}', "has no list of objects `files`"),
        (b'{"files": [1]}', "has no list of objects `files`"),
    ],
)
def test_a_manifest_that_is_none_is_told(manifest: Any, told: str) -> None:
    entries = good()
    del entries["manifest.json"]
    if manifest is not None:
        entries["manifest.json"] = manifest
    with pytest.raises(LawBroken, match=told.replace("[", r"\[")):
        Archive(zipped(entries), "it").manifest_files  # noqa: B018
