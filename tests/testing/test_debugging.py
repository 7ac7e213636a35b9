"""Breakpoints, coverage and timeouts reach into workers; pytest's own views look sane."""

from __future__ import annotations

import subprocess
import sys

import pytest

WORKER = """
from workers import DurableObject, Response, WorkerEntrypoint

class Job(DurableObject):
    async def start(self, number):
        secret = number * 2
        {line}
        print("and on")
        return secret

    def never_called(self):
        return "not covered"

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(str(await self.env.JOBS.getByName("a").start(21)))
"""

TEST = """
import pytest
from hypothesis import given, settings, strategies as st

pytestmark = pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"})

async def test_worker(miniflare):
    first = "first line"
    assert (await miniflare.dispatch_fetch("http://localhost/")).text == "42"
    assert [line.message for line in miniflare.logs] == ["and on"]
"""


SCRIPT = """
import emulator

async def main():
    world = emulator.Miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"})
    async with world:
        await world.dispatch_fetch("http://localhost/")
        print([line.message for line in world.logs])

emulator.run(main)
"""


def sample(line="pass", test=TEST):
    return {"worker.py": WORKER.replace("{line}", line), "test_worker.py": test}


@pytest.fixture
def pdb(run_sample):
    """What pdb answers to some commands, line by line."""

    def run(files, *arguments, commands):
        return run_sample(
            files, "-p", "no:asyncio", *arguments, stdin="\n".join([*commands, ""])
        ).output

    return run


# -- pdb -------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", ["fd", "sys", "no"])
def test_a_breakpoint_in_a_worker_stops_there_and_the_run_goes_on(pdb, capture):
    output = pdb(
        sample("breakpoint()"),
        f"--capture={capture}",
        commands=[
            "p secret",
            "print(secret + 1)",
            "p __import__('datetime').datetime.now()",
            "c",
        ],
    )

    assert "worker.py(" in output
    assert "PDB set_trace" in output
    assert "(Pdb) 42" in output
    assert "(Pdb) 43" in output
    assert "datetime.datetime(2026, 1, 1, 0, 0" in output
    assert "1 passed" in output


