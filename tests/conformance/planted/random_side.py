"""The random side of the planted deviations: runs with the runtime of a copy.

random_side.py ask FILE COUNT SEED     draw programs, and keep what workerd gives for them
random_side.py compare FILE            write the names of those that differ on the emulator
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from emulator.conformance.differential import Differential, drawn_programs
from emulator.conformance.program import checked
from emulator.conformance.real_target import run_programs
from emulator.workerd import installation


def ask(path: Path, count: int, seed: int) -> None:
    """Draw programs, and keep them with their outcomes on workerd."""
    installation.check()
    sources = [program.source for program in drawn_programs(count, seed)]
    outcomes = asyncio.run(run_programs(sources))
    path.write_text(json.dumps({"programs": sources, "outcomes": outcomes}), encoding="utf-8")


def compare(path: Path) -> None:
    """Run the kept programs here, and write the names of those that differ."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    real = Differential(lambda _: kept["outcomes"], can_ask_again=False)
    for verdict in real.compare([checked(source) for source in kept["programs"]]):
        if verdict.how == "different":
            sys.stdout.write(f"{verdict.program.name}\n")


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        compare(Path(sys.argv[2]))
