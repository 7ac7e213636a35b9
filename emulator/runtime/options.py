"""Options: what a world is made of, checked before anything starts.

Promises: an unknown name, a wrong type or a missing part is a `ConfigurationError` that
names the option, the value and what would be right. Leaves to others: building the world.
The names are Miniflare's, in snake_case.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from emulator.errors import ConfigurationError, JsException
from emulator.limits import Limits
from emulator.simulation.rules import is_rule
from emulator.values import structured_clone

if TYPE_CHECKING:
    from emulator.simulation.rules import Rule

__all__ = [
    "COMPATIBILITY_DATE_DEFAULT",
    "D1Options",
    "ObjectOptions",
    "UnboundService",
    "WorldOptions",
    "parse",
]

COMPATIBILITY_DATE_DEFAULT: Final = "2026-04-01"
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


@final
@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """One Durable Object namespace."""

    class_name: str
    unique_key: str | None = None
    prevents_eviction: bool = False
    uses_sqlite: bool = True


@final
@dataclass(frozen=True, slots=True)
class D1Options:
    """One D1 database."""

    schema: Path | None = None
    migrations: Path | None = None


@final
class UnboundService:
    """A service of which only the name is known: a place to be filled by `service_bindings`.

    Args:
        binding: The name under which the worker knows it.
        service: The name of the other worker.
        source: The file that names it.
    """

    def __init__(self, binding: str, service: str, source: str) -> None:
        self._message = (
            f"option service_bindings[{binding!r}] is missing: {source} binds {binding!r} to "
            f"the worker {service!r}, which is not here; give what shall answer, such as "
            f"service_bindings={{{binding!r}: async_function}}"
        )

    def refuse(self) -> NoReturn:
        """Say what is missing.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(self._message)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """A checked set of options."""

    name: str = ""
    script_path: Path | None = None
    worker: Any = None
    durable_objects: Mapping[str, ObjectOptions] = field(default_factory=dict)
    r2_buckets: Mapping[str, str] = field(default_factory=dict)
    d1_databases: Mapping[str, D1Options] = field(default_factory=dict)
    bindings: Mapping[str, Any] = field(default_factory=dict)
    service_bindings: Mapping[str, Any] = field(default_factory=dict)
    outbound_service: Any = None
    compatibility_date: str = COMPATIBILITY_DATE_DEFAULT
    #: For the real runtime. What the emulator does depends on none of them.
    compatibility_flags: Sequence[str] = ()
    limits: Limits = field(default_factory=lambda: Limits.named("paid"))
    faults: Sequence[Rule] = ()


def parse(options: Mapping[str, Any]) -> WorldOptions:
    """Check the keyword arguments of `Miniflare`.

    Args:
        options: Names and values as the user wrote them.

    Raises:
        ConfigurationError: If one of them cannot be meant.
    """
    known = tuple(WorldOptions.__dataclass_fields__)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            message = f"Miniflare has no option {name!r}; {hint}"
            raise ConfigurationError(message)
    script_path, worker = options.get("script_path"), options.get("worker")
    if (script_path is None) == (worker is None):
        message = (
            "Miniflare needs either script_path='worker.py' or worker=<module or class>, "
            f"and got {'both' if worker is not None else 'neither'}"
        )
        raise ConfigurationError(message)
    parsed = WorldOptions(
        name=_text("name", options.get("name", "")),
        script_path=None if script_path is None else _file("script_path", script_path),
        worker=None if worker is None else _worker(worker),
        durable_objects=_durable_objects(options.get("durable_objects") or {}),
        r2_buckets=_r2_buckets(options.get("r2_buckets") or ()),
        d1_databases=_d1_databases(options.get("d1_databases") or ()),
        bindings=_variables(options.get("bindings") or {}),
        service_bindings={
            name: _service(f"service_bindings[{name!r}]", given)
            for name, given in _mapping(
                "service_bindings", options.get("service_bindings") or {}
            ).items()
        },
        outbound_service=_service("outbound_service", options.get("outbound_service")),
        compatibility_date=_date(options.get("compatibility_date", COMPATIBILITY_DATE_DEFAULT)),
        compatibility_flags=_flags(options.get("compatibility_flags") or ()),
        limits=Limits.parsed(options.get("limits", "paid")),
        faults=_faults(options.get("faults") or ()),
    )
    _refuse_double_names(parsed)
    return parsed


def _wrong(option: str, value: object, want: str) -> ConfigurationError:
    return ConfigurationError(f"option {option} must be {want}, got {value!r}")


def _worker(value: object) -> Any:
    if isinstance(value, str | ModuleType):
        return value
    # The classes of the platform, and plain ones if they answer anything.
    if isinstance(value, type) and any(
        hasattr(value, name) for name in ("__workers_rpc__", "fetch", "alarm")
    ):
        return value
    raise _wrong("worker", value, "a module, its name, or a class of a worker or object")


