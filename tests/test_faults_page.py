"""The page on faults: its example prints what it shows, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from emulator import faults
from emulator.faults import Where

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[1] / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)


def test_the_example_prints_what_the_page_shows(
    output_of: Callable[..., str], tmp_path: Path
) -> None:
    ((source, name),) = re.findall(r"```python\n(# (\S+)\n.*?)```", PAGE, re.DOTALL)
    ((command, printed),) = re.findall(r"```console\n\$ (\S+)\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / name).write_text(source)

    assert output_of(tmp_path, command) == printed


def test_every_fault_and_every_argument_has_a_row() -> None:
    kinds = [name for name in faults.__all__ if name[0].islower() and name != "from_json"]
    arguments = [name for name in Where.__annotations__ if name != "operation"]

    assert sorted(ROWS) == sorted(kinds + arguments)


def test_each_function_says_where_its_fault_comes_from() -> None:
    for name in faults.__all__:
        if name[0].islower() and name not in ("from_json", "latency", "stall", "restart"):
            said = getattr(faults, name).__doc__
            assert re.search(r"Cloudflare(?:'s)? docs|workerd|RFC \d+", said), name
