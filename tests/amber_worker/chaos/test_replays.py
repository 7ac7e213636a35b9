"""Replays: tokens find their scenario anywhere, and a worker travels with its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from amber_worker.chaos import replays
from amber_worker.chaos.replays import judge, scenario_of
from amber_worker.chaos.units import WorkerSource
from emulator.catalogue import CATALOGUE
from emulator.simulation.playing import play
from emulator.simulation.tokens import name_of, read_token, resolve, token

PLAIN = Path(__file__).with_name("plain_worker.py")


@pytest.mark.parametrize("case", ["one file", "40 files", "an archive above 10 MiB"])
@pytest.mark.parametrize("path", [None, str(PLAIN)])
def test_a_scenario_is_found_by_its_name(case: str, path: str | None) -> None:
    scenario = scenario_of(WorkerSource(path=path), case)
    name = name_of(scenario)
    made = read_token(token((), scenario=scenario, invariants=(judge,)))
    assert made.scenario == name
    assert [resolve(one) for one in made.invariants] == [judge]
    found = resolve(name)
    # The seeded scenario itself, and not another one.
    before = scenario.run
    assert play(found, catalogue=CATALOGUE, monitors=(judge,)).error is None
    again = scenario_of(WorkerSource(path=path), case)
    assert again.run is not None
    assert again.run is not before


def test_a_case_that_there_is_not_has_no_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_this_name'"):
        _ = replays.nothing_of_this_name


def test_a_worker_travels_to_a_machine_that_does_not_have_its_file() -> None:
    source = WorkerSource(path="/nowhere/at/all/worker.py", text=PLAIN.read_text("utf-8"))
    played = play(scenario_of(source, "one file"), catalogue=CATALOGUE, monitors=(judge,))
    assert played.error is None
