"""Exploration finds planted bugs, and leaves their repaired twins alone.

All of them are tried by `make recall`; here are those that are found soon, and twins with few
worlds.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator.simulation.monitors import as_monitor
from emulator.simulation.playing import play

SCRIPT = Path(__file__).with_name("recall.py")
#: These take hundreds of worlds.
SLOW = (
    "AbortTriedTwice",
    "CompensationTriedTwice",
    "ForcedAfterTwoConflicts",
    "SilentDeadline",
)
#: A twin has as many at least.
TWIN_WORLDS = 40


def loaded() -> Any:
    """The script: it is in no package."""
    name = "planted_recall"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPT)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # Dataclasses look their module up.
        spec.loader.exec_module(module)
    return sys.modules[name]


recall = loaded()
MUTANTS = recall.mutants()


def is_slow(mutant: Any) -> bool:
    return mutant.broken.__qualname__.partition(".")[0] in SLOW


def row(**facts: Any) -> Any:
    return recall.Row(
        **{
            "name": "a bug", "theme": "races", "needs": 1, "left": 1, "worlds": 4,
            "seconds": 0.1, "kinds": ("crash after",), "alarm": "", "twin_worlds": 500,
            "is_proven": False, "depth": "",
            **facts,
        }
    )  # fmt: skip


def test_there_are_enough_bugs_of_each_depth_and_no_two_of_one_name() -> None:
    needs = Counter(one.needs for one in MUTANTS)

    assert needs[1] >= 40
    assert needs[2] >= 15
    assert needs[3] >= 5
    assert sum(one.theme == "exports" for one in MUTANTS) >= 12
    assert len({one.name for one in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.broken.__qualname__)
def test_a_bug_is_not_to_be_seen_in_the_calm_run(mutant: Any) -> None:
    for is_repaired in (False, True):
        subject = mutant.subject(is_repaired=is_repaired)
        monitors = [as_monitor(one) for one in subject.invariants]

        assert play(subject, monitors=monitors).error is None
        # Nor is anything lost: a worker that fails anyhow shows nothing.
        assert getattr(subject.world, "lost", []) == []


@pytest.mark.parametrize(
    "mutant",
    [one for one in MUTANTS if one.theme != "exports" and not is_slow(one)][::3],
    ids=lambda one: one.broken.__qualname__,
)
def test_a_bug_is_found_and_its_twin_is_left_alone(mutant: Any) -> None:
    tried = recall.row_of(mutant.name, twin_worlds=TWIN_WORLDS)

    assert tried.left is not None
    assert tried.left <= tried.needs
    assert any(
        found == kind or found.startswith(f"{kind} ")
        for found in tried.kinds
        for kind in mutant.kinds
    )
    assert tried.alarm == ""


def test_a_bug_that_claims_a_depth_it_has_not_is_told() -> None:
    shallow = next(one for one in MUTANTS if one.needs == 1 and one.theme == "crash points")

    assert "fewer show it" in recall.smaller_finding(replace(shallow, needs=2))


def test_a_bug_that_was_not_found_is_a_failure() -> None:
    lines, is_met = recall.verdict([row(), row(left=None, worlds=500)])

    assert not is_met
    assert lines[0].startswith("NOT  1 of 2 that need one deviation were found")


def test_one_of_five_that_need_three_deviations_may_be_missed() -> None:
    rows = [row(needs=3, left=3) for _ in range(4)]

    assert recall.verdict([*rows, row(needs=3, left=None), row()])[0][1].startswith("ok ")
    assert not recall.verdict([*rows[:3], *(row(needs=3, left=None) for _ in range(2))])[1]


def test_an_alarm_on_a_twin_is_a_failure() -> None:
    lines, is_met = recall.verdict([row(), row(alarm="it fails")])

    assert not is_met
    assert lines[1].startswith("NOT  1 alarms on 2 twins")


def test_counterexamples_that_stay_large_are_a_failure() -> None:
    few = [row() for _ in range(18)]

    assert recall.verdict([*few, row(left=3), row(left=4)])[1]
    assert not recall.verdict([*few, row(left=4), row(left=4)])[1]
    assert not recall.verdict([row(), row(left=2), row(left=2)])[1]


def test_the_table_has_a_line_for_each_bug() -> None:
    told = re.split(r" {2,}", recall.line_of(row()).strip())

    assert told == ["1", "4", "0.10", "1", "500", "races", "a bug: crash after"]
    assert recall.line_of(row(left=None)).endswith("a bug: NOT FOUND")
    assert "ALARM" in recall.line_of(row(alarm="it fails"))
    assert "fewer show it" in recall.line_of(row(depth="fewer show it"))


def test_words_that_no_bug_has_end_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert recall.main(["--only", "no such words"]) == 2
    assert "no such bug" in capsys.readouterr().err
