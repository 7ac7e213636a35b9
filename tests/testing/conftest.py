"""What the laws of the plugin share: a whole run of pytest on a few sample files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

#: Writes what happened to each test where the law can read it.
RECORDER = """
import json

def pytest_runtest_logreport(report):
    with open("reports.jsonl", "a") as file:
        name = report.nodeid.partition("::")[2]
        line = [name, report.when, report.outcome, report.longreprtext, report.sections]
        file.write(json.dumps(line) + "\\n")
"""


class Report(NamedTuple):
    outcome: str
    text: str
    sections: dict[str, str]


class SampleRun(NamedTuple):
    reports: dict[tuple[str, str], Report]
    output: str

    def __getitem__(self, name: str) -> Report:
        """The report of the phase that failed, else of the call."""
        phases = [self.reports[name, when] for when in ("setup", "call", "teardown")
                  if (name, when) in self.reports]  # fmt: skip
        failed = [report for report in phases if report.outcome == "failed"]
        if failed:
            return failed[0]
        # What is skipped in its set-up has no call.
        return self.reports.get((name, "call")) or self.reports[name, "setup"]

    def outcomes(self) -> dict[str, str]:
        return {name: self[name].outcome for name, _ in self.reports}


@pytest.fixture(scope="session")
def run_sample(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs pytest in a process of its own on the files of a fresh folder."""

    def run(
        files: dict[str, str],
        *arguments: str,
        stdin: str = "",
        is_shuffled: bool = False,
        timeout: int = 120,
    ) -> SampleRun:
        folder = tmp_path_factory.mktemp("sample")
        for name, text in {"recorder.py": RECORDER, **files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "pytest", "-p", "recorder", "-p", "no:cacheprovider"]
        if not is_shuffled:
            command += ["-p", "no:randomly"]
        # Without what tells the run that runs this from others: it may be xdist's.
        outside = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        done = subprocess.run(
            [*command, "--strict-markers", *arguments],
            cwd=folder,
            input=stdin,
            env={**outside, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,  # A sample that hangs shall not hang the suite.
        )
        output = done.stdout + done.stderr
        written = folder / "reports.jsonl"
        assert written.exists(), output
        reports = {}
        for line in written.read_text().splitlines():
            name, when, outcome, text, sections = json.loads(line)
            reports[name, when] = Report(outcome, text, dict(sections))
        return SampleRun(reports, output)

    return run


@pytest.fixture(scope="session")
def worker_text() -> str:
    """A worker with one Durable Object class, for samples."""
    return """
from workers import DurableObject, Response, WorkerEntrypoint

class Job(DurableObject):
    async def start(self):
        print("started")
        self.ctx.storage.put("k", 1)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await self.env.JOBS.getByName("a").start()
        return Response("ok")
"""
