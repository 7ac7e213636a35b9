"""The random side of the planted deviations: runs with the runtime of a copy.

random_side.py ask FILE COUNT SEED     draw programs, and keep what workerd gives for them
random_side.py compare FILE            write the names of those that differ on the emulator
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from emulator.conformance.differential import RETRIES, Differential, drawn_programs
from emulator.conformance.program import checked
from emulator.conformance.real_target import run_programs
from emulator.workerd import installation


def ask(path: Path, count: int, seed: int) -> None:
    """Draw programs, and keep them with their outcomes on workerd."""
    installation.check()
    sources = [program.source for program in drawn_programs(count, seed)]
    outcomes = asyncio.run(run_programs(sources))
    for _ in range(RETRIES):
        # Some have more than one outcome on workerd: the one that the emulator gives will do.
        different = _different(sources, outcomes)
        again = asyncio.run(run_programs([sources[i] for i in different])) if different else []
        for index, outcome in zip(different, again, strict=True):
            outcomes[index] = outcome
    path.write_text(json.dumps({"programs": sources, "outcomes": outcomes}), encoding="utf-8")


def compare(path: Path) -> None:
    """Run the kept programs here, and write the names of those that differ."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    for index in _different(kept["programs"], kept["outcomes"]):
        sys.stdout.write(f"{kept['programs'][index]['name']}\n")


def _different(sources: list[Any], outcomes: list[Any]) -> list[int]:
    """Which of the programs come out otherwise here."""
    real = Differential(lambda _: outcomes, can_ask_again=False)
    verdicts = real.compare([checked(source) for source in sources])
    return [index for index, verdict in enumerate(verdicts) if verdict.how == "different"]


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        compare(Path(sys.argv[2]))
