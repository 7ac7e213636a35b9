"""Resting: until everything that is pending has come to its end.

Promises: it is over when nothing is left to happen; what goes on for longer than the bounds of
simulated time and events is a `NotAtRest` that says what goes on and who waits for what. Leaves
to others: what must hold then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.errors import NotAtRest
from emulator.simulation.waiters import describe_waiters

if TYPE_CHECKING:
    from emulator.simulation.runner import Simulation

__all__ = ["EVENTS_MAX", "come_to_rest", "not_at_rest"]

#: Ours: what has not come to rest after so many events never will. An archive of 10,000 files
#: takes a third of them.
EVENTS_MAX: Final = 300_000


async def come_to_rest(simulation: Simulation, rest_ms: int, since: str) -> None:
    """Wait until nothing is left to happen.

    Args:
        simulation: Whose world it is.
        rest_ms: How long it may take, in simulated milliseconds.
        since: Since when it should come to rest, in words.

    Raises:
        NotAtRest: If it takes longer, or more than `EVENTS_MAX` events.
    """
    loop, trace = simulation.loop, simulation.trace
    idle = loop.idle_waiter()
    begun_ms, event_count = loop.clock.now_ms, 0

    def give_up() -> None:
        if not idle.done():
            took = f"{loop.clock.now_ms - begun_ms:,} simulated ms later there is still no rest"
            what = f"{since}, and {took} ({event_count:,} events); {trace.most_frequent()}"
            idle.set_exception(not_at_rest(simulation, what))

    def count() -> None:
        nonlocal event_count
        event_count += 1
        if event_count == EVENTS_MAX:
            give_up()

    stop = loop.watch_turns(count)
    timer = loop.deliver(begun_ms + rest_ms, give_up, is_background=True)
    try:
        await idle
    finally:
        stop()
        timer.cancel()


def not_at_rest(simulation: Simulation, what: str) -> NotAtRest:
    """The error for what is not at rest, with who waits for what.

    Args:
        simulation: Whose world it is.
        what: What is wrong.
    """
    waiters = describe_waiters(simulation.loop)
    told = "".join(f"\n  - {line}" for line in waiters)
    return NotAtRest(f"{what}{told}", waiters)
