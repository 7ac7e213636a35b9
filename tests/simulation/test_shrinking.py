"""Shrinking: the fewest deviations, the plainest kinds, the earliest sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.simulation.deviations import Hold, Inject, Site
from emulator.simulation.shrinking import RUNS_MAX, Shrinker

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.deviations import Deviation

KINDS = ("missing", "error before", "crash before")


def fault(nth: int, kind: str = "error before") -> Inject:
    return Inject(Site("A", "B.put", nth), kind)


def shrunk(
    deviations: tuple[Deviation, ...], fails: Callable[[tuple[Any, ...]], bool]
) -> tuple[Deviation, ...]:
    shrinker = Shrinker(fails, lambda _, kind: KINDS[: KINDS.index(kind)])
    result = shrinker.shrink(deviations)
    assert shrinker.run_count <= RUNS_MAX
    return result


@given(st.sets(st.integers(2, 9), min_size=1, max_size=3), st.integers(10, 20))
def test_only_what_is_needed_is_left(needed: set[int], count: int) -> None:
    everything = tuple(fault(nth) for nth in range(1, count))

    left = shrunk(
        everything,
        lambda tried: needed <= {one.site.nth for one in tried if one.kind == "error before"},
    )

    assert {one.site.nth for one in left} == needed  # type: ignore[union-attr]


def test_a_plainer_kind_is_taken_if_it_fails_too() -> None:
    assert shrunk((fault(1, "crash before"),), lambda _: True) == (fault(1, "missing"),)


def test_a_plainer_kind_that_passes_is_not_taken() -> None:
    def fails(tried: tuple[Any, ...]) -> bool:
        return tried[0].kind != "missing"

    assert shrunk((fault(1, "crash before"),), fails) == (fault(1, "error before"),)


def test_an_earlier_site_is_taken_if_it_fails_too() -> None:
    assert shrunk((fault(7, "missing"),), lambda _: True) == (fault(1, "missing"),)


def test_a_hold_ends_as_early_as_it_may() -> None:
    site = Site("A", "B.put", 1)

    left = shrunk((Hold(site, Site("C", "B.get", 4)),), lambda tried: tried[0].until.nth >= 2)

    assert left == (Hold(site, Site("C", "B.get", 2)),)


@pytest.mark.parametrize("runs_max", [0, 1, 5])
def test_the_bound_on_runs_is_kept_and_what_is_left_still_fails(runs_max: int) -> None:
    everything = tuple(fault(nth) for nth in range(1, 20))

    def fails(tried: tuple[Any, ...]) -> bool:
        return {3, 17} <= {one.site.nth for one in tried}

    shrinker = Shrinker(fails, lambda *_: (), runs_max)
    left = shrinker.shrink(everything)

    assert shrinker.run_count <= runs_max
    assert fails(left)


def test_no_world_is_tried_twice() -> None:
    seen: list[frozenset[Any]] = []

    def fails(tried: tuple[Any, ...]) -> bool:
        seen.append(frozenset(tried))
        return fault(4) in tried

    shrunk(tuple(fault(nth) for nth in range(1, 9)), fails)

    assert len(seen) == len(set(seen))
