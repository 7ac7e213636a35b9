"""README shows what `amber export` prints now."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from amber_worker.cli import run_command

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settled(text: str) -> str:
    """Without what the machine decides: its speed, and its zlib's skill."""
    return re.sub(r"[\d,]+ (bytes|ms wall)", r"… \1", text)


@pytest.mark.parametrize("missing", [0, 2])
def test_readme_shows_the_closing_line_of_today(
    tmp_path: Path, capsys: Any, missing: int
) -> None:
    arguments = ["export", str(ROOT / "fixtures" / "garden"), "--missing", str(missing)]
    assert run_command([*arguments, "--out", str(tmp_path / "export.zip")]) == 0
    closing = settled(capsys.readouterr().out.splitlines()[-1])
    # The digest covers every event: one seed is one digest, in any process of any machine.
    assert closing in settled(README)
