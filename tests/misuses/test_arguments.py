"""Misuses 55 to 84: a name, a value or an option that cannot be meant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import emulator
from emulator import faults, schedules
from emulator.errors import ConfigurationError, JsException, JsTypeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


JOB = {"className": "Job"}


def jobs(mf: Any) -> Any:
    return mf.get_durable_object_namespace("JOBS")


def job(mf: Any) -> Any:
    return jobs(mf).getByName("a")


@pytest.mark.parametrize(
    ("get", "kind", "text"),
    [
        pytest.param(
            lambda mf: mf.get_d1_database("NOPE"), ConfigurationError,
            "there is no 'NOPE' in d1_databases; there is DB", id="55 name",
        ),
        pytest.param(
            lambda mf: mf.get_r2_bucket("DB"), ConfigurationError,
            "there is no 'DB' in r2_buckets; there is BUCKET", id="55 kind",
        ),
        pytest.param(
            lambda mf: mf.get_d1_database(["DB"]), ConfigurationError,
            "there is no ['DB'] in d1_databases; there is DB", id="55 type",
        ),
        pytest.param(
            lambda mf: mf.get_bindings()["NOPE"], KeyError,
            "there is no binding 'NOPE'; there is JOBS, LAZY, BUCKET, DB", id="56 bindings",
        ),
        pytest.param(
            lambda mf: mf.dispatchFetch("http://x/"), AttributeError,
            "Miniflare has no 'dispatchFetch'; did you mean 'dispatch_fetch'?", id="57 camel",
        ),
        pytest.param(
            lambda mf: jobs(mf).id_from_name("a"), AttributeError,
            "DurableObjectNamespace has no 'id_from_name'; did you mean 'idFromName'?",
            id="57 snake",
        ),
        pytest.param(
            lambda mf: mf.get_r2_bucket("BUCKET").create_multipart_upload("k"), AttributeError,
            "R2Bucket has no 'create_multipart_upload'; did you mean 'createMultipartUpload'?",
            id="57 R2",
        ),
        pytest.param(
            lambda mf: mf.get_d1_database("DB").execute("SELECT 1"), AttributeError,
            "D1Database has no 'execute'; did you mean 'exec'?", id="57 D1",
        ),
        pytest.param(
            lambda mf: jobs(mf).hello(), AttributeError,
            "a method of an object is called on JOBS.getByName(...)", id="58 no object",
        ),
        pytest.param(
            lambda mf: jobs(mf).get("a"), JsTypeError,
            "parameter 1 is not of type 'DurableObjectId'. | JOBS.get() takes an id: "
            "JOBS.get(JOBS.idFromName(name)), or getByName(name), not 'a'", id="59 id",
        ),
        pytest.param(
            lambda mf: jobs(mf).idFromString("a"), JsTypeError,
            "Invalid Durable Object ID: must be 64 hex digits", id="59 text",
        ),
    ],
)  # fmt: skip
def test_a_name_that_is_not_there_is_told_with_those_that_are(
    told: Callable[..., str], get: Callable[[Any], Any], kind: type[Exception], text: str
) -> None:
    async def scenario(mf: Any) -> None:
        get(mf)

    assert text in told(scenario, kind)


def test_60_a_binding_that_env_lacks_is_told_with_those_it_has(
    request_told: Callable[..., str],
) -> None:
    assert request_told("return self.env.NOPE", AttributeError) == (
        "env has no binding 'NOPE'; it has JOBS, LAZY, BUCKET, DB"
    )


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        pytest.param(
            lambda mf: job(mf).helo(), JsTypeError,
            'does not implement the method "helo". | the class Job has no method \'helo\'; did '
            "you mean 'hello'?", id="61 unknown",
        ),
        pytest.param(
            lambda mf: job(mf).ctx, JsTypeError,
            "the class Job has no method 'ctx'; it has alarm, boom, give, hello, put, wake_at",
            id="61 property",
        ),
        pytest.param(
            lambda mf: getattr(job(mf), "__secret")(), AttributeError,
            "'__secret' is no name for RPC: call a method without `__` in front",
            id="62 private",
        ),
        pytest.param(
            lambda mf: job(mf).hello(object()), JsException,
            'Could not serialize object of type "object"', id="63 argument",
        ),
        pytest.param(
            lambda mf: job(mf).give(), JsException,
            'Could not serialize object of type "object"', id="63 result",
        ),
        pytest.param(
            lambda mf: job(mf).hello("a", "b"), JsTypeError,
            "Job.hello() takes from 1 to 2 positional arguments but 3 were given",
            id="64 count",
        ),
        pytest.param(
            lambda mf: job(mf).put("k"), JsTypeError, "put() called with undefined value.",
            id="65 storage",
        ),
        pytest.param(
            lambda mf: mf.get_r2_bucket("BUCKET").put("k", 5), JsTypeError,
            "Failed to execute 'put' on 'R2Bucket': parameter 2 is not of type", id="66 R2",
        ),
        pytest.param(
            lambda mf: mf.get_d1_database("DB").prepare("SELECT ?").all(), JsException,
            "D1_ERROR: Wrong number of parameter bindings for SQL query.", id="67 D1",
        ),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_meant_is_refused_in_the_words_of_the_platform(
    told: Callable[..., str], call: Callable[[Any], Any], kind: type[Exception], text: str
) -> None:
    async def scenario(mf: Any) -> None:
        await call(mf)

    assert text in told(scenario, kind)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        pytest.param(
            lambda mf: mf.get_r2_bucket("BUCKET").put("k", "v", http_metadata={}),
            "R2Bucket.put has no option 'http_metadata' and ignores it, as the platform does: "
            "its options are in camelCase, so 'httpMetadata'", id="68 R2",
        ),
        pytest.param(
            lambda mf: job(mf).put("k", "v", allow_unconfirmed=True),
            "DurableObjectStorage.put has no option 'allow_unconfirmed'", id="68 storage",
        ),
        pytest.param(
            lambda mf: job(mf).wake_at(mf.clock.now_ms / 1000 + 60),
            "is a time in January 1970, and fires at once: setAlarm takes milliseconds",
            id="69 seconds",
        ),
    ],
)  # fmt: skip
def test_what_the_platform_lets_pass_is_at_least_a_warning(
    try_out: Callable[..., Any], call: Callable[[Any], Any], text: str
) -> None:
    async def scenario(mf: Any) -> None:
        with pytest.warns(UserWarning, match=re.escape(text)):
            await call(mf)

    try_out(scenario)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        pytest.param(-1, "a duration cannot be negative, got -1", id="70 negative"),
        pytest.param(timedelta(-1), "a duration cannot be negative", id="70 timedelta"),
        pytest.param("5", "must be milliseconds or a timedelta, finite, got '5'", id="71 text"),
        pytest.param(None, "must be milliseconds or a timedelta, finite", id="71 None"),
        pytest.param(float("nan"), "finite, got nan", id="71 nan"),
        pytest.param(float("inf"), "finite, got inf", id="71 infinite"),
        pytest.param(True, "finite, got True", id="71 bool"),
        pytest.param(datetime(2026, 1, 1, tzinfo=UTC), "finite, got datetime", id="71 instant"),
    ],
)
def test_time_advances_by_a_duration(
    told: Callable[..., str], duration: Any, text: str
) -> None:
    async def scenario(mf: Any) -> None:
        await mf.advance(duration)

    assert text in told(scenario, ConfigurationError)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"seed": "7"}, "seed must be a whole number such as 7, got '7'", id="72"),
        pytest.param({"seed": None}, "seed must be a whole number", id="72 None"),
        pytest.param({"seed": 1.5}, "seed must be a whole number", id="72 fraction"),
        pytest.param(
            {"start_time": "2026"}, "an instant must be milliseconds since 1970", id="73"
        ),
        pytest.param(
            {"start_time": timedelta(1)}, "or a datetime, got datetime.t", id="73 delta"
        ),
        pytest.param(
            {"start_time": -1}, "start_time must be between the years", id="73 before"
        ),
        pytest.param(
            {"start_time": 10**18}, "1970 and 9000, got 10000000000000", id="73 after"
        ),
        pytest.param({"schedule": "random"}, "such as schedules.random(7), got 'ran", id="74"),
        pytest.param(
            {"schedule": schedules.fifo}, "one of emulator.schedules", id="74 uncalled"
        ),
    ],
)
def test_a_run_has_a_seed_a_start_and_a_schedule(options: dict[str, Any], text: str) -> None:
    async def main() -> None:
        """Never runs."""

    with pytest.raises(ConfigurationError) as caught:
        emulator.run(main, **options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        pytest.param(
            "/x", {}, "an absolute URL such as 'http://localhost/path', got '/x'", id="75"
        ),
        pytest.param("localhost/x", {}, "or use mf.client()", id="75 no scheme"),
        pytest.param("http:///x", {}, "got 'http:///x'", id="75 no host"),
        pytest.param("ftp://x/", {}, "got 'ftp://x/'", id="75 scheme"),
        pytest.param(5, {}, "needs an absolute URL such as", id="75 type"),
        pytest.param(
            "http://x/", {"body": "x"}, "no option 'body'; it has method, pa", id="76"
        ),
        pytest.param(
            "http://x/", {"method": 5}, "method must be a string such as", id="76 type"
        ),
    ],
)
def test_a_request_has_an_absolute_url_and_known_options(
    told: Callable[..., str], arguments: Any, options: dict[str, Any], text: str
) -> None:
    async def scenario(mf: Any) -> None:
        await mf.dispatch_fetch(arguments, **options)

    sentence = told(scenario, ConfigurationError)
    assert sentence.startswith("dispatch_fetch")
    assert text in sentence


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(5, id="77 number"),
        pytest.param(faults.missing, id="77 uncalled"),
        pytest.param(faults.FaultRule, id="77 class"),
        pytest.param([faults.error(binding="DB")], id="77 list"),
    ],
)
def test_what_is_no_fault_is_refused(told: Callable[..., str], rule: Any) -> None:
    async def scenario(mf: Any) -> None:
        mf.faults.add(rule)

    async def nothing(mf: Any) -> None:
        """The world does not even start."""

    assert "made by emulator.faults, such as faults.error('DB'), got" in told(
        scenario, ConfigurationError
    )
    assert "option faults must be a list of rules from emulator.faults" in told(
        nothing, ConfigurationError, faults=[rule]
    )


def test_78_a_fault_of_an_unknown_binding_does_not_pass_unnoticed(
    try_out: Callable[..., Any],
) -> None:
    async def scenario(mf: Any) -> None:
        mf.faults.add(faults.error(binding="BUKET"))

    with pytest.warns(emulator.simulation.rules.UnusedFaultWarning) as caught:
        try_out(scenario)
    assert str(caught[0].message) == (
        "no operation ever matched the fault faults.error('BUKET'): check its binding, "
        "operation, key and nth"
    )
    with pytest.raises(ConfigurationError, match=r"op must be one of d1\.all.*mean 'r2\.get'"):
        faults.error(operation="r2.gett")


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        pytest.param(
            "CREATE TABLE a (x);\nCREATE TABLE b (x,);", "at 'CREATE TABLE b (x,);'", id="79"
        ),
        pytest.param("INSERT INTO nope VALUES (1);", "no such table: nope", id="79 no table"),
    ],
)
def test_sql_that_fails_before_the_worker_starts_names_its_file_and_statement(
    told: Callable[..., str], tmp_path: Path, sql: str, text: str
) -> None:
    async def nothing(mf: Any) -> None:
        """The world does not even start."""

    folder = tmp_path / "migrations"
    folder.mkdir()
    for path in (tmp_path / "schema.sql", folder / "0001_first.sql"):
        path.write_text(sql)
    for given in ({"schema": tmp_path / "schema.sql"}, {"migrations": folder}):
        sentence = told(nothing, ConfigurationError, d1_databases={"DB": given})
        assert sentence.startswith("the SQL in '")
        assert ".sql' failed at '" in sentence
        assert text in sentence


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"d1_databases": {"DB": {"schema": "nowhere.sql"}}},
                     "['schema']: there is no file 'nowhere.sql'; give the", id="80"),
        pytest.param({"d1_databases": {"DB": {"migrations": 5}}},
                     "['DB']['migrations'] must be the path of a folder", id="80 type"),
        pytest.param({"d1_databases": {"DB": {"migrations": "."}}}, "has no migrations (*.sql)",
                     id="80 empty"),
        pytest.param({"r2_buckets": {"B": ""}}, "r2_buckets['B'] must be the name of", id="81"),
        pytest.param({"bindings": {"__class__": "x"}}, "keyed by binding names", id="82"),
        pytest.param({"durable_objects": {"J": {**JOB, "unsafeUniqueKey": 5}}},
                     "durable_objects['J']['unsafeUniqueKey'] must be a string", id="83"),
        pytest.param({"durable_objects": {"J": {**JOB, "unsafePreventEviction": 1}}},
                     "['unsafePreventEviction'] must be True or False, got 1", id="83 bool"),
        pytest.param({"durableObjects": {"J": "Job"}},
                     "no option 'durableObjects'; did you mean 'durable_objects'?", id="84"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_meant_is_named(
    told: Callable[..., str], options: dict[str, Any], text: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)

    async def nothing(mf: Any) -> None:
        """The world does not even start."""

    assert text in told(nothing, ConfigurationError, **options)
