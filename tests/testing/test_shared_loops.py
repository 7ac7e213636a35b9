"""Async fixtures of wider scope: which tests share a simulation, and when it ends."""

from __future__ import annotations

import asyncio

import pytest
from workers import Response, WorkerEntrypoint

from emulator.simulation.runner import current_simulation


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("ok")


pytestmark = pytest.mark.miniflare(worker=Default)
_seen = {}


@pytest.fixture(scope="module")
async def module_world(miniflare_factory):
    async with miniflare_factory() as world:  # With the marks of the module.
        yield world
        await asyncio.sleep(3600)


@pytest.fixture(scope="module")
async def module_day():
    await asyncio.sleep(86_400)
    return current_simulation()


@pytest.fixture(scope="module")
def synchronous_between(module_day):
    return module_day


@pytest.fixture(scope="class")
async def class_hour():
    await asyncio.sleep(3600)
    return current_simulation()


@pytest.fixture
async def a_minute(module_world):
    await asyncio.sleep(60)
    return module_world


async def test_a_module_fixture_and_the_test_are_on_one_loop(module_world):
    assert current_simulation() is module_world.world.simulation
    assert (await module_world.dispatch_fetch("http://localhost/")).text == "ok"
    _seen["first"] = current_simulation()
    await module_world.advance(500_000)


async def test_time_goes_on_from_test_to_test(a_minute):
    assert current_simulation() is _seen["first"]
    assert a_minute.clock.elapsed_ms >= 560_000


async def test_tests_that_share_any_fixture_share_the_simulation_of_all(
    module_world, module_day
):
    assert current_simulation() is module_day is _seen["first"]


@pytest.mark.simulated
async def test_also_through_a_synchronous_fixture(synchronous_between):
    assert current_simulation() is synchronous_between is _seen["first"]


async def test_a_test_without_such_a_fixture_has_its_own(miniflare):
    assert miniflare.clock.elapsed_ms == 0


async def test_a_fresh_world_lives_in_the_shared_simulation(miniflare, module_day):
    assert miniflare.world.simulation is module_day


@pytest.mark.simulated(seed=5)
class TestClass:
    async def test_first(self, class_hour):
        assert class_hour.seed == 5
        assert current_simulation() is class_hour
        _seen["class"] = class_hour

    async def test_second(self, class_hour):
        assert current_simulation() is class_hour is _seen["class"]
        assert class_hour.clock.elapsed_ms == 3_600_000

    async def test_alone(self):
        assert current_simulation() is not _seen["class"]


@pytest.mark.simulated
async def test_a_class_fixture_outside_of_a_class_is_for_one_test(class_hour, pytestconfig):
    assert class_hour.seed == pytestconfig.getoption("emulator_seed")
    assert class_hour.clock.elapsed_ms == 3_600_000


SHARED = """
import asyncio
import pytest
from emulator import faults
from emulator.simulation.runner import current_simulation

pytestmark = [
    pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"}),
    pytest.mark.simulated(seed=4),
]

@pytest.fixture(scope="module")
async def world(miniflare_factory):
    async with miniflare_factory() as world:
        world.faults.add(faults.missing(key="of the fixture"))
        yield world

@pytest.fixture(scope="module")
async def broken():
    raise ValueError("at the beginning")

@pytest.fixture(scope="module")
async def stuck():
    yield
    await asyncio.Future()

async def test_seed(world):
    assert world.world.simulation.seed == 4

@pytest.mark.simulated(seed=4)
async def test_same_seed(world): pass

@pytest.mark.simulated(seed=5)
async def test_other_seed(world): pass

async def test_failure(world):
    await world.dispatch_fetch("http://localhost/x")
    assert world is None

async def test_adds_a_fault(world):
    world.faults.add(faults.missing(key="of the test"))

async def test_after_it(world):
    assert [repr(rule) for rule in world.faults] == ["faults.missing(key='of the fixture')"]

async def test_deadlock(world):
    await asyncio.Future()

async def test_after_the_deadlock(world):
    await world.dispatch_fetch("http://localhost/x")

async def test_broken(broken): pass

async def test_broken_again(broken): pass

@pytest.fixture(scope="module")
async def never_named(): pass

async def test_dynamic(request):
    request.getfixturevalue("never_named")

async def test_dynamic_and_known(request):
    request.getfixturevalue("world")

def test_synchronous_and_dynamic(request):
    request.getfixturevalue("world")

@pytest.fixture
def late(request):
    return request.getfixturevalue("world")

async def test_late(late): pass

async def test_leaves_a_task(world):
    world.task = asyncio.create_task(asyncio.sleep(10**9))

async def test_sees_it_running(world):
    assert not world.task.done()

@pytest.fixture(scope="module")
async def never():
    await asyncio.Future()

async def test_stuck_at_the_beginning(never): pass

@pytest.fixture(scope="module")
async def endless():
    while True:
        await asyncio.sleep(10_000_000)

async def test_endless_at_the_beginning(endless): pass

async def test_forgets(world):
    world.advance(5)

async def test_remembers(world):
    await world.advance(5)

async def test_stuck_at_the_end(stuck): pass
"""

FROZEN = """
import pytest
from freezegun import freeze_time
from emulator.simulation.runner import current_simulation

@pytest.fixture(scope="module")
def freeze():
    with freeze_time("2050-01-01"):
        yield

@pytest.fixture(scope="module")
async def simulation(freeze):
    return current_simulation()

@pytest.mark.simulated
async def test_frozen_by_a_fixture(simulation):
    assert simulation.clock.now.year == 2050

@freeze_time("2040-01-01")
@pytest.mark.simulated
async def test_frozen_by_a_decorator(simulation): pass
"""