def _text(option: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(option, value, "a string")
    return value


def _file(option: str, value: object) -> Path:
    if not isinstance(value, str | Path):
        raise _wrong(option, value, "a path")
    path = Path(value)
    if path.is_file():
        return path
    if path.is_dir():
        message = f"option {option}: {str(path)!r} is a folder; name the file in it"
    else:
        message = f"option {option}: there is no file {str(path)!r}; give the path of one"
    raise ConfigurationError(message)


def _mapping(option: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(option, value, "a dict of binding names")
    for name in value:
        _binding_name(option, name)
    return value


def _variables(value: object) -> dict[str, Any]:
    parsed = {}
    for name, given in _mapping("bindings", value).items():
        try:
            # Each world has its own copy, which nobody else can change.
            parsed[name] = structured_clone(given, for_storage=True)
        except JsException as error:
            message = (
                f"option bindings[{name!r}] must be data such as text or a dict, got "
                f"{given!r}; functions belong in service_bindings"
            )
            raise ConfigurationError(message) from error
    return parsed


def _service(option: str, value: object) -> Any:
    if isinstance(value, UnboundService):
        value.refuse()
    if value is None or isinstance(value, str | ModuleType) or callable(value):
        return value
    want = "an async function of a request, a worker module or its name, or a worker class"
    raise _wrong(option, value, want)


def _binding_name(option: str, name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
        raise _wrong(option, name, "keyed by binding names such as 'BUCKET'")
    return name


def _durable_objects(value: object) -> dict[str, ObjectOptions]:
    parsed = {}
    for binding, given in _mapping("durable_objects", value).items():
        option = f"durable_objects[{binding!r}]"
        if isinstance(given, str):
            parsed[binding] = ObjectOptions(given)
            continue
        if not isinstance(given, Mapping) or not isinstance(given.get("className"), str):
            raise _wrong(option, given, "a class name or {'className': ..., 'useSQLite': True}")
        unknown = set(given) - {
            "className",
            "useSQLite",
            "unsafeUniqueKey",
            "unsafePreventEviction",
        }
        if unknown:
            raise _wrong(option, sorted(unknown), "without unknown keys")
        unique_key = given.get("unsafeUniqueKey")
        parsed[binding] = ObjectOptions(
            given["className"],
            None if unique_key is None else _text(f"{option}['unsafeUniqueKey']", unique_key),
            prevents_eviction=_switch(option, given, "unsafePreventEviction", default=False),
            uses_sqlite=_switch(option, given, "useSQLite", default=True),
        )
    return parsed


def _switch(option: str, given: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(f"{option}[{name!r}]", value, "True or False")
    return value


def _r2_buckets(value: object) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {
            _binding_name("r2_buckets", k): _bucket_name(f"r2_buckets[{k!r}]", v)
            for k, v in value.items()
        }
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong("r2_buckets", value, "a list of binding names, or {binding: bucket name}")
    return {_binding_name("r2_buckets", name): name for name in value}


def _bucket_name(option: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(option, value, "the name of a bucket, such as 'exports'")
    return value


def _migrations(option: str, value: object) -> Path:
    if not isinstance(value, str | Path):
        raise _wrong(option, value, "the path of a folder")
    path = Path(value)
    if not path.is_dir():
        message = f"option {option}: there is no folder {str(path)!r}"
        raise ConfigurationError(message)
    if not any(entry.suffix == ".sql" for entry in path.iterdir()):
        message = f"option {option}: the folder {str(path)!r} has no migrations (*.sql) in it"
        raise ConfigurationError(message)
    return path


def _d1_databases(value: object) -> dict[str, D1Options]:
    if isinstance(value, str) or not isinstance(value, Sequence | Mapping):
        raise _wrong("d1_databases", value, "a list of binding names, or {binding: {...}}")
    if not isinstance(value, Mapping):
        return {_binding_name("d1_databases", name): D1Options() for name in value}
    parsed = {}
    for binding, given in _mapping("d1_databases", value).items():
        option = f"d1_databases[{binding!r}]"
        if isinstance(given, str):
            parsed[binding] = D1Options()
            continue
        if not isinstance(given, Mapping) or set(given) - {"schema", "migrations"}:
            raise _wrong(option, given, "{'schema': FILE} or {'migrations': DIR}")
        schema, migrations = given.get("schema"), given.get("migrations")
        parsed[binding] = D1Options(
            None if schema is None else _file(f"{option}['schema']", schema),
            None if migrations is None else _migrations(f"{option}['migrations']", migrations),
        )
    return parsed


def _date(value: object) -> str:
    if isinstance(value, str) and _DATE.match(value):
        with suppress(ValueError):
            return date.fromisoformat(value).isoformat()
    raise _wrong("compatibility_date", value, "a date such as '2026-04-01'")


def _flags(value: object) -> tuple[str, ...]:
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(flag, str) for flag in value)
    ):
        raise _wrong("compatibility_flags", value, "a list of names")
    return tuple(value)


def _faults(value: object) -> tuple[Rule, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong("faults", value, "a list of rules from emulator.faults")
    for rule in value:
        if not is_rule(rule):
            raise _wrong("faults", rule, "a list of rules from emulator.faults")
    return tuple(value)


def _refuse_double_names(options: WorldOptions) -> None:
    seen: dict[str, str] = {}
    for option in (
        "durable_objects",
        "r2_buckets",
        "d1_databases",
        "bindings",
        "service_bindings",
    ):
        for name in getattr(options, option):
            if name in seen:
                message = f"binding {name!r} is named by {seen[name]} and by {option}"
                raise ConfigurationError(message)
            seen[name] = option
