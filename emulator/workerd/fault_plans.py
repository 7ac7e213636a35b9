"""fault plans: what a fault rule is in the world of the real runtime.

A rule's selection goes there as it is, with globs as expressions of JavaScript. Which of the
operations that fit are met (count, chance, budget, drawn delays) is decided here in advance, by
the rule itself. What then happens is a table by the operation's name, with the platform's
texts.

Promises: a plan decides as its rule does; what the real runtime cannot do is refused with the
reason. Leaves to others: bringing it there (faults), carrying it out (faults.mjs).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from emulator.errors import JsException, UnsupportedByTarget
from emulator.simulation.clock import Clock
from emulator.simulation.faults import FaultRule
from emulator.simulation.rules import Operation, RuleSet
from emulator.simulation.selection import Selection
from emulator.simulation.trace import Trace
from emulator.values.conversion import FLAGS
from emulator.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from emulator.simulation.rules import Rule, Verdict

__all__ = ["check", "glob_pattern", "plan_of"]

#: What the shim and the front see of a world.
_CALLS: Final = frozenset(
    {
        "alarm.ack", "d1.all", "d1.batch", "d1.exec", "d1.first", "d1.raw", "d1.run",
        "object.fetch", "object.rpc", "outbound.fetch", "r2.abort", "r2.body", "r2.complete",
        "r2.createMultipartUpload", "r2.delete", "r2.get", "r2.head", "r2.list", "r2.put",
        "r2.uploadPart", "service.fetch", "worker.fetch", "worker.scheduled",
    }
)  # fmt: skip
#: So many operations are drawn for in advance; then the same luck begins again.
_DRAWN_COUNT: Final = 4_096
#: Each number is decided in advance.
_COUNT_MAX: Final = 100_000
#: Stands in an error's text for the first line of what the operation is about.
_KEY: Final = "\0"
#: The characters of a regular expression that stand for something.
_SPECIAL: Final = frozenset("^$\\.*+?()[]{}|/")


def check(rules: Iterable[Rule], services: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse what cannot be added to a real world.

    Args:
        rules: What is about to be added.
        services: First parts of the names of operations, by binding.

    Raises:
        ConfigurationError: If one is no rule.
        UnsupportedByTarget: If the real runtime cannot do what one says.
    """
    for rule in rules:
        RuleSet(Trace(Clock())).add(rule)
        _check_outcomes(_checked(rule), services)


def plan_of(rule: Rule, rules: RuleSet) -> dict[str, Any]:
    """The plan of a rule that is about to be added.

    Args:
        rule: Made by `emulator.faults`.
        rules: Those that are there already, with the seed of what is drawn.

    Raises:
        UnsupportedByTarget: If the real runtime cannot do what it says.
    """
    rule = _checked(rule)
    selection = rule.selection
    return {
        "binding": selection.binding,
        "isActor": selection.is_actor,
        "via": None if selection.via is None else glob_pattern(selection.via),
        "key": _text(selection.key if isinstance(selection.key, str) else None),
        "sql": _text(selection.sql),
        "object": None if selection.object is None else glob_pattern(selection.object),
        "outcomes": _outcomes(rule),
        **_luck(rule, rules),
    }


def glob_pattern(glob: str) -> str:
    """The regular expression, of JavaScript with the flags s and u, that means a glob.

    Args:
        glob: As `fnmatch.fnmatchcase` takes it.
    """
    found, position = "", 0
    while position < len(glob):
        mark = glob[position]
        position += 1
        end = glob.find("]", position + (2 if glob[position : position + 1] == "!" else 1))
        if mark == "*":
            found += ".*"
        elif mark == "?":
            found += "."
        elif mark == "[" and end > 0:
            found += _one_of(glob[position:end])
            position = end + 1
        else:
            found += f"\\{mark}" if mark in _SPECIAL else mark
    return f"^{found}$"


def _one_of(marks: str) -> str:
    """The class of what is between the brackets of a glob."""
    left, is_not = list(marks), False
    parts: list[str] = []
    while left:
        first = last = left.pop(0)
        if first == "!" and not parts and not is_not:
            is_not = True  # Also behind empty ranges, as in Python's own.
            continue
        if len(left) > 1 and left[0] == "-":
            last = left[1]
            del left[:2]
        if first <= last:  # The other way round it is empty.
            parts.append("-".join(f"\\u{{{ord(mark):x}}}" for mark in (first, last)))
    if not parts:
        return "." if is_not else "(?!)"
    return f"[{'^' if is_not else ''}{''.join(parts)}]"


def _checked(rule: Rule) -> FaultRule:
    if not isinstance(rule, FaultRule):
        _refuse(rule, "it decides in Python, and operations are decided in the worker there")
    selection = rule.selection
    if callable(selection.key):
        _refuse(rule, "its key is a Python function, and keys are compared in the worker there")
    if selection.during is not None:
        _refuse(rule, "its window is one of simulated time")
    if _settled_after(selection) > _COUNT_MAX:
        _refuse(rule, f"it counts further than {_COUNT_MAX:,}")
    return rule


