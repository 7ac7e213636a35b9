"""Snapshots: a world's data at one instant, put back, or put into another world.

Promises: `reset` of `cloudflare:test`, and ours: `snapshot`, `restore` and `fork`. A snapshot
holds what is durable at this instant, as a power cut of everything would leave it: a write
that waits for its flush, an open transaction and the body of a `put` under way are not in it.
It is a value in memory, for this process only. Bytes are shared, never copied twice: SQLite's
pages once, R2's not at all, and a world that holds a snapshot opens each database when it is
first used. Leaves to others: what each binding holds (the rooms below).
"""

from __future__ import annotations

from emulator.http.miniflare import Miniflare
from emulator.runtime.snapshot import WorldSnapshot
from emulator.simulation.calls import awaited
from emulator.testing.arguments import checked_world, wrong_argument

__all__ = ["fork", "reset", "restore", "snapshot"]


@awaited
async def reset(mf: Miniflare) -> None:
    """Delete all data of all bindings: objects with their alarms, R2, D1.

    Running objects are reset. Schemas and migrations that were given as options are applied
    again. Time, seed, trace and logs go on.

    Args:
        mf: Whose data.

    Raises:
        TypeError: If it is no Miniflare.
    """
    checked_world("reset", mf).reset()


def snapshot(mf: Miniflare) -> WorldSnapshot:
    """What is durable in a world now: objects with their alarms, R2, D1, variables.

    Nothing is disturbed: what runs goes on, and what waits to become durable will.

    Args:
        mf: Whose data.

    Returns:
        A value for `restore`, as often as wanted, also into another world and another
        simulation of this process.

    Raises:
        TypeError: If it is no Miniflare.
        WorldError: If it was disposed.
    """
    return checked_world("snapshot", mf).snapshot()


def restore(mf: Miniflare, snapshot: WorldSnapshot) -> None:
    """Put a world's data back to a snapshot.

    Running objects are reset, and whoever waits for one is told "Application called
    restore()."; what is under way to R2 or D1 still arrives, as after a power cut. Time,
    seed, trace and logs go on: alarms keep their times, and one that is overdue runs at
    once and as a first run.

    Args:
        mf: Whose data. Its bindings must be those of the snapshot's world.
        snapshot: What `snapshot` gave.

    Raises:
        TypeError: If an argument is of another type.
        ConfigurationError: If the bindings differ; the message names them.
        WorldError: If `mf` was disposed.
    """
    world = checked_world("restore", mf)
    if not isinstance(snapshot, WorldSnapshot):
        raise wrong_argument("restore", 2, "WorldSnapshot")
    world.restore(snapshot)


def fork(mf: Miniflare) -> Miniflare:
    """A new world that holds what is durable in another one now, to go its own way.

        async with fork(mf) as other:
            ...

    It has the same options and a fresh run of the script. Neither sees what the other writes.
    It is another part of the same simulation: time, seed, trace and fault rules are shared,
    and its objects bear the same names in the trace. Functions given as `outbound_service` or
    `service_bindings` are the same ones. Its logs start empty; no object of it runs yet, and
    its alarms are armed when it is entered.

    Args:
        mf: What it is forked from, as it is at this call.

    Returns:
        A Miniflare, to be entered.

    Raises:
        TypeError: If it is no Miniflare.
        WorldError: If it was disposed.
    """
    return Miniflare.forked(checked_world("fork", mf))
