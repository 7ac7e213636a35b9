"""The laws of the plugin that need a run of pytest of their own: failures and company."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAILURES = """
import asyncio
import pytest
from freezegun import freeze_time
from emulator import faults
from emulator.errors import SimulationDeadlock

pytestmark = pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"})

@pytest.fixture
async def never():
    await asyncio.Future()

@pytest.fixture
async def fails_at_the_end():
    yield
    raise ValueError("at the end")

@pytest.fixture
async def yields_twice():
    yield
    yield

@pytest.fixture
async def yields_never():
    if False:
        yield

@pytest.fixture
def freeze():
    with freeze_time("2050-01-01"):
        yield

@pytest.mark.simulated(seed=3)
async def test_assertion(miniflare):
    miniflare.faults.add(faults.missing(key="nobody"))
    await miniflare.dispatch_fetch("http://localhost/x")
    assert miniflare is None

async def test_deadlock(miniflare):
    await asyncio.Future()

@pytest.mark.xfail(raises=SimulationDeadlock, strict=True)
async def test_expected_deadlock(miniflare):
    await asyncio.Future()

async def test_runaway(miniflare):
    while True:
        await asyncio.sleep(10_000_000)

async def test_never(miniflare, never):
    pass

async def test_end(miniflare, fails_at_the_end):
    pass

async def test_twice(miniflare, yields_twice):
    pass

async def test_no_yield(miniflare, yields_never):
    pass

async def test_elsewhere(miniflare, fails_in_another_file):
    pass

async def test_skip(miniflare):
    pytest.skip("for a reason")

def test_synchronous(miniflare):
    pass

async def test_nobodys():
    pass

async def test_late_freeze(miniflare, freeze):
    pass

async def test_inner_freeze(miniflare):
    with freeze_time("2050-01-01"):
        await miniflare.advance(10)

async def test_unused_fault(miniflare):
    miniflare.faults.add(faults.missing(key="nobody"))

@pytest.mark.miniflare(faults=[faults.missing(key="nobody")])
async def test_unused_option(miniflare):
    pass

@pytest.mark.filterwarnings("error")
async def test_unused_fault_as_error(miniflare):
    miniflare.faults.add(faults.missing(key="nobody"))

@pytest.mark.simulated(7)
async def test_wrong_mark(miniflare):
    pass

@pytest.mark.miniflare(script_path="nowhere.py")
async def test_no_file(miniflare):
    pass
"""

ELSEWHERE = """
import pytest

@pytest.fixture
async def fails_in_another_file():
    raise ValueError("elsewhere")
"""

NO_OPTIONS = """
import pytest

async def test_no_options(miniflare):
    pass

class TestOverride:
    @pytest.fixture
    def miniflare_options(self):
        return {"script_path": "worker.py", "durable_objects": {"OTHER": "Job"}}

    @pytest.mark.miniflare(durable_objects={"JOBS": "Job"})
    async def test_override(self, miniflare):
        assert list(miniflare.get_bindings()) == ["JOBS"]
