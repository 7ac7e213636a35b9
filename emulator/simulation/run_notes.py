"""Run notes: how a run that deviated and failed can be had again.

Promises: the error of such a run gets one note: what was other than in the calm run, in
sentences, a token, and a test to paste. Leaves to others: sentences (the findings), tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.errors import ConfigurationError
from emulator.simulation.clock import START_MS_DEFAULT
from emulator.simulation.deviations import At, Inject
from emulator.simulation.findings import sentences_of
from emulator.simulation.playing import Played
from emulator.simulation.schedules import REST_MS, Deviating
from emulator.simulation.tokens import token

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.deviations import Deviation
    from emulator.simulation.player import Player
    from emulator.simulation.runner import Simulation

__all__ = ["note_run"]


def note_run(
    error: BaseException, simulation: Simulation, scenario: Callable[..., Any], args: Any
) -> None:
    """Tell whoever reads an error how to have its run again, if that was not the calm one.

    Args:
        error: What ended the run.
        simulation: The run.
        scenario: What was run.
        args: What it was given.
    """
    player, schedule = simulation.player, simulation.schedule
    if player is None or not isinstance(schedule, Deviating) or not schedule.deviations:
        return
    if schedule.token is not None:
        return  # Whoever replays has the token.
    named = [one for one in player.applied if not isinstance(one, At)]
    if not named:
        error.add_note("no deviation came about: this is the calm run, and it fails")
        return
    catalogue: Any = player.catalogue
    sentences: tuple[str, ...] = ()
    if catalogue is not None:
        sentences = sentences_of(named, _played(player, error), catalogue)
    told = [f"  {number}. {one}" for number, one in enumerate(sentences, 1)]
    name = getattr(scenario, "__qualname__", "scenario").rpartition(".")[2]
    start_ms = simulation.clock.start_ms
    try:
        word = token(
            _lasting(player, schedule.deviations),
            seed=simulation.seed,
            scenario="" if args else scenario,
            schedule=schedule.base,
            start_ms=None if start_ms == START_MS_DEFAULT else start_ms,
            rest_ms=REST_MS if schedule.rest_ms is None else schedule.rest_ms,
        )
    except ConfigurationError:
        return  # A schedule of the user's own has no token.
    call = "".join(f"{one}, " for one in [name, *map(repr, args)])
    lines = [
        "in this run, other than in the calm run:",
        *told,
        f"replay: python -m emulator replay {word}",
        "as a test:",
        "",
        f"def test_{name}_in_a_run_that_failed() -> None:",
        *(f"    # {sentence}" for sentence in sentences),
        f'    emulator.run({call}schedule=schedules.replay("{word}"))',
    ]
    error.add_note("\n".join(lines))


def _lasting(player: Player, given: tuple[Deviation, ...]) -> list[Deviation]:
    """The deviations by the names of their operations, as far as these say the same."""
    named: list[Deviation] = [one for one in player.applied if isinstance(one, Inject)]
    # What waited until nothing else could happen waited for no one operation.
    kept = [one for one in given if not isinstance(one, At) or one.choice == 0]
    return [*named, *(one for one in kept if one not in named)]


def _played(player: Player, error: BaseException) -> Played:
    return Played(
        deviations=(),
        applied=(),
        steps=player.steps(),
        error=error,
        digest="",
        simulated_ms=0,
    )
