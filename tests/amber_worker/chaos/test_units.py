"""Units and outcomes: the work is cut and put together alike, whoever does it."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

import pytest

from amber_worker.chaos.cases import CASES, case_named, case_of_size
from amber_worker.chaos.summary import summed_up
from amber_worker.chaos.units import Finding, Outcome, Plan, Unit, WorkerSource, units_of


@pytest.mark.parametrize("budget", [1, 2, 7, 13, 14, 100, 1_000, 12_345])
def test_the_worlds_of_all_units_are_the_budget(budget: int) -> None:
    units = units_of(Plan(world_count=budget))
    assert sum(unit.world_count for unit in units) == budget
    assert [unit.number for unit in units] == list(range(len(units)))


def test_every_case_has_a_world_if_there_are_enough() -> None:
    units = units_of(Plan(world_count=len(CASES)))
    assert [unit.case for unit in units] == [case.name for case in CASES]


def test_small_exports_have_most_worlds() -> None:
    counts = {unit.case: unit.world_count for unit in units_of(Plan(world_count=1_000))}
    assert counts["one file"] + counts["three files"] > 20 * counts["1,000 files"]
    assert counts["1,000 files"] >= 1


def test_the_parts_of_a_large_case_have_seeds_of_their_own() -> None:
    parts = [unit for unit in units_of(Plan(world_count=10_000)) if unit.case == "one file"]
    assert len(parts) > 3
    assert len({unit.seed for unit in parts}) == len(parts)


def test_only_one_size_of_export_may_be_asked_for() -> None:
    (unit,) = units_of(Plan(world_count=9, file_count=40))
    assert (unit.case, unit.world_count) == ("40 files", 9)


@pytest.mark.parametrize("count", [0, 1, 25, 40, 1_000, 2_500])
def test_a_case_of_any_size_has_so_many_files(count: int) -> None:
    assert len(case_of_size(count).content().live) == count


def test_there_are_exports_of_these_sizes() -> None:
    sizes = {len(case.content().live) for case in CASES}
    assert sizes >= {0, 1, 25, 120, 1_000}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_file_of_a_case_has_a_content_and_a_key_of_its_own(case: object) -> None:
    content = case_named(case.name).content().keyed()  # type: ignore[attr-defined]
    files = (*content.live, *content.left, *content.others, *content.added)
    assert len({file.content for file in files}) == len(files)
    assert len({file.key for file in files}) == len(files)
    assert {file.key for file in content.trashed} <= {file.key for file in content.live}


def test_a_unit_goes_through_json() -> None:
    source = WorkerSource(path="w.py", text="x = 1")
    unit = Unit(
        number=3, worker=source, case="one file", world_count=5, kinds=("crash",), seed=2
    )
    assert Unit.from_json(json.loads(json.dumps(asdict(unit)))) == unit


FINDING = Finding(
    case="one file",
    kinds=("crash before",),
    happened=("it lost power",),
    broken=("lost",),
    token="t1",
)
OUTCOMES = [
    Outcome(number=0, case="one file", world_count=5, tried={"crash before": 3},
            findings=(FINDING,)),
    Outcome(number=1, case="one file", world_count=5, tried={"missing": 2},
            findings=(FINDING, replace(FINDING, token="t2", kinds=()))),
    Outcome(number=2, case="no files", world_count=4, tried={"missing": 1}, is_exhausted=True),
]  # fmt: skip


def test_an_outcome_goes_through_json() -> None:
    for outcome in OUTCOMES:
        assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


def test_the_order_in_which_units_end_does_not_matter() -> None:
    expected = summed_up(OUTCOMES)
    for seed in range(5):
        shuffled = OUTCOMES[:]
        random.Random(seed).shuffle(shuffled)
        assert summed_up(shuffled) == expected


def test_a_summary_counts_worlds_and_each_finding_once() -> None:
    summary = summed_up(OUTCOMES)
    assert summary.world_count == 14
    assert [finding.token for finding in summary.findings] == ["t1", "t2"]
    assert summary.tried == {"crash before": 3, "missing": 3}
    assert summary.found == {"calm": 1, "crash before": 1}
    assert [(case.name, case.is_exhausted) for case in summary.cases] == [
        ("one file", False), ("no files", True),
    ]  # fmt: skip