"""


@pytest.fixture(scope="module")
def failures(run_sample, worker_text):
    files = {
        "sub/conftest.py": ELSEWHERE,
        "sub/worker.py": worker_text,
        "sub/test_failures.py": FAILURES,
        "sub/test_no_options.py": NO_OPTIONS,
    }
    return run_sample(files)


# -- what a failure tells ----------------------------------------------------------------------


def test_a_failing_test_tells_its_seed_its_last_events_its_logs_and_its_unused_faults(failures):
    told = failures["test_assertion"].sections["simulated run"]

    assert told.splitlines() == [
        "seed 3 (--emulator-seed, or @pytest.mark.simulated(seed=...))",
        "now 2026-01-01T00:00:00.002+00:00, +0.002 s after the start",
        "the last 4 of 4 events:",
        "  +0.001 s  test calls worker.fetch('GET http://localhost/x')",
        "  +0.002 s  worker calls JOBS.rpc('start')",
        "  +0.002 s  JOBS#15f8b558: a new instance starts",
        "  +0.002 s  JOBS#15f8b558: writes become durable",
        "no operation has matched the fault faults.missing(key='nobody')",
        "the objects:",
        "  JOBS#15f8b558 'a': running",
        "    'k': 1",
        "the last 1 of 1 log lines:",
        "  +0.002 s  INFO JOBS#15f8b558: started",
    ]
    assert "started" in failures["test_assertion"].sections["Captured log call"]


def test_a_deadlock_is_a_failure_with_the_loops_own_message_and_nothing_else(failures):
    lines = failures["test_deadlock"].text.splitlines()

    assert lines[0].startswith("SimulationDeadlock: nothing is left to happen, yet somebody")
    assert "  - fixture miniflare in" in lines[1]
    assert lines[1].endswith("waits for the end of the test")
    assert lines[2].startswith("  - main in test_deadlock (test_failures.py:")
    assert len(lines) == 3
    assert failures["test_expected_deadlock"].outcome == "skipped"  # pytest's xfailed.


def test_a_runaway_is_a_failure_with_the_loops_own_message(failures):
    told = failures["test_runaway"].text
    assert told.startswith("SimulationRunaway: simulated time has passed a hundred years")


def test_a_deadlock_of_a_fixture_names_the_fixture(failures):
    told = failures["test_never"].text
    assert told.startswith("SimulationDeadlock")
    assert "waits for the fixture never" in told
    assert "- fixture never in never (test_failures.py:" in told


def test_what_a_fixture_raises_after_its_yield_is_an_error_of_the_teardown(failures):
    assert failures.reports["test_end", "call"].outcome == "passed"
    assert "ValueError: at the end" in failures.reports["test_end", "teardown"].text


def test_a_traceback_is_without_the_machinery_between_pytest_and_the_test(failures):
    told = failures["test_elsewhere"].text
    assert "conftest.py:6: ValueError" in told
    assert "emulator" not in told
    assert "base_events" not in told


def test_a_test_may_skip_itself(failures):
    assert failures["test_skip"].outcome == "skipped"
    assert "for a reason" in failures["test_skip"].text


# -- faults that never matched -----------------------------------------------------------------


def test_a_fault_that_never_matched_is_in_the_warnings_however_it_was_added(failures):
    _, _, summary = failures.output.partition("warnings summary")
    sentence = "UnusedFaultWarning: no operation ever matched the fault"
    for name in ("test_unused_fault", "test_unused_option"):
        assert failures[name].outcome == "passed"
        told = summary.partition(f"::{name}\n")[2].partition("\n\n")[0]
        assert f"{sentence} faults.missing(key='nobody')" in told


def test_it_is_an_error_where_warnings_are(failures):
    assert failures.reports["test_unused_fault_as_error", "call"].outcome == "passed"
    assert failures["test_unused_fault_as_error"].text == (
        "UnusedFaultWarning: no operation ever matched the fault faults.missing(key='nobody'): "
        "check its binding, operation, key and nth"
    )


# -- misuse ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "test_no_options",
            "mark the test with @pytest.mark.miniflare(script_path='worker.py'",
        ),
        ("test_synchronous", "make this test `async def` and name `miniflare`"),
        ("test_late_freeze", "a fixture that comes before all async ones"),
        ("test_inner_freeze", "freeze_time began when the simulation was running already"),
        (
            "test_wrong_mark",
            "@pytest.mark.simulated takes seed=... and start_time=..., got Mark(",
        ),
        ("test_no_file", "sub/nowhere.py'"),
        ("test_twice", "the async fixture `yields_twice` has more than one `yield`"),
        ("test_no_yield", "the async fixture `yields_never` ended before its `yield`"),
    ],
)
def test_a_misuse_is_told_in_one_sentence(failures, name, sentence):
    assert failures[name].outcome == "failed"
    assert sentence in failures[name].text


def test_an_async_test_without_mark_and_world_is_left_to_others(failures):
    assert failures["test_nobodys"].outcome != "passed"
    assert "async def function" in failures["test_nobodys"].text  # pytest's own words.


RETURNING = """
import pytest
from hypothesis import given, settings, strategies as st

@pytest.mark.simulated
async def test_returns(): return 5

@pytest.mark.simulated
@given(st.integers())
async def test_returns_given(number): return 5

class TestWide:
    @pytest.fixture(scope="class")
    async def wide(self):
        yield

    @pytest.mark.simulated
    async def test_one(self, wide): pass

    @pytest.mark.simulated
    async def test_two(self, wide): pass
"""


def test_what_pytest_warns_of_it_warns_of_in_async_tests_too(run_sample):
    run = run_sample({"test_returning.py": RETURNING}, "-p", "no:asyncio", "-W", "error")
    assert "ReturnNotNone" in run["test_returns"].text
    assert "returned 5 instead" in run["test_returns_given"].text
    for name in ("TestWide::test_one", "TestWide::test_two"):
        told = run[name]  # Since pytest 9.
        assert told.outcome == "passed" or "Class-scoped fixtures defined as" in told.text


def test_options_come_from_an_overridden_fixture_and_the_mark_goes_first(failures):
    assert failures["TestOverride::test_override"].outcome == "passed"


# -- seeds, classes, parametrization, xdist ---------------------------------------------------

SEEDS = """
import pytest

pytestmark = pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"})

async def digest(miniflare, name):
    jobs = miniflare.get_durable_object_namespace("JOBS")
    await jobs.get(jobs.newUniqueId()).start()
    with open(name, "w") as file:
        file.write(miniflare.trace.digest())

async def test_option(miniflare):
    await digest(miniflare, "option")

@pytest.mark.simulated(seed=7)
async def test_seven(miniflare):
    await digest(miniflare, "seven")

