"""Laws of `storage.sql.exec`: texts, values, facts. They were measured on workerd."""

from __future__ import annotations

import asyncio
import math
from array import array
from datetime import UTC, datetime
from typing import Any

import pytest

from emulator.errors import JsException, JsTypeError
from emulator.values import undefined

SAFE = 2**53 - 1


def rows(state: Any, text: str, *bindings: Any) -> list[Any]:
    return list(state.storage.sql.exec(text, *bindings))


def refusal(state: Any, text: Any, *bindings: Any) -> str:
    with pytest.raises(JsException) as caught:
        state.storage.sql.exec(text, *bindings)
    assert caught.value.name == "Error"
    return caught.value.message


# -- texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ";", ";;", "-- c", "/* c */", "/* c", "SELECT 1; -- c", "SELECT 1; ;"),
        *("SELECT 1;;", "SELECT 1\0 garbage", "SELECT 1;\0"),
    ],
)
def test_a_text_must_end_with_a_statement(in_object, text):
    async def program(state: Any) -> str:
        return refusal(state, text)

    assert in_object(program) == "SQL code did not contain a statement."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1 AS a", [{"a": 1}]),
        ("SELECT 1 AS a;  ", [{"a": 1}]),
        ("; SELECT 1 AS a", [{"a": 1}]),
        ("\ufeffSELECT 1 AS a", [{"a": 1}]),
        ("SELECT 1 AS a; SELECT 2 AS b", [{"b": 2}]),
        ("CREATE TABLE t(x); INSERT INTO t VALUES (';'); SELECT x FROM t", [{"x": ";"}]),
    ],
)
def test_the_last_statement_of_a_text_gives_the_rows(in_object, text, expected):
    async def program(state: Any) -> Any:
        return rows(state, text)

    assert in_object(program) == expected


def test_what_ran_before_the_statement_that_failed_stays(in_object):
    async def program(state: Any) -> Any:
        rows(state, "CREATE TABLE t(x)")
        text = refusal(state, "INSERT INTO t VALUES (1); INSERT INTO nope VALUES (1)")
        assert text == "no such table: nope: SQLITE_ERROR"
        return rows(state, "SELECT * FROM t")

    assert in_object(program) == [{"x": 1}]


@pytest.mark.parametrize(
    ("text", "bindings"),
    [("SELECT ?; SELECT 2", ()), ("SELECT ?; SELECT ?", (1,)), ("SELECT ?; SELECT ?", (1, 2))],
)
def test_only_the_last_statement_has_parameters(in_object, text, bindings):
    async def program(state: Any) -> str:
        return refusal(state, text, *bindings)

    assert in_object(program) == (
        "When executing multiple SQL statements in a single call, only the last statement can "
        "have parameters."
    )


@pytest.mark.parametrize(
    ("text", "bindings"),
    [
        ("SELECT ?", ()),
        ("SELECT 1", (1,)),
        ("SELECT ?, ?", (1,)),
        ("SELECT ?2", (1,)),
        ("SELECT 1; SELECT ?", ()),
        ("INSERT INTO t VALUES (?)", ()),
        ("INSERT INTO t VALUES (?)", (1, 2)),
    ],
)
def test_every_parameter_wants_one_binding(in_object, text, bindings):
    async def program(state: Any) -> str:
        rows(state, "CREATE TABLE t(x)")
        return refusal(state, text, *bindings)

    assert in_object(program) == "Wrong number of parameter bindings for SQL query."


def test_named_parameters_bind_by_position(in_object):
    async def program(state: Any) -> Any:
        return rows(state, "SELECT :a, @b, $c, :a, ?2 AS d", 1, 2, 3)

    assert in_object(program) == [{":a": 1, "@b": 2, "$c": 3, "d": 2}]


