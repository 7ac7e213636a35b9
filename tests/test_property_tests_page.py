"""The page on property tests: its examples print what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[1] / "docs" / "property-tests.md").read_text(encoding="utf-8")
#: The files of the page, by the name in the first line of each.
FILES = dict(re.findall(r"```python\n((?:# (\S+))\n.*?)```", PAGE, re.DOTALL))
#: What each command of the page prints.
PRINTED = dict(re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    for text, name in FILES.items():
        (made / name).write_text(text)
    return made


def untimed(printed: str) -> str:
    return re.sub(r"in [\d.]+s", "in 0.00s", printed)


@pytest.mark.parametrize("command", PRINTED)
def test_an_example_prints_what_the_page_shows(
    output_of: Callable[..., str], folder: Path, command: str
) -> None:
    _, *arguments = command.split()
    pytest_module = "-m", "pytest", "-p", "no:cacheprovider"
    printed = output_of(folder, *pytest_module, *arguments)
    assert untimed(printed) == untimed(PRINTED[command])


def test_every_block_is_part_of_an_example() -> None:
    assert PAGE.count("```python") == len(FILES)
    assert PAGE.count("```console") == len(PRINTED)
    for text, name in FILES.items():
        others = [*PRINTED, *(other for other in FILES if other != text)]
        assert any(name in other for other in others), name
