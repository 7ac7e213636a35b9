"""Comparing two outcomes: what may differ, and how a difference is told."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from emulator.conformance.comparison import difference
from emulator.conformance.divergences import Divergence
from emulator.conformance.emulator_target import run_program
from emulator.conformance.judge import complaint
from emulator.conformance.normalise import normalise
from emulator.conformance.program import Program, checked

PUT = ["storage.put", "a", {"b": [1, True, None]}]
GET = ["storage.get", "a"]


def program(*ops: Any) -> Program:
    return checked({"name": "law", "steps": [{"rpc": [PUT]}, {"rpc": list(ops) or [GET]}]})


def told(value: Any, *, kind: str = "ok") -> dict[str, Any]:
    """An outcome of `program` whose second step tells this."""
    first = {"ops": [{"op": "0", "ok": None}], "result": {"ok": None}}
    second = {"ops": [{"op": "0", kind: value}], "result": {"ok": None}}
    return {"program": "law", "target": "t", "steps": [first, second]}


def test_an_outcome_does_not_differ_from_itself() -> None:
    outcome = run_program(program())

    assert difference(program(), outcome, copy.deepcopy(outcome)) == ""


def test_a_planted_difference_is_told_with_its_place_and_both_values() -> None:
    outcome = run_program(program())
    planted = copy.deepcopy(outcome)
    planted["steps"][1]["ops"][0]["ok"]["b"][1] = 1

    text = difference(program(), outcome, planted)

    assert text.splitlines() == [
        "program 'law', at steps[1].ops[0].ok.b[1]",
        '     {"rpc": [["storage.put", "a", {"b": [1, true, null]}]]}',
        '  -> {"rpc": [["storage.get", "a"]]}',
        "   workerd: true",
        "  emulator: 1",
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True), (0, None), ("1", 1), ({"a": None}, {}), ([1], [1, 2]), ([1, 2], [2, 1]),
        (1.5, 1.25), ({"$": "map", "of": [["a", 1]]}, {"a": 1}),
        ({"$": "map", "of": [[1, 1], [2, 2]]}, {"$": "map", "of": [[2, 2], [1, 1]]}),
        ({"$": "bytes", "hex": "00"}, {"$": "bytes", "hex": "01"}),
        ({"$": "bytes", "hex": "00", "view": "Int8Array"}, {"$": "bytes", "hex": "00"}),
        ({"$": "number", "is": "-0"}, 0),
        ({"$": "bigint", "is": "18446744073709551616"}, 2.0**64),
    ],
    ids=repr,
)  # fmt: skip
def test_what_differs_on_the_platform_differs(left: Any, right: Any) -> None:
    assert difference(program(), told(left), told(right))
    assert difference(program(), told(right), told(left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"$": "undefined"}, None),
        (1.0, 1),
        ({"$": "bigint", "is": "5"}, 5),
        ({"$": "opaque", "class": "A"}, {"$": "opaque", "class": "B"}),
        ({"$": "set", "of": [1, "a"]}, {"$": "set", "of": ["a", 1]}),
        ({"$": "bytes", "hex": "00", "view": "ArrayBuffer"}, {"$": "bytes", "hex": "00"}),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
        ({"uploaded": 1, "etag": "e"}, {"uploaded": 2, "etag": "e"}),
        ({"meta": {"duration": 1, "changes": 1}}, {"meta": {"duration": 2, "changes": 1}}),
        (-9223372036854776000, -9.223372036854776e18),
    ],
    ids=repr,
)
def test_what_is_told_of_no_runtime_does_not_differ(left: Any, right: Any) -> None:
    assert difference(program(), told(left), told(right)) == ""


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        (
            "DataCloneError",
            "() => 1 could not be cloned.",
            "function f() {} could not be cloned.",
        ),
        ("Error", "internal error; reference = 8a2", "internal error; reference = x"),
    ],
)
def test_a_text_that_no_two_runs_share_does_not_differ(
    name: str, left: str, right: str
) -> None:
    one, other = ({"name": name, "message": text} for text in (left, right))

    assert difference(program(), told(one, kind="error"), told(other, kind="error")) == ""


@pytest.mark.parametrize("change", [{"message": "n"}, {"name": "E"}, {"remote": True}])
def test_an_error_differs_by_name_message_and_flags(change: dict[str, Any]) -> None:
    one = {"name": "TypeError", "message": "m"}

    assert difference(program(), told(one, kind="error"), told({**one, **change}, kind="error"))


@pytest.mark.parametrize(
    "op",
    [
        ["storage.getAlarm"],
        ["storage.sql.databaseSize"],
        ["read", {"$": "ref", "of": "c"}, "rowsRead"],
    ],
)
def test_times_and_counters_are_told_by_the_name_of_their_op(op: list[Any]) -> None:
    kept = ["storage.sql.exec", "SELECT 1", {"as": "c"}]
    law = checked({"name": "law", "steps": [{"rpc": [kept]}, {"rpc": [op]}]})

    assert difference(law, told(5), told(7)) == ""
    assert difference(law, told(5), told(None))


def test_an_op_is_found_by_its_path_in_every_body() -> None:
    ops = [["try", [["task", ["gather", [["storage.getAlarm"]]]]]]]
    law = checked({"name": "law", "steps": [{"rpc": ops}]})
    entries = [{"op": "0.0.0.0", "ok": 5}]
    outcome = {"steps": [{"ops": entries, "result": {"ok": None}}]}

    [step] = normalise(law.source, outcome)["steps"]

    assert step["ops"] == [{"op": "0.0.0.0", "ok": {"$": "time"}}]


def test_between_two_objects_there_is_no_order_and_inside_one_there_is() -> None:
    ops = [["rpc", "b", [GET, GET]], ["rpc", "c", [GET]]]
    law = checked({"name": "law", "steps": [{"rpc": ops}]})

    def order(*paths: str) -> dict[str, Any]:
        entries = [{"op": path, "ok": None} for path in paths]
        return {"steps": [{"ops": entries, "result": {"ok": None}}]}

    calm = order("0.0", "0.1", "0", "1.0", "1")
    assert difference(law, calm, order("1.0", "0.0", "0", "0.1", "1")) == ""
    assert difference(law, calm, order("0.1", "0.0", "0", "1.0", "1"))
    assert difference(law, calm, order("0.0", "0.1", "1", "1.0", "0"))


def test_normalising_twice_changes_nothing() -> None:
    law = program(["storage.getAlarm"], ["try", [["throw", "Error", "m"]]], GET)
    once = normalise(law.source, run_program(law))

    assert normalise(law.source, once) == once


DECLARED = Divergence("known", "what", "how", "why", ("law",))


def test_an_undeclared_difference_is_a_complaint() -> None:
    assert "workerd: 1" in complaint(program(), told(1), told(2), [])


def test_a_declared_difference_is_none() -> None:
    assert complaint(program(), told(1), told(2), [DECLARED]) == ""


def test_a_declared_difference_that_no_longer_differs_is_a_complaint() -> None:
    text = complaint(program(), told(1), told(1), [DECLARED])

    assert "'known' is none any more" in text
