"""Wrangler's configuration: the file that a project has already, as options of a world.

Promises: `wrangler.toml`, `wrangler.json` and `wrangler.jsonc` mean what wrangler makes of
them: an environment inherits `main` and the like and none of the bindings; keys that change
nothing in a test (routes, triggers, observability, ...) are passed over; a binding that we
cannot give is a `ConfigurationError`, since `env` would lack it. Each error names the file,
the place in it, and the fix. Leaves to others: whether the options fit together (options),
and `.dev.vars`. Source: Cloudflare docs, Workers, Wrangler, Configuration; wrangler 4's
validation.ts.
"""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from emulator.errors import ConfigurationError
from emulator.runtime.options import UnboundService

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
_READ: Final = (
    *_NOT_INHERITED,
    "name",
    "main",
    "compatibility_date",
    "compatibility_flags",
    "migrations",
    "env",
)

_JSON_TOKEN: Final = re.compile(
    r'"(?:[^"\\\n]|\\.)*"|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<open>/\*)', re.DOTALL
)
_JSON_COMMA: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|(?P<comma>,)(?=\s*[\]}])')
_TOML_POSITION: Final = re.compile(r" \(at line (\d+), column \d+\)\Z")


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
    path = Path(path)
    top = _Table(path, "", _parsed(path))
    section = top if environment is None else _environment(top, environment)
    section.refuse_what_is_not_emulated()
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


# -- the file --------------------------------------------------------------------------------


def _parsed(path: Path) -> Any:
    if path.suffix not in (".toml", ".json", ".jsonc"):
        message = (
            f"{str(path)!r} is no configuration of wrangler: name a file wrangler.toml, "
            "wrangler.json or wrangler.jsonc"
        )
        raise ConfigurationError(message)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = (
            f"the configuration {str(path)!r} cannot be read ({error.strerror}): give the "
            "path of a file"
        )
        raise ConfigurationError(message) from None
    except UnicodeDecodeError as error:
        raise _malformed(path, None, f"it is not UTF-8 at byte {error.start}") from None
    try:
        return tomllib.loads(text) if path.suffix == ".toml" else _parsed_json(path, text)
    except json.JSONDecodeError as error:
        raise _malformed(path, error.lineno, error.msg) from None
    except tomllib.TOMLDecodeError as error:
        position = _TOML_POSITION.search(str(error))
        line = int(position[1]) if position else None
        raise _malformed(path, line, _TOML_POSITION.sub("", str(error))) from None
    except RecursionError:
        raise _malformed(path, None, "it is nested too deeply") from None


def _malformed(path: Path, line: int | None, what: str) -> ConfigurationError:
    where = str(path) if line is None else f"{path}, line {line}"
    kind = "TOML" if path.suffix == ".toml" else "JSON (comments and last commas may be there)"
    return ConfigurationError(f"{where}: {what}; correct it so that the file is {kind}")


def _parsed_json(path: Path, text: str) -> Any:
    """JSON with comments and with commas behind last elements.

    Both are made blanks, so that errors name the lines of the file.
    """

    def without_comment(token: re.Match[str]) -> str:
        if token["open"]:
            line = text.count("\n", 0, token.start()) + 1
            raise _malformed(path, line, "the comment /* never ends")
        return re.sub(r"[^\n]", " ", token[0]) if token["comment"] else token[0]

    bare = _JSON_TOKEN.sub(without_comment, text)

    def without_comma(token: re.Match[str]) -> str:
        if not token["comma"]:
            return token[0]
        before = token.start() - 1
        while before >= 0 and bare[before].isspace():
            before -= 1
        # Only a comma behind an element may be there for nothing.
        return "," if before < 0 or bare[before] in "[{,:" else " "

    def refuse(constant: str) -> NoReturn:
        raise _malformed(path, None, f"{constant} is not a number of JSON")

    return json.loads(_JSON_COMMA.sub(without_comma, bare), parse_constant=refuse)


# -- one table of it -------------------------------------------------------------------------


