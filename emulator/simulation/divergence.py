"""Divergence: whether two runs of one world did the same, and where they first differ.

Promises: what differs is told by the first step that does, and with what is usually the reason.
Leaves to others: running a world twice (the explorer).
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING

from emulator.errors import SimulationDiverged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.simulation.playing import Played, Step

__all__ = ["check_same", "divergence", "is_same_failure", "self_check"]


def is_same_failure(one: Played, other: Played) -> bool:
    """Whether two worlds fail in the same way: by one class of error, or one monitor."""
    monitors = getattr(one.error, "monitor", None), getattr(other.error, "monitor", None)
    return type(other.error) is type(one.error) and monitors[0] == monitors[1]


def check_same(first: Played, second: Played) -> None:
    """Complain if two runs of one world did not do the same.

    Raises:
        SimulationDiverged: If so.
    """
    if first.digest == second.digest and is_same_failure(first, second):
        return
    raise SimulationDiverged(divergence(first, second))


def self_check(run: Callable[[], Played], first: Played) -> Played:
    """Make a run once more, on a disturbed heap.

    What is decided by anything but the seed and the deviations (the order of a set of the
    worker's own objects, `id()`, what a former run has changed) shows when objects have other
    addresses.

    Args:
        run: Makes it.
        first: How it went the first time.

    Returns:
        The second run, which did the same.

    Raises:
        SimulationDiverged: If it did not. The message names the first step that differs.
    """
    with _disturbed_heap():
        again = run()
    check_same(first, again)
    return again


@contextmanager
def _disturbed_heap() -> Iterator[None]:
    """Let objects get other addresses than they would."""
    gc.collect(0)  # All generations would take longer than the run.
    kept = [[bytearray(size) for size in range(1, 600, 3)] for _ in range(20)]
    # Holes of all sizes, which are filled in an order of their own.
    for row in kept[::2]:
        del row[::2]
    holes = [object() for _ in range(1_001)][::2]
    try:
        yield
    finally:
        del kept, holes


def divergence(first: Played, second: Played) -> str:
    """The first step in which two runs of one world differ, in words."""
    intro = "the scenario did not do the same in two runs of one world"
    advice = (
        "make it depend on nothing but simulated time and the seed (the order of a set, id(), "
        "or what a former run left behind are the usual reasons)"
    )
    for number, (one, other) in enumerate(zip(first.steps, second.steps, strict=False), 1):
        if one != other:
            return (
                f"{intro}: step {number} was {_told(one)} the first time and {_told(other)} "
                f"the second; {advice}"
            )
    counts = len(first.steps), len(second.steps)
    if counts[0] != counts[1]:
        longer = max(first.steps, second.steps, key=len)
        return (
            f"{intro}: it took {counts[0]} steps the first time and {counts[1]} the second, "
            f"where {_told(longer[min(counts)])} is the first that only one of them took; "
            f"{advice}"
        )
    events = first.trace or (), second.trace or ()
    for number, pair in enumerate(zip_longest(*events), 1):
        if pair[0] != pair[1]:
            was, then = (f"`{event}`" if event else "nothing" for event in pair)
            return (
                f"{intro}: all {counts[0]} steps were the same, and event {number} was {was} "
                f"the first time and {then} the second; {advice}"
            )
    errors = _error_in_words(first.error), _error_in_words(second.error)
    return (
        f"{intro}: it took the same {counts[0]} steps, with {errors[0]} the first time and "
        f"{errors[1]} the second; {advice}"
    )


def _told(step: Step) -> str:
    return f"{step.operation} of {step.site.actor or 'the test'} (effect {step.effect_at})"


def _error_in_words(error: BaseException | None) -> str:
    if error is None:
        return "no error"
    return f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": ")
