"""`@given` on an `async def` test: a fresh world for each example."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import hypothesis
import pytest
from freezegun import freeze_time
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from workers import DurableObject, Response, WorkerEntrypoint

from emulator.simulation.loop import SimulationLoop
from emulator.simulation.runner import current_simulation


class Counter(DurableObject):
    async def add(self, number):
        total = (await self.ctx.storage.get("total") or 0) + number
        await self.ctx.storage.put("total", total)
        return total


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("")


pytestmark = pytest.mark.miniflare(worker=Default, durable_objects={"COUNTERS": "Counter"})
_simulations = []
_lives = []


@pytest.fixture
async def stub(miniflare):
    _lives.append("begin")
    yield miniflare.get_durable_object_namespace("COUNTERS").getByName("a")
    _lives.append("end")


@pytest.fixture(scope="module")
def plain():
    return 7


@pytest.fixture(params=[1, 2])
async def number(request):
    return request.param, request.node.name


@settings(max_examples=20)
@given(added=st.integers(1, 100))
async def test_each_example_has_a_fresh_world(miniflare, stub, plain, added):
    assert await stub.add(added) == added
    simulation = current_simulation()
    assert simulation is miniflare.world.simulation
    assert simulation not in _simulations
    assert isinstance(asyncio.get_running_loop(), SimulationLoop)
    assert simulation.clock.elapsed_ms < 100
    _simulations.append(simulation)


def test_after_the_examples_all_of_their_fixtures_have_ended():
    assert len(_simulations) > 10
    assert all(simulation.loop.is_closed() for simulation in _simulations)
    assert _lives == ["begin", "end"] * len(_simulations)


class TestMethods:
    @pytest.fixture(autouse=True)
    async def an_hour_in(self):
        await asyncio.sleep(3600)

    @settings(max_examples=3)
    @given(st.data())
    async def test_a_method_may_draw_while_it_runs(self, stub, data):
        first = data.draw(st.integers(0, 5))
        assume(first)
        assert await stub.add(first) == first
        assert await stub.add(data.draw(st.just(1))) == first + 1
        assert current_simulation().clock.elapsed_ms > 3_600_000


@pytest.mark.simulated
@settings(max_examples=3)
@given(st.integers())
async def test_an_async_fixture_may_be_parametrized(number, value):
    assert number[1] == f"test_an_async_fixture_may_be_parametrized[{number[0]}]"


@pytest.mark.parametrize("base", [10, 20])
@settings(max_examples=3)
@given(added=st.integers(1, 5))
async def test_a_test_may_be_parametrized(stub, base, added):
    assert await stub.add(base + added) == base + added


@example(3)
@settings(max_examples=3)
@given(st.integers())
@pytest.mark.simulated(seed=9)
async def test_a_mark_without_a_world_is_enough(value):
    assert current_simulation().seed == 9


@freeze_time("2031-01-01")
@settings(max_examples=5)
@given(st.integers(0, 3))
async def test_each_example_of_a_frozen_test_starts_at_the_same_time(miniflare, days):
    assert (datetime.now(UTC).year, datetime.now(UTC).day) == (2031, 1)
    await miniflare.advance(days * 86_400_000)
    assert datetime.now(UTC).day == 1 + days


@given(st.integers())
@freeze_time("2032-01-01")
@pytest.mark.simulated
async def test_freezing_may_stand_under_given(value):
    assert datetime.now(UTC).year == 2032


@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers())
async def test_a_plain_fixture_may_be_let_through_by_hand(miniflare, tmp_path, value):
    assert tmp_path.exists()


@given(st.integers())
def test_a_synchronous_property_is_left_alone(value):
    assert asyncio._get_running_loop() is None


FAILURES = """
import asyncio
from time import perf_counter

import pytest
from hypothesis import Phase, example, given, settings, strategies as st

pytestmark = pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"})

@pytest.fixture
def plain(): pass

@pytest.fixture
def namespace(miniflare):
    return miniflare.get_durable_object_namespace("JOBS")

@pytest.fixture(scope="module")
async def wide(): pass

@pytest.fixture
async def broken(miniflare):
    raise LookupError("at the beginning")

@pytest.fixture
async def breaks(miniflare):
    yield
    raise LookupError("at the end")

@pytest.fixture
async def never():
    yield
    await asyncio.Future()

@pytest.mark.simulated(seed=3)
@given(number=st.integers(0, 1000))
async def test_failing(miniflare, number):
    await miniflare.dispatch_fetch(f"http://localhost/{number}")
    assert number < 17

@example(number=5)
@given(number=st.integers(0, 1))
async def test_explicit(miniflare, number):
    await miniflare.dispatch_fetch(f"http://localhost/{number}")
    assert number < 2

@given(st.integers())
async def test_health(miniflare, plain, number): pass

@given(st.integers())
async def test_synchronous_between(namespace, number): pass

@given(st.integers())
async def test_wide(miniflare, wide, number): pass

