"""Findings: a world that fails, told so that a person can act on it.

Promises: each deviation as a sentence with what allows it, the error with its traceback as the
cause, one token that replays the world, and a test to paste. Leaves to others: finding it, and
what a token is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from emulator.errors import ExplorationFailure
from emulator.simulation.deviations import Hold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from emulator.simulation.choices import Named
    from emulator.simulation.deviations import Site
    from emulator.simulation.fault_points import FaultKinds
    from emulator.simulation.playing import Played
    from emulator.simulation.rules import Operation
    from emulator.simulation.schedules import Schedule

__all__ = ["Finding", "failure_of", "sentences_of"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A world that fails.

    Attributes:
        deviations: What it deviates by, after shrinking.
        played: How it went.
        phase: What the first one was a part of, such as "pairs".
        world_count: How many worlds had been run by then.
        budget: How many might have been.
        first_count: How many deviations it had at first.
        shrink_count: How many worlds it took to make it small.
        schedule: What else it is decided by; None if its deviations are all.
    """

    deviations: tuple[Named, ...]
    played: Played
    phase: str
    world_count: int
    budget: int
    first_count: int
    shrink_count: int
    schedule: Schedule | None


def sentences_of(
    deviations: Sequence[Named], played: Played, catalogue: FaultKinds
) -> tuple[str, ...]:
    """What a run deviated by, a sentence each.

    Args:
        deviations: By what.
        played: The run.
        catalogue: Knows the words for its faults.
    """
    operations = {step.site: step.operation for step in played.steps}
    return tuple(_sentence(one, operations, catalogue) for one in deviations)


def _sentence(one: Named, operations: dict[Site, Operation], catalogue: FaultKinds) -> str:
    if isinstance(one, Hold):
        step, until = _step(one.site, operations), _step(one.until, operations)
        if one.moment == "arrival":
            return f"the answer of {step} arrived after that of {until}"
        return f"{step} took effect after {until}"
    operation = operations.get(one.site)
    if operation is None:
        return f"{one.kind} at {_step(one.site, operations)}"
    told = catalogue.sentence_of(one.kind, operation)
    number = _number(one.site, operations)
    return f"at the {number} {one.site.operation}: {told}" if number else told


def _step(site: Site, operations: dict[Site, Operation]) -> str:
    operation = operations.get(site)
    number = _number(site, operations)
    what = f"`{site.operation if operation is None else operation}`"
    who = site.actor or "the test"
    return f"the {number} {what} of {who}" if number else f"{what} of {who}"


def _number(site: Site, operations: dict[Site, Operation]) -> str:
    """Which of several operations it is, such as "2nd"; empty if there is one only."""
    if site.nth == 1 and site._replace(nth=2) not in operations:
        return ""
    return _ordinal(site.nth)


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if number % 100 in (11, 12, 13) else endings.get(number % 10, "th")
    return f"{number}{ending}"


def failure_of(
    finding: Finding, catalogue: FaultKinds, *, token: str, scenario: str
) -> ExplorationFailure:
    """The error that tells of a finding.

    Args:
        finding: The world that fails.
        catalogue: Knows the words for its faults.
        token: Replays it.
        scenario: The name of the scenario's function.
    """
    sentences = sentences_of(finding.deviations, finding.played, catalogue)
    found, name = finding.played.error, scenario.rpartition(".")[2]
    error = f"{type(found).__name__}: {found}".rstrip(": ")
    if not sentences and finding.schedule is None:
        lines = [f"{scenario} fails in the calm run, without any deviation: {error}"]
    else:
        lines = [
            *_what(finding, scenario, sentences, error),
            f"replay: python -m emulator replay {token}",
            f"or:     pytest --emulator-replay {token}",
            "as a test:",
            "",
            f"def test_{name}_in_a_world_that_failed() -> None:",
            *(f"    # {sentence}" for sentence in sentences),
            f'    emulator.run({name}, schedule=schedules.replay("{token}"))',
        ]
    return ExplorationFailure(
        "\n".join(lines),
        deviations=finding.deviations,
        token=token,
        sentences=sentences,
        worlds=finding.world_count,
        error=found,
    )


def _what(
    finding: Finding, scenario: str, sentences: tuple[str, ...], error: str
) -> Iterator[str]:
    if sentences:
        happens = "this happens" if len(sentences) == 1 else "these happen"
        yield f"{scenario} fails if {happens}:"
        yield from (f"  {number}. {one}" for number, one in enumerate(sentences, 1))
    if finding.schedule is not None:
        # No few holds could stand in for it.
        yield f"{'under' if sentences else f'{scenario} fails under'} {finding.schedule!r}"
    yield f"then: {error}"
    first = finding.first_count
    yield (
        f"found in world {finding.world_count:,} of {finding.budget:,} ({finding.phase}), "
        f"shrunk from {first} deviation{'' if first == 1 else 's'} in "
        f"{finding.shrink_count} runs; two more runs did the same"
    )
