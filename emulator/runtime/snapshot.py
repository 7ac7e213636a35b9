"""The snapshot: everything that a world has stored, at one instant.

Promises: what a power cut would leave of objects with their alarms, R2 with its uploads, D1
and the variables; a value that never changes, belongs to no simulation, and fits every world
with the same bindings. It lives in memory only. Leaves to others: what each binding holds
(the bindings), a new world of it (the world).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from emulator.errors import ConfigurationError
from emulator.values import structured_clone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.bindings.d1.database import D1Snapshot
    from emulator.bindings.r2.store import R2StoreSnapshot
    from emulator.durable_objects.record import ObjectSnapshot
    from emulator.runtime.world import World

__all__ = ["WorldSnapshot", "fill", "take"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSnapshot:
    """A world at one instant. Made by `snapshot`, used by `restore`.

    Attributes:
        time_ms: When it was taken, epoch milliseconds.
        bindings: What each binding is, in words; a world must have the same.
        namespaces: The objects by binding.
        buckets: R2 by real bucket name.
        databases: D1 by binding.
        variables: Variables by binding.
    """

    time_ms: int
    bindings: Mapping[str, str]
    namespaces: Mapping[str, tuple[ObjectSnapshot, ...]]
    buckets: Mapping[str, R2StoreSnapshot]
    databases: Mapping[str, D1Snapshot]
    variables: Mapping[str, Any]

    def __repr__(self) -> str:
        object_count = sum(map(len, self.namespaces.values()))
        held = ", ".join(self.bindings) or "no bindings"
        return f"<WorldSnapshot at {self.time_ms}: {held}; {object_count} objects>"


def take(world: World) -> WorldSnapshot:
    """What a power cut of everything would leave of a world now."""
    storage = world.storage
    return WorldSnapshot(
        time_ms=world.simulation.clock.now_ms,
        bindings=_bindings(world),
        namespaces={name: found.snapshot() for name, found in world.namespaces.items()},
        buckets={} if storage is None else storage.snapshot(),
        databases={name: found.snapshot() for name, found in world.databases.items()},
        variables=_variables(vars(world.env), world.options.bindings),
    )


def fill(world: World, snapshot: WorldSnapshot) -> None:
    """Let a world hold what a snapshot holds, and nothing else.

    Raises:
        ConfigurationError: If it has other bindings.
    """
    _check_same(snapshot.bindings, _bindings(world))
    for name, namespace in world.namespaces.items():
        namespace.restore(snapshot.namespaces[name])
    if world.storage is not None:
        world.storage.restore(snapshot.buckets)
    for name, database in world.databases.items():
        database.restore(snapshot.databases[name])
    vars(world.env).update(_variables(snapshot.variables, snapshot.variables))


def _variables(bindings: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Copies, since worker code may change what it is bound to."""
    return {
        name: structured_clone(bindings[name], for_storage=True)
        for name in names
        if name in bindings
    }


def _bindings(world: World) -> dict[str, str]:
    options = world.options
    return {
        **{
            # Ids hold for their key only.
            name: f"class {given.class_name} (ids of {world.namespaces[name].unique_key!r})"
            for name, given in options.durable_objects.items()
        },
        **{name: f"bucket {bucket!r}" for name, bucket in options.r2_buckets.items()},
        **dict.fromkeys(options.d1_databases, "a D1 database"),
        **dict.fromkeys(options.bindings, "a variable"),
    }


def _check_same(there: Mapping[str, str], here: Mapping[str, str]) -> None:
    differences = [
        f"{name} is {there.get(name, 'missing')} there and {here.get(name, 'missing')} here"
        for name in {**there, **here}
        if there.get(name) != here.get(name)
    ]
    if differences:
        message = "this snapshot is of a world with other bindings: " + "; ".join(differences)
        raise ConfigurationError(message)
