"""The pending book: what was accepted and is still pending when the world is at rest.

Promises: every object, request and call of the test is asked once, at rest; a failure names
each of them and says who waits for whom. Leaves to others: what happens while the world runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from emulator.runtime.invocation import Invocation
from emulator.simulation.waiters import describe_waiters
from emulator.testing.books import Book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.durable_objects.record import ObjectRecord

__all__ = ["PendingBook"]


@final
class PendingBook(Book):
    """See the module."""

    def close(self) -> None:
        """Complain of everything that is pending."""
        found = list(self._pending())
        if not found:
            return
        waiters = describe_waiters(self.world.simulation.loop)
        told = "".join(f"\n  - {line}" for line in waiters)
        raise self.failure(f"at rest, and yet {'; '.join(found)}{told}\n")

    def _pending(self) -> Iterator[str]:
        for record in self.records():
            yield from _pending_of(record)
        for owner in self.world.simulation.loop.owners():
            if isinstance(owner, Invocation) and owner.context.world is self.world:
                yield f"an event of {owner.context.name} goes on"
        count = self.world.outside.in_flight_count
        if count:
            yield f"{_counted(count, 'call')} of the test had no answer"


def _pending_of(record: ObjectRecord) -> Iterator[str]:
    instance, name = record.instance, record.name
    if instance is None:
        return
    gate = instance.input_gate.statistics()
    if instance.events:
        yield f"{_counted(len(instance.events), 'event')} of {name} had no answer"
    if gate.waiter_count:
        section = ", held by a critical section" if gate.is_section_active else ""
        yield f"{gate.waiter_count} wait at the input gate of {name}{section}"
    if instance.background:
        yield f"work that {name} handed to waitUntil goes on"
    if instance.context.in_flight_count:
        yield f"{_counted(instance.context.in_flight_count, 'call')} of {name} had no answer"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
