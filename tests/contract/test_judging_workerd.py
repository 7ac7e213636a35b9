"""The contract on the real runtime: kept by the TypeScript worker, broken by broken ones.

These runs do not depend on the version of Python, and take minutes: AMBER_CONTRACT=short
leaves them out, so that continuous integration has them once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator.workerd.driver import node_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.usefixtures("real_runtime"),
    pytest.mark.usefixtures("whole_contract"),
]
VARIANTS = node_folder() / "variants"
NOT_APPLICABLE = {"every file is what the api gives for it"}
#: Laws that take no files, none large, and no waiting for the platform.
QUICK = "not test_chunks and not test_names and not test_failures and not three_exports"
#: Laws about who asks, and what is answered.
ASKING = "test_requests or test_status or test_downloads or test_auth or test_archive"
SOUND = {
    "bearer": ["--worker-auth", "bearer"],
    "cookies": ["--worker-auth", "cookie"],
    "fetch_routes": [],
}
#: Laws about what section 10 of Amber's contract leaves open.
OPEN = (
    "test_archive or test_manifest or test_missing or test_storage or test_status"
    " or accepted or the_answer or headers_of_the_api"
)
#: For each column of section 10: options, and what its workers speak.
VERSIONS: dict[str, tuple[list[str], list[str]]] = {
    "first_version": (
        [],
        [
            "| status of an accepted request | 200 |",
            "| name of the id in the answer | export_id |",
            "| first two entries | README.txt, manifest.json |",
            "| compression | deflated |",
            "| completed_at | null |",
            "| size_bytes | null |",
            "| file_count | null |",
            "| an export without files | an archive |",
            "| a file longer than its row says | the export fails |",
            "| metadata of an archive"
            " | export-id, export-type, file-count, total-size, user-id |",
            "| allow-headers | authorization, content-type |",
        ],
    ),
    "later_version": (
        [],
        [
            "| status of an accepted request | 202 |",
            "| compression | stored |",
            "| completed_at | written |",
            "| size_bytes | written |",
            "| file_count | written |",
            "| an export without files | no archive |",
            "| an export whose files are all missing | no archive |",
            "| metadata of an archive | export-id, export-type, file-count, user-id |",
            "| allow-headers | authorization, content-type, cookie |",
        ],
    ),
    "readme": (
        ["--worker-var", "EXPORT_DIALECT=readme"],
        [
            "| status of an accepted request | 202 |",
            "| name of the id in the answer | exportId |",
            "| status in the answer | processing |",
            "| first two entries | manifest.json, README.txt |",
            "| compression | deflated |",
            "| completed_at | written |",
            "| size_bytes | null |",
            "| metadata of an archive | export-id, file-count, total-size, user-id |",
        ],
    ),
}
#: For each broken worker, the laws of `QUICK` that it breaks.
BROKEN = {
    "broken_cors": {
        "for another origin the first allowed one is named",
        "where no origins are given there is a default",
    },
    "broken_double": {"of simultaneous requests exactly one is accepted"},
    "broken_leaks_user": {"another users export is answered like one that does not exist"},
    "broken_missing_fails": {
        "a file that is missing is left out and the others are there",
        "a file that is missing is not among the manifests files",
        "a file that is missing does not count",
        "an export whose files are all missing completes",
        "missing files in several chunks are left out",
        "an export changes no file and no row of one",
    },
    "broken_trash": {"a file in the trash is left out"},
}
BYTES = "the archive holds exactly the users files byte for byte"
#: Workers that break what nearly every law looks at: a few laws, and what becomes of them.
SELECTED = "forward or byte_for_byte or another_users or unknown_export or readme_has_the_title"
THOROUGHLY_BROKEN = {
    "broken_hangs": (
        {
            "the status only moves forward",
            "the archive holds exactly the users files byte for byte",
        },
        "has not ended after",
    ),
    "broken_leaks_files": (
        {"another users files are left out"},
        "not expected: 'blog/posts/",
    ),
    "broken_not_a_zip": (
        {BYTES, "the readme has the title"},
        "434 bytes that are no ZIP",
    ),
    "broken_wrong_bytes": (
        {BYTES},
        "the first difference at byte 0: b'@ line about slu' instead of b'A line about slu'",
    ),
}


#: What says of a bundle by which names it knows its bindings.
CONFIGURATION = """
name = "amber"
main = "{main}"
compatibility_date = "2026-01-01"
vars = {{ ALARM_DELAY_MS = 500 }}
[[durable_objects.bindings]]
name = "EXPORT_JOB"
class_name = "ExportJob"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["ExportJob"]
[[d1_databases]]
binding = "DB"
database_name = "amber"
database_id = "x"
[[r2_buckets]]
binding = "R2_BUCKET"
bucket_name = "amber"
[[services]]
binding = "AUTH"
service = "auth"
"""


#: As short as the platform allows, where alarms are not what a law is about.
SHORT = ("--worker-var", "ALARM_DELAY_MS=500")


def arguments(
    variant: str, *more: str, laws: str = QUICK, delays: tuple[str, ...] = SHORT
) -> list[str]:
    script = str(VARIANTS / f"{variant}.ts")
    return [
        "--emulator-target",
        "workerd",
        "--worker-script",
        script,
        *delays,
        "-k",
        laws,
        *more,
    ]


def test_the_typescript_worker_keeps_every_law(judge: Callable[..., Any]) -> None:
    found = judge("--emulator-target", "workerd")
    assert found.status == 0, found.output
    assert found["not applicable"] == NOT_APPLICABLE
    assert found["broken"] == found["not tested"] == set()


def test_other_ways_of_auth_and_of_the_object_are_judged_alike(
    judge_each: Callable[..., Any],
) -> None:
    cases = {name: arguments(name, *more, laws=ASKING) for name, more in SOUND.items()}
    for name, found in judge_each(cases).items():
        assert found.status == 0, f"{name}: {found.output}"
        assert found["not applicable"] == NOT_APPLICABLE
        assert len(found["kept"]) > 70


def test_every_version_that_ambers_sources_tell_of_is_judged_sound(
    judge_each: Callable[..., Any],
) -> None:
    cases = {name: arguments(name, *more, laws=OPEN) for name, (more, _) in VERSIONS.items()}
    # The usual delays, since rows have to change between two chunks.
    by_offset = "during_an_export or test_failures"
    cases["by offset"] = arguments("first_version", laws=by_offset, delays=())
    spoken = {name: told for name, (_, told) in VERSIONS.items()}
    spoken["by offset"] = ["| error_message | 'D1_ERROR: the contract refuses this"]
    for name, found in judge_each(cases).items():
        assert found.status == 0, f"{name}: {found.output}"
        report = found.report.replace("\\", "")
        assert [told for told in spoken[name] if told not in report] == [], name


def test_a_bundle_is_judged_by_the_names_of_its_own_configuration(
    judge: Callable[..., Any], tmp_path: Path
) -> None:
    config = tmp_path / "wrangler.toml"
    config.write_text(CONFIGURATION.format(main=VARIANTS / "fetch_routes.ts"))
    found = judge(
        *("--emulator-target", "workerd", "--worker-config", config),
        *("-k", "test_status or test_archive"),
    )
    assert found.status == 0, found.output
    assert "| binding of the object | EXPORT\\_JOB |" in found.report


def test_a_broken_worker_breaks_the_laws_that_it_breaks_and_no_other(
    judge_each: Callable[..., Any],
) -> None:
    found = judge_each({name: arguments(name) for name in BROKEN})
    assert {name: judgement["broken"] for name, judgement in found.items()} == BROKEN
    assert not any(judgement["not tested"] for judgement in found.values())


def test_a_worker_that_is_broken_throughout_is_told_why(
    judge_each: Callable[..., Any],
) -> None:
    wait = ("--contract-wait", "3")
    cases = {name: arguments(name, *wait, laws=SELECTED) for name in THOROUGHLY_BROKEN}
    for name, found in judge_each(cases).items():
        broken, evidence = THOROUGHLY_BROKEN[name]
        assert found["broken"] >= broken, name
        assert evidence in found.report, name
        assert "an unknown export is a 404" in found["kept"], name
