"""The contract's target and its options: what is meant, and what cannot be."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import amber_worker.worker
import emulator
from amber_worker.contract.auth_stubs import answer_outside, answer_service, user_id_for
from amber_worker.contract.target import ORIGINS, TargetError, choose
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

USER = user_id_for(7)
PYTHON = str(Path(amber_worker.worker.__file__))


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    path = tmp_path / "bundle.mjs"
    path.write_text("export default {}")
    return str(path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"where": "moon"}, "--emulator-target must be emulator, workerd or a URL, not 'moon'"),
        ({"where": "ftp://x"}, "--emulator-target 'ftp://x' is no http or https URL"),
        ({"where": "https://x/api", "auth_header": "Bearer t"}, "a URL without path, query"),
        ({"where": "https://x"}, "a deployed worker needs --auth-header 'Bearer ...'"),
        ({"where": "https://x", "auth_header": "Bearer t", "script": "w.mjs"}, "'w.mjs'"),
        ({"where": "emulator", "auth_header": "Bearer t"}, "--auth-header is for a deployed"),
        ({"where": "emulator", "script": "nope.py"}, "--worker-script nope.py: there is no"),
        ({"where": "workerd", "config": "nope.toml"}, "--worker-config nope.toml: there is no"),
        ({"where": "workerd", "script": PYTHON}, "runs on --emulator-target emulator only"),
        (
            {"where": "emulator", "dialect": "klingon"},
            "must be worker or readme, not 'k",
        ),
        ({"where": "emulator", "auth": "magic"}, "--worker-auth must be service, bearer, cook"),
        ({"where": "emulator", "variables": ["X"]}, "--worker-var must be NAME=TEXT, not 'X'"),
        ({"where": "emulator", "schema": "nope.sql"}, "--worker-schema nope.sql: there is no"),
        ({"where": "workerd", "environment": "x"}, "--worker-env is a section of a --worker-"),
        ({"where": "emulator", "wait_s": 0.0}, "--contract-wait takes seconds above 0, not 0"),
        ({"where": "emulator", "wait_s": float("nan")}, "takes seconds above 0, not nan"),
        ({"where": "emulator", "wait_s": float("inf")}, "takes seconds above 0, not inf"),
    ],
)
def test_options_that_mean_no_target_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(TargetError) as caught:
        choose(**options)
    assert told in str(caught.value)


def test_a_bundle_does_not_run_on_the_emulator(bundle: str) -> None:
    with pytest.raises(TargetError, match="runs on --emulator-target workerd only"):
        choose("emulator", script=bundle)


def test_a_bundle_without_a_configuration_has_both_names_of_the_object(bundle: str) -> None:
    target = choose("workerd", script=bundle)
    assert target.options["durable_objects"] == {
        "EXPORT_JOBS": "ExportJob",
        "EXPORT_JOB": "ExportJob",
    }
    assert (target.database, target.bucket) == ("DB", "R2_BUCKET")
    assert target.options["bindings"] == {"ALLOWED_ORIGINS": ",".join(ORIGINS)}
    assert target.options["service_bindings"] == {"AUTH": answer_service}


def test_a_configuration_names_the_bindings(tmp_path: Path, bundle: str) -> None:
    config = tmp_path / "wrangler.toml"
    config.write_text(
        """
