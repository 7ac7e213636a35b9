"""The cases: which exports are explored, and how much of the budget each of them gets.

Promises: exports of 0, 1, 25, 120 and 1,000 files, clashing and hostile names, wrong declared
sizes, an archive of more than 10 MiB, rows that come and go between chunks, other users, two
requests at once, and the limits of both plans; small ones get most worlds. What a case holds
is the same in every process. Leaves to others: running them (scenario).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

from amber_worker.contract.seeds import SeededFile, noise

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CASES", "Case", "Content", "case_named", "case_of_size"]

_MIB: Final = 1024 * 1024
_TEXT: Final = "A line about slugs, and what they leave of the lettuce.\n"
#: Between the first chunk (a second after the request) and the second (two seconds later).
BETWEEN_CHUNKS_MS: Final = 2_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The files of a case.

    Attributes:
        live: The user's, which the export takes.
        left: The user's, which it does not: trashed, or of another type.
        others: Other users'.
        added: Come while the export runs.
        trashed: Which of `live` go into the trash while the export runs.
    """

    live: tuple[SeededFile, ...] = ()
    left: tuple[SeededFile, ...] = ()
    others: tuple[SeededFile, ...] = ()
    added: tuple[SeededFile, ...] = ()
    trashed: tuple[SeededFile, ...] = ()

    def keyed(self) -> Content:
        """The same with keys, of a form from which no worker can tell anything."""
        live = _keyed(self.live, "a")
        places = {file: place for place, file in enumerate(self.live)}
        return Content(
            live=live,
            left=_keyed(self.left, "b"),
            others=_keyed(self.others, "c"),
            added=_keyed(self.added, "d"),
            trashed=tuple(live[places[file]] for file in self.trashed),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One export that is explored.

    Attributes:
        name: In words; tokens and reports have it.
        share: Of the budget, in parts of the sum of all.
        content: Makes its files.
        body: The request.
        request_count: How many requests are made at once.
        limits: The platform's, by plan.
        changes_ms: When rows are added and trashed, from the request on.
    """

    name: str
    share: int
    content: Callable[[], Content]
    body: dict[str, object] = field(default_factory=lambda: {"type": "full"})
    request_count: int = 1
    limits: str = "paid"
    changes_ms: int = BETWEEN_CHUNKS_MS


def _keyed(files: tuple[SeededFile, ...], prefix: str) -> tuple[SeededFile, ...]:
    return tuple(
        replace(file, key=f"files/{prefix}{number:05d}") for number, file in enumerate(files)
    )


def _file(name: str, size_bytes: int = 300, **facts: object) -> SeededFile:
    # Told apart by all of them, since files of one name must differ in content.
    content = noise(f"{name} {sorted(facts.items())}", size_bytes)
    return replace(SeededFile(name, content), **facts)  # type: ignore[arg-type]  # Its fields.


def _numbered(
    count: int, *, prefix: str = "n", size_bytes: int = 60, **facts: object
) -> tuple[SeededFile, ...]:
    return tuple(_file(f"{prefix}{n:04d}.bin", size_bytes, **facts) for n in range(count))


def _mixed(count: int) -> Content:
    """So many live files, one in ten of them missing, beside what must not be taken."""
    files = [
        replace(file, has_object=number % 10 != 4)
        for number, file in enumerate(_numbered(count))
    ]
    return Content(
        live=tuple(files),
        left=(_file("trashed.txt", deleted_at="2025-12-24 10:00:00"),),
        others=(_file("stranger.txt"),),
    )


def _three() -> Content:
    return Content(
        live=(
            SeededFile("january.md", _TEXT.encode() * 30, created_at="2025-12-06 10:00:00"),
            _file("lost.txt", has_object=False, created_at="2025-12-05 10:00:00"),
            _file("ünïcode ☘.eml", product="ivy", category="mail"),
        ),
        left=(_file("trashed.txt", deleted_at="2025-12-24 10:00:00"),),
        others=(_file("stranger.txt"), _file("january.md", created_at="2025-12-07 10:00:00")),
    )


def _odd_names() -> Content:
    names = (
        "same.txt", "Same.txt", "SAME.TXT", "same (2).txt", "../../evil.txt", "/etc/passwd",
        "C:\\evil.txt", "con.txt", "line\nbreak.txt", "e\u0301.txt", "\u00e9.txt", "..", "",
        "trailing dot.", "manifest.json", "README.txt", f"{'ö' * 200}.txt",
    )  # fmt: skip
    twins = tuple(_file("same.txt", size) for size in (70, 71))
    ways = tuple(_file("evil.txt", category=name) for name in ("../..", "a/b", ""))
    return Content(live=(*map(_file, names), *twins, *ways))


def _untrue_sizes() -> Content:
    return Content(
        live=(
            _file("longer.bin", 5_000, declared_bytes=1_000),
            _file("shorter.bin", 1_000, declared_bytes=5_000),
            _file("none.bin", 500, declared_bytes=0),
            _file("huge.bin", 400, declared_bytes=60 * _MIB),
            _file("true.bin"),
            SeededFile("empty.css", b"", "themes", "amber"),
        )
    )


def _category() -> Content:
    return Content(
        live=(
            _file("in blog.txt", category="Kräuter & Gemüse"),
            _file("in ivy.txt", category="Kräuter & Gemüse", product="ivy"),
        ),
        left=(_file("elsewhere.txt"), _file("case.txt", category="kräuter & gemüse")),
        others=(_file("stranger.txt", category="Kräuter & Gemüse"),),
    )


def _changing_rows() -> Content:
    newer = _numbered(60, prefix="new", created_at="2025-12-20 12:00:00")
    older = _numbered(60, prefix="old", created_at="2025-01-10 12:00:00")
    return Content(
        live=newer + older,
        added=(
            *_numbered(20, prefix="newest", created_at="2025-12-31 12:00:00"),
            *_numbered(5, prefix="oldest", created_at="2024-01-01 12:00:00"),
        ),
        trashed=newer[:15] + older[50:53],
    )


def _large() -> Content:
    parts = tuple(_file(f"bed {n}.raw", 4 * _MIB - n) for n in range(3))
    return Content(live=(*parts, SeededFile("text.md", _TEXT.encode() * 40_000)))


#: Small ones first: what is found in one of them is understood sooner.
CASES: Final = (
    Case(name="one file", share=20, content=lambda: Content(live=(_file("a.txt"),))),
    Case(name="three files", share=24, content=_three),
    Case(name="two requests at once", share=14, content=_three, request_count=2),
    Case(name="no files", share=6, content=Content),
    Case(
        name="a category",
        share=5,
        content=_category,
        body={"type": "category", "filters": {"category": "Kräuter & Gemüse"}},
    ),
    Case(name="odd names", share=6, content=_odd_names),
    Case(name="untrue sizes", share=6, content=_untrue_sizes),
    Case(name="25 files", share=8, content=lambda: _mixed(25)),
    Case(name="25 files on the free plan", share=3, content=lambda: _mixed(25), limits="free"),
    Case(name="rows that come and go", share=4, content=_changing_rows),
    Case(name="120 files", share=2, content=lambda: _mixed(120)),
    Case(name="an archive above 10 MiB", share=1, content=_large),
    Case(name="1,000 files", share=1, content=lambda: _mixed(1_000)),
)


@lru_cache(maxsize=8)
def case_named(name: str) -> Case:
    """The case of that name, which may be "N files" for any number.

    Raises:
        KeyError: If there is none.
    """
    for case in CASES:
        if case.name == name:
            return case
    digits, _, rest = name.partition(" ")
    count = digits.replace(",", "")
    if rest not in ("file", "files") or not count.isdigit():
        raise KeyError(name)
    return Case(name=name, share=1, content=lambda: _mixed(int(count)))


def case_of_size(count: int) -> Case:
    """The case with so many files."""
    return case_named("one file" if count == 1 else f"{count:,} files" if count else "no files")
