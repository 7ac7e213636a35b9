"""The failure report: what happened in simulated time before a test failed.

Promises: the seed, the last events of the trace in words, the faults that nothing matched,
and the workers' logs, oldest first, each with its time from the start. Leaves to others:
showing it (the plugin).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.runtime.console import Console
    from emulator.simulation.runner import Simulation
    from emulator.simulation.trace import TraceEvent

__all__ = ["describe", "in_words"]

EVENTS_SHOWN_MAX: Final = 20
LOGS_SHOWN_MAX: Final = 50

#: One sentence for each kind of event; calls have none.
_SENTENCES: Final = {
    "alarm": "{subject}: the alarm runs{again}",
    "alarm.ack": "{subject}: the alarm has succeeded",
    "alarm.dropped": "{subject}: the alarm has failed too often and is given up",
    "alarm.failed": "{subject}: the alarm has failed with {error}",
    "crash": "{subject}: power cut ({cause})",
    "evict": "{subject}: evicted",
    "fault": "fault at {subject} of {actor}: {rule}",
    "reset": "{subject}: reset ({error})",
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
    yield f"the last {len(shown)} of {len(events)} events:"
    for event in shown:
        yield f"  {_seconds(event.time_ms - clock.start_ms)}  {in_words(event)}"
    for rule in simulation.rules.unmatched:
        yield f"no operation has matched the fault {rule!r}"
    consoles: list[Console] = simulation.attachments.get("consoles", [])
    # Each console is in order of time already, and `sorted` is stable.
    records = sorted((r for c in consoles for r in c.records), key=lambda r: r.time_ms)
    if records:
        kept = records[-LOGS_SHOWN_MAX:]
        yield f"the last {len(kept)} of {len(records)} log lines:"
        for record in kept:
            time = _seconds(record.time_ms - clock.start_ms)
            yield f"  {time}  {record.level} {record.object}: {record.message}"


def _seconds(elapsed_ms: int) -> str:
    return f"+{elapsed_ms / 1000:.3f} s"
