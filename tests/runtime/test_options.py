"""Each misuse of an option is one sentence that names the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from workers import WorkerEntrypoint

import emulator
from emulator import faults
from emulator.errors import ConfigurationError
from emulator.limits import Limits
from emulator.runtime.options import parse

if TYPE_CHECKING:
    from pathlib import Path

WORKER: dict[str, Any] = {"worker": WorkerEntrypoint}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {},
            "needs either script_path='worker.py' or worker=<module or class>, and got neither",
        ),
        ({"worker": WorkerEntrypoint, "script_path": "x"}, "and got both"),
        ({"script_path": "no/such.py"}, "option script_path: there is no file 'no/such.py'"),
        ({"script_path": 5}, "option script_path must be a path, got 5"),
    ],
)
def test_a_world_has_exactly_one_worker(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        emulator.Miniflare(**options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("durable_object", {}, "'durable_object'; did you mean 'durable_objects'?"),
        ("zzz", 1, "Miniflare has no option 'zzz'; known: name, script_path, worker"),
        ("name", 5, "option name must be a string, got 5"),
        ("durable_objects", ["A"], "durable_objects must be a dict of binding names, got"),
        ("durable_objects", {"a b": "A"}, "keyed by binding names such as 'BUCKET', got 'a b'"),
        ("durable_objects", {"A": 5}, "durable_objects['A'] must be a class name or {'clas"),
        (
            "durable_objects",
            {"A": {"className": "A", "x": 1}},
            "without unknown keys, got ['x']",
        ),
        (
            "durable_objects",
            {"A": {"className": "A", "useSQLite": 0}},
            "durable_objects['A']['useSQLite'] must be True or False, got 0",
        ),
        ("r2_buckets", "A", "a list of binding names, or {binding: bucket name}, got 'A'"),
        ("r2_buckets", {"A": 5}, "r2_buckets['A'] must be the name of a bucket, such as 'ex"),
        ("d1_databases", "A", "must be a list of binding names, or {binding: {...}}, got 'A'"),
        ("d1_databases", {"A": {"schemas": "x"}}, "{'schema': FILE} or {'migrations': DIR}"),
        ("d1_databases", {"A": {"schema": "no.sql"}}, "['schema']: there is no file 'no.sql'"),
        (
            "d1_databases",
            {"A": {"migrations": "no"}},
            "d1_databases['A']['migrations']: there is no folder 'no'",
        ),
        ("bindings", ["A"], "option bindings must be a dict of binding names, got ['A']"),
        ("bindings", {"A": len}, "must be data such as text or a dict, got <built-in"),
        ("service_bindings", ["A"], "service_bindings must be a dict of binding names"),
        ("service_bindings", {"A": 5}, "service_bindings['A'] must be an async function of a"),
        ("outbound_service", 5, "option outbound_service must be an async function of a"),
        ("compatibility_date", "today", "must be a date such as '2026-04-01', got 'today'"),
        ("compatibility_date", "2026-13-41", "a date such as '2026-04-01', got '2026-13-41'"),
        ("compatibility_flags", "a", "compatibility_flags must be a list of names, got 'a'"),
        ("compatibility_flags", [5], "compatibility_flags must be a list of names, got [5]"),
        ("limits", "gold", "option limits must be one of paid, free, workerd, got 'gold'"),
        ("faults", "A", "option faults must be a list of rules from emulator.faults, got 'A'"),
        ("faults", [5], "option faults must be a list of rules from emulator.faults, got 5"),
        ("faults", faults.missing("A"), "must be a list of rules from emulator.faults"),
    ],
)
def test_a_misused_option_is_named_with_its_value_and_the_fix(
    option: str, value: Any, text: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        emulator.Miniflare(**WORKER, **{option: value})
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_bindings_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'X' is named by r2_buckets and by bindings"):
        emulator.Miniflare(**WORKER, r2_buckets=["X"], bindings={"X": "1"})


def test_lists_and_dicts_of_bindings_mean_the_same() -> None:
    as_list = parse({**WORKER, "r2_buckets": ["B"], "d1_databases": ["DB"]})
    as_dict = parse({**WORKER, "r2_buckets": {"B": "B"}, "d1_databases": {"DB": {}}})

    assert as_list.r2_buckets == as_dict.r2_buckets == {"B": "B"}
    assert as_list.d1_databases == as_dict.d1_databases
    assert parse({**WORKER, "r2_buckets": {"B": "other"}}).r2_buckets == {"B": "other"}


def test_a_variable_is_a_copy_that_worlds_do_not_share() -> None:
    config = {"a": {"b": [1]}}
    first, second = (parse({**WORKER, "bindings": {"C": config}}).bindings["C"] for _ in "12")
    config["a"]["b"].append(2)
    first.a.b.append(3)

    assert (first.a.b, second.a.b) == ([1, 3], [1])


def test_limits_are_named_or_given() -> None:
    own = Limits.named("free")

    assert parse(WORKER).limits == Limits.named("paid")
    assert parse({**WORKER, "limits": own}).limits is own


def test_files_and_folders_are_paths_or_text(tmp_path: Path) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("")
    parsed = parse(
        {
            **WORKER,
            "d1_databases": {"A": {"schema": str(schema)}, "B": {"migrations": tmp_path}},
        }
    )

    assert parsed.d1_databases["A"].schema == schema
    assert parsed.d1_databases["B"].migrations == tmp_path
