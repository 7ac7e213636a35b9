"""Fragments: the steps of named programs, for random programs to do amid their own.

Promises: what a named program tells of a fresh object is tried in the states that random
programs leave behind; programs that wait for long are left out, and those that are declared
to differ. Leaves to others: where the steps go (the generator).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

from emulator.conformance import divergences, program, recordings
from emulator.conformance.program_parts import has_ops
from emulator.conformance.real_target import wait_ms

__all__ = ["Fragment", "fragments"]

#: Longer ones would make every run of many programs wait.
WAIT_MS_MAX: Final = 1_500
#: Alarms of the program itself would run into these.
_LEFT_OUT: Final = frozenset({"alarm_retries"})
#: Its time runs out while the next call comes in. (So does what a constructor leaves running
#: with nobody waiting for it.)
_LEFT_OUT_OP: Final = "state.setHibernatableWebSocketEventTimeout"


class Fragment(NamedTuple):
    """A named program, as a part of another.

    Attributes:
        world: Its class, compatibility date and flags, and what its constructor does.
        steps: What it does.
    """

    world: dict[str, Any]
    steps: list[dict[str, Any]]


@cache
def fragments() -> tuple[Fragment, ...]:
    """All of them, in the order of files and programs; none outside of a checkout."""
    found = []
    declared = {name for entry in divergences.read() for name in entry.programs}
    for file in recordings.program_files():
        if file.stem in _LEFT_OUT:
            continue
        for one in program.read(file):
            if one.name in declared or one.is_slow or wait_ms(one.source) > WAIT_MS_MAX:
                continue
            if has_ops(one.steps, _LEFT_OUT_OP) or "constructorBare" in one.source:
                continue
            world = {
                name: part
                for name, part in one.source.items()
                if name not in ("name", "why", "seconds", "steps", "slow", "settle")
            }
            found.append(Fragment(world, one.steps))
    return tuple(found)
