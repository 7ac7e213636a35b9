"""Shrinking: the fewest and plainest deviations with which a world still fails.

Promises: the world that is handed back failed when it was tried; no deviation of it can be
left out, unless the bound on runs was reached first. Leaves to others: running worlds, and
what counts as the same failure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from emulator.simulation.deviations import Inject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from emulator.simulation.choices import Named
    from emulator.simulation.deviations import Site

__all__ = ["RUNS_MAX", "Shrinker"]

#: Worlds that may be spent on making one failure small.
RUNS_MAX: Final = 50


@final
class Shrinker:
    """Makes one failing world small.

    Args:
        fails: Whether a world fails in the same way.
        simpler_kinds: The kinds of faults at a site that are simpler than the given one, the
            simplest first.
        runs_max: How many worlds it may try.
        least_count: How many deviations stay at least.
    """

    def __init__(
        self,
        fails: Callable[[tuple[Named, ...]], bool],
        simpler_kinds: Callable[[Site, str], Sequence[str]],
        runs_max: int = RUNS_MAX,
        *,
        least_count: int = 1,
    ) -> None:
        self._fails = fails
        self._simpler_kinds = simpler_kinds
        self._runs_max = runs_max
        self._least_count = least_count
        self._tried: set[frozenset[Named]] = set()
        #: How many worlds it tried.
        self.run_count = 0

    def shrink(self, deviations: tuple[Named, ...]) -> tuple[Named, ...]:
        """The fewest and plainest of a failing world's deviations."""
        self._tried.add(frozenset(deviations))
        deviations = self._fewer(deviations)
        plainer = True
        while plainer:
            plainer = False
            for simpler in self._plainer(deviations):
                if self._still_fails(simpler):
                    deviations, plainer = simpler, True
                    break
        return deviations

    def _still_fails(self, deviations: tuple[Named, ...]) -> bool:
        names = frozenset(deviations)
        if names in self._tried or self.run_count >= self._runs_max:
            return False  # It passed, or it is what this one came from.
        self._tried.add(names)
        self.run_count += 1
        return self._fails(deviations)

    def _fewer(self, deviations: tuple[Named, ...]) -> tuple[Named, ...]:
        """Leave out parts, the larger ones first (Zeller's ddmin, by complements)."""
        part_count = 2
        while len(deviations) > self._least_count:
            size = -(-len(deviations) // part_count)
            for start in range(0, len(deviations), size):
                rest = deviations[:start] + deviations[start + size :]
                if len(rest) >= self._least_count and self._still_fails(rest):
                    deviations, part_count = rest, max(2, part_count - 1)
                    break
            else:
                if size == 1:
                    return deviations
                part_count = min(len(deviations), 2 * part_count)
        return deviations

    def _plainer(self, deviations: tuple[Named, ...]) -> Iterator[tuple[Named, ...]]:
        """The same with one deviation that is plainer, or comes earlier."""
        sites = {one.site for one in deviations}
        for place, one in enumerate(deviations):
            for simpler in self._instead_of(one):
                if simpler.site != one.site and simpler.site in sites:
                    continue  # An operation meets one fault.
                yield (*deviations[:place], simpler, *deviations[place + 1 :])

    def _instead_of(self, one: Named) -> Iterator[Named]:
        if isinstance(one, Inject):
            for kind in self._simpler_kinds(one.site, one.kind):
                yield replace(one, kind=kind)
            if one.site.nth > 1:
                yield replace(one, site=one.site._replace(nth=1))
        elif one.until.nth > 1:
            until = one.until._replace(nth=one.until.nth - 1)
            if until != one.site:
                yield replace(one, until=until)
