"""Judges: runs of the contract, each in a process of its own, and what they told."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROCESSES_AT_ONCE = 3
LAW = re.compile(r"- \*\*(kept|broken|not applicable|not tested)\*\*: (.*?)(?: \(\d+ cases\))?")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest comes first, so that other processes of xdist have the rest."""
    items.sort(key=lambda item: item.path.name != "test_judging_workerd.py")


@dataclass
class Judgement:
    """One run of the contract.

    Attributes:
        status: The exit status.
        output: What it printed.
        path: Where the Markdown is.
    """

    status: int
    output: str
    path: Path
    report: str = ""
    laws: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.is_file():
            self.report = self.path.read_text(encoding="utf-8")
        for line in self.report.splitlines():
            found = LAW.fullmatch(line)
            if found:
                self.laws.setdefault(found[1], []).append(found[2].replace("\\", ""))

    def __getitem__(self, outcome: str) -> set[str]:
        return set(self.laws.get(outcome, ()))


async def judged(report: Path, *arguments: Any, env: dict[str, str] | None = None) -> Judgement:
    command = [sys.executable, "-m", "amber_worker.cli", "contract", *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--contract-report",
        str(report),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONHASHSEED": "0", **(env or {})},
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Judgement(process.returncode, output.decode(), report)


@pytest.fixture(scope="session")
def whole_contract() -> None:
    """For runs that are the same on every Python: AMBER_CONTRACT=short leaves them out."""
    if os.environ.get("AMBER_CONTRACT") == "short":
        pytest.skip("AMBER_CONTRACT=short leaves this run out")


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., Judgement]:
    """Runs `amber contract` with arguments."""
    return lambda *arguments: asyncio.run(judged(tmp_path / "report.md", *arguments))


@pytest.fixture
def judge_each(tmp_path: Path) -> Callable[..., dict[str, Judgement]]:
    """Runs `amber contract` for each name with its arguments, a few at one time."""

    async def run(cases: dict[str, list[Any]]) -> dict[str, Judgement]:
        gate = asyncio.Semaphore(PROCESSES_AT_ONCE)

        async def one(name: str, arguments: list[Any]) -> Judgement:
            async with gate:
                return await judged(tmp_path / f"{name}.md", *arguments)

        found = await asyncio.gather(*(one(name, given) for name, given in cases.items()))
        return dict(zip(cases, found, strict=True))

    return lambda cases: asyncio.run(run(cases))


@pytest.fixture(scope="session")
def judged_at() -> Callable[..., Any]:
    """The same as a coroutine function, for a test that serves the target itself."""
    return judged
