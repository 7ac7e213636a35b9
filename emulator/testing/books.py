"""Books: what a stock invariant writes down of one world, from its trace.

Promises: each event of the trace is read once, and only the kinds that the book has a method
for cost more than a look; a violation is raised when the turn in which it happened is over.
Leaves to others: what is written down (each invariant), and when it is read (watching).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

from emulator.errors import MonitorFailure
from emulator.simulation.conditions import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.record import ObjectRecord
    from emulator.http.miniflare import Miniflare
    from emulator.runtime.world import World

__all__ = ["Book", "BookMonitor"]


class Book:
    """What one invariant knows of one world.

    Args:
        mf: The world.
        name: Of the invariant.
    """

    #: What is done with an event, by its kind in the trace: names of methods.
    ENTRIES: ClassVar[dict[str, str]] = {}

    def __init__(self, mf: Miniflare, name: str) -> None:
        self.mf = mf
        self.world: World = mf.world
        self._name = name
        self._events = mf.trace.events
        self._read_count = len(self._events)
        self._entries = {kind: getattr(self, method) for kind, method in self.ENTRIES.items()}
        self._complaint: str | None = None

    def read(self) -> None:
        """Enter what has happened since the last time.

        Raises:
            MonitorFailure: If it violates the invariant.
        """
        events = self._events
        if len(events) != self._read_count:
            entries = self._entries
            for index in range(self._read_count, len(events)):
                enter = entries.get(events[index].kind)
                if enter is not None:
                    enter(events[index])
            self._read_count = len(events)
        if self._complaint is not None:
            raise self.failure(self._complaint)

    def close(self) -> None:
        """The world is at rest: look for what is missing."""

    def stop(self) -> None:
        """Nothing more is written down."""

    def complain(self, text: str) -> None:
        """Something is wrong; raised when the turn is over."""
        if self._complaint is None:
            self._complaint = text

    def failure(self, text: str) -> MonitorFailure:
        """The error for a violation."""
        message = f"{self._name}: {text} ({moment(self.mf)})"
        return MonitorFailure(message, monitor=self._name, time_ms=self.mf.clock.now_ms)

    def seconds(self, time_ms: int) -> str:
        """An instant, in words."""
        return f"+{(time_ms - self.mf.clock.start_ms) / 1000:.3f} s"

    def record_of(self, name: str) -> ObjectRecord | None:
        """The object of this name in the trace, if it is this world's and no other's.

        Forks share the trace and have objects of the same names.
        """
        found: list[ObjectRecord] = [
            record
            for world in self.world.simulation.endings
            for namespace in getattr(world, "namespaces", {}).values()
            for record in namespace.records()
            if record.name == name
        ]
        return found[0] if len(found) == 1 and self.is_ours(found[0]) else None

    def is_ours(self, record: ObjectRecord) -> bool:
        """Whether an object belongs to this world; a simulation may have several."""
        return record.kind.process is self.world.process

    def records(self) -> list[ObjectRecord]:
        """Every object of the world."""
        return [r for n in self.world.namespaces.values() for r in n.records()]


@final
class BookMonitor:
    """A monitor that keeps a book for each world.

    Args:
        name: What it demands, as the call that made it.
        open_book: Makes the book of a world.
    """

    def __init__(self, name: str, open_book: Callable[[Miniflare, str], Book]) -> None:
        self.name = name
        self._open_book = open_book
        self._books: dict[Any, Book] = {}

    @property
    def made_by(self) -> str:
        """The call that makes it again, for tokens."""
        return f"emulator.testing.invariants:{self.name}"

    def begin(self, mf: Any) -> None:
        """A world was entered."""
        # Those of runs that failed were never closed.
        self._books = {m: b for m, b in self._books.items() if not b.world.is_disposed}
        self._books[mf] = self._open_book(mf, self.name)

    def observe(self, mf: Any) -> None:
        """An event is over."""
        self._books[mf].read()

    def end(self, mf: Any) -> None:
        """The world is at rest."""
        book = self._books.pop(mf, None)
        if book is None:
            return
        book.stop()
        book.read()
        book.close()

    def conclude(self, run_count: int) -> None:
        """Nothing to say."""

    def __repr__(self) -> str:
        return f"invariants.{self.name}"