def _check_outcomes(rule: FaultRule, services: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a rule with which nothing could ever happen."""
    selection = rule.selection
    of_binding = None if selection.is_actor else services.get(str(selection.binding))

    def is_of_binding(name: str) -> bool:
        return of_binding is None or name.partition(".")[0] in of_binding

    if not any(map(is_of_binding, _outcomes(rule))):
        shown = ", ".join(filter(is_of_binding, sorted(selection.names)))
        _refuse(rule, f"no code of ours is called there when this happens to {shown}")


def _text(glob: str | None) -> dict[str, str] | None:
    return None if glob is None else {"text": glob, "pattern": glob_pattern(glob)}


def _outcomes(rule: FaultRule) -> dict[str, Any]:
    """What happens, by the name of the operation."""
    selection = Selection(rule.selection.names)
    deciding = rule.with_selection(selection).begin(RuleSet(Trace(Clock())))
    found: dict[str, Any] = {}
    for name in sorted(selection.names & _CALLS):
        verdict = deciding.decide(Operation("", name, _KEY))
        assert verdict is not None
        outcome = _outcome(rule, verdict, name)
        if outcome is not None:
            found[name] = outcome
    return found


def _outcome(rule: FaultRule, verdict: Verdict, name: str) -> dict[str, Any] | None:
    """What a verdict does to an operation; None if nothing can do that there."""
    if verdict.restart or verdict.target_ends:
        return None
    if name == "alarm.ack":
        # Whoever loses power just before is as unheard.
        is_unheard = verdict.is_unheard or verdict.crash == "before"
        return {"crash": "before"} if is_unheard else None
    operation = Operation("", name, _KEY)
    outcome = {
        "latencyMs": verdict.latency_ms,
        "answerLatencyMs": verdict.answer_latency_ms,
        "crash": verdict.crash,
        "errorBefore": _error(verdict.error_before, operation),
        "errorAfter": _error(verdict.error_after, operation),
        "answer": None if verdict.answer is None else _answer(verdict.answer(operation)),
        "change": None if verdict.changed is None else _change(rule),
    }
    return {part: value for part, value in outcome.items() if value}


def _error(
    make: Callable[[Operation], BaseException] | None, operation: Operation
) -> dict[str, Any] | None:
    return None if make is None else _facts(make(operation))


def _facts(error: BaseException) -> dict[str, Any]:
    assert isinstance(error, JsException)
    facts: dict[str, Any] = {"name": error.name, "message": error.message}
    facts |= {flag: True for flag in FLAGS if getattr(error, flag)}
    cause = error.properties.get("cause")
    return facts if cause is None else {**facts, "cause": _facts(cause)}


def _answer(value: Any) -> dict[str, Any]:
    if value is None:
        return {"isNull": True}
    assert isinstance(value, Response)
    body = value._take_over()
    assert isinstance(body, bytes | None)
    return {
        "status": value.status,
        "headers": [list(pair) for pair in value.headers.items()],
        "body": None if body is None else body.decode(),
    }


def _change(rule: FaultRule) -> dict[str, Any]:
    given = dict(rule.arguments)
    if rule.fault == "corrupt_size":
        return {"byBytes": given.get("by_bytes", 1)}
    assert rule.fault == "truncate"
    kept_bytes, breaks = given.get("kept_bytes"), bool(given.get("breaks"))
    return {"cut": {"keptBytes": kept_bytes, "breaks": breaks}}


def _luck(rule: FaultRule, rules: RuleSet) -> dict[str, Any]:
    """Which of the operations that fit are met, and with which delays: runs of like ones."""
    selection = rule.selection
    drawing = replace(
        Selection(selection.names),
        nth=selection.nth,
        probability=selection.probability,
        times=selection.times,
    )
    deciding = rule.with_selection(drawing).begin(rules)
    operation = Operation("", min(selection.names & _CALLS), _KEY)
    is_drawn = selection.probability is not None or isinstance(
        dict(rule.arguments).get("delay"), tuple
    )
    settled = _settled_after(selection)
    count = max(settled, _DRAWN_COUNT) if is_drawn else settled
    runs: list[dict[str, Any]] = []
    for _ in range(count):
        verdict = deciding.decide(operation)
        change = None if verdict is None else _delays(verdict, is_drawn=is_drawn)
        if runs and runs[-1]["change"] == change:
            runs[-1]["count"] += 1
        else:
            runs.append({"count": 1, "change": change})
    goes_on = selection.nth is None and selection.times is None
    return {"runs": runs, "isCyclic": is_drawn and goes_on}


def _settled_after(selection: Selection) -> int:
    """From which number on all operations that fit are alike."""
    nth = selection.nth
    if nth is None:
        return (selection.times or 0) + 1
    return (nth if isinstance(nth, int) else max(nth)) + 1


def _delays(verdict: Verdict, *, is_drawn: bool) -> dict[str, int]:
    if not is_drawn:
        return {}
    return {"latencyMs": verdict.latency_ms, "answerLatencyMs": verdict.answer_latency_ms}


def _refuse(rule: Rule, why: str) -> NoReturn:
    message = (
        f"{rule!r} cannot be had on the real runtime: {why}; use the emulator "
        "(--emulator-target emulator) for it"
    )
    raise UnsupportedByTarget(message)
