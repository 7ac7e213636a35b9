"""The alarm slot: the one alarm time that an object stores.

States of a slot, as workerd's actor-sqlite.c++ has them:

* `time_ms is None`: no alarm.
* `time_ms`, shown: `getAlarm` tells it.
* `time_ms`, hidden ("deferred delete"): its handler runs. `getAlarm` tells null, but the time
  stays stored, so that a power cut runs the handler again. Success deletes it for good,
  failure shows it again. Any `setAlarm` or `deleteAlarm` ends the hiding: what it stores is
  then the truth, and neither success nor failure of the handler touches it.

Each change belongs to the unit and the transaction in which it is made, and becomes
`durable` with it; only then the scheduler is told.

Promises: this state machine, with rollback. Leaves to others: arguments (the storage), when
units end (the units), when handlers run (the scheduler).
"""

from __future__ import annotations

from typing import NamedTuple, final

__all__ = ["AlarmSlot", "StoredAlarm"]


class StoredAlarm(NamedTuple):
    """What the slot holds at one point.

    Attributes:
        time_ms: Epoch milliseconds; None is no alarm.
        is_hidden: Its handler runs and has not set or deleted an alarm.
        change: Which set or delete this is; the scheduler is told of those it has not seen.
    """

    time_ms: int | None = None
    is_hidden: bool = False
    change: int = 0

    def hidden(self, time_ms: int | None) -> StoredAlarm:
        """The handler of `time_ms` starts: any other stored time stays visible."""
        if self.time_ms is None or self.time_ms != time_ms:
            return self
        return self._replace(is_hidden=True)

    def finished(self, *, succeeded: bool) -> StoredAlarm:
        """The handler is over: delete a hidden time for good, or else show it again."""
        if not self.is_hidden:
            return self
        return self._replace(time_ms=None if succeeded else self.time_ms, is_hidden=False)


@final
class AlarmSlot:
    """The alarm time of one object.

    Args:
        time_ms: What is stored on disk.

    Attributes:
        now: What code that runs now sees.
        durable: What would be left after a power cut.
    """

    __slots__ = ("_changes", "durable", "now")

    def __init__(self, time_ms: int | None = None) -> None:
        self.now = self.durable = StoredAlarm(time_ms)
        self._changes = 0

    @property
    def visible_time_ms(self) -> int | None:
        """What `getAlarm` tells."""
        return None if self.now.is_hidden else self.now.time_ms

    def set(self, time_ms: int | None) -> None:
        """Store a time, or None for no alarm; the scheduler hears of it even if it is equal."""
        self._changes += 1
        self.now = StoredAlarm(time_ms, is_hidden=False, change=self._changes)

    def keep(self) -> None:
        """End the hiding and tell nobody: what the local runtime does with an equal time."""
        self.now = self.now._replace(is_hidden=False)
        self.durable = self.durable._replace(is_hidden=False)

    def __repr__(self) -> str:
        return f"<AlarmSlot now={self.now} durable={self.durable}>"
