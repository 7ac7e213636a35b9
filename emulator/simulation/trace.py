"""The trace: every event of a simulation, in order, and one hash over them.

Promises: two runs that did the same have the same digest, byte for byte, in any process;
no memory address, hash or real time ever enters. Leaves to others: what is worth an event.
"""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.simulation.clock import Clock

__all__ = ["Fact", "Trace", "TraceEvent"]

Fact = str | int | bool | float | None


class TraceEvent(NamedTuple):
    """One event.

    Attributes:
        time_ms: Simulated milliseconds since the Unix epoch.
        kind: What happened, such as "r2.head", "alarm", "fault", "crash".
        subject: Who or what it happened to.
        facts: The rest, by name.
    """

    time_ms: int
    kind: str
    subject: str
    facts: dict[str, Fact]

    def __str__(self) -> str:
        facts = " ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{self.time_ms} {self.kind} {self.subject} {facts}".rstrip()


@final
class Trace:
    """The events of one simulation.

    Args:
        clock: Gives each event its time.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        #: All events, oldest first.
        self.events: list[TraceEvent] = []
        self._observers: tuple[Callable[[TraceEvent], None], ...] = ()

    def record(self, kind: str, subject: str, **facts: Fact) -> None:
        """Write one event at the present instant."""
        event = TraceEvent(self.clock.now_ms, kind, subject, facts)
        self.events.append(event)
        for observer in self._observers:
            observer(event)

    def observe(self, observer: Callable[[TraceEvent], None]) -> Callable[[], None]:
        """Call `observer(event)` after every event, until the returned function is called."""
        self._observers = (*self._observers, observer)

        def stop() -> None:
            self._observers = tuple(o for o in self._observers if o is not observer)

        return stop

    def of_kind(self, *kinds: str) -> list[TraceEvent]:
        """The events of the given kinds, oldest first."""
        return [event for event in self.events if event.kind in kinds]

    def most_frequent(self, count: int = 1_000, kinds_max: int = 5) -> str:
        """What the last events were about, in words: for whoever asks what never ends.

        Args:
            count: How many events are looked at.
            kinds_max: How many pairs of kind and subject are told.
        """
        last = self.events[-count:]
        counted = Counter(f"{event.kind} of {event.subject}" for event in last)
        told = ", ".join(f"{n:,} {what}" for what, n in counted.most_common(kinds_max))
        return f"of the last {len(last):,} events {told}" if last else "no event was traced"

    def digest(self) -> str:
        """One hash over all events so far: 64 hex digits of SHA-256."""
        # All at once: an encoder costs more than what it encodes.
        return sha256(json.dumps(self.events, sort_keys=True).encode()).hexdigest()

    def __iter__(self) -> Iterator[TraceEvent]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        return f"<Trace {len(self.events)} events>"
