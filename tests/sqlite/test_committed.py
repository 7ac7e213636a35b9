"""The laws of the committed image."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.sqlite.database import Database, image_of
from emulator.sqlite.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_a_snapshot_of_what_was_only_read_is_what_it_began_with(
    make: Callable[..., Database],
) -> None:
    image = image_of(TABLE)
    database = make()
    database.deserialize(image)
    assert database.execute("SELECT * FROM t") == []
    assert database.snapshot() == (image, True)
    database.execute("INSERT INTO t VALUES (1, 'x')")
    assert not database.snapshot().is_common


def test_snapshots_share_their_bytes_while_nothing_changes(filled: Database) -> None:
    first = filled.snapshot()
    filled.begin()
    filled.execute("DELETE FROM t")
    assert filled.snapshot().image is first.image
    filled.commit()
    second = filled.snapshot()
    assert second.image != first.image
    assert filled.snapshot().image is second.image


tables = st.sampled_from(["t", "u", "v"])
numbers = st.integers(1, 9)


def statement(text: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return st.tuples(tables, *arguments).map(lambda values: text.format(*values))


statements = st.one_of(
    statement("CREATE TABLE {} (k INTEGER PRIMARY KEY, v, w DEFAULT 3)"),
    statement("DROP TABLE {}"),
    statement("DELETE FROM {} WHERE k % {} = 0", numbers),
    statement(
        "INSERT OR REPLACE INTO {} (k, v) WITH RECURSIVE n(i) AS "
        "(SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i, randomblob({}) FROM n",
        st.sampled_from([1, 40, 3_000]),
        st.sampled_from([1, 50, 900]),
    ),
    statement("UPDATE {} SET v = zeroblob({})", st.sampled_from([0, 10, 6_000])),
    statement("INSERT OR REPLACE INTO {} (k, v) VALUES (1, zeroblob(3000000))"),
    statement("CREATE INDEX i{0} ON {0} (v)"),
    statement("DROP INDEX i{}"),
    statement("ALTER TABLE {} ADD COLUMN x{} DEFAULT 'q'", numbers),
    statement("ALTER TABLE {} DROP COLUMN w"),
    statement(
        "CREATE TABLE c{0} (r REFERENCES {0} DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO c{0} VALUES (1), (-1)"
    ),
    st.builds("SAVEPOINT s{}".format, numbers),
    st.builds("ROLLBACK TO s{}".format, numbers),
    st.builds("RELEASE s{}".format, numbers),
)


def run(database: Database, texts: list[str]) -> None:
    for text in texts:
        # No such table, and the like: one more thing that a transaction survives.
        with suppress(SqlError):
            database.execute(text)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(statements, max_size=8),
    st.lists(st.lists(statements, min_size=1, max_size=6), min_size=1, max_size=4),
)
def test_a_snapshot_is_a_rollback_whatever_has_been_done(
    before: list[str], inside: list[list[str]]
) -> None:
    database = Database(now_ms=lambda: 0, random_bytes=bytes)
    other = Database(now_ms=lambda: 0, random_bytes=bytes)
    run(database, [text for text in before if "SAVEPOINT" not in text])
    expected = content(database)
    database.begin()
    for texts in inside:
        run(database, texts)
        other.restore(database.snapshot())
        assert content(other) == expected
    database.rollback()
    assert content(database) == expected
    database.close()
    other.close()
