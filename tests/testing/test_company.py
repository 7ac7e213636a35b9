"""A test never runs silently on the wrong loop, whatever else is installed."""

from __future__ import annotations

import pytest

CONFTEST = """
import asyncio
import pytest
from company import fixture
from emulator.simulation.loop import SimulationLoop

class Value:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.is_simulated = isinstance(self.loop, SimulationLoop)
        self.is_alive = True

@fixture(scope="module")
async def module_value():
    value = Value()
    yield value
    assert asyncio.get_running_loop() is value.loop
    value.is_alive = False

@fixture(scope="session")
async def session_value():
    value = Value()
    yield value
    assert asyncio.get_running_loop() is value.loop
    value.is_alive = False

@pytest.fixture(scope="module")
def synchronous_value(module_value):
    return module_value
"""

SHARED = """
import asyncio
import pytest
from company import mark
from emulator.simulation.loop import SimulationLoop

def is_simulated():
    return isinstance(asyncio.get_running_loop(), SimulationLoop)

@pytest.mark.simulated
async def test_ours_1(module_value, session_value):
    assert is_simulated() and module_value.is_simulated and session_value.is_simulated

@mark
async def test_theirs_1(module_value, session_value, synchronous_value):
    assert not is_simulated()
    assert not module_value.is_simulated and not session_value.is_simulated
    assert synchronous_value is module_value and module_value.is_alive

@pytest.mark.simulated
async def test_ours_2(module_value, synchronous_value):
    assert is_simulated() and module_value.is_simulated and module_value.is_alive
    assert synchronous_value is module_value

@mark
async def test_theirs_2(module_value):
    assert not is_simulated() and not module_value.is_simulated and module_value.is_alive

@pytest.mark.simulated
async def test_ours_3(module_value, session_value):
    assert module_value.is_simulated and session_value.is_simulated
    assert module_value.is_alive and session_value.is_alive
"""

ALONE = """
import asyncio
import unittest
import pytest

pytestmark = pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"})

@pytest.fixture
def namespace(miniflare):
    return miniflare.get_durable_object_namespace("JOBS")

@pytest.fixture
async def of_ours(miniflare): pass

@pytest.fixture
async def plain(): pass

@pytest.fixture(scope="module")
async def wide(): pass

def test_synchronous(miniflare): pass

def test_synchronous_through(namespace): pass

def test_synchronous_of_ours(of_ours): pass

def test_synchronous_plain(plain): pass

@pytest.mark.simulated
async def test_ours_after_the_failure(plain): pass

def test_synchronous_wide(wide): pass

@pytest.mark.simulated
async def test_ours_with_wide(wide): pass

def test_synchronous_wide_again(wide): pass

@pytest.mark.simulated
async def test_ours_with_wide_again(wide): pass

def test_dynamic(request):
    request.getfixturevalue("of_ours")

@pytest.mark.usefixtures("miniflare")
class TestUnittest(unittest.TestCase):
    def test_method(self): pass

async def test_generator(miniflare):
    yield

@pytest.mark.simulated
def test_marked_but_synchronous(): pass

async def test_nobodys(): pass

@pytest.mark.miniflare(bindings={"A": "1"})
async def test_marked_without_a_world(): pass

@pytest.fixture
def broken():
    raise LookupError

def test_broken_by_itself(broken): pass
"""


@pytest.fixture
def beside(run_sample, worker_text):
    """The outcomes of a sample beside some plugins."""

    def run(
        text, *arguments, mark="pytest.mark.skipif(False, reason='')", fixture=None, **files
    ):
        fixture = fixture or "pytest.fixture"
        company = f"import pytest\nmark = {mark}\nfixture = {fixture}\n"
        sample = {"worker.py": worker_text, "company.py": company, "test_sample.py": text}
        return run_sample({**sample, **files}, *arguments)

    return run


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_a_wider_fixture_is_made_anew_for_each_kind_beside_pytest_asyncio(beside, mode):
    ini = f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = session\n"
    ini += "asyncio_default_test_loop_scope = session\n"
    run = beside(
        SHARED,
        "-pno:anyio",
        mark="pytest.mark.asyncio",
        fixture="__import__('pytest_asyncio').fixture",
        **{"conftest.py": CONFTEST, "pytest.ini": ini},
    )
    assert set(run.outcomes().values()) == {"passed"}, run.output
    assert len(run.outcomes()) == 5


def test_a_wider_fixture_is_made_anew_for_each_kind_beside_anyio(beside):
    backend = '@pytest.fixture(scope="session")\ndef anyio_backend(): return "asyncio"\n'
    run = beside(
        SHARED,
        "-pno:asyncio",
        mark="pytest.mark.anyio",
        **{"conftest.py": CONFTEST + backend},
    )
    assert set(run.outcomes().values()) == {"passed"}, run.output
    assert len(run.outcomes()) == 5


def test_a_marked_test_runs_once_for_each_backend_of_anyio_and_always_simulated(beside):
    text = """
import asyncio
import pytest
from emulator.simulation.loop import SimulationLoop

@pytest.mark.anyio
@pytest.mark.simulated
async def test_ours():
    assert isinstance(asyncio.get_running_loop(), SimulationLoop)
"""
    run = beside(text, "-pno:asyncio")
    assert set(run.outcomes().values()) == {"passed"}, run.output


@pytest.fixture(scope="module")
def alone(run_sample, worker_text):
    files = {"worker.py": worker_text, "test_alone.py": ALONE}
    return run_sample(files, "-pno:asyncio", "-pno:anyio")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "test_synchronous",
            "test_alone.py::test_synchronous asks for the `miniflare` fixture,",
        ),
        ("test_synchronous_through", "the `miniflare` fixture (through `namespace`), which"),
        (
            "test_synchronous_of_ours",
            "the `miniflare` fixture (through `of_ours`), which needs",
        ),
        (
            "test_dynamic",
            "test_alone.py::test_dynamic asks for the `miniflare` fixture (through",
        ),
        ("TestUnittest::test_method", "TestUnittest::test_method asks for the `miniflare`"),
        ("test_generator", "test_generator has a `yield`: a test cannot give a value"),
        ("test_synchronous_plain", "requested an async fixture 'plain', with no plugin"),
        ("test_synchronous_wide", "requested an async fixture 'wide', with no plugin"),
        ("test_synchronous_wide_again", "requested an async fixture 'wide', with no plugin"),
        (
            "test_marked_but_synchronous",
            "is marked `simulated`, and is no `async def` function",
        ),
        ("test_nobodys", "async def functions are not natively supported"),
        (
            "test_marked_without_a_world",
            "is marked `miniflare`, and uses no world: name `miniflare` among its arguments",
        ),
    ],
)
def test_what_cannot_run_on_its_loop_fails_with_one_sentence(alone, name, sentence):
    assert alone[name].outcome == "failed"
    assert sentence in alone[name].text
    assert len(alone[name].text.splitlines()) <= 9
    assert alone.reports[name, "teardown"].outcome == "passed"


def test_the_traceback_of_a_test_of_others_is_pytests_own(alone):
    assert "LookupError" in alone["test_broken_by_itself"].text
    assert "pytest_plugin" not in alone["test_broken_by_itself"].text


def test_what_can_run_passes_after_all_of_them(alone):
    outcomes = {name for name, outcome in alone.outcomes().items() if outcome == "passed"}
    assert outcomes == {
        "test_ours_after_the_failure",
        "test_ours_with_wide",
        "test_ours_with_wide_again",
    }
