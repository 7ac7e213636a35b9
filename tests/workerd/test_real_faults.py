"""The same faults on both runtimes: one worker, the same rules, the same outcomes."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workers import Response

import emulator
from emulator import faults
from emulator.errors import ConfigurationError, JsException, UnsupportedByTarget
from emulator.simulation.clock import Clock
from emulator.simulation.randomness import Randomness
from emulator.simulation.rules import Operation, RuleSet, UnusedFaultWarning
from emulator.simulation.trace import Trace
from emulator.workerd import Miniflare
from emulator.workerd.fault_plans import plan_of
from emulator.workerd.installation import node_folder, node_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from emulator.faults import FaultRule

WORKERS = Path(__file__).parent / "workers"

#: Every call of a bucket, a database, a service, the way out and an object.
R2_CALLS = [
    ["put", "a.txt", "hello"], ["head", "a.txt"], ["get", "a.txt"], ["put", "b[1].txt", "x"],
    ["list", ""], ["upload", "m", "parts"], ["get", "m"], ["head", "none"], ["delete", "a.txt"],
    ["delete", ["b[1].txt", "none"]], ["list", "m"],
]  # fmt: skip
D1_CALLS = [
    ["run", "INSERT INTO people (name)   VALUES ('Bo')"],
    ["first", "SELECT count(*) FROM people"],
    ["all", "SELECT name FROM people"], ["raw", "SELECT name FROM people"],
    ["batch", ["UPDATE people SET name = 'Cy' WHERE name = 'Bo'", "SELECT name FROM people"]],
    ["exec", "INSERT INTO people (name) VALUES ('Di')"], ["bound", "x", 1],
    ["first", "SELECT name FROM people WHERE id = 9"],
]  # fmt: skip
SERVICE_CALLS = [
    ["auth", "https://auth/validate?x=1"], ["outside", "https://elsewhere.example/page"],
    ["auth", "https://auth/other"], ["visit", "one", "https://object/path"],
]  # fmt: skip
OBJECT_CALLS = [
    ["object", "one", R2_CALLS[:3]], ["object", "two", D1_CALLS[:2]], ["stored", "one"],
    ["object", "one", [["object", "two", [["head", "a.txt"]]]]], ["stored", "two"],
]  # fmt: skip
ALL_CALLS = [*R2_CALLS, *D1_CALLS, *SERVICE_CALLS, *OBJECT_CALLS]
LEFT = [
    ["list", ""], ["all", "SELECT name FROM people ORDER BY id"],
    ["stored", "one"], ["stored", "two"],
]  # fmt: skip


async def answer(request: Any) -> Response:
    return Response(f"answer to {request.url}")


def options_of(suffix: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "script_path": WORKERS / f"calls{suffix}",
        "durable_objects": {"JOBS": "Job"},
        "r2_buckets": ["BUCKET"],
        "d1_databases": {"DB": {"schema": WORKERS / "schema.sql"}},
        "service_bindings": {"AUTH": answer},
        "outbound_service": answer,
        **more,
    }


async def calls_made(mf: Any, calls: Sequence[Any]) -> Any:
    try:
        response = await mf.dispatch_fetch("http://localhost/", method="POST", json=calls)
    except JsException as error:
        return error.message
    return response.json()


def injected(mf: Any) -> list[Any]:
    """The faults that happened: to what, whose, by which rule."""
    events = mf.faults.injected if isinstance(mf, Miniflare) else mf.trace.of_kind("fault")
    return [(event.subject, event.facts) for event in events]


def on_emulator(body: Callable[[Any], Awaitable[Any]], seed: int = 0, **more: Any) -> Any:
    async def main() -> Any:
        async with emulator.Miniflare(**options_of(".py", {"limits": "workerd", **more})) as mf:
            return await body(mf)

    return emulator.run(main, seed=seed)


def on_workerd(body: Callable[[Any], Awaitable[Any]], seed: int = 0, **more: Any) -> Any:
    async def main() -> Any:
        async with Miniflare(seed=seed, **options_of(".mjs", more)) as mf:
            return await body(mf)

    return asyncio.run(main())


def assert_alike(
    rule_lists: Sequence[Sequence[FaultRule]], calls: Sequence[Any], seed: int = 0
) -> None:
    """Both runtimes tell the same of the calls under each list of rules, one after another."""

    async def body(mf: Any) -> list[Any]:
        told = []
        for rules in rule_lists:
            mf.faults.add(*rules)
            told.append(await calls_made(mf, calls))
            for rule in rules:
                mf.faults.remove(rule)
            told.append(await calls_made(mf, LEFT))
        return [told, injected(mf)]

    emulated, real = on_emulator(body, seed), on_workerd(body, seed)
    for one, other in zip(emulated[0], real[0], strict=True):
        assert one == other
    assert emulated[1] == real[1]
    assert emulated[1], "no fault happened"


pytestmark = pytest.mark.usefixtures("real_runtime")

# -- kinds -----------------------------------------------------------------------------------


def test_calls_of_r2_fail_alike() -> None:
    assert_alike(
        [
            [faults.missing("BUCKET", key="*.txt")],
            [faults.vanish("BUCKET")],
            [faults.error("BUCKET")],
            [faults.error("BUCKET", after_effect=True)],
            [faults.error("BUCKET", op="complete", after_effect=True)],
            [faults.error("BUCKET", op="uploadPart")],
            [faults.rate_limit("BUCKET", key="m")],
            [faults.corrupt_size("BUCKET", by_bytes=-2)],
            [faults.truncate("BUCKET", kept_bytes=2)],
            [faults.truncate("BUCKET", breaks=True)],
            [faults.error("BUCKET", op="r2.body", nth=2)],
        ],
        R2_CALLS,
    )


def test_calls_of_d1_fail_alike() -> None:
    assert_alike(
        [
            [faults.missing("DB")],
            [faults.error("DB")],
            [faults.error("DB", after_effect=True)],
            [faults.overloaded("DB", op="batch")],
            [faults.reset("DB", after_effect=True, op="run")],
            [faults.error("DB", sql="insert into people*values*")],
            [
                faults.error(
                    "DB", message="no luck", name="TypeError", op="first", retryable=True
                )
            ],
        ],
        D1_CALLS,
    )


def test_requests_fail_alike() -> None:
    assert_alike(
        [
            [faults.error("AUTH", key="*validate*")],
            [faults.error(op="service.fetch", after_effect=True)],
            [faults.status("AUTH", 500, body="no", headers={"x-own": "1"})],
            [faults.rate_limit()],
            [faults.truncate("AUTH", kept_bytes=3), faults.truncate("outbound", breaks=True)],
            [faults.status("JOBS", 429), faults.error(op="outbound.*")],
        ],
        SERVICE_CALLS,
    )


def test_calls_of_objects_and_by_objects_fail_alike() -> None:
    assert_alike(
        [
            [faults.error("JOBS")],
            [faults.error("JOBS", after_effect=True)],
            [faults.overloaded("JOBS", nth=2)],
            [faults.error("BUCKET", object="one")],
            [faults.missing("BUCKET", object="t?o")],
            [faults.error(object="JOBS#*", op="d1.*")],
        ],
        OBJECT_CALLS,
    )


# -- which operations ------------------------------------------------------------------------


def test_what_rules_count_they_count_alike_over_requests_and_objects() -> None:
    assert_alike(
        [
            [faults.error("BUCKET", nth=range(2, 20, 3)), faults.missing("BUCKET", nth={1, 5})],
            [faults.error(times=3), faults.missing(nth=6)],
            [faults.error(op="JOBS.object.rpc", nth=2), faults.error("DB", op="[!f]*", nth=2)],
            [faults.missing("BUCKET", key="b[[]1].txt"), faults.error(key="b[1].txt", times=1)],
        ],
        ALL_CALLS,
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_rules_draw_they_draw_alike(seed: int) -> None:
    assert_alike(
        [
            [faults.error(probability=0.3), faults.missing(probability=0.5, times=4)],
            [faults.error("BUCKET", probability=0.5), faults.error("BUCKET", probability=0.5)],
        ],
        ALL_CALLS,
        seed,
    )


def test_calls_of_a_test_are_counted_beside_those_of_the_worker() -> None:
    async def body(mf: Any) -> list[Any]:
        mf.faults.add(faults.error("BUCKET", nth=3), faults.error("DB", op="first", nth=2))
        mf.faults.add(faults.error(op="object.*", nth=2), faults.error(op="worker.*", nth=3))
        bucket, database = mf.get_r2_bucket("BUCKET"), mf.get_d1_database("DB")
        stub = mf.get_durable_object_namespace("JOBS").getByName("one")
        await bucket.put("a", "text")
        told = [await calls_made(mf, [["head", "a"], ["first", "SELECT 1 AS v"]])]
        for call in (
            lambda: bucket.get("a"),
            lambda: database.prepare("SELECT 2 AS v").first(),
            lambda: database.batch([database.prepare("SELECT 2 AS v")]),
            stub.stored,
            lambda: stub.fetch("https://object/x"),
            lambda: mf.get_worker().scheduled(cron="0 3 * * *"),
            lambda: mf.get_worker().scheduled(cron="0 4 * * *"),
        ):
            try:
                await call()
            except JsException as error:
                told.append(f"{error.name}: {error.message} {error.retryable}")
            else:
                told.append("no error")
        return [told, injected(mf)]

    emulated, real = on_emulator(body), on_workerd(body)

    assert [facts["actor"] for _, facts in real[1]] == ["test"] * 4
    assert emulated == real


OBJECTS = {"JOBS#11111111": "one", "JOBS#22222222": "", "ROOMS#33333333": "a[1]"}
TEXTS = st.text("ab*?[]!-^.\\/x", max_size=5)
SQL = st.sampled_from(
    ["SELECT 1", "select  1 ;", "UPDATE t SET a = 1", "DELETE\n FROM t", "SELECT 'ä'"]
)
ACTORS = st.sampled_from(["worker", "test", *OBJECTS])
OPERATIONS = st.one_of(
    st.builds(
        Operation,
        st.sampled_from(["BUCKET", "OTHER"]),
        st.sampled_from(["r2.get", "r2.head", "r2.put", "r2.body"]),
        TEXTS,
        ACTORS,
    ),
    st.builds(
        Operation,
        st.just("DB"),
        st.sampled_from(["d1.first", "d1.batch", "d1.exec"]),
        st.lists(SQL, min_size=1, max_size=3).flatmap(
            lambda texts: st.sampled_from(["; ".join(texts), "\n".join(texts)])
        ),
        ACTORS,
    ),
    st.builds(
        Operation,
        st.sampled_from(["JOBS", "ROOMS"]),
        st.just("object.rpc"),
        st.just("step"),
        ACTORS,
        st.sampled_from(list(OBJECTS)),
    ),
    st.builds(Operation, st.just("alarm"), st.just("alarm.ack"), st.just(""), ACTORS),
)
NTH = st.one_of(
    st.none(),
    st.integers(1, 6),
    st.frozensets(st.integers(1, 9), min_size=1),
    st.builds(range, st.integers(1, 4), st.integers(5, 9), st.integers(1, 3)),
)
WHERE = st.fixed_dictionaries(
    {},
    optional={
        "nth": NTH,
        "probability": st.sampled_from([0.2, 0.5, 1]),
        "times": st.integers(1, 3),
        "object": st.sampled_from(["one", "o*", "JOBS#1*", "JOBS#?2*", "a[[]1]", "*", "[!o]*"]),
    },
)
KEYS = st.none() | TEXTS
BINDINGS = st.sampled_from([None, "BUCKET", "OTHER", "DB", "JOBS", "ROOMS"])
RULES = st.one_of(
    st.builds(
        lambda binding, op, key, where: faults.error(binding, op=op, key=key, **where),
        BINDINGS,
        st.sampled_from([None, "r2.*", "BUCKET.r2.get", "*T.r2.[gh]*", "d1.*", "rpc", "[!f]*"]),
        KEYS,
        WHERE,
    ),
    st.builds(
        lambda sql, where: faults.error(sql=sql, **where),
        st.sampled_from(["select*", "Select 1", "*t*", "update  t*", "select '?'"]),
        WHERE,
    ),
    st.builds(
        lambda binding, before, where: faults.crash(binding, before=before, **where),
        st.sampled_from([None, "JOBS", "ROOMS", "worker", "JOBS#11111111"]),
        st.sampled_from([None, "alarm.ack", "r2.*", "d1.*"]),
        WHERE,
    ),
    st.builds(lambda where: faults.duplicate_alarm("JOBS", **where), WHERE),
    st.builds(
        lambda where: faults.latency((0, 4), "BUCKET", **where),
        WHERE,
    ),
)


def decided_by_node(cases: list[Any]) -> list[list[Any]]:
    """Which rule decided on each operation, by number, and what it draws."""
    script = """
