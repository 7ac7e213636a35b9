"""One body of each test, run on the emulator and on the real workerd."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import JsException, JsTypeError
from emulator.values import JsMap
from emulator.web.streams import ReadableStream, Uint8Array

if TYPE_CHECKING:
    from collections.abc import Callable


# -- requests --------------------------------------------------------------------------------


def test_a_request_arrives_with_its_own_url_headers_and_body(
    on_each: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        response = await mf.dispatch_fetch(
            "https://host.example:8443/told?a=b%20c",
            method="POST",
            content="hé",
            headers={"x-own": "1"},
        )

        assert response.json() == {
            "method": "POST",
            "url": "https://host.example:8443/told?a=b%20c",
            "own": "1",
            "length": "3",
            "body": "hé",
        }
        assert response.headers["content-type"] == "application/json"

    on_each(body)


def test_a_redirect_is_not_followed(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        response = await mf.dispatch_fetch("http://localhost/redirect")

        assert (response.status_code, response.headers["location"]) == (
            302,
            "https://elsewhere.example/",
        )

    on_each(body)


def test_each_set_cookie_arrives_apart(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        response = await mf.dispatch_fetch("http://localhost/cookies")

        assert response.status_code == 204
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]

    on_each(body)


def test_what_the_handler_throws_is_raised_with_name_and_message(
    on_each: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(ValueError, match="out of range") as caught:
            await mf.dispatch_fetch("http://localhost/fail")

        assert isinstance(caught.value, JsException)
        assert (caught.value.name, caught.value.message) == ("RangeError", "out of range")
        assert not caught.value.remote

    on_each(body)


def test_a_client_streams_both_ways(on_each: Callable[..., None]) -> None:
    chunk = bytes(range(256)) * 256

    async def body(mf: Any) -> None:
        async def upload() -> Any:
            for _ in range(8):
                yield chunk

        async with mf.client() as client:
            response = await client.post("/echo", content=upload())

        assert response.content == chunk * 8

    on_each(body)


def test_a_worker_has_its_variables_rows_and_objects(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        await mf.get_r2_bucket("BUCKET").put("k", "stored")
        texts = [
            (await mf.dispatch_fetch(f"http://localhost/{path}")).text
            for path in ("variable", "database", "bucket")
        ]

        assert texts == ["text", "Ada", "stored"]

    on_each(body)


def test_the_cron_handler_is_told_the_cron_and_its_time(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        worker = mf.get_worker()
        time = datetime(2026, 3, 1, tzinfo=UTC)
        good = await worker.scheduled(cron="0 3 * * *", scheduled_time=time)
        bad = await worker.scheduled(cron="fail")

        assert (good.outcome, bad.outcome) == ("ok", "exception")
        assert mf.logs[0].message == "cron 0 3 * * * 1772323200000"

    on_each(body)


def test_lines_are_kept_with_their_levels(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        before_ms = mf.clock.now_ms
        await mf.dispatch_fetch("http://localhost/log")

        assert [(line.level, line.message) for line in mf.logs] == [
            ("INFO", "plain 1"),
            ("WARNING", "careful"),
            ("ERROR", "bad"),
        ]
        assert all(before_ms <= line.time_ms <= mf.clock.now_ms for line in mf.logs)

    on_each(body)


# -- services --------------------------------------------------------------------------------


def test_a_python_function_answers_a_service_binding(on_each: Callable[..., None]) -> None:
    from workers import Response

    async def auth(request: Any) -> Any:
        told = f"{request.method} {request.url} {await request.text()}"
        headers = [("x-token", request.headers["authorization"]), ("set-cookie", "a=1")]
        return Response(told, 203, headers=[*headers, ("set-cookie", "b=2")])

    async def body(mf: Any) -> None:
        response = await mf.dispatch_fetch("http://localhost/service")
        own = await mf.get_bindings()["AUTH"].fetch(
            "https://auth/x", method="PUT", body="own", headers={"authorization": "o"}
        )

        assert response.status_code == 203
        assert response.text == "POST https://auth/validate?x=1 who"
        assert sorted(response.headers.multi_items()) == [
            ("content-length", "34"),
            ("content-type", "text/plain;charset=UTF-8"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-token", "Bearer u1"),
        ]
        assert await own.text() == "PUT https://auth/x own"

    on_each(body, service_bindings={"AUTH": auth})


def test_what_a_service_raises_is_thrown_in_the_worker(on_each: Callable[..., None]) -> None:
    async def auth(request: Any) -> Any:
        raise JsException("not today")

    async def body(mf: Any) -> None:
        response = await mf.dispatch_fetch("http://localhost/caught")

        assert response.text == "caught not today"

    on_each(body, service_bindings={"AUTH": auth})


def test_what_leaves_the_worker_is_answered_by_the_outbound_service(
    on_each: Callable[..., None],
) -> None:
    from workers import Response

    async def outbound(request: Any) -> Any:
        async def pull() -> bytes | None:
            return next(chunks, None)

        chunks = iter([b"page ", b"of ", request.url.encode()])
        return Response(ReadableStream.from_source(pull))

    async def body(mf: Any) -> None:
        response = await mf.dispatch_fetch("http://localhost/outside")

        assert response.text == "page of https://elsewhere.example/page"

    on_each(body, outbound_service=outbound)


def test_without_an_outbound_service_nothing_leaves_the_worker(
    on_each: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(Exception, match=r"give Miniflare an outbound_service="):
            await mf.dispatch_fetch("http://localhost/outside")

    on_each(body)


# -- D1 --------------------------------------------------------------------------------------


def test_values_survive_the_way_into_a_database_and_back(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        database = mf.get_d1_database("DB")
        statement = database.prepare("SELECT ?1 AS a, ?2 AS b, ?3 AS c, ?4 AS d, x'00ff' AS e")
        result = await statement.bind(1.5, None, "té\ud83d\ude00", True).all()

        assert result.success
        assert result.results == [
            {"a": 1.5, "b": None, "c": "té\U0001f600", "d": 1, "e": [0, 255]}
        ]

    on_each(body)


def test_a_batch_happens_whole_or_not_at_all(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        database = mf.get_d1_database("DB")
        insert = database.prepare("INSERT INTO people (name) VALUES (?)")
        with pytest.raises(JsException, match=r"UNIQUE constraint failed: people\.name"):
            await database.batch([insert.bind("Grace"), insert.bind("Ada")])
        count = await database.prepare("SELECT count(*) AS n FROM people").first("n")
        done = await database.batch([insert.bind("Grace"), insert.bind("Mary")])

        assert count == 1
        assert [one.meta.changes for one in done] == [1, 1]
        assert (await database.exec("DELETE FROM people\nSELECT 1")).count == 2
        assert await database.prepare("SELECT * FROM people").raw(columnNames=True) == [
            ["id", "name"]
        ]

    on_each(body)


def test_an_error_of_sql_has_the_platforms_text_and_cause(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(JsException) as caught:
            await mf.get_d1_database("DB").prepare("SELEC").run()

        text = 'near "SELEC": syntax error at offset 0: SQLITE_ERROR'
        assert caught.value.message == f"D1_ERROR: {text}"
        assert caught.value.properties["cause"].message == text

    on_each(body)


def test_a_session_sees_what_it_wrote(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        session = mf.get_d1_database("DB").withSession("first-primary")
        await session.prepare("INSERT INTO people (name) VALUES ('Grace')").run()

        assert await session.prepare("SELECT count(*) AS n FROM people").first("n") == 2

    on_each(body)


def test_migrations_run_once_in_order_and_are_recorded(
    on_each: Callable[..., None], tmp_path: Any
) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE a (x);\nINSERT INTO a VALUES (1);")
    (tmp_path / "0002_b.sql").write_text(
        "BEGIN TRANSACTION;\nINSERT INTO a VALUES (2); -- a dump of SQLite\nCOMMIT;"
    )

    async def body(mf: Any) -> None:
        database = mf.get_d1_database("OTHER")
        assert await database.prepare("SELECT x FROM a").raw() == [[1], [2]]
        assert await database.prepare("SELECT name FROM d1_migrations").raw() == [
            ["0001_a.sql"],
            ["0002_b.sql"],
        ]

    on_each(body, d1_databases={"OTHER": {"migrations": tmp_path}})


# -- R2 --------------------------------------------------------------------------------------


def test_an_object_comes_back_with_all_that_was_said_of_it(
    on_each: Callable[..., None],
) -> None:
    expiry = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

    async def body(mf: Any) -> None:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put(
            "ä/k",
            b"0123456789",
            httpMetadata={"contentType": "text/x", "cacheExpiry": expiry},
            customMetadata={"who": "ü"},
        )
        found = await bucket.get("ä/k", range={"offset": 2, "length": 3})

        assert (found.key, found.size, found.range) == ("ä/k", 10, {"offset": 2, "length": 3})
        assert await found.text() == "234"
        assert found.httpMetadata.contentType == "text/x"
        assert found.httpMetadata.cacheExpiry == expiry
        assert found.httpMetadata.contentEncoding is None
        assert found.customMetadata == {"who": "ü"}
        assert found.etag == "781e5e245d69b566979b86e28d23f2c7"
        assert bytes(found.checksums.md5).hex() == found.etag
        assert isinstance(found.uploaded, datetime)
        with pytest.raises(JsTypeError, match="Body has already been used"):
            await found.text()

    on_each(body)


def test_what_is_missing_is_none_and_a_failed_condition_has_no_body(
    on_each: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put("k", "v")
        refused = await bucket.put("k", "w", onlyIf={"etagMatches": "other"})
        found = await bucket.get("k", {"onlyIf": {"etagMatches": "other"}})

        assert refused is None
        assert not hasattr(found, "body")
        assert await bucket.get("none") is None
        assert await bucket.head("none") is None

    on_each(body)


def test_a_page_of_a_bucket_lists_keys_and_groups(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        bucket = mf.get_r2_bucket("BUCKET")
        for key in ("a/1", "a/2", "b", "c"):
            await bucket.put(key, key)
        page = await bucket.list(delimiter="/", limit=2)
        rest = await bucket.list(delimiter="/", cursor=page.cursor)
        await bucket.delete(["b", "c"])

        assert ([o.key for o in page.objects], page.delimitedPrefixes) == (["b"], ["a/"])
        assert page.truncated
        assert [o.key for o in rest.objects] == ["c"]
        assert rest.cursor is None
        assert [o.key for o in (await bucket.list()).objects] == ["a/1", "a/2"]

    on_each(body)


def test_parts_become_one_object(on_each: Callable[..., None]) -> None:
    first = bytes(5 * 1024 * 1024)

    async def body(mf: Any) -> None:
        bucket = mf.get_r2_bucket("BUCKET")
        upload = await bucket.createMultipartUpload("big", customMetadata={"a": "b"})
        again = bucket.resumeMultipartUpload("big", upload.uploadId)
        parts = [await upload.uploadPart(1, first), await again.uploadPart(2, "end")]
        whole = await again.complete(parts)
        found = await bucket.get("big")

        assert (whole.size, found.customMetadata) == (len(first) + 3, {"a": "b"})
        assert [part.partNumber for part in parts] == [1, 2]
        assert await found.bytes() == first + b"end"

    on_each(body)


def test_a_stream_is_stored_if_its_length_is_known(on_each: Callable[..., None]) -> None:
    def stream(length: int | None) -> ReadableStream:
        chunks = iter([b"one ", b"two"])

        async def pull() -> bytes | None:
            return next(chunks, None)

        return ReadableStream.from_source(pull, known_length=length)

    async def body(mf: Any) -> None:
        bucket = mf.get_r2_bucket("BUCKET")
        await bucket.put("k", stream(7))
        with pytest.raises(JsTypeError, match="must have a known length"):
            await bucket.put("l", stream(None))

        assert await (await bucket.get("k")).text() == "one two"
        assert await bucket.head("l") is None

    on_each(body)


def test_an_error_of_r2_has_its_number(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(JsException, match=r"get: .*\(10020\)"):
            await mf.get_r2_bucket("BUCKET").get("x" * 1_025)

    on_each(body)


# -- Durable Objects -------------------------------------------------------------------------


def test_an_object_knows_the_id_and_the_name_of_its_stub(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        jobs = mf.get_durable_object_namespace("JOBS")
        named, unique = jobs.idFromName("ä"), jobs.newUniqueId()

        assert await jobs.get(named).ownId() == str(named)
        assert await jobs.getByName("ä").ownName() == "ä"
        assert await jobs.getByName("b", {"locationHint": "weur"}).ownName() == "b"
        assert await jobs.get(unique).ownId() == str(unique)
        assert jobs.idFromString(str(unique)) == unique

    on_each(body)


def test_values_survive_the_way_through_an_object(on_each: Callable[..., None]) -> None:
    given = {
        "list": [1, 1.5, -3, True, None, "é"],
        "bytes": Uint8Array(b"\x00\xff"),
        "date": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "map": JsMap({1: "one", "two": 2}),
        "set": {1, "a"},
        "big": 2**70,
        "infinite": -math.inf,
        "$": "a key like our tags",
        "nested": {"$": "bytes"},
    }

    async def body(mf: Any) -> None:
        stub = mf.get_durable_object_namespace("JOBS").getByName("a")
        got = await stub.echo(given)

        assert got == given
        assert isinstance(got["map"], JsMap)
        assert isinstance(got["bytes"], Uint8Array)
        assert got.list[0] == 1
        assert math.isnan(await stub.echo(math.nan))
        assert str(await stub.echo(-0.0)) == "-0.0"

    on_each(body)


def test_what_a_method_throws_is_raised_and_came_from_afar(
    on_each: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(JsTypeError) as caught:
            await mf.get_durable_object_namespace("JOBS").getByName("a").fail()

        assert (caught.value.message, caught.value.remote) == ("no such job", True)

    on_each(body)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-04-20", ("Error", "MyError: mine", {})),
        ("2026-04-21", ("MyError", "mine", {"code": 7})),
    ],
)
def test_an_error_of_ones_own_crosses_by_the_compatibility_date(
    on_each: Callable[..., None], date: str, expected: Any
) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(JsException) as caught:
            await mf.get_durable_object_namespace("JOBS").getByName("a").failOwn()

        error = caught.value
        assert (error.name, error.message, error.properties) == expected

    on_each(body, compatibility_date=date)


def test_an_object_that_aborts_loses_its_memory_and_says_why(
    on_each: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(JsException) as caught:
            await mf.get_durable_object_namespace("JOBS").getByName("a").abort()

        assert (caught.value.message, caught.value.durableObjectReset) == ("enough", True)

    on_each(body)


def test_what_cannot_be_cloned_is_refused_when_the_call_is_awaited(
    on_each: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        call = mf.get_durable_object_namespace("JOBS").getByName("a").echo(object())
        with pytest.raises(JsException) as caught:
            await call

        assert caught.value.name == "DataCloneError"

    on_each(body)


def test_a_method_that_is_not_there_has_the_platforms_text(
    on_each: Callable[..., None],
) -> None:
    async def body(mf: Any) -> None:
        stub = mf.get_durable_object_namespace("JOBS").getByName("a")
        text = 'The RPC receiver does not implement the method "nothing".'
        with pytest.raises(JsTypeError) as caught:
            await stub.nothing()

        assert caught.value.message == text

    on_each(body)


def test_a_stub_fetches(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        stub = mf.get_durable_object_namespace("JOBS").getByName("a")
        response = await stub.fetch("http://object/", method="POST", body="data")

        assert (response.status, response.headers["x-own"]) == (201, "é")
        assert await response.text() == "object POST data"

    on_each(body)


def test_an_alarm_fires_when_its_time_has_come(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        stub = mf.get_durable_object_namespace("JOBS").getByName("a")
        await stub.start(100)
        for _ in range(600):
            await mf.advance(100)
            if await stub.alarms() == 3:
                break
        await mf.advance(100)  # The line may come after the count.

        assert [line.message for line in mf.logs] == ["alarm 1", "alarm 2", "alarm 3"]

    on_each(body)


def test_a_binding_that_is_not_there_is_named(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(ValueError, match="there is no 'X' in r2_buckets; there is BUCKET"):
            mf.get_r2_bucket("X")
        assert set(mf.get_bindings()) == {"JOBS", "BUCKET", "DB", "VARIABLE"}

    on_each(body)


def test_a_request_that_cannot_be_meant_is_told_alike(on_each: Callable[..., None]) -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(ValueError, match="'http://localhost/path', got '/x'; or use mf"):
            await mf.dispatch_fetch("/x")
        with pytest.raises(ValueError, match="dispatch_fetch has no option 'metod'; it has"):
            await mf.dispatch_fetch("http://localhost/", metod="POST")

    on_each(body)
