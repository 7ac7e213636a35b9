"""Starting: what an import and a fresh world cost.

Claims: `import emulator` under 60 ms (as the difference of two processes, one that imports
and one that does not), and a fresh `Miniflare` under 1 ms.

    python benchmarks/start.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from time import perf_counter  # Inside a simulation the module's own is simulated.

import emulator
from emulator.sdk.workers import DurableObject, WorkerEntrypoint
from emulator.web.response import Response

COUNT = 300


class Job(DurableObject):
    """An object that does nothing."""

    async def alarm(self) -> None:
        """Nothing."""


class Default(WorkerEntrypoint):
    """A worker that answers."""

    async def fetch(self, request: object) -> Response:
        """An empty answer."""
        return Response()


def process_s(code: str) -> float:
    """Seconds of a whole interpreter that runs `code`."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return perf_counter() - start


async def worlds_s(with_bindings: bool) -> float:  # noqa: FBT001  # A benchmark's own switch.
    """Seconds of `COUNT` fresh worlds, entered and disposed."""
    options = {}
    if with_bindings:
        options = {
            "durable_objects": {"JOBS": "Job"},
            "r2_buckets": ["BUCKET"],
            "d1_databases": ["DB"],
        }
    start = perf_counter()
    for _ in range(COUNT):
        async with emulator.Miniflare(worker=Default, **options):
            pass
    return perf_counter() - start


def main() -> None:
    """Print one line for each claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    empty, importing = [], []
    for _ in range(rounds):
        empty.append(process_s("pass"))
        importing.append(process_s("import emulator"))
    print(f"import emulator: {(min(importing) - min(empty)) * 1000:.0f} ms")
    for with_bindings in (False, True):
        emulator.run(worlds_s, with_bindings)
        best = min(emulator.run(worlds_s, with_bindings) for _ in range(5)) / COUNT
        kind = "an object class, a bucket and a database" if with_bindings else "no bindings"
        print(f"a fresh Miniflare with {kind}: {best * 1000:.2f} ms")


if __name__ == "__main__":
    main()