import { readFileSync } from "node:fs";
const { Rules } = await import(process.argv[1]);
const told = JSON.parse(readFileSync(0, "utf8")).map(({ plans, operations }) => {
  let last;
  const rules = new Rules(({ id }) => (last = id));
  rules.change({ add: plans });
  return operations.map((operation) => {
    last = null;
    const outcome = rules.decide(operation);
    return [last, outcome?.latencyMs ?? 0];
  });
});
process.stdout.write(JSON.stringify(told));
"""
    done = subprocess.run(
        [
            node_path(), "--input-type=module", "-e", script,
            (node_folder() / "faults.mjs").as_uri(),
        ],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    told: list[list[Any]] = json.loads(done.stdout)
    return told


def decided_here(
    rules: list[FaultRule], operations: list[Operation], seed: int
) -> list[list[Any]]:
    trace = Trace(Clock())
    chosen = RuleSet(trace, Randomness(seed))
    chosen.object_names.update({actor: name for actor, name in OBJECTS.items() if name})
    chosen.add(*rules)
    told = []
    for operation in operations:
        before = len(trace.events)
        verdict = chosen.decide(operation)
        rule = trace.events[-1].facts["rule"] if trace.events[before:] else None
        told.append([rule, verdict.latency_ms])
    return told


@settings(max_examples=25, deadline=None)  # Node starts for each.
@given(
    st.lists(
        st.tuples(
            st.lists(RULES, min_size=1, max_size=3),
            st.lists(OPERATIONS, min_size=1, max_size=30),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_world_decides_as_the_rules_themselves_do(
    cases: list[tuple[list[FaultRule], list[Operation], int]],
) -> None:
    given_to_node = []
    for rules, operations, seed in cases:
        before = RuleSet(Trace(Clock()), Randomness(seed))
        plans = []
        for number, rule in enumerate(rules):
            plans.append({"id": number, **plan_of(rule, before)})
            before.add(rule)
        told = [
            {
                **operation._asdict(),
                "actorName": OBJECTS.get(operation.actor, ""),
                "targetName": OBJECTS.get(operation.target, ""),
            }
            for operation in operations
        ]
        given_to_node.append({"plans": plans, "operations": told})

    for (rules, operations, seed), decided in zip(
        cases, decided_by_node(given_to_node), strict=True
    ):
        numbered = [[None if n is None else repr(rules[n]), late] for n, late in decided]
        assert numbered == decided_here(rules, operations, seed)


# -- what befalls the caller -----------------------------------------------------------------


def test_an_object_that_loses_power_keeps_what_had_left_it() -> None:
    calls = [
        ["object", "one", [["put", "k", "v"], ["head", "k"]]], ["stored", "one"],
        ["object", "one", [["object", "two", []]]],
        ["first", "SELECT 1 AS v"],
    ]  # fmt: skip

    async def body(mf: Any) -> list[Any]:
        told = []
        for rule in (
            faults.crash("JOBS", before="r2.put"),
            faults.crash("JOBS", after="r2.put"),
            faults.crash("JOBS", after="object.rpc", nth=1),
            faults.crash("worker", before="DB.d1.first"),
            faults.crash(object="two"),
        ):
            mf.faults.add(rule)
            told.append(await calls_made(mf, calls))
            mf.faults.remove(rule)
            told.append(await calls_made(mf, LEFT))
        return [told, injected(mf)]

    emulated, real = on_emulator(body), on_workerd(body)

    assert emulated[1] == real[1]
    for one, other in zip(emulated[0], real[0], strict=True):
        assert without_flags(one) == without_flags(other)


def without_flags(outcomes: Any) -> Any:
    """An abort says `durableObjectReset`, and a lost connection says `retryable`."""
    if isinstance(outcomes, list):
        return [without_flags(outcome) for outcome in outcomes]
    if isinstance(outcomes, dict):
        return {name: without_flags(v) for name, v in outcomes.items() if name != "flags"}
    return outcomes


def test_an_alarm_whose_end_nobody_hears_of_runs_again() -> None:
    async def body(mf: Any) -> Any:
        mf.faults.add(faults.duplicate_alarm("JOBS"))
        namespace = mf.get_durable_object_namespace("JOBS")
        await namespace.getByName("one").wake(20)
        for _ in range(50):
            await mf.advance(100)
            stored = await calls_made(mf, [["stored", "one"]])
            if stored[0]["ok"].get("alarms") == 2:
                break
        return [stored, injected(mf)]

    assert on_emulator(body) == on_workerd(body)


def test_a_late_call_is_late_by_the_clock_on_the_wall_and_those_behind_it_wait() -> None:
    async def body(mf: Any) -> Any:
        mf.faults.add(faults.latency(200, "DB", op="first", nth=1))
        mf.faults.add(faults.latency(150, "AUTH", after_effect=True))
        before_ms = mf.clock.now_ms
        told = await calls_made(mf, [["ordered"], ["auth", "https://auth/"]])
        return told, mf.clock.now_ms - before_ms

    (emulated, emulated_ms), (real, real_ms) = on_emulator(body), on_workerd(body)

    assert emulated == real
    assert emulated_ms >= 350
    assert 350 <= real_ms <= 5_000


# -- what is told ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (faults.restart(), "no code of ours is called there when this happens to"),
        (faults.evict("JOBS"), "no code of ours is called there when this happens to alarm.de"),
        (faults.reset("JOBS"), ".* happens to object.fetch, object.rpc"),
        (faults.flush_failure("JOBS"), ".* happens to storage.flush"),
        (faults.crash(before="storage.flush"), ".* happens to storage.flush"),
        (faults.late_alarm("JOBS"), ".* happens to alarm.deliver"),
        (faults.error("DB", during=(0, 5_000)), "its window is one of simulated time"),
        (faults.missing(key=lambda key: True), "its key is a Python function"),
        (faults.missing(nth=200_000), "it counts further than 100,000"),
    ],
    ids=str,
)
def test_what_only_simulated_time_has_is_refused_before_anything_starts(
    rule: FaultRule, text: str
) -> None:
    with pytest.raises(UnsupportedByTarget, match=f"on the real runtime: {text}"):
        Miniflare(**options_of(".mjs", {"faults": [faults.missing("BUCKET"), rule]}))


def test_a_list_with_a_rule_that_is_refused_adds_none() -> None:
    async def body(mf: Any) -> None:
        with pytest.raises(UnsupportedByTarget, match="decides in Python"):
            mf.faults.add(faults.error("BUCKET"), OwnRule())
        with pytest.raises(ConfigurationError, match="is a rule made by"):
            mf.faults.add(faults.error("BUCKET"), object())

        assert len(mf.faults) == 0
        assert await calls_made(mf, [["head", "k"]]) == [{"ok": None}]

    on_workerd(body)


class OwnRule:
    """A rule of somebody's own."""

    def decide(self, operation: Operation) -> None:
        """Nothing."""


