"""Exploration: `emulator.explore`, with all that the platform may do.

Promises: what a scenario is run against is the whole catalogue, or the kinds that are named;
what it fails by is told in sentences, with a token. Leaves to others: the search
(`emulator.simulation.explore`), and the kinds of faults (`emulator.catalogue`).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from emulator.catalogue import CATALOGUE
from emulator.errors import ConfigurationError, ExplorationFailure
from emulator.simulation import tokens
from emulator.simulation.clock import duration_ms, instant_ms
from emulator.simulation.deviations import At
from emulator.simulation.explore import BUDGET_DEFAULT, Exploration, Explorer
from emulator.simulation.findings import failure_of, sentences_of
from emulator.simulation.monitors import as_monitor, conclude
from emulator.simulation.player import REST_MS
from emulator.simulation.playing import play
from emulator.simulation.replaying import REPLAYING
from emulator.simulation.rules import UnusedFaultWarning, is_rule
from emulator.simulation.schedules import Random

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime, timedelta

    from emulator.simulation.conditions import Condition
    from emulator.simulation.deviations import Deviation
    from emulator.simulation.findings import Finding
    from emulator.simulation.monitors import Monitor
    from emulator.simulation.playing import Played
    from emulator.simulation.rules import Rule
    from emulator.simulation.schedules import Schedule
    from emulator.simulation.tokens import Token

__all__ = ["Exploration", "explore"]


def explore(
    scenario: Callable[[], Awaitable[Any]],
    invariants: Iterable[Monitor | Condition] = (),
    faults: Iterable[str | Rule] | None = None,
    budget: int | None = None,
    *,
    seed: int = 0,
    deviations_max: int = 3,
    reorders: bool = True,
    rest: int | float | timedelta = REST_MS,
    start_time: int | datetime | None = None,
) -> Exploration:
    """Run a scenario in many worlds, until one fails or there is nothing left to try.

    A world differs from the calm run by a few faults, crashes, or operations that come after
    others. Every single one is tried, then pairs and triples, at last worlds by chance.

    Args:
        scenario: An async function without arguments. It builds its own worlds and fails by
            raising, so what it tolerates it catches.
        invariants: What must hold in every world: monitors (`always`, ...), those of
            `emulator.testing.invariants`, or functions of the world, asked at rest.
        faults: Names of kinds, or their first words ("crash"): only these are tried; empty is
            none, None is all. Rules of `emulator.faults` apply in every world besides.
        budget: How many worlds may be run, besides 50 that shrink a failure; None is 500.
        seed: Decides the worlds by chance, and every random stream in each world.
        deviations_max: How many deviations a world with a fault may have, 1 or more.
        reorders: Whether operations that conflict change places.
        rest: Within which simulated time, milliseconds or a timedelta, a world that is left
            must come to rest.
        start_time: Where the clock of each world starts, as for `emulator.run`.

    Returns:
        What was tried, and what that proves; its text is a table.

    Raises:
        ExplorationFailure: If a world fails, also the calm one, or no `sometimes` was met.
        SimulationDiverged: If two runs of one world did not do the same.
        ConfigurationError: If an argument has a wrong type or value.

    Warns:
        UnusedFaultWarning: If a rule matched no operation of any world.
    """
    names, rules = _sorted_out(faults)
    _check(scenario, budget, deviations_max)
    invariants = tuple(invariants)
    run = _Run(
        scenario=scenario,
        seed=seed,
        invariants=invariants,
        monitors=tuple(as_monitor(one) for one in invariants),
        rules=rules,
        rest_ms=duration_ms(rest),
        start_ms=None if start_time is None else instant_ms(start_time),
        unmatched={repr(rule) for rule in rules},
    )
    asked_for = REPLAYING.token_for(scenario)
    if asked_for is not None:
        return run.replay(asked_for)
    explorer = Explorer(
        run.world,
        CATALOGUE,
        kinds=names,
        budget=BUDGET_DEFAULT if budget is None else budget,
        seed=seed,
        deviations_max=deviations_max,
        is_reordering=reorders,
        describe=run.failure,
    )
    return run.concluded(explorer.explore())


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What every world of an exploration has in common."""

    scenario: Callable[[], Awaitable[Any]]
    seed: int
    invariants: tuple[Monitor | Condition, ...]
    monitors: tuple[Monitor, ...]
    rules: tuple[Rule, ...]
    rest_ms: int
    start_ms: int | None
    #: Rules that no operation of any world has matched so far, as they are in the trace.
    unmatched: set[str]

    @property
    def name(self) -> str:
        """The scenario's."""
        scenario: Any = self.scenario
        return str(getattr(scenario, "__qualname__", type(scenario).__qualname__))

    def world(
        self, deviations: tuple[Deviation, ...], schedule: Schedule | None = None
    ) -> Played:
        """Run one world."""
        played = play(
            self.scenario,
            deviations,
            seed=self.seed,
            catalogue=CATALOGUE,
            monitors=self.monitors,
            rules=self.rules,
            rest_ms=self.rest_ms,
            start_time=self.start_ms,
            schedule=schedule,
        )
        if self.unmatched and played.trace is not None:
            faults = played.trace.of_kind("fault")
            self.unmatched.difference_update(str(one.facts["rule"]) for one in faults)
        return played

    def failure(self, finding: Finding) -> ExplorationFailure:
        """The error that tells of a world that fails."""
        token = tokens.token(
            finding.deviations,
            seed=self.seed,
            scenario=self.scenario,
            schedule=finding.schedule,
            start_ms=self.start_ms,
            rest_ms=self.rest_ms,
            invariants=self.invariants,
            rules=self.rules,
        )
        return failure_of(finding, CATALOGUE, token=token, scenario=self.name)

    def concluded(self, result: Exploration) -> Exploration:
        """No world has failed: ask what some world should have shown.

        Raises:
            ExplorationFailure: If none did.

        Warns:
            UnusedFaultWarning: If a rule matched no operation of any world.
        """
        world_count = result.world_count
        if self.unmatched:
            told = ", ".join(rule for rule in map(repr, self.rules) if rule in self.unmatched)
            message = (
                f"no operation of any of {world_count:,} worlds ever matched the fault {told}: "
                "check its binding, operation, key and nth"
            )
            warnings.warn(message, UnusedFaultWarning, stacklevel=3)
        try:
            conclude(self.monitors, world_count)
        except AssertionError as error:
            raise ExplorationFailure(
                str(error),
                deviations=(),
                token="",
                sentences=(),
                worlds=world_count,
                error=error,
            ) from error
        return result

    def replay(self, asked_for: Token) -> Exploration:
        """Run the one world of a token, instead of a search (`pytest --emulator-replay`)."""
        schedule = None if asked_for.jitter is None else Random(asked_for.jitter)
        played = self.world(asked_for.deviations, schedule)
        error = played.error
        if error is None:
            return Exploration(world_count=1, phases={"replayed": 1})
        named = tuple(one for one in played.applied if not isinstance(one, At))
        sentences = sentences_of(named, played, CATALOGUE)
        lines = [f"{self.name} fails again in the world of the token:"]
        lines += [f"  {number}. {one}" for number, one in enumerate(sentences, 1)]
        lines.append(f"then: {type(error).__name__}: {error}".rstrip(": "))
        raise ExplorationFailure(
            "\n".join(lines),
            deviations=named,
            token=str(asked_for),
            sentences=sentences,
            worlds=1,
            error=error,
        ) from error


