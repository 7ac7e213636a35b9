"""Real worlds under faults: planted bugs are found, and the TypeScript export has none."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amber_worker.chaos.cases import case_named, case_of_size
from amber_worker.chaos.on_workerd import RealScenario, explore_bundle, repeat
from amber_worker.contract.target import choose
from emulator import faults
from emulator.errors import ConfigurationError, JsException
from emulator.workerd import Miniflare
from emulator.workerd.chaos import Storm, explore

if TYPE_CHECKING:
    from emulator.faults import FaultRule

WORKERS = Path(__file__).parent / "workers"

pytestmark = pytest.mark.usefixtures("real_runtime")


# -- planted bugs ----------------------------------------------------------------------------


async def once(storm: Storm) -> None:
    """The alarm of twice.mjs has added one, and copied what was there."""
    options: dict[str, Any] = {
        "script_path": WORKERS / "twice.mjs",
        "durable_objects": {"JOBS": "Job"},
        "r2_buckets": ["BUCKET"],
        "d1_databases": {"DB": {"schema": WORKERS / "schema.sql"}},
    }
    async with Miniflare(**options) as mf:
        bucket, database = mf.get_r2_bucket("BUCKET"), mf.get_d1_database("DB")
        await bucket.put("k", "text")
        storm.begin(mf)
        for _ in range(3):
            try:
                await mf.dispatch_fetch("http://localhost/")
                break
            except JsException:
                continue
        async with asyncio.timeout(20):
            while await bucket.head("copy") is None:  # noqa: ASYNC110  # Nothing tells of it.
                await asyncio.sleep(0.05)
        await mf.advance(100)
        await storm.end(mf)
        assert await database.prepare("SELECT id FROM people").first("id") == 2, "added twice"
        assert await (await bucket.get("copy")).text() == "text", "copied what was not there"


def test_a_planted_bug_is_found_and_told_by_the_one_fault_that_it_needs() -> None:
    found = asyncio.run(
        explore(once, world_count=6, seed=1, kinds=("error after", "vanish"), at_once=5)
    )

    assert found.world_count == 6
    assert found.tried.total() >= 5
    told = [str(finding) for finding in found.findings]
    twice = [text for text in told if text.startswith("AssertionError: added twice")]
    lost = [text for text in told if text.startswith("AssertionError: copied what was not")]
    assert twice
    assert lost
    assert all(len(finding.drawn) == 1 for finding in found.findings)
    assert any("faults.error('DB', op='d1.run'" in text for text in twice)
    assert any("found nothing, whatever head had said: somebody else" in t for t in lost)


def test_a_world_that_fails_calmly_is_no_finding() -> None:
    async def never(storm: Storm) -> None:
        raise KeyError("the scenario's own")

    with pytest.raises(KeyError, match="the scenario's own"):
        asyncio.run(explore(never))


def test_kinds_that_need_simulated_time_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no faults of the kind 'restart before': mis"
    ):
        asyncio.run(explore(once, kinds=("restart before",)))


# -- the export ------------------------------------------------------------------------------


def export_of(file_count: int) -> RealScenario:
    return RealScenario(choose("workerd"), case_of_size(file_count))


@pytest.mark.parametrize(
    "rules",
    [
        [faults.missing("R2_BUCKET", key="files/a00003", op="get")],
        [faults.error("R2_BUCKET", op="r2.body", nth=2), faults.vanish(key="files/a00007")],
        [faults.error("DB", op="run", sql="UPDATE*completed*", after_effect=True, nth=1)],
        [faults.error("R2_BUCKET", op="complete", after_effect=True, nth=1)],
        [faults.crash("EXPORT_JOBS", after="r2.uploadPart")],
        [faults.duplicate_alarm("EXPORT_JOBS"), faults.error("AUTH", nth=1)],
        [faults.truncate("R2_BUCKET", key="files/a00002", kept_bytes=7, nth=1)],
    ],
    ids=str,
)
def test_the_export_keeps_its_laws_under_one_fault(rules: list[FaultRule]) -> None:
    storm = Storm(*rules)
    asyncio.run(export_of(10)(storm))

    assert {event.facts["rule"] for event in storm.injected} == set(map(repr, rules))


def test_the_export_keeps_its_laws_under_drawn_faults() -> None:
    case, target = case_named("three files"), choose("workerd")
    outcome = explore_bundle(target, case, world_count=6, kinds=("crash", "error"), seed=5)

    assert [str(finding) for finding in outcome.findings] == []
    assert (outcome.case, outcome.world_count) == ("three files", 6)
    assert outcome.tried["calm"] == 1
    assert set(outcome.tried) <= {
        "calm", "crash before", "crash after", "error before", "error after",
    }  # fmt: skip
    assert sum(outcome.tried.values()) >= 6


def test_a_seed_draws_the_same_faults_again() -> None:
    async def calls(storm: Storm) -> None:
        options = {"script_path": WORKERS / "calls.mjs", "durable_objects": {"JOBS": "Job"}}
        async with Miniflare(**options, r2_buckets=["BUCKET"], d1_databases=["DB"]) as mf:
            storm.begin(mf)
            made = [["put", "k", "v"], ["object", "a", [["head", "k"]]], ["first", "SELECT 1"]]
            with suppress(JsException):
                await mf.dispatch_fetch("http://localhost/", method="POST", json=made)
            await storm.end(mf)

    async def drawn(world_count: int, seed: int) -> list[tuple[FaultRule, ...]]:
        rules: list[tuple[FaultRule, ...]] = []
        await explore(
            calls,
            world_count=world_count,
            seed=seed,
            kinds=("error before", "latency", "overloaded"),
            at_once=1,
            ended=lambda storm: rules.append(storm.rules),
        )
        return rules

    first, again, other = (asyncio.run(drawn(*given)) for given in ((5, 1), (3, 1), (5, 2)))

    assert first[:3] == again
    assert first != other


def test_a_token_repeats_the_faults_of_a_world() -> None:
    target = choose("workerd")
    rule = faults.error("AUTH", nth=1)
    repeat(target, json.dumps({"case": "no files", "rules": [json.loads(rule.to_json())]}))

    for token in ("{}", "[]", "AMBER", '{"case": "no such", "rules": []}'):
        with pytest.raises(ConfigurationError, match="a token of a real world is JSON"):
            repeat(target, token)
