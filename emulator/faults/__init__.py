"""faults: rules that say what fails, when and how.

Promises: one function for each kind of fault; the rule that it makes is given to
`Miniflare(faults=[...])` or to `mf.faults.add(...)`. Every function takes, beside its own
arguments, those of `Where`, which say which operations are meant: all of what is given must
fit. The fault model, in prose, opens `emulator/simulation/faults.py`. Leaves to others: the
platform's texts (the declarations of the bindings), and carrying a verdict out (the corridor).
"""

from __future__ import annotations

from emulator.faults.answers import (
    corrupt_size,
    error,
    missing,
    overloaded,
    rate_limit,
    reset,
    status,
    truncate,
    vanish,
)
from emulator.faults.delays import latency, stall
from emulator.faults.endings import (
    crash,
    duplicate_alarm,
    evict,
    flush_failure,
    late_alarm,
    restart,
)
from emulator.faults.reading import from_json
from emulator.simulation.faults import FaultRule
from emulator.simulation.selection import Where

__all__ = [
    "FaultRule",
    "Where",
    "corrupt_size",
    "crash",
    "duplicate_alarm",
    "error",
    "evict",
    "flush_failure",
    "from_json",
    "late_alarm",
    "latency",
    "missing",
    "overloaded",
    "rate_limit",
    "reset",
    "restart",
    "stall",
    "status",
    "truncate",
    "vanish",
]
