"""The planted deviations: each can be planted, and the comparison notices some of them here.

All of them are tried by `make planted`, which takes seven minutes.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).with_name("planted")


@pytest.fixture(scope="module")
def planted() -> Any:
    """The script: it is in no package."""
    spec = importlib.util.spec_from_file_location("planted_run", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_every_deviation_changes_one_line_that_stands_once_in_its_file(planted: Any) -> None:
    deviations = planted.read()

    assert len(deviations) >= 50
    assert [text for one in deviations if (text := one.complaint())] == []
    assert len({one.breaks for one in deviations}) == len(deviations)


def test_a_deviation_that_does_not_apply_any_more_is_named_with_its_file(planted: Any) -> None:
    gone = planted.Deviation("It breaks.", "emulator/limits.py", "no such text", "")
    twice = planted.Deviation("It breaks.", "emulator/limits.py", "int", "str")
    wide = planted.Deviation("It breaks.", "emulator/limits.py", "a\nb\n", "c\nd\n")

    assert "stands 0 times in emulator/limits.py" in gone.complaint()
    assert "not once" in twice.complaint()
    assert "more than one line" in wide.complaint()


@pytest.mark.parametrize(
    ("words", "theme"),
    [
        ("`limit: 0` gives everything.", "list"),
        ("`deleteAll` leaves views.", "delete_all"),
    ],
)
def test_a_planted_deviation_is_noticed(
    planted: Any, capsys: pytest.CaptureFixture[str], words: str, theme: str
) -> None:
    given = ["--only", words, "--themes", theme, "--named-only", "--jobs", "1"]

    status = planted.run(planted.parsed(given))

    told = capsys.readouterr().out
    assert status == 0, told
    assert "1 of 1 deviations are caught" in told


def test_what_nothing_notices_is_told_and_fails(
    planted: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harmless = planted.Deviation(
        "Nothing.", "emulator/durable_objects/frame.py", "from __future__", "from  __future__"
    )
    monkeypatch.setattr(planted, "read", lambda: [harmless])

    status = planted.run(planted.parsed(["--themes", "list", "--named-only", "--jobs", "1"]))

    assert status == 1
    assert "NOT caught: Nothing." in capsys.readouterr().out


def test_a_runtime_that_differs_by_itself_is_told_before_anything_is_planted(
    planted: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planted, "compare_named", lambda folder, themes: "'a program'")

    status = planted.run(planted.parsed(["--named-only", "--jobs", "1"]))

    assert status == 2
    assert "without any deviation: 'a program'" in capsys.readouterr().out
