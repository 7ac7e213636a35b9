"""The words of the failure report."""

from __future__ import annotations

import pytest

from emulator.simulation.clock import START_MS_DEFAULT
from emulator.simulation.runner import Simulation
from emulator.simulation.trace import TraceEvent
from emulator.testing.failure_report import describe, in_words


@pytest.mark.parametrize(
    ("kind", "subject", "facts", "words"),
    [
        ("start", "JOBS#1", {}, "JOBS#1: a new instance starts"),
        ("alarm", "JOBS#1", {"retry": 0}, "JOBS#1: the alarm runs"),
        ("alarm", "JOBS#1", {"retry": 2}, "JOBS#1: the alarm runs, retry 2"),
        (
            "alarm.failed",
            "JOBS#1",
            {"retry": 2, "error": "KeyError"},
            "JOBS#1: the alarm has failed with KeyError",
        ),
        ("crash", "JOBS#1", {"cause": "by hand"}, "JOBS#1: power cut (by hand)"),
        (
            "fault",
            "BUCKET.r2.get('k')",
            {"actor": "JOBS#1", "rule": "faults.missing(key='k')"},
            "fault at BUCKET.r2.get('k') of JOBS#1: faults.missing(key='k')",
        ),
        ("r2.head", "BUCKET", {"key": "k", "actor": "JOBS#1"}, "JOBS#1 calls BUCKET.head('k')"),
        (
            "d1.first",
            "DB",
            {"key": "SELECT 1", "actor": "worker", "outcome": "error before"},
            "worker calls DB.first('SELECT 1'): error before",
        ),
        (
            "storage.sync",
            "storage",
            {"key": "", "actor": "JOBS#1"},
            "JOBS#1 calls storage.sync()",
        ),
        ("news", "JOBS#1", {"size": 3}, "JOBS#1: news, size 3"),
    ],
)
def test_an_event_is_told_in_words(kind, subject, facts, words):
    assert in_words(TraceEvent(0, kind, subject, facts)) == words


def test_only_the_last_events_are_told_and_all_are_counted():
    simulation = Simulation(seed=4)
    for number in range(30):
        simulation.trace.record("start", f"JOBS#{number}")
    simulation.clock.move_to(START_MS_DEFAULT + 1500)

    lines = describe(simulation).splitlines()

    assert lines[1] == "now 2026-01-01T00:00:01.500+00:00, +1.500 s after the start"
    assert lines[2] == "the last 20 of 30 events:"
    assert lines[3] == "  +0.000 s  JOBS#10: a new instance starts"
    assert lines[-1] == "  +0.000 s  JOBS#29: a new instance starts"
    assert len(lines) == 23
    simulation.close()
