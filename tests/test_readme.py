"""README's programs run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

OPTIONS = """
import pytest

@pytest.fixture
def miniflare_options():
    return {"script_path": "worker.py", "durable_objects": {"REMINDERS": "Reminder"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    worker, test, program, rules, verbs = BLOCKS
    (tmp_path / "worker.py").write_text(worker)
    (tmp_path / "test_worker.py").write_text(test)
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "rules.py").write_text(rules)
    (tmp_path / "test_verbs.py").write_text(verbs)
    (tmp_path / "conftest.py").write_text(OPTIONS)
    return tmp_path


@pytest.mark.parametrize("name", ["test_worker.py", "test_verbs.py"])
def test_the_tests_pass(output_of: Callable[..., str], folder: Path, name: str) -> None:
    printed = output_of(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", name)
    assert "1 passed" in printed


def test_the_program_runs_and_one_seed_is_one_digest(
    output_of: Callable[..., str], folder: Path
) -> None:
    first, second = (output_of(folder, "program.py") for _ in range(2))
    assert first == second
    status, date, *_ = first.split()
    assert (status, date) == ("200", "2026-01-02")


def test_the_rules_are_rules(output_of: Callable[..., str], folder: Path) -> None:
    printed = output_of(folder, "-c", "from rules import rules; print(*rules, sep='\\n')")
    assert printed.splitlines() == [
        "faults.vanish('BUCKET', key='u1/photo.jpg')",
        "faults.error('DB', op='run', sql='UPDATE jobs*', nth=2, after_effect=True)",
        "faults.crash('JOBS', after='r2.uploadPart', nth=1)",
        "faults.duplicate_alarm('JOBS', object='user-*', nth=1)",
        "faults.latency((5, 500), 'AUTH', probability=0.1)",
    ]
