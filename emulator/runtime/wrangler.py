"""Wrangler's configuration: the file that a project has already, as options of a world.

Promises: `wrangler.toml`, `wrangler.json` and `wrangler.jsonc` mean what wrangler makes of
them: an environment inherits `main` and the like, and no bindings but those of `assets` and a
few others that we do not have; keys that change nothing in a test (routes, triggers,
observability, ...) are passed over; a binding that we cannot give is a `ConfigurationError`,
since `env` would lack it. Each error names the file, the place in it, and the fix. Leaves to
others: reading (the file), whether the options fit together (options), and `.dev.vars`.
Source: Cloudflare docs, Workers, Wrangler, Configuration; wrangler 4's validation.ts.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import ConfigurationError
from emulator.runtime.options import UnboundService
from emulator.runtime.wrangler_file import Table, read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["options_from_wrangler"]

#: What an environment has only if it says so itself, among the keys that we read.
_NOT_INHERITED: Final = ("vars", "durable_objects", "r2_buckets", "d1_databases", "services")

#: Keys that put something into `env` under another word than `binding`.
_NAMED_OTHERWISE: Final = {
    "send_email": "name",
    "ratelimits": "name",
    "unsafe": "name",
    "logfwdr": "name",
}
_NAMED_BY_KEY: Final = ("wasm_modules", "text_blobs", "data_blobs")
#: Keys whose bindings an environment has as well, unless it says otherwise.
_BINDS_EVERYWHERE: Final = ("assets", "logfwdr", *_NAMED_BY_KEY)
_INHERITED: Final = ("main", "compatibility_date", "compatibility_flags", "migrations")
_READ: Final = (*_NOT_INHERITED, *_INHERITED, "name", "env")


def options_from_wrangler(path: str | Path, environment: str | None = None) -> dict[str, Any]:
    """The options of `Miniflare` that a wrangler configuration stands for.

    Services cannot be found by their names alone: the options name them, and are complete
    once each has been given, as in
    `{**options, "service_bindings": {**options["service_bindings"], "AUTH": answer}}`.

    Args:
        path: A wrangler.toml, wrangler.json or wrangler.jsonc.
        environment: The `NAME` of a section `env.NAME`; None is the top level.

    Returns:
        Keyword arguments for `Miniflare`; paths in them are absolute. What the file does
        not say is left out.

    Raises:
        ConfigurationError: If the file cannot be read, has a key of a wrong type, or has a
            binding that the emulator does not have.
    """
    top = read_table(path)
    section = _section(top, environment)
    name = _name(top, section, environment)
    return {
        key: value
        for key, value in (
            ("name", name),
            ("script_path", _script_path(section)),
            ("compatibility_date", section.text("compatibility_date")),
            ("compatibility_flags", section.texts("compatibility_flags")),
            ("durable_objects", _durable_objects(section, name)),
            ("r2_buckets", _r2_buckets(section)),
            ("d1_databases", _d1_databases(section)),
            ("bindings", _variables(section)),
            ("service_bindings", _services(section)),
        )
        if value
    }


# -- what we do not have ---------------------------------------------------------------------


def _refuse_what_is_not_emulated(table: Table, values: Mapping[str, Any]) -> None:
    """Refuse the keys that would put something into `env` which we do not have."""
    for key, value in values.items():
        if key in _READ:
            continue
        fix = (
            "leave it out in a section [env.NAME] of its own, which inherits no bindings, and "
            "choose that environment (in pytest, by emulator_environment)"
        )
        if key in _BINDS_EVERYWHERE:
            fix = (
                "every environment inherits it, so leave it out, or name a file without it "
                "(in pytest, by emulator_config)"
            )
        for binding in _bindings_of(key, value):
            message = (
                f"{table.where(key)} binds {binding!r}, and the emulator has no such bindings: "
                f"{fix}"
            )
            raise ConfigurationError(message)


def _bindings_of(key: str, value: Any) -> Iterator[str]:
    """The names that a key we do not read puts into `env`."""
    if key in _NAMED_BY_KEY and isinstance(value, dict):
        yield from value
        return
    word = _NAMED_OTHERWISE.get(key, "binding")
    if isinstance(value, dict):
        if isinstance(value.get(word), str):
            yield value[word]
        # `queues.producers`, `unsafe.bindings` and the like are one table further down.
        for inner in value.values():
            if isinstance(inner, list):
                yield from _bindings_of(key, inner)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict) and isinstance(item.get(word), str):
                yield item[word]


# -- its parts -------------------------------------------------------------------------------


def _section(top: Table, environment: str | None) -> Table:
    """An environment with what it inherits, or the top level."""
    if environment is None:
        _refuse_what_is_not_emulated(top, top.values)
        return top
    known = top.table("env")
    if environment not in known.values:
        names = ", ".join(known.values) or "none"
        message = (
            f"{top.path} has no environment {environment!r}: it has {names}; add a section "
            f"[env.{environment}]"
        )
        raise ConfigurationError(message)
    own = known.table(environment)
    inherited = {
        key: top.values[key]
        for key in (*_INHERITED, *_BINDS_EVERYWHERE)
        if key in top.values and key not in own.values
    }
    _refuse_what_is_not_emulated(own, own.values)
    _refuse_what_is_not_emulated(top, inherited)
    return Table(top.path, own.place, {**inherited, **own.values})


def _name(top: Table, section: Table, environment: str | None) -> str:
    own = section.text("name")
    if own or environment is None:
        return own
    inherited = top.text("name")
    return f"{inherited}-{environment}" if inherited else ""


def _script_path(section: Table) -> Path | None:
    main = section.text("main")
    return (section.path.parent / main).resolve() if main else None


def _durable_objects(section: Table, worker_name: str) -> dict[str, Any]:
    is_sqlite = _classes(section)
    found: dict[str, Any] = {}
    for table in section.table("durable_objects").tables("bindings"):
        binding = _new_name(table, "name", found)
        class_name = table.text("class_name", is_needed=True)
        script_name = table.text("script_name")
        if script_name and script_name != worker_name:
            message = (
                f"{table.where('script_name')}: the class {class_name!r} of {binding!r} lives "
                f"in another worker, {script_name!r}, and a world has one: define the class in "
                "this worker and leave script_name out, in a section [env.NAME] for tests"
            )
            raise ConfigurationError(message)
        if is_sqlite.get(class_name, True) is None:
            message = (
                f"{table.where('class_name')}: the migrations delete the class {class_name!r} "
                f"of {binding!r}; take the binding out, or add the class again"
            )
            raise ConfigurationError(message)
        # A class that no migration names cannot be deployed; here it is as the default is.
        uses_sqlite = is_sqlite.get(class_name, True)
        found[binding] = {"className": class_name, "useSQLite": uses_sqlite}
    return found


def _classes(section: Table) -> dict[str, bool | None]:
    """Whether each class has SQLite, after all migrations; None where it was deleted."""
    classes: dict[str, bool | None] = {}
    for table in section.tables("migrations"):
        for name in table.texts("deleted_classes"):
            classes[name] = None
        for change in table.tables("renamed_classes"):
            old = change.text("from", is_needed=True)
            classes[change.text("to", is_needed=True)] = classes.get(old, True)
            classes[old] = None
        classes.update(dict.fromkeys(table.texts("new_classes"), False))
        classes.update(dict.fromkeys(table.texts("new_sqlite_classes"), True))
    return classes


def _r2_buckets(section: Table) -> dict[str, str]:
    found: dict[str, str] = {}
    for table in section.tables("r2_buckets"):
        binding = _new_name(table, "binding", found)
        found[binding] = table.text("bucket_name") or binding
    return found


def _d1_databases(section: Table) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table in section.tables("d1_databases"):
        binding = _new_name(table, "binding", found)
        given = table.text("migrations_dir")
        folder = (section.path.parent / (given or "migrations")).resolve()
        if given and not folder.is_dir():
            message = (
                f"{table.where('migrations_dir')}: there is no folder {str(folder)!r} for "
                f"{binding!r}; make it, or leave the key out"
            )
            raise ConfigurationError(message)
        has_migrations = folder.is_dir() and any(folder.glob("*.sql"))
        found[binding] = {"migrations": folder} if has_migrations else {}
    return found


def _variables(section: Table) -> dict[str, Any]:
    table = section.table("vars")
    for name, value in table.values.items():
        if not _is_json(value):
            raise table.wrong(name, "text or JSON, so put a date or inf in quotes")
    return dict(table.values)


def _is_json(value: Any) -> bool:
    """Whether JSON can say it; TOML has more."""
    if isinstance(value, dict | list):
        return all(map(_is_json, value.values() if isinstance(value, dict) else value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, date | datetime | time)


def _services(section: Table) -> dict[str, UnboundService]:
    found: dict[str, UnboundService] = {}
    for table in section.tables("services"):
        binding = _new_name(table, "binding", found)
        service = table.text("service", is_needed=True)
        found[binding] = UnboundService(binding, service, str(section.path))
    return found


def _new_name(table: Table, key: str, found: Mapping[str, Any]) -> str:
    """The name of a binding, which no other one of its kind may have."""
    binding = table.text(key, is_needed=True)
    if binding in found:
        raise table.wrong(key, "a name that no other binding has")
    return binding
