"""The program: one law about the runtime, as JSON.

Promises: a program that was read has the shape that both interpreters expect; what is
malformed is a `ConfigurationError` that names the program, the step and the op. Leaves to
others: the ops one by one (program_ops), tagged values (tags), running it (the targets).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from emulator.conformance.program_ops import OpChecker, names_kept, shown
from emulator.errors import ConfigurationError, meant

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "CLASSES", "COMPATIBILITY_DATE_DEFAULT", "SETTLE_MS_DEFAULT", "WORKER_NAME", "Program",
    "checked", "durable_objects", "read",
]  # fmt: skip

#: The classes of objects that both interpreters export, by their names in programs.
CLASSES: Final = {
    "sql": "Sql",
    "kv": "Kv",
    "no_alarm": "NoAlarm",
    "plain": "Plain",
    "no_fetch": "NoFetch",
    "broken": "Broken",
    "constructing": "Constructing",
    "arrow_alarm": "ArrowAlarm",
}
#: Unique keys, and so ids, are made with it.
WORKER_NAME: Final = "conform"
COMPATIBILITY_DATE_DEFAULT: Final = "2026-04-01"
#: How long a program with work in the background is waited for.
SETTLE_MS_DEFAULT: Final = 20

_FIELDS: Final[dict[str, Any]] = {
    "name": str,
    "why": str,
    "class": (str, dict),
    "compatibilityDate": str,
    "compatibilityFlags": list,
    "seconds": (int, float),
    "settle": int,
    "slow": bool,
    "constructor": list,
    "constructorBare": list,
    "steps": list,
}
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_CALLS: Final = ("rpc", "fetch", "worker")
#: How the two sides of a WebSocket may take their end.
_ACCEPTANCES: Final = {
    "accept": ("hibernate", "plain", "half_open", "none"),
    "client": ("plain", "half_open", "none"),
}
_HANDLERS: Final = ("webSocketMessage", "webSocketClose", "webSocketError")
#: A step by the field that makes it one: the other fields it may have, with their types.
_STEPS: Final[dict[str, dict[str, Any]]] = {
    "rpc": {"object": str, "stub": str},
    "fetch": {"object": str, "stub": str},
    "worker": {"request": str},
    "par": {},
    "alarms": {"object": str, "set": (int, float), "wait": int, "until": int},
    "evict": {"object": str},
    "newStub": {"object": str, "stub": str},
    "connect": {
        "object": str,
        "stub": str,
        "accept": str,
        "client": str,
        "tags": list,
        "ops": list,
    },
    "handlers": {"object": str},
    "wait": {"events": int, "object": str},
}
_LATER: Final = re.compile(r'\["(timer|waitUntil|task)"')


@final
class Program(NamedTuple):
    """A checked program.

    Attributes:
        name: The law it is.
        why: Where the law is written; "" if nowhere.
        class_name: One of `CLASSES`.
        compatibility_date: YYYY-MM-DD.
        compatibility_flags: Workerd's names.
        settle_ms: How long it waits after its last step.
        seconds: What it costs of real time.
        is_slow: It runs on the real runtime only when outcomes are recorded.
        source: The JSON object itself.
    """

    name: str
    why: str
    class_name: str
    compatibility_date: str
    compatibility_flags: tuple[str, ...]
    settle_ms: int
    seconds: float
    is_slow: bool
    source: dict[str, Any]

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps, as JSON."""
        steps: list[dict[str, Any]] = self.source["steps"]
        return steps


def durable_objects(names: Iterable[str] = CLASSES) -> dict[str, dict[str, Any]]:
    """The option of that name, for the interpreters' classes.

    Args:
        names: Which of `CLASSES`.
    """
    return {
        name.upper(): {"className": CLASSES[name], "useSQLite": name != "kv"} for name in names
    }


