"""Laws of connections that are used more than once: no database knows of an earlier one."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from emulator.sqlite import connections
from emulator.sqlite.database import Database, image_of
from emulator.sqlite.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IMAGE = image_of(
    "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
    "CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, x UNIQUE, at DEFAULT (date()))",
    "CREATE TABLE child(id INTEGER PRIMARY KEY, p REFERENCES parent DEFERRABLE INITIALLY "
    "DEFERRED, other REFERENCES parent)",
    "CREATE INDEX by_x ON parent(coalesce(x, ''))",
    'CREATE VIEW "a ""view" AS SELECT x FROM parent',
)


@pytest.fixture(autouse=True)
def no_idle_connections() -> Iterator[None]:
    """Nothing waits of an earlier test, and nothing of this one afterwards."""

    def close_all() -> None:
        while connections._idle:
            connections._idle.pop().close()

    close_all()
    yield
    close_all()


@pytest.fixture
def begin(make: Callable[..., Database]) -> Callable[..., Database]:
    """Opens a database that begins with an image."""

    def build(image: bytes = IMAGE, **options: Any) -> Database:
        database = make(profile="d1", **options)
        database.deserialize(image)
        return database

    return build


def rows(database: Database, sql: str, *bindings: Any) -> list[Any]:
    query = database.query(sql, bindings)
    try:
        return query.fetch_all()
    finally:
        query.close()


def seen(database: Database) -> list[Any]:
    """All that SQL can tell of a database, and what it makes of new rows, tables, errors."""

    def ask(*questions: str) -> list[Any]:
        return [rows(database, question) for question in questions]

    facts = ask(
        "SELECT total_changes(), changes(), last_insert_rowid()",
        "SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child)",
        "SELECT * FROM sqlite_sequence",
        "SELECT * FROM sqlite_schema",
        "SELECT 'a' LIKE 'A', random(), unixepoch()",
        "EXPLAIN SELECT x FROM parent WHERE id > 1 ORDER BY coalesce(x, '')",
        "PRAGMA data_version",
        "PRAGMA table_list",
        "PRAGMA foreign_keys",
        "PRAGMA defer_foreign_keys",
        "PRAGMA quick_check",
    )
    facts.append((database.total_changes, database.last_insert_rowid, database.in_transaction))
    facts.append(database.execute("SELECT * FROM _cf_KV"))
    for count in (1, 200):
        database.begin()
        facts += ask(
            *["INSERT INTO parent(x) VALUES(hex(randomblob(30))) RETURNING *"] * count,
            "INSERT INTO child(p) VALUES(1), (1) RETURNING id, total_changes()",
            "SELECT total_changes(), changes(), last_insert_rowid()",
        )
        database.commit()
        facts.append((database.total_changes, database.database_size_bytes))
    with pytest.raises(SqlError, match="FOREIGN KEY") as refused:
        rows(database, "INSERT INTO child(other) VALUES(9999)")
    facts.append(str(refused.value))
    facts += ask("CREATE TABLE late(x)", "SELECT name, rootpage FROM sqlite_schema")
    return facts


def nothing(database: Database) -> None:
    rows(database, "SELECT 1")


def writes(database: Database) -> None:
    rows(database, "INSERT INTO parent(x) VALUES(1), (2), (3)")
    rows(database, "INSERT INTO child(p, other) VALUES(1, 2), (3, 3)")
    rows(database, "DELETE FROM child WHERE id = 1")
    rows(database, "SELECT * FROM parent WHERE id > ?1 ORDER BY coalesce(x, '')", 1)
    database.execute("INSERT INTO _cf_KV VALUES('k', x'00')")


def fails(database: Database) -> None:
    writes(database)
    for sql in ("INSERT INTO parent(x) VALUES(7), (1)", "SELEC", "DELETE FROM _cf_KV WHERE 1"):
        with pytest.raises(SqlError):
            rows(database, sql)


def dies_in_a_savepoint(database: Database) -> None:
    writes(database)
    database.begin()
    rows(database, "INSERT INTO parent(x) VALUES('lost')")
    database.savepoint("a")
    rows(database, "INSERT INTO child(p) VALUES(99)")


def rolls_back(database: Database) -> None:
    database.begin()
    for _ in range(300):
        rows(database, "INSERT INTO parent(x) VALUES(hex(randomblob(60)))")
    database.rollback()
    database.begin()
    writes(database)
    with pytest.raises(SqlError):
        rows(database, "INSERT OR ROLLBACK INTO parent(x) VALUES(1)")


def has_sized_up(database: Database) -> None:
    database.begin()
    writes(database)
    assert database.database_size_bytes == len(IMAGE)
    database.commit()


def grows(database: Database) -> None:
    for _ in range(300):
        rows(database, "INSERT INTO parent(x) VALUES(hex(randomblob(60)))")
    rows(database, "DELETE FROM parent")


def makes_a_table(database: Database) -> None:
    rows(database, "CREATE TABLE mine(x); INSERT INTO mine VALUES(1)")


def makes_a_table_in_vain(database: Database) -> None:
    database.begin()
    rows(database, "CREATE TABLE mine(x)")
    database.rollback()


def makes_a_table_of_ours(database: Database) -> None:
    database.execute("CREATE TABLE _cf_x(y)")


def analyses(database: Database) -> None:
    writes(database)
    rows(database, "ANALYZE")


def changes_a_setting(database: Database) -> None:
    rows(database, "PRAGMA case_sensitive_like = on")
    database.reset_pragmas()
    rows(database, "PRAGMA foreign_keys = off")


def leaves_a_query(database: Database) -> None:
    writes(database)
    next(database.query("SELECT * FROM parent"))


def leaves_rows_of_ours(database: Database) -> None:
    writes(database)
    next(database.iterate("SELECT * FROM parent"))  # type: ignore[call-overload]


def holds_a_large_value(database: Database) -> None:
    rows(database, "SELECT length(?)", "x" * 1_500_000)


KEPT = [nothing, writes, fails, dies_in_a_savepoint, rolls_back, has_sized_up]
NOT_KEPT = [
    grows,
    makes_a_table,
    makes_a_table_in_vain,
    makes_a_table_of_ours,
    analyses,
    changes_a_setting,
    leaves_a_query,
    leaves_rows_of_ours,
    holds_a_large_value,
]


@pytest.mark.parametrize("life", KEPT)
def test_a_database_on_a_used_connection_is_as_a_new_one(
    begin: Callable[..., Database], life: Callable[[Database], None]
) -> None:
    expected = seen(begin(seed=2, now_ms=lambda: 5_000))
    for _ in range(3):
        first = begin(seed=1, now_ms=lambda: 9_000)
        life(first)
        first.close()
        assert len(connections._idle) == 1, "the connection was not kept"

    assert seen(begin(seed=2, now_ms=lambda: 5_000)) == expected
    assert not connections._idle, "another connection was used"


@pytest.mark.parametrize("life", NOT_KEPT)
def test_a_connection_that_cannot_be_as_new_is_closed(
    begin: Callable[..., Database], life: Callable[[Database], None]
) -> None:
    database = begin()
    life(database)
    database.close()

    assert not connections._idle


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE a(x)", "INSERT INTO a VALUES(1)"),
        ("CREATE TABLE a(x)", "CREATE TRIGGER g AFTER DELETE ON a BEGIN SELECT 1; END"),
        ("CREATE TABLE a(x)", "CREATE INDEX i ON a(x)", "ANALYZE"),
        ("CREATE VIRTUAL TABLE a USING fts5(x)",),
        ("CREATE TABLE a(x)", "CREATE TABLE b(x)", "DROP TABLE a"),
    ],
    ids=["rows", "a trigger", "statistics", "a virtual table", "a free page"],
)
def test_an_image_that_emptying_would_not_give_back_gets_new_connections(
    begin: Callable[..., Database], statements: tuple[str, ...]
) -> None:
    database = begin(image_of(*statements))
    nothing(database)
    database.close()

    assert not connections._idle


def test_rows_that_refer_to_each_other_in_a_circle_end_their_connection(
    begin: Callable[..., Database],
) -> None:
    image = image_of(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, b REFERENCES b ON DELETE RESTRICT)",
        "CREATE TABLE b(id INTEGER PRIMARY KEY, a REFERENCES a ON DELETE RESTRICT)",
    )
    database = begin(image)
    rows(database, "INSERT INTO a(id) VALUES(1)")
    rows(database, "INSERT INTO b VALUES(1, 1)")
    rows(database, "UPDATE a SET b = 1")
    database.close()

    assert not connections._idle


def test_images_and_limits_are_not_mixed(begin: Callable[..., Database]) -> None:
    begin_with = [
        (IMAGE, {}),
        (IMAGE, {"value_bytes_max": 1_000}),
        (image_of("CREATE TABLE other(x)"), {}),
    ]
    for image, options in begin_with:
        database = begin(image, **options)
        nothing(database)
        database.close()
    assert len(connections._idle) == 3

    assert rows(begin(begin_with[2][0]), "SELECT * FROM other") == []
    with pytest.raises(SqlError, match="too big"):
        rows(begin(value_bytes_max=1_000), "SELECT zeroblob(1001)")
    assert rows(begin(), "SELECT length(zeroblob(1001))") == [(1_001,)]
    assert not connections._idle


def test_a_file_stays_with_its_database(begin: Callable[..., Database], tmp_path: Path) -> None:
    nothing(memory := begin())
    memory.close()

    def on_file() -> Database:
        path = str(tmp_path / "a.sqlite")
        return Database(now_ms=lambda: 0, random_bytes=bytes, path=path, profile="d1")

    first = on_file()
    first.deserialize(IMAGE)
    rows(first, "INSERT INTO parent(x) VALUES(1)")
    first.close()
    second = on_file()

    assert rows(second, "SELECT x FROM parent") == [(1,)]
    second.close()
    assert len(connections._idle) == 1


def test_whoever_had_a_connection_cannot_reach_it_any_more(
    begin: Callable[..., Database],
) -> None:
    first = begin()
    query = first.query("SELECT 1")
    query.close()
    first.close()
    second = begin()
    writes(second)
    query.close()
    first.close()

    with pytest.raises(SqlError, match="closed"):
        first.execute("SELECT * FROM parent")
    assert not first.in_transaction
    assert list(query) == query.fetch_all() == []
    assert rows(second, "SELECT count(*) FROM parent") == [(3,)]
    second.close()
    assert len(connections._idle) == 1


def test_a_bounded_number_waits_and_the_oldest_goes_first(
    begin: Callable[..., Database],
) -> None:
    databases = [begin() for _ in range(connections._IDLE_MAX + 3)]
    for database in databases:
        nothing(database)
    links = [database._link for database in databases]
    for database in databases:
        database.close()

    assert connections._idle == links[3:]


def test_a_connection_may_go_from_thread_to_thread(begin: Callable[..., Database]) -> None:
    expected = seen(begin(seed=2))

    def use() -> None:
        database = begin()
        writes(database)
        database.close()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert len(connections._idle) == 1
    assert seen(begin(seed=2)) == expected
    assert not connections._idle


FORK = """
import os
from emulator.sqlite import connections
from emulator.sqlite.database import Database, image_of

database = Database(now_ms=lambda: 0, random_bytes=bytes)
database.deserialize(image_of("CREATE TABLE t(x)"))
database.execute("SELECT 1")
database.close()
assert len(connections._idle) == 1
child = os.fork()
if child == 0:
    os._exit(len(connections._idle))
assert os.waitpid(child, 0)[1] == 0
assert len(connections._idle) == 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_leaves_its_parents_connections_alone() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True)


def test_the_size_of_one_database_does_not_bind_the_next(begin):
    def fill(database: Database) -> None:
        for number in range(100):
            database.execute("INSERT INTO _cf_KV VALUES (?, ?)", (number, b"x" * 4_000))

    small = begin(size_bytes_max=60 * 4_096)
    rows(small, "SELECT 1")
    with pytest.raises(SqlError, match="database or disk is full: SQLITE_FULL"):
        fill(small)
    used = begin(size_bytes_max=50 * 4_096)
    rows(used, "SELECT 1")
    link = used._link
    used.close()
    following = begin()
    fill(following)

    assert following._link is link
    assert following.file_size_bytes > 100 * 4_000