@pytest.mark.simulated(seed=8)
async def test_eight(miniflare):
    await digest(miniflare, "eight")

@pytest.mark.parametrize("number", range(4))
class TestMany:
    async def test_many(self, miniflare, number):
        assert miniflare.clock.elapsed_ms == 0
        await miniflare.advance(number)

def test_digests_of_workers(): pass
"""


def test_the_seed_option_decides_what_no_mark_decides_also_under_xdist(
    run_sample, worker_text, tmp_path
):
    sample = SEEDS.replace("open(name", f"open({str(tmp_path)!r} + '/' + name")
    run = run_sample(
        {"worker.py": worker_text, "test_seeds.py": sample}, "--emulator-seed", "7", "-n", "2"
    )

    assert set(run.outcomes().values()) == {"passed"}, run.output
    assert len(run.outcomes()) == 8
    digests = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert digests["option"] == digests["seven"] != digests["eight"]


# -- company -----------------------------------------------------------------------------------

#: Takes every async test and fixture it sees, as greedily as a plugin can.
GREEDY = """
import asyncio
import inspect
import pytest

class GreedyFunction(pytest.Function):
    def runtest(self):
        function = self.obj
        self.obj = lambda **arguments: asyncio.run(function(**arguments))
        super().runtest()

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    items = yield
    for item in items if isinstance(items, list) else ():
        if inspect.iscoroutinefunction(item.obj):
            item.__class__ = GreedyFunction
    return items

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    function = fixturedef.func
    if inspect.iscoroutinefunction(function):
        fixturedef.func = lambda **arguments: asyncio.run(function(**arguments))
    try:
        return (yield)
    finally:
        fixturedef.func = function
"""

COMPANY = """
import asyncio
import pytest
from company import fixture, mark
from emulator.simulation.loop import SimulationLoop

pytestmark = [
    pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"}), mark
]

def is_simulated():
    return isinstance(asyncio.get_running_loop(), SimulationLoop)

@fixture
async def is_fixture_simulated():
    await asyncio.sleep(0)
    return is_simulated()

async def test_ours(miniflare, is_fixture_simulated):
    assert is_simulated() and is_fixture_simulated

@pytest.mark.simulated
async def test_ours_by_mark(is_fixture_simulated):
    assert is_simulated() and is_fixture_simulated

class TestClass:
    async def test_ours_in_a_class(self, miniflare):
        assert is_simulated()

async def test_theirs(is_fixture_simulated):
    assert not is_simulated() and not is_fixture_simulated
"""


@pytest.fixture
def outcomes_beside(run_sample, worker_text):
    """The outcomes of the sample where another plugin has a mark and a fixture decorator."""

    def run(plugin: str, mark: str, fixture: str = "pytest.fixture", **files: str) -> set[str]:
        company = f"import pytest\nmark = {mark}\nfixture = {fixture}\n"
        sample = {"worker.py": worker_text, "company.py": company, "test_company.py": COMPANY}
        others = {"anyio", "asyncio"} - {plugin}
        absent = [f"-pno:{other}" for other in sorted(others)]
        done = run_sample({**sample, **files}, "-W", "error", *absent)
        assert len(done.outcomes()) == 4, done.output
        return set(done.outcomes().values())

    return run


def test_beside_a_greedy_plugin_each_test_runs_on_the_loop_it_asked_for(outcomes_beside):
    files = {"conftest.py": GREEDY}
    assert outcomes_beside("", "pytest.mark.filterwarnings('error')", **files) == {"passed"}


def test_beside_anyio_each_test_runs_on_the_loop_it_asked_for(outcomes_beside):
    pytest.importorskip("anyio")
    files = {
        "conftest.py": "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'"
    }
    assert outcomes_beside("anyio", "pytest.mark.anyio", **files) == {"passed"}


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_beside_pytest_asyncio_each_test_runs_on_the_loop_it_asked_for(outcomes_beside, mode):
    pytest.importorskip("pytest_asyncio")
    scope = "asyncio_default_fixture_loop_scope = function\n"  # Unset, it warns.
    files = {"pytest.ini": f"[pytest]\nasyncio_mode = {mode}\n{scope}"}
    # Strict mode wants its own mark and its own fixtures; ours are ours all the same.
    fixture = "__import__('pytest_asyncio').fixture" if mode == "strict" else "pytest.fixture"
    assert outcomes_beside("asyncio", "pytest.mark.asyncio", fixture, **files) == {"passed"}


# -- cost --------------------------------------------------------------------------------------


def test_the_plugin_imports_nothing_heavy():
    heavy = ("moto", "boto3", "httpx", "hypothesis", "apsw", "asyncio", "emulator.http")
    code = (
        "import pytest, _pytest.unittest, sys; before = set(sys.modules); "
        "import emulator.testing.pytest_plugin; "
        f"print(sorted(set({heavy!r}) & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
