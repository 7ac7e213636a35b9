"""The interpreter on the emulator: what each op and step does, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest

from emulator import schedules
from emulator.conformance.emulator_target import run_program
from emulator.conformance.program import checked

UNDEFINED = {"$": "undefined"}


def run(*steps: dict[str, Any], seed: int = 0, **parts: Any) -> dict[str, Any]:
    program = checked({"name": "p", "steps": list(steps), **parts})
    return run_program(program, seed=seed)


def steps_of(*steps: dict[str, Any], **parts: Any) -> list[dict[str, Any]]:
    outcome = run(*steps, **parts)
    assert "error" not in outcome
    found: list[dict[str, Any]] = outcome["steps"]
    return found


def ops_of(*ops: list[Any], **parts: Any) -> list[dict[str, Any]]:
    [step] = steps_of({"rpc": list(ops)}, **parts)
    found: list[dict[str, Any]] = step["ops"]
    return found


def value_of(value: Any) -> Any:
    [step] = steps_of({"worker": [["return", value]]})
    return step["result"]["ok"]


def test_ops_are_told_in_the_order_in_which_they_ended() -> None:
    ops = ops_of(["gather", [["sleep", 20], ["sleep", 10], ["memory", "n", 1]]])

    assert [entry["op"] for entry in ops] == ["0.2", "0.1", "0.0", "0"]


def test_an_op_that_errs_ends_its_body() -> None:
    [step] = steps_of({"rpc": [["throw", "TypeError", "no"], ["memory", "n", 1]]})

    assert step["ops"] == [{"op": "0", "error": {"name": "TypeError", "message": "no"}}]
    assert step["result"] == {"error": {"name": "TypeError", "message": "no", "remote": True}}


def test_try_tells_what_it_caught_and_goes_on() -> None:
    ops = ops_of(["try", [["throw", "Error", "no"], ["memory", "n", 1]]], ["memory", "n", 1])

    assert ops[1] == {"op": "0", "ok": {"caught": {"name": "Error", "message": "no"}}}
    assert ops[2] == {"op": "1", "ok": 1}


def test_return_ends_its_own_body_and_is_its_result() -> None:
    ops = ops_of(
        ["storage.transaction", [["return", 5], ["memory", "n", 1]]], ["memory", "n", 1]
    )

    assert ops == [
        {"op": "0.0", "ok": 5},
        {"op": "0", "ok": 5},
        {"op": "1", "ok": 1},
    ]


def test_an_op_that_never_ended_is_told_last_as_open() -> None:
    [step] = steps_of(
        {"rpc": [["storage.put", "a", 1], ["try", [["abort", "x"]]], ["sleep", 1]]}
    )

    assert step["ops"] == [
        {"op": "0", "ok": None},
        {"op": "1", "open": True},
        {"op": "1.0", "open": True},
    ]
    assert step["result"]["error"]["message"] == "x"


def test_what_was_kept_can_be_used_in_a_later_call_of_the_same_object() -> None:
    steps = steps_of(
        {"rpc": [["memory", "n", 3, {"as": "three"}]]},
        {"rpc": [["return", {"$": "ref", "of": "three"}]]},
        {"rpc": [["try", [["return", {"$": "ref", "of": "three"}]]]], "object": "other"},
    )

    assert steps[1]["result"] == {"ok": 3}
    message = 'the program kept nothing as "three" here'
    assert steps[2]["ops"][1]["ok"]["caught"] == {"name": "Error", "message": message}


def test_a_task_goes_on_beside_the_ops_after_it() -> None:
    ops = ops_of(
        ["task", ["sleep", 10], {"as": "p"}],
        ["memory", "n", 1],
        ["await", {"$": "ref", "of": "p"}],
    )

    assert [entry["op"] for entry in ops] == ["0", "1", "0.0", "2"]


def test_a_rejected_task_that_nobody_awaits_is_no_error() -> None:
    [step] = steps_of({"rpc": [["task", ["throw", "Error", "alone"]]]})

    assert step["result"] == {"ok": UNDEFINED}
    assert step["ops"][0] == {"op": "0.0", "error": {"name": "Error", "message": "alone"}}


def test_a_synchronous_body_waits_for_nothing() -> None:
    ops = ops_of(["storage.transactionSync", [["storage.get", "a"], ["storage.kv.get", "a"]]])

    # The outcome of a promise comes when the body is long over.
    assert [entry["op"] for entry in ops[:2]] == ["0.1", "0.0"]


def test_work_in_the_background_is_told_under_the_call_that_began_it() -> None:
    [step] = steps_of({"rpc": [["timer", 5, [["storage.put", "a", 1]]]]})

    assert [entry["op"] for entry in step["ops"]] == ["0", "0.0"]


def test_work_that_the_program_does_not_wait_for_is_not_told() -> None:
    [step] = steps_of({"rpc": [["timer", 50, [["storage.put", "a", 1]]]]})

    assert [entry["op"] for entry in step["ops"]] == ["0"]


def test_branches_tell_begins_and_ends_object_by_object() -> None:
    [step] = steps_of(
        {
            "par": [
                {"rpc": [["memory", "n", 1]]},
                {"rpc": [["memory", "n", 1]], "object": "b"},
                {"worker": [["memory", "n", 1]]},
            ]
        }
    )

    assert step["order"] == {
        "main": ["0/0 begin", "0/0 end"],
        "b": ["1/0 begin", "1/0 end"],
        "worker": ["2/0 begin", "2/0 end"],
    }


def test_a_fetch_carries_ops_and_result() -> None:
    [step] = steps_of({"fetch": [["return", {"$": "number", "is": "NaN"}]]})

    assert step["result"] == {"ok": {"$": "number", "is": "NaN"}}


def test_a_call_from_inside_is_recorded_with_its_caller() -> None:
    [step] = steps_of({"rpc": [["rpc", "b", [["storage.put", "x", 1], ["return", 7]]]]})

    assert [entry["op"] for entry in step["ops"]] == ["0.0", "0.1", "0"]
    assert step["ops"][2]["ok"] == 7


def test_runs_of_the_alarm_are_told_with_what_they_did() -> None:
    [step] = steps_of(
        {"alarms": [[["throw", "Error", "once"]], []], "set": 5, "until": 2, "wait": 9000}
    )

    assert [run["outcome"] for run in step["runs"]] == [
        {"error": {"name": "Error", "message": "once"}},
        "ok",
    ]
    assert [run["info"]["retryCount"] for run in step["runs"]] == [0, 1]


def test_an_alarm_that_cannot_be_set_is_told_and_not_waited_for() -> None:
    [step] = steps_of({"alarms": [[]], "set": 5, "wait": 60_000}, **{"class": "no_alarm"})

    assert step["runs"] == []
    assert step["set"]["error"]["name"] == "TypeError"


def test_an_evicted_object_has_lost_its_memory() -> None:
    count = {"rpc": [["memory", "n", 1]]}

    steps = steps_of(count, {"evict": True}, count)

    assert [step["ops"][0]["ok"] for step in (steps[0], steps[2])] == [1, 1]


def test_a_new_stub_reaches_an_object_whose_former_stub_broke() -> None:
    get = {"rpc": [["storage.get", "a"]]}

    steps = steps_of({"rpc": [["abort"]]}, get, {"newStub": True}, get)

    assert "error" in steps[1]["result"]
    assert steps[3]["result"] == {"ok": UNDEFINED}


def test_a_constructor_runs_ops_that_are_told_nowhere() -> None:
    [step] = steps_of(
        {"rpc": [["storage.list"]]},
        constructor=[["storage.put", "blocked", 1]],
        constructorBare=[["storage.put", "bare", 1]],
        **{"class": "constructing"},
    )

    pairs = [["bare", 1], ["blocked", 1]]
    assert step["ops"] == [{"op": "0", "ok": {"$": "map", "of": pairs}}]


def test_sql_of_the_shared_database_has_tables_of_the_program() -> None:
    [step] = steps_of(
        {
            "worker": [
                ["d1.exec", "CREATE TABLE @@t(x)"],
                [
                    "d1.prepare",
                    "SELECT name FROM sqlite_master WHERE name = '@@t'",
                    {"call": "first"},
                ],
                ["try", [["d1.prepare", "SELECT * FROM @@u", {"call": "all"}]]],
            ]
        }
    )

    assert step["ops"][1]["ok"] == {"name": "@@t"}
    assert "no such table: @@u" in step["ops"][3]["ok"]["caught"]["message"]


def test_what_nothing_can_complete_is_a_program_that_hangs() -> None:
    promise = {"$": "ref", "of": "p"}

    outcome = run(
        {"rpc": [["task", ["sleep", 1000], {"as": "p"}], ["share", "p", promise], ["abort"]]},
        {"worker": [["memory", "n", 1], ["await", {"$": "shared", "of": "p"}]]},
        {"worker": [["memory", "n", 1]]},
    )

    assert outcome["error"]["name"] == "ProgramHangs"
    assert outcome["steps"][1:] == [
        {
            "ops": [{"op": "0", "ok": 1}, {"op": "1", "open": True}],
            "result": {"open": True},
        }
    ]


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 1.5, "", "é\U0001f4a9", [], [1, [2]], {}, {"a": {"b": 1}},
        UNDEFINED,
        {"$": "number", "is": "NaN"}, {"$": "number", "is": "-0"},
        {"$": "number", "is": "-Infinity"},
        {"$": "bytes", "hex": "00ff"}, {"$": "bytes", "hex": "01000200", "view": "Int16Array"},
        {"$": "date", "ms": 1}, {"$": "map", "of": [[1, "a"], ["b", None]]},
        {"$": "set", "of": [1]}, {"$": "bigint", "is": "18446744073709551616"},
        {"$": "error", "name": "RangeError", "message": "m"}, {"self": {"$": "cycle"}},
        {"$": "object", "of": [["$", 1]]},
        {"$": "regexp", "source": "a+", "flags": "i"}, {"$": "headers", "of": [["a", "b"]]},
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_is_told_as_it_was_written(value: Any) -> None:
    given = {"$": "cycle"} if value == {"self": {"$": "cycle"}} else value

    assert value_of(given) == value


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"$": "names", "text": "k", "times": 2}, ["k0", "k1"]),
        ({"$": "entries", "text": "k", "times": 2}, {"k0": 0, "k1": 1}),
        ({"$": "repeat", "text": "ab", "times": 2}, "abab"),
        ({"$": "zeros", "bytes": 2}, {"$": "bytes", "hex": "0000"}),
        (2**53, {"$": "bigint", "is": "9007199254740992"}),
        ({"$": "start", "plus": 5}, 1767225600005),
    ],
    ids=repr,
)
def test_a_value_is_told_as_what_it_stands_for(written: Any, told: Any) -> None:
    if written == 2**53:
        told = 9007199254740992.0  # A number in JavaScript, whatever its size.
    assert value_of(written) == told


def test_a_long_text_is_told_by_length_and_digest() -> None:
    told = value_of({"$": "repeat", "text": "\U0001f4a9", "times": 101})

    assert (told["kind"], told["length"], len(told["sha256"])) == ("string", 202, 64)
    assert value_of({"$": "repeat", "text": "x", "times": 200}) == "x" * 200


def test_what_python_does_not_have_is_an_error_that_says_so() -> None:
    [step] = steps_of({"worker": [["try", [["return", {"$": "weakmap"}]]]]})

    caught = {"name": "Unsupported", "message": "Python has no WeakMap"}
    assert step["ops"][1]["ok"] == {"caught": caught}


CONNECT = {"connect": "s", "tags": ["t"], "ops": [["s.send", "first"]]}
ECHO = [["memory", "n", 1], ["ws.send", {"$": "ref", "of": "message"}]]


def hear(count: int, ms_max: int = 1000) -> list[Any]:
    return ["heard", {"$": "ref", "of": "s"}, count, ms_max]


@pytest.mark.parametrize("accept", ["hibernate", "plain"])
def test_a_websocket_is_kept_on_both_sides_and_its_handlers_are_told(accept: str) -> None:
    steps = steps_of(
        {"handlers": {"webSocketMessage": [ECHO]}},
        {**CONNECT, "accept": accept},
        {"worker": [["s.send", "a"], hear(1), hear(2, 50), ["s.close", 4000, "bye"]]},
        {"wait": 1000, "events": 2},
        {"rpc": [["s.readyState"]]},
    )

    assert steps[1]["result"] == {"ok": {"status": 101, "webSocket": True}}
    heard = [entry["ok"] for entry in steps[2]["ops"][1:3]]
    assert heard == [[["message", "first"]], [["message", "a"]]]
    message, close = steps[0]["events"]
    assert (message["args"], message["outcome"]) == (["a"], "ok")
    assert message["ops"] == [{"op": "0", "ok": 1}, {"op": "1", "ok": None}]
    assert (close["handler"], close["args"]) == ("webSocketClose", [4000, "bye", True])
    assert steps[4]["ops"] == [{"op": "0", "ok": 2}]


def test_a_handler_does_last_what_it_was_given_last_and_goes_on_after_an_eviction() -> None:
    bodies = [[["throw", "Error", "no"]], [["memory", "n", 1], ["return", 5]]]
    steps = steps_of(
        {"handlers": {"webSocketMessage": bodies}},
        CONNECT,
        {"worker": [["s.send", "a"], ["s.send", "b"]]},
        {"evict": True},
        {"worker": [["s.send", "c"]]},
        {"wait": 1000, "events": 3},
    )

    events = steps[0]["events"]
    assert [event["args"] for event in events] == [["a"], ["b"], ["c"]]
    assert events[0]["outcome"] == {"error": {"name": "Error", "message": "no"}}
    assert [event["ops"][0].get("ok") for event in events[1:]] == [1, 1]


def test_an_event_that_a_reset_cuts_off_is_told_as_open() -> None:
    steps = steps_of(
        {"handlers": {"webSocketMessage": [[["abort", "x"]]]}},
        CONNECT,
        {"worker": [hear(1), ["s.send", "a"], hear(1)]},
    )

    assert [event["outcome"] for event in steps[0]["events"]] == ["open"]
    assert steps[2]["ops"][2]["ok"][0][:2] == ["close", 1006]


def test_two_ends_of_a_pair_can_be_listened_to_in_one_place() -> None:
    [step] = steps_of(
        {
            "worker": [
                ["pair", "s", "t"],
                ["try", [hear(1)]],
                ["listen", {"$": "ref", "of": "s"}],
                ["s.accept"],
                ["t.accept"],
                ["set", {"$": "ref", "of": "s"}, "binaryType", "arraybuffer"],
                ["t.send", {"$": "bytes", "hex": "01"}],
                hear(1),
            ]
        }
    )

    caught = {"name": "Error", "message": "nobody listens to this WebSocket"}
    assert step["ops"][2]["ok"] == {"caught": caught}
    assert step["ops"][-1]["ok"] == [["message", {"$": "bytes", "hex": "01"}]]


def test_a_program_comes_out_the_same_for_one_seed_and_schedule() -> None:
    branches = [{"rpc": [["r2.put", str(i), "x"], ["memory", "n", 1]]} for i in range(5)]
    program = checked({"name": "p", "steps": [{"par": branches}]})

    def orders(seed: int) -> Any:
        found = run_program(program, seed=seed, schedule=schedules.random(seed))
        return found["steps"][0]["order"]

    assert orders(3) == orders(3)
    assert len({str(orders(seed)) for seed in range(8)}) > 1
