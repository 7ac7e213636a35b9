"""Laws of one query, and of the shorter way for plain writes."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from emulator.sqlite.database import is_plain_write
from emulator.sqlite.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.sqlite.database import Database


def rows(database: Database, sql: str, *bindings: Any) -> list[Any]:
    return database.query(sql, bindings).fetch_all()


@pytest.fixture
def table(database: Database) -> Database:
    """A database with three rows."""
    rows(database, "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3)")
    return database


# -- before a write ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("SELECT x FROM t", 0),
        ("PRAGMA foreign_keys", 0),
        ("INSERT INTO t VALUES (4)", 1),
        ("WITH w AS (SELECT 1) INSERT INTO t SELECT * FROM w", 1),
        ("DELETE FROM t RETURNING x", 1),
        ("CREATE TABLE u(x)", 1),
        ("CREATE TABLE IF NOT EXISTS t(x)", 1),
        ("SELECT 1; DELETE FROM t; INSERT INTO t VALUES (4); SELECT 2", 2),
    ],
)
def test_each_statement_that_may_write_is_announced(table: Database, sql: str, count: int):
    calls: list[int] = []
    query = table.query(sql, before_write=lambda: calls.append(0))

    assert len(calls) == count
    assert query.is_readonly == (count == 0)


@pytest.mark.parametrize(
    "sql", ["INSERT INTO nope VALUES (1)", "INSERT INTO t VALUES (?)", "X"]
)
def test_what_is_not_valid_is_not_announced(table: Database, sql: str) -> None:
    calls: list[int] = []
    with pytest.raises(SqlError):
        table.query(sql, before_write=lambda: calls.append(0))

    assert calls == []


def test_the_announcement_comes_in_time_for_a_transaction(table: Database) -> None:
    table.query("INSERT INTO t VALUES (4)", before_write=table.begin)
    table.rollback()

    assert rows(table, "SELECT count(*) FROM t") == [(3,)]


def test_what_is_raised_by_the_announcement_stops_the_statement(table: Database) -> None:
    def refuse() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        table.query("INSERT INTO t VALUES (4)", before_write=refuse)
    assert rows(table, "SELECT count(*) FROM t") == [(3,)]
    # Permissions are those of a worker again.
    with pytest.raises(SqlError, match="To execute a transaction"):
        table.query("BEGIN")


# -- the end of a query ------------------------------------------------------------------------


def test_a_query_is_finished_with_its_last_row(table: Database) -> None:
    query = table.query("SELECT x FROM t LIMIT 2")
    seen = [query.is_finished]
    for _ in range(2):
        next(query)
        seen.append(query.is_finished)

    assert seen == [False, False, True]
    assert table.query("SELECT x FROM t WHERE 0").is_finished
    assert table.query("DELETE FROM t").is_finished


def test_a_query_that_is_let_go_of_locks_nothing(table: Database) -> None:
    gc.disable()
    try:
        query = table.query("SELECT x FROM t")
        with pytest.raises(SqlError, match="database table is locked: SQLITE_LOCKED"):
            rows(table, "DROP TABLE t")
        del query
        rows(table, "DROP TABLE t")
    finally:
        gc.enable()


def test_a_query_that_failed_on_the_way_is_finished(table: Database) -> None:
    query = table.query("SELECT abs(iif(x = 2, -9223372036854775807 - 1, x)) FROM t")
    with pytest.raises(SqlError, match="integer overflow"):
        next(query)

    assert query.is_finished
    assert list(query) == []


@pytest.mark.parametrize("sql", ["SELECT CAST(x'ff' AS TEXT)", "VALUES (1), (x'ff' || '')"])
def test_text_that_is_not_utf_8_is_told_with_a_way_out(table: Database, sql: str) -> None:
    with pytest.raises(SqlError, match="is not UTF-8, "):
        rows(table, sql)
    rows(table, "DROP TABLE t")


def test_a_canceled_query_is_told_from_one_that_was_closed(table: Database) -> None:
    canceled, finished = table.query("SELECT x FROM t"), table.query("SELECT 1 WHERE 0")
    canceled.cancel()
    finished.cancel()

    assert (canceled.is_canceled, finished.is_canceled) == (True, False)
    rows(table, "DROP TABLE t")


# -- plain writes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (?)",
        " \n update t SET x = 1;",
        "DELETE FROM t",
        "REPLACE INTO t VALUES (1)",
    ],
)
def test_a_plain_write(sql: str) -> None:
    assert is_plain_write(sql)


@pytest.mark.parametrize(
    "sql",
    [
        *("SELECT 1", "INSERTED", "WITH w AS (SELECT 1) DELETE FROM t", "CREATE TABLE t(x)"),
        *("INSERT INTO t VALUES (1) RETURNING x", "INSERT INTO t VALUES (1) returning x"),
        *("DELETE FROM t; DELETE FROM u", "DELETE FROM t; ", "DELETE FROM t\0"),
        *("INSERT OR ROLLBACK INTO t VALUES (1)", "INSERT INTO t VALUES ('é')"),
        *("-- c\nDELETE FROM t", "", "DELETE FROM t -- " + "x" * 100_000),
    ],
)
def test_not_a_plain_write(sql: str) -> None:
    assert not is_plain_write(sql)


def test_a_plain_write_tells_how_many_rows_it_changed(table: Database) -> None:
    assert table.change_rows("UPDATE t SET x = x + ?", (1.0,)) == 3
    assert table.change_rows("DELETE FROM t WHERE x = 9", ()) == 0
    assert rows(table, "SELECT x FROM t") == [(2.0,), (3.0,), (4.0,)]


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("INSERT INTO _cf_x VALUES (1)", "not authorized: SQLITE_AUTH"),
        ("INSERT INTO nope VALUES (1)", "no such table: nope: SQLITE_ERROR"),
        ("INSERT INTO t VALUES (?)", "Wrong number of parameter bindings for SQL query."),
        (
            "INSERT INTO t VALUES (sqlite_version())",
            "not authorized to use function: sqlite_version at offset 22: SQLITE_ERROR",
        ),
    ],
)
def test_a_plain_write_is_refused_like_any_query(table: Database, sql: str, text: str) -> None:
    table.execute("CREATE TABLE _cf_x(y)")
    table.execute("INSERT INTO _cf_x VALUES (1)")
    with pytest.raises(SqlError) as caught:
        table.change_rows(sql, ())
    assert caught.value.message == text
    with pytest.raises(SqlError) as caught:
        table.query(sql, ())
    assert caught.value.message == text


def test_a_plain_write_cannot_use_a_statement_of_ours(table: Database) -> None:
    table.execute("CREATE TABLE _cf_x(y)")
    sql = "INSERT INTO _cf_x VALUES (1)"
    table.execute(sql)
    with pytest.raises(SqlError, match="not authorized"):
        table.change_rows(sql, ())


# -- names and settings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE _CF_x(a)", "ALTER TABLE t RENAME TO _cf_y", "CREATE VIEW _Cf_v AS SELECT 1"],
)
def test_the_local_runtime_tells_reserved_names_by_case_and_not_in_renames(
    make: Callable[..., Database], sql: str
) -> None:
    create = "CREATE TABLE IF NOT EXISTS t(x)"
    local, documented = make(is_local=True), make()
    for database in (local, documented):
        rows(database, create)

    rows(local, sql)
    with pytest.raises(SqlError, match="not authorized: SQLITE_AUTH"):
        rows(documented, sql)
    with pytest.raises(SqlError, match="not authorized: SQLITE_AUTH"):
        rows(local, "CREATE TABLE _cf_x(a)")


def test_a_deferral_can_be_ended_alone(table: Database) -> None:
    rows(table, "PRAGMA defer_foreign_keys = on; PRAGMA recursive_triggers = on")
    table.end_deferral()

    assert rows(table, "PRAGMA defer_foreign_keys") == [(0,)]
    assert rows(table, "PRAGMA recursive_triggers") == [(1,)]


def test_what_exists_already_is_told_with_its_place(table: Database) -> None:
    for _ in range(2):
        with pytest.raises(SqlError) as caught:
            table.query("CREATE TABLE t(x); SELECT 1")
        assert caught.value.message == "table t already exists at offset 13: SQLITE_ERROR"
    table.query("CREATE TABLE u(x)")
    with pytest.raises(SqlError, match="table u already exists at offset 13"):
        table.query("CREATE TABLE u(x)")
