"""The named programs on the emulator and on the real runtime, side by side.

The slow ones, which wait for real seconds, are compared with their recordings only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from emulator.conformance import divergences, recordings
from emulator.conformance.emulator_target import run_program
from emulator.conformance.judge import complaint
from emulator.conformance.program import read
from emulator.conformance.real_target import RealTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THEMES = sorted(path.stem for path in recordings.program_folder().glob("*.json"))
#: What a program may cost here; real time passes.
SECONDS_MAX = 2


@pytest.fixture(scope="module")
def run_real(real_runtime: None) -> Iterator[Callable[[list[Any]], list[Any]]]:
    """Runs programs in worlds that stay open for the next theme."""
    with asyncio.Runner() as runner:
        target = RealTarget()
        yield lambda programs: runner.run(target.run([program.source for program in programs]))
        runner.run(target.__aexit__(None, None, None))


@pytest.mark.parametrize("theme", THEMES)
def test_a_theme_gives_the_same_on_both_runtimes(
    theme: str, run_real: Callable[[list[Any]], list[Any]]
) -> None:
    programs = [
        program
        for program in read(recordings.program_folder() / f"{theme}.json")
        if not program.is_slow and program.seconds <= SECONDS_MAX
    ]
    declared = divergences.read()

    complaints = [
        text
        for program, real in zip(programs, run_real(programs), strict=True)
        if (text := complaint(program, real, run_program(program), declared))
    ]

    assert not complaints, "\n" + "\n\n".join(complaints)
