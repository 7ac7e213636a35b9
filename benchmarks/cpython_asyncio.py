"""CPython's own asyncio tests on the simulated loop.

Runs the standard library's tests of locks, queues, task groups, timeouts, `wait_for` and
staggered races with every new event loop replaced by a simulated one, and prints what
passed. Real seconds become simulated ones, so the whole takes about a second.

    python benchmarks/cpython_asyncio.py [--verbose]

Exit code 0: all passed. 1: some failed. 2: this interpreter lacks the `test` package
(Debian and Ubuntu put it into a package of its own, `libpython3-testsuite`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import io
import sys
import time
import unittest
import warnings
from typing import TYPE_CHECKING, Any
from unittest import mock

from emulator.simulation.loop import SimulationLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITES = (
    "test_locks",
    "test_queues",
    "test_staggered",
    "test_taskgroups",
    "test_timeouts",
    "test_waitfor",
)


class SimulationPolicy(asyncio.DefaultEventLoopPolicy):
    """A policy whose new loops are simulated."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A fresh simulated loop."""
        return SimulationLoop()


def load() -> tuple[unittest.TestSuite, list[str]]:
    """The tests of this interpreter, and the suites that it lacks.

    Raises:
        ModuleNotFoundError: If there is no `test` package at all.
    """
    importlib.import_module("test.test_asyncio")
    suite, missing = unittest.TestSuite(), []
    for name in SUITES:
        try:
            module = importlib.import_module(f"test.test_asyncio.{name}")
        except ModuleNotFoundError:
            missing.append(name)
            continue
        suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
    return suite, missing


def names_of(suite: unittest.TestSuite) -> Iterator[str]:
    """The ids of all tests in a suite."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from names_of(test)
        else:
            yield test.id()


def run_on_simulated_loop(suite: unittest.TestSuite, stream: Any) -> unittest.TestResult:
    """Run a suite with every new event loop replaced by a simulated one.

    Args:
        suite: What to run.
        stream: Where the test runner writes.
    """
    real: Any = asyncio.Runner.__init__

    def simulated_runner(
        self: Any, *, debug: bool | None = None, loop_factory: Any = None
    ) -> None:
        real(self, debug=debug, loop_factory=SimulationLoop)

    with warnings.catch_warnings():
        # Newer Pythons warn about policies, which their own tests set.
        warnings.simplefilter("ignore")
        before = asyncio.get_event_loop_policy()
        asyncio.set_event_loop_policy(SimulationPolicy())
        try:
            with mock.patch.object(asyncio.Runner, "__init__", simulated_runner):
                return unittest.TextTestRunner(stream, verbosity=2).run(suite)
        finally:
            asyncio.set_event_loop_policy(before)
            # Some of the tests leave loops open, which would be told much later.
            gc.collect()


def main() -> int:
    """Print one line, and the failures if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true")
    is_verbose = parser.parse_args().verbose
    version = sys.version.split()[0]
    try:
        suite, missing = load()
    except ModuleNotFoundError:
        print(f"Python {version} has no `test.test_asyncio` package: nothing was run")
        return 2
    for name in missing:
        print(f"Python {version} has no {name}")
    stream = sys.stderr if is_verbose else io.StringIO()
    start = time.perf_counter()
    result = run_on_simulated_loop(suite, stream)
    seconds = time.perf_counter() - start
    failed = len(result.failures) + len(result.errors)
    for test, trace in (*result.failures, *result.errors):
        print(f"FAILED {test.id()}\n{trace}")
    print(
        f"Python {version}: {result.testsRun - failed - len(result.skipped)} passed, "
        f"{failed} failed, {len(result.skipped)} skipped in {seconds:.2f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
