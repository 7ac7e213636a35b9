"""`--emulator-target`: one real loop for the session, and the worlds of that target."""

from __future__ import annotations

import pytest

#: Stands in for `emulator.workerd`: tells what it is asked for.
CONFTEST = """
import asyncio
import sys
import types
import pytest
from emulator import faults
from emulator.errors import UnsupportedByTarget

class Miniflare:
    def __init__(self, **options):
        self.options = options
        if faults.restart() in options.get("faults", ()):
            raise UnsupportedByTarget("no restart there")

    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_):
        assert asyncio.get_running_loop() is self.loop

class Deployed(Miniflare):
    def __init__(self, url):
        self.url = url

sys.modules["emulator.workerd"] = module = types.ModuleType("emulator.workerd")
module.Miniflare, module.Deployed = Miniflare, Deployed

@pytest.fixture(scope="session")
async def session_loop():
    yield asyncio.get_running_loop()
    await asyncio.sleep(0)

@pytest.fixture(scope="module")
async def module_world(miniflare_factory):
    async with miniflare_factory(bindings={"WIDE": 1}) as world:
        yield world
"""

TESTS = """
import asyncio
import time
import pytest
from pathlib import Path
from freezegun import freeze_time
from hypothesis import given, settings, strategies as st
from emulator import faults
from emulator.simulation.loop import SimulationLoop

pytestmark = pytest.mark.miniflare(
    script_path="worker.py", bindings={"VAR": 1}, workerd={"script_path": "build/worker.mjs"}
)
loops = set()

async def test_first(miniflare, session_loop):
    assert asyncio.get_running_loop() is miniflare.loop is session_loop
    assert not isinstance(session_loop, SimulationLoop)
    loops.add(session_loop)

async def test_second(miniflare, module_world):
    assert asyncio.get_running_loop() in loops
    assert module_world.loop in loops

async def test_options(miniflare):
    script_path = Path(__file__).parent / "build" / "worker.mjs"
    assert miniflare.options == {"script_path": script_path, "bindings": {"VAR": 1}}

@pytest.mark.miniflare(worker="some.module", workerd={"bindings": {"VAR": 2}})
async def test_closest_mark(miniflare):
    assert miniflare.options["bindings"] == {"VAR": 2}
    assert miniflare.options["script_path"].name == "worker.mjs"
    assert "worker" not in miniflare.options

async def test_wide_options(module_world):
    assert module_world.options["bindings"] == {"VAR": 1, "WIDE": 1}
    assert module_world.options["script_path"].name == "worker.mjs"

@settings(max_examples=3)
@given(st.integers())
async def test_given(miniflare, number):
    assert asyncio.get_running_loop() is miniflare.loop

def test_factory(miniflare_factory):
    async def main(world, number):
        assert asyncio.get_running_loop() is world.loop
        return number
    assert miniflare_factory.run(main, 5) == 5

def test_factory_with_a_seed(miniflare_factory):
    miniflare_factory.run(None, seed=3)

@pytest.mark.simulated(seed=3)
async def test_seed(miniflare): pass

@pytest.mark.simulated
async def test_simulated(): pass

@pytest.mark.miniflare(faults=[faults.missing(key="k")])
async def test_faults(miniflare):
    assert miniflare.options["faults"] == [faults.missing(key="k")]

@pytest.mark.miniflare(faults=[faults.restart()])
async def test_faults_of_simulated_time_only(miniflare): pass

@pytest.mark.miniflare(faults=[])
async def test_no_faults(miniflare):
    assert "faults" not in miniflare.options

@freeze_time("2030-01-01")
async def test_frozen(miniflare): pass

def test_synchronous(): pass

async def test_failing(miniflare):
    assert miniflare is None
"""

SKIPPED = {
    "test_factory_with_a_seed": "a seed, schedule or start_time",
    "test_seed": "mark `simulated`",
    "test_simulated": "mark `simulated`",
    "test_frozen": "@freeze_time",
}


@pytest.fixture(scope="module")
def real(run_sample):
    files = {"conftest.py": CONFTEST, "test_real.py": TESTS}
    return run_sample(files, "--emulator-target", "workerd", "-p", "no:asyncio")


def test_tests_and_fixtures_of_every_scope_share_one_real_loop(real):
    outcomes = real.outcomes()
    assert {name for name, outcome in outcomes.items() if outcome == "failed"} == {
        "test_failing"
    }, real.output
    assert {name for name, outcome in outcomes.items() if outcome == "skipped"} == {
        *SKIPPED,
        "test_faults_of_simulated_time_only",
    }
    assert "no restart there" in real["test_faults_of_simulated_time_only"].text


@pytest.mark.parametrize("name", SKIPPED)
def test_what_needs_simulated_time_is_skipped_and_says_so(real, name):
    sentence = f"needs simulated time ({SKIPPED[name]}), and the target is workerd"
    assert sentence in real[name].text


def test_the_header_tells_the_target(real):
    assert "emulator target: workerd" in real.output


def test_a_failing_test_shows_its_own_code_only(real):
    assert "assert miniflare is None" in real["test_failing"].text
    assert "emulator/testing" not in real["test_failing"].text


def test_a_url_is_a_deployed_worker(run_sample):
    text = """
import pytest
from emulator import faults

async def test_url(miniflare):
    assert miniflare.url == "https://host.example"

@pytest.mark.miniflare(faults=[faults.missing(key="k")])
async def test_faults(miniflare): pass
"""
    files = {"conftest.py": CONFTEST, "test_url.py": text}
    run = run_sample(files, "--emulator-target", "https://host.example", "-p", "no:asyncio")
    assert run["test_url"].outcome == "passed", run.output
    assert "needs simulated time (option faults)" in run["test_faults"].text


def test_an_unknown_target_is_a_usage_error(pytestconfig, run_sample):
    with pytest.raises(AssertionError, match=r"emulator, workerd or a URL .* got 'deno'"):
        run_sample({"test_a.py": ""}, "--emulator-target", "deno")


def test_the_mark_for_workerd_means_nothing_to_the_emulator(run_sample, worker_text):
    text = """
import pytest
@pytest.mark.miniflare(
    script_path="worker.py", durable_objects={"JOBS": "Job"}, workerd={"script_path": "nowhere"}
)
async def test_emulator(miniflare):
    assert (await miniflare.dispatch_fetch("http://localhost/")).text == "ok"
"""
    run = run_sample({"worker.py": worker_text, "test_e.py": text}, "-p", "no:asyncio")
    assert run["test_emulator"].outcome == "passed"
    assert "emulator target" not in run.output
