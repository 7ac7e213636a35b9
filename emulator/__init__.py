"""Amber emulator: Cloudflare Workers designs in one process, under simulated time.

- `run`: like `asyncio.run`, on a fresh simulated loop.
- `Miniflare`: a worker with its Durable Objects, R2, D1 and services.
- `explore`: a scenario in every world that differs by a few faults, crashes and orders.
- `faults`: rules for what goes wrong: missing, vanish, error, latency, crash.
- `schedules`: what decides where the platform leaves a choice: fifo, random, pct, replay.
- `testing`: helpers for Durable Objects, and the pytest plugin.
- `errors`: what a worker catches (`JsException`), and what a test does.
- `emulator.workerd.Miniflare`: the same on the real runtime; import it from there.

What a worker imports is `workers`, `js` and `pyodide`: importing this package makes them
importable. `python -m emulator --help` has the command line.

Names are loaded when they are first used: importing this package costs milliseconds, and
does not import boto3, moto, httpx or pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.sdk import finder as _finder

if TYPE_CHECKING:
    from emulator import faults, schedules, testing
    from emulator.exploration import explore
    from emulator.http.miniflare import Miniflare
    from emulator.simulation.runner import run

__all__ = ["Miniflare", "explore", "faults", "run", "schedules", "testing"]

_finder.install()

_HOMES = {
    "Miniflare": "emulator.http.miniflare",
    "explore": "emulator.exploration",
    "run": "emulator.simulation.runner",
}
_ROOMS = ("errors", "faults", "schedules", "testing")


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"emulator.{name}")
    message = f"module 'emulator' has no attribute {name!r}"
    raise AttributeError(message)
