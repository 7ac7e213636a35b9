"""Laws of SQL within units and transactions. Facts are those measured on workerd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import emulator
from emulator import faults
from emulator.errors import JsException
from emulator.sdk.workers import DurableObject
from emulator.testing import run_in_durable_object

ALL = "SELECT x FROM t"
INTERNAL = "internal error; reference = 000000000000000000000000"


class Job(DurableObject):
    """It does nothing by itself."""


def made(state: Any, *values: int) -> Any:
    sql = state.storage.sql
    sql.exec("CREATE TABLE t(x UNIQUE)")
    for value in values:
        sql.exec("INSERT INTO t VALUES (?)", value)
    return sql


def values(state: Any) -> list[Any]:
    return [x for (x,) in state.storage.sql.exec(ALL).raw()]


async def outcome(namespace_stub: Any, program: Any) -> Any:
    """What a call that runs the program inside gives, or its error."""
    try:
        return await run_in_durable_object(namespace_stub, lambda _, state: program(state))
    except JsException as error:
        return error


def broken_by(with_jobs: Any, program: Any) -> tuple[Any, list[Any]]:
    """What the call of the program gives, and what is in the table t afterwards."""

    async def scenario(mf: Any, _: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")

        async def begin(state: Any) -> None:
            made(state, 1)

        async def read(state: Any) -> Any:
            return values(state)

        await outcome(namespace.getByName("b"), begin)
        error = await outcome(namespace.getByName("b"), program)
        return error, await outcome(namespace.getByName("b"), read)

    return with_jobs(Job, scenario)


# -- one unit ----------------------------------------------------------------------------------


def test_pairs_and_rows_of_one_turn_are_lost_together(with_jobs):
    async def program(state: Any) -> None:
        await state.storage.put("a", 1)
        state.storage.sql.exec("INSERT INTO t VALUES (2)")
        state.abort("lost")

    async def scenario(mf: Any, _: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")

        async def begin(state: Any) -> None:
            made(state, 1)

        async def read(state: Any) -> Any:
            return values(state), await state.storage.list()

        await outcome(namespace.getByName("b"), begin)
        await outcome(namespace.getByName("b"), program)
        return await outcome(namespace.getByName("b"), read)

    assert with_jobs(Job, scenario) == ([1], {})


def test_a_python_exception_undoes_nothing(with_jobs):
    async def program(state: Any) -> None:
        state.storage.sql.exec("INSERT INTO t VALUES (2)")
        raise ValueError("no")

    async def scenario(_: Any, stub: Any) -> Any:
        await run_in_durable_object(stub, lambda _, state: made(state, 1) and None)
        with pytest.raises(ValueError, match="no"):
            await run_in_durable_object(stub, lambda _, state: program(state))
        return await run_in_durable_object(stub, lambda _, state: values(state))

    assert with_jobs(Job, scenario) == [1, 2]


# -- transactions ------------------------------------------------------------------------------


def test_transaction_sync_undoes_rows_and_pairs(in_object):
    async def program(state: Any) -> Any:
        sql, storage = made(state, 1), state.storage

        def body() -> None:
            sql.exec("INSERT INTO t VALUES (2)")
            storage.put("k", 1)
            storage.kv.put("l", 1)
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            storage.transactionSync(body)
        return values(state), await storage.get("k"), storage.kv.get("l")

    assert in_object(program) == ([1], None, None)


def test_an_async_callback_of_transaction_sync_runs_outside(in_object):
    async def program(state: Any) -> Any:
        sql = made(state, 1)

        async def body() -> None:
            sql.exec("INSERT INTO t VALUES (2)")
            raise ValueError("late")

        promise = state.storage.transactionSync(body)
        with pytest.raises(ValueError, match="late"):
            await promise
        return values(state)

    assert in_object(program) == [1, 2]


def test_a_nested_transaction_sync_undoes_only_its_own(in_object):
    async def program(state: Any) -> Any:
        sql, sync = made(state, 1), state.storage.transactionSync

        def inner() -> None:
            sql.exec("INSERT INTO t VALUES (3)")
            raise ValueError

        def outer() -> str:
            sql.exec("INSERT INTO t VALUES (2)")
            with pytest.raises(ValueError):
                sync(inner)
            return "value"

        return sync(outer), values(state)

    assert in_object(program) == ("value", [1, 2])


def test_rollback_undoes_sql_and_later_sql_stays(in_object):
    async def program(state: Any) -> Any:
        sql = made(state, 1)

        async def closure(txn: Any) -> None:
            sql.exec("INSERT INTO t VALUES (2)")
            txn.rollback()
            sql.exec("INSERT INTO t VALUES (3)")

        await state.storage.transaction(closure)
        return values(state)

    assert in_object(program) == [1, 3]


@pytest.mark.parametrize("is_inside", [False, True])
def test_a_cursor_goes_on_after_a_rollback(in_object, is_inside):
    async def program(state: Any) -> Any:
        sql = made(state, 1, 2, 3)
        await state.storage.sync()
        cursors = [] if is_inside else [sql.exec(ALL)]

        def body() -> None:
            sql.exec("INSERT INTO t VALUES (9)")
            if is_inside:
                cursors.append(sql.exec(ALL))
            cursors[0].next()
            raise ValueError

        with pytest.raises(ValueError):
            state.storage.transactionSync(body)
        return cursors[0].toArray()

    assert in_object(program) == [{"x": 2}, {"x": 3}]


def test_a_rollback_of_tables_aborts_cursors(in_object):
    async def program(state: Any) -> Any:
        sql = made(state, 1, 2, 3)
        await state.storage.sync()
        cursor = sql.exec(ALL)

        def body() -> None:
            sql.exec("CREATE TABLE u(x)")
            raise ValueError

        with pytest.raises(ValueError):
            state.storage.transactionSync(body)
        with pytest.raises(JsException) as caught:
            cursor.next()
        sql.exec("CREATE TABLE u(x)")
        return caught.value.message

    assert in_object(program) == (
        "abort due to ROLLBACK: SQLITE_ABORT (extended: SQLITE_ABORT_ROLLBACK)"
    )


def test_pairs_are_kept_where_the_rollback_took_their_table(in_object):
    async def program(state: Any) -> Any:
        storage = state.storage
        made(state)

        async def closure(txn: Any) -> None:
            await txn.put("a", 1)
            txn.rollback()

        await storage.transaction(closure)
        names = storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table'")
        before = [row.name for row in names]
        await storage.put("a", 2)
        return before, await storage.get("a")

    assert in_object(program) == (["t"], 2)


# -- a writing query with rows left ------------------------------------------------------------


@pytest.mark.parametrize("is_held", [False, True])
def test_a_unit_cannot_end_before_the_rows_that_a_write_returns_are_read(with_jobs, is_held):
    async def program(state: Any) -> None:
        cursor = state.storage.sql.exec("INSERT INTO t VALUES (2), (3) RETURNING x")
        if not is_held:
            del cursor
        await asyncio.sleep(0.001)

    error, left = broken_by(with_jobs, program)
    assert (error.message, error.durableObjectReset, left) == (INTERNAL, False, [1])


def test_in_a_transaction_that_is_a_reset(with_jobs):
    async def program(state: Any) -> None:
        cursors = []

        async def closure(_: Any) -> None:
            cursors.append(state.storage.sql.exec("INSERT INTO t VALUES (2) RETURNING x"))

        await state.storage.transaction(closure)

    error, left = broken_by(with_jobs, program)
    assert (error.message, error.durableObjectReset, left) == (INTERNAL, True, [1])


def test_in_transaction_sync_it_is_an_error_and_the_rows_can_still_be_read(in_object):
    async def program(state: Any) -> Any:
        sql = made(state, 1)
        await state.storage.sync()
        cursors = []

        def body() -> None:
            cursors.append(sql.exec("INSERT INTO t VALUES (2), (3), (4) RETURNING x"))
            cursors[0].next()

        with pytest.raises(JsException) as caught:
            state.storage.transactionSync(body)
        rest = cursors[0].toArray()
        await asyncio.sleep(0.001)
        return caught.value.message, rest, values(state)

    assert in_object(program) == (INTERNAL, [{"x": 3}, {"x": 4}], [1])


def test_returned_rows_that_were_read_are_no_trouble(in_object):
    async def program(state: Any) -> Any:
        sql = made(state, 1)
        first = sql.exec("INSERT INTO t VALUES (2) RETURNING x").one()
        second = sql.exec("INSERT INTO t VALUES (3) RETURNING x")
        row = next(iter(second))
        await asyncio.sleep(0.001)
        return first, row, values(state)

    assert in_object(program) == ({"x": 2}, {"x": 3}, [1, 2, 3])


# -- what undoes more than a statement ---------------------------------------------------------


@pytest.mark.parametrize("text", ["INSERT OR ROLLBACK INTO t VALUES (1)", "DELETE FROM g"])
def test_a_rollback_by_sql_resets_the_object(with_jobs, text):
    async def program(state: Any) -> None:
        sql = state.storage.sql
        sql.exec("CREATE TABLE g(x); INSERT INTO g VALUES (1)")
        sql.exec("CREATE TRIGGER r AFTER DELETE ON g BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
        sql.exec("INSERT INTO t VALUES (2)")
        with pytest.raises(JsException):
            sql.exec(text)
        await state.storage.put("a", 1)

    error, left = broken_by(with_jobs, program)
    assert (error.message, error.durableObjectReset, left) == (INTERNAL, False, [1])


def test_a_rollback_by_sql_does_not_reach_what_an_earlier_turn_wrote(with_jobs):
    async def program(state: Any) -> None:
        sql = state.storage.sql
        sql.exec("INSERT INTO t VALUES (2)")
        await asyncio.sleep(0.01)
        with pytest.raises(JsException):
            sql.exec("INSERT OR ROLLBACK INTO t VALUES (3), (1)")

    async def read(state: Any) -> Any:
        return values(state)

    async def scenario(mf: Any, stub: Any) -> Any:
        await run_in_durable_object(stub, lambda _, state: made(state, 1) and None)
        mf.faults.add(faults.latency(100, operation="storage.flush"))
        error = await outcome(stub, program)
        stub = mf.get_durable_object_namespace("JOBS").getByName("a")
        return error.message, await outcome(stub, read)

    assert with_jobs(Job, scenario) == (INTERNAL, [1, 2])


def test_a_full_database_resets_the_object_and_the_whole_unit_is_gone(with_jobs):
    def fill(sql: Any) -> None:
        for number in range(50):
            sql.exec("INSERT INTO t VALUES (?)", "x" * 20_000 + str(number))

    async def program(state: Any) -> None:
        sql = state.storage.sql
        await state.storage.put("a", 1)
        sql.exec("INSERT INTO t VALUES (2)")
        with pytest.raises(JsException, match="database or disk is full: SQLITE_FULL"):
            fill(sql)
        await state.storage.put("b", 1)

    async def scenario(mf: Any, _: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")

        async def begin(state: Any) -> None:
            made(state, 1)

        async def read(state: Any) -> Any:
            return values(state), await state.storage.list()

        await outcome(namespace.getByName("b"), begin)
        error = await outcome(namespace.getByName("b"), program)
        return error, await outcome(namespace.getByName("b"), read)

    error, left = with_jobs(Job, scenario, limits={"storage_bytes_max": 50 * 4_096})
    assert error.message == "database or disk is full: SQLITE_FULL"
    assert error.durableObjectReset
    assert left == ([1], {})


# -- classes without SQL -----------------------------------------------------------------------


@pytest.mark.parametrize("limits", ["paid", "workerd"])
def test_a_class_without_sqlite_has_no_sql(limits):
    async def main() -> Any:
        namespaces = {"JOBS": {"className": "Job", "useSQLite": False}}
        async with emulator.Miniflare(
            worker=Job, durable_objects=namespaces, limits=limits
        ) as mf:
            stub = mf.get_durable_object_namespace("JOBS").getByName("a")

            async def program(state: Any) -> list[str]:
                texts = []
                for use in (
                    lambda: state.storage.sql.exec("SELECT 1"),
                    lambda: state.storage.sql.databaseSize,
                ):
                    with pytest.raises(JsException) as caught:
                        use()
                    texts.append(caught.value.message)
                return texts

            return await run_in_durable_object(stub, lambda _, state: program(state))

    start = {
        "paid": "This Durable Object is not backed by SQLite storage, so the SQL API is not ",
        "workerd": "SQL is not enabled for this Durable Object class. To enable it, change ",
    }[limits]
    texts = emulator.run(main)
    assert [text.startswith(start) for text in texts] == [True, True]


# -- where a unit ends -------------------------------------------------------------------------


def test_what_a_critical_section_wrote_is_a_unit(with_jobs):
    async def program(state: Any) -> None:
        sql = state.storage.sql
        sql.exec("INSERT INTO t VALUES (2)")
        await state.blockConcurrencyWhile(lambda: sql.exec("INSERT INTO t VALUES (3)") and None)
        sql.exec("INSERT INTO t VALUES (4)")
        state.abort()

    _, left = broken_by(with_jobs, program)
    assert left == [1, 2, 3]


def test_nothing_undoes_delete_all(with_jobs):
    async def program(state: Any) -> None:
        state.storage.deleteAll()
        state.storage.sql.exec("CREATE TABLE t(x)")
        state.abort()

    async def scenario(mf: Any, _: Any) -> Any:
        namespace = mf.get_durable_object_namespace("JOBS")

        async def begin(state: Any) -> None:
            made(state, 1)
            await state.storage.put("a", 1)

        async def read(state: Any) -> Any:
            return list(state.storage.sql.exec("SELECT name FROM sqlite_master"))

        await outcome(namespace.getByName("b"), begin)
        await outcome(namespace.getByName("b"), program)
        return await outcome(namespace.getByName("b"), read)

    assert with_jobs(Job, scenario) == []


def test_a_transaction_sync_that_delete_all_took_away_tells_an_internal_error(in_object):
    async def program(state: Any) -> Any:
        made(state, 1)

        def body() -> None:
            state.storage.deleteAll()
            state.storage.kv.put("b", 1)
            raise ValueError("no")

        with pytest.raises(JsException) as caught:
            state.storage.transactionSync(body)
        return caught.value.message, await state.storage.list()

    assert in_object(program) == (INTERNAL, {"b": 1})


def test_a_transaction_is_one_for_settings_before_anything_is_written(in_object):
    async def program(state: Any) -> Any:
        sql = state.storage.sql

        def switch() -> Any:
            sql.exec("PRAGMA foreign_keys = off")
            return sql.exec("PRAGMA foreign_keys").one()

        async def closure(_: Any) -> Any:
            return switch()

        within = [
            state.storage.transactionSync(switch),
            await state.storage.transaction(closure),
        ]
        return within, switch()

    assert in_object(program) == ([{"foreign_keys": 1}] * 2, {"foreign_keys": 0})


@pytest.mark.parametrize(("is_sync", "is_flagged"), [(True, False), (False, True)])
def test_a_rollback_by_sql_takes_the_transaction_around_it_away(with_jobs, is_sync, is_flagged):
    seen = []

    async def program(state: Any) -> None:
        sql, storage = state.storage.sql, state.storage

        def body() -> None:
            sql.exec("INSERT INTO t VALUES (2)")
            with pytest.raises(JsException, match="UNIQUE constraint failed"):
                sql.exec("INSERT OR ROLLBACK INTO t VALUES (1)")
            sql.exec("INSERT INTO t VALUES (3)")

        async def closure(_: Any) -> None:
            body()

        if is_sync:
            with pytest.raises(JsException) as caught:
                storage.transactionSync(body)
            seen.append(caught.value.message)
        else:
            await storage.transaction(closure)

    error, left = broken_by(with_jobs, program)
    assert (error.message, error.durableObjectReset, left) == (INTERNAL, is_flagged, [1])
    assert seen == [INTERNAL] * is_sync
