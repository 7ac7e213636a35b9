"""`miniflare_factory`, `emulator_config`, and which options go over which."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workers import Response, WorkerEntrypoint

import emulator
from emulator.simulation.runner import current_simulation


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(str(self.env.VAR))


pytestmark = pytest.mark.miniflare(worker=Default, bindings={"VAR": "of the module"})


async def answer(world):
    return (await world.dispatch_fetch("http://localhost/")).text


# -- the factory -----------------------------------------------------------------------------


@settings(max_examples=5)
@given(word=st.text("abc", min_size=1))
def test_a_synchronous_property_runs_each_example_in_a_fresh_world(miniflare_factory, word):
    assert miniflare_factory.run(answer, bindings={"VAR": word}) == word


def test_a_world_of_the_factory_is_entered_by_hand(miniflare_factory):
    async def main():
        async with miniflare_factory() as world:
            return await answer(world)

    assert emulator.run(main) == "of the module"


@pytest.mark.miniflare(bindings={"VAR": "of the test"})
def test_the_marks_of_the_test_count_and_the_call_goes_over_them(miniflare_factory):
    assert miniflare_factory.run(answer) == "of the test"
    assert miniflare_factory.run(answer, bindings={"VAR": "of the call"}) == "of the call"


@pytest.mark.miniflare(bindings={"OTHER": "beside it"})
def test_variables_go_over_each_other_name_by_name(miniflare_factory):
    async def main(world):
        return world.get_bindings()

    assert miniflare_factory.run(main) == {"VAR": "of the module", "OTHER": "beside it"}


class TestOptions:
    @pytest.fixture
    def miniflare_options(self):
        return {"bindings": {"VAR": "of the fixture"}, "name": "named"}

    def test_those_of_the_fixture_count_too_and_the_mark_goes_over_them(
        self, miniflare_factory
    ):
        async def main(world):
            return await answer(world), repr(world)

        told, world = miniflare_factory.run(main)
        assert told == "of the module"
        assert "named" in world


def test_arguments_seed_and_start_are_those_of_run(miniflare_factory):
    async def main(world, *arguments):
        return arguments, current_simulation().seed, world.clock.now_ms

    seen = miniflare_factory.run(main, 1, "b", seed=4, start_time=86_400_000)
    assert seen == ((1, "b"), 4, 86_400_000)


# -- samples ---------------------------------------------------------------------------------

WRANGLER = """
name = "w"
main = "src/worker.py"
compatibility_date = "2026-04-01"

[vars]
VAR = "of the file"
OTHER = "of the file too"
"""

OPTIONS = """
import pytest

@pytest.fixture
def miniflare_options():
    return {"script_path": "worker.py", "bindings": {"VAR": 1, "OTHER": 2}}
"""

ANCHORED = """
async def test_a_world(miniflare):
    assert (await miniflare.dispatch_fetch("http://localhost/")).text == "1, 2"

def test_the_factory(miniflare_factory):
    async def ask(world):
        return (await world.dispatch_fetch("http://localhost/")).text
    assert miniflare_factory.run(ask) == "1, 2"
"""

EXTENDED = """
import pytest

@pytest.fixture
def miniflare_options(miniflare_options):
    return {**miniflare_options, "bindings": {"VAR": 1, "OTHER": 3}}
"""

CONFIGURED = """
import time
import pytest
from hypothesis import given, settings, strategies as st

async def words(world):
    answer = await world.dispatch_fetch("http://localhost/")
    return answer.text

async def test_file(miniflare):
    assert await words(miniflare) == "of the file, of the file too"

class TestFixture:
    @pytest.fixture
    def miniflare_options(self):
        return {"bindings": {"VAR": "fixture", "OTHER": "fixture"}}

    async def test_fixture(self, miniflare):
        assert await words(miniflare) == "fixture, fixture"

    @pytest.mark.miniflare(bindings={"VAR": "mark", "OTHER": "mark"})
    async def test_mark(self, miniflare):
        assert await words(miniflare) == "mark, mark"

