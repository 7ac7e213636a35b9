"""Replay: `python -m emulator replay TOKEN`, one run once more.

Promises: the scenario that the token names is imported and run under the token's seed and
deviations, in this thread, with no limit of real time, so that a debugger may stop it; what
deviated is told in sentences, and then how it ended. Leaves to others: what a token holds, and
running it.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator import faults
from emulator.catalogue import CATALOGUE
from emulator.errors import ConfigurationError
from emulator.simulation.deviations import At
from emulator.simulation.findings import sentences_of
from emulator.simulation.playing import play
from emulator.simulation.schedules import Random
from emulator.simulation.tokens import Token, read_token, resolve

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from emulator.simulation.playing import Played

__all__ = ["add_arguments", "replayed", "run_command"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("token", metavar="TOKEN", help="as a report of exploration prints it")
    parser.add_argument(
        "--scenario",
        default="",
        metavar="MODULE:FUNCTION",
        help="what to run; FILE.py:FUNCTION will do, too (default: what the token names)",
    )


def run_command(options: argparse.Namespace) -> int:
    """Replay a token.

    Returns:
        0 if the run passes, 1 if it fails again, 2 if there is nothing to run.
    """
    # As Python itself has it for a script: what lies here can be imported.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        token = read_token(options.token)
        scenario = _scenario(options.scenario or token.scenario)
        played = replayed(token, scenario)
    except ConfigurationError as error:
        sys.stderr.write(f"emulator replay: {error}\n")
        return 2
    _tell(token, options.scenario or token.scenario, played)
    return 0 if played.error is None else 1


def _scenario(name: str) -> Callable[[], Awaitable[Any]]:
    if not name:
        message = (
            "the token names no scenario, since that is a function inside of another: run "
            "its test with `pytest --emulator-replay TOKEN`, or name one by --scenario"
        )
        raise ConfigurationError(message)
    scenario = resolve(name)
    if not inspect.iscoroutinefunction(scenario):
        message = f"{name} is no async function, so it is no scenario: {scenario!r}"
        raise ConfigurationError(message)
    found: Callable[[], Awaitable[Any]] = scenario
    return found


def replayed(token: Token, scenario: Callable[[], Awaitable[Any]], **options: Any) -> Played:
    """Run a scenario as a token says.

    Args:
        token: What decides the run.
        scenario: What is run.
        options: As of `play`: `monitors` and `rules`, where they are at hand.
    """
    options.setdefault("monitors", [resolve(name) for name in token.invariants])
    options.setdefault("rules", [faults.from_json(text) for text in token.rules])
    return play(
        scenario,
        token.deviations,
        seed=token.seed,
        catalogue=CATALOGUE,
        rest_ms=token.rest_ms,
        start_time=token.start_ms,
        schedule=None if token.jitter is None else Random(token.jitter),
        **options,
    )


def _tell(token: Token, name: str, played: Played) -> None:
    seed = f", seed {token.seed}" if token.seed else ""
    _say(f"{name}{seed}, in which:")
    named = [one for one in played.applied if not isinstance(one, At)]
    for number, sentence in enumerate(sentences_of(named, played, CATALOGUE), 1):
        _say(f"  {number}. {sentence}")
    for one in token.deviations:
        if one not in played.applied and not isinstance(one, At):
            _say(f"  and this did not come about: {one!r}")
    if token.jitter is not None:
        _say(f"  and latencies and ties are drawn: schedules.random({token.jitter})")
    if token.left_out:
        _say(
            f"  ({token.left_out} invariants or rules of the exploration have no name, so they "
            "are not asked here; `pytest --emulator-replay TOKEN` asks them)"
        )
    steps = f"{len(played.steps)} operations, {played.simulated_ms:,} simulated ms"
    if played.error is None:
        _say(f"passes ({steps})")
        return
    _say(f"fails ({steps}):")
    sys.stdout.flush()
    traceback.print_exception(played.error, file=sys.stdout)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
