"""Laws of a replay: a token fails again wherever it is run, and stops when the bug is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import emulator
from emulator import schedules
from emulator.__main__ import run as command_line
from emulator.errors import JsException, NotAtRest
from emulator.sdk.js import Date
from emulator.sdk.workers import DurableObject
from emulator.simulation.deviations import Hold, Inject, Site
from emulator.simulation.tokens import Token, token, write_token

if TYPE_CHECKING:
    from pathlib import Path

JOBS = """
import asyncio
import emulator
from workers import DurableObject

FIXED = False


class Counter(DurableObject):
    async def add(self):
        # A read and a write with a call between them: another call may come in there.
        count = await self.ctx.storage.get("count") or 0
        if FIXED:
            return await self.ctx.storage.put("count", count + 1)
        await self.env.BUCKET.head("gate")
        await self.ctx.storage.put("count", count + 1)

    async def count(self):
        return await self.ctx.storage.get("count")


async def scenario():
    options = {"durable_objects": {"JOBS": "Counter"}, "r2_buckets": ["BUCKET"]}
    async with emulator.Miniflare(worker=Counter, **options) as mf:
        jobs = mf.get_durable_object_namespace("JOBS")
        await asyncio.gather(*(add(jobs, delay) for delay in (0, 1)))
        count = await jobs.getByName("a").count()
        print("count is", count)
        assert count == 2, "an update was lost"


async def add(jobs, delay):
    await asyncio.sleep(delay)
    await jobs.getByName("a").add()


def never_two(mf):
    assert len(mf.trace.of_kind("start")) < 1, "an object has started"
"""

TESTS = """
import emulator
import pytest
from jobs import scenario


def test_explored():
    emulator.explore(scenario, faults=[], reorders=False)


def test_run():
    emulator.run(scenario)


@pytest.mark.simulated
async def test_awaited():
    await scenario()


def test_local():
    async def inner():
        await scenario()

    emulator.run(inner)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "test_jobs.py").write_text(TESTS)
    return tmp_path


def run(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def actor() -> str:
    """The object "a", as the trace names it."""
    names = []

    class Counter(DurableObject):
        pass

    async def main() -> None:
        options = {"durable_objects": {"JOBS": "Counter"}}
        async with emulator.Miniflare(worker=Counter, **options) as mf:
            stub = mf.get_durable_object_namespace("JOBS").getByName("a")
            names.append(repr(stub).split()[-1].rstrip(">"))

    emulator.run(main)
    return names[0]


def lost_update(**options: Any) -> str:
    """The first call's answer of the bucket comes after the second call has come in."""
    first, second = (Site(actor(), "BUCKET.r2.head", nth) for nth in (1, 2))
    return token([Hold(first, second, "arrival")], scenario="jobs:scenario", **options)


@pytest.fixture
def replay(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Runs the command in the folder; gives its status and what it said."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run_command(*words: str) -> tuple[int, str, str]:
        sys.modules.pop("jobs", None)
        try:
            status = command_line(["replay", *words])
        finally:
            sys.modules.pop("jobs", None)
        return (status, *capsys.readouterr())

    return run_command


# -- the command line ----------------------------------------------------------------------


def test_a_token_fails_again_with_sentences_and_a_traceback(replay):
    status, told, _ = replay(lost_update())

    assert status == 1
    assert "the answer of the 1st `BUCKET.r2.head('gate')`" in told
    assert 'assert count == 2, "an update was lost"' in told
    assert "fails (" in told


def test_a_token_passes_when_the_bug_is_gone_and_what_did_not_come_about_is_told(
    folder, replay
):
    (folder / "jobs.py").write_text(JOBS.replace("FIXED = False", "FIXED = True"))

    status, told, _ = replay(lost_update())

    assert status == 0
    assert "did not come about: Hold(" in told
    assert "passes (" in told


def test_invariants_of_the_token_are_asked(replay):
    asked = Token(scenario="jobs:scenario", invariants=("jobs:never_two",))

    status, told, _ = replay(write_token(asked))

    assert (status, replay(token([], scenario="jobs:scenario"))[0]) == (1, 0)
    assert "an object has started" in told


def test_a_token_that_lacks_invariants_says_so(replay):
    word = write_token(Token(scenario="jobs:scenario", left_out=2))

    assert "2 invariants or rules of the exploration have no name" in replay(word)[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["1abc"], "is damaged"),
        (["nonsense"], "a token begins with its version"),
        ([token([], scenario="nowhere:scenario")], "there is no nowhere:scenario"),
        ([token([], scenario="jobs:nothing")], "there is no jobs:nothing"),
        ([token([], scenario="jobs:Counter")], "is no async function"),
        ([token([])], "names no scenario"),
    ],
)
def test_what_cannot_be_replayed_is_told_in_a_sentence(replay, words, told):
    status, output, errors = replay(*words)

    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert told in errors


