"""Worlds by chance: what is tried when the list is longer than the budget.

Some of them deviate by a few of the deviations that were seen on the way, of a few kinds at a
time, so that rare kinds are not drowned by frequent ones; the others follow a schedule that
draws every latency, or every priority (PCT), from a seed.

Promises: an endless row of worlds, the same for the same seed and deviations. Leaves to
others: running them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from emulator.simulation import schedules
from emulator.simulation.deviations import Inject
from emulator.simulation.randomness import Randomness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from emulator.simulation.choices import Named
    from emulator.simulation.schedules import Schedule

__all__ = ["ChanceWorlds"]

#: How many deviations such a world has.
_SIZES: Final = (2, 2, 3, 3, 4, 6)
#: How many kinds of faults are drawn from in one world.
_KINDS_MAX: Final = 3
#: How many priorities PCT lets change in one world.
_DEPTHS: Final = (1, 2, 3)


@final
class ChanceWorlds:
    """An endless row of worlds.

    Args:
        pool: The deviations that may be drawn.
        horizon: About how many operations a run has, for PCT.
        seed: Decides all draws.
    """

    def __init__(self, pool: Iterable[Named], horizon: int, seed: int) -> None:
        self._by_kind: dict[str, list[Named]] = {}
        for one in pool:
            kind = one.kind if isinstance(one, Inject) else "hold"
            self._by_kind.setdefault(kind, []).append(one)
        self._horizon = max(horizon, 1)
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[tuple[Named, ...], Schedule | None]]:
        stream = Randomness(self._seed).stream("exploration")
        kinds = list(self._by_kind)
        number = 0
        while True:
            number += 1
            chosen = stream.sample(kinds, min(len(kinds), 1 + stream.randrange(_KINDS_MAX)))
            drawn = [one for kind in chosen for one in self._by_kind[kind]]
            size = min(len(drawn), stream.choice(_SIZES))
            schedule: Schedule | None = None
            if number % 3 == 0:
                schedule, size = schedules.random(stream.getrandbits(32)), size // 2
            elif number % 3 == 1:
                depth = stream.choice(_DEPTHS)
                drawn_by = stream.getrandbits(32)
                schedule, size = schedules.pct(drawn_by, depth, self._horizon), size // 2
            yield _one_a_site(stream.sample(drawn, size)), schedule


def _one_a_site(drawn: list[Named]) -> tuple[Named, ...]:
    """At most one fault and one hold at each step."""
    kept: dict[tuple[type, object], Named] = {}
    for one in drawn:
        kept.setdefault((type(one), one.site), one)
    return tuple(kept.values())
