"""The emulator as a target: programs run here, each in a world of its own.

Promises: a program comes out the same whenever it runs with the same seed and schedule.
Leaves to others: what the ops do (interpreter), comparing (comparison).
"""

from __future__ import annotations

import asyncio
import json
import warnings
from typing import TYPE_CHECKING, Any, Final

import emulator
from emulator.conformance import interpreter
from emulator.conformance.operations import TABLE_PREFIX
from emulator.conformance.program import CLASSES, WORKER_NAME, durable_objects
from emulator.conformance.real_target import HANG_MS, wait_ms
from emulator.conformance.recorder import Run
from emulator.errors import ConfigurationError, SimulationError

if TYPE_CHECKING:
    from emulator.conformance.program import Program
    from emulator.simulation.schedules import Schedule

__all__ = ["NAME", "run_program", "world_options"]


def _version() -> str:
    from importlib.metadata import version

    return f"emulator {version('amber-emulator')}"


NAME: Final = _version()


def run_program(
    program: Program,
    *,
    seed: int = 0,
    schedule: Schedule | None = None,
    limits: str = "workerd",
) -> dict[str, Any]:
    """Run a program on the emulator.

    Args:
        program: What to run.
        seed: Decides every random stream.
        schedule: Decides latencies and ties; None is the calm run.
        limits: The profile.

    Returns:
        The outcome as JSON. If nothing could ever go on, or nothing ever ended, it has
        `error`, and the steps that were finished.
    """
    outcome: dict[str, Any] = {"program": program.name, "target": NAME, "steps": []}
    # As long as on the real runtime; an alarm that sets itself again would go on for ever.
    ms_max = wait_ms(program.source) + HANG_MS

    async def main() -> None:
        async with emulator.Miniflare(**world_options(program, limits)) as mf:
            run = Run(program, mf.clock.now_ms)
            try:
                with interpreter.running(run):
                    async with asyncio.timeout(ms_max / 1000):
                        await mf.dispatch_fetch("http://conform/")
            finally:
                outcome["steps"] = [tell() for tell in run.tellers]

    try:
        with warnings.catch_warnings():
            # They are for whoever writes a worker, and programs ask for what is strange.
            warnings.simplefilter("ignore")
            emulator.run(main, seed=seed, schedule=schedule)
    except ConfigurationError as error:
        # Such a world cannot be had here, which is an outcome too.
        outcome["error"] = {"name": "ConfigurationError", "message": str(error)}
    except (SimulationError, TimeoutError) as error:
        message = str(error) or f"the program did not end within {ms_max} ms"
        outcome["error"] = {"name": "ProgramHangs", "message": message}
    text = json.dumps(outcome)
    found: dict[str, Any] = json.loads(text.replace(TABLE_PREFIX, "@@"))
    return found


def world_options(program: Program, limits: object) -> dict[str, Any]:
    """A world with what the program uses: to make the rest would take most of the time.

    Args:
        program: Whose world it is.
        limits: The option of that name.
    """
    source = json.dumps(program.source)
    classes = [
        name
        for name in CLASSES
        if name == program.class_name or f'"env.{name.upper()}.' in source
    ]
    return {
        "name": WORKER_NAME,
        "worker": interpreter,
        "durable_objects": durable_objects(classes),
        "r2_buckets": ["BUCKET"] if '"r2.' in source else [],
        "service_bindings": {"SELF": interpreter} if '"request"' in source else {},
        "d1_databases": ["DB"] if '"d1.' in source else [],
        "compatibility_date": program.compatibility_date,
        "compatibility_flags": list(program.compatibility_flags),
        "limits": limits,
    }