def test_a_text_that_is_no_string_is_taken_as_one(in_object):
    async def program(state: Any) -> None:
        assert refusal(state, 5) == 'near "5": syntax error at offset 0: SQLITE_ERROR'
        assert refusal(state, None) == 'near "null": syntax error at offset 0: SQLITE_ERROR'
        with pytest.raises(JsTypeError) as caught:
            state.storage.sql.exec()
        assert caught.value.message == (
            "Failed to execute 'exec' on 'SqlStorage': parameter 1 is not of type 'JsString'."
        )

    in_object(program)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selec", 'near "selec": syntax error at offset 0: SQLITE_ERROR'),
        ("SELECT nope", "no such column: nope at offset 7: SQLITE_ERROR"),
        ("SELECT 1; SELECT nope", "no such column: nope at offset 7: SQLITE_ERROR"),
        ("INSERT INTO nope VALUES (1)", "no such table: nope: SQLITE_ERROR"),
        (
            "INSERT INTO u(a) VALUES (1)",
            "UNIQUE constraint failed: u.a: SQLITE_CONSTRAINT "
            "(extended: SQLITE_CONSTRAINT_UNIQUE)",
        ),
        (
            "INSERT INTO u(d) VALUES (1)",
            "UNIQUE constraint failed: u.d: SQLITE_CONSTRAINT "
            "(extended: SQLITE_CONSTRAINT_PRIMARYKEY)",
        ),
        (
            "INSERT INTO u(b) VALUES (NULL)",
            "NOT NULL constraint failed: u.b: SQLITE_CONSTRAINT "
            "(extended: SQLITE_CONSTRAINT_NOTNULL)",
        ),
        (
            "INSERT INTO u(c) VALUES (11)",
            "CHECK constraint failed: c < 10: SQLITE_CONSTRAINT "
            "(extended: SQLITE_CONSTRAINT_CHECK)",
        ),
        (
            "INSERT INTO r VALUES (5)",
            "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT "
            "(extended: SQLITE_CONSTRAINT_FOREIGNKEY)",
        ),
        (
            "DELETE FROM u",
            "my text: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_TRIGGER)",
        ),
        ("INSERT INTO u(d) VALUES ('x')", "datatype mismatch: SQLITE_MISMATCH"),
        ("SELECT abs(-9223372036854775808)", "integer overflow: SQLITE_ERROR"),
        ("VACUUM", "cannot VACUUM from within a transaction: SQLITE_ERROR"),
        ("SELECT load_extension('x')", "not authorized: SQLITE_ERROR"),
        (
            "SELECT sqlite_version()",
            "not authorized to use function: sqlite_version at offset 7: SQLITE_ERROR",
        ),
        ("SELECT name FROM dbstat", "no such table: dbstat: SQLITE_ERROR"),
        ("SELECT * FROM sqlite_dbpage", "no such table: sqlite_dbpage: SQLITE_ERROR"),
    ],
)
def test_sqlite_refuses_in_the_platforms_words(in_object, text, message):
    async def program(state: Any) -> str:
        rows(
            state,
            "CREATE TABLE u(a UNIQUE, b NOT NULL DEFAULT 1, c CHECK (c < 10), "
            "d INTEGER PRIMARY KEY); INSERT INTO u(a) VALUES (1);"
            "CREATE TABLE r(u REFERENCES u(d));"
            "CREATE TRIGGER g BEFORE DELETE ON u BEGIN SELECT RAISE(ABORT, 'my text'); END",
        )
        return refusal(state, text)

    assert in_object(program) == message


@pytest.mark.parametrize(
    "text",
    ["BEGIN", "COMMIT", "ROLLBACK", "END", "SAVEPOINT x", "RELEASE x", "ROLLBACK TO x"],
)
def test_transactions_by_hand_are_refused_with_advice(in_object, text):
    async def program(state: Any) -> str:
        return refusal(state, text)

    assert in_object(program).startswith(
        "To execute a transaction, please use the state.storage.transaction() or "
    )


