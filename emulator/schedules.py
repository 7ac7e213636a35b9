"""Schedules: what decides wherever the platform leaves a choice. A door, not a room.

    emulator.run(main, schedule=schedules.random(7))

Promises: the public names of `emulator.simulation.schedules`. Leaves to others: everything
else.
"""

from __future__ import annotations

from emulator.simulation.schedules import (
    Schedule,
    fifo,
    from_hypothesis,
    pct,
    random,
    replay,
)

__all__ = ["Schedule", "fifo", "from_hypothesis", "pct", "random", "replay"]
