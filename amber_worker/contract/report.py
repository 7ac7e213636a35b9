"""The report: what became of each law.

Promises: every law is kept, broken with the evidence, not applicable with the reason, or not
tested because its world did not come to be; in Markdown, and in a few lines on the terminal.
Leaves to others: the judging (the laws themselves).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from amber_worker.contract.world import NobodyThere

if TYPE_CHECKING:
    import pytest

    from amber_worker.contract.target import Target

__all__ = ["ContractReport", "Verdict"]

KEPT: Final = "kept"
BROKEN: Final = "broken"
NOT_APPLICABLE: Final = "not applicable"
NOT_TESTED: Final = "not tested"
OUTCOMES: Final = (KEPT, BROKEN, NOT_APPLICABLE, NOT_TESTED)

#: A law of which one case does not apply is kept in the others.
_WORST_FIRST: Final = (BROKEN, NOT_TESTED, KEPT, NOT_APPLICABLE)

EVIDENCE_CHARACTERS_MAX: Final = 2_000
#: On the terminal.
EVIDENCE_SHOWN_MAX: Final = 3
EVIDENCE_LINE_CHARACTERS_MAX: Final = 500


@final
@dataclass(slots=True)
class Verdict:
    """What became of one law.

    Attributes:
        law: The law as a sentence.
        case: Which of its cases, if it has several.
        section: The part of the contract that it belongs to.
        outcome: One of `OUTCOMES`.
        told: The evidence or the reason.
        dialects: Topics that README and worker leave open, with what this worker does.
    """

    law: str
    case: str
    section: str
    outcome: str
    told: str = ""
    dialects: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, item: pytest.Item, report: pytest.TestReport, error: BaseException | None
    ) -> Verdict:
        """The verdict of one phase of one test."""
        module = getattr(item, "module", None)
        section = (getattr(module, "__doc__", None) or "").strip().partition("\n")[0]
        outcome = KEPT
        if report.skipped:
            outcome = NOT_APPLICABLE
        elif report.failed:
            # A law may find in its set-up that the export it wants to look at is none. But
            # where no world comes to be, or nobody is at the URL, nothing has been judged.
            is_law = report.when == "call" and not isinstance(error, NobodyThere)
            is_law = is_law or isinstance(error, AssertionError)
            outcome = BROKEN if is_law else NOT_TESTED
        dialects = {
            topic: spoken
            for name, value in item.user_properties
            if name == "dialect" and isinstance(value, tuple | list)
            for topic, spoken in [value]
        }
        name, _, case = item.name.partition("[")
        law = name.removeprefix("test_").replace("_", " ")
        return cls(
            law, case.removesuffix("]"), section.rstrip("."), outcome, _told(error), dialects
        )

    def as_facts(self) -> dict[str, Any]:
        """Itself, as something that JSON can hold."""
        return asdict(self)


def _told(error: BaseException | None) -> str:
    if error is None:
        return ""
    text = str(error)
    if not isinstance(error, AssertionError) and getattr(error, "msg", None) is None:
        text = f"{type(error).__name__}: {text}"
    if len(text) > EVIDENCE_CHARACTERS_MAX:
        text = f"{text[:EVIDENCE_CHARACTERS_MAX]} …"
    return text or type(error).__name__


@final
class ContractReport:
    """The plugin that collects verdicts and tells them.

    Args:
        target: Who is judged.
        path: Where the Markdown goes; None for nowhere.
    """

    def __init__(self, target: Target, path: str | None) -> None:
        self._target = target
        self._path = path
        self._verdicts: dict[str, Verdict] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one phase of one law; the worst phase counts."""
        facts = dict(report.user_properties).get("verdict")
        if not isinstance(facts, dict):
            return
        verdict = Verdict(**facts)
        before = self._verdicts.get(report.nodeid)
        if before is None or before.outcome == KEPT:
            self._verdicts[report.nodeid] = verdict
        else:
            before.dialects.update(verdict.dialects)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell the counts and the broken laws, and write the file."""
        if not self._verdicts:
            return
        say = terminalreporter.write_line
        terminalreporter.section("the contract")
        say(f"target: {_plain(self._target.name)}")
        say(self._counts())
        before: list[str] = []
        for law in self._laws():
            if law.outcome in (BROKEN, NOT_TESTED):
                say(f"{law.outcome}: {law.law}")
                # What keeps a world from coming to be is told once.
                shown = [] if law.told == before else law.told[:EVIDENCE_SHOWN_MAX]
                before = law.told
                for told in shown:
                    say(f"    {told[:EVIDENCE_LINE_CHARACTERS_MAX]}")
        if self._path is not None:
            Path(self._path).write_text(self.markdown(), encoding="utf-8")
            say(f"every law: {self._path}")

    def _laws(self) -> list[_Law]:
        """Each law with all of its cases."""
        cases: dict[tuple[str, str], list[Verdict]] = {}
        for verdict in self._verdicts.values():
            cases.setdefault((verdict.section, verdict.law), []).append(verdict)
        laws = [_Law.of(verdicts) for verdicts in cases.values()]
        return sorted(laws, key=lambda law: law.section)

    def _counts(self) -> str:
        outcomes = [law.outcome for law in self._laws()]
        counted = ((outcome, outcomes.count(outcome)) for outcome in OUTCOMES)
        shown = [f"{count} {outcome}" for outcome, count in counted if count]
        cases = f" ({len(self._verdicts)} cases)"
        return f"{len(outcomes)} laws{cases}: {', '.join(shown)}"

    def markdown(self) -> str:
        """The whole report."""
        lines = ["# Amber's contract", "", f"Target: {_cell(self._target.name)}.", ""]
        lines += [f"**{self._counts()}.**", ""]
        if self._target.is_deployed:
            lines += [
                "The export that was requested stays until it expires: the API removes none.",
                "",
            ]
        lines += self._dialects()
        section = None
        for law in self._laws():
            if law.section != section:
                section = law.section
                lines += ["", f"## {_escaped(section)}", ""]
            cases = f" ({law.case_count} cases)" if law.case_count > 1 else ""
            lines.append(f"- **{law.outcome}**: {_escaped(law.law)}{cases}")
            lines += [f"  - {_code(told)}" for told in law.told]
        return "\n".join(lines) + "\n"

    def _dialects(self) -> list[str]:
        spoken: dict[str, str] = {}
        if self._target.bindings_told:
            spoken["binding of the object"] = self._target.bindings_told
        for verdict in self._verdicts.values():
            spoken.update(verdict.dialects)
        rows = [f"| {_cell(topic)} | {_cell(spoken[topic])} |" for topic in sorted(spoken)]
        if not rows:
            return []
        title = ["## What README and worker leave open", ""]
        return [*title, "| topic | this worker |", "| --- | --- |", *rows]


@final
@dataclass(frozen=True, slots=True)
class _Law:
    """A law with all of its cases: the worst of them counts."""

    law: str
    section: str
    outcome: str
    case_count: int
    #: Evidence and reasons, one line each.
    told: list[str]

    @classmethod
    def of(cls, verdicts: list[Verdict]) -> _Law:
        found = {verdict.outcome for verdict in verdicts}
        outcome = next(outcome for outcome in _WORST_FIRST if outcome in found)
        told: dict[str, None] = {}
        for verdict in verdicts:
            if verdict.outcome != KEPT:
                case = f"[{verdict.case}] " if verdict.case else ""
                # One reason is told once, however many cases it concerns.
                case = case if verdict.outcome == BROKEN else ""
                told[_plain(f"{case}{verdict.told}")] = None
        first = verdicts[0]
        return cls(first.law, first.section, outcome, len(verdicts), list(told))


def _plain(text: str) -> str:
    """One line, and nothing in it that a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _code(text: str) -> str:
    """A text in Markdown as it is, whatever a worker has put into it."""
    fence = "`"
    while fence in text:
        fence += "`"
    return f"{fence} {text} {fence}"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in text)


def _cell(text: str) -> str:
    return _escaped(_plain(text))
