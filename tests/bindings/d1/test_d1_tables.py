"""Laws of which tables a SQL text reads and writes; SQLite's authorizer is the judge."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.bindings.d1.tables import tables_of


@pytest.mark.parametrize(
    ("sql", "used"),
    [
        ("SELECT * FROM a", {"a": False}),
        ("SELECT 1", {}),
        ("", {}),
        (" -- FROM b\n;", {}),
        ("select x from A, main.B as c join \"C d\" on 1 where x in (select 1 from [e])",
         {"a": False, "b": False, "c d": False, "e": False}),
        ("SELECT ' FROM x ' FROM a -- FROM y\n /* FROM z */", {"a": False}),
        ("SELECT replace(x, 'a', 'b') FROM a", {"a": False}),
        ("INSERT INTO a(x) SELECT x FROM b", {"a": True, "b": False}),
        ("INSERT OR REPLACE INTO a VALUES (1)", {"a": True}),
        ("REPLACE INTO a VALUES (';')", {"a": True}),
        ("INSERT INTO a VALUES (1) ON CONFLICT DO UPDATE SET x = 2", {"a": True}),
        ("UPDATE a SET x = (SELECT max(x) FROM b)", {"a": True, "b": False}),
        ("UPDATE OR IGNORE a SET x = 1 FROM b", {"a": True, "b": False}),
        ("DELETE FROM a WHERE x IN (SELECT x FROM b)", {"a": True, "b": False}),
        ("DELETE FROM a RETURNING x", {"a": True}),
        ("WITH c AS (SELECT * FROM b) DELETE FROM a WHERE x IN c", {"a": True, "b": False}),
        ("WITH c AS (SELECT 1 FROM b) INSERT INTO a SELECT * FROM c",
         {"a": True, "b": False, "c": False}),
        ("SELECT * FROM a; UPDATE a SET x = 1", {"a": True}),
        ("SELECT * FROM (SELECT * FROM a), b", {"a": False, "b": False}),
        ("VALUES (1)", {}),
    ],
)  # fmt: skip
def test_the_tables_of_a_plain_statement_are_read_from_its_text(sql, used):
    assert dict(tables_of(sql) or ()) == used


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE a(x)",
        "DROP TABLE a",
        "PRAGMA foreign_keys = on",
        "EXPLAIN SELECT 1",
        "SELECT 1 FROM a; ALTER TABLE a ADD y",
        "nonsense",
        "(SELECT 1 FROM a)",
        "WITH c AS (SELECT 1)",
    ],
)
def test_what_is_no_plain_statement_touches_the_whole_database(sql):
    assert tables_of(sql) is None


TABLES = st.sampled_from(["a", "b", '"C d"', "main.a", "[b]", "`a`", "A"])


@st.composite
def selects(draw: Any, depth: int = 2) -> str:
    sources = draw(st.lists(TABLES, min_size=1, max_size=2))
    joint = draw(st.sampled_from([", ", " JOIN ", " LEFT JOIN ", " NATURAL JOIN "]))
    named = [f"{name} AS s{index}" for index, name in enumerate(sources)]
    sql = f"SELECT s0.x FROM {joint.join(named)}"
    if depth and draw(st.booleans()):
        sql += f" WHERE s0.x IN ({draw(selects(depth - 1))})"
    if depth and draw(st.booleans()):
        verb = draw(st.sampled_from(["UNION", "EXCEPT"]))
        sql += f" {verb} {draw(selects(depth - 1))}"
    elif draw(st.booleans()):
        sql += draw(st.sampled_from([" ORDER BY 1", " GROUP BY s0.x", " LIMIT 3", ""]))
    return sql


@st.composite
def statements(draw: Any) -> str:
    table, source = draw(TABLES), draw(selects())
    sql = draw(
        st.sampled_from(
            [
                source,
                f"INSERT INTO {table}(x) {source}",
                f"INSERT OR IGNORE INTO {table} VALUES (({source}))",
                f"UPDATE {table} SET x = ({source})",
                f"UPDATE {table} SET x = 1 WHERE x IN ({source})",
                f"DELETE FROM {table} WHERE EXISTS ({source})",
                f"REPLACE INTO {table}(x) {source}",
            ]
        )
    )
    if draw(st.booleans()):
        sql = f"WITH w AS ({draw(selects(0))}) {sql}"
    return draw(st.sampled_from([sql, sql.lower(), f"/* from z */ {sql};"]))


@given(statements())
def test_no_table_that_sqlite_touches_is_missed(sql):
    database = sqlite3.connect(":memory:")
    database.executescript('CREATE TABLE a(x); CREATE TABLE b(x); CREATE TABLE "C d"(x)')
    read: set[str] = set()
    written: set[str] = set()

    def authorize(action: int, name: str, *_: Any) -> int:
        if action == sqlite3.SQLITE_READ:
            read.add(name.lower())
        elif action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE):
            written.add(name.lower())
        return sqlite3.SQLITE_OK

    database.set_authorizer(authorize)
    database.execute(f"EXPLAIN {sql}")
    database.close()
    touched = tables_of(sql)

    assert touched is not None
    assert written == {name for name, is_written in touched if is_written}
    # SQLite does not read a table of which it needs nothing, and shows subqueries as tables.
    assert {"a", "b", "c d"} & read <= {name for name, _ in touched}
