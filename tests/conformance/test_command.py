"""`python -m emulator conform`: outcomes, differences and what cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from emulator.__main__ import run
from emulator.conformance import recordings
from emulator.conformance.emulator_target import run_program
from emulator.conformance.program import read

if TYPE_CHECKING:
    from pathlib import Path

LAW = {"name": "law", "steps": [{"rpc": [["storage.put", "a", 1], ["storage.get", "a"]]}]}


@pytest.fixture
def law(tmp_path: Path) -> Path:
    path = tmp_path / "law.json"
    path.write_text(json.dumps(LAW))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recordings, "folder", lambda: tmp_path / "recordings")
    return tmp_path / "recordings"


def record(folder: Path, law: Path, change: Any = None) -> None:
    [program] = read(law)
    outcome = run_program(program)
    if change is not None:
        outcome["steps"][0]["ops"][1]["ok"] = change
    recordings.write(folder / "law.json", [program], {"law": outcome})


def test_a_program_is_run_and_its_outcome_is_json(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["conform", str(law), "--target", "emulator"]) == 0

    outcome = json.loads(capsys.readouterr().out)
    assert outcome["program"] == "law"
    assert outcome["target"].startswith("emulator ")
    assert outcome["steps"][0]["ops"][1] == {"op": "1", "ok": 1}


def test_several_programs_are_a_list(law: Path, capsys: pytest.CaptureFixture[str]) -> None:
    law.write_text(json.dumps({"programs": [LAW, {**LAW, "name": "other"}]}))

    assert run(["conform", str(law)]) == 0

    assert [o["program"] for o in json.loads(capsys.readouterr().out)] == ["law", "other"]


def test_a_malformed_program_is_one_sentence_and_status_2(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law.write_text(json.dumps({"name": "law", "steps": [{"rpc": [["slep", 1]]}]}))

    assert run(["conform", str(law)]) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("program 'law', step 0, op 0 (slep): there is no such op")
    assert told.err.count("\n") == 1


def test_the_same_outcome_as_recorded_is_status_0(
    law: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, law)

    assert run(["conform", str(law), "--against", "recordings"]) == 0
    assert capsys.readouterr().out == (
        "1 program: 1 the same, 0 declared to differ, 0 to be looked at\n"
    )


def test_another_outcome_than_recorded_is_told_and_status_1(
    law: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, law, change=2)

    assert run(["conform", str(law), "--against", "recordings"]) == 1
    assert "at steps[0].ops[1].ok\n" in capsys.readouterr().out


def test_the_first_that_differs_is_the_last_one_looked_at_if_asked(
    folder: Path, law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, law, change=2)
    other = folder.parent / "other.json"
    other.write_text(json.dumps({"programs": [{**LAW, "name": "other"}]}))
    [program] = read(other)
    recordings.write(folder / "other.json", [program], {"other": run_program(program)})

    command = ["conform", str(law), str(other), "--against", "recordings"]

    assert run([*command, "--exitfirst"]) == 1
    assert "1 program: 0 the same, 0 declared to differ, 1 to be" in capsys.readouterr().out
    assert run(command) == 1
    assert "2 programs: 1 the same, 0 declared to differ, 1 to be" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--record"], "give --target workerd"),
        (["--against", "workerd", "--target", "workerd"], "leave --target out"),
    ],
)
def test_words_that_cannot_be_meant_together_are_status_2(
    law: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["conform", str(law), *words]) == 2
    assert told in capsys.readouterr().err


def test_without_node_the_recordings_are_named(
    law: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")

    assert run(["conform", str(law), "--target", "workerd"]) == 2

    told = capsys.readouterr().err
    assert "no `node` on PATH" in told
    assert "--against recordings" in told


def test_the_command_line_runs_under_a_fixed_hash_seed(law: Path) -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "emulator", "conform", str(law)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(outputs) == 1


def test_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(["--help"])

    assert caught.value.code == 0
    assert "conform" in capsys.readouterr().out
