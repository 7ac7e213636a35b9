"""Playing: one run of a scenario, under the deviations that it is given.

A scenario is an async function without arguments that builds its worlds and fails by raising.
When it leaves a world, a *rest phase* comes first: no deviation and no rule applies any more,
and everything that is pending must come to rest within a bound of simulated time.

Promises: a run is decided by its seed and its deviations, and nothing else; no deviations is
the calm run, to the byte. Leaves to others: carrying deviations out and recording (the player),
which deviations are worth a run (exploration).
"""

from __future__ import annotations

from bdb import BdbQuit
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from emulator.simulation.player import Catalogue, Player, Step
from emulator.simulation.runner import Simulation, collection_paused
from emulator.simulation.schedules import REST_MS, Deviating

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from emulator.simulation.deviations import Deviation
    from emulator.simulation.rules import Rule
    from emulator.simulation.schedules import Schedule
    from emulator.simulation.trace import Trace

__all__ = ["Catalogue", "Played", "Step", "play"]


@final
@dataclass(frozen=True)
class Played:
    """One run, as it went.

    Attributes:
        deviations: What it was given.
        applied: Those that came about, in that order. A hold has come about if its operation
            waited and the other one passed meanwhile. An `At` is told as the hold or the fault
            that it came to.
        steps: Every operation, in the order of departure.
        error: What the scenario raised, or a monitor; None if the run passed.
        digest: One hash over all events.
        simulated_ms: How long it took, in simulated milliseconds.
        trace: All events; None if nobody kept them.
    """

    deviations: tuple[Deviation, ...]
    applied: tuple[Deviation, ...]
    steps: tuple[Step, ...]
    error: BaseException | None
    digest: str
    simulated_ms: int
    trace: Trace | None = None


def play(
    scenario: Callable[[], Awaitable[Any]],
    deviations: Iterable[Deviation] = (),
    *,
    seed: int = 0,
    catalogue: Catalogue | None = None,
    monitors: Iterable[Any] = (),
    rules: Iterable[Rule] = (),
    rest_ms: int = REST_MS,
    start_time: int | datetime | None = None,
    schedule: Schedule | None = None,
) -> Played:
    """Run a scenario once.

    Args:
        scenario: An async function without arguments.
        deviations: By what the run differs from the calm run.
        seed: Decides every random stream of the run.
        catalogue: What may go wrong with operations; None is the platform's own.
        monitors: What must hold while the worlds run, and when they have come to rest.
        rules: Faults that hold from the start (`emulator.faults`).
        rest_ms: How long everything may take to come to rest when a world is left.
        start_time: Where the clock starts, as for `emulator.run`.
        schedule: Decides latencies and ties beside the deviations; None is the calm run.

    Returns:
        What happened. A failure of the scenario is its `error`, and is not raised.

    Raises:
        WorldError: If a loop is already running in this thread.
        ConfigurationError: If an option has a wrong type or value.
    """
    simulation = Simulation(seed=seed, schedule=schedule, start_time=start_time)
    deviations = tuple(deviations)
    drawn = schedule.deviations if isinstance(schedule, Deviating) else ()
    try:
        Player(
            simulation,
            (*deviations, *drawn),
            catalogue=catalogue,
            monitors=monitors,
            rest_ms=rest_ms,
        )
        simulation.rules.add(*rules)
    except BaseException:
        simulation.loop.close()
        raise
    simulation.rules.is_quiet = True
    with collection_paused():
        played = _play(simulation, scenario, deviations)
        # The collector comes back to a simulation that is garbage.
        del simulation
    return played


def _play(
    simulation: Simulation,
    scenario: Callable[[], Awaitable[Any]],
    deviations: tuple[Deviation, ...],
) -> Played:
    error: BaseException | None = None
    try:
        with simulation.in_force():
            try:
                simulation.run(scenario)
            finally:
                simulation.close()
    except Exception as raised:
        if isinstance(raised, BdbQuit):
            raise  # Whoever debugs has had enough.
        error = raised
    except BaseException as raised:
        # pytest.fail() is no Exception.
        if type(raised).__name__ != "Failed":
            raise
        error = raised
    finally:
        simulation.loop.close()
    player, trace, clock = simulation.player, simulation.trace, simulation.clock
    assert player is not None
    played = Played(
        deviations=deviations,
        applied=tuple(player.applied),
        steps=player.steps(),
        error=error,
        digest=trace.digest(),
        simulated_ms=clock.now_ms - clock.start_ms,
        trace=trace,
    )
    player.stop()
    return played
