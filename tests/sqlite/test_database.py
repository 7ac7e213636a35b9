"""Time, chance, limits, permissions and texts of SQL. Facts are those measured on workerd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator.sqlite.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.sqlite.database import Database


def rows(database: Database, sql: str, *bindings: Any) -> list[Any]:
    return database.query(sql, bindings).fetch_all()


def error(database: Database, sql: str, *bindings: Any) -> str:
    with pytest.raises(SqlError) as caught:
        rows(database, sql, *bindings)
    return caught.value.message


# -- time and chance ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("datetime('now')", "2026-01-01 00:00:00"),
        ("date()", "2026-01-01"),
        ("time('now', 'subsec')", "00:00:00.123"),
        ("current_timestamp", "2026-01-01 00:00:00"),
        ("current_date", "2026-01-01"),
        ("current_time", "00:00:00"),
        ("unixepoch()", 1_767_225_600),
        ("strftime('%f', 'now')", "00.123"),
        ("round(julianday('now'), 3)", 2461041.5),
        ("datetime('now', '+1 day', 'localtime')", "2026-01-02 00:00:00"),
        ("timediff('now', '2025-01-01')", "+0001-00-00 00:00:00.123"),
    ],
)
def test_now_is_simulated_in_every_function(database: Database, sql: str, value: Any) -> None:
    assert rows(database, f"SELECT {sql}") == [(value,)]


def test_defaults_and_triggers_read_the_simulated_time(make: Callable[..., Database]) -> None:
    now = [0]
    database = make(now_ms=lambda: now[0])
    rows(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP)")
    rows(database, "CREATE TABLE log(at INTEGER)")
    rows(
        database,
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES(unixepoch()); END",
    )
    for now[0] in (1_000, 86_400_000):
        rows(database, "INSERT INTO t DEFAULT VALUES")

    assert rows(database, "SELECT at FROM t") == [
        ("1970-01-01 00:00:01",),
        ("1970-01-02 00:00:00",),
    ]
    assert rows(database, "SELECT at FROM log") == [(1,), (86_400,)]


def test_each_database_reads_its_own_clock(make: Callable[..., Database]) -> None:
    early, late = make(now_ms=lambda: 1_000), make(now_ms=lambda: 2_000)

    assert [rows(d, "SELECT unixepoch()") for d in (early, late, early)] == [
        [(1,)],
        [(2,)],
        [(1,)],
    ]


CHANCE = "SELECT random(), random(), hex(randomblob(4)), abs(random() % 100)"


def test_chance_obeys_the_seed_and_nothing_else(make: Callable[..., Database]) -> None:
    first = rows(make(seed=1), CHANCE)
    rows(make(seed=9), "SELECT random()")

    assert rows(make(seed=1), CHANCE) == first
    assert rows(make(seed=2), CHANCE) != first
    assert first[0][0] != first[0][1]


def test_random_spans_all_sixty_four_bits(database: Database) -> None:
    numbers = [rows(database, "SELECT random()")[0][0] for _ in range(64)]

    assert any(number < 0 for number in numbers)
    assert max(map(abs, numbers)) > 2**60


@pytest.mark.parametrize(
    ("size", "length"), [("3", 3), ("0", 1), ("-5", 1), ("NULL", 1), ("'4x'", 4), ("2.9", 2)]
)
def test_a_random_blob_is_at_least_one_byte(database: Database, size: str, length: int) -> None:
    assert rows(database, f"SELECT length(randomblob({size}))") == [(length,)]


def test_rows_in_random_order_are_the_same_for_the_same_seed(
    make: Callable[..., Database],
) -> None:
    sql = "SELECT value FROM json_each('[1,2,3,4,5,6,7,8,9]') ORDER BY random()"

    assert rows(make(seed=5), sql) == rows(make(seed=5), sql)
    assert len({tuple(rows(make(seed=seed), sql)) for seed in range(5)}) > 1


# -- limits ------------------------------------------------------------------------------------


def names(count: int) -> str:
    return ",".join(f"c{number}" for number in range(1, count + 1))


def many(start: str, separator: str, count: int) -> str:
    return start + separator.join(["1"] * count)


def select(count: int) -> str:
    return many("SELECT ", ",", count).replace("1", "?")


@pytest.mark.parametrize(
    ("fits", "too_much", "text"),
    [
        (
            (select(100), *range(100)),
            (select(101), *range(101)),
            "too many SQL variables at offset 207: SQLITE_ERROR",
        ),
        (
            ("SELECT ?100", *range(100)),
            ("SELECT ?101",),
            "variable number must be between ?1 and ?100 at offset 7: SQLITE_ERROR",
        ),
        (
            (f"CREATE TABLE a({names(100)})",),
            (f"CREATE TABLE c101({names(101)})",),
            "too many columns on c101: SQLITE_ERROR",
        ),
        (
            (select(100), *range(100)),
            (many("SELECT ", ",", 101),),
            "too many columns in result set: SQLITE_ERROR",
        ),
        (
            ("SELECT 'x' LIKE ?", "x" * 50),
            ("SELECT 'x' LIKE ?", "x" * 51),
            "LIKE or GLOB pattern too complex: SQLITE_ERROR",
        ),
        (
            ("SELECT 'x' GLOB ?", "é" * 25),
            ("SELECT 'x' GLOB ?", "é" * 26),
            "LIKE or GLOB pattern too complex: SQLITE_ERROR",
        ),
        (
            (many("SELECT ", " UNION ALL SELECT ", 5),),
            (many("SELECT ", " UNION ALL SELECT ", 6),),
            "too many terms in compound SELECT: SQLITE_ERROR",
        ),
        (
            (many("SELECT ", "+", 100),),
            (many("SELECT ", "+", 101),),
            "Expression tree is too large (maximum depth 100): SQLITE_ERROR",
        ),
        (
            (many("SELECT char(", ",", 127) + ")",),
            (many("SELECT char(", ",", 128) + ")",),
            "too many arguments on function char at offset 7: SQLITE_ERROR",
        ),
        (
            ("SELECT zeroblob(2200000)",),
            ("SELECT zeroblob(2200001)",),
            "string or blob too big: SQLITE_TOOBIG",
        ),
        (
            ("SELECT randomblob(2200000)",),
            ("SELECT randomblob(2200001)",),
            "string or blob too big: SQLITE_TOOBIG",
        ),
        (
            ("SELECT length(?)", "x" * 2_200_000),
            ("SELECT length(?)", "x" * 2_200_001),
            "string or blob too big: SQLITE_TOOBIG",
        ),
        (
            ("SELECT 1".ljust(100_000),),
            ("SELECT 1".ljust(100_001),),
            "statement too long: SQLITE_TOOBIG",
        ),
        (
            ("SELECT '" + "é" * 49_995 + "'",),
            ("SELECT '" + "é" * 49_996 + "'",),
            "statement too long: SQLITE_TOOBIG",
        ),
    ],
)
def test_a_limit_holds_exactly(
    database: Database, fits: tuple[Any, ...], too_much: tuple[Any, ...], text: str
) -> None:
    rows(database, *fits)

    assert error(database, *too_much) == text


@pytest.mark.parametrize(
    "sql",
    [
        "VALUES " + ",".join(["(1)"] * 500),
        "SELECT 1 IN (" + ",".join(["1"] * 1_000) + ")",
    ],
    ids=["rows", "list"],
)
def test_long_lists_are_not_limited(database: Database, sql: str) -> None:
    assert rows(database, sql)


def test_the_documented_size_of_a_value_in_d1_is_smaller(make: Callable[..., Database]) -> None:
    d1 = make(profile="d1")
    rows(d1, "SELECT zeroblob(2000000)")

    assert error(d1, "SELECT zeroblob(2000001)") == "string or blob too big: SQLITE_TOOBIG"
    local = make(profile="d1", value_bytes_max=2_200_000)
    assert rows(local, "SELECT length(zeroblob(2200000))") == [(2_200_000,)]


# -- permissions -------------------------------------------------------------------------------

REFUSED = "not authorized: SQLITE_AUTH"


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH ':memory:' AS other",
        "DETACH other",
        "CREATE TEMP TABLE x(a)",
        "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE VIRTUAL TABLE x USING fts3(a)",
        "CREATE TABLE _cf_x(a)",
        "CREATE TABLE _CF_x(a)",
        "CREATE INDEX _cf_i ON t(x)",
        "CREATE VIEW _cf_v AS SELECT 1",
        "ALTER TABLE t RENAME TO _cf_t",
        "DROP TABLE _cf_KV",
        "INSERT INTO _cf_KV VALUES('k', x'')",
        "UPDATE _cf_KV SET value = x''",
        "DELETE FROM _cf_KV",
        "PRAGMA table_info(_cf_KV)",
        "PRAGMA journal_mode",
        "PRAGMA user_version",
        "PRAGMA page_count",
        "PRAGMA writable_schema = 1",
        "PRAGMA foreign_keys = 2",
        "PRAGMA nope",
    ],
)
def test_what_a_worker_may_not_touch(database: Database, sql: str) -> None:
    database.execute("CREATE TABLE _cf_KV(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    rows(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")

    assert error(database, sql) == REFUSED


def test_reading_a_reserved_table_names_its_column(database: Database) -> None:
    assert error(database, "SELECT * FROM _cf_KV") == "no such table: _cf_KV: SQLITE_ERROR"
    database.execute("CREATE TABLE _cf_KV(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

    text = "access to _cf_KV.key is prohibited: SQLITE_AUTH"
    assert error(database, "SELECT key FROM _cf_KV") == text
    assert error(database, "SELECT count(*) FROM _cf_KV") == REFUSED
    assert rows(database, "SELECT name FROM sqlite_master") == [("_cf_KV",)]


@pytest.mark.parametrize(
    "name", ["sqlite_version", "sqlite_compileoption_get", "sqlite_source_id"]
)
def test_a_function_outside_of_the_list_is_named(database: Database, name: str) -> None:
    argument = "1" if name.endswith("get") else ""
    text = f"not authorized to use function: {name} at offset 7: SQLITE_ERROR"

    assert error(database, f"SELECT {name}({argument})") == text


@pytest.mark.parametrize(
    "sql",
    ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "begin immediate"],
)
def test_transactions_by_hand_are_refused_with_advice(database: Database, sql: str) -> None:
    assert error(database, sql).startswith(
        "To execute a transaction, please use the state.stor"
    )
    assert not database.in_transaction


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA table_list",
        "PRAGMA table_info(t)",
        "PRAGMA foreign_keys",
        "PRAGMA quick_check",
        "PRAGMA optimize",
        "PRAGMA case_sensitive_like = on",
        "PRAGMA defer_foreign_keys = 'yes'",
        "CREATE VIRTUAL TABLE f USING fts5(body)",
        "SELECT json_extract('{\"a\":1}', '$.a') -> '$'",
        "SELECT row_number() OVER () FROM t",
        "ALTER TABLE t RENAME COLUMN x TO y",
    ],
)
def test_what_a_worker_may_do(database: Database, sql: str) -> None:
    rows(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")

    rows(database, sql)


def test_sql_of_our_own_may_do_everything(database: Database) -> None:
    database.execute("CREATE TABLE _cf_KV(key TEXT)")
    assert database.execute("SELECT count(*) FROM _cf_KV") == [(0,)]
    # The same text from a worker is not the cached statement of ours.
    assert error(database, "SELECT count(*) FROM _cf_KV") == REFUSED


def test_settings_last_until_they_are_reset(database: Database) -> None:
    like = "SELECT 'a' LIKE 'A'"
    rows(database, "PRAGMA case_sensitive_like = on")
    assert rows(database, like) == [(0,)]
    database.reset_pragmas()

    assert rows(database, like) == [(1,)]


def test_foreign_keys_are_off_until_the_settings_are_reset(database: Database) -> None:
    rows(database, "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)")
    rows(database, "PRAGMA foreign_keys = off")
    rows(database, "INSERT INTO c VALUES(1)")
    database.begin()
    database.reset_pragmas()

    assert rows(database, "PRAGMA foreign_keys") == [(1,)]
    assert error(database, "INSERT INTO c VALUES(1)") == (
        "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT "
        "(extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
    )


CONSTRAINT = ": SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT"

# -- texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELEC 1", 'near "SELEC": syntax error at offset 0: SQLITE_ERROR'),
        ("SELECT", "incomplete input: SQLITE_ERROR"),
        ("SELECT 'x", 'unrecognized token: "\'x" at offset 7: SQLITE_ERROR'),
        ("SELECT * FROM nope", "no such table: nope: SQLITE_ERROR"),
        ("SELECT nope", "no such column: nope at offset 7: SQLITE_ERROR"),
        ("SELECT nofunc()", "no such function: nofunc at offset 7: SQLITE_ERROR"),
        (
            "SELECT substr(1)",
            "wrong number of arguments to function substr() at offset 7: SQLITE_ERROR",
        ),
        (
            "INSERT INTO t VALUES(1)",
            "table t has 3 columns but 1 values were supplied: SQLITE_ERROR",
        ),
        ("CREATE TABLE t(a)", "table t already exists at offset 13: SQLITE_ERROR"),
        (
            "INSERT INTO t VALUES(2, 'a', 0)",
            f"UNIQUE constraint failed: t.x{CONSTRAINT}_UNIQUE)",
        ),
        (
            "INSERT INTO t VALUES(1, 'b', 0)",
            f"UNIQUE constraint failed: t.id{CONSTRAINT}_PRIMARYKEY)",
        ),
        (
            "INSERT INTO t VALUES(2, 'b', NULL)",
            f"NOT NULL constraint failed: t.n{CONSTRAINT}_NOTNULL)",
        ),
        (
            "INSERT INTO t VALUES(2, 'b', -1)",
            f"CHECK constraint failed: n >= 0{CONSTRAINT}_CHECK)",
        ),
        ("INSERT INTO t VALUES('x', 'b', 0)", "datatype mismatch: SQLITE_MISMATCH"),
        ("SELECT json('{')", "malformed JSON: SQLITE_ERROR"),
        ("SELECT abs(-9223372036854775808)", "integer overflow: SQLITE_ERROR"),
        ("SELECT 1 LIMIT 1.5", "datatype mismatch: SQLITE_MISMATCH"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_text_of_sqlite_is_told_as_workerd_tells_it(
    database: Database, sql: str, text: str
) -> None:
    rows(
        database,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE, n INT NOT NULL CHECK(n >= 0))",
    )
    rows(database, "INSERT INTO t VALUES(1, 'a', 0)")

    assert error(database, sql) == text


def test_an_error_has_its_codes_for_rooms_above(database: Database) -> None:
    rows(database, "CREATE TABLE t(x UNIQUE)")
    rows(database, "INSERT INTO t VALUES(1)")
    with pytest.raises(SqlError) as caught:
        rows(database, "INSERT INTO t VALUES(1)")

    assert caught.value.code == "SQLITE_CONSTRAINT"
    assert caught.value.extended_code == "SQLITE_CONSTRAINT_UNIQUE"
    assert caught.value.name == "Error"
    assert not caught.value.is_critical


# -- several statements ------------------------------------------------------------------------


def test_every_statement_runs_and_the_last_gives_the_rows(database: Database) -> None:
    text = "CREATE TABLE t(x); INSERT INTO t VALUES(7);\n SELECT x, ? AS y FROM t; \n"
    query = database.query(text, ["b"])

    assert query.columns == ("x", "y")
    assert query.fetch_all() == [(7, "b")]
    assert not query.is_readonly
    assert database.query("SELECT 1").is_readonly


def test_an_error_in_a_later_statement_does_not_undo_an_earlier_one(database: Database) -> None:
    rows(database, "CREATE TABLE t(x)")
    error(database, "INSERT INTO t VALUES(1); bad")

    assert rows(database, "SELECT x FROM t") == [(1,)]


WRONG_COUNT = "Wrong number of parameter bindings for SQL query."


@pytest.mark.parametrize(
    ("sql", "bindings", "text"),
    [
        ("SELECT ?, ?", [1], WRONG_COUNT),
        ("SELECT ?", [1, 2], WRONG_COUNT),
        ("SELECT 1", [1], WRONG_COUNT),
        ("SELECT ?2", [1], WRONG_COUNT),
        ("SELECT ?; SELECT 1", [1], "When executing multiple SQL statements in a single call"),
        ("", [], "SQL code did not contain a statement."),
        ("  \n", [], "SQL code did not contain a statement."),
        (";", [], "SQL code did not contain a statement."),
        ("-- c", [], "SQL code did not contain a statement."),
        ("SELECT 1; -- c", [], "SQL code did not contain a statement."),
        ("SELECT 1; /* c */", [], "SQL code did not contain a statement."),
    ],
)
def test_a_text_that_does_not_fit_its_bindings_or_is_none(
    database: Database, sql: str, bindings: list[Any], text: str
) -> None:
    assert error(database, sql, *bindings).startswith(text)


@pytest.mark.parametrize(
    ("sql", "bindings", "expected"),
    [
        ("SELECT ?2", ["x", "y"], ("y",)),
        ("SELECT ?1, ?", ["x", "y"], ("x", "y")),
        ("SELECT :a, @b, $c", [1, 2, 3], (1, 2, 3)),
        ("SELECT ?, ?", [None, b"\x00\xff"], (None, b"\x00\xff")),
    ],
)
def test_parameters_of_every_form_bind_by_position(
    database: Database, sql: str, bindings: list[Any], expected: tuple[Any, ...]
) -> None:
    assert rows(database, sql, *bindings) == [expected]


def test_rows_are_read_one_ahead(database: Database) -> None:
    rows(database, "CREATE TABLE t(x); INSERT INTO t VALUES(1), (2), (3)")
    query = database.query("SELECT x FROM t ORDER BY rowid")
    first = next(query)
    rows(database, "UPDATE t SET x = x * 10")

    assert [first, *query] == [(1,), (2,), (30,)]


def test_a_table_that_a_query_still_reads_is_locked(database: Database) -> None:
    rows(database, "CREATE TABLE t(x); INSERT INTO t VALUES(1), (2), (3)")
    query = database.query("SELECT x FROM t")
    assert error(database, "DROP TABLE t") == "database table is locked: SQLITE_LOCKED"
    query.close()

    rows(database, "DROP TABLE t")


# -- facts and images --------------------------------------------------------------------------


def test_an_empty_database_counts_one_page(database: Database) -> None:
    assert database.database_size_bytes == 4_096
    rows(database, "CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(10000))")
    grown = database.database_size_bytes
    rows(database, "DELETE FROM t")

    assert 4_096 < database.database_size_bytes < grown


def test_an_image_is_the_whole_database(make: Callable[..., Database]) -> None:
    source, target = make(), make()
    rows(source, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")
    target.execute("CREATE TABLE gone(x)")
    target.deserialize(source.serialize())

    assert rows(target, "SELECT * FROM t") == [(1,)]
    assert error(target, "SELECT * FROM gone") == "no such table: gone: SQLITE_ERROR"
    target.deserialize(b"")
    assert rows(target, "SELECT name FROM sqlite_master") == []


def test_a_savepoint_undoes_what_came_after_it(database: Database) -> None:
    rows(database, "CREATE TABLE t(x)")
    database.begin()
    rows(database, "INSERT INTO t VALUES(1)")
    database.savepoint("a")
    rows(database, "INSERT INTO t VALUES(2)")
    database.rollback_to("a")
    database.release("a")
    database.commit()
    database.rollback()  # Nothing is open any more, and nothing happens.

    assert rows(database, "SELECT x FROM t") == [(1,)]


def test_deferred_violations_are_known_before_the_commit(database: Database) -> None:
    rows(database, "CREATE TABLE p(id INTEGER PRIMARY KEY)")
    rows(database, "CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
    database.begin()
    rows(database, "INSERT INTO c VALUES(1)")
    assert database.deferred_foreign_key_violations()
    with pytest.raises(SqlError, match="FOREIGN KEY constraint failed"):
        database.commit()
    rows(database, "INSERT INTO p VALUES(1)")

    assert not database.deferred_foreign_key_violations()
    database.commit()
