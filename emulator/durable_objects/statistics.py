"""Statistics: one object seen from outside, for a report.

Promises: a small value of short texts, whatever the object has stored; nothing of the object
is changed or woken. Writes that are not durable yet are seen. Leaves to others: the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from emulator.durable_objects.alarms import AlarmState
from emulator.values import deserialize

if TYPE_CHECKING:
    from emulator.durable_objects.record import ObjectRecord
    from emulator.sqlite.database import Database

__all__ = ["AlarmStatistics", "ObjectStatistics", "object_statistics"]

PAIRS_MAX: Final = 10
TABLES_MAX: Final = 10
#: Characters of a name, a key or a value.
TEXT_MAX: Final = 80
#: Larger values are not read: taking them apart may take long.
VALUE_BYTES_MAX: Final = 4_096

_PAIRS: Final = (
    "SELECT key, length(value), CASE WHEN length(value) <= ? THEN value END "
    "FROM _cf_KV ORDER BY key LIMIT ?"
)
_HAS_PAIRS: Final = "SELECT 1 FROM sqlite_schema WHERE name = '_cf_KV'"
_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
    "ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY name LIMIT ?"
)


@final
@dataclass(frozen=True, slots=True)
class AlarmStatistics:
    """An alarm: "waiting", "running" or "backoff"; times in epoch milliseconds."""

    state: str
    scheduled_time_ms: int
    due_ms: int
    retry_count: int


@final
@dataclass(frozen=True, slots=True)
class ObjectStatistics:
    """One object.

    Attributes:
        name: Who it is in the trace, such as "JOBS#1f3a9c02".
        object_name: The name it was reached by, as a short text; None without one.
        is_running: Whether it is in memory.
        alarm: None without one.
        pair_count: How many keys it has stored.
        pairs: The first of them, each a key and a value as short texts.
        tables: Its tables, each a name as a short text and the number of its rows.
    """

    name: str
    object_name: str | None
    is_running: bool
    alarm: AlarmStatistics | None
    pair_count: int
    pairs: tuple[tuple[str, str], ...]
    tables: tuple[tuple[str, int], ...]


def object_statistics(record: ObjectRecord) -> ObjectStatistics:
    """What an object holds now."""
    name, sqlite = record.id.name, record.database.sqlite
    pair_count, pairs, tables = (0, (), ()) if sqlite is None else _stored(sqlite)
    return ObjectStatistics(
        record.name,
        None if name is None else _short(repr(name[:TEXT_MAX])),
        record.instance is not None,
        _alarm(record),
        pair_count,
        pairs,
        tables,
    )


def _alarm(record: ObjectRecord) -> AlarmStatistics | None:
    alarms = record.alarms
    if alarms.state is AlarmState.NONE:
        return None
    assert alarms.scheduled_time_ms is not None
    assert alarms.due_ms is not None
    return AlarmStatistics(
        alarms.state.value, alarms.scheduled_time_ms, alarms.due_ms, alarms.retry_count
    )


def _stored(
    sqlite: Database,
) -> tuple[int, tuple[tuple[str, str], ...], tuple[tuple[str, int], ...]]:
    pair_count, rows = 0, []
    try:
        if sqlite.execute(_HAS_PAIRS):
            pair_count = sqlite.execute("SELECT count(*) FROM _cf_KV")[0][0]
            rows = sqlite.execute(_PAIRS, (VALUE_BYTES_MAX, PAIRS_MAX))
        names = [str(name) for (name,) in sqlite.execute(_TABLES, (TABLES_MAX,))]
    except Exception:  # Worker code decides what is in there.
        return 0, (), ()
    pairs = tuple(
        (_short(repr(key[:TEXT_MAX])), _value(blob, size)) for key, size, blob in rows
    )
    return pair_count, pairs, tuple((_short(name), _row_count(sqlite, name)) for name in names)


def _row_count(sqlite: Database, table: str) -> int:
    quoted = table.replace('"', '""')
    try:
        count: int = sqlite.execute(f'SELECT count(*) FROM "{quoted}"')[0][0]
    except Exception:
        return -1  # A virtual table may refuse.
    return count


def _value(blob: bytes | None, size_bytes: int) -> str:
    if blob is None:
        return f"{size_bytes} bytes"
    try:
        return _short(repr(deserialize(blob)))
    except Exception as error:  # However deep it is.
        return f"{size_bytes} bytes ({type(error).__name__})"


def _short(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}..."
