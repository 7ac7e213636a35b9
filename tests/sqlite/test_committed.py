"""The laws of the committed image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.sqlite.database import Database

TABLE = "CREATE TABLE t (k PRIMARY KEY, v) WITHOUT ROWID"
ROWS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "


def insert(first: int, count: int, text: str = "x") -> str:
    rows = ROWS.format(count - 1)
    return f"{rows} INSERT INTO t SELECT i + {first}, '{text * 100}' FROM n"


def content(database: Database) -> list[Any]:
    names = database.execute("SELECT name, sql FROM sqlite_schema ORDER BY name")
    tables = [name for name, sql in names if sql and sql.startswith("CREATE TABLE")]
    assert database.execute("PRAGMA integrity_check") == [("ok",)]
    return [names, *(database.execute(f"SELECT * FROM {table}") for table in tables)]


@pytest.fixture
def filled(database: Database) -> Database:
    database.execute(TABLE)
    database.execute(insert(0, 300))
    return database


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["UPDATE t SET v = 'changed' WHERE k = 7"],
        [insert(1_000, 2_000, "y")],
        ["DELETE FROM t"],
        ["DROP TABLE t"],
        ["CREATE TABLE u (x)", "INSERT INTO u SELECT k FROM t"],
        ["DELETE FROM t", insert(0, 50, "z"), "CREATE TABLE u AS SELECT * FROM t"],
        ["SAVEPOINT a", "DELETE FROM t", "RELEASE a", "SAVEPOINT b", insert(500, 500)],
        ["SAVEPOINT a", "DELETE FROM t", "ROLLBACK TO a", "RELEASE a"],
        ["ALTER TABLE t ADD COLUMN w DEFAULT 5", "CREATE INDEX i ON t (v)"],
    ],
)
def test_a_snapshot_in_a_transaction_is_what_a_rollback_would_leave(
    filled: Database, make: Callable[..., Database], changes: list[str]
) -> None:
    expected = content(filled)
    filled.begin()
    for change in changes:
        filled.execute(change)
    seen = content(filled)

    other = make()
    other.restore(filled.snapshot())

    assert content(other) == expected
    assert content(filled) == seen
    filled.rollback()
    assert content(filled) == expected


def test_a_snapshot_outside_of_a_transaction_is_the_whole_database(
    filled: Database, make: Callable[..., Database]
) -> None:
    other = make()
    other.restore(filled.snapshot())
    assert content(other) == content(filled)


def test_pages_that_were_free_before_the_transaction_do_not_matter(
    filled: Database, make: Callable[..., Database]
) -> None:
    filled.execute("DELETE FROM t WHERE k > 10")
    expected = content(filled)
    filled.begin()
    filled.execute(insert(100, 600, "y"))
    other = make()
    other.restore(filled.snapshot())
    assert content(other) == expected


def test_a_snapshot_after_a_commit_does_not_read_the_journal_of_before(
    filled: Database, make: Callable[..., Database]
) -> None:
    filled.begin()
    filled.execute("DELETE FROM t")
    filled.commit()
    filled.begin()
    other = make()
    other.restore(filled.snapshot())
    assert content(other)[1] == []


def test_a_query_under_way_goes_on_over_a_snapshot(filled: Database) -> None:
    filled.begin()
    filled.execute("DELETE FROM t WHERE k >= 3")
    rows = filled.iterate("SELECT k FROM t ORDER BY k")
    assert next(rows) == (0,)
    filled.snapshot()
    assert list(rows) == [(1,), (2,)]


def test_a_database_that_was_restored_and_not_used_is_not_opened(
    filled: Database, make: Callable[..., Database]
) -> None:
    taken = filled.snapshot()
    other = make()
    other.restore(taken)
    assert other.snapshot().image is taken.image
    assert not other.in_transaction


def test_a_connection_to_restored_rows_is_not_handed_to_the_next_database(
    filled: Database, make: Callable[..., Database]
) -> None:
    taken = filled.snapshot()
    for _ in range(3):
        other = make()
        other.restore(taken)
        other.execute("UPDATE t SET v = 'changed'")
        assert other.execute("SELECT DISTINCT v FROM t") == [("changed",)]
        other.close()
