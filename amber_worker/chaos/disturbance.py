"""The disturbance: what was done to a run, read from its trace.

Promises: which faults happened and which files they met, as far as it excuses anything. Leaves
to others: what is excused (amber_worker.laws).
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from amber_worker.laws import Disturbance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emulator.simulation.trace import TraceEvent

__all__ = ["disturbance_of", "kind_of"]

#: After these nothing has failed that a worker's code could see: it begins anew.
_HARMLESS: Final = frozenset(
    {"crash", "duplicate", "duplicate_alarm", "evict", "late", "restart"}
)
#: A fault by its name: of a deviation, or of a rule.
_KIND: Final = re.compile(r"kind='(?P<kind>[\w ]+)'|faults\.(?P<rule>\w+)\(")
_READS: Final = ("r2.body", "r2.get", "r2.head")
_SUBJECT: Final = re.compile(r"(?P<path>[\w.]+?)(\((?P<key>'.*'|\".*\")\))?\Z", re.DOTALL)


def kind_of(event: TraceEvent) -> str:
    """The kind of an event of the kind "fault", such as "crash before"."""
    found = _KIND.search(str(event.facts.get("rule", "")))
    return str(found["kind"] or found["rule"]) if found else "a rule of one's own"


def disturbance_of(events: Iterable[TraceEvent]) -> Disturbance:
    """What the events of a run tell of faults."""
    count, may_fail, has_begun = 0, False, False
    unread: set[str] = set()
    for event in events:
        if event.kind == "alarm":
            has_begun = True
        if event.kind != "fault":
            continue
        count += 1
        if kind_of(event).partition(" ")[0] in _HARMLESS:
            # Who asks for a start is told of a lost connection.
            may_fail |= not has_begun
            continue
        may_fail = True
        found = _SUBJECT.match(event.subject)
        if found and found["key"] and found["path"].endswith(_READS):
            unread.add(ast.literal_eval(found["key"]))
    return Disturbance(count=count, may_fail=may_fail, unread=frozenset(unread))