@pytest.mark.parametrize(
    "text",
    [
        *("ATTACH ':memory:' AS x", "DETACH x", "CREATE TEMP TABLE tt(x)"),
        *("CREATE VIRTUAL TABLE v USING rtree(a, b, c)", "SELECT * FROM pragma_page_count"),
        *("PRAGMA journal_mode", "PRAGMA user_version", "PRAGMA integrity_check"),
        *("PRAGMA writable_schema = 1", "PRAGMA defer_foreign_keys = maybe"),
        *("CREATE TABLE _cf_x(a)", "CREATE VIEW _cf_v AS SELECT 1", "DROP TABLE _cf_KV"),
        *("INSERT INTO _cf_KV VALUES (1, 2)", "UPDATE _cf_KV SET key = 1"),
        *("DELETE FROM _cf_KV", "ALTER TABLE _cf_KV ADD COLUMN z"),
        *("SELECT count(*) FROM _cf_KV", "PRAGMA table_info(_cf_KV)"),
    ],
)
def test_what_is_the_platforms_own_is_not_authorized(in_object, text):
    async def program(state: Any) -> str:
        await state.storage.put("a", 1)
        return refusal(state, text)

    assert in_object(program) == "not authorized: SQLITE_AUTH"


def test_a_column_of_a_reserved_table_is_named(in_object):
    async def program(state: Any) -> str:
        assert refusal(state, "SELECT key FROM _cf_KV") == (
            "no such table: _cf_KV: SQLITE_ERROR"
        )
        state.storage.kv.put("a", 1)
        return refusal(state, "SELECT key FROM _cf_KV")

    assert in_object(program) == "access to _cf_KV.key is prohibited: SQLITE_AUTH"


@pytest.mark.parametrize(
    ("text", "bindings", "message"),
    [
        (
            "SELECT " + ",".join("?" * 101),
            (1,) * 101,
            "too many SQL variables at offset 207: SQLITE_ERROR",
        ),
        (
            "CREATE TABLE c(" + ",".join(f"c{n}" for n in range(101)) + ")",
            (),
            "too many columns on c: SQLITE_ERROR",
        ),
        ("SELECT '" + "x" * 100_000 + "'", (), "statement too long: SQLITE_TOOBIG"),
        (
            "SELECT 'a' LIKE '" + "a" * 51 + "'",
            (),
            "LIKE or GLOB pattern too complex: SQLITE_ERROR",
        ),
        (
            " UNION ALL ".join(["SELECT 1"] * 6),
            (),
            "too many terms in compound SELECT: SQLITE_ERROR",
        ),
        (
            "SELECT " + "+".join("1" * 101),
            (),
            "Expression tree is too large (maximum depth 100): SQLITE_ERROR",
        ),
        ("SELECT zeroblob(2200001)", (), "string or blob too big: SQLITE_TOOBIG"),
        ("SELECT ?", (bytes(2_200_001),), "string or blob too big: SQLITE_TOOBIG"),
        (
            "INSERT INTO t VALUES (?)",
            ("x" * 2_200_001,),
            "string or blob too big: SQLITE_TOOBIG",
        ),
        (
            "INSERT INTO t VALUES ('" + "x" * 100_000 + "')",
            (),
            "statement too long: SQLITE_TOOBIG",
        ),
    ],
)
def test_sql_has_limits(in_object, text, bindings, message):
    async def program(state: Any) -> str:
        rows(state, "CREATE TABLE t(x)")
        return refusal(state, text, *bindings)

    assert in_object(program) == message


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "back"),
    [
        (1, "real", 1),
        (1.5, "real", 1.5),
        (SAFE, "real", SAFE),
        (math.inf, "real", math.inf),
        (math.nan, "null", None),
        (True, "text", "true"),
        (False, "text", "false"),
        (None, "null", None),
        (undefined, "null", None),
        ("é\0x", "text", "é\0x"),
        ("\ud800a", "text", "\ufffd\ufffd\ufffda"),
        (b"\1\2", "blob", b"\1\2"),
        (bytearray(b"\1"), "blob", b"\1"),
        (memoryview(b"\1\2\3")[1:], "blob", b"\2\3"),
        (array("H", [1, 256]), "blob", b"\1\0\0\1"),
        (b"", "blob", b""),
        ([1, 2], "text", "1,2"),
        ([], "text", ""),
        ({}, "text", "[object Object]"),
        (
            datetime(1970, 1, 1, tzinfo=UTC),
            "text",
            "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)",
        ),
    ],
)
def test_a_binding_is_what_javascript_makes_of_it(in_object, value, kind, back):
    async def program(state: Any) -> Any:
        (row,) = rows(state, "SELECT typeof(?1) AS kind, ?1 AS back", value)
        return row.kind, row.back

    assert in_object(program) == (kind, back)


