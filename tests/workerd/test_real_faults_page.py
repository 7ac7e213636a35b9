"""The page on faults on the real runtime: its examples print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "real-faults.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```console\n\$ (\S+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.usefixtures("real_runtime")
@pytest.mark.parametrize(("command", "printed"), SHOWN, ids=[name for name, _ in SHOWN])
def test_an_example_prints_what_the_page_shows(
    command: str, printed: str, tmp_path: Path
) -> None:
    for source, name in re.findall(
        r"```(?:js|python)\n((?:#|//) (\S+)\n.*?)```", PAGE, re.DOTALL
    ):
        (tmp_path / name).write_text(source)
    done = subprocess.run(
        [sys.executable, command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # Without the options of the run that runs this.
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == printed
