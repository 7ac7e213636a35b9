"""The page on faults on the real runtime: its examples print what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[2] / "docs" / "real-faults.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```console\n\$ (\S+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.usefixtures("real_runtime")
@pytest.mark.parametrize(("command", "printed"), SHOWN, ids=[name for name, _ in SHOWN])
def test_an_example_prints_what_the_page_shows(
    output_of: Callable[..., str], command: str, printed: str, tmp_path: Path
) -> None:
    for source, name in re.findall(
        r"```(?:js|python)\n((?:#|//) (\S+)\n.*?)```", PAGE, re.DOTALL
    ):
        (tmp_path / name).write_text(source)

    assert output_of(tmp_path, command) == printed
