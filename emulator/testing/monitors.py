"""Monitors: what must hold while a world runs. A door, not a room.

    async with watching(mf, always(lambda mf: len(mf.logs) < 10)):
        await mf.dispatch_fetch("http://localhost/start")

Promises: the public names of `emulator.simulation.monitors` and `watching`. Leaves to others:
everything else.
"""

from __future__ import annotations

from emulator.simulation.monitors import always, eventually, never, sometimes
from emulator.simulation.watching import watching

__all__ = ["always", "eventually", "never", "sometimes", "watching"]
