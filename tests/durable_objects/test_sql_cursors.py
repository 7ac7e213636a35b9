"""Laws of what `storage.sql.exec` gives: the cursor. Facts are those measured on workerd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.errors import JsException

MULTIPLE = "Expected exactly one result from SQL query, but got multiple results."
NONE = "Expected exactly one result from SQL query, but got no results."
CANCELED = "SQLite query was canceled because the database was deleted."
LOCKED = "database table is locked: SQLITE_LOCKED"
ALL = "SELECT x FROM t"


def fill(state: Any, *values: int) -> Any:
    sql = state.storage.sql
    sql.exec("CREATE TABLE t(x)")
    for value in values:
        sql.exec("INSERT INTO t VALUES (?)", value)
    return sql


def refusal(function: Any, *arguments: Any) -> str:
    with pytest.raises(JsException) as caught:
        function(*arguments)
    assert caught.value.name == "Error"
    return caught.value.message


# -- reading -----------------------------------------------------------------------------------


def test_next_always_has_both_keys(in_object):
    async def program(state: Any) -> Any:
        cursor = fill(state, 7).exec(ALL)
        return cursor.next(), cursor.next(), cursor.next()

    end = {"done": True, "value": None}
    assert in_object(program) == ({"done": False, "value": {"x": 7}}, end, end)


def test_to_array_gives_what_is_left(in_object):
    async def program(state: Any) -> Any:
        cursor = fill(state, 1, 2, 3).exec(ALL)
        return cursor.next().value.x, cursor.toArray(), cursor.toArray(), cursor.columnNames

    assert in_object(program) == (1, [{"x": 2}, {"x": 3}], [], ["x"])


def test_a_cursor_can_be_iterated_and_left(in_object):
    async def program(state: Any) -> Any:
        cursor = fill(state, 1, 2, 3).exec(ALL)
        for row in cursor:
            assert row == {"x": 1}
            assert row["x"] == row.x
            break
        return [row.x for row in cursor]

    assert in_object(program) == [2, 3]


def test_raw_gives_lists_and_shares_the_position(in_object):
    async def program(state: Any) -> Any:
        cursor = fill(state, 1, 2, 3, 4).exec("SELECT x, x + 1 AS x FROM t")
        raw, other = cursor.raw(), cursor.raw()
        seen = [raw.next(), cursor.next(), other.next(), raw.toArray(), list(other), raw.next()]
        return seen, cursor.columnNames

    seen, names = in_object(program)
    assert names == ["x", "x"]
    assert seen == [
        {"done": False, "value": [1, 2]},
        {"done": False, "value": {"x": 3}},
        {"done": False, "value": [3, 4]},
        [[4, 5]],
        [],
        {"done": True, "value": None},
    ]


def test_one_wants_exactly_one_row_to_be_left(in_object):
    async def program(state: Any) -> None:
        sql = fill(state, 1, 2, 3)
        assert sql.exec("SELECT x FROM t WHERE x = 2").one() == {"x": 2}
        assert refusal(sql.exec("SELECT x FROM t WHERE 0").one) == NONE
        assert refusal(sql.exec("INSERT INTO t VALUES (4)").one) == NONE
        cursor = sql.exec("SELECT x FROM t WHERE x = 2")
        cursor.one()
        assert refusal(cursor.one) == NONE
        cursor = sql.exec("SELECT x FROM t LIMIT 2")
        cursor.next()
        assert cursor.one() == {"x": 2}
        cursor = sql.exec(ALL)
        assert refusal(cursor.one) == MULTIPLE
        assert cursor.toArray() == []

    in_object(program)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT * FROM t", ["x"]),
        ("SELECT * FROM t WHERE 0", ["x"]),
        ("SELECT 1 AS a, 2 AS a", ["a", "a"]),
        ("INSERT INTO t VALUES (1)", []),
        ("INSERT INTO t VALUES (1) RETURNING x AS y", ["y"]),
        ("CREATE TABLE u(x)", []),
        ("PRAGMA foreign_keys", ["foreign_keys"]),
    ],
)
def test_columns_have_names_without_rows_too(in_object, text, names):
    async def program(state: Any) -> Any:
        fill(state)
        cursor = state.storage.sql.exec(text)
        cursor.toArray()
        return cursor.columnNames

    assert in_object(program) == names


def test_the_same_text_after_a_change_of_the_table_has_the_new_columns(in_object):
    async def program(state: Any) -> Any:
        sql = fill(state, 1)
        sql.exec("SELECT * FROM t").toArray()
        sql.exec("ALTER TABLE t ADD COLUMN z")
        cursor = sql.exec("SELECT * FROM t")
        return cursor.columnNames, cursor.toArray()

    assert in_object(program) == (["x", "z"], [{"x": 1, "z": None}])


def test_two_cursors_of_one_text_are_independent(in_object):
    async def program(state: Any) -> Any:
        sql = fill(state, 1, 2, 3)
        first, second = sql.exec(ALL), sql.exec(ALL)
        return [
            *(first.next().value.x, second.next().value.x, first.next().value.x),
            *(second.toArray(), first.toArray()),
        ]

    assert in_object(program) == [1, 1, 2, [{"x": 2}, {"x": 3}], [{"x": 3}]]


def test_rows_are_counted_as_they_are_read(in_object):
    async def program(state: Any) -> Any:
        sql = fill(state, 1, 2, 3)
        cursor = sql.exec(ALL)
        counts = [cursor.rowsRead]
        for _ in range(4):
            cursor.next()
            counts.append(cursor.rowsRead)
        return counts, cursor.rowsWritten, sql.exec("UPDATE t SET x = 0").rowsWritten

    assert in_object(program) == ([1, 2, 3, 3, 3], 0, 3)


def test_an_error_on_the_way_ends_the_cursor(in_object):
    async def program(state: Any) -> Any:
        sql = fill(state, 1, 2, 3)
        cursor = sql.exec(
            "SELECT abs(CASE x WHEN 2 THEN -9223372036854775807 - 1 ELSE x END) AS v FROM t"
        )
        return refusal(cursor.next), refusal(sql.exec("SELECT 1; " + BAD).toArray)

    BAD = "SELECT abs(CASE x WHEN 2 THEN -9223372036854775807 - 1 ELSE x END) FROM t"
    assert in_object(program) == ("integer overflow: SQLITE_ERROR",) * 2


# -- locks -------------------------------------------------------------------------------------


def test_an_unfinished_cursor_locks_tables_against_drop(in_object):
    async def program(state: Any) -> None:
        sql = fill(state, 1, 2)
        sql.exec("CREATE TABLE other(x)")
        cursor = sql.exec(ALL)
        assert refusal(sql.exec, "DROP TABLE t") == LOCKED
        assert refusal(sql.exec, "DROP TABLE other") == LOCKED
        cursor.toArray()
        sql.exec("DROP TABLE t")

    in_object(program)


def test_a_cursor_that_nobody_holds_locks_until_the_turn_ends(in_object):
    async def program(state: Any) -> None:
        sql = fill(state, 1)
        sql.exec(ALL)  # Its row has not been read.
        assert refusal(sql.exec, "DROP TABLE t") == LOCKED
        await asyncio.sleep(0.001)
        sql.exec("DROP TABLE t")

    in_object(program)


def test_a_cursor_without_rows_locks_nothing(in_object):
    async def program(state: Any) -> None:
        sql = fill(state)
        cursor = sql.exec(ALL)
        sql.exec("DROP TABLE t")
        assert cursor.toArray() == []

    in_object(program)


def test_writes_while_a_cursor_is_open_may_extend_it(in_object):
    async def program(state: Any) -> Any:
        sql = fill(state, 1, 2)
        cursor = sql.exec(ALL)
        cursor.next()
        sql.exec("INSERT INTO t VALUES (3)")
        await asyncio.sleep(0.001)
        sql.exec("INSERT INTO t VALUES (4)")
        return cursor.toArray()

    assert in_object(program) == [{"x": 2}, {"x": 3}, {"x": 4}]


def test_a_cursor_does_not_lock_the_next_instance(with_jobs):
    from emulator.sdk.workers import DurableObject
    from emulator.testing import evict_durable_object, run_in_durable_object

    class Job(DurableObject):
        pass

    kept = []

    async def scenario(_: Any, stub: Any) -> Any:
        async def first(_: Any, state: Any) -> None:
            kept.append(fill(state, 1, 2).exec(ALL))
            state.storage.sql.exec("PRAGMA recursive_triggers = on")

        async def second(_: Any, state: Any) -> Any:
            setting = state.storage.sql.exec("PRAGMA recursive_triggers").one()
            state.storage.sql.exec("DROP TABLE t")
            return setting

        await run_in_durable_object(stub, first)
        await evict_durable_object(stub)
        return await run_in_durable_object(stub, second)

    assert with_jobs(Job, scenario) == {"recursive_triggers": 0}


# -- deleteAll ---------------------------------------------------------------------------------


def test_delete_all_cancels_what_is_not_finished(in_object):
    async def program(state: Any) -> None:
        sql = fill(state, 1, 2)
        cursor, unread, read = sql.exec(ALL), sql.exec("SELECT 1"), sql.exec("SELECT 1")
        raw = cursor.raw()
        read.toArray()
        await state.storage.deleteAll()
        for call in (cursor.next, cursor.toArray, cursor.one, raw.next, unread.toArray):
            assert refusal(call) == CANCELED
        assert refusal(lambda: cursor.rowsRead) == CANCELED
        assert refusal(lambda: cursor.rowsWritten) == CANCELED
        assert cursor.columnNames == ["x"]
        assert refusal(cursor.raw().toArray) == CANCELED
        assert read.next() == {"done": True, "value": None}

    in_object(program)


def test_delete_all_leaves_nothing(in_object):
    async def program(state: Any) -> Any:
        sql, storage = state.storage.sql, state.storage
        await storage.put("a", 1)
        sql.exec("CREATE TABLE au(id INTEGER PRIMARY KEY AUTOINCREMENT)")
        sql.exec("INSERT INTO au DEFAULT VALUES")
        sql.exec("CREATE TABLE p(id PRIMARY KEY); CREATE TABLE c(p REFERENCES p(id))")
        sql.exec("INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)")
        sql.exec("CREATE VIEW v AS SELECT * FROM c; CREATE INDEX i ON c(p)")
        sql.exec("CREATE VIRTUAL TABLE f USING fts5(body)")
        sql.exec("CREATE TRIGGER g AFTER INSERT ON c BEGIN DELETE FROM p; END")
        sql.exec("ANALYZE")
        sql.exec("PRAGMA recursive_triggers = on")
        await storage.deleteAll()
        left = sql.exec("SELECT name FROM sqlite_master").toArray()
        size, setting = sql.databaseSize, sql.exec("PRAGMA recursive_triggers").one()
        await storage.sync()
        sql.exec("CREATE TABLE au(id INTEGER PRIMARY KEY AUTOINCREMENT)")
        sql.exec("INSERT INTO au DEFAULT VALUES")
        return left, size, setting, sql.exec("SELECT id FROM au").one(), await storage.list()

    assert in_object(program) == ([], 4096, {"recursive_triggers": 0}, {"id": 1}, {})


def test_delete_all_finds_tables_that_an_earlier_instance_made(with_jobs):
    from emulator.sdk.workers import DurableObject
    from emulator.testing import evict_durable_object, run_in_durable_object

    class Job(DurableObject):
        pass

    async def scenario(_: Any, stub: Any) -> Any:
        async def first(_: Any, state: Any) -> None:
            fill(state, 1)

        async def second(_: Any, state: Any) -> Any:
            await state.storage.deleteAll()
            return state.storage.sql.exec("SELECT name FROM sqlite_master").toArray()

        await run_in_durable_object(stub, first)
        await evict_durable_object(stub)
        return await run_in_durable_object(stub, second)

    assert with_jobs(Job, scenario) == []


def test_what_is_written_after_delete_all_in_the_same_turn_stays(in_object):
    async def program(state: Any) -> Any:
        sql, storage = fill(state, 1), state.storage
        await storage.put("a", 1)
        await storage.sync()
        storage.put("b", 1)
        sql.exec("INSERT INTO t VALUES (2)")
        storage.deleteAll()
        sql.exec("CREATE TABLE t2(x)")
        storage.put("d", 1)
        await storage.sync()
        return sql.exec("SELECT name FROM sqlite_master").toArray(), await storage.list()

    assert in_object(program) == ([{"name": "t2"}, {"name": "_cf_KV"}], {"d": 1})
