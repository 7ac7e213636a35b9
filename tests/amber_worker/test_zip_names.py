"""Names in the archive: hostile ones made harmless, no two files on one path."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import emulator  # noqa: F401  # Makes Cloudflare's names importable.
from amber_worker.zip_names import entry_path, family, fingerprint, numbered


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("photo.jpg", "photo.jpg"),
        ("grüße ☘.txt", "grüße ☘.txt"),
        ("a/b\\c:d", "a_b_c_d"),
        ("", "_"),
        (".", "_"),
        ("..", "_"),
        ("...", "_"),
        (" ", "_"),
        ("name.", "name_"),
        ("name ", "name_"),
        ("name. .", "name_"),
        (".hidden", ".hidden"),
        ("tab\there", "tab_here"),
        ("nul\0byte\x7f\x85", "nul_byte__"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("con .txt", "_con .txt"),
        ("Lpt1.tar.gz", "_Lpt1.tar.gz"),
        ("COM¹", "_COM¹"),
        ("console.log", "console.log"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("C:\\Windows\\x.dll", "C__Windows_x.dll"),
    ],
)
def test_a_hostile_name_is_made_harmless(name: str, wanted: str) -> None:
    assert entry_path("blog", "posts", name) == f"blog/posts/{wanted}"


def test_a_long_name_keeps_its_extension_and_whole_characters() -> None:
    *_, name = entry_path("blog", "posts", "é" * 300 + ".jpeg").split("/")
    assert len(name.encode()) <= 255
    assert name.endswith("é.jpeg")


def test_a_folder_never_takes_the_place_of_the_two_top_files() -> None:
    assert entry_path("Manifest.JSON", "x", "y") == "Manifest.JSON_/x/y"
    assert entry_path("readme.txt", "x", "y") == "readme.txt_/x/y"


def test_a_number_stands_in_front_of_the_extension() -> None:
    assert numbered("a/b/c.txt", 2) == "a/b/c (2).txt"
    assert numbered("a/b/c", 3) == "a/b/c (3)"
    assert numbered("a/b/.env", 2) == "a/b/.env (2)"


def test_a_number_fits_into_the_longest_name() -> None:
    path = entry_path("a", "b", "é" * 300 + ".jpeg")
    *_, name = numbered(path, 1_234_567).split("/")
    assert len(name.encode()) <= 255
    assert name.endswith(" (1234567).jpeg")


@given(st.integers(230, 255), st.text("zé", max_size=12), st.text("zé", max_size=12))
def test_paths_whose_numbered_forms_are_one_are_of_one_family(
    length: int, end: str, other_end: str
) -> None:
    one = entry_path("p", "c", f"{'z' * length}{end}.txt")
    other = entry_path("p", "c", f"{'z' * length}{other_end}.txt")
    assert (numbered(one, 2) == numbered(other, 2)) == (family(one) == family(other))
    assert fingerprint(family(one)) != fingerprint(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/b/Photo.JPG", "a/b/photo.jpg"),
        ("a/b/caf\u00e9", "a/b/cafe\u0301"),
        ("a/b/STRASSE", "a/b/straße"),
        ("a/B/x", "a/b/x"),
    ],
)
def test_paths_that_some_file_system_takes_for_one_have_one_fingerprint(
    one: str, other: str
) -> None:
    assert fingerprint(one) == fingerprint(other)


def test_other_paths_have_other_fingerprints() -> None:
    paths = ["a/b/c", "a/b/d", "a/bc", "ab/c", "a/b/c ", "a/b/ć"]
    assert len({fingerprint(path) for path in paths}) == len(paths)


ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=400)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_whatever_the_names_are_the_path_is_safe(
    product: str, category: str, name: str
) -> None:
    path = entry_path(product, category, name)
    parts = path.split("/")

    assert len(parts) == 3
    for part in parts:
        assert 1 <= len(part.encode("utf-8")) <= 255
        assert part not in (".", "..")
        assert part[-1] not in ". "
        assert not any(c in "\\:" or unicodedata.category(c) == "Cc" for c in part)
    # What is safe stays as it is.
    assert entry_path(*parts) == path
    assert len(numbered(path, 7).rpartition("/")[2].encode()) <= 255
