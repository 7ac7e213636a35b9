"""The life books: what enters an object, what it answers, and what its death leaves behind.

Promises: the input gate, the output gate and the power cut are checked from outside, by what
was observed and not by what the gates say of themselves. Leaves to others: gates and cuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, final

from emulator.durable_objects.life_observer import observe_lives
from emulator.testing.books import Book

if TYPE_CHECKING:
    from emulator.durable_objects.alarm_slot import StoredAlarm
    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.events import Event
    from emulator.durable_objects.instance import Instance
    from emulator.durable_objects.object_database import ObjectDatabase
    from emulator.durable_objects.record import ObjectRecord
    from emulator.http.miniflare import Miniflare
    from emulator.simulation.trace import TraceEvent

__all__ = ["AnswerBook", "HandlerBook", "LeakBook"]


class _LifeBook(Book):
    """A book that is told of lives."""

    def __init__(self, mf: Miniflare, name: str) -> None:
        super().__init__(mf, name)
        self._stop_observing = observe_lives(self.world.simulation, self)
        for record in self.records():
            if record.instance is not None:
                # It began before the watch.
                record.instance.observers = (*record.instance.observers, self)

    def stop(self) -> None:
        """Be told no more."""
        self._stop_observing()
        for record in self.records():
            if record.instance is not None:
                others = tuple(one for one in record.instance.observers if one is not self)
                record.instance.observers = others

    def life_began(self, instance: Instance) -> None:
        """An instance starts."""

    def event_began(self, instance: Instance, event: Event) -> None:
        """A handler starts."""

    def event_ended(self, instance: Instance, event: Event) -> None:
        """A handler has ended."""

    def event_answered(self, instance: Instance, event: Event) -> None:
        """Its answer leaves."""

    def life_ended(self, instance: Instance) -> None:
        """An instance has ended."""


@final
class HandlerBook(_LifeBook):
    """At most one handler at a time, where the platform promises it.

    Args:
        mf: The world.
        name: Of the invariant.
        bindings: Namespaces whose handlers shall not interleave at all.
    """

    def __init__(self, mf: Miniflare, name: str, bindings: tuple[str, ...]) -> None:
        super().__init__(mf, name)
        self._kinds = {mf.get_durable_object_namespace(binding).kind for binding in bindings}
        self._running: dict[ObjectRecord, dict[Event, None]] = {}

    def event_began(self, instance: Instance, event: Event) -> None:
        """See that it may begin."""
        record = instance.record
        if not self.is_ours(record):
            return
        running = self._running.setdefault(record, {})
        if record.instance is not instance:
            self.complain(f"{record.name} runs an event in an instance that is not its own")
        if not instance.input_gate.is_open_to(event.section):
            self.complain(f"{_event(event)} began in {record.name} in a critical section")
        if event.kind == "alarm" and any(one.kind == "alarm" for one in running):
            self.complain(f"the alarm handler of {record.name} began while it runs already")
        if running and record.kind in self._kinds:
            others = " and ".join(_event(one) for one in running)
            self.complain(f"{_event(event)} began in {record.name} beside {others}")
        running[event] = None

    def event_ended(self, instance: Instance, event: Event) -> None:
        """It makes room."""
        self._running.get(instance.record, {}).pop(event, None)

    def life_ended(self, instance: Instance) -> None:
        """Nothing of it runs any more."""
        self._running.pop(instance.record, None)


def _event(event: Event) -> str:
    return {"alarm": "its alarm", "fetch": "a request"}.get(event.kind, "a call")


class _Answer(NamedTuple):
    """Words that left before a write was durable."""

    time_ms: int
    commit_count: int
    what: str


@final
class AnswerBook(_LifeBook):
    """Every acknowledged write survives."""

    def __init__(self, mf: Miniflare, name: str) -> None:
        super().__init__(mf, name)
        self._early: dict[ObjectRecord, _Answer] = {}

    def event_answered(self, instance: Instance, event: Event) -> None:
        """See whether a power cut now would belie the answer."""
        record = instance.record
        units = record.database.units
        if event.kind == "alarm" or units is None or not self.is_ours(record):
            return
        if units.has_unflushed_writes:
            now_ms, commit_count = self.mf.clock.now_ms, record.database.commit_count
            self._early[record] = _Answer(now_ms, commit_count, _event(event))

    def life_ended(self, instance: Instance) -> None:
        """What was told and not yet durable is lost, unless it was flushed since."""
        record = instance.record
        answer = self._early.pop(record, None)
        if answer is not None and answer.commit_count == record.database.commit_count:
            self.complain(
                f"{record.name} answered {answer.what} at {self.seconds(answer.time_ms)}, and "
                "has now lost what it had written before: `allowUnconfirmed` lets an answer "
                "leave before the write is durable"
            )


class _Remains(NamedTuple):
    """What a dead instance left behind."""

    database: ObjectDatabase
    changes: int | None
    alarm: StoredAlarm
    calls_left: int


@final
class LeakBook(_LifeBook):
    """What a dead instance still tries takes no effect."""

    ENTRIES: ClassVar[dict[str, str]] = dict.fromkeys(
        ("alarm", "alarm.ack", "alarm.cancelled", "alarm.dropped", "alarm.failed"),
        "_alarm_moves",
    )

    def __init__(self, mf: Miniflare, name: str) -> None:
        super().__init__(mf, name)
        self._remains: dict[str, _Remains] = {}
        #: Those of dead instances that had calls on their way.
        self._lives: dict[str, list[IoContext]] = {}

    def read(self) -> None:
        """Count what those who are dead still do, too."""
        if self._remains:
            for event in self._events[self._read_count :]:
                actor = event.facts.get("actor")
                if actor in self._remains and event.kind not in ("fault", "hold"):
                    self._acts(str(actor), event)
        super().read()

    def _acts(self, actor: str, event: TraceEvent) -> None:
        remains = self._remains[actor]
        if remains.calls_left <= 0:
            self.complain(f"{actor} is dead, and yet {event.kind} of it took effect")
        self._remains[actor] = remains._replace(calls_left=remains.calls_left - 1)

    def life_ended(self, instance: Instance) -> None:
        """Remember what is stored, and how many calls are on their way."""
        record = instance.record
        if self.is_ours(record):
            # Those of former lives may still be on their way, too.
            lives = [*self._lives.get(record.name, ()), instance.context]
            self._lives[record.name] = lives = [one for one in lives if one.in_flight_count]
            # What it did up to now it did alive.
            calls = sum(one.in_flight_count for one in lives) + self._unread(record.name)
            self._remains[record.name] = _remains_of(record, calls)

    def _unread(self, actor: str) -> int:
        events = self._events[self._read_count :]
        return sum(1 for event in events if event.facts.get("actor") == actor)

    def life_began(self, instance: Instance) -> None:
        """See that nothing has changed in between."""
        remains = self._remains.pop(instance.record.name, None)
        if remains is not None and self.is_ours(instance.record):
            self._compare(instance.record, remains)

    def _alarm_moves(self, event: TraceEvent) -> None:
        """The platform itself writes, too: when an alarm is over."""
        remains = self._remains.get(event.subject)
        record = self.record_of(event.subject)
        if remains is not None and record is not None:
            self._remains[event.subject] = _remains_of(record, remains.calls_left)

    def _compare(self, record: ObjectRecord, remains: _Remains) -> None:
        now = _remains_of(record, 0)
        if now.database is remains.database and now[1:3] != remains[1:3]:
            self.complain(f"something was written to {record.name} while it was dead")

    def close(self) -> None:
        """Nothing has changed of those that are dead now."""
        for record in self.records():
            remains = self._remains.get(record.name)
            if remains is not None and record.instance is None:
                self._compare(record, remains)
        self.read()


def _remains_of(record: ObjectRecord, calls_left: int) -> _Remains:
    database = record.database
    sqlite = database.sqlite
    changes = None if sqlite is None else sqlite.total_changes
    return _Remains(database, changes, database.alarm.now, calls_left)