def test_a_scenario_can_be_named_by_its_file(replay):
    assert replay(lost_update(), "--scenario", "jobs.py:scenario")[0] == 1


def test_a_debugger_stops_in_the_replay(folder):
    line = JOBS.splitlines().index('        await self.env.BUCKET.head("gate")') + 1
    commands = f"b {folder / 'jobs.py'}:{line}\nc\np 'stopped with', count\nc\nc\nq\nq\n"

    done = run(folder, "pdb", "-m", "emulator", "replay", lost_update(), stdin=commands)

    assert "('stopped with', 0)" in done.stdout


# -- emulator.run --------------------------------------------------------------------------


async def crashing() -> None:
    class Counter(DurableObject):
        async def add(self) -> None:
            await self.ctx.storage.put("count", 1)

    options = {"durable_objects": {"JOBS": "Counter"}}
    async with emulator.Miniflare(worker=Counter, **options) as mf:
        await mf.get_durable_object_namespace("JOBS").getByName("a").add()


def test_a_schedule_replays_a_token_and_its_seed():
    seeds = []

    async def scenario() -> None:
        from emulator.simulation.runner import current_simulation

        seeds.append(current_simulation().seed)
        await crashing()

    crash = Inject(Site(actor(), "storage.flush", 1), "crash before")
    schedule = schedules.replay(token([crash], seed=7))

    with pytest.raises(JsException, match="lost"):
        emulator.run(scenario, schedule=schedule)
    assert seeds == [7]


def test_a_replayed_run_must_come_to_rest_as_the_explored_one():
    class Counter(DurableObject):
        async def go(self) -> None:
            await self.ctx.storage.setAlarm(1)

        async def alarm(self, info: Any) -> None:
            await self.ctx.storage.setAlarm(self.now() + 1_000)

        def now(self) -> int:
            return int(Date.now())

    async def scenario() -> None:
        options = {"durable_objects": {"JOBS": "Counter"}}
        async with emulator.Miniflare(worker=Counter, **options) as mf:
            await mf.get_durable_object_namespace("JOBS").getByName("a").go()

    with pytest.raises(NotAtRest, match="60,000 simulated ms"):
        emulator.run(scenario, schedule=schedules.replay(token([], rest_ms=60_000)))
    emulator.run(scenario)


# -- pytest --------------------------------------------------------------------------------


def test_pytest_runs_the_scenario_of_a_token_in_its_world(folder):
    words = ("pytest", "-q", "test_jobs.py", "-k", "explored or run")
    done = run(folder, *words, "--emulator-replay", lost_update())

    assert "2 failed" in done.stdout
    assert "ExplorationFailure: scenario fails again in the world of the token" in done.stdout
    assert "an update was lost" in done.stdout
    assert "replayed: jobs:scenario" in done.stdout


def test_a_token_of_a_test_replays_that_test(folder):
    word = token(
        [Hold(*(Site(actor(), "BUCKET.r2.head", nth) for nth in (1, 2)), "arrival")],
        scenario="test_jobs:test_awaited",
    )

    done = run(folder, "pytest", "-q", "test_jobs.py", "--emulator-replay", word)

    assert "1 failed, 3 passed" in done.stdout
    assert "replayed: test_jobs:test_awaited" in done.stdout


def test_without_a_token_these_tests_pass_and_a_token_that_no_test_uses_is_told(folder):
    word = token([], scenario="elsewhere:scenario")

    done = run(folder, "pytest", "-q", "test_jobs.py", "--emulator-replay", word)

    assert "4 passed" in done.stdout
    assert "nothing was replayed" in done.stdout
    assert "elsewhere:scenario" in done.stdout


def test_a_token_without_a_name_is_that_of_a_function_inside_of_another(folder):
    word = token([Hold(*(Site(actor(), "BUCKET.r2.head", nth) for nth in (1, 2)), "arrival")])

    done = run(folder, "pytest", "-q", "test_jobs.py", "--emulator-replay", word)

    assert "1 failed, 3 passed" in done.stdout
    assert "test_local" in done.stdout


def test_a_broken_token_is_a_wrong_call_of_pytest(folder):
    done = run(folder, "pytest", "-q", "test_jobs.py", "--emulator-replay", "1abc")

    assert done.returncode == 4
    assert "--emulator-replay: the token '1abc' is damaged" in done.stderr