def _sorted_out(
    faults: Iterable[str | Rule] | None,
) -> tuple[tuple[str, ...] | None, tuple[Rule, ...]]:
    """Names of kinds, None if all are wanted, and rules."""
    if faults is None:
        return None, ()
    if isinstance(faults, str) or not isinstance(faults, Iterable):
        message = f"faults is a list, such as faults=['crash', 'error after'], got {faults!r}"
        raise ConfigurationError(message)
    given = tuple(faults)
    names = tuple(one for one in given if isinstance(one, str))
    rules = tuple(one for one in given if not isinstance(one, str))
    for rule in rules:
        if not is_rule(rule):
            message = (
                "faults are names of kinds, such as 'crash', or rules made by emulator.faults, "
                f"such as faults.error('DB'), got {rule!r}"
            )
            raise ConfigurationError(message)
    return (None if rules and not names else names), rules


def _check(scenario: object, budget: object, deviations_max: object) -> None:
    if not callable(scenario) or inspect.isclass(scenario):
        message = (
            "explore() takes the async function itself: explore(scenario), not "
            f"explore(scenario()), got {scenario!r}"
        )
        raise ConfigurationError(message)
    for name, value in (("budget", budget), ("deviations_max", deviations_max)):
        if value is not None and not (type(value) is int and value > 0):
            message = f"{name} must be a whole number of 1 or more, got {value!r}"
            raise ConfigurationError(message)