def test_the_sign_of_zero_is_kept(in_object):
    async def program(state: Any) -> Any:
        return rows(state, "SELECT ? AS a, -0.0 AS b", -0.0)

    (row,) = in_object(program)
    assert [math.copysign(1, value) for value in row.values()] == [-1, -1]


@pytest.mark.parametrize("value", [SAFE + 1, -SAFE - 1, 2**70])
def test_a_big_int_cannot_be_bound(in_object, value):
    async def program(state: Any) -> str:
        with pytest.raises(JsTypeError) as caught:
            state.storage.sql.exec("SELECT nope, ?", value)
        return caught.value.message

    assert in_object(program) == "Cannot convert a BigInt value to a number"


def test_affinity_decides_what_becomes_of_a_number(in_object):
    async def program(state: Any) -> Any:
        rows(state, "CREATE TABLE b(i INTEGER, r REAL, t TEXT, n NUMERIC, y)")
        rows(state, "INSERT INTO b VALUES (?, ?, ?, ?, ?)", 1, 1, 1, 1, 1)
        return rows(
            state, "SELECT *, typeof(i) ti, typeof(r) tr, typeof(n) tn, typeof(y) ty FROM b"
        )

    assert in_object(program) == [
        {
            "i": 1,
            "r": 1,
            "t": "1.0",
            "n": 1,
            "y": 1,
            "ti": "integer",
            "tr": "real",
            "tn": "integer",
            "ty": "real",
        }
    ]


def test_results_are_javascript_values(in_object):
    async def program(state: Any) -> Any:
        return rows(
            state,
            "SELECT 9007199254740993 AS a, 9223372036854775807 AS b, 1e999 AS c, -1e999 AS d, "
            "2.0 AS e, x'0102' AS f, NULL AS g, '' AS h, x'' AS i",
        )

    (row,) = in_object(program)
    assert list(row.values()) == [
        *(9007199254740992.0, 9.223372036854775807e18, math.inf, -math.inf),
        *(2, b"\1\2", None, "", b""),
    ]
    assert type(row.e) is int
    assert type(row.a) is float
    assert row.f.byteLength == 2


def test_a_row_is_an_object_in_javascripts_order(in_object):
    async def program(state: Any) -> Any:
        text = "SELECT 1 AS a, 2 AS a, 3 AS b, 4 AS '1', 5 AS '0', 6 AS '__proto__', 7 AS ''"
        (row,) = rows(state, text)
        return list(row.items())

    assert in_object(program) == [("0", 5), ("1", 4), ("a", 2), ("b", 3), ("", 7)]


# -- facts -------------------------------------------------------------------------------------


def test_a_new_database_has_one_page_and_nothing_in_it(in_object):
    async def program(state: Any) -> Any:
        sql = state.storage.sql
        before = sql.databaseSize
        return before, rows(state, "SELECT * FROM sqlite_master"), sql.databaseSize

    assert in_object(program) == (4096, [], 4096)


def test_the_platforms_tables_appear_when_they_are_first_written(in_object):
    async def program(state: Any) -> Any:
        storage = state.storage

        def names() -> list[str]:
            return [row.name for row in rows(state, "SELECT name FROM sqlite_master")]

        seen = [names()]
        await storage.get("a")
        await storage.list()
        seen.append(names())
        rows(state, "CREATE TABLE t(x)")
        await storage.put("a", 1)
        seen.append(names())
        await storage.setAlarm(4_000_000_000_000)
        await storage.sync()
        seen.append(names())
        return seen, storage.sql.databaseSize

    assert in_object(program) == (
        [[], [], ["t", "_cf_KV"], ["t", "_cf_KV", "_cf_METADATA"]],
        4 * 4096,
    )