@final
class _Table:
    """A table of the file, which knows where it stands.

    Args:
        path: The file.
        place: Where in it, such as "env.test.r2_buckets[0]"; empty for the whole.
        values: What is there.

    Raises:
        ConfigurationError: If it is no table.
    """

    def __init__(self, path: Path, place: str, values: Any) -> None:
        self.path = path
        self.place = place
        if not isinstance(values, dict):
            message = f"{path}: {place or 'the whole'} must be a table, got {_shown(values)}"
            raise ConfigurationError(message)
        self.values: Mapping[str, Any] = values

    def where(self, key: str) -> str:
        """How an error calls the key."""
        return f"{self.path}: {self.place}.{key}" if self.place else f"{self.path}: {key}"

    def wrong(self, key: str, want: str) -> ConfigurationError:
        """The error that the key's value is not what it must be."""
        message = f"{self.where(key)} must be {want}, got {_shown(self.values.get(key))}"
        return ConfigurationError(message)

    def text(self, key: str, *, is_needed: bool = False) -> str:
        """A string, or an empty one where there is none."""
        value = self.values.get(key)
        if value is None and not is_needed:
            return ""
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a string in quotes")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of strings."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "a list of strings")
        return value

    def table(self, key: str) -> _Table:
        """A table in this one, empty if it is not there."""
        place = f"{self.place}.{key}" if self.place else key
        return _Table(self.path, place, self.values.get(key, {}))

    def tables(self, key: str) -> Iterator[_Table]:
        """The tables of a list."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, f"a list of tables, as [[{key}]] makes in TOML")
        for index, item in enumerate(value):
            place = f"{self.place}.{key}" if self.place else key
            yield _Table(self.path, f"{place}[{index}]", item)

    def refuse_what_is_not_emulated(self) -> None:
        """Refuse the keys that would put something into `env` which we do not have."""
        for key, value in self.values.items():
            if key in _READ:
                continue
            for binding in _bindings_of(key, value):
                message = (
                    f"{self.where(key)} binds {binding!r}, and the emulator has no such "
                    "bindings: leave it out in a section [env.NAME] of its own, which inherits "
                    "no bindings, and choose that environment (in pytest, by "
                    "emulator_environment)"
                )
                raise ConfigurationError(message)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)


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


def _environment(top: _Table, environment: str) -> _Table:
    known = top.table("env")
    if environment not in known.values:
        names = ", ".join(known.values) or "none"
        message = (
            f"{top.path} has no environment {environment!r}: it has {names}; add a section "
            f"[env.{environment}]"
        )
        raise ConfigurationError(message)
    section = known.table(environment)
    inherited = {
        key: top.values[key]
        for key in ("main", "compatibility_date", "compatibility_flags", "migrations")
        if key in top.values
    }
    return _Table(top.path, section.place, {**inherited, **section.values})


def _name(top: _Table, section: _Table, environment: str | None) -> str:
    own = section.text("name")
    if own or environment is None:
        return own
    inherited = top.text("name")
    return f"{inherited}-{environment}" if inherited else ""


def _script_path(section: _Table) -> Path | None:
    main = section.text("main")
    return (section.path.parent / main).resolve() if main else None


def _durable_objects(section: _Table, worker_name: str) -> dict[str, Any]:
    is_sqlite = _classes(section)
    found: dict[str, Any] = {}
    for table in section.table("durable_objects").tables("bindings"):
        binding = table.text("name", is_needed=True)
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


def _classes(section: _Table) -> dict[str, bool | None]:
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


def _r2_buckets(section: _Table) -> dict[str, str]:
    found = {}
    for table in section.tables("r2_buckets"):
        binding = table.text("binding", is_needed=True)
        found[binding] = table.text("bucket_name") or binding
    return found


def _d1_databases(section: _Table) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table in section.tables("d1_databases"):
        binding = table.text("binding", is_needed=True)
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


def _variables(section: _Table) -> dict[str, Any]:
    table = section.table("vars")
    for name, value in table.values.items():
        if isinstance(value, date | datetime | time):
            raise table.wrong(name, "text or JSON: put the date in quotes")
    return dict(table.values)


def _services(section: _Table) -> dict[str, UnboundService]:
    found = {}
    for table in section.tables("services"):
        binding = table.text("binding", is_needed=True)
        service = table.text("service", is_needed=True)
        found[binding] = UnboundService(binding, service, str(section.path))
    return found
