"""Migrations: how a database gets its tables before the worker starts.

Promises: a schema runs as a whole or is refused with its file's name; migrations run once
each, in wrangler's order, and are recorded in `d1_migrations` as wrangler does. What scripts
make of a database is kept for the process, so that the next world gets a copy. Leaves to
others: the SQL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from emulator.errors import ConfigurationError
from emulator.sqlite.database import Database, image_of
from emulator.sqlite.errors import SqlError
from emulator.sqlite.text import is_blank, split_statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Script", "apply_scripts", "found", "migrations_in", "schema_in"]

# The platform's own table, which worker code sees in `sqlite_schema` and cannot read
# (Cloudflare docs, D1, SQL statements; workerd's sqlite-kv.c++ and sqlite-metadata.c++).
_OWN_TABLE: Final = "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID"
_OWN_TABLE_LOCALLY: Final = "CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)"

# wrangler's src/d1/migrations/helpers.ts, to the letter.
_TABLE: Final = """CREATE TABLE IF NOT EXISTS d1_migrations(
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		name       TEXT UNIQUE,
		applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)"""
_NUMBER: Final = re.compile(r"\s*([+-]?\d+)", re.ASCII)

#: Images of databases by what they were before, the scripts that ran and the time of that.
#: An image of a dozen tables is some 100 KiB.
_images: dict[tuple[object, ...], bytes] = {}
_IMAGES_KEPT_MAX: Final = 16


class Script(NamedTuple):
    """Some SQL to run before the worker starts.

    Attributes:
        path: Its file; what errors call it.
        sql: The text.
        migration_name: Under which name it is recorded; None for a schema.
    """

    path: str
    sql: str
    migration_name: str | None = None


def schema_in(path: Path) -> list[Script]:
    """The script of a schema file.

    Raises:
        ConfigurationError: If it cannot be read.
    """
    return [Script(str(path), _text_of(path))]


def migrations_in(folder: Path) -> list[Script]:
    """The migrations of a folder in wrangler's order: by the number before the first
    underscore, then by name; files without a number come last.

    Raises:
        ConfigurationError: If there is no such folder, or a file cannot be read.
    """

    def order(path: Path) -> tuple[bool, int, str]:
        number = _NUMBER.match(path.name)
        return number is None, int(number[1]) if number else 0, path.name

    try:
        paths = sorted((p for p in folder.iterdir() if p.name.endswith(".sql")), key=order)
    except OSError as error:
        message = f"the migrations in {str(folder)!r} cannot be read: {error.strerror}"
        raise ConfigurationError(message) from None
    return [Script(str(path), _text_of(path), path.name) for path in paths]


def found(database: Database, *, is_local: bool) -> None:
    """Make an SQLite database what a new D1 database is, whatever it was.

    Args:
        database: Where.
        is_local: As local workerd has it, not the platform.
    """
    database.deserialize(image_of(_OWN_TABLE_LOCALLY if is_local else _OWN_TABLE))


def apply_scripts(database: Database, scripts: Sequence[Script], now_ms: int) -> None:
    """Run scripts, each as one transaction; migrations that have run already are left out.

    Args:
        database: Where.
        scripts: In this order.
        now_ms: The database's time, Unix epoch milliseconds.

    Raises:
        ConfigurationError: If SQLite or the platform refuses one; it names the file.
    """
    # Chance is each database's own, and so is what comes of it.
    if any("random" in script.sql.lower() for script in scripts):
        _run_scripts(database, scripts)
        return
    start = database.serialize()
    key = (start, *scripts, now_ms)
    image = _images.pop(key, None)
    if image is None:
        image = _image(start, scripts, now_ms)
    # The one that was not wanted for longest stands first.
    _images[key] = image
    if len(_images) > _IMAGES_KEPT_MAX:
        del _images[next(iter(_images))]
    database.deserialize(image)


def _image(start: bytes, scripts: Sequence[Script], now_ms: int) -> bytes:
    """What the scripts make of a database at that time."""
    scratch = Database(now_ms=lambda: now_ms, random_bytes=bytes, profile="d1")
    try:
        scratch.deserialize(start)
        _run_scripts(scratch, scripts)
        return scratch.serialize()
    finally:
        scratch.close()


def _run_scripts(database: Database, scripts: Sequence[Script]) -> None:
    applied: set[str] = set()
    if any(script.migration_name is not None for script in scripts):
        database.execute(_TABLE)
        applied = {name for (name,) in database.execute("SELECT name FROM d1_migrations")}
    for script in scripts:
        if script.migration_name not in applied:
            _run_script(database, script)


def _run_script(database: Database, script: Script) -> None:
    name = script.migration_name
    database.begin()
    try:
        for statement in split_statements(_without_transaction(script.sql)):
            if not is_blank(statement):
                database.query(statement).fetch_all()
        statement = "COMMIT"
        if name is not None:
            database.execute("INSERT INTO d1_migrations (name) VALUES (?)", (name,))
        database.commit()
    except SqlError as error:
        line = statement.strip().partition("\n")[0]
        message = f"the SQL in {script.path!r} failed at {line!r}: {error.message}"
        raise ConfigurationError(message) from error
    finally:
        database.rollback()
        database.reset_pragmas()


def _without_transaction(sql: str) -> str:
    """SQL without the transaction around a dump of SQLite (wrangler's src/d1/trimmer.ts)."""
    if "BEGIN TRANSACTION" not in sql:
        return sql
    return sql.replace("BEGIN TRANSACTION;", "", 1).replace("COMMIT;", "", 1)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = f"the SQL in {str(path)!r} cannot be read: {error.strerror}"
        raise ConfigurationError(message) from None
    except UnicodeDecodeError as error:
        message = f"the SQL in {str(path)!r} is not UTF-8: {error}"
        raise ConfigurationError(message) from None