def test_sql_that_comes_second_sees_the_tables_that_are_in_use(in_object):
    async def put(state: Any) -> None:
        await state.storage.put("a", 1)

    async def look(state: Any) -> Any:
        names = rows(state, "SELECT name FROM sqlite_master")
        return names, state.storage.sql.databaseSize, await state.storage.get("a")

    assert in_object(put, look) == ([{"name": "_cf_KV"}], 2 * 4096, 1)


def test_free_pages_do_not_count_as_size(in_object):
    async def program(state: Any) -> Any:
        sql = state.storage.sql
        sql.exec("CREATE TABLE t(a, b)")
        sizes = [sql.databaseSize]
        for number in range(100):
            sql.exec("INSERT INTO t VALUES (?, ?)", number, "x" * 1000)
        sizes.append(sql.databaseSize)
        sql.exec("DELETE FROM t")
        return [*sizes, sql.databaseSize]

    assert in_object(program) == [8192, 110592, 8192]


def test_settings_outlive_the_unit_but_not_the_instance(in_object):
    async def set_up(state: Any) -> None:
        rows(state, "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)")

    async def program(state: Any) -> Any:
        rows(state, "PRAGMA recursive_triggers = on")
        rows(state, "PRAGMA foreign_keys = off")
        rows(state, "INSERT INTO c VALUES (1)")
        await state.storage.sync()
        return (
            rows(state, "PRAGMA recursive_triggers"),
            rows(state, "PRAGMA foreign_keys"),
        )

    assert in_object(set_up, program) == (
        [{"recursive_triggers": 1}],
        [{"foreign_keys": 0}],
    )


def test_foreign_keys_stay_on_within_a_unit(in_object):
    async def program(state: Any) -> Any:
        rows(state, "CREATE TABLE t(x)")
        rows(state, "PRAGMA foreign_keys = off")
        return rows(state, "PRAGMA foreign_keys")

    assert in_object(program) == [{"foreign_keys": 1}]


def test_deferred_foreign_keys_end_with_their_unit(in_object):
    async def program(state: Any) -> Any:
        rows(state, "CREATE TABLE p(id PRIMARY KEY); CREATE TABLE c(p REFERENCES p(id))")
        await asyncio.sleep(0.001)
        rows(state, "PRAGMA defer_foreign_keys = on")
        rows(state, "INSERT INTO c VALUES (?)", "a")
        rows(state, "INSERT INTO p VALUES (?)", "a")
        within = rows(state, "PRAGMA defer_foreign_keys")
        await asyncio.sleep(0.001)
        after = rows(state, "PRAGMA defer_foreign_keys")
        return within, after, refusal(state, "INSERT INTO c VALUES ('b')")

    within, after, text = in_object(program)
    assert (within, after) == ([{"defer_foreign_keys": 1}], [{"defer_foreign_keys": 0}])
    assert text.startswith("FOREIGN KEY constraint failed")


def test_the_alarms_row_is_there_as_soon_as_it_is_set_and_goes_with_a_rollback(in_object):
    async def program(state: Any) -> Any:
        storage = state.storage

        def names() -> list[str]:
            return [row.name for row in rows(state, "SELECT name FROM sqlite_master")]

        async def closure(txn: Any) -> None:
            await txn.setAlarm(4_000_000_000_000)
            seen.append(names())
            txn.rollback()

        rows(state, "CREATE TABLE t(x)")
        seen: list[Any] = []
        await storage.transaction(closure)
        seen.append(names())
        await storage.setAlarm(4_000_000_000_000)
        seen.append(names())
        await storage.sync()
        return seen, await storage.getAlarm()

    assert in_object(program) == (
        [["t", "_cf_METADATA"], ["t"], ["t", "_cf_METADATA"]],
        4_000_000_000_000,
    )


def test_changes_are_counted_anew_after_delete_all(in_object):
    async def program(state: Any) -> Any:
        sql = state.storage.sql
        text = "SELECT changes() AS c, total_changes() AS t, last_insert_rowid() AS l"
        sql.exec("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)")
        before = sql.exec(text).one()
        await state.storage.deleteAll()
        return before, sql.exec(text).one()

    assert in_object(program) == ({"c": 2, "t": 2, "l": 2}, {"c": 0, "t": 0, "l": 0})
