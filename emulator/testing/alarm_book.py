"""The alarm book: every alarm that was set, until it has run.

Promises: an alarm that has become durable runs at its time or later, never before, until its
handler has succeeded, unless another one replaces it, it is deleted, or its handler has failed
so often that it is given up. Leaves to others: when alarms run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from emulator.testing.books import Book

if TYPE_CHECKING:
    from emulator.durable_objects.object_database import ObjectDatabase
    from emulator.durable_objects.record import ObjectRecord
    from emulator.http.miniflare import Miniflare
    from emulator.simulation.trace import TraceEvent

__all__ = ["AlarmBook"]


@final
class _Page:
    """The alarm of one object.

    Attributes:
        due_ms: Durable, and yet to run; None is nothing to wait for.
        running_ms: The one whose handler runs; None is none.
    """

    __slots__ = ("change", "database", "due_ms", "record", "running_ms")

    def __init__(self, record: ObjectRecord) -> None:
        self.record = record
        self.database: ObjectDatabase | None = None
        self.change = 0
        self.due_ms: int | None = None
        self.running_ms: int | None = None

    def look(self) -> None:
        """See whether another alarm has become durable."""
        database = self.record.database
        durable = database.alarm.durable
        if database is not self.database:
            # Erased, or filled from a snapshot: what was before is no more.
            self.database, self.running_ms = database, None
        elif durable.change == self.change:
            return
        self.change, self.due_ms = durable.change, durable.time_ms

    def put_back(self) -> None:
        """The handler did not come to a good end: it runs again, if it is still stored."""
        self.running_ms = None
        self.due_ms = self.record.stored_alarm_ms()


@final
class AlarmBook(Book):
    """See the module.

    Args:
        mf: The world.
        name: Of the invariant.
        may_give_up: Whether an alarm may end by failing too often.
    """

    ENTRIES: ClassVar[dict[str, str]] = {
        "alarm": "_runs",
        "alarm.ack": "_is_done",
        "alarm.cancelled": "_is_done",
        "alarm.dropped": "_is_dropped",
        "alarm.failed": "_has_failed",
        "crash": "_has_failed",
        "evict": "_looks",
        "recovery": "_has_failed",
        "reset": "_looks",
        "storage.flush": "_looks",
    }

    def __init__(self, mf: Miniflare, name: str, *, may_give_up: bool) -> None:
        super().__init__(mf, name)
        self._may_give_up = may_give_up
        self._pages: dict[str, _Page | None] = {}

    def _page(self, event: TraceEvent) -> _Page | None:
        page = self._pages.get(event.subject)
        if page is None:
            record = self.record_of(event.subject)
            if record is None:
                return None
            page = self._pages[event.subject] = _Page(record)
        page.look()
        return page

    def _looks(self, event: TraceEvent) -> None:
        self._page(event)

    def _runs(self, event: TraceEvent) -> None:
        page = self._page(event)
        if page is None:
            return
        scheduled_ms = int(event.facts["scheduled_time"] or 0)
        if event.time_ms < scheduled_ms:
            self.complain(
                f"the alarm of {event.subject} for {self.seconds(scheduled_ms)} ran at "
                f"{self.seconds(event.time_ms)}"
            )
        if page.due_ms == scheduled_ms:
            page.due_ms = None
        page.running_ms = scheduled_ms

    def _is_done(self, event: TraceEvent) -> None:
        page = self._page(event)
        if page is not None:
            page.running_ms = None

    def _is_dropped(self, event: TraceEvent) -> None:
        page = self._page(event)
        if page is None:
            return
        page.due_ms = page.running_ms = None
        if not self._may_give_up:
            self.complain(
                f"the alarm of {event.subject} has failed too often and was given up: nothing "
                "will wake the object any more"
            )

    def _has_failed(self, event: TraceEvent) -> None:
        page = self._page(event)
        if page is not None:
            page.put_back()

    def close(self) -> None:
        """No alarm is left that will not run."""
        for record in self.records():
            event = _at_rest(record)
            if event is not None:
                raise self.failure(event)
        for name, page in self._pages.items():
            if page is None or page.record.alarms.due_ms is not None:
                continue
            page.look()
            if page.due_ms is not None:
                message = (
                    f"the alarm of {name} for {self.seconds(page.due_ms)} never ran, and "
                    "nothing has replaced, deleted or dropped it"
                )
                raise self.failure(message)


def _at_rest(record: ObjectRecord) -> str | None:
    """What is wrong with the alarm of an object at rest, if anything is."""
    if record.alarms.due_ms is None and record.stored_alarm_ms() is not None:
        return f"{record.name} stores an alarm that nothing will ever deliver"
    return None
