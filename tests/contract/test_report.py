"""The report: every law once, with what became of it, whatever a worker has put into it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from amber_worker.contract.report import ContractReport, Verdict
from amber_worker.contract.target import choose
from amber_worker.contract.world import NobodyThere

if TYPE_CHECKING:
    from pathlib import Path


def verdict(
    law: str, outcome: str = "kept", told: str = "", case: str = "", **dialects: str
) -> Any:
    return Verdict(law, case, "Archives: what is downloaded", outcome, told, dialects)


class Terminal:
    """As much of pytest's as the report uses."""

    section = write_line = staticmethod(print)


def reported(*verdicts: Verdict) -> str:
    return report_of(*verdicts).markdown()


def report_of(*verdicts: Verdict) -> ContractReport:
    report = ContractReport(choose("emulator"), None)
    for number, one in enumerate(verdicts):
        properties = [("verdict", one.as_facts())]
        told: Any = pytest.TestReport(
            f"x::{number}", ("x", 0, ""), {}, "passed", None, "call", user_properties=properties
        )
        report.pytest_runtest_logreport(told)
    return report


def test_the_counts_stand_on_top_and_the_target_above_them() -> None:
    lines = reported(
        verdict("one"),
        verdict("two", "broken", "no"),
        verdict("three", "not applicable", "why"),
    ).splitlines()
    assert lines[2].startswith("Target: our own worker, dialect worker, on emulator")
    assert lines[4] == "**3 laws (3 cases): 1 kept, 1 broken, 1 not applicable.**"


def test_the_worst_case_of_a_law_counts_and_each_has_its_evidence() -> None:
    text = reported(
        verdict("one", case="a"),
        verdict("one", "broken", "first", case="b"),
        verdict("one", "broken", "second", case="c"),
        verdict("two", "not applicable", "no D1", case="a"),
        verdict("two", "not applicable", "no D1", case="b"),
    )
    assert "- **broken**: one (3 cases)\n  - ` [b] first `\n  - ` [c] second `\n" in text
    assert "- **not applicable**: two (2 cases)\n  - ` no D1 `\n" in text
    assert "2 laws (5 cases): 1 broken, 1 not applicable" in text


def test_what_keeps_a_world_from_coming_to_be_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdicts = [
        verdict(law, "not tested", "no world", case=case)
        for law in ("one", "two")
        for case in "ab"
    ]
    assert reported(*verdicts).count("- ` no world `") == 2
    report = report_of(*verdicts)
    report.pytest_terminal_summary(Terminal())
    assert capsys.readouterr().out.count("no world") == 1


def test_nobody_at_the_url_has_broken_no_law(request: pytest.FixtureRequest) -> None:
    told: Any = pytest.TestReport("x", ("x", 0, ""), {}, "failed", None, "call")

    def outcome(error: Exception) -> str:
        return Verdict.of(request.node, told, error).outcome

    assert outcome(NobodyThere("no route")) == "not tested"
    assert outcome(KeyError("gone")) == "broken"


def test_evidence_is_one_line_of_code_whatever_it_holds() -> None:
    text = reported(verdict("one", "broken", "a `quote` and\n# a ``heading``\n<b>"))
    assert "  - ``` a `quote` and # a ``heading`` <b> ```" in text


def test_nothing_in_evidence_commands_a_terminal() -> None:
    assert "` red [31m and bell `" in reported(
        verdict("one", "broken", "red \x1b[31m and\x07bell")
    )


def test_dialects_are_a_table() -> None:
    text = reported(verdict("one", **{"first | two": "README*"}))
    assert "| first \\| two | README\\* |" in text
    assert "| binding of the object | EXPORT\\_JOBS |" in text


def test_the_report_is_whole_when_xdist_shares_the_laws_out(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "pytest", "-c", "x.ini", "-q", "-n", "2"),
        *("-p", "no:asyncio", "-p", "no:randomly", "-p", "no:cacheprovider"),
        *("--pyargs", "amber_worker.contract", "-k", "test_manifest or test_cors"),
        *("--contract-report", "report.md"),
    ]
    (tmp_path / "x.ini").write_text("[pytest]\n")
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stdout.decode()
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "**kept**: the manifest is pretty printed" in text
    assert "**kept**: options is a 200 without a body and without credentials (4 cases)" in text
    assert text.count("# Amber's contract") == 1