SESSION = {
    "conftest.py": """
import asyncio
import pytest
from emulator.simulation.runner import current_simulation

@pytest.fixture(scope="session")
async def simulation():
    yield current_simulation()
    print("the session ends at", asyncio.get_running_loop().time())

@pytest.fixture(scope="package")
async def package():
    return current_simulation()
""",
    "one/__init__.py": "",
    "two/__init__.py": "",
    "one/test_one.py": """
import asyncio
import pytest
pytestmark = pytest.mark.simulated

async def test_one(simulation):
    await asyncio.sleep(100)

@pytest.fixture(scope="module", params=[1, 2])
async def number(request):
    yield request.param, asyncio.get_running_loop()
    await asyncio.sleep(1)

async def test_parameters(number):
    assert asyncio.get_running_loop() is number[1]
""",
    "two/test_two.py": """
import asyncio
import pytest
pytestmark = pytest.mark.simulated

async def test_two(simulation, package):
    assert asyncio.get_running_loop() is simulation.loop is package.loop
    assert asyncio.get_running_loop().time() == 100
""",
}


@pytest.fixture(scope="module")
def shared(run_sample, worker_text):
    return run_sample({"worker.py": worker_text, "test_shared.py": SHARED}, "-p", "no:asyncio")


def test_the_seed_is_that_of_the_module(shared):
    assert shared["test_seed"].outcome == shared["test_same_seed"].outcome == "passed"


def test_a_test_that_wants_another_seed_is_told_whose_it_shares(shared):
    assert shared["test_other_seed"].outcome == "failed"
    assert (
        "test_shared.py::test_other_seed says simulated(seed=5), but through the "
        "module-scoped async fixture `world` it shares the simulation of test_shared.py, where "
        "seed is 4: put the mark there, or use a function-scoped fixture"
    ) in shared["test_other_seed"].text


def test_each_failing_test_has_its_report_which_says_that_it_is_shared(shared):
    told = shared["test_failure"].sections["simulated run"]
    assert told.startswith("seed 4 ")
    assert "test calls worker.fetch('GET http://localhost/x')" in told
    assert told.endswith("shared by the tests of test_shared.py")


def test_a_fault_of_a_test_ends_with_the_test_and_is_its_own(shared):
    assert shared["test_after_it"].outcome == "passed"
    _, _, summary = shared.output.partition("warnings summary")
    told = summary.partition("::test_adds_a_fault\n")[2].partition("\n\n")[0]
    assert "no operation ever matched the fault faults.missing(key='of the test')" in told


def test_a_fault_of_the_fixture_is_settled_at_the_end_with_its_owner(shared):
    assert shared.output.count("key='of the fixture')") >= 1
    assert (
        "no operation ever matched the fault faults.missing(key='of the fixture'), in the "
        "simulation of test_shared.py"
    ) in shared.output


def test_a_deadlock_of_one_test_leaves_the_simulation_to_the_others(shared):
    told = shared["test_deadlock"].text
    assert told.startswith("SimulationDeadlock")
    assert "fixture world in" in told
    assert "waits for the end of the module" in told
    assert shared["test_after_the_deadlock"].outcome == "passed"


def test_a_module_fixture_that_fails_fails_each_of_its_tests_once_it_has_run(shared):
    for name in ("test_broken", "test_broken_again"):
        assert "ValueError: at the beginning" in shared[name].text


def test_a_wider_fixture_that_is_asked_for_late_is_refused(shared):
    assert "while it runs, and its loop is busy with it" in shared["test_dynamic"].text
    told = shared["test_late"].text
    sentence = "asks for the module-scoped async fixture `world` by request.getfixturevalue"
    assert sentence in told
    assert sentence in shared["test_dynamic_and_known"].text
    assert sentence in shared["test_synchronous_and_dynamic"].text


def test_a_forgotten_await_is_an_error_of_the_test_that_forgot(shared):
    assert shared.reports["test_forgets", "call"].outcome == "passed"
    (line,) = shared["test_forgets"].text.splitlines()
    assert line.startswith("ForgottenAwait: Miniflare.advance() in test_shared.py:")
    assert "was never awaited" in line
    assert shared["test_remembers"].outcome == "passed"


def test_a_task_lives_as_long_as_the_simulation(shared):
    assert shared["test_sees_it_running"].outcome == "passed"


def test_a_fixture_that_hangs_at_its_beginning_is_named(shared):
    told = shared["test_stuck_at_the_beginning"].text
    assert "waits for the fixture never" in told
    assert "- fixture never in never (test_shared.py:" in told
    told = shared["test_endless_at_the_beginning"].text
    assert told.startswith("SimulationRunaway")
    assert "- fixture endless in endless (test_shared.py:" in told


def test_a_fixture_that_hangs_at_its_end_is_named(shared):
    assert shared.reports["test_stuck_at_the_end", "call"].outcome == "passed"
    told = shared["test_stuck_at_the_end"].text
    assert "SimulationDeadlock" in told
    assert "- fixture stuck in stuck (test_shared.py:" in told


def test_a_shared_simulation_is_frozen_by_a_fixture_and_not_by_one_of_its_tests(run_sample):
    run = run_sample({"test_frozen.py": FROZEN}, "-p", "no:asyncio")

    assert run["test_frozen_by_a_fixture"].outcome == "passed"
    told = run["test_frozen_by_a_decorator"].text
    assert "cannot set the clock of a simulation that it shares with other tests" in told


def test_a_session_fixture_joins_modules_and_ends_with_the_session(run_sample):
    run = run_sample(SESSION, "-s", "-p", "no:asyncio")

    assert set(run.outcomes().values()) == {"passed"}, run.output
    assert len(run.outcomes()) == 4
    assert "the session ends at 100.0" in run.output
