"""Laws of what a call gives back."""

from __future__ import annotations

import pytest

from emulator.errors import JsException
from emulator.values import JsDict, undefined

TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE)"


def test_results_rows_and_meta_answer_to_attributes_and_subscripts(in_world):
    async def body(world, db):
        await db.exec(TABLE)
        result = await db.prepare("INSERT INTO t(x) VALUES('a') RETURNING id, x").run()
        assert list(result) == ["success", "meta", "results"]
        assert result.success is True
        assert result.meta.last_row_id == result["meta"]["last_row_id"] == 1
        assert result.results == [{"id": 1, "x": "a"}]
        assert result.results[0].x == "a"
        row = await db.prepare("SELECT x FROM t").first()
        assert type(row) is JsDict
        assert row.x == "a"

    in_world(body)


def test_meta_has_the_eight_facts_in_the_platforms_order(in_world):
    async def body(world, db):
        result = await db.prepare("SELECT 1 AS a").all()
        assert list(result.meta) == [
            "served_by",
            "duration",
            "changes",
            "last_row_id",
            "changed_db",
            "size_after",
            "rows_read",
            "rows_written",
        ]

    in_world(body)


def test_the_size_grows_by_pages_and_shrinks_when_a_table_goes(in_world):
    async def body(world, db):
        before = (await db.prepare("SELECT 1").run()).meta.size_after
        made = (await db.prepare("CREATE TABLE a(n)").run()).meta
        dropped = (await db.prepare("DROP TABLE a").run()).meta
        assert made.size_after == before + 4_096
        assert (dropped.size_after, dropped.changes, dropped.changed_db) == (before, 0, True)

    in_world(body)


@pytest.mark.parametrize("call", ["run", "all", "first", "raw"])
def test_a_write_happens_by_whatever_method_it_is_run(in_world, call):
    async def body(world, db):
        await db.exec(TABLE)
        given = await getattr(db.prepare("INSERT INTO t(x) VALUES('a')"), call)()
        expected = {"first": None, "raw": []}
        assert given == expected[call] if call in expected else given.results == []
        assert await db.prepare("SELECT count(*) AS n FROM t").first("n") == 1

    in_world(body)


def test_preparing_does_nothing_and_running_twice_runs_twice(in_world):
    async def body(world, db):
        await db.exec(TABLE)
        db.prepare("this is no SQL")
        insert = db.prepare("INSERT INTO t(x) VALUES(NULL)")
        await insert.run()
        await insert.run()
        assert await db.prepare("SELECT count(*) AS n FROM t").first("n") == 2

    in_world(body)


def test_a_call_that_nobody_awaits_still_happens(in_world):
    async def body(world, db):
        await db.exec(TABLE)
        db.prepare("INSERT INTO t(x) VALUES('a')").run()
        assert await db.prepare("SELECT x FROM t").first("x") == "a"

    in_world(body)


def test_first_executes_the_whole_statement(in_world):
    async def body(world, db):
        await db.exec(TABLE)
        first = await db.prepare("INSERT INTO t(x) VALUES('a'),('b') RETURNING x").first("x")
        assert first == "a"
        assert await db.prepare("SELECT count(*) AS n FROM t").first("n") == 2

    in_world(body)


@pytest.mark.parametrize(
    ("column", "shown"), [("nope", "nope"), ("X", "X"), (None, "null"), (0, "0"), ("", "")]
)
def test_a_column_that_the_row_lacks_is_an_error_of_its_own(in_world, error_of, column, shown):
    async def body(world, db):
        error = await error_of(db.prepare("SELECT 1 AS x").first(column))
        assert error.message == f"D1_COLUMN_NOTFOUND: Column not found ({shown})"
        assert error.properties["cause"].message == "Column not found"

    in_world(body)


def test_without_a_row_every_column_is_none(in_world):
    async def body(world, db):
        assert await db.prepare("SELECT 1 AS x WHERE 0").first("nope") is None
        assert await db.prepare("SELECT 1 AS x WHERE 0").first() is None
        assert await db.prepare("SELECT NULL AS x").first("x") is None
        assert await db.prepare("SELECT 1 AS x").first(undefined) == {"x": 1}

    in_world(body)


