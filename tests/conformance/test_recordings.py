"""Every named program gives on the emulator what it gave on workerd, or is declared not to.

What workerd gave is recorded, so Node is not needed here.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from emulator.conformance import divergences, fidelity, recordings
from emulator.conformance.emulator_target import run_program
from emulator.conformance.judge import complaint
from emulator.conformance.program import checked, read
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from emulator.conformance.program import Program

THEMES = {path.stem: read(path) for path in sorted(recordings.program_folder().glob("*.json"))}
PROGRAMS = [(theme, program) for theme, programs in THEMES.items() for program in programs]


@cache
def declared() -> list[divergences.Divergence]:
    return divergences.read()


@pytest.mark.parametrize(
    ("theme", "program"), PROGRAMS, ids=[f"{theme}: {p.name}" for theme, p in PROGRAMS]
)
def test_a_program_gives_what_it_gave_on_workerd(theme: str, program: Program) -> None:
    real = recordings.read(theme, [program])[program.name]

    text = complaint(program, real, run_program(program), declared())

    assert not text, f"\n{text}"


def test_every_declared_difference_is_of_a_program() -> None:
    divergences.check_programs(declared(), [program.name for _, program in PROGRAMS])


def test_every_recording_is_of_a_theme() -> None:
    recorded_themes = {path.stem for path in recordings.folder().glob("*.json")}

    assert recorded_themes == set(THEMES)


def test_the_fidelity_page_says_what_is_compared() -> None:
    page = fidelity.path().read_text(encoding="utf-8")

    assert page == fidelity.page(), f"write it anew: {fidelity.COMMAND}"


def law(name: str = "law") -> Program:
    return checked({"name": name, "steps": [{"rpc": [["storage.getAlarm"]]}]})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recordings, "folder", lambda: tmp_path)
    return tmp_path


def test_a_recording_is_the_same_to_the_byte_for_the_same_outcomes(folder: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        outcome = run_program(law(), seed=seed)
        recordings.write(folder / f"{name}.json", [law()], {"law": outcome})

    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()
    assert recordings.read("a", [law()])["law"]["steps"][0]["ops"] == [{"op": "0", "ok": None}]


@pytest.mark.parametrize(
    ("theme", "program", "told"),
    [
        ("none", law(), "none.json has no recorded outcome of 'law'"),
        ("a", law("other"), "a.json has no recorded outcome of 'other'"),
        (
            "a",
            checked({"name": "law", "steps": [{"wait": 1}]}),
            "'law' was changed after a.json was recorded",
        ),
    ],
)
def test_a_recording_that_is_missing_or_old_says_how_to_make_it(
    folder: Path, theme: str, program: Program, told: str
) -> None:
    recordings.write(folder / "a.json", [law()], {"law": run_program(law())})

    with pytest.raises(ConfigurationError) as caught:
        recordings.read(theme, [program])

    assert told in str(caught.value)
    assert recordings.RECORDING_COMMAND in str(caught.value)
