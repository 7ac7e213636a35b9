"""Statistics: the objects of a world seen from outside, for a report.

Promises: a small value, whatever the world holds. Leaves to others: what is told of an object,
and the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from emulator.durable_objects.alarms import AlarmState
from emulator.durable_objects.statistics import ObjectStatistics, object_statistics

if TYPE_CHECKING:
    from emulator.durable_objects.record import ObjectRecord
    from emulator.runtime.world import World

__all__ = ["WorldStatistics", "statistics_of"]

OBJECTS_MAX: Final = 20


@final
@dataclass(frozen=True, slots=True)
class WorldStatistics:
    """The objects of one world.

    Attributes:
        name: The world's, or "".
        object_count: How many objects were ever reached.
        objects: Some of them.
    """

    name: str
    object_count: int
    objects: tuple[ObjectStatistics, ...]


def statistics_of(world: World) -> WorldStatistics:
    """What the objects of a world hold: those with an alarm first, then the last active."""
    records = [r for namespace in world.namespaces.values() for r in namespace.records()]
    shown = sorted(records, key=_rank)[:OBJECTS_MAX]
    return WorldStatistics(
        world.options.name, len(records), tuple(object_statistics(record) for record in shown)
    )


def _rank(record: ObjectRecord) -> tuple[bool, int]:
    instance = record.instance
    active_ms = 0 if instance is None else instance.context.last_active_ms
    return record.alarms.state is AlarmState.NONE, -active_ms
