"""Frame: something of the storage that is open, and can be undone by itself.

Promises: what has to be known for that. Leaves to others: doing it (the units).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from emulator.durable_objects.alarm_slot import StoredAlarm

__all__ = ["Frame"]


@final
class Frame:
    """One thing that can be rolled back by itself: a unit, a transaction, a savepoint.

    Attributes:
        alarm: The slot's state when it was opened, to go back to.
        savepoint: Its SAVEPOINT; None is the BEGIN itself. Meaningless until it is begun.
        is_begun: A write has made it real in SQLite.
        is_open: It is neither committed nor rolled back.
        has_confirmed_writes: Something in it must be durable before words may leave.
        outer: The transaction around this one, if both are transactions.
    """

    __slots__ = (
        "alarm", "has_confirmed_writes", "is_begun", "is_open", "outer", "savepoint",
    )  # fmt: skip

    def __init__(self, alarm: StoredAlarm) -> None:
        self.alarm = alarm
        self.savepoint: str | None = None
        self.is_begun = False
        self.is_open = True
        self.has_confirmed_writes = False
        self.outer: Frame | None = None