def read(path: Path) -> list[Program]:
    """The programs of a file.

    Args:
        path: A JSON file with one program, or with `{"programs": [...]}`.

    Raises:
        ConfigurationError: If it cannot be read, is no JSON, or one of them is malformed.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ConfigurationError(message) from error
    except ValueError as error:
        message = f"{path} is no program: {error}"
        raise ConfigurationError(message) from error
    if isinstance(given, dict) and "programs" in given:
        for name in given:
            if name not in ("programs", "about"):
                message = f"{path}: a file of programs has no field {name!r}"
                raise ConfigurationError(message)
        given = given["programs"]
        if not isinstance(given, list):
            message = f'{path}: "programs" must be a list'
            raise ConfigurationError(message)
    else:
        given = [given]
    return unique(
        (checked(source, f"{path.name}, program {i}") for i, source in enumerate(given))
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"an object has the field {twice!r} twice"
        raise ValueError(message)
    return found


def unique(programs: Iterable[Program]) -> list[Program]:
    """The programs in their order.

    Raises:
        ConfigurationError: If two bear one name.
    """
    found: dict[str, Program] = {}
    for program in programs:
        if program.name in found:
            message = f"two programs are called {program.name!r}: name each by its own law"
            raise ConfigurationError(message)
        found[program.name] = program
    return list(found.values())


def checked(source: Any, where: str = "the program") -> Program:
    """A program whose every part has been looked at.

    Args:
        source: JSON.
        where: What errors call it while its name is unknown.

    Raises:
        ConfigurationError: For the first thing that is malformed.
    """
    if not isinstance(source, dict):
        message = f'{where} must be an object with "name" and "steps", got {shown(source)}'
        raise ConfigurationError(message)
    name = source.get("name")
    if not isinstance(name, str) or not name:
        message = f'{where} has no "name": give it a law such as "put then abort loses it"'
        raise ConfigurationError(message)
    where = f"program {name!r}"
    _check_fields(source, _FIELDS, where)
    if not source.get("steps"):
        message = f'{where}: "steps" must be a list with at least one step'
        raise ConfigurationError(message)
    date = source.get("compatibilityDate", COMPATIBILITY_DATE_DEFAULT)
    if not _DATE.match(date):
        message = f'{where}: "compatibilityDate" must be YYYY-MM-DD, got {date!r}'
        raise ConfigurationError(message)
    flags = source.get("compatibilityFlags", [])
    if not all(isinstance(flag, str) for flag in flags):
        message = f'{where}: "compatibilityFlags" must be a list of names, got {shown(flags)}'
        raise ConfigurationError(message)
    class_name = _class_name(source.get("class", "sql"), where)
    checker = OpChecker(names_kept(source))
    for field in ("constructor", "constructorBare"):
        if field in source:
            if class_name != "constructing":
                message = f'{where}: {field!r} needs "class": "constructing"'
                raise ConfigurationError(message)
            checker.body(source[field], f"{where}, {field}")
    for index, step in enumerate(source["steps"]):
        _check_step(step, f"{where}, step {index}", checker)
    settle_ms = source.get("settle", SETTLE_MS_DEFAULT if _has_background(source) else 0)
    return Program(
        name,
        source.get("why", ""),
        class_name,
        date,
        tuple(flags),
        settle_ms,
        source.get("seconds", 0),
        source.get("slow", False),
        source,
    )


def _has_background(source: dict[str, Any]) -> bool:
    return _LATER.search(json.dumps(source, separators=(",", ":"))) is not None


def _class_name(given: Any, where: str) -> str:
    if isinstance(given, dict):
        if given.keys() == {"useSQLite"} and isinstance(given["useSQLite"], bool):
            return "sql" if given["useSQLite"] else "kv"
    elif isinstance(given, str) and given in CLASSES:
        return given
    hint = meant(given, CLASSES) if isinstance(given, str) else ""
    message = (
        f'{where}: "class" must be one of {", ".join(CLASSES)} or {{"useSQLite": bool}}, got '
        f"{shown(given)}{hint}"
    )
    raise ConfigurationError(message)


def _check_fields(source: dict[str, Any], known: dict[str, Any], where: str) -> None:
    for name, given in source.items():
        if name not in known:
            message = f"{where} has no field {name!r}{meant(name, known)}"
            raise ConfigurationError(message)
        kind = known[name]
        is_wrong_bool = isinstance(given, bool) and kind is not bool
        if not isinstance(given, kind) or is_wrong_bool:
            message = f"{where}: {name!r} cannot be {shown(given)}"
            raise ConfigurationError(message)
        if isinstance(given, int | float) and given < 0:
            message = f"{where}: {name!r} cannot be negative, got {given}"
            raise ConfigurationError(message)


def _check_step(step: Any, where: str, checker: OpChecker) -> None:
    if not isinstance(step, dict):
        message = f'{where} must be an object such as {{"rpc": [ops]}}, got {shown(step)}'
        raise ConfigurationError(message)
    kinds = [name for name in _STEPS if name in step]
    if not kinds:
        near = meant(next(iter(step), ""), _STEPS)
        message = f"{where} has none of {', '.join(_STEPS)}, got {shown(step)}{near}"
        raise ConfigurationError(message)
    # `wait` is a step of its own, and a field of `alarms`.
    if len(kinds) > 1 and kinds != ["alarms", "wait"]:
        message = f"{where} is two steps at once: {' and '.join(kinds)}"
        raise ConfigurationError(message)
    kind = kinds[0]
    fields = {name: given for name, given in step.items() if name != kind}
    _check_fields(fields, _STEPS[kind], f"{where} ({kind})")
    given = step[kind]
    if kind in _CALLS:
        checker.body(given, where)
    elif kind == "par":
        _check_branches(given, where, checker)
    elif kind == "alarms":
        if not isinstance(given, list):
            message = f'{where}: "alarms" must be a list of lists of ops, got {shown(given)}'
            raise ConfigurationError(message)
        for index, body in enumerate(given):
            checker.body(body, f"{where}, run {index}")
    elif kind == "connect":
        _check_connect(step, where, checker)
    elif kind == "handlers":
        _check_handlers(given, where, checker)
    elif kind == "wait":
        _check_fields({"wait": given}, {"wait": (int, float)}, where)
    elif given is not True:
        message = f"{where}: {kind!r} must be true, got {shown(given)}"
        raise ConfigurationError(message)


def _check_connect(step: dict[str, Any], where: str, checker: OpChecker) -> None:
    _check_fields({"connect": step["connect"]}, {"connect": str}, where)
    for name, known in _ACCEPTANCES.items():
        given = step.get(name, "none")
        if given not in known:
            names = ", ".join(known)
            message = f"{where}: {name!r} must be one of {names}, got {shown(given)}"
            raise ConfigurationError(message)
    if not all(isinstance(tag, str) for tag in step.get("tags", [])):
        message = f'{where}: "tags" must be a list of texts, got {shown(step["tags"])}'
        raise ConfigurationError(message)
    checker.body(step.get("ops", []), where)


def _check_handlers(given: Any, where: str, checker: OpChecker) -> None:
    if not isinstance(given, dict):
        message = f'{where}: "handlers" must be an object, got {shown(given)}'
        raise ConfigurationError(message)
    for name, bodies in given.items():
        if name not in _HANDLERS:
            message = f"{where}: there is no handler {name!r}{meant(name, _HANDLERS)}"
            raise ConfigurationError(message)
        if not isinstance(bodies, list):
            message = f"{where}: {name!r} must be a list of lists of ops, got {shown(bodies)}"
            raise ConfigurationError(message)
        for index, body in enumerate(bodies):
            checker.body(body, f"{where}, {name} {index}")


def _check_branches(given: Any, where: str, checker: OpChecker) -> None:
    if not isinstance(given, list) or not given:
        message = f'{where}: "par" must be a list of steps, got {shown(given)}'
        raise ConfigurationError(message)
    for index, branch in enumerate(given):
        inside = f"{where}, branch {index}"
        _check_step(branch, inside, checker)
        if not any(kind in branch for kind in _CALLS):
            message = f"{inside}: only {', '.join(_CALLS)} can be started together"
            raise ConfigurationError(message)
