"""Chaos: how many exports a second are explored and judged.

Claim: at least 300 a second on one core. One world is an export of one file, from the request
to its end, under one to three deviations from the calm run, and then the verdict: every law of
an export, on what D1, R2 and the object's storage show, and whether the next export starts.
`lifecycles.py` measures the same without deviations and verdict. The second figure is the
default budget of `amber chaos`, in which exports are larger: 1,000 worlds.
"""

from __future__ import annotations

import sys
from time import perf_counter  # Inside a simulation the module's own is simulated.

from amber_worker.chaos.exploring import explore_unit
from amber_worker.chaos.spreading import spread
from amber_worker.chaos.units import Plan, Unit, WorkerSource, units_of

ROUNDS = 3


def unit(world_count: int, seed: int) -> Unit:
    """So many worlds of one small export."""
    return Unit(
        number=0,
        worker=WorkerSource(),
        case="one file",
        world_count=world_count,
        kinds=(),
        seed=seed,
    )


def main() -> None:
    """Print the rate of the best of some rounds, and the time of a whole budget."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    explore_unit(unit(5, 0))
    best = float("inf")
    for seed in range(ROUNDS):
        start = perf_counter()
        outcome = explore_unit(unit(count, seed))
        assert not outcome.findings, outcome.findings
        best = min(best, (perf_counter() - start) / outcome.world_count)
    print(f"{1 / best:,.0f} explored exports a second ({best * 1000:.2f} ms each), one core")
    for jobs in (1, 2):
        start = perf_counter()
        outcomes = list(spread(units_of(Plan()), job_count=jobs))
        seconds = perf_counter() - start
        worlds = sum(outcome.world_count for outcome in outcomes)
        print(f"{worlds:,} worlds of the default budget: {seconds:.1f} s, {jobs} process(es)")


if __name__ == "__main__":
    main()