name = "amber"
main = "bundle.mjs"
compatibility_date = "2026-01-01"
vars = { GREETING = "hello" }
[[durable_objects.bindings]]
name = "EXPORT_JOB"
class_name = "Export"
[[d1_databases]]
binding = "STORAGE"
database_name = "amber"
database_id = "x"
[[services]]
binding = "WHO"
service = "auth"
[[r2_buckets]]
binding = "FILES"
bucket_name = "files"
"""
    )
    target = choose("workerd", config=str(config), variables=["TOKEN=a=b"])
    assert list(target.options["durable_objects"]) == ["EXPORT_JOB"]
    assert (target.database, target.bucket) == ("STORAGE", "FILES")
    assert target.options["bindings"]["GREETING"] == "hello"
    assert target.options["bindings"]["TOKEN"] == "a=b"
    assert target.options["script_path"] == Path(bundle)
    assert target.options["service_bindings"] == dict.fromkeys(("WHO", "AUTH"), answer_service)
    assert list(target.options["d1_databases"]["STORAGE"]) == ["schema"]
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_tables.sql").write_text("SELECT 1;")
    target = choose("workerd", config=str(config))
    assert target.options["d1_databases"] == {"STORAGE": {"migrations": migrations}}


def test_an_environment_of_the_configuration_may_be_chosen(tmp_path: Path, bundle: str) -> None:
    config = tmp_path / "wrangler.toml"
    config.write_text(
        'main = "bundle.mjs"\n[[kv_namespaces]]\nbinding = "KV"\nid = "x"\n'
        '[env.judged.vars]\nGREETING = "hello"\n'
    )
    with pytest.raises(ConfigurationError, match="kv_namespaces binds 'KV'"):
        choose("workerd", config=str(config))
    target = choose("workerd", config=str(config), environment="judged")
    assert target.options["bindings"]["GREETING"] == "hello"


def test_each_way_of_auth_has_its_stubs_and_credentials() -> None:
    bearer = {"Authorization": f"Bearer {USER}"}
    session = {"Cookie": f"session={USER}; grove_session={USER}"}
    for way, has_service, has_outside, headers in (
        ("service", True, False, bearer),
        ("bearer", False, True, bearer),
        ("cookie", True, True, session),
        ("cookie:sid", True, True, {"Cookie": f"sid={USER}"}),
    ):
        target = choose("emulator", script=PYTHON, auth=way)
        assert ("AUTH" in target.options["service_bindings"]) is has_service
        assert ("outbound_service" in target.options) is has_outside
        assert target.credentials(USER) == headers


def test_a_deployed_worker_is_asked_at_its_origin_with_the_given_credentials() -> None:
    target = choose("https://amber.example/", auth_header="Bearer t")
    assert (target.origin, target.own_headers) == (
        "https://amber.example",
        {"Authorization": "Bearer t"},
    )
    target = choose("https://amber.example", auth_header="Cookie: session=s; a=b")
    assert target.own_headers == {"Cookie": "session=s; a=b"}
    assert "session=s" not in repr(target)


@pytest.mark.parametrize(
    ("given", "is_known"),
    [
        ({"headers": {"Authorization": f"Bearer {USER}"}}, True),
        ({"headers": {"Cookie": f"theme=dark; session={USER}"}}, True),
        ({"headers": {"Authorization": f"Basic {USER}"}}, False),
        ({"headers": {"Authorization": "Bearer somebody"}}, False),
        ({"headers": {"Authorization": f"Bearer {USER}x"}}, False),
        ({}, False),
    ],
)
def test_the_stubs_know_the_contracts_users_and_nobody_else(
    given: dict[str, Any], is_known: Any
) -> None:
    async def main() -> None:
        from workers import Request

        request = Request("https://auth/session/validate", method="POST", **given)
        told = json.loads(await (await answer_service(request)).text())
        assert told["valid"] is is_known
        assert told.get("user", {}).get("id") == (USER if is_known else None)
        answer = await answer_outside(Request("https://x.example", method="POST", **given))
        assert answer.status == (200 if is_known else 401)
        assert json.loads(await answer.text())["active"] is is_known

    emulator.run(main)


@pytest.mark.parametrize("way", ["query", "json", "form"])
def test_the_stub_outside_finds_the_token_wherever_it_is(way: str) -> None:
    async def main() -> None:
        from workers import Request

        url, body = "https://auth.example/verify", ""
        if way == "query":
            url += f"?token={USER}"
        else:
            body = json.dumps({"token": USER}) if way == "json" else f"a=b&token={USER}"
        answer = await answer_outside(Request(url, method="POST", body=body))
        told = json.loads(await answer.text())
        names = ("user_id", "userId", "id", "sub")
        assert [told[name] for name in names] == [USER] * 4
        assert told["user"]["id"] == USER

    emulator.run(main)


def test_the_options_exist_where_the_contract_is_run_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")

    def help_of(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "-c", "x.ini", "--help", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout

    (tmp_path / "x.ini").write_text("[pytest]\n")
    assert "--worker-script" not in help_of()
    assert "--worker-script" not in help_of("test_nothing.py")
    assert "--worker-script" in help_of("--pyargs", "amber_worker.contract")
    assert "--worker-script" in help_of("--pyargs", "amber_worker.contract.test_cors")


def test_a_command_that_cannot_be_meant_ends_with_status_2() -> None:
    from amber_worker.cli import run_command

    # Declined before pytest is asked; what pytest declines is in test_judging_emulator.
    for arguments in (
        ["contract", "--contract-wait", "soon"],
        ["contract", "--worker-scr", "x"],
    ):
        assert run_command(arguments) == 2


def test_a_real_runtime_that_is_not_there_is_told_once(
    judged_at: Callable[..., Any], tmp_path: Path
) -> None:
    found = asyncio.run(
        judged_at(
            tmp_path / "report.md", "--emulator-target", "workerd", env={"PATH": str(tmp_path)}
        )
    )
    assert found.status == 2
    assert found.output.count("there is no `node` on PATH") == 1
    assert found.report == ""