def test_raw_takes_its_option_as_a_keyword_or_a_dict(in_world):
    async def body(world, db):
        select = db.prepare("SELECT 1 AS a, 2 AS a")
        assert await select.raw() == [[1, 2]]
        assert await select.raw(columnNames=True) == [["a", "a"], [1, 2]]
        assert await select.raw({"columnNames": True}) == [["a", "a"], [1, 2]]
        assert await select.raw({"columnNames": False}) == [[1, 2]]

    in_world(body)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("9007199254740991", 9007199254740991),
        ("9007199254740993", 9007199254740992.0),
        ("-9223372036854775808", -(2.0**63)),
        ("5.0", 5),
        ("0.5", 0.5),
        ("-0.0", 0),
        ("9e999", None),
        ("x'0102ff'", [1, 2, 255]),
        ("x''", []),
        ("'a' || char(0) || 'b'", "a\0b"),
        ("1 = 1", 1),
    ],
)
def test_a_value_comes_as_javascript_would_have_it(in_world, sql, value):
    async def body(world, db):
        given = await db.prepare(f"SELECT {sql} AS v").first("v")
        assert given == value
        assert type(given) is type(value)

    in_world(body)


def test_every_error_is_a_plain_error_with_its_cause(in_world, error_of):
    async def body(world, db):
        error = await error_of(db.prepare("SELEC").run())
        text = 'near "SELEC": syntax error at offset 0: SQLITE_ERROR'
        assert type(error) is JsException
        assert (error.name, error.message) == ("Error", f"D1_ERROR: {text}")
        assert error.properties["cause"].message == text
        assert str(error) == f"Error: D1_ERROR: {text}"

    in_world(body)


def test_sql_that_is_no_text_fails_when_it_runs(in_world, error_of):
    async def body(world, db):
        for wrong in (None, 5, undefined):
            error = await error_of(db.prepare(wrong).run())
            assert error.message.startswith("D1_ERROR: ")

    in_world(body)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 1 AS a --" + "x" * 99_984, None),
        ("SELECT 1 AS a --" + "x" * 99_985, "statement too long: SQLITE_TOOBIG"),
        ("SELECT length(zeroblob(2000000)) AS a", None),
        ("SELECT zeroblob(2000001) AS a", "string or blob too big: SQLITE_TOOBIG"),
    ],
    ids=["100,000 bytes", "100,001 bytes", "2,000,000 bytes", "2,000,001 bytes"],
)
def test_text_and_values_have_the_documented_limits(in_world, error_of, sql, text):
    async def body(world, db):
        if text is None:
            assert await db.prepare(sql).first("a") in (1, 2_000_000)
        else:
            assert (await error_of(db.prepare(sql).run())).message == f"D1_ERROR: {text}"

    in_world(body)


def test_the_platforms_own_table_is_seen_but_not_read(in_world, error_of):
    async def body(world, db):
        names = await db.prepare("SELECT name FROM sqlite_schema").raw()
        assert names == [["_cf_KV"]]
        error = await error_of(db.prepare("SELECT * FROM _cf_KV").run())
        assert "access to _cf_KV.key is prohibited: SQLITE_AUTH" in error.message

    in_world(body)


def test_now_in_sql_is_the_simulated_time(in_world):
    async def body(world, db):
        import asyncio

        await db.exec("CREATE TABLE t(at TEXT DEFAULT CURRENT_TIMESTAMP, x)")
        await asyncio.sleep(90)
        await db.exec("INSERT INTO t(x) VALUES(1)")
        assert await db.prepare("SELECT at FROM t").first("at") == "2026-01-01 00:01:30"

    in_world(body)


def test_chance_in_sql_obeys_the_seed(in_world):
    async def body(world, db):
        return await db.prepare("SELECT hex(randomblob(8)) AS r").first("r")

    assert in_world(body, seed=1) == in_world(body, seed=1) != in_world(body, seed=2)


def test_dump_is_refused(in_world, error_of):
    async def body(world, db):
        error = await error_of(db.dump())
        assert error.message == "D1_DUMP_ERROR: Status + 404"
        assert error.properties["cause"].message == "Status 404"

    in_world(body)
