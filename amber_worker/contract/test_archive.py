"""The archive: what a user downloads."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from amber_worker.contract.archive import LawBroken, difference
from amber_worker.contract.user import shown

if TYPE_CHECKING:
    from amber_worker.contract.archive import Archive
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import Export, User

METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
END_OF_DIRECTORY = b"PK\x05\x06"


async def test_every_entry_can_be_read_and_has_its_checksum(archive: Archive) -> None:
    archive.test()


async def test_the_archive_holds_exactly_the_users_files_byte_for_byte(
    finished: Export, storage: Storage
) -> None:
    await finished.compare()


async def test_the_archive_ends_with_its_directory(archive: Archive) -> None:
    place = archive.data.rfind(END_OF_DIRECTORY)
    comment_size = int.from_bytes(archive.data[place + 20 : place + 22], "little")
    assert place >= 0
    assert place + 22 + comment_size == len(archive.data)


async def test_readme_and_manifest_are_listed_first(archive: Archive, dialect: Any) -> None:
    first_two = archive.names[:2]
    dialect("first two entries", ", ".join(first_two))
    assert sorted(first_two) == ["README.txt", "manifest.json"]


async def test_readme_and_manifest_are_stored(archive: Archive) -> None:
    for name in ("README.txt", "manifest.json"):
        assert archive.entry(name).compress_type == zipfile.ZIP_STORED, name


async def test_files_are_deflated_or_stored_and_all_in_one_way(
    archive: Archive, dialect: Any
) -> None:
    # What has no bytes need not be deflated.
    ways = {METHODS.get(e.compress_type, "?") for e in archive.file_entries if e.file_size}
    dialect("compression", " and ".join(sorted(ways)) or "no files to tell it from")
    assert ways <= {"stored", "deflated"}
    assert len(ways) <= 1


async def test_what_is_deflated_gets_smaller_where_it_can(
    archive: Archive, storage: Storage
) -> None:
    entry = archive.entry("blog/posts/january.md")
    if entry.compress_type == zipfile.ZIP_STORED:
        pytest.skip("this worker stores its files")
    if entry.compress_size >= entry.file_size:
        pytest.skip("this worker deflates its files at level 0")
    assert entry.compress_size < entry.file_size / 10


async def test_no_two_entries_have_one_name(archive: Archive) -> None:
    archive.has_unique_names()


async def test_a_name_that_is_not_ascii_is_utf_8_and_says_so(archive: Archive) -> None:
    wrong = [
        entry.filename
        for entry in archive.entries
        if not entry.filename.isascii() and not archive.is_utf8(entry)
    ]
    assert wrong == []


async def test_the_name_is_product_category_and_filename(
    archive: Archive, storage: Storage
) -> None:
    expected = [
        f"{file['product']}/{file['category']}/{file['filename']}"
        for file in archive.manifest_files
    ]
    assert [entry.filename for entry in archive.file_entries] == expected


async def test_files_are_listed_newest_first(finished: Export, storage: Storage) -> None:
    assert finished.files
    newest_first = sorted(finished.files, key=lambda file: file.created_at, reverse=True)
    archive = await finished.archive()
    found = [entry.filename for entry in archive.file_entries]
    assert found == [file.path for file in newest_first]


async def test_a_file_without_bytes_is_there(archive: Archive, storage: Storage) -> None:
    assert archive.read("themes/amber/empty.css") == b""


async def test_every_file_is_what_the_api_gives_for_it(
    finished: Export, archive: Archive
) -> None:
    for file, entry in zip(archive.manifest_files, archive.file_entries, strict=True):
        answer = await finished.user.get(f"/download/{quote(str(file['r2_key']), safe='/')}")
        if answer.status_code == 404:
            pytest.skip(f"the API does not give single files: {shown(answer)}")
        content = archive.read(entry)
        if answer.content != content:
            told = difference(answer.content, content)
            raise LawBroken(f"{archive.told}: {entry.filename!r}: {told}")


async def test_the_archive_is_the_same_at_every_download(with_archive: Export) -> None:
    path = str((await with_archive.link())["download_url"])
    again = await with_archive.user.ask(path)
    assert again.status_code == 200
    assert again.content == (await with_archive.archive()).data


async def test_an_export_without_files_has_readme_and_manifest_or_stores_nothing(
    user: User, storage: Storage, dialect: Any
) -> None:
    export = await user.export()
    dialect("an export without files", "an archive" if export.has_archive else "no archive")
    if not export.has_archive:
        assert [export.row["size_bytes"], export.row["file_count"]] == [0, 0]
        return
    archive = await export.compare([])
    assert archive.manifest["summary"] == {"totalFiles": 0, "totalSize": 0}
    assert export.row["file_count"] in (None, 0)


async def test_the_readme_has_the_title(archive: Archive) -> None:
    assert archive.readme.lstrip().startswith("Amber Export Archive")


async def test_the_readme_lists_the_contents(archive: Archive) -> None:
    contents = _part(archive.readme, "Contents:", "Extraction:")
    assert "manifest.json" in contents
    assert "categor" in contents


async def test_the_readme_tells_how_to_extract(archive: Archive) -> None:
    assert _part(archive.readme, "Extraction:", "Created:").strip()


async def test_the_readme_tells_when_it_was_made(archive: Archive) -> None:
    found = re.search(r"^Created: (\S+)", archive.readme, re.MULTILINE)
    assert found, archive.readme
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", found[1])


async def test_the_readme_has_the_projects_address(archive: Archive) -> None:
    assert "https://amber.autumnsgrove.dev" in archive.readme


def _part(text: str, start: str, end: str) -> str:
    assert start in text, text
    assert end in text, text
    return text.partition(start)[2].partition(end)[0]
