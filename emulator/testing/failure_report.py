"""The failure report: what happened in simulated time before a test failed.

Promises: the seed, the last events of the trace in words, the faults that nothing matched,
each object's storage and alarm, and the workers' logs, oldest first, each with its time from
the start. Every world of the simulation is in it: one that lives as it is now, one that an
error has ended as it was then. Its size is bounded. Leaves to others: showing it (the
plugin).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from emulator.durable_objects.statistics import AlarmStatistics, ObjectStatistics
    from emulator.runtime.console import Console
    from emulator.runtime.statistics import WorldStatistics
    from emulator.simulation.runner import Simulation
    from emulator.simulation.trace import TraceEvent

__all__ = ["describe", "in_words"]

EVENTS_SHOWN_MAX: Final = 20
LOGS_SHOWN_MAX: Final = 50
WORLDS_SHOWN_MAX: Final = 5
OBJECT_LINES_MAX: Final = 150
#: Characters of one event or log line.
LINE_MAX: Final = 500

#: One sentence for each kind of event; calls have none.
_SENTENCES: Final = {
    "alarm": "{subject}: the alarm runs{again}",
    "alarm.ack": "{subject}: the alarm has succeeded",
    "alarm.dropped": "{subject}: the alarm has failed too often and is given up",
    "alarm.failed": "{subject}: the alarm has failed with {error}",
    "crash": "{subject}: power cut ({cause})",
    "evict": "{subject}: evicted",
    "fault": "fault at {subject} of {actor}: {rule}",
    "recovery": "{subject}: its storage goes back to a bookmark",
    "reset": "{subject}: reset ({error})",
    "restart": "{subject}: the process restarts ({cause})",
    "scheduled.failed": "{subject}: the cron handler has failed with {error}",
    "start": "{subject}: a new instance starts",
    "storage.flush": "{subject}: writes become durable",
    "waitUntil.rejected": "{subject}: work handed to waitUntil has failed with {error}",
}


def in_words(event: TraceEvent) -> str:
    """One event of the trace as a sentence, without its time."""
    facts: dict[str, Any] = dict(event.facts)
    sentence = _SENTENCES.get(event.kind)
    if sentence is not None:
        again = f", retry {facts['retry']}" if facts.get("retry") else ""
        return sentence.format_map(_Known(facts, subject=event.subject, again=again))
    actor, key, outcome = (facts.pop(name, "") for name in ("actor", "key", "outcome"))
    if actor:
        method = event.kind.partition(".")[2]
        told = f"{actor} calls {event.subject}.{method}({repr(key) if key else ''})"
        told += f": {outcome}" if outcome else ""
    else:
        told = f"{event.subject}: {event.kind}"
    return told + "".join(f", {name} {value!r}" for name, value in facts.items())


class _Known(dict[str, Any]):
    """Facts, where one that an event lacks is a question mark."""

    def __missing__(self, name: str) -> str:
        return "?"


def describe(simulation: Simulation) -> str:
    """The report of a simulation, as it stands now.

    Returns:
        Lines without a newline at the end.
    """
    return "\n".join(_lines(simulation))


def _lines(simulation: Simulation) -> Iterator[str]:
    clock, events = simulation.clock, simulation.trace.events
    yield f"seed {simulation.seed} (--emulator-seed, or @pytest.mark.simulated(seed=...))"
    yield (
        f"now {clock.now.isoformat(timespec='milliseconds')}, "
        f"{_seconds(clock.elapsed_ms)} after the start"
    )
    shown = events[-EVENTS_SHOWN_MAX:]
    if shown:
        yield f"the last {len(shown)} of {len(events)} events:"
    for event in shown:
        yield _cut(f"  {_seconds(event.time_ms - clock.start_ms)}  {in_words(event)}")
    for rule in simulation.rules.unmatched:
        yield _cut(f"no operation has matched the fault {rule!r}")
    objects = list(islice(_worlds(simulation), OBJECT_LINES_MAX + 1))
    yield from objects[:OBJECT_LINES_MAX]
    if len(objects) > OBJECT_LINES_MAX:
        yield "  and more, which are not shown"
    consoles: list[Console] = simulation.attachments.get("consoles", [])
    # Each console is in order of time already, and `sorted` is stable.
    records = sorted((r for c in consoles for r in c.records), key=lambda r: r.time_ms)
    if records:
        kept = records[-LOGS_SHOWN_MAX:]
        yield f"the last {len(kept)} of {len(records)} log lines:"
        for record in kept:
            time = _seconds(record.time_ms - clock.start_ms)
            yield _cut(f"  {time}  {record.level} {record.object}: {record.message}")


def _worlds(simulation: Simulation) -> Iterator[str]:
    from emulator.runtime.world import World

    ended: Iterable[WorldStatistics] = simulation.attachments.get("remains", ())
    worlds = [("ended", statistics) for statistics in ended]
    worlds += [("", w.statistics()) for w in simulation.endings if isinstance(w, World)]
    worlds = [(state, world) for state, world in worlds if world.objects]
    start_ms = simulation.clock.start_ms
    for number, (state, world) in enumerate(worlds[-WORLDS_SHOWN_MAX:], 1):
        told = f"the objects of world {number}" if len(worlds) > 1 else "the objects"
        told += f" {world.name!r}" if world.name else ""
        told += f", as the world {state}" if state else ""
        count = len(world.objects)
        yield (
            f"{told}:"
            if count == world.object_count
            else (f"{told}, {count} of {world.object_count}:")
        )
        for statistics in world.objects:
            yield from _object(statistics, start_ms)


def _object(statistics: ObjectStatistics, start_ms: int) -> Iterator[str]:
    told = f"  {statistics.name}"
    if statistics.object_name is not None:
        told += f" {statistics.object_name}"
    told += ": running" if statistics.is_running else ": asleep"
    if statistics.alarm is not None:
        told += f", {_alarm(statistics.alarm, start_ms)}"
    yield told
    for key, value in statistics.pairs:
        yield f"    {key}: {value}"
    more = statistics.pair_count - len(statistics.pairs)
    if more:
        yield f"    and {more} more keys"
    for table, row_count in statistics.tables:
        yield f"    table {table}: " + ("unreadable" if row_count < 0 else f"{row_count} rows")


def _alarm(alarm: AlarmStatistics, start_ms: int) -> str:
    scheduled = _seconds(alarm.scheduled_time_ms - start_ms)
    if alarm.state == "waiting":
        return f"alarm at {scheduled}"
    retries = f", retry {alarm.retry_count}" if alarm.retry_count else ""
    if alarm.state == "running":
        return f"alarm of {scheduled} runs{retries}"
    return f"alarm of {scheduled} has failed{retries} at {_seconds(alarm.due_ms - start_ms)}"


def _cut(line: str) -> str:
    """One line for the terminal, whatever a worker has written into it."""
    line = line if len(line) <= LINE_MAX else f"{line[:LINE_MAX]}..."
    return line if line.isprintable() else "".join(map(_shown, line))


def _shown(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def _seconds(elapsed_ms: int) -> str:
    return f"+{elapsed_ms / 1000:.3f} s"
