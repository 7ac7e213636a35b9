"""Program parts: what a random program consists of, for whoever judges or counts it.

Promises: every op of a program with its kind, whether others run beside it, and whether the
outcome may hang on which of several services is quicker. Leaves to others: drawing programs
(generator), judging them (differential).
"""

from __future__ import annotations

from typing import Any, Final

from emulator.conformance.drawn_ops import NEAR_MS
from emulator.conformance.program_ops import is_body

__all__ = ["has_near_alarm", "has_ops", "is_racing", "ops_of"]

Op = list[Any]
Program = dict[str, Any]


def has_ops(steps: Any, *names: str) -> bool:
    """Whether an op of one of these names is anywhere in steps."""
    if isinstance(steps, list):
        if steps and steps[0] in names:
            return True
        return any(has_ops(item, *names) for item in steps)
    return isinstance(steps, dict) and any(has_ops(item, *names) for item in steps.values())


def has_near_alarm(part: Any) -> bool:
    if isinstance(part, dict):
        return part == {"$": "now", "plus": NEAR_MS} or any(map(has_near_alarm, part.values()))
    return isinstance(part, list) and any(map(has_near_alarm, part))


#: Ops whose answers may overtake those of another line.
_RACERS: Final = (
    ("r2.head",),
    ("d1.prepare",),
    ("rpc",),
    ("storage.sync",),
    ("storage.getCurrentBookmark",),
)


def is_racing(program: Program) -> bool:
    """Whether completions of two kinds may overtake each other in a program."""
    steps = program["steps"]
    waits = [ops for ops in _RACERS if has_ops(steps, *ops)]
    # A request of `fetch` has a body, which takes its time to be read; an object that is called
    # may have to start.
    branches = [branch for step in steps for branch in step.get("par", ())]
    is_early = any("fetch" in branch for branch in branches) or has_ops(steps, "rpc")
    # What goes on after its call has been answered races with the next one.
    is_late = bool(waits) and has_ops(steps, "task")
    return is_early or is_late or len(waits) > 1


#: The names of kinds that programs show by their ops.
_KIND_OF: Final = {
    "storage.delete": "delete",
    "storage.deleteAlarm": "alarm.delete",
    "storage.deleteAll": "deleteAll",
    "storage.get": "get",
    "storage.getAlarm": "alarm.get",
    "storage.getCurrentBookmark": "bookmark",
    "storage.list": "list",
    "storage.put": "put",
    "storage.setAlarm": "alarm.set",
    "storage.sql.exec": "sql",
    "storage.sync": "sync",
    "storage.transaction": "transaction",
    "storage.transactionSync": "transactionSync",
    "blockConcurrencyWhile": "blockConcurrencyWhile",
    "storage.kv.get": "kv.get",
    "list_kv": "kv.list",
    "storage.kv.put": "kv.put",
    "storage.kv.delete": "kv.delete",
    "d1.prepare": "d1",
    "r2.head": "r2",
    "storage.rollback": "rollback",
}

#: Ops whose last argument is a list of ops.
_WITH_BODY: Final = frozenset(
    (
        "storage.transaction", "storage.transactionSync", "blockConcurrencyWhile",
        "try", "gather", "waitUntil", "timer", "rpc",
    )
)  # fmt: skip


def ops_of(program: Program) -> list[tuple[str, bool]]:
    """Every op of a program: its kind, and whether others may run at the same time."""
    found: list[tuple[str, bool]] = []

    def walk(ops: list[Op], *, is_concurrent: bool) -> None:
        for op in ops:
            name: str = op[0]
            kind = _KIND_OF.get(name.replace("txn.", "storage.", 1), _KIND_OF.get(name, name))
            beside = is_concurrent or name in ("gather", "task", "timer", "waitUntil")
            found.append((kind, beside))
            if name == "task":
                walk([op[1]], is_concurrent=True)
            elif name in _WITH_BODY:
                for part in op[1:]:
                    if isinstance(part, list) and is_body(part):
                        walk(part, is_concurrent=beside)

    for step in program["steps"]:
        for branch in step.get("par", ()):
            for way in ("rpc", "fetch", "worker"):
                walk(branch.get(way, []), is_concurrent=True)
        for way in ("rpc", "fetch", "worker"):
            walk(step.get(way, []), is_concurrent=False)
        for ops in step.get("alarms", ()):
            walk(ops, is_concurrent=False)
        if "evict" in step or "newStub" in step:
            found.append((next(iter(step)), False))
    return found
