"""Self-check: one run twice, the second time on a disturbed heap.

A run is decided by its seed and its deviations. What is decided by anything else (the order of
a set of the worker's own objects, `id()`, a module's variable that a former run has changed)
shows when the same run is made twice and objects have other addresses.

Promises: a run that does not do the same is an error which names the first step that differs.
Leaves to others: when to look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.simulation.divergence import check_same, disturbed_heap
from emulator.simulation.playing import play

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.simulation.playing import Played

__all__ = ["self_check"]


def self_check(
    scenario: Callable[[], Awaitable[Any]], played: Played, **options: Any
) -> Played:
    """Make a run once more, on a disturbed heap.

    Args:
        scenario: What was run.
        played: How that went.
        options: What `play` was given besides.

    Returns:
        The second run, which did the same.

    Raises:
        SimulationDiverged: If it did not. The message names the first step that differs.
    """
    with disturbed_heap():
        again = play(scenario, played.deviations, **options)
    check_same(played, again)
    return again
