"""Reading programs: what is malformed is named with its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from emulator.conformance.program import checked, read, unique
from emulator.conformance.recordings import program_folder
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

GET = ["storage.get", "a"]


def program(**parts: Any) -> dict[str, Any]:
    return {"name": "p", "steps": [{"rpc": [GET]}], **parts}


def with_op(op: Any) -> dict[str, Any]:
    return program(steps=[{"rpc": [GET]}, {"rpc": [["try", [GET, op]]]}])


MALFORMED: dict[str, tuple[Any, str]] = {
    "no object": ([], "the program must be an object"),
    "no name": ({"steps": []}, 'the program has no "name"'),
    "no steps": ({"name": "p"}, "program 'p': \"steps\" must be a list"),
    "an empty list of steps": (program(steps=[]), "at least one step"),
    "an unknown field": (
        program(step=[]),
        "program 'p' has no field 'step'; did you mean 'steps'",
    ),
    "a wrong type": (program(settle="5"), "program 'p': 'settle' cannot be \"5\""),
    "a truth for a number": (program(settle=True), "'settle' cannot be true"),
    "a negative number": (program(settle=-1), "'settle' cannot be negative"),
    "a wrong date": (program(compatibilityDate="today"), "must be YYYY-MM-DD, got 'today'"),
    "wrong flags": (program(compatibilityFlags=[1]), "must be a list of names, got [1]"),
    "an unknown class": (program(**{"class": "sqll"}), "did you mean 'sql'?"),
    "half a class": (program(**{"class": {"useSQLite": 1}}), '"class" must be one of sql, kv'),
    "a constructor without its class": (
        program(constructor=[GET]),
        '\'constructor\' needs "class": "constructing"',
    ),
    "a step that is a list": (program(steps=[[GET]]), "step 0 must be an object"),
    "a step of no kind": (program(steps=[{"rcp": []}]), "did you mean 'rpc'?"),
    "two steps at once": (
        program(steps=[{"rpc": [GET], "fetch": [GET]}]),
        "step 0 is two steps at once: rpc and fetch",
    ),
    "an unknown field of a step": (
        program(steps=[{"rpc": [GET], "objekt": "x"}]),
        "step 0 (rpc) has no field 'objekt'; did you mean 'object'?",
    ),
    "an eviction that is none": (program(steps=[{"evict": 1}]), "'evict' must be true, got 1"),
    "a wait that is none": (program(steps=[{"wait": "1"}]), "'wait' cannot be \"1\""),
    "a branch that waits": (
        program(steps=[{"par": [{"wait": 5}]}]),
        "step 0, branch 0: only rpc, fetch, worker can be started together",
    ),
    "no branches": (program(steps=[{"par": []}]), '"par" must be a list of steps, got []'),
    "alarms without bodies": (
        program(steps=[{"alarms": [["sleep", 5]]}]),
        'step 0, run 0, op 0 must be a list such as ["storage.get", "a"], got "sleep"',
    ),
    "an op that is text": (with_op("x"), "step 1, op 0.1 must be a list"),
    "an op without a name": (with_op([1]), "step 1, op 0.1 must be a list"),
    "a WebSocket without a name": (program(steps=[{"connect": 5}]), "'connect' cannot be 5"),
    "an acceptance that is none": (
        program(steps=[{"connect": "s", "accept": "plane"}]),
        "'accept' must be one of hibernate, plain, half_open, none, got \"plane\"",
    ),
    "a tag of a WebSocket that is no text": (
        program(steps=[{"connect": "s", "tags": [1]}]),
        '"tags" must be a list of texts, got [1]',
    ),
    "an unknown handler": (
        program(steps=[{"handlers": {"webSocketMesage": []}}]),
        "no handler 'webSocketMesage'; did you mean 'webSocketMessage'?",
    ),
    "handlers without bodies": (
        program(steps=[{"handlers": {"webSocketClose": [GET]}}]),
        "webSocketClose 0, op 0 must be a list such as",
    ),
    "a handler that is no list": (
        program(steps=[{"handlers": {"webSocketClose": 5}}]),
        "'webSocketClose' must be a list of lists of ops, got 5",
    ),
    "a pair of one": (with_op(["pair", "a"]), "op 0.1 (pair) takes a text, a text, got"),
    "an event handed to nobody": (with_op(["ws.send", "x"]), "no root 'ws'"),
    "an unknown op": (with_op(["slep", 5]), "op 0.1 (slep): there is no such op"),
    "an unknown root": (with_op(["store.get", "a"]), "no root 'store'"),
    "a hole in a path": (with_op(["storage..get"]), "a name between two dots is missing"),
    "too few arguments": (with_op(["sleep"]), "op 0.1 (sleep) takes a number, got []"),
    "too many arguments": (
        with_op(["return", 1, 2]),
        "op 0.1 (return) takes a value, got [1, 2]",
    ),
    "a text for a number": (with_op(["sleep", "5"]), 'op 0.1 (sleep): "5" is no number'),
    "a number for a text": (with_op(["throw", 5, "m"]), "op 0.1 (throw): 5 is no text"),
    "a body that is none": (with_op(["gather", GET]), "op 0.1.0 must be a list"),
    "an inner op": (
        with_op(["storage.transaction", [["sleep", "x"]]]),
        'op 0.1.0 (sleep): "x" is no number',
    ),
    "a task of no op": (with_op(["task", 5]), "op 0.1.0 must be a list"),
    "a nameless as": (with_op([*GET, {"as": ""}]), '"as" must be a name'),
    "a bind that is no list": (
        with_op(["d1.prepare", "SELECT ?", {"bind": 1}]),
        '"bind" must be',
    ),
    "a call without a name": (
        with_op(["d1.prepare", "x", {"call": []}]),
        '"call" must be a name',
    ),
    "a pipeline of names": (with_op(["pipeline", ["stub.x"], "y"]), "goes on with [member"),
    "an unknown tag": (
        with_op(["return", {"$": "byte"}]),
        "no tagged value 'byte'; did you mean",
    ),
    "a tag that is no text": (with_op(["return", {"$": 5}]), "no tagged value 5"),
    "a tag without its field": (with_op(["return", {"$": "bytes"}]), "lacks its field 'hex'"),
    "an unknown field of a tag": (
        with_op(["return", {"$": "undefined", "is": 1}]),
        "the tagged value 'undefined' has no field 'is'",
    ),
    "a wrong field of a tag": (with_op(["return", {"$": "date", "ms": "1"}]), "'ms'"),
    "bytes in no hex": (with_op(["return", {"$": "bytes", "hex": "0"}]), "hex digits"),
    "a number that JSON has": (with_op(["return", {"$": "number", "is": "5"}]), "one of NaN"),
    "a bigint in no digits": (with_op(["return", {"$": "bigint", "is": "x"}]), "digits"),
    "pairs that are none": (with_op(["return", {"$": "map", "of": [1]}]), "a list of pairs"),
    "a tag inside of a tag": (
        with_op(["return", {"$": "set", "of": [{"$": "sett"}]}]),
        "no tagged value 'sett'",
    ),
    "less than nothing": (with_op(["return", {"$": "zeros", "bytes": -1}]), "bytes from 0"),
    "a ref to nothing": (
        with_op(["return", {"$": "ref", "of": "x"}]),
        "no op of the program keeps a result \"as\": 'x'",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_named_with_its_place(case: str) -> None:
    source, text = MALFORMED[case]

    with pytest.raises(ConfigurationError) as caught:
        checked(source)

    assert text in str(caught.value)


def test_a_program_has_the_documented_defaults() -> None:
    found = checked(program())

    assert found.class_name == "sql"
    assert found.compatibility_date == "2026-04-01"
    assert found.settle_ms == 0
    assert not found.is_slow


@pytest.mark.parametrize("op", [["timer", 5, []], ["waitUntil", []], ["task", GET]])
def test_a_program_with_work_in_the_background_is_waited_for(op: Any) -> None:
    assert checked(with_op(op)).settle_ms == 20


def test_a_class_may_be_said_by_its_backend() -> None:
    assert checked(program(**{"class": {"useSQLite": False}})).class_name == "kv"


def test_a_file_holds_one_program_or_several(tmp_path: Path) -> None:
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    one.write_text(json.dumps(program()))
    many.write_text(json.dumps({"programs": [program(), program(name="q")]}))

    assert [p.name for p in read(one)] == ["p"]
    assert [p.name for p in read(many)] == ["p", "q"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no program: Expecting"),
        ('{"name": "p", "name": "q"}', "has the field 'name' twice"),
        ('{"programs": 5}', '"programs" must be a list'),
        ('{"programs": [], "steps": []}', "has no field 'steps'"),
        ('{"programs": [5]}', "bad.json, program 0 must be an object"),
    ],
)
def test_a_file_that_holds_none_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError) as caught:
        read(path)

    assert told in str(caught.value)
    assert "bad.json" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*none\.json"):
        read(tmp_path / "none.json")


def test_two_programs_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two programs are called 'p'"):
        unique([checked(program()), checked(program())])


def test_every_named_program_is_well_formed_and_has_a_name_of_its_own() -> None:
    files = sorted(program_folder().glob("*.json"))

    programs = unique(one for file in files for one in read(file))

    assert len(programs) >= 250