def test_in_a_plain_script_a_debugger_speaks_to_the_terminal(tmp_path):
    for name, text in (*sample("breakpoint()").items(), ("script.py", SCRIPT)):
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        input="p secret\nprint(secret + 1)\nc\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "worker.py(" in done.stdout
    assert "(Pdb) 42" in done.stdout
    assert "(Pdb) 43" in done.stdout
    assert done.stdout.endswith("['and on']\n")


def test_a_debugger_may_be_quit(pdb):
    output = pdb(sample("breakpoint()"), commands=["q"])
    assert "Quitting debugger" in output


def test_after_a_failure_in_a_worker_pdb_stands_at_its_line(pdb):
    line = "raise LookupError('in the worker')"
    output = pdb(sample(line), "--pdb", commands=["p request.url"])

    assert "LookupError: in the worker" in output
    assert "entering PDB" in output
    # An error crosses RPC as a copy, so the last line that it saw is the caller's.
    assert "worker.py(16)fetch()" in output
    assert "(Pdb) 'http://localhost/'" in output


def test_trace_stops_at_the_first_line_of_an_async_test(pdb):
    output = pdb(sample(), "--trace", commands=["n", "p first", "c"])

    assert "test_worker.py(8)test_worker()" in output
    assert "(Pdb) 'first line'" in output
    assert "1 passed" in output


# -- coverage --------------------------------------------------------------------------------


def test_coverage_sees_a_worker_under_its_real_name(run_sample):
    run = run_sample(
        sample(), "-p", "no:asyncio", "--cov=.", "--cov-report=term-missing:skip-covered"
    )

    (line,) = [line for line in run.output.splitlines() if line.startswith("worker.py")]
    assert line.split()[-1] == "12", run.output
    assert run["test_worker"].outcome == "passed"


# -- timeouts --------------------------------------------------------------------------------

ENDLESS = """
import pytest
import asyncio

pytestmark = pytest.mark.miniflare(script_path="worker.py", durable_objects={"JOBS": "Job"})

async def test_worker(miniflare):
    await miniflare.dispatch_fetch("http://localhost/")

async def test_alarm(miniflare):
    jobs = miniflare.get_durable_object_namespace("JOBS")
    await jobs.getByName("b").remind()
    await miniflare.run_until_idle()

async def test_itself(miniflare):
    while True: pass

@pytest.fixture
async def endless():
    while True: pass

async def test_fixture(miniflare, endless): pass

async def test_after(miniflare): pass
"""

ENDLESS_WORKER = """
from workers import DurableObject, Response, WorkerEntrypoint

class Job(DurableObject):
    async def start(self):
        while True: pass

    async def remind(self):
        await self.ctx.storage.setAlarm(1)

    async def alarm(self):
        while True: pass

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(str(await self.env.JOBS.getByName("a").start()))
"""


def test_an_endless_worker_is_ended_by_pytest_timeout(run_sample):
    files = {"worker.py": ENDLESS_WORKER, "test_endless.py": ENDLESS}
    run = run_sample(files, "-p", "no:asyncio", "--timeout", "1", timeout=20)

    for name in ("test_worker", "test_alarm", "test_itself", "test_fixture"):
        assert run[name].outcome == "failed"
        assert "Timeout" in run[name].text
    assert run["test_after"].outcome == "passed"


# -- views -----------------------------------------------------------------------------------

VIEWS = """
import pytest
from hypothesis import given, strategies as st

@pytest.fixture(scope="module")
async def wide():
    yield

@pytest.mark.simulated
async def test_one(wide): pass

@given(st.integers())
@pytest.mark.simulated
async def test_two(number): pass

@pytest.mark.simulated
async def test_three():
    assert False

def test_four(): pass
"""


@pytest.fixture
def view(run_sample):
    def run(*arguments):
        # Options which show only never report a test.
        files = {"test_views.py": VIEWS, "reports.jsonl": ""}
        return run_sample(files, "-p", "no:asyncio", *arguments).output

    return run


def test_collect_only_lists_the_tests(view):
    output = view("--co", "-q")
    assert "test_views.py::test_one\ntest_views.py::test_two\n" in output


def test_fixtures_shows_ours_with_their_purpose(view):
    output = view("--fixtures")
    for line in (
        "miniflare -- ",
        "A fresh world: a worker with its bindings, disposed after the test.",
        "miniflare_options -- ",
        "miniflare_factory [session scope] -- ",
    ):
        assert line in output


def test_markers_and_help_describe_ours(view):
    output = view("--markers")
    assert "@pytest.mark.simulated(seed=0, start_time=None)" in output
    assert "@pytest.mark.miniflare(**options)" in output
    output = view("--help")
    for word in ("--emulator-seed", "--emulator-target", "emulator_config"):
        assert word in output


def test_setup_show_shows_async_fixtures(view):
    output = view("--setup-show")
    assert "    SETUP    M wide" in output
    assert "    TEARDOWN M wide" in output


def test_setup_plan_runs_nothing(view):
    output = view("--setup-plan")
    assert "    SETUP    M wide" in output
    assert "failed" not in output


def test_without_the_plugin_everything_is_pytests_own(run_sample):
    files = {
        "test_plain.py": "def test_plain(pytestconfig): pass\nasync def test_async(): pass"
    }
    run = run_sample(files, "-p", "no:asyncio", "-p", "no:emulator")
    assert run["test_plain"].outcome == "passed"
    assert "not natively supported" in run["test_async"].text


def test_last_failed_runs_the_failing_test_again(run_sample):
    files = {
        "test_views.py": VIEWS,
        "test_twice.py": """
import subprocess, sys
def test_twice():
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-q", "test_views.py"]
    subprocess.run([*command, "-x"])
    done = subprocess.run([*command, "-x", "--lf"], capture_output=True, text=True)
    assert "1 failed" in done.stdout and "passed" not in done.stdout, done.stdout
""",
    }
    run = run_sample(files, "-p", "no:asyncio", "test_twice.py")
    assert run["test_twice"].outcome == "passed", run.output
