"""CPython's own tests of asyncio's primitives hold on the simulated loop."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "cpython_asyncio.py"


def _benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("cpython_asyncio", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cpythons_own_tests_of_locks_queues_task_groups_and_timeouts_pass():
    benchmark = _benchmark()
    try:
        suite, _ = benchmark.load()
    except ModuleNotFoundError:
        pytest.skip("this interpreter has no `test` package (Debian: libpython3-testsuite)")
    told = io.StringIO()
    result = benchmark.run_on_simulated_loop(suite, told)

    assert result.testsRun > 150
    assert result.wasSuccessful(), told.getvalue()
