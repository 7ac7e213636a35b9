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
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import ConfigurationError, JsException
from emulator.limits import Limits
from emulator.values import structured_clone

if TYPE_CHECKING:
    from emulator.simulation.rules import Rule

__all__ = ["COMPATIBILITY_DATE_DEFAULT", "D1Options", "ObjectOptions", "WorldOptions", "parse"]

COMPATIBILITY_DATE_DEFAULT: Final = "2026-04-01"
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


@final
@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """One Durable Object namespace."""

    class_name: str
    unique_key: str | None = None
    prevents_eviction: bool = False


@final
@dataclass(frozen=True, slots=True)
class D1Options:
    """One D1 database."""

    schema: Path | None = None
    migrations: Path | None = None


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
        worker=worker,
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
        limits=_limits(options.get("limits", "paid")),
        faults=_faults(options.get("faults") or ()),
    )
    _refuse_double_names(parsed)
    return parsed


def _wrong(option: str, value: object, want: str) -> ConfigurationError:
    return ConfigurationError(f"option {option} must be {want}, got {value!r}")


def _text(option: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(option, value, "a string")
    return value


def _file(option: str, value: object) -> Path:
    if not isinstance(value, str | Path):
        raise _wrong(option, value, "a path")
    path = Path(value)
    if not path.is_file():
        message = f"option {option}: there is no file {str(path)!r}"
        raise ConfigurationError(message)
    return path


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
    if value is None or isinstance(value, str | ModuleType) or callable(value):
        return value
    want = "an async function of a request, a worker module or its name, or a worker class"
    raise _wrong(option, value, want)


def _binding_name(option: str, name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier():
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
        if given.get("useSQLite", True) is not True:
            raise _wrong(option, given, "SQLite-backed; classes without SQLite come later")
        parsed[binding] = ObjectOptions(
            given["className"],
            given.get("unsafeUniqueKey"),
            bool(given.get("unsafePreventEviction", False)),
        )
    return parsed


def _r2_buckets(value: object) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {
            _binding_name("r2_buckets", k): _text("r2_buckets", v) for k, v in value.items()
        }
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong("r2_buckets", value, "a list of binding names, or {binding: bucket name}")
    return {_binding_name("r2_buckets", name): name for name in value}


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
        if migrations is not None and not Path(migrations).is_dir():
            message = f"option {option}: there is no folder {str(migrations)!r}"
            raise ConfigurationError(message)
        parsed[binding] = D1Options(
            None if schema is None else _file(f"{option}['schema']", schema),
            None if migrations is None else Path(migrations),
        )
    return parsed


def _date(value: object) -> str:
    if isinstance(value, str) and _DATE.match(value):
        with suppress(ValueError):
            return date.fromisoformat(value).isoformat()
    raise _wrong("compatibility_date", value, "a date such as '2026-04-01'")


def _limits(value: object) -> Limits:
    if isinstance(value, Limits):
        return value
    if not isinstance(value, str) or value not in Limits.names():
        raise _wrong("limits", value, f"one of {', '.join(Limits.names())}")
    return Limits.named(value)


def _faults(value: object) -> tuple[Rule, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong("faults", value, "a list of rules from emulator.faults")
    for rule in value:
        if not hasattr(rule, "decide"):
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