def test_a_rule_that_never_matched_does_not_end_unnoticed() -> None:
    async def body(mf: Any) -> None:
        mf.faults.add(faults.missing("BUCKET", key="nobody"))
        assert mf.faults.unmatched == tuple(mf.faults)
        await calls_made(mf, [["head", "k"]])

    with pytest.warns(UnusedFaultWarning, match=r"matched the fault faults.missing.*nobody"):
        on_workerd(body, faults=[faults.missing("BUCKET", key="k")])


def test_a_world_that_fails_tells_its_unmatched_rules_with_the_failure() -> None:
    async def body(mf: Any) -> None:
        raise KeyError("the test's own")

    with pytest.raises(KeyError) as caught:
        on_workerd(body, faults=[faults.missing("BUCKET")])

    assert "no operation ever matched the fault faults.missing" in caught.value.__notes__[0]


def test_a_rule_is_in_force_until_it_is_taken_away() -> None:
    async def body(mf: Any) -> list[Any]:
        told = []
        rule = faults.error("BUCKET", nth=2)
        for change in (
            lambda: mf.faults.add(rule),
            lambda: None,
            lambda: mf.faults.remove(rule),
            lambda: mf.faults.add(rule),
            mf.faults.clear,
        ):
            change()
            told.append(await calls_made(mf, [["head", "k"], ["head", "k"]]))
        return [told, injected(mf)]

    assert on_emulator(body) == on_workerd(body)


