"""Results: what a call gives back to worker code.

Promises: values, rows, `meta` and D1Result in Cloudflare's shapes, as Pyodide shows them: an
object is a `JsDict`, null is None, a whole number within 2**53 - 1 is an int, and a BLOB is a
list of numbers (measured on workerd). Leaves to others: running the SQL.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emulator.bindings.d1.errors import d1_error
from emulator.durable_objects.arguments import js_string
from emulator.durable_objects.sql_values import object_maker
from emulator.errors import JsException
from emulator.values import JsDict, undefined
from emulator.values.conversion import SAFE_INTEGER_MAX, number_of_float

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emulator.sqlite.query import Row, SqlValue

__all__ = ["Answer", "State", "first_of", "meta_of", "objects_of", "raw_of", "result_of"]


class State(NamedTuple):
    """What `meta` looks at, before and after a statement."""

    total_changes: int
    last_row_id: int
    size_bytes: int


class Answer(NamedTuple):
    """What one statement gave: still in SQLite's types, but for `meta`."""

    columns: tuple[str, ...]
    rows: list[Row]
    meta: JsDict


def meta_of(before: State, after: State, row_count: int) -> JsDict:
    """The facts about one statement that ran.

    SQLite does not count what the platform calls `rows_read` (rows stepped over) and
    `rows_written` (entries of indexes too): here they are the rows given and changed.
    """
    return JsDict(
        served_by="miniflare.db",
        # Time stands still within a call.
        duration=0,
        changes=after.total_changes - before.total_changes,
        last_row_id=after.last_row_id,
        changed_db=after != before,
        size_after=after.size_bytes,
        rows_read=row_count,
        rows_written=after.total_changes - before.total_changes,
    )


def result_of(answer: Answer) -> JsDict:
    """The D1Result: `success`, `meta`, `results`."""
    return JsDict(
        success=True, meta=answer.meta, results=objects_of(answer.columns, answer.rows)
    )


def first_of(answer: Answer, column: Any = undefined) -> Any:
    """The first row, or one of its values; None if there is no row.

    Args:
        answer: Of one statement.
        column: A column's name; undefined for the whole row.

    Raises:
        JsException: "D1_COLUMN_NOTFOUND: Column not found (...)", if there is a row, and
            nothing by that name in it.
    """
    found = objects_of(answer.columns, answer.rows[:1])
    if not found:
        return None
    row = found[0]
    if column is undefined:
        return row
    try:
        return row[column]
    except (KeyError, TypeError):
        text = f"Column not found ({js_string(column)})"
        error = d1_error(text, "D1_COLUMN_NOTFOUND")
        error.properties["cause"] = JsException("Column not found")
        raise error from None


def raw_of(answer: Answer, *, has_column_names: bool) -> list[list[Any]]:
    """The rows as lists, after the columns' names if they were asked for."""
    rows = [list(_js_row(row)) for row in answer.rows]
    return [list(answer.columns), *rows] if has_column_names else rows


def objects_of(columns: tuple[str, ...], rows: Sequence[Row]) -> list[JsDict]:
    """The rows as objects."""
    if not rows:
        return []
    make = object_maker(columns)
    return [make(_js_row(row)) for row in rows]


def _js_row(row: Row) -> Row:
    for value in row:
        if type(value) is not str and value is not None:
            return tuple([_js_value(value) for value in row])
    return row


def _js_value(value: SqlValue) -> Any:
    return _CONVERSIONS[type(value)](value)


def _same(value: Any) -> Any:
    return value


def _js_integer(value: int) -> int | float:
    # Beyond, it is the nearest double that worker code gets.
    return value if -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX else float(value)


def _js_real(value: float) -> int | float | None:
    # Results travel as JSON, which has neither infinity nor negative zero.
    return number_of_float(value or 0.0) if math.isfinite(value) else None


_CONVERSIONS: Final[dict[type, Callable[[Any], Any]]] = {
    type(None): _same,
    str: _same,
    int: _js_integer,
    float: _js_real,
    bytes: list,
}
