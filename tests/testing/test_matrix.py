"""One sample suite beside each plugin that a project may have: all green, on the right loops.

Each test of the sample asserts which loop it ran on.
"""

from __future__ import annotations

import pytest

CONFTEST = """
import asyncio
import pytest
from company import fixture
from emulator.simulation.loop import SimulationLoop

class Place:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.is_simulated = isinstance(self.loop, SimulationLoop)

@fixture
async def place():
    yield Place()

@fixture(scope="module")
async def module_place():
    await asyncio.sleep(0)
    yield Place()

@pytest.fixture(scope="module")
async def module_world(miniflare_factory):
    async with miniflare_factory() as world:
        yield world

@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"
"""

SAMPLE = """
import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from company import IS_SERVED, mark
from freezegun import freeze_time
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.simulation.loop import SimulationLoop

pytestmark = pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"})

def is_simulated():
    return isinstance(asyncio.get_running_loop(), SimulationLoop)

async def test_world(miniflare, place):
    assert is_simulated() and place.is_simulated
    assert asyncio.get_running_loop() is place.loop is miniflare.world.simulation.loop
    assert (await miniflare.dispatch_fetch("http://localhost/")).text == "ok"
    await miniflare.advance(timedelta(days=1))
    assert [record.message for record in miniflare.logs] == ["started"]

@mark
async def test_world_with_the_mark_of_another_plugin(miniflare, place):
    assert is_simulated() and place.loop is asyncio.get_running_loop()

@pytest.mark.simulated(seed=3)
async def test_mark(place):
    await asyncio.sleep(1_000_000)
    assert is_simulated() and place.loop is asyncio.get_running_loop()

class TestModule:
    async def test_first(self, module_world, module_place):
        assert is_simulated() and module_place.loop is asyncio.get_running_loop()
        assert module_world.world.simulation.loop is module_place.loop

    @pytest.mark.parametrize("number", [1, 2])
    async def test_second(self, module_world, number):
        assert module_world.world.simulation.loop is asyncio.get_running_loop()
        assert (await module_world.dispatch_fetch("http://localhost/")).text == "ok"

@freeze_time("2030-05-05")
async def test_freezegun(miniflare):
    await miniflare.advance(timedelta(days=1))
    assert is_simulated() and datetime.now(UTC).day == 6

@example(3)
@settings(max_examples=5)
@given(st.integers(0, 5))
async def test_given(miniflare, place, days):
    assert is_simulated() and place.loop is asyncio.get_running_loop()
    await miniflare.advance(timedelta(days=days))
    assert miniflare.clock.elapsed_ms == days * 86_400_000

@settings(max_examples=5)
@given(st.integers(0, 5))
def test_synchronous_given(miniflare_factory, days):
    async def main(world):
        assert is_simulated()
        return (await world.dispatch_fetch("http://localhost/")).text
    assert miniflare_factory.run(main) == "ok"

def test_synchronous():
    assert asyncio._get_running_loop() is None
    assert time.time() > 1_700_000_000

@pytest.mark.skipif(not IS_SERVED, reason="nobody serves it")
@mark
async def test_theirs(place):
    assert not is_simulated() and not place.is_simulated

@pytest.mark.skipif(not IS_SERVED, reason="nobody serves it")
@mark
async def test_theirs_with_a_wider_fixture(module_place):
    assert not is_simulated() and not module_place.is_simulated
"""

#: How a test and a fixture are marked as another plugin's.
ASYNCIO = {
    "mark": "pytest.mark.asyncio(loop_scope='module')",
    "fixture": "partial(__import__('pytest_asyncio').fixture, loop_scope='module')",
}
ANYIO = {"mark": "pytest.mark.anyio"}
NOBODY = {"mark": "pytest.mark.filterwarnings('error')"}

#: Beside which plugin: its options, its marks, and which others are absent.
COMPANY = {
    "pytest-asyncio strict": (["--asyncio-mode=strict"], ASYNCIO, ["anyio"]),
    "pytest-asyncio auto": (["--asyncio-mode=auto"], ASYNCIO, ["anyio"]),
    "anyio": ([], ANYIO, ["asyncio"]),
    "xdist": (["-n2"], NOBODY, ["asyncio", "anyio"]),
    "pytest-randomly": (["--randomly-seed=7"], NOBODY, ["asyncio", "anyio"]),
    "pytest-cov": (["--cov=.", "--cov-branch"], NOBODY, ["asyncio", "anyio"]),
    "pytest-timeout": (["--timeout=100"], NOBODY, ["asyncio", "anyio"]),
    "pytest-replay": (["--replay-record-dir=replay"], NOBODY, ["asyncio", "anyio"]),
    "all": (
        [
            "--asyncio-mode=auto",
            "-n2",
            "--randomly-seed=8",
            "--cov=.",
            "--timeout=100",
            "--replay-record-dir=replay",
        ],
        ASYNCIO,
        [],
    ),
}

#: pytest-asyncio warns where it is unset; the marks may be nobody's.
INI = """
[pytest]
markers =
    asyncio
    anyio
filterwarnings =
    error
    ignore:The configuration option "asyncio_default_fixture_loop_scope"
"""


@pytest.mark.parametrize("company", COMPANY)
def test_the_sample_is_green_and_on_its_loops_beside(run_sample, worker_text, company):
    options, marks, absent = COMPANY[company]
    is_served = marks is not NOBODY
    files = {
        "company.py": (
            "import pytest\nfrom functools import partial\n"
            f"mark = {marks['mark']}\nfixture = {marks.get('fixture', 'pytest.fixture')}\n"
            f"IS_SERVED = {is_served}\n"
        ),
        "worker.py": worker_text,
        "conftest.py": CONFTEST,
        "test_sample.py": SAMPLE,
        "pytest.ini": INI,
    }
    is_shuffled = any("randomly" in option for option in options)
    others = [f"-pno:{name}" for name in absent]
    run = run_sample(files, *options, *others, is_shuffled=is_shuffled)
    outcomes = run.outcomes()
    theirs = {name: outcomes.pop(name) for name in list(outcomes) if "theirs" in name}

    assert set(outcomes.values()) == {"passed"}, run.output
    assert len(outcomes) == 10
    assert set(theirs.values()) == {"passed" if is_served else "skipped"}, run.output
    assert len(theirs) == 2
