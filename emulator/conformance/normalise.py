"""Normalise: what of two outcomes may differ without a difference of the runtimes.

Promises: one place, and rules by name. Times become "a time"; versions of objects, ids of
uploads and counters of rows become "volatile"; what the two languages write differently is
written alike. Leaves to others: finding differences (comparison).

What is taken to be the same, since Python has one thing where JavaScript has two:
undefined and null; a bigint and a number, while it is a safe integer; the order of a set; an
ArrayBuffer and views of bytes; the source text of a function in a refusal; a flag of a regular
expression that Python does not have.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from emulator.conformance.program_ops import is_body, modifiers_of

__all__ = ["normalise"]

_TAG: Final = "$"
_TIME: Final = {_TAG: "time"}
_VOLATILE: Final = {_TAG: "volatile"}
#: Members that differ from run to run, wherever they are.
_VOLATILE_NAMES: Final = frozenset(
    {"uploaded", "version", "uploadId", "duration", "sql_duration_ms", "rows_read",
     "rows_written", "rowsRead", "rowsWritten", "size_after", "timings", "served_by",
     "served_by_region", "served_by_colo", "served_by_primary", "total_attempts", "last_row_id"}
)  # fmt: skip
#: Ops whose whole result is one of these.
_VOLATILE_OPS: Final = frozenset({"rowsRead", "rowsWritten", "databaseSize", "uploadId"})
_TIME_NAMES: Final = frozenset({"scheduledTime"})
_TIME_OPS: Final = frozenset({"getAlarm", "getWebSocketAutoResponseTimestamp"})
#: Ops whose inner ops start together, or end when nobody looks.
_LOOSE: Final = frozenset({"gather", "task", "storage.transactionSync"})
_SAFE_INTEGER_MAX: Final = 2**53 - 1
#: Views that Python shows as bytes.
_BYTES: Final = frozenset({"Uint8Array", "Uint8ClampedArray", "ArrayBuffer", "DataView"})
_REFERENCE: Final = re.compile(r"(internal error; reference = )[0-9a-z]+")
#: A function or symbol in V8's refusals: it shows the source text.
_SOURCE: Final = re.compile(
    r"^(?:(?:function|async|class)\b.*|\(?[\w, ]*\)?\s*=>.*|Symbol\(.*\))"
    r" could not be cloned\.$",
    re.DOTALL,
)
#: What the emulator says of the stand-in for a symbol.
_STAND_IN: Final = re.compile(r'^Could not serialize object of type "Symbol"\..*$', re.DOTALL)
_FLAGS: Final = "ims"
#: WebIDL, "DOMException names", the legacy code values.
_DOM_CODES: Final = {
    "InvalidCharacterError": 5,
    "NotSupportedError": 9,
    "InvalidStateError": 11,
    "InvalidAccessError": 15,
    "NetworkError": 19,
    "AbortError": 20,
    "QuotaExceededError": 22,
    "TimeoutError": 23,
    "DataCloneError": 25,
    "SyntaxError": 12,
}


def normalise(program: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    """An outcome with everything in it that is told of no runtime.

    Args:
        program: Whose outcome it is, as JSON: what a result means hangs on its op.
        outcome: JSON.
    """
    steps = program["steps"]
    told = outcome.get("steps", [])
    found: dict[str, Any] = {
        "steps": [
            _step(steps[index] if index < len(steps) else {}, step)
            for index, step in enumerate(told)
        ]
    }
    if "error" in outcome:
        # How a runtime comes to see that nothing goes on is its own affair.
        found["error"] = {"name": outcome["error"]["name"]}
    return found


def _step(step: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    if "par" in told:
        branches = zip(step["par"], told["par"], strict=False)
        return {"par": [_step(*pair) for pair in branches], "order": told["order"]}
    if "runs" in told:
        scripts = step.get("alarms", [])
        runs = [
            {
                "info": _value(run["info"]),
                "ops": _ops(scripts[index] if index < len(scripts) else [], run["ops"]),
                "outcome": _outcome(run["outcome"]),
            }
            for index, run in enumerate(told["runs"])
        ]
        rest = {name: _outcome(part) for name, part in told.items() if name != "runs"}
        return {**rest, "runs": runs}
    if "events" in told:
        return {"events": _events(step.get("handlers", {}), told["events"])}
    body: list[Any] = next(
        (step[kind] for kind in ("rpc", "fetch", "worker", "ops") if kind in step), []
    )
    found = dict(told)
    if "ops" in told:
        found["ops"] = _ops(body, told["ops"])
    if "result" in told:
        found["result"] = _outcome(told["result"])
    return found


def _events(
    scripts: dict[str, list[list[Any]]], told: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What came on the WebSockets of an object."""
    found = []
    seen: dict[str, int] = {}
    for event in told:
        name = event["handler"]
        bodies = scripts.get(name) or [[]]
        body = bodies[min(seen.get(name, 0), len(bodies) - 1)]
        seen[name] = seen.get(name, 0) + 1
        told_event = {"args": _value(event["args"]), "outcome": _outcome(event["outcome"])}
        found.append({**event, **told_event, "ops": _ops(body, event["ops"])})
    return found


