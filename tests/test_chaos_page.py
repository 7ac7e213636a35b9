"""The page on chaos: its examples print what it shows, its options are those of `explore`."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import emulator

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[1] / "docs" / "chaos.md").read_text(encoding="utf-8")
#: The files of the page, by the name in the first line of each.
FILES = {
    name: text
    for text, name in re.findall(r"```python\n((?:# (\S+))\n.*?)```", PAGE, re.DOTALL)
}
#: What each command of the page prints.
PRINTED = dict(re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


@pytest.mark.parametrize("command", PRINTED)
def test_an_example_prints_what_the_page_shows(
    output_of: Callable[..., str], folder: Path, command: str
) -> None:
    program, *arguments = command.split()
    assert program == "python"
    assert output_of(folder, *arguments, statuses=(0, 1)) == PRINTED[command]


def test_every_block_is_part_of_an_example() -> None:
    assert PAGE.count("```python") == len(FILES)
    assert PAGE.count("```console") == len(PRINTED)
    assert all(any(name in command for command in PRINTED) for name in FILES)


def test_the_table_names_every_option() -> None:
    options = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    parameters = list(inspect.signature(emulator.explore).parameters)

    assert options == parameters[1:]  # The first one is the scenario.


def test_the_token_of_the_page_replays_its_failure(
    output_of: Callable[..., str], folder: Path
) -> None:
    found = re.search(r"python -m emulator replay (\S+)", PRINTED["python visits.py"])
    assert found is not None

    replay = "-m", "emulator", "replay", found[1]
    assert "a visit is lost" in output_of(folder, *replay, statuses=(0, 1))
