"""The summary: all outcomes of a run, put together by their numbers.

Promises: the same summary from the same units, whichever engine ran them and whichever ended
first. Leaves to others: how it is shown (`amber_worker.cli`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amber_worker.chaos.units import Finding, Outcome

__all__ = ["CaseSummary", "Summary", "summed_up"]


@final
@dataclass(frozen=True, slots=True)
class CaseSummary:
    """What became of one case.

    Attributes:
        name: The case's name.
        world_count: Worlds that ran.
        finding_count: What was found in them.
        is_exhausted: Whether nothing was left to try.
    """

    name: str
    world_count: int
    finding_count: int
    is_exhausted: bool


@final
@dataclass(frozen=True, slots=True)
class Summary:
    """What became of all units.

    Attributes:
        cases: By case, in the order of the units.
        tried: Worlds by kind of deviation.
        found: Findings by kind of deviation.
        findings: Each once: the same sentences of one case may come from several units.
    """

    cases: tuple[CaseSummary, ...]
    tried: dict[str, int]
    found: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def world_count(self) -> int:
        """Worlds that ran."""
        return sum(case.world_count for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"worlds": self.world_count, **asdict(self)}


def summed_up(outcomes: Iterable[Outcome]) -> Summary:
    """Put outcomes together."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.number)
    tried: Counter[str] = Counter()
    findings: dict[tuple[str, str], Finding] = {}
    for outcome in ordered:
        tried.update(outcome.tried)
        for finding in outcome.findings:
            findings.setdefault((finding.case, finding.token), finding)
    found: Counter[str] = Counter()
    for finding in findings.values():
        found.update(dict.fromkeys(finding.kinds or ("calm",), 1))
    by_case = Counter(finding.case for finding in findings.values())
    cases = [
        CaseSummary(
            name,
            sum(one.world_count for one in ordered if one.case == name),
            by_case[name],
            all(one.is_exhausted for one in ordered if one.case == name),
        )
        for name in dict.fromkeys(outcome.case for outcome in ordered)
    ]
    return Summary(
        tuple(cases), dict(sorted(tried.items())), dict(sorted(found.items())),
        tuple(findings.values()),
    )  # fmt: skip
