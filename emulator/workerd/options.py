"""options: Miniflare's own options from ours.

Promises: the same checks and errors as the emulator's; what the real runtime cannot do is
refused with the reason. Leaves to others: checking (emulator.runtime.options), running.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emulator.errors import ConfigurationError
from emulator.runtime.options import parse
from emulator.workerd.fault_plans import check
from emulator.workerd.services import OUTBOUND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.runtime.options import WorldOptions

__all__ = ["Settings", "settings_of"]

_SUFFIXES: Final = (".mjs", ".js", ".ts")
_USER: Final = "worker"
_FRONT: Final = "amber-front"
#: The way in for fault rules (shim.mjs).
_FAULTS: Final = {"name": _USER, "entrypoint": "AmberFaults"}
#: The front is written for the platform of this day.
_FRONT_DATE_MIN: Final = "2025-09-01"


class Settings(NamedTuple):
    """What a real world is made of.

    Attributes:
        options: Ours, checked.
        driver: What the driver takes.
        services: Python functions by binding name.
        operations: First parts of the names of operations, by binding.
    """

    options: WorldOptions
    driver: dict[str, Any]
    services: dict[str, Any]
    operations: dict[str, tuple[str, ...]]


def settings_of(given: Mapping[str, Any]) -> Settings:
    """The settings for the keyword arguments of `emulator.workerd.Miniflare`.

    Args:
        given: Those of `emulator.Miniflare`.

    Raises:
        ConfigurationError: If an option is wrong, or has no meaning on the real runtime.
        UnsupportedByTarget: If one of `faults` cannot be had there.
    """
    _refuse(given)
    options = parse(given)
    operations = _operations(options)
    check(options.faults, operations)
    assert options.script_path is not None
    if options.script_path.suffix not in _SUFFIXES:
        raise ConfigurationError(_no_module(str(options.script_path)))
    services = {name: _function(name, fn) for name, fn in options.service_bindings.items()}
    if options.outbound_service is not None:
        services[OUTBOUND] = _function("outbound_service", options.outbound_service)
    driver = {
        "scriptPath": str(options.script_path.resolve()),
        "worker": _worker(options),
        "front": _front(options),
    }
    return Settings(options, driver, services, operations)


def _refuse(given: Mapping[str, Any]) -> None:
    if given.get("worker") is not None:
        raise ConfigurationError(_no_module(repr(given["worker"])))
    if given.get("limits", "workerd") != "workerd":
        message = (
            f"option limits: the real runtime has its own limits, got {given['limits']!r}; "
            "leave the option out for it: workerd={'limits': 'workerd'}"
        )
        raise ConfigurationError(message)


def _no_module(shown: str) -> str:
    return (
        f"the real runtime runs JavaScript and TypeScript modules, not {shown}: give "
        'workerd={"script_path": "worker.ts"} beside the Python worker, or '
        "script_path='worker.ts' (.mjs, .js or .ts)"
    )


def _function(name: str, given: Any) -> Any:
    if isinstance(given, str) or inspect.isclass(given) or inspect.ismodule(given):
        message = (
            f"service {name!r}: the real runtime is answered by an async function of a "
            f"Request, got {given!r}; Python workers run in the emulator only"
        )
        raise ConfigurationError(message)
    return given


def _worker(options: WorldOptions) -> dict[str, Any]:
    outside = _outside(OUTBOUND if options.outbound_service is not None else None)
    return {
        "name": _USER,
        "compatibilityDate": options.compatibility_date,
        "compatibilityFlags": list(options.compatibility_flags),
        "bindings": {name: _variable(name, v) for name, v in options.bindings.items()},
        "durableObjects": _namespaces(options, None),
        "r2Buckets": dict(options.r2_buckets),
        "d1Databases": {name: name for name in options.d1_databases},
        "serviceBindings": {name: _outside(name) for name in options.service_bindings},
        "outboundService": outside,
    }


def _front(options: WorldOptions) -> dict[str, Any]:
    """The same bindings for the front, under names that leave room for its own."""
    services = {f"B_{name}": _outside(name) for name in options.service_bindings}
    return {
        # The user's own, so that errors reach us as they would reach the worker.
        "compatibilityDate": max(options.compatibility_date, _FRONT_DATE_MIN),
        "durableObjects": {f"B_{n}": v for n, v in _namespaces(options, _USER).items()},
        "r2Buckets": {f"B_{name}": bucket for name, bucket in options.r2_buckets.items()},
        "d1Databases": {f"B_{name}": name for name in options.d1_databases},
        "serviceBindings": {**services, "WORKER": _USER, "FAULTS": _FAULTS},
    }


def _operations(options: WorldOptions) -> dict[str, tuple[str, ...]]:
    """The first parts of the names of what each binding does, for fault rules."""
    return {
        **dict.fromkeys(options.durable_objects, ("alarm", "object", "storage")),
        **dict.fromkeys(options.r2_buckets, ("r2",)),
        **dict.fromkeys(options.d1_databases, ("d1",)),
        **dict.fromkeys(options.service_bindings, ("service",)),
    }


def unique_key(options: WorldOptions, binding: str) -> str:
    """What the ids of a namespace are derived from; the emulator takes the same."""
    given = options.durable_objects[binding]
    return given.unique_key or f"{options.name}-{given.class_name}"


def _namespaces(options: WorldOptions, script_name: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, given in options.durable_objects.items():
        found[name] = {
            "className": given.class_name,
            "useSQLite": given.uses_sqlite,
            "unsafeUniqueKey": unique_key(options, name),
            "unsafePreventEviction": given.prevents_eviction,
        }
        if script_name is not None:
            found[name]["scriptName"] = script_name
    return found


def _outside(service: str | None) -> dict[str, Any]:
    return {"name": _FRONT, "entrypoint": "Outside", "props": {"service": service}}


def _variable(name: str, value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        message = (
            f"option bindings[{name!r}]: the real runtime takes text and JSON data, got "
            f"{value!r}"
        )
        raise ConfigurationError(message) from None
    return value
