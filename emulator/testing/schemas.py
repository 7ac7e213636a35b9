"""Schemas: the tables that a schema makes, and which rows it takes.

Promises: what SQLite itself says of it, in an empty database with the limits of D1: declared
types, keys, checks and foreign keys are those in force. Leaves to others: drawing rows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emulator.sqlite.database import Database
from emulator.sqlite.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Column", "Table", "tables_of", "taken"]

_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
    "ESCAPE '\\' ORDER BY rowid"
)


class Column(NamedTuple):
    """One column that can be written.

    Attributes:
        name: Its name.
        kind: Its affinity: "INTEGER", "REAL", "TEXT", "BLOB" or "ANY".
        may_be_null: Whether NULL is taken.
    """

    name: str
    kind: str
    may_be_null: bool


class Table(NamedTuple):
    """One table.

    Attributes:
        name: Its name.
        columns: Those that can be written, in their order.
    """

    name: str
    columns: tuple[Column, ...]


def tables_of(schema: str) -> list[Table]:
    """The tables that a schema makes, those first that others refer to.

    Args:
        schema: Statements of SQL.

    Raises:
        SqlError: If one of them is wrong.
    """
    return list(_opened(schema)[1])


def taken(
    schema: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """The rows that a schema takes, one after the other; what it refuses is left out.

    Args:
        schema: Statements of SQL.
        rows: By table, in the order of `tables_of`.
    """
    database, _ = _opened(schema)
    database.begin()
    try:
        return {
            table: tuple(row for row in given if _takes(database, table, row))
            for table, given in rows.items()
        }
    finally:
        database.rollback()


def _takes(database: Database, table: str, row: Mapping[str, Any]) -> bool:
    names = ", ".join(_quoted(name) for name in row)
    marks = ", ".join("?" for _ in row)
    sql = f"INSERT INTO {_quoted(table)} ({names}) VALUES ({marks})"
    try:
        database.execute(sql, tuple(row.values()))
    except SqlError:
        return False
    return True


# Kept: Hypothesis draws from one schema hundreds of times.
@lru_cache(maxsize=10)
def _opened(schema: str) -> tuple[Database, list[Table]]:
    database = Database(now_ms=lambda: 0, random_bytes=bytes, profile="d1")
    database.execute(schema)
    names = [name for (name,) in database.execute(_TABLES)]
    tables = [Table(name, _columns(database, name)) for name in names]
    return database, _in_order(database, tables)


def _columns(database: Database, table: str) -> tuple[Column, ...]:
    rows = database.execute(f"PRAGMA table_xinfo({_quoted(table)})")
    return tuple(
        Column(name, _affinity(declared), not (is_not_null or is_key))
        for _, name, declared, is_not_null, _, is_key, hidden in rows
        if not hidden  # Generated columns cannot be written.
    )


def _affinity(declared: str) -> str:
    """By SQLite's own rules (SQLite docs, Datatypes, "Determination of column affinity")."""
    name = declared.upper()
    for marks, kind in (
        (("INT",), "INTEGER"),
        (("CHAR", "CLOB", "TEXT"), "TEXT"),
        (("BLOB",), "BLOB"),
        (("REAL", "FLOA", "DOUB"), "REAL"),
    ):
        if any(mark in name for mark in marks):
            return kind
    return "ANY"


def _in_order(database: Database, tables: list[Table]) -> list[Table]:
    """Those without a foreign key first, then those whose parents came before."""
    sql = 'SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)'
    parents = {
        table.name: {name for (name,) in database.execute(sql, (table.name,))}
        for table in tables
    }
    left, ordered = list(tables), []
    done: set[str] = set()
    while left:
        ready = [table for table in left if parents[table.name] - {table.name} <= done]
        chosen = ready[0] if ready else left[0]  # A circle of keys has no beginning.
        left.remove(chosen)
        ordered.append(chosen)
        done.add(chosen.name)
    return ordered


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
