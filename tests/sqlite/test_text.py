"""Where one statement ends and the next begins."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sqlite.text import is_blank, split_statements


@pytest.mark.parametrize(
    ("sql", "pieces"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1;"]),
        ("SELECT 1;  \n", ["SELECT 1;"]),
        ("SELECT 1; SELECT 2", ["SELECT 1;", "SELECT 2"]),
        ("SELECT ';'; SELECT 2;", ["SELECT ';';", "SELECT 2;"]),
        ('SELECT ";" ; SELECT 2', ['SELECT ";" ;', "SELECT 2"]),
        ("SELECT [;]; SELECT `;`", ["SELECT [;];", "SELECT `;`"]),
        ("SELECT 'it''s; x'; SELECT 2", ["SELECT 'it''s; x';", "SELECT 2"]),
        ("SELECT 1 -- a; b\n; SELECT 2", ["SELECT 1 -- a; b\n;", "SELECT 2"]),
        ("SELECT 1 /* a; b */; SELECT 2", ["SELECT 1 /* a; b */;", "SELECT 2"]),
        ("SELECT 1; -- c", ["SELECT 1;", "-- c"]),
        ("SELECT 'open; SELECT 2", ["SELECT 'open; SELECT 2"]),
        (
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END; SELECT 3",
            ["CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END;", "SELECT 3"],
        ),
    ],
)
def test_a_semicolon_ends_a_statement_unless_it_hides(sql: str, pieces: list[str]) -> None:
    assert list(split_statements(sql)) == pieces


ATOMS = [
    *("SELECT 1", "x", "'a;b'", '"c;d"', "[e;f]", "`g;h`", "-- i;j\n", "/* k;l */", "'m''n'"),
    *(";", ";", ";", " ", "\n"),
]


@given(st.lists(st.sampled_from(ATOMS), max_size=12).map("".join))
def test_pieces_are_the_text_and_each_is_complete(sql: str) -> None:
    pieces = list(split_statements(sql))

    assert "".join("".join(pieces).split()) == "".join(sql.split())
    assert all(sqlite3.complete_statement(piece) for piece in pieces[:-1])


@pytest.mark.parametrize(
    "sql", ["", " \n\t", ";", ";;", "-- c", "/* c */", "/* open", "\ufeff"]
)
def test_blanks_and_comments_are_no_statement(sql: str) -> None:
    assert is_blank(sql)
    assert not is_blank(sql + "\nSELECT 1") or sql == "/* open"
