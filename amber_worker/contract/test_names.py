"""Names: what becomes of a file's name in the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amber_worker.contract.seeds import SeededFile, noise
from amber_worker.laws.contents import way_out

if TYPE_CHECKING:
    from amber_worker.contract.seeds import Storage
    from amber_worker.contract.user import User
    from amber_worker.contract.world import World

PLAIN = [
    "grün ☘ 日本.txt", "it's.txt", 'the "best" of.txt', "100%.txt", "a & b; c.txt", ".htaccess",
    "no extension", "two  spaces.txt", "archive.tar.gz", "😀.png", "manifest.json",
    "README.txt",
]  # fmt: skip
ESCAPING = [
    "../../evil.txt", "/etc/passwd", "a/../../../b.txt", "..", ".", "..\\..\\evil.txt",
    "C:\\Windows\\evil.txt", "C:evil.txt", "//server/share.txt", "\\\\server\\share.txt",
]  # fmt: skip
ODD = [
    "line\nbreak.txt", "tab\there.txt", "bell\x07.txt", "delete\x7f.txt", "con.txt", "NUL",
    "trailing dot.", "trailing space ", "a<b>c|d?e*.txt", "\u202egnp.exe", "e\u0301.txt",
]  # fmt: skip
CATEGORIES = ["../..", "/", "..\\..", "C:", ""]
FILES = {name: SeededFile(name, noise(name, 50)) for name in (*PLAIN, *ESCAPING, *ODD)}
FILES |= {
    f"category {name}": SeededFile("evil.txt", noise(f"category {name}", 50), "ivy", name)
    for name in CATEGORIES
}


@pytest.mark.parametrize("filename", PLAIN)
async def test_an_ordinary_name_is_kept_to_the_letter(
    world: World, storage: Storage, filename: str
) -> None:
    archive = await (await world.export_of_each(FILES, filename)).compare()
    assert [told["filename"] for told in archive.manifest_files] == [filename]


async def test_a_category_that_is_not_ascii_is_kept_to_the_letter(
    user: User, storage: Storage
) -> None:
    file = SeededFile("a.txt", b"a", "blog", "Gemüse & Kräuter ☘")
    archive = await (await user.export_of(file)).compare()
    assert all(map(archive.is_utf8, archive.file_entries))


async def test_two_files_of_one_name_are_both_there(user: User, storage: Storage) -> None:
    files = [SeededFile("same.txt", noise(f"same {n}", 80)) for n in range(3)]
    archive = await (await user.export_of(*files)).archive()
    archive.compare_contents(files)


async def test_one_name_in_two_categories_is_two_entries(user: User, storage: Storage) -> None:
    files = [SeededFile("a.txt", noise(c, 80), category=c) for c in ("one", "two")]
    await (await user.export_of(*files)).compare()


async def test_names_that_differ_in_case_alone_are_both_there(
    user: User, storage: Storage
) -> None:
    files = [SeededFile(name, noise(name, 80)) for name in ("Same.txt", "same.TXT")]
    archive = await (await user.export_of(*files)).archive()
    archive.compare_contents(files)


@pytest.mark.parametrize("filename", ESCAPING)
async def test_no_entry_leaves_the_folder_into_which_it_is_extracted(
    world: World, storage: Storage, filename: str
) -> None:
    _assert_stays(await _path(world, filename))


@pytest.mark.parametrize("category", CATEGORIES)
async def test_no_category_leaves_the_folder_into_which_it_is_extracted(
    world: World, storage: Storage, category: str
) -> None:
    _assert_stays(await _path(world, f"category {category}"))


@pytest.mark.parametrize("filename", ODD)
async def test_a_file_with_an_odd_name_is_there(
    world: World, storage: Storage, dialect: Any, filename: str
) -> None:
    is_kept = await _path(world, filename) == FILES[filename].path
    dialect(f"the odd name {filename!r}", "as it is" if is_kept else "made harmless")


async def test_a_file_with_a_very_long_name_is_there(user: User, storage: Storage) -> None:
    file = SeededFile(f"{'ö' * 300}.txt", noise("long", 50))
    archive = await (await user.export_of(file)).archive()
    archive.compare_contents([file])


async def test_the_manifest_tells_the_name_that_the_user_knows(
    user: User, storage: Storage
) -> None:
    names = ["../up.txt", "con.txt", "same.txt", "same.txt"]
    files = [SeededFile(name, noise(f"{at} {name}", 50)) for at, name in enumerate(names)]
    export = await user.export_of(*files)
    assert export.files
    listed = (await export.archive()).manifest_files
    told = {file["r2_key"]: file["filename"] for file in listed}
    assert told == {file.key: file.filename for file in export.files}


async def _path(world: World, case: str) -> str:
    """The name of the one entry of that case's archive."""
    file = FILES[case]
    archive = await (await world.export_of_each(FILES, case)).archive()
    archive.compare_contents([file])
    return archive.path_of(file.content)


def _assert_stays(path: str) -> None:
    """Extracting must not go up, to the root, or to a drive, on any system."""
    told = way_out(path)
    assert told is None, f"entry {path!r} {told}"