def _outcome(told: Any) -> Any:
    if not isinstance(told, dict):
        return told
    if "error" in told:
        return {**told, "error": _error(told["error"])}
    return {**told, "ok": _value(told["ok"])} if "ok" in told else told


def _ops(body: list[Any], told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ops of a call, those of each call that it makes into another object by themselves.

    Between two objects there is no order: which of them hears of the other first is chance.
    """
    found = []
    for entry in told:
        *above, op = _way(body, entry["op"])
        # The innermost call that it is in, by its indexes.
        depth = max((i + 1 for i, outer in enumerate(above) if outer[0] == "rpc"), default=0)
        path = [int(number) for number in entry["op"].split(".")]
        # Only microtasks decide how those of a `gather`, a `task` and a synchronous body end
        # among each other and beside the rest: these stand behind it, by their paths.
        is_loose = any(outer[0] in _LOOSE for outer in above)
        found.append(((path[:depth], is_loose, path if is_loose else []), _op(op, entry)))
    return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]


def _way(body: list[Any], path: str) -> list[list[Any]]:
    """The ops that one with these indexes is in, the outermost first, and itself last."""
    way: list[list[Any]] = []
    for number in path.split("."):
        index = int(number)
        op: list[Any] = body[index] if index < len(body) else [""]
        way.append(op)
        if op[0] == "task":
            body = [op[1]]
        else:
            bodies = (arg for arg in op[1:] if isinstance(arg, list) and is_body(arg))
            body = next(bodies, [])
    return way


def _op(op: list[Any], entry: dict[str, Any]) -> dict[str, Any]:
    if "error" in entry:
        return {**entry, "error": _error(entry["error"])}
    if "ok" not in entry:
        return entry
    value = entry["ok"]
    name = _meaning(op)
    if value not in (None, {_TAG: "undefined"}):
        if name in _TIME_OPS:
            return {**entry, "ok": _TIME}
        if name in _VOLATILE_OPS:
            return {**entry, "ok": _VOLATILE}
    found = _caught(value) if name == "try" else _value(value)
    if name == "uploadPart" and isinstance(found, dict):
        found = {**found, "etag": _VOLATILE}  # It is no digest of the part.
    return {**entry, "ok": found}


def _meaning(op: list[Any]) -> str:
    """The member whose result an op gives."""
    if not op:
        return ""
    args, modifiers = modifiers_of(op)
    call = modifiers.get("call")
    if call is not None:
        return str(call if isinstance(call, str) else call[0])
    if op[0] in ("read", "call") and len(args) > 1:
        return str(args[1])
    return str(op[0]).rpartition(".")[2]


def _caught(value: Any) -> Any:
    if isinstance(value, dict) and "caught" in value:
        return {"caught": _error(value["caught"])}
    return _value(value)


def _error(error: dict[str, Any]) -> dict[str, Any]:
    found = dict(error)
    message = error.get("message")
    if isinstance(message, str):
        message = _REFERENCE.sub(r"\1x", message)
        message = _SOURCE.sub("{source} could not be cloned.", message)
        found["message"] = _STAND_IN.sub("{source} could not be cloned.", message)
    if "properties" in error:
        # A DOMException bears the old number of its name.
        code = _DOM_CODES.get(error["name"])
        properties = {k: v for k, v in error["properties"].items() if (k, v) != ("code", code)}
        del found["properties"]
        if properties:
            found["properties"] = _value(properties)
    return found


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, int) and abs(value) > _SAFE_INTEGER_MAX:
        return float(value)  # As JavaScript has it, whatever its digits are.
    if not isinstance(value, dict):
        return value
    if _TAG in value:
        return _tagged(value)
    return {name: _member(name, item) for name, item in value.items()}


def _member(name: str, value: Any) -> Any:
    if name in _VOLATILE_NAMES:
        return _VOLATILE
    if name in _TIME_NAMES and value is not None:
        return _TIME
    return _value(value)


def _tagged(value: dict[str, Any]) -> Any:
    match value[_TAG]:
        case "undefined":
            return None
        case "bigint":
            number = int(value["is"])
            return number if abs(number) <= _SAFE_INTEGER_MAX else value
        case "opaque":
            return {_TAG: "opaque"}
        case "bytes":
            view = value.get("view", "Uint8Array")
            found = {_TAG: "bytes", "hex": value["hex"]}
            return found if view in _BYTES else {**found, "view": view}
        case "set":
            items = [_value(item) for item in value["of"]]
            return {_TAG: "set", "of": sorted(items, key=_sort_key)}
        case "map":
            return {_TAG: "map", "of": [[_value(k), _value(v)] for k, v in value["of"]]}
        case "error":
            return _error(value)
        case "object":
            return {_TAG: "object", "of": [[k, _member(k, v)] for k, v in value["of"]]}
        case "regexp":
            flags = "".join(flag for flag in value["flags"] if flag in _FLAGS)
            return {**value, "flags": flags}
        case "error":
            return _error(value)
        case _:
            return value


def _sort_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
