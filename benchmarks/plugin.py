"""The pytest plugin: what it costs a run that does not use it, and a run of one test.

Claims: an idle plugin costs a pytest start under 20 ms (the difference of two runs of one
plain test, with and without it), and a cold run of one simulated test stays under 1 s.

    python benchmarks/plugin.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter  # Inside a simulation the module's own is simulated.

PLAIN = "def test_plain():\n    pass\n"

WORKER = """\
from js import Date
from workers import DurableObject, Response, WorkerEntrypoint

class Reminder(DurableObject):
    async def remind(self):
        await self.ctx.storage.setAlarm(Date.now() + 24 * 60 * 60 * 1000)

    async def alarm(self, info):
        print("reminded")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await self.env.REMINDERS.getByName("r1").remind()
        return Response("set")
"""

SIMULATED = """\
import pytest

@pytest.mark.miniflare(script_path="worker.py", durable_objects={"REMINDERS": "Reminder"})
async def test_a_day(miniflare):
    await miniflare.dispatch_fetch("http://localhost/remind", method="POST")
    await miniflare.advance(24 * 60 * 60 * 1000)
    assert "reminded" in miniflare.logs[-1].message
"""

#: What every pytest loads from us, and nothing else that this environment has.
ALONE = ("-p", "emulator.testing.pytest_plugin", "-p", "amber_worker.contract.entry")
NONE = ()
#: Compiled files are kept, as where packages are installed.
ENVIRONMENT = {
    **{name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


def run_s(folder: Path, test: str, plugins: tuple[str, ...]) -> float:
    """Seconds of one whole pytest process over one test file."""
    start = perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, test],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    return perf_counter() - start


def main() -> None:
    """Print one line for each claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "worker.py").write_text(WORKER)
        (folder / "test_plain.py").write_text(PLAIN)
        (folder / "test_simulated.py").write_text(SIMULATED)
        without, idle, one = [], [], []
        run_s(folder, "test_simulated.py", ALONE)  # Compiles what has not been.
        for _ in range(rounds):  # In turns, so that a slow moment falls on all of them.
            without.append(run_s(folder, "test_plain.py", NONE))
            idle.append(run_s(folder, "test_plain.py", ALONE))
            one.append(run_s(folder, "test_simulated.py", ALONE))
    print(f"pytest with one plain test, without the plugin: {min(without) * 1000:.0f} ms")
    print(f"the plugin, idle: {(min(idle) - min(without)) * 1000:+.0f} ms")
    print(
        f"one simulated test, cold: {min(one) * 1000:.0f} ms, "
        f"{min(one) / min(without):.1f} times the plain test"
    )


if __name__ == "__main__":
    main()
