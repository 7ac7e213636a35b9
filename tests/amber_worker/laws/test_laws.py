"""Laws: each is kept by a good export, and broken by what it forbids."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from amber_worker.contract.archive import Archive
from amber_worker.contract.seeds import SeededFile
from amber_worker.laws import (
    Disturbance,
    Expected,
    ExportEvidence,
    OpenUpload,
    WorldEvidence,
    judge,
    law_names,
)

A = SeededFile("a.txt", b"alpha", key="k/a")
B = SeededFile("b.txt", b"beta", key="k/b", category="mail")
GONE = SeededFile("gone.txt", b"never", key="k/gone", has_object=False)
STRANGE = SeededFile("strange.txt", b"somebody else's", key="k/strange")
LATE = SeededFile("late.txt", b"late", key="k/late")
UNTRUE = SeededFile("untrue.txt", b"untrue", key="k/untrue", declared_bytes=1)

KEY = "exports/u/e/1-export.zip"
COMPLETED = {
    "id": "e", "user_id": "u", "status": "completed", "r2_key": KEY, "size_bytes": None,
    "file_count": 2, "expires_at": "2026-01-08T00:00:00.000Z", "error_message": None,
}  # fmt: skip
FAILED = {
    **COMPLETED, "status": "failed", "r2_key": None, "expires_at": None,
    "error_message": "Error: no", "file_count": None,
}  # fmt: skip
PENDING = {"id": "e", "status": "pending"}
HISTORY = ("pending", "processing", "completed")


def listed(file: SeededFile, **changes: Any) -> dict[str, Any]:
    return {
        "r2_key": file.key, "filename": file.filename, "size": len(file.content),
        "product": file.product, "category": file.category, **changes,
    }  # fmt: skip


def archive(
    entries: list[tuple[str, bytes]],
    files: list[dict[str, Any]],
    missing: list[str] | None = None,
    **summary: int,
) -> Archive:
    manifest: dict[str, Any] = {
        "files": files,
        "summary": {
            "totalFiles": len(files), "totalSize": sum(f["size"] for f in files), **summary
        },
    }  # fmt: skip
    if missing is not None:
        manifest["missing"] = [{"r2_key": key} for key in missing]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("README.txt", "Amber Export Archive")
        opened.writestr("manifest.json", json.dumps(manifest))
        for name, content in entries:
            opened.writestr(name, content)
    return Archive(buffer.getvalue(), "the archive")


def of(*files: SeededFile) -> list[tuple[str, bytes]]:
    return [(file.path, file.content) for file in files]


EXPECTED = Expected(files=(A, B, GONE), strange=(STRANGE,))
GOOD = ExportEvidence(
    row=COMPLETED,
    history=HISTORY,
    expected=EXPECTED,
    archive=archive(of(A, B), [listed(A), listed(B)], ["k/gone"]),
)
BAD = ExportEvidence(
    row=FAILED,
    history=("pending", "processing", "failed"),
    expected=EXPECTED,
    disturbance=Disturbance(count=1, may_fail=True),
)
WORLD = WorldEvidence(exports=(GOOD,), archives={KEY: 9}, next_row={"status": "processing"})


def told(export: ExportEvidence) -> list[str]:
    return judge(replace(WORLD, exports=(export,)))


def test_a_good_world_keeps_every_law() -> None:
    assert judge(WORLD) == []


def test_a_failure_after_an_error_keeps_every_law() -> None:
    assert judge(replace(WORLD, exports=(BAD,), archives={})) == []


def test_a_manifest_without_a_list_of_missing_files_keeps_every_law() -> None:
    assert told(replace(GOOD, archive=archive(of(A, B), [listed(A), listed(B)]))) == []


def test_an_export_without_files_may_store_nothing() -> None:
    row = {**COMPLETED, "r2_key": None, "size_bytes": 0, "file_count": 0}
    empty = ExportEvidence(row=row, history=HISTORY, expected=Expected(strange=(A,)))
    assert judge(replace(WORLD, exports=(empty,), archives={})) == []


def test_a_file_whose_reading_failed_may_be_missing_if_it_is_named() -> None:
    unread = Disturbance(count=1, may_fail=True, unread=frozenset({"k/b"}))
    lost = archive(of(A), [listed(A)], ["k/gone", "k/b"])
    row = {**COMPLETED, "file_count": 1}
    assert told(replace(GOOD, disturbance=unread, archive=lost, row=row)) == []
    unnamed = archive(of(A), [listed(A)], ["k/gone"])
    found = told(replace(GOOD, disturbance=unread, archive=unnamed, row=row))
    assert [one.partition(":")[0] for one in found] == ["each missing file is named"]


@pytest.mark.parametrize("files", [(), (LATE,)])
def test_a_file_that_was_added_meanwhile_is_there_or_not(files: tuple[SeededFile, ...]) -> None:
    made = archive(of(A, B, *files), [*map(listed, (A, B, *files))], ["k/gone"])
    row = {**COMPLETED, "file_count": 2 + len(files)}
    expected = replace(EXPECTED, perhaps=(LATE,))
    assert told(replace(GOOD, expected=expected, archive=made, row=row)) == []


@pytest.mark.parametrize("files", [(), (UNTRUE,)])
def test_a_file_of_an_untrue_size_is_whole_or_missing(files: tuple[SeededFile, ...]) -> None:
    missing = ["k/gone"] if files else ["k/gone", "k/untrue"]
    made = archive(of(A, B, *files), [*map(listed, (A, B, *files))], missing)
    expected = replace(EXPECTED, files=(A, B, GONE, UNTRUE))
    row = {**COMPLETED, "file_count": 2 + len(files)}
    assert told(replace(GOOD, expected=expected, archive=made, row=row)) == []


def test_files_of_one_name_may_be_renamed() -> None:
    twins = [SeededFile("same.txt", content, key=f"k/{content!r}") for content in (b"1", b"2")]
    names = ["blog/posts/same.txt", "blog/posts/same (2).txt"]
    entries = [(name, twin.content) for name, twin in zip(names, twins, strict=True)]
    expected = Expected(files=tuple(twins))
    made = archive(entries, list(map(listed, twins)), [])
    assert told(replace(GOOD, expected=expected, archive=made)) == []


BROKEN_EXPORTS = [
    ("the status reaches completed or failed", replace(GOOD, row=PENDING)),
    ("the status moves forward only", replace(GOOD, history=(*HISTORY, "failed"))),
    ("the status moves forward only", replace(GOOD, history=("processing", "pending"))),
    ("an export fails for an error only", replace(BAD, disturbance=Disturbance(count=1))),
    ("a failed export says why", replace(BAD, row={**FAILED, "error_message": " "})),
    ("a failed export says why", replace(BAD, row={**FAILED, "r2_key": KEY})),
    ("a failed export says why", replace(BAD, row={**FAILED, "expires_at": "2026-01-08"})),
    ("a completed export expires", replace(GOOD, row={**COMPLETED, "expires_at": None})),
    ("a completed export has its archive", replace(GOOD, archive=None)),
    ("a completed export has its archive", replace(GOOD, row={**COMPLETED, "size_bytes": 1})),
    (
        "a completed export has its archive",
        replace(GOOD, row={**COMPLETED, "r2_key": "exports/other/e/x.zip"}),
    ),
    (
        "each live file is there once",
        replace(GOOD, archive=archive(of(A), [listed(A)], ["k/gone", "k/b"])),
    ),
    (
        "each live file is there once",
        replace(
            GOOD,
            archive=archive([*of(A, B), ("blog/again", A.content)], [listed(A), listed(B)]),
        ),
    ),
    (
        "each live file is there once",
        replace(GOOD, archive=archive(of(A, B, STRANGE), [*map(listed, (A, B, STRANGE))])),
    ),
    (
        "each live file is there once",
        replace(GOOD, archive=archive([*of(A), (B.path, b"bet")], [listed(A), listed(B)])),
    ),
    (
        "an ordinary name is kept",
        replace(
            GOOD,
            archive=archive([*of(A), ("ivy/b.txt", B.content)], [listed(A), listed(B)]),
        ),
    ),
    (
        "an ordinary name is kept",
        replace(
            GOOD,
            archive=archive([*of(A), ("../b.txt", B.content)], [listed(A), listed(B)]),
        ),
    ),
    ("each missing file is named", replace(GOOD, archive=archive(of(A, B), [listed(A)]))),
    (
        "each missing file is named",
        replace(GOOD, archive=archive(of(A, B), [listed(A), listed(B), listed(GONE)])),
    ),
    (
        "each missing file is named",
        replace(GOOD, archive=archive(of(A, B), [listed(A), listed(B)], [])),
    ),
    (
        "each missing file is named",
        replace(GOOD, archive=archive(of(A, B), [listed(A), listed(B)], ["k/gone", "k/a"])),
    ),
    (
        "each missing file is named",
        replace(GOOD, archive=archive(of(A, B), [listed(A), listed(B), listed(STRANGE)])),
    ),
    (
        "what an export tells of itself is true",
        replace(GOOD, row={**COMPLETED, "file_count": 3}),
    ),
    (
        "what an export tells of itself is true",
        replace(
            GOOD, archive=archive(of(A, B), [listed(A), listed(B)], ["k/gone"], totalFiles=3)
        ),
    ),
    (
        "what an export tells of itself is true",
        replace(
            GOOD, archive=archive(of(A, B), [listed(A), listed(B)], ["k/gone"], totalSize=1)
        ),
    ),
    (
        "what an export tells of itself is true",
        replace(GOOD, archive=archive(of(A, B), [listed(A, size=7), listed(B)], ["k/gone"])),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("law", "export"), BROKEN_EXPORTS)
def test_a_law_of_an_export_is_broken(law: str, export: ExportEvidence) -> None:
    assert any(one.startswith(law) for one in told(export)), told(export)


BROKEN_WORLDS = [
    ("a request is accepted and kept", {"refused": ("POST is 500",)}),
    ("a request is accepted and kept", {"unknown": ("f",)}),
    ("status and r2 agree at every instant", {"glimpses": ("it was not there",)}),
    ("no archive is orphaned", {"archives": {KEY: 9, "exports/u/f/1-export.zip": 3}}),
    ("no upload stays open", {"uploads": (OpenUpload(KEY, 1),)}),
    ("no upload stays open", {"uploads": (OpenUpload(KEY, 0),)}),
    ("nothing is kept when an export is over", {"kept": ("an object holds 1 keys: x",)}),
    ("the users files stay as they are", {"changed": ("'k/a' is gone from R2",)}),
    ("the next export can start", {"next_row": None, "next_answer": "409"}),
    ("the next export can start", {"next_row": {"status": "pending"}}),
]


@pytest.mark.parametrize(("law", "changes"), BROKEN_WORLDS)
def test_a_law_of_a_world_is_broken(law: str, changes: dict[str, Any]) -> None:
    found = judge(replace(WORLD, **changes))
    assert [one.partition(":")[0] for one in found] == [law]


def test_the_archive_of_a_failed_export_is_an_orphan() -> None:
    found = judge(replace(WORLD, exports=(BAD,)))
    assert [one.partition(":")[0] for one in found] == ["no archive is orphaned"]


def test_an_upload_without_parts_is_forgiven_where_an_answer_was_lost() -> None:
    lost = replace(WORLD, uploads=(OpenUpload(KEY, 0),), disturbance=Disturbance(count=1))
    assert judge(lost) == []
    twice = replace(lost, uploads=(OpenUpload(KEY, 0),) * 2)
    assert len(judge(twice)) == 1


def test_an_archive_that_breaks_is_told() -> None:
    data = bytearray(archive(of(A, B), [listed(A), listed(B)]).data)
    place = bytes(data).index(b"alpha")
    data[place : place + 5] = b"alpHa"
    found = told(replace(GOOD, archive=Archive(bytes(data), "the archive")))
    assert any("cannot be read" in one for one in found)


def test_every_law_can_be_broken() -> None:
    broken = {law for law, _ in (*BROKEN_EXPORTS, *BROKEN_WORLDS)}
    for name in law_names():
        assert any(name.startswith(law) for law in broken), name
