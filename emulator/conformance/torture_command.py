"""The command `torture`: random and named programs under everything that may go wrong.

Promises: each program goes through an ordeal of its own, which a count and a seed decide; a
law that is broken is printed with the ordeal, and the exit status is 1. Leaves to others:
ordeals, and what laws there are (torture).
"""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING, Final

from emulator.conformance.differential_command import count_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from emulator.conformance.program import Program

__all__ = ["add_arguments", "run_command"]

_DESCRIPTION: Final = """\
Run random conformance programs, and all named ones, on the emulator alone: under each profile
of limits, drawn faults and schedules, and with crashes, evictions, snapshots and other verbs of
a test amid them. Exit status: 0 every law holds, 1 one is broken.
"""
_SHOWN_MAX: Final = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `python -m emulator torture` takes."""
    parser.description = _DESCRIPTION
    parser.add_argument("--count", type=count_of, default=1_000, help="programs a seed (1000)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one or more (0)")


def run_command(options: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit status is the result."""
    # Hypothesis takes its time to load.
    from emulator.conformance.torture import broken_laws

    start, count, broken = monotonic(), 0, []
    for seed_number in options.seeds:
        for program in _programs(options.count, seed_number):
            count += 1
            broken += broken_laws(program, seed_number)
    sys.stdout.write(
        f"{count} ordeals in {monotonic() - start:.0f} s; {len(broken)} broken laws\n"
    )
    for text in broken[:_SHOWN_MAX]:
        sys.stdout.write(f"{text}\n")
    return 1 if broken else 0


def _programs(count: int, seed_number: int) -> Iterator[Program]:
    from emulator.conformance import program, recordings
    from emulator.conformance.differential import drawn_programs
    from emulator.conformance.emulator_target import run_program

    for drawn in drawn_programs(count, seed_number):
        run_program(drawn)  # As in a comparison with the real runtime.
        yield drawn
    for file in recordings.program_files():
        yield from program.read(file)
