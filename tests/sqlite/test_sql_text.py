"""Laws of SQL text: where a statement ends, and which text holds none."""

from __future__ import annotations

import pytest

from emulator.sqlite.database import Database
from emulator.sqlite.errors import SqlError
from emulator.sqlite.text import is_blank, split_statements


@pytest.mark.parametrize(
    "sql",
    [
        "",
        " ;\n; ",
        "-- c",
        "/* c */",
        "/* c",
        "-- c\n/* d */ ;",
        "/* a */ /* b */",
        " \v;",
        "\ufeff",
    ],
)
def test_blanks_comments_and_semicolons_are_no_statement(sql):
    assert is_blank(sql)


@pytest.mark.parametrize(
    "sql",
    ["/* c */ x", "-- c\nx", "-- /* c\n x */", "/* a */ /* b */ x", "/* c */ x /* d", "\v"],
)
def test_what_stands_behind_a_comment_is_a_statement(sql):
    assert not is_blank(sql)


def test_a_semicolon_in_a_comment_a_string_or_a_trigger_ends_nothing():
    trigger = "CREATE TRIGGER g AFTER INSERT ON a BEGIN DELETE FROM a; SELECT 1; END;"
    statements = ["/* ; */ SELECT ';' AS \";\";", "SELECT 1 -- ;\n;", trigger]

    assert list(split_statements("\n".join(statements))) == statements


@pytest.fixture
def database():
    database = Database(now_ms=lambda: 0, random_bytes=bytes)
    yield database
    database.close()


def test_a_statement_that_begins_with_a_comment_runs(database):
    database.query("/* c */ CREATE TABLE t(a)")

    assert database.query("SELECT name FROM sqlite_schema").fetch_all() == [("t",)]


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("BEGIN", "To execute a transaction, please use"),
        ("SAVEPOINT a", "To execute a transaction, please use"),
        ("BEGIN SELECT 1", 'near "SELECT": syntax error at offset 6: SQLITE_ERROR'),
        ("ATTACH 'a' AS b", "not authorized: SQLITE_AUTH"),
    ],
)
def test_transactions_by_hand_are_refused_with_advice_unless_they_are_no_sql(
    database, sql, text
):
    with pytest.raises(SqlError) as caught:
        database.query(sql)

    assert caught.value.message.startswith(text)


def test_a_query_older_than_the_schema_has_the_new_columns(database):
    database.execute("CREATE TABLE t(a); INSERT INTO t VALUES(1)")
    database.query("SELECT * FROM t").close()
    database.execute("ALTER TABLE t ADD COLUMN b")

    query = database.query("SELECT * FROM t")

    assert (query.columns, query.fetch_all()) == (("a", "b"), [(1, None)])


def test_an_image_replaces_whatever_was_there(database):
    image = database.serialize()
    database.execute("CREATE TABLE t(a)")
    full = database.serialize()

    database.deserialize(image)
    assert database.execute("SELECT name FROM sqlite_schema") == []
    database.deserialize(full)
    assert database.execute("SELECT name FROM sqlite_schema") == [("t",)]