def test_factory(miniflare_factory):
    assert miniflare_factory.run(words) == "of the file, of the file too"

def test_path_of_the_factory(miniflare_factory):
    options = {"bindings": {"VAR": 1, "OTHER": 2}}
    assert miniflare_factory.run(words, script_path="own.py", **options) == "own 1"

def test_seed(miniflare_factory):
    async def seed(world):
        return world.world.simulation.seed
    assert miniflare_factory.run(seed) == 6

def test_failing(miniflare_factory):
    async def fail(world):
        await words(world)
        assert world is None
    miniflare_factory.run(fail)

@given(number=st.integers(0, 100))
def test_failing_property(miniflare_factory, number):
    async def fail(world):
        await world.dispatch_fetch(f"http://localhost/{number}")
        assert number < 3
    miniflare_factory.run(fail)

@settings(max_examples=1)
@given(st.integers())
def test_slow_property(miniflare_factory, number):
    end = time.process_time() + 0.25
    while time.process_time() < end:
        pass

def test_hanging(miniflare_factory):
    import asyncio
    async def hang(world):
        await asyncio.Future()
    miniflare_factory.run(hang)
"""

WORKER = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"{self.env.VAR}, {self.env.OTHER}")
"""


@pytest.fixture(scope="module")
def configured(run_sample):
    files = {
        "pytest.ini": "[pytest]\nemulator_config = conf/wrangler.toml",
        "conf/wrangler.toml": WRANGLER,
        "conf/src/worker.py": WORKER,
        "tests/test_configured.py": CONFIGURED,
        "tests/own.py": WORKER.replace(
            "self.env.VAR}, {self.env.OTHER", "'own'} {self.env.VAR"
        ),
    }
    return run_sample(files, "--emulator-seed", "6", "-p", "no:asyncio")


@pytest.mark.parametrize(
    "name",
    [
        "test_file",
        "TestFixture::test_fixture",
        "TestFixture::test_mark",
        "test_factory",
        "test_path_of_the_factory",
        "test_seed",
        "test_slow_property",
    ],
)
def test_the_fixture_and_the_factory_agree_with_the_file_of_the_project(configured, name):
    assert configured[name].outcome == "passed", configured[name].text


def test_a_path_in_a_conftest_begins_at_its_folder_for_all_tests_below(run_sample):
    files = {
        "app/conftest.py": OPTIONS,
        "app/worker.py": WORKER,
        "app/tests/deep/test_anchored.py": ANCHORED,
    }
    run = run_sample(files, "-p", "no:asyncio")
    assert run.outcomes() == {"test_a_world": "passed", "test_the_factory": "passed"}


def test_options_that_extend_others_leave_their_path_where_it_was_written(run_sample):
    files = {
        "app/conftest.py": OPTIONS,
        "app/worker.py": WORKER,
        "app/tests/conftest.py": EXTENDED,
        "app/tests/test_extended.py": ANCHORED.replace("1, 2", "1, 3"),
    }
    run = run_sample(files, "-p", "no:asyncio")
    assert run.outcomes() == {"test_a_world": "passed", "test_the_factory": "passed"}


def test_a_failure_in_a_synchronous_test_has_its_report(configured):
    told = configured["test_failing"].sections["simulated run"]
    assert told.startswith("seed 6 ")
    assert "test calls worker.fetch('GET http://localhost/')" in told


def test_the_report_of_a_property_is_that_of_the_minimal_example(configured):
    told = configured["test_failing_property"].sections["simulated run"]
    assert "GET http://localhost/3'" in told


def test_a_deadlock_in_a_synchronous_test_names_who_waits(configured):
    told = configured["test_hanging"].text
    assert "SimulationDeadlock" in told
    assert "hang (test_configured.py:" in told


def test_a_configuration_that_is_not_there_is_named(run_sample):
    files = {
        "pytest.ini": "[pytest]\nemulator_config = nowhere.toml",
        "test_a.py": "async def test_a(miniflare): pass",
    }
    assert "nowhere.toml" in run_sample(files, "-p", "no:asyncio")["test_a"].text