# -- what stays as it was --------------------------------------------------------------------


def test_under_rules_that_mean_others_everything_is_the_platforms_own() -> None:
    async def body(mf: Any) -> None:
        mf.faults.watch()
        response = await mf.dispatch_fetch("http://localhost/")

        answers = response.json()
        assert len(answers) == 14
        assert [name for name, is_so in answers.items() if not is_so] == []
        assert [operation.name for operation in mf.faults.operations][:1] == ["worker.fetch"]
        assert {operation.actor for operation in mf.faults.operations} == {"test", "worker"}

    async def main() -> None:
        options = options_of(".mjs", {"script_path": WORKERS / "untouched.mjs"})
        async with Miniflare(**options) as mf:
            await body(mf)

    asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"compatibility_date": "2022-01-01"},
        {"compatibility_flags": ["disallow_importable_env"]},
        {"compatibility_flags": ["nodejs_compat"]},
    ],
    ids=str,
)
def test_workers_of_an_older_form_meet_faults_too(options: dict[str, Any]) -> None:
    async def main() -> list[str]:
        frozen = {
            "script_path": WORKERS / "frozen.mjs",
            "durable_objects": {"JOBS": {"className": "Job", "useSQLite": False}},
            "r2_buckets": ["BUCKET"],
        }
        async with Miniflare(**frozen, **options) as mf:
            mf.faults.add(faults.error("BUCKET", nth=1), faults.crash("JOBS", nth=2))
            return [(await mf.dispatch_fetch("http://localhost/")).text for _ in range(3)]

    assert asyncio.run(main()) == [
        "head: We encountered an internal error. Please try again. (10001)",
        "Network connection lost.",
        "null",
    ]


def test_classes_with_an_ancestor_in_common_are_told_apart() -> None:
    async def main() -> None:
        names = ("Elder", "Younger", "Sibling")
        options = {
            "script_path": WORKERS / "kinship.mjs",
            "durable_objects": {f"{name.upper()}S": name for name in names},
            "r2_buckets": ["BUCKET"],
        }
        async with Miniflare(**options) as mf:
            mf.faults.watch()
            for name in names:
                stub = mf.get_durable_object_namespace(f"{name.upper()}S").getByName("a")
                assert await stub.look()
                await stub.wake()
            await mf.advance(300)
            told = [(op.name, op.actor.partition("#")[0]) for op in mf.faults.operations]

            assert [actor for name, actor in told if name == "r2.head"] == [
                "ELDERS", "YOUNGERS", "SIBLINGS",
            ]  # fmt: skip
            assert sorted(actor for name, actor in told if name == "alarm.ack") == [
                "ELDERS", "SIBLINGS", "YOUNGERS",
            ]  # fmt: skip

    asyncio.run(main())
