"""A wrangler configuration means here what it means to wrangler."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import emulator
from emulator.errors import ConfigurationError
from emulator.runtime.wrangler import options_from_wrangler

if TYPE_CHECKING:
    from pathlib import Path

WORKER = """
from workers import DurableObject, Response, WorkerEntrypoint

class Job(DurableObject):
    async def hello(self):
        return "hello"

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(await self.env.JOBS.get(self.env.JOBS.idFromName("a")).hello())
"""

TOML = """
name = "exports"
main = "src/worker.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
workers_dev = true
routes = [{ pattern = "example.com/*", zone_name = "example.com" }]
limits = { cpu_ms = 100 }

[triggers]
crons = ["0 3 * * *"]

[observability]
enabled = true

[vars]
PLAN = "free"
FLAGS = { beta = true, sizes = [1, 2] }

[[durable_objects.bindings]]
name = "JOBS"
class_name = "Job"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Job"]

[[r2_buckets]]
binding = "BUCKET"
bucket_name = "exports-prod"

[[d1_databases]]
binding = "DB"
database_name = "exports"
database_id = "0000"

[env.test]
vars = { PLAN = "test" }

[env.named]
name = "own-name"
compatibility_date = "2026-04-01"
"""


def write(folder: Path, text: str, name: str = "wrangler.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(path: Path, environment: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        options_from_wrangler(path, environment)
    text = str(caught.value)
    assert str(path) in text, "an error names the file"
    assert "\n" not in text
    return text


def test_each_part_becomes_the_option_of_its_name(tmp_path: Path) -> None:
    options = options_from_wrangler(write(tmp_path, TOML))

    assert options == {
        "name": "exports",
        "script_path": tmp_path / "src/worker.py",
        "compatibility_date": "2026-03-01",
        "compatibility_flags": ["python_workers"],
        "durable_objects": {"JOBS": {"className": "Job", "useSQLite": True}},
        "r2_buckets": {"BUCKET": "exports-prod"},
        "d1_databases": {"DB": {}},
        "bindings": {"PLAN": "free", "FLAGS": {"beta": True, "sizes": [1, 2]}},
    }


def test_a_world_runs_from_the_options(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    write(tmp_path / "src", WORKER, "worker.py")
    path = write(tmp_path, TOML)

    async def main() -> str:
        async with emulator.Miniflare(**options_from_wrangler(str(path))) as mf:
            return (await mf.dispatch_fetch("http://localhost/")).text

    assert emulator.run(main) == "hello"


def test_json_with_comments_and_last_commas_means_the_same(tmp_path: Path) -> None:
    text = """\ufeff{
      // The name. "Not a string"
      "name": "exports", /* and
      the file: */ "main": "worker.py",
      "vars": {"URL": "http://a//b/*c*/", "QUOTE": "\\"//,]", "LIST": [1, "a,]", ],},
      "r2_buckets": [{"binding": "BUCKET",}, /* last */ ], // the end,
    }"""
    options = options_from_wrangler(write(tmp_path, text, "wrangler.jsonc"))

    assert options == {
        "name": "exports",
        "script_path": tmp_path / "worker.py",
        "r2_buckets": {"BUCKET": "BUCKET"},
        "bindings": {"URL": "http://a//b/*c*/", "QUOTE": '"//,]', "LIST": [1, "a,]"]},
    }


def test_an_environment_inherits_the_script_and_none_of_the_bindings(tmp_path: Path) -> None:
    options = options_from_wrangler(write(tmp_path, TOML), "test")

    assert options == {
        "name": "exports-test",
        "script_path": tmp_path / "src/worker.py",
        "compatibility_date": "2026-03-01",
        "compatibility_flags": ["python_workers"],
        "bindings": {"PLAN": "test"},
    }


def test_an_environment_may_have_its_own_name_and_date(tmp_path: Path) -> None:
    options = options_from_wrangler(write(tmp_path, TOML), "named")

    assert (options["name"], options["compatibility_date"]) == ("own-name", "2026-04-01")


def test_an_environment_inherits_the_migrations(tmp_path: Path) -> None:
    config = {
        "migrations": [{"tag": "v1", "new_classes": ["Old"]}],
        "env": {
            "test": {"durable_objects": {"bindings": [{"name": "A", "class_name": "Old"}]}}
        },
    }
    options = options_from_wrangler(
        write(tmp_path, json.dumps(config), "wrangler.json"), "test"
    )

    assert options["durable_objects"] == {"A": {"className": "Old", "useSQLite": False}}


@pytest.mark.parametrize(
    ("migrations", "uses_sqlite"),
    [
        ([], True),
        ([{"new_sqlite_classes": ["Job"]}], True),
        ([{"new_classes": ["Job"]}], False),
        ([{"new_classes": ["A"]}, {"renamed_classes": [{"from": "A", "to": "Job"}]}], False),
        (
            [{"new_sqlite_classes": ["A"]}, {"renamed_classes": [{"from": "A", "to": "Job"}]}],
            True,
        ),
        (
            [
                {"new_classes": ["Job"]},
                {"deleted_classes": ["Job"]},
                {"new_sqlite_classes": ["Job"]},
            ],
            True,
        ),
    ],
)
def test_the_migrations_decide_whether_a_class_has_sqlite(
    tmp_path: Path, migrations: list[dict[str, Any]], uses_sqlite: Any
) -> None:
    config = {
        "durable_objects": {"bindings": [{"name": "JOBS", "class_name": "Job"}]},
        "migrations": migrations,
    }
    options = options_from_wrangler(write(tmp_path, json.dumps(config), "wrangler.json"))

    assert options["durable_objects"]["JOBS"]["useSQLite"] is uses_sqlite


def test_a_database_gets_the_migrations_of_its_folder(tmp_path: Path) -> None:
    config = {"d1_databases": [{"binding": "A"}, {"binding": "B", "migrations_dir": "sql"}]}
    path = write(tmp_path, json.dumps(config), "wrangler.json")
    for folder in ("sql", "migrations"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "sql", "CREATE TABLE t (x);", "0001_t.sql")

    assert options_from_wrangler(path)["d1_databases"] == {
        "A": {},
        "B": {"migrations": tmp_path / "sql"},
    }
    write(tmp_path / "migrations", "CREATE TABLE t (x);", "0001_t.sql")
    assert options_from_wrangler(path)["d1_databases"]["A"] == {
        "migrations": tmp_path / "migrations"
    }


def test_a_service_waits_to_be_given_over_the_options(tmp_path: Path) -> None:
    write(tmp_path, WORKER, "worker.py")
    path = write(
        tmp_path, 'main = "worker.py"\n[[services]]\nbinding = "AUTH"\nservice = "auth-api"\n'
    )
    options = options_from_wrangler(path)
    with pytest.raises(ConfigurationError) as caught:
        emulator.Miniflare(**options)

    assert str(caught.value) == (
        f"option service_bindings['AUTH'] is missing: {path} binds 'AUTH' to the worker "
        "'auth-api', which is not here; give what shall answer, such as "
        "service_bindings={'AUTH': async_function}"
    )
    emulator.Miniflare(**{**options, "service_bindings": {"AUTH": lambda request: None}})


@pytest.mark.parametrize(
    ("key", "value", "binding"),
    [
        ("kv_namespaces", [{"binding": "CACHE", "id": "1"}], "CACHE"),
        ("queues", {"producers": [{"binding": "QUEUE", "queue": "q"}]}, "QUEUE"),
        ("ai", {"binding": "AI"}, "AI"),
        ("hyperdrive", [{"binding": "PG", "id": "1"}], "PG"),
        ("workflows", [{"binding": "FLOW", "name": "f", "class_name": "F"}], "FLOW"),
        ("send_email", [{"name": "MAIL"}], "MAIL"),
        ("unsafe", {"bindings": [{"name": "RAW", "type": "x"}]}, "RAW"),
        ("invented_tomorrow", [{"binding": "NEW"}], "NEW"),
    ],
)
def test_a_binding_that_is_not_emulated_is_named_and_another_environment_is_free_of_it(
    tmp_path: Path, key: str, value: Any, binding: str
) -> None:
    config = {"name": "a", key: value, "env": {"test": {}}}
    path = write(tmp_path, json.dumps(config), "wrangler.json")

    assert refused(path) == (
        f"{path}: {key} binds {binding!r}, and the emulator has no such bindings: leave it out "
        "in a section [env.NAME] of its own, which inherits no bindings, and choose that "
        "environment (in pytest, by emulator_environment)"
    )
    assert options_from_wrangler(path, "test") == {"name": "a-test"}


@pytest.mark.parametrize(
    ("key", "value", "binding"),
    [
        ("assets", {"directory": "public", "binding": "ASSETS"}, "ASSETS"),
        ("wasm_modules", {"WASM": "a.wasm"}, "WASM"),
        ("logfwdr", {"bindings": [{"name": "LOGS", "destination": "d"}]}, "LOGS"),
    ],
)
@pytest.mark.parametrize("environment", [None, "test"])
def test_a_binding_that_every_environment_inherits_is_refused_in_each(
    tmp_path: Path, key: str, value: Any, binding: str, environment: str | None
) -> None:
    config = {"name": "a", key: value, "env": {"test": {}, "own": {key: {}}}}
    path = write(tmp_path, json.dumps(config), "wrangler.json")

    assert refused(path, environment) == (
        f"{path}: {key} binds {binding!r}, and the emulator has no such bindings: every "
        "environment inherits it, so leave it out, or name a file without it (in pytest, by "
        "emulator_config)"
    )
    assert options_from_wrangler(path, "own") == {"name": "a-own"}


@pytest.mark.parametrize(
    "config",
    [
        {"queues": {"consumers": [{"queue": "q", "max_retries": 3}]}},
        {"assets": {"directory": "public"}},
        {"tail_consumers": [{"service": "tail"}]},
        {"rules": [{"type": "Text", "globs": ["*.txt"]}]},
    ],
)
def test_what_binds_nothing_is_passed_over(tmp_path: Path, config: dict[str, Any]) -> None:
    path = write(tmp_path, json.dumps(config), "wrangler.json")

    assert options_from_wrangler(path) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\"//b/*c*/"', 'a"//b/*c*/'),
        (r'"a\\" // "x"', "a\\"),
        (r'"\\\\" /* " */', "\\\\"),
        ('"/*" /*"*/', "/*"),
        ('",]" /* , */', ",]"),
        ("[1, /* ] */ 2 /*,*/ , // ,\n ]", [1, 2]),
        ('{"b": ",}",\r\n}\r\n/* a /* b */', {"b": ",}"}),
        ('"\u2028" /**/', "\u2028"),
    ],
)
def test_comments_and_commas_in_strings_are_text_and_others_are_nothing(
    tmp_path: Path, text: str, value: Any
) -> None:
    path = write(tmp_path, "\ufeff" + '{"vars": {"A": ' + text + "\n,},}//", "wrangler.jsonc")
    assert options_from_wrangler(path) == {"bindings": {"A": value}}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("wrangler.toml", "name = 'a'\nmain = \n", ", line 2: Invalid value; correct it so"),
        ("wrangler.toml", "name = 'a", "Expected"),
        ("wrangler.json", '{\n"name": "a"\n"main": "b"}', ", line 3: Expecting ',' delimiter"),
        ("wrangler.jsonc", '{\n/* a\nb */\n"a": 1,,\n}', ", line 4: Expecting property name"),
        ("wrangler.jsonc", "[,]", ", line 1: Expecting value"),
        ("wrangler.jsonc", '{"a": 1}\n/* open', ", line 2: the comment /* never ends"),
        ("wrangler.json", '{"vars": {"A": NaN}}', ": NaN is not a number of JSON"),
        ("wrangler.json", "[" * 100_000, "nested too deeply"),
        ("wrangler.json", "[]", ": the whole must be a table, got []"),
        ("wrangler.yaml", "name: a", "name a file wrangler.toml, wrangler.json or wrangler.j"),
        ("wrangler.toml", "name = 5", ": name must be a string in quotes, got 5"),
        (
            "wrangler.toml",
            "compatibility_date = 2026-04-01",
            "a string in quotes, got datetime",
        ),
        ("wrangler.toml", "vars = 5", ": vars must be a table, got 5"),
        (
            "wrangler.toml",
            "[vars]\nA = 2026-04-01",
            ": vars.A must be text or JSON, so put a date or inf in quotes, got datetime.date",
        ),
        ("wrangler.toml", "[vars]\nA = [{ b = 2026-04-01 }]", ": vars.A must be text or JSON"),
        ("wrangler.toml", "[vars]\nA = inf", ": vars.A must be text or JSON"),
        ("wrangler.json", '{"vars": {"A": 1e999}}', ": vars.A must be text or JSON"),
        ("wrangler.json", '{"vars": {"A": ' + "1" * 5_000 + "}}", "Exceeds the limit"),
        ("wrangler.toml", "durable_objects = { bindings = 5 }", "[[durable_objects.bindings]]"),
        (
            "wrangler.toml",
            "[[r2_buckets]]\nbinding = 'B'\n" * 2,
            ": r2_buckets[1].binding must be a name that no other binding has, got 'B'",
        ),
        (
            "wrangler.toml",
            "[r2_buckets]\nbinding = 'A'",
            ": r2_buckets must be a list of tables",
        ),
        (
            "wrangler.toml",
            "[[r2_buckets]]\n",
            ": r2_buckets[0].binding must be a string in quo",
        ),
        ("wrangler.toml", "r2_buckets = [5]\n", ": r2_buckets[0] must be a table, got 5"),
        (
            "wrangler.toml",
            "[[services]]\nbinding = 'A'",
            ": services[0].service must be a stri",
        ),
        (
            "wrangler.toml",
            "[[d1_databases]]\nbinding = 'DB'\nmigrations_dir = 'no'",
            "for 'DB'; make it, or leave the key out",
        ),
        (
            "wrangler.toml",
            "[[migrations]]\nnew_classes = 'A'\n[[durable_objects.bindings]]\n",
            ": migrations[0].new_classes must be a list of strings, got 'A'",
        ),
        (
            "wrangler.toml",
            "[[durable_objects.bindings]]\nname = 'JOBS'",
            ": durable_objects.bindings[0].class_name must be a string in quotes, got nothing",
        ),
        (
            "wrangler.toml",
            "[[migrations]]\ndeleted_classes = ['A']\n"
            "[[durable_objects.bindings]]\nname = 'JOBS'\nclass_name = 'A'",
            "class_name: the migrations delete the class 'A' of 'JOBS'; take the binding out",
        ),
        (
            "wrangler.toml",
            "[[durable_objects.bindings]]\nname = 'JOBS'\nclass_name = 'Job'\n"
            "script_name = 'other'",
            "script_name: the class 'Job' of 'JOBS' lives in another wor",
        ),
    ],
)
def test_an_error_names_the_file_the_place_and_the_fix(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    assert told in refused(write(tmp_path, text, name))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "No such file or directory): give the path of a file" in refused(
        tmp_path / "wrangler.toml"
    )
    (tmp_path / "folder.toml").mkdir()
    assert "Is a directory" in refused(tmp_path / "folder.toml")


def test_an_environment_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    path = write(tmp_path, TOML)

    assert refused(path, "prod") == (
        f"{path} has no environment 'prod': it has test, named; add a section [env.prod]"
    )
    assert "env.test.vars must be a table" in refused(
        write(tmp_path, "[env.test]\nvars = 5\n"), "test"
    )
