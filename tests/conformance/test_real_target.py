"""Programs on the real runtime: what the interpreter does, and that no program harms another.

What the platform itself does is not tested here: the named programs say it.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from emulator.conformance.real_target import RealTarget, run_programs, version, wait_ms
from emulator.workerd.installation import node_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Outcome = dict[str, Any]
    Run = Callable[..., Outcome]

UNDEFINED = {"$": "undefined"}
COUNT = ["memory", "count", 1]


@pytest.fixture(scope="module")
def run_all(real_runtime: None) -> Iterator[Callable[[list[dict[str, Any]]], list[Outcome]]]:
    """Runs programs in worlds that stay open for the next test."""
    with asyncio.Runner() as runner:
        target = RealTarget()
        yield lambda programs: runner.run(target.run(programs))
        runner.run(target.__aexit__(None, None, None))


@pytest.fixture
def run(run_all: Any) -> Run:
    """Runs one program of these steps: run(step, ..., **fields)."""

    def run_one(*steps: dict[str, Any], **fields: Any) -> Outcome:
        outcome: Outcome
        [outcome] = run_all([{"name": "test", "steps": list(steps), **fields}])
        assert "error" not in outcome
        return outcome

    return run_one


@pytest.fixture
def rpc(run: Run) -> Callable[..., Any]:
    """What one call into an object tells: rpc(op, ..., **fields)."""
    return lambda *ops, **fields: run({"rpc": list(ops)}, **fields)["steps"][0]


def told(step: Outcome) -> dict[str, Any]:
    """Results by op; an error is its name and message."""
    return {
        entry["op"]: _named(entry["error"]) if "error" in entry else entry.get("ok", "open")
        for entry in step["ops"]
    }


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _named(error: dict[str, Any]) -> str:
    return f"{error['name']}: {error['message']}"


def test_the_interpreter_is_typed_strictly(
    real_runtime: None, require_tool: Callable[[str], str]
) -> None:
    done = subprocess.run(
        [require_tool("node"), "node_modules/typescript/bin/tsc", "--noEmit", "-p", "programs"],
        cwd=node_folder(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# -- steps -------------------------------------------------------------------------------


def test_an_outcome_names_the_program_and_the_runtime(run: Run) -> None:
    outcome = run({"wait": 0})
    assert outcome == {"program": "test", "target": f"workerd {version()}", "steps": [{}]}


@pytest.mark.parametrize("kind", ["rpc", "fetch"])
def test_a_call_tells_its_ops_and_its_result(run: Run, kind: str) -> None:
    outcome = run({kind: [["storage.put", "a", 1], ["return", {"b": 2}], ["storage.list"]]})
    assert outcome["steps"] == [
        {
            "ops": [{"op": "0", "ok": UNDEFINED}, {"op": "1", "ok": {"b": 2}}],
            "result": {"ok": {"b": 2}},
        }
    ]


@pytest.mark.parametrize(("kind", "flags"), [("rpc", {}), ("fetch", {"remote": True})])
def test_an_op_that_errs_ends_the_call(run: Run, kind: str, flags: dict[str, bool]) -> None:
    step = run({kind: [["throw", "RangeError", "no"], COUNT]})["steps"][0]
    assert [entry["op"] for entry in step["ops"]] == ["0"]
    assert step["ops"][0]["error"] == {"name": "RangeError", "message": "no"}
    error = step["result"]["error"]
    assert error["message"] == "no"
    assert error.get("remote") == (True if kind == "fetch" else error.get("remote"))


def test_what_ended_is_told_first_and_what_never_ended_last(rpc: Any) -> None:
    step = rpc(
        ["gather", [["sleep", 9], COUNT]], ["storage.put", "a", 1], ["abort", "because"], COUNT
    )
    assert [entry["op"] for entry in step["ops"]] == ["0.1", "0.0", "0", "1", "2"]
    assert step["ops"][-1] == {"op": "2", "open": True}
    assert step["result"]["error"] == {
        "name": "Error",
        "message": "because",
        "durableObjectReset": True,
    }


def test_branches_of_one_object_tell_the_order_of_their_ops(run: Run) -> None:
    step = run({"par": [{"rpc": [["sleep", 20], COUNT]}, {"rpc": [COUNT]}]})["steps"][0]
    assert [told(branch) for branch in step["par"]] == [{"0": UNDEFINED, "1": 2}, {"0": 1}]
    assert step["order"] == {
        "main": ["0/0 begin", "1/0 begin", "1/0 end", "0/0 end", "0/1 begin", "0/1 end"]
    }


def test_a_stub_is_kept_until_a_new_one_is_asked_for(run: Run) -> None:
    call = {"rpc": [COUNT]}
    steps = run({"rpc": [["abort"]]}, call, {"newStub": True}, call)["steps"]
    assert "error" in steps[1]["result"]
    assert steps[1]["ops"] == []
    assert told(steps[3]) == {"0": 1}


def test_stubs_and_objects_have_names(run: Run) -> None:
    steps = run(
        {"rpc": [COUNT]},
        {"rpc": [COUNT], "object": "other"},
        {"rpc": [["abort"]], "stub": "second"},
        {"rpc": [COUNT], "stub": "second"},
        {"rpc": [COUNT], "stub": "third"},
    )["steps"]
    assert [told(step) for step in steps] == [{"0": 1}, {"0": 1}, {"0": "open"}, {}, {"0": 1}]


def test_the_worker_has_no_storage_but_every_binding(run: Run) -> None:
    outcome = run(
        {
            "worker": [
                ["r2.put", "k", "abc"],
                ["r2.list", {"prefix": ""}, {"as": "list"}],
                ["d1.exec", "CREATE TABLE @@t(x)"],
                ["d1.prepare", "SELECT ? AS v", {"bind": [5], "call": "all"}],
                ["stub.count", 1, 2],
                ["rpc", "main", [COUNT]],
                ["try", [["storage.get", "a"]]],
            ]
        }
    )
    results = told(outcome["steps"][0])
    assert [found["key"] for found in results["1"]["objects"]] == ["k"]
    assert results["3"]["results"] == [{"v": 5}]
    assert (results["4"], results["5.0"]) == (2, 1)
    assert results["6"]["caught"]["name"] == "TypeError"


def test_another_request_of_the_worker_shares_its_memory(run: Run) -> None:
    shared = {"$": "shared", "of": "bucket"}
    share = [["share", "bucket", 7], ["json", 1, {"as": "kept"}]]
    other = [["return", [shared, {"$": "ref", "of": "kept"}]]]
    outcome = run({"worker": share}, {"worker": other, "request": "new"})
    assert outcome["steps"][1]["result"] == {"ok": [7, "1"]}


def test_alarms_run_their_scripts_and_are_told(run: Run) -> None:
    first = [["storage.put", "k", 1], ["throw", "Error", "first"]]
    step, after = run(
        {"alarms": [first, [COUNT]], "set": 10, "wait": 5_000, "until": 2},
        {"rpc": [["storage.get", "k"]]},
    )["steps"]
    failed, retried = step["runs"]
    assert failed["outcome"] == {"error": {"name": "Error", "message": "first"}}
    assert retried["outcome"] == "ok"
    assert [failed["info"]["retryCount"], retried["info"]["retryCount"]] == [0, 1]
    assert (told(failed)["0"], told(retried), told(after)) == (UNDEFINED, {"0": 1}, {"0": 1})


@pytest.mark.parametrize("accept", ["hibernate", "plain"])
def test_a_websocket_is_kept_on_both_sides_and_its_handlers_are_told(
    run: Run, accept: str
) -> None:
    here = {"$": "ref", "of": "s"}
    echo = [[COUNT, ["ws.send", {"$": "ref", "of": "message"}]], [["throw", "Error", "no"]]]
    steps = run(
        {"handlers": {"webSocketMessage": echo}},
        {"connect": "s", "accept": accept, "ops": [["s.send", "first"]]},
        {"worker": [["s.send", "a"], ["heard", here, 1], ["heard", here, 2, 50]]},
        {"worker": [["s.send", "b"]]},
        {"wait": 2_000, "events": 2},
        {"rpc": [["s.readyState"]]},
    )["steps"]
    assert steps[1]["result"] == {"ok": {"status": 101, "webSocket": True}}
    assert told(steps[2])["1"] == [["message", "first"]]
    assert told(steps[2])["2"] == [["message", "a"]]
    first, second = steps[0]["events"][:2]
    assert (first["args"], told(first)) == (["a"], {"0": 1, "1": UNDEFINED})
    assert second["outcome"] == {"error": {"name": "Error", "message": "no"}}
    assert told(steps[5]) == {"0": 1 if accept == "hibernate" else 3}


def test_a_script_without_an_alarm_waits_for_nothing(run: Run) -> None:
    assert run({"alarms": [[COUNT]]})["steps"] == [{"runs": []}]


def test_an_alarm_that_cannot_be_set_is_told(run: Run) -> None:
    [step] = run({"alarms": [[COUNT]], "set": 10, "wait": 9_000}, **{"class": "no_alarm"})[
        "steps"
    ]
    assert step["runs"] == []
    assert "alarm" in step["set"]["error"]["message"]


def test_an_alarm_that_aborts_has_no_outcome(run: Run) -> None:
    [step] = run({"alarms": [[["abort"]]], "set": 10, "wait": 400})["steps"]
    assert step["runs"][0]["outcome"] == "open"
    assert told(step["runs"][0]) == {"0": "open"}


def test_evicted_objects_start_again_behind_their_stub(run_all: Any) -> None:
    look = [COUNT, ["storage.get", "a"]]
    fails = [*look, ["storage.put", "a", 1], ["throw", "Error", "no"]]
    starts = [
        *(
            {"rpc": fails},
            {"fetch": fails},
            {"rpc": [*fails[:3], ["return", {"$": "function"}]]},
        ),
        {"par": [{"rpc": fails}, {"rpc": [["rpc", "other", [COUNT]]]}]},
    ]
    programs = [
        {
            "name": f"evict {kind} {i}",
            "class": kind,
            "steps": [start, {"evict": True}, {"rpc": look}],
        }
        for i, start in enumerate(starts)
        for kind in ("sql", "kv")
    ]
    started = time.monotonic()
    for outcome in run_all(programs):
        assert told(outcome["steps"][2]) == {"0": 1, "1": 1}
    assert time.monotonic() - started < 20  # They wait together.


# -- classes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rpc_error", "fetch_error"),
    [
        ("sql", None, None),
        ({"useSQLite": False}, None, None),
        ("no_alarm", None, None),
        ("arrow_alarm", None, None),
        ("constructing", None, None),
        ("plain", "does not support RPC", None),
        ("no_fetch", None, "Handler does not export a fetch() function."),
        ("broken", "ctor boom", "ctor boom"),
    ],
)
def test_every_class_can_be_called_as_it_is_declared(
    run: Run, name: Any, rpc_error: str | None, fetch_error: str | None
) -> None:
    steps = run({"rpc": [COUNT]}, {"fetch": [COUNT]}, **{"class": name})["steps"]
    for step, message in zip(steps, (rpc_error, fetch_error), strict=True):
        result = step["result"]
        if message is None:
            assert result == {"ok": UNDEFINED}
        else:
            assert message in result["error"]["message"]


def test_only_some_classes_have_sqlite(rpc: Any) -> None:
    select = ["storage.sql.exec", "SELECT 1 AS v", {"call": "one"}]
    assert told(rpc(select)) == {"0": {"v": 1}}
    assert "SQL is not enabled" in told(rpc(select, **{"class": "kv"}))["0"]


def test_a_constructor_runs_its_ops_before_the_first_call(rpc: Any) -> None:
    step = rpc(
        ["storage.list"],
        **{"class": "constructing"},
        constructorBare=[["storage.put", "bare", 1]],
        constructor=[["sleep", 5], ["storage.put", "blocking", 1]],
    )
    assert told(step) == {"0": {"$": "map", "of": [["bare", 1], ["blocking", 1]]}}


# -- ops ---------------------------------------------------------------------------------


def test_bodies_tell_their_ops_and_give_what_they_return(rpc: Any) -> None:
    five = ["return", 5]
    results = told(
        rpc(
            ["storage.transaction", [["txn.put", "a", 1], five]],
            [
                "storage.transactionSync",
                [["storage.kv.put", "b", 2], ["storage.get", "a"], five],
            ],
            ["blockConcurrencyWhile", [COUNT, five]],
            ["rpc", "other", [COUNT, five]],
            ["storage.transactionSyncAsync", [["sleep", 1], five]],
        )
    )
    assert [results[str(index)] for index in range(5)] == [5] * 5
    assert (results["1.1"], results["2.0"], results["3.0"]) == (1, 1, 1)


def test_try_catches_and_gather_goes_on(rpc: Any) -> None:
    no = ["throw", "TypeError", "no", {"extra": 1}]
    results = told(rpc(["try", [no, COUNT]], ["try", [COUNT]], ["gather", [no, COUNT]]))
    caught = {"name": "TypeError", "message": "no", "properties": {"extra": 1}}
    assert results["0"] == {"caught": caught}
    assert (results["1"], results["2"], results["2.1"]) == ({"ok": True}, UNDEFINED, 2)
    assert "0.1" not in results


def test_a_synchronous_body_catches_at_once_and_waits_for_nothing(rpc: Any) -> None:
    body = [
        ["try", [["throw", "Error", "no"]]],
        ["storage.put", "a", 1],
        ["storage.transactionSync", [COUNT]],
    ]
    step = rpc(["storage.transactionSync", body], ["storage.sync"])
    assert [entry["op"] for entry in step["ops"]][:4] == ["0.0.0", "0.0", "0.2.0", "0.2"]
    assert told(step)["0.1"] == UNDEFINED


def test_work_in_the_background_is_told_under_its_call(rpc: Any) -> None:
    step = rpc(
        ["task", ["sleep", 4], {"as": "task"}],
        ["task", ["throw", "Error", "alone"]],
        ["waitUntil", [["sleep", 2]]],
        ["timer", 3, [COUNT]],
        ["await", {"$": "ref", "of": "task"}],
    )
    assert told(step).keys() == {"0", "0.0", "1", "1.0", "2", "2.0", "3", "3.0", "4"}
    assert told(step)["3.0"] == 1
    assert step["result"] == {"ok": UNDEFINED}


def test_results_are_kept_from_event_to_event(run: Run) -> None:
    cursor = {"$": "ref", "of": "cursor"}
    steps = run(
        {
            "rpc": [
                ["storage.sql.exec", "SELECT 1 AS v UNION SELECT 2", {"as": "cursor"}],
                ["next", cursor],
                ["storage.get", "n", {"as": "n"}],
            ]
        },
        {
            "rpc": [
                ["iterate", cursor],
                ["read", cursor, "columnNames"],
                ["call", cursor, "toArray"],
                ["cursor.rowsRead"],
                ["storage.put", "n", {"$": "plus", "of": "n", "by": 2}],
                ["storage.get", "n"],
            ]
        },
    )["steps"]
    assert told(steps[0])["1"] == {"done": False, "value": {"v": 1}}
    assert list(told(steps[1]).values()) == [[{"v": 2}], ["v"], [], 2, UNDEFINED, 2]


def test_members_are_called_in_a_row_or_without_their_owner(rpc: Any) -> None:
    results = told(
        rpc(
            ["storage.sql.exec", "SELECT 1 AS v", {"as": "cursor", "call": "columnNames"}],
            ["cursor.toArray"],
            ["try", [["detached", "ns.idFromName", "a"]]],
            ["list_kv", {"limit": 1}],
        )
    )
    assert (results["0"], results["1"], results["3"]) == (["v"], [{"v": 1}], [])
    assert "Illegal invocation" in results["2"]["caught"]["message"]


def test_calls_can_be_sent_before_the_first_has_answered(run: Run) -> None:
    outcome = run(
        {
            "worker": [
                ["pipeline", ["stub.target"], ["inc"]],
                ["stub.target", {"as": "target"}],
                ["target.inc", 5],
                ["read", {"$": "ref", "of": "target"}, "n"],
                ["target.boom"],
            ]
        }
    )
    results = told(outcome["steps"][0])
    assert (results["0"], results["2"], results["3"]) == (1, 5, 5)
    assert results["4"] == "RangeError: target boom"


def test_a_target_can_be_disposed_of(run: Run) -> None:
    target = {"$": "ref", "of": "target"}
    steps = run(
        {"worker": [["stub.target", {"as": "target"}], ["dispose", target], ["target.inc"]]},
        {"rpc": [["memory", "disposed", 0]]},
    )["steps"]
    assert told(steps[0])["1"] == UNDEFINED
    assert told(steps[0])["2"] == "Error: RPC stub used after being disposed."
    assert told(steps[1]) == {"0": 1}


def test_a_handler_can_answer_with_anything(run: Run) -> None:
    steps = run({"fetch": [["respond", {"$": "response"}]]}, {"fetch": [["respond", "text"]]})[
        "steps"
    ]
    assert steps[0]["ops"] == [{"op": "0", "ok": {"$": "opaque", "class": "Response"}}]
    assert steps[0]["result"]["ok"]["$"] == "opaque"
    assert told(steps[1]) == {"0": "text"}
    assert "Response" in steps[1]["result"]["error"]["message"]


@pytest.mark.parametrize(
    "value",
    [
        *(1, -0.5, "é", None, True, [1, [2]], {"a": {"b": 1}}, UNDEFINED),
        *({"$": "number", "is": name} for name in ("NaN", "-0", "Infinity", "-Infinity")),
        {"$": "bytes", "hex": "00ff"},
        {"$": "bytes", "hex": "00ff", "view": "ArrayBuffer"},
        {"$": "bytes", "hex": "0100feff", "view": "Int16Array"},
        {"$": "date", "ms": 5},
        {"$": "invalid_date"},
        {"$": "map", "of": [["a", 1], [2, {"$": "set", "of": [1]}]]},
        {"$": "bigint", "is": "18446744073709551616"},
        {"$": "error", "name": "RangeError", "message": "m"},
        {"$": "object", "of": [["$", 1]]},
        {"$": "boxed", "is": 5},
        {"$": "regexp", "source": "a.b", "flags": "gi"},
    ],
    ids=repr,
)
def test_values_come_back_from_storage_as_they_were_written(rpc: Any, value: Any) -> None:
    results = told(rpc(["return", value]))
    assert results == {"0": value}
    if value != UNDEFINED:
        assert told(rpc(["storage.put", "v", value], ["storage.get", "v"]))["1"] == value


def test_what_is_long_is_told_by_its_digest(rpc: Any) -> None:
    results = told(
        rpc(
            ["json", {"$": "repeat", "text": "ab", "times": 150}],
            ["return", {"$": "zeros", "bytes": 201}],
        )
    )
    text, zeros = '"' + "ab" * 150 + '"', bytes(201)
    assert results == {
        "0": {"$": "long", "kind": "string", "length": 302, "sha256": digest(text.encode())},
        "1": {"$": "long", "kind": "bytes", "length": 201, "sha256": digest(zeros)},
    }


# -- many programs -----------------------------------------------------------------------


def test_programs_at_one_time_see_nothing_of_each_other(run_all: Any) -> None:
    def program(number: int) -> dict[str, Any]:
        return {
            "name": f"program {number}",
            "steps": [
                {
                    "worker": [
                        ["r2.put", "key", str(number)],
                        ["d1.exec", "CREATE TABLE @@t(x)"],
                        [
                            "d1.prepare",
                            "INSERT INTO @@t VALUES (?)",
                            {"bind": [number], "call": "run"},
                        ],
                    ]
                },
                {"rpc": [["storage.put", "a", number], ["sleep", 3], COUNT]},
                {
                    "rpc": [
                        ["storage.get", "a"],
                        COUNT,
                        ["r2.get", "key", {"call": "text"}],
                        ["r2.list"],
                        ["d1.prepare", "SELECT x FROM @@t", {"call": ["first", "x"]}],
                        ["d1.prepare", "SELECT x FROM @@u", {"call": "all"}],
                    ]
                },
            ],
        }

    outcomes = run_all([program(number) for number in range(50)])
    for number, outcome in enumerate(outcomes):
        assert outcome["program"] == f"program {number}"
        assert told(outcome["steps"][1])["2"] == 1
        results = told(outcome["steps"][2])
        assert [results[op] for op in ("0", "1", "2", "4")] == [number, 2, str(number), number]
        assert [found["key"] for found in results["3"]["objects"]] == ["key"]
        assert "no such table: @@u" in results["5"]


def test_each_compatibility_date_and_flag_has_a_world(run_all: Any) -> None:
    steps = [
        {
            "rpc": [
                ["storage.setAlarm", {"$": "now", "plus": 9**9}],
                ["storage.deleteAll"],
                ["storage.getAlarm"],
            ]
        }
    ]
    # From this day on deleteAll deletes the alarm too.
    dates = ["2026-02-23", "2026-02-24"]
    old, new, flagged = run_all(
        [
            *({"name": date, "compatibilityDate": date, "steps": steps} for date in dates),
            {
                "name": "by its flag",
                "compatibilityDate": dates[0],
                "compatibilityFlags": ["delete_all_deletes_alarm"],
                "steps": steps,
            },
        ]
    )
    assert told(old["steps"][0])["2"] is not None
    assert told(new["steps"][0])["2"] is None
    assert told(flagged["steps"][0])["2"] is None


def test_the_wait_of_a_program_is_the_sum_of_what_it_waits_for() -> None:
    steps = [
        {"wait": 5},
        {"alarms": [[["sleep", 2]]], "wait": 100},
        {"evict": True},
        {"par": [{"rpc": [["gather", [["sleep", 1], ["timer", 3, []]]]]}]},
    ]
    program = {"name": "waits", "steps": steps, "settle": 7}
    assert wait_ms(program) == 5 + 100 + 2 + 10_600 + 1 + 3 + 7
    assert wait_ms({**program, "seconds": 30}) == 30_000


#: Nothing else of the whole runtime runs while it does.
BUSY = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


@pytest.mark.usefixtures("real_runtime")
def test_a_program_that_hangs_is_told_and_costs_no_other_its_outcome() -> None:
    # A critical section that waits for a call into its own object.
    deadlock: list[Any] = ["blockConcurrencyWhile", [["rpc", "main", [COUNT]]]]
    programs: list[dict[str, Any]] = [
        {"name": "hangs", "steps": [{"rpc": [COUNT]}, {"rpc": [COUNT, deadlock]}, {"wait": 1}]},
        {"name": "busy", "steps": [{"rpc": [["storage.sql.exec", BUSY]]}]},
        {"name": "fine", "steps": [{"rpc": [COUNT]}]},
    ]

    async def main() -> list[Outcome]:
        async with RealTarget(hang_ms=1_000) as target:
            return await target.run(programs)

    hung, busy, fine = asyncio.run(main())
    assert "step 1 hangs" in hung["error"]["message"]
    assert [told(step) for step in hung["steps"]] == [
        {"0": 1},
        {"0": 2, "1": "open", "1.0": "open"},
    ]
    assert hung["steps"][1]["result"] == {"open": True}
    assert busy["error"]["name"] == "ProgramHangs"
    assert told(fine["steps"][0]) == {"0": 1}


def test_a_world_that_cannot_be_made_costs_its_own_programs_only(run_all: Any) -> None:
    steps = [{"rpc": [COUNT]}]
    flags = ["no_such_flag"]
    bad, fine = run_all(
        [
            {"name": "bad", "compatibilityFlags": flags, "steps": steps},
            {"name": "fine", "steps": steps},
        ]
    )
    assert bad["error"]["name"] == "ConfigurationError"
    assert "no_such_flag" in bad["error"]["message"]
    assert told(fine["steps"][0]) == {"0": 1}


@pytest.mark.usefixtures("real_runtime")
def test_programs_run_without_a_target_of_ones_own() -> None:
    [outcome] = asyncio.run(run_programs([{"name": "alone", "steps": [{"rpc": [COUNT]}]}]))
    assert told(outcome["steps"][0]) == {"0": 1}
