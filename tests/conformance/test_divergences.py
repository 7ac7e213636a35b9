"""The declared differences: their file says what, how, why, and which programs show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emulator.conformance import divergences
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = """[[divergence]]
id = "one"
what = "a"
how = "b"
why = "c"
programs = ["p"]
"""


def test_an_entry_says_what_how_and_why(tmp_path: Path) -> None:
    path = tmp_path / "divergences.toml"
    path.write_text(ENTRY)

    assert divergences.read(path) == [divergences.Divergence("one", "a", "b", "c", ("p",))]


def test_no_file_is_no_entry(tmp_path: Path) -> None:
    assert divergences.read(tmp_path / "none.toml") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = [", "is no TOML"),
        ("x = 1", "entries only, got x"),
        ("divergence = [1]", "entry 0 must be a table"),
        (ENTRY.replace("why", "wy"), "entry 0 (one) has no field 'wy'"),
        (ENTRY.replace('why = "c"', ""), "entry 0 (one) needs 'why', a text"),
        (ENTRY.replace('"c"', '""'), "needs 'why', a text"),
        (ENTRY.replace('["p"]', "[]"), "needs 'programs', names"),
        (ENTRY.replace('["p"]', "[1]"), "'programs' must be names of programs"),
        (ENTRY + ENTRY, "two entries have the id 'one'"),
        (ENTRY + ENTRY.replace("one", "two"), "two entries tell of the program 'p'"),
    ],
)
def test_a_malformed_file_is_named_with_the_entry(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "divergences.toml"
    path.write_text(text)

    with pytest.raises(ConfigurationError) as caught:
        divergences.read(path)

    assert told in str(caught.value)


def test_an_entry_of_a_program_that_does_not_exist_is_refused() -> None:
    entry = divergences.Divergence("one", "a", "b", "c", ("gone",))

    with pytest.raises(ConfigurationError, match="divergence 'one' tells of 'gone'"):
        divergences.check_programs([entry], ["p"])
