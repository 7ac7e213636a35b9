"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """Gives the path of a program; without it the test is skipped, but fails in CI."""

    def require(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            message = f"this test needs the program {name!r} on PATH"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        return path

    return require


@pytest.fixture(scope="session")
def real_runtime(require_tool: Callable[[str], str]) -> Iterator[None]:
    """For tests on the real workerd: skipped where it is not installed, but fail in CI."""
    from emulator.errors import NodeMissing
    from emulator.workerd.driver import close_shared
    from emulator.workerd.installation import checked_modules_folder

    require_tool("node")
    try:
        checked_modules_folder()
    except NodeMissing as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield
    close_shared()


@pytest.fixture(scope="session")
def output_of() -> Callable[..., str]:
    """Gives what `python ARGUMENTS` prints in a folder: how the examples of a page are run."""

    def run(folder: Path, *arguments: str, statuses: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            # Without the options of the run that runs this, and as outside of CI, where
            # Hypothesis adds a line of its own.
            env={
                k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("PYTEST_")
            },
        )
        assert done.returncode in statuses, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says one line in the summary of the run, also from a worker of xdist."""
    return lambda line: record_property("told", line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test whose name differs from process to process: xdist could not find it."""
    for item in items:
        if " at 0x" in item.nodeid:
            message = f"{item.nodeid}: give its parameters ids without addresses"
            raise pytest.UsageError(message)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests had to tell."""
    for report in terminalreporter.stats.get("passed", []):
        for name, line in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(str(line))