@settings(max_examples=3, phases=[Phase.generate])
@given(st.integers())
async def test_broken(broken, number): pass

@settings(max_examples=3, phases=[Phase.generate])
@given(st.integers())
async def test_breaks(breaks, number): pass

@settings(max_examples=3, phases=[Phase.generate])
@given(st.integers())
async def test_breaks_too(breaks, number):
    assert False, "in the test"

@settings(max_examples=3, phases=[Phase.generate])
@given(st.integers())
async def test_never(miniflare, never, number): pass

@settings(max_examples=3, phases=[Phase.generate])
@given(st.integers())
async def test_deadlock(miniflare, number):
    await asyncio.Future()

@given(st.integers())
async def test_skip(miniflare, number):
    pytest.skip("for a reason")

@pytest.fixture
def late(request):
    return request.getfixturevalue("miniflare")

@settings(max_examples=1)
@given(st.integers())
async def test_late(miniflare, late, number): pass

@settings(max_examples=1)
@given(st.integers())
async def test_slow(miniflare, number):
    burn(0.25)

@settings(max_examples=1, deadline=10, phases=[Phase.generate])
@given(st.integers())
async def test_too_slow(miniflare, number):
    burn(0.05)

def burn(seconds):
    # Real time, which the simulation hides from the module's own clocks.
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass

@given(number=st.integers(0, 1000))
async def test_after(miniflare, number):
    assert (await miniflare.dispatch_fetch("http://localhost/")).text == "ok"
"""

REPRODUCED = """
import pytest
from hypothesis import given, reproduce_failure, strategies as st

@reproduce_failure({version!r}, {blob!r})
@given(number=st.integers(0, 1000))
@pytest.mark.simulated
async def test_failing(number):
    assert number < 17
"""


@pytest.fixture(scope="module")
def failures(run_sample, worker_text):
    files = {"worker.py": worker_text, "test_failures.py": FAILURES}
    return run_sample(files, "-p", "no:asyncio", "-o", "verbosity_assertions=0")


def test_the_report_is_that_of_the_minimal_failing_example(failures):
    failure = failures["test_failing"]

    assert "number=17" in failure.text
    assert "miniflare=<miniflare, anew for each example>" in failure.text
    told = failure.sections["simulated run"]
    assert told.startswith("seed 3 ")
    assert "test calls worker.fetch('GET http://localhost/17')" in told
    assert told.count("worker.fetch") == 1
    assert "hypothesis/core.py" not in failure.text
    assert "emulator/" not in failure.text


def test_an_explicit_example_has_its_report_too(failures):
    assert "GET http://localhost/5" in failures["test_explicit"].sections["simulated run"]
    assert "number=5" in failures["test_explicit"].text


def test_a_plain_function_scoped_fixture_still_fails_the_health_check(failures):
    told = failures["test_health"].text
    assert "uses a function-scoped fixture 'plain'" in told


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "test_synchronous_between",
            "the synchronous fixture `namespace` depends on one of these: make it `async def`",
        ),
        ("test_wide", "`wide` is a module-scoped fixture: make it function-scoped"),
        ("test_broken", "LookupError: at the beginning"),
        ("test_breaks", "LookupError: at the end"),
        ("test_breaks_too", "AssertionError: in the test"),
        ("test_breaks_too", "torn down: LookupError('at the end')"),
        ("test_never", "fixture never in never (test_failures.py:"),
        ("test_deadlock", "SimulationDeadlock: nothing is left to happen"),
        ("test_deadlock", "test case: test_deadlock("),
        ("test_late", "`miniflare` does not exist outside of the examples"),
        ("test_too_slow", "DeadlineExceeded"),
    ],
)
def test_what_goes_wrong_is_told_in_one_sentence(failures, name, sentence):
    assert failures[name].outcome == "failed"
    assert sentence in failures[name].text


def test_the_default_deadline_does_not_count_since_it_is_real_time(failures):
    assert failures["test_slow"].outcome == "passed", failures["test_slow"].text


def test_an_example_may_skip_the_test(failures):
    assert failures["test_skip"].outcome == "skipped"
    assert failures["test_after"].outcome == "passed"


def test_a_failure_is_reproduced_from_its_blob(run_sample):
    text = """
import pytest
from hypothesis import given, settings, strategies as st

@settings(print_blob=True, database=None)
@given(number=st.integers(0, 1000))
@pytest.mark.simulated
async def test_failing(number):
    assert number < 17
"""
    told = run_sample({"test_blob.py": text}, "-p", "no:asyncio")["test_failing"].text
    blob = told.partition("@reproduce_failure(")[2].partition("b'")[2].partition("'")[0]
    again = REPRODUCED.format(version=hypothesis.__version__, blob=blob.encode())
    told = run_sample({"test_again.py": again}, "-p", "no:asyncio")["test_failing"].text

    assert "assert 17 < 17" in told
