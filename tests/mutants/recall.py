"""Recall: whether exploration finds planted bugs, and leaves their repaired twins alone.

Explores every bug of corpus/ and its twin, and prints what came of it: found or not, in how
many worlds and seconds, and how many deviations were left after shrinking; and every alarm on
a twin, which has as many worlds as its bug took, and at least 500.

    python tests/mutants/recall.py [--only WORDS] [--themes THEME ...] [--jobs N]
        [--depths] [--twin-worlds 500] [--seed 0]

With --depths it first shows, by every smaller set of deviations, that a bug needs as many as
it says: some minutes more.

Exit status: 0 the wanted figures are met, 1 they are not, 2 there is no such bug.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER: Final = Path(__file__).parent
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))

ROOMS: Final = (
    "races", "crash_points", "half_done", "at_least_once", "liveness", "contents", "ordering",
    "pages", "leaks", "exports", "second_errors", "second_accidents", "third_errors",
)  # fmt: skip
#: How many worlds a bug may take, by the number of deviations that it needs.
WORLDS_MAX: Final = {1: 500, 2: 5_000, 3: 20_000}
#: How many worlds a twin has at least.
TWIN_WORLDS_MIN: Final = 500
#: Of bugs that need three deviations, in tenths.
FOUND_OF_THREE_TENTHS_MIN: Final = 8
LEFT_MEDIAN_MAX: Final = 1
LEFT_95_PERCENT_MAX: Final = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one bug and its twin.

    Attributes:
        name: The bug's.
        theme: Its room.
        needs: How many deviations it needs.
        left: How many were left after shrinking; None if it was not found.
        worlds: How many worlds it took to find it, or were tried.
        seconds: How long that took, with shrinking.
        kinds: By what it was found: kinds of faults, and "hold".
        alarm: What was found in the twin; empty if nothing.
        twin_worlds: How many worlds the twin had.
        is_proven: Whether the list of the twin's worlds came to its end.
        depth: What is wrong with `needs`; empty if nothing is, or nobody has looked.
    """

    name: str
    theme: str
    needs: int
    left: int | None
    worlds: int
    seconds: float
    kinds: tuple[str, ...]
    alarm: str
    twin_worlds: int
    is_proven: bool
    depth: str


def mutants() -> list[Any]:
    """Every planted bug."""
    for room in ROOMS:
        importlib.import_module(f"corpus.{room}")
    planting = importlib.import_module("corpus.planting")
    return list(planting.MUTANTS)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Some bugs lose exceptions, and every export that fails says so."""
    loggers = [logging.getLogger(name) for name in ("asyncio", "amber")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def row_of(
    name: str, *, seed: int = 0, depths: bool = False, twin_worlds: int = TWIN_WORLDS_MIN
) -> Row:
    """Explore a bug and its twin.

    Args:
        name: The bug's.
        seed: Decides what is left to chance.
        depths: Whether to try every smaller set of deviations.
        twin_worlds: How many worlds the twin has at least.
    """
    (mutant,) = (one for one in mutants() if one.name == name)
    with _hushed(), contextlib.redirect_stdout(io.StringIO()):
        depth = smaller_finding(mutant) if depths else ""
        subject = mutant.subject(is_repaired=False)
        started = time.perf_counter()
        found, worlds, _ = _explored(subject, WORLDS_MAX[mutant.needs], seed)
        seconds = time.perf_counter() - started
        twin = mutant.subject(is_repaired=True)
        alarm, twin_count, is_proven = _explored(twin, max(twin_worlds, worlds), seed)
    return Row(
        name=name,
        theme=mutant.theme,
        needs=mutant.needs,
        left=None if found is None else len(found.deviations),
        worlds=worlds,
        seconds=seconds,
        kinds=() if found is None else tuple(map(_kind, found.deviations)),
        alarm="" if alarm is None else str(alarm).partition("\nreplay:")[0],
        twin_worlds=twin_count,
        is_proven=is_proven,
        depth=depth,
    )


def _explored(subject: Any, budget: int, seed: int) -> tuple[Any, int, bool]:
    """The finding, if there is one, the number of worlds, and whether there was no more."""
    import emulator
    from emulator.errors import ExplorationFailure

    try:
        explored = emulator.explore(subject, subject.invariants, budget=budget, seed=seed)
    except ExplorationFailure as found:
        # They hold whole worlds.
        found.__cause__ = found.__context__ = found.__traceback__ = found.error = None
        return found, found.worlds, False
    return None, explored.world_count, explored.is_exhausted


def _kind(deviation: Any) -> str:
    return getattr(deviation, "kind", "hold")


def smaller_finding(mutant: Any) -> str:
    """What fewer deviations than a bug needs show of it already, in words; empty if nothing."""
    from emulator.catalogue import CATALOGUE
    from emulator.simulation.monitors import as_monitor
    from emulator.simulation.playing import play
    from emulator.simulation.portfolio import Portfolio

    subject = mutant.subject(is_repaired=False)
    monitors = [as_monitor(one) for one in subject.invariants]
    run = partial(play, subject, catalogue=CATALOGUE, monitors=monitors)
    calm = run(())
    if calm.error is not None:
        return f"it fails in the calm run: {calm.error}"
    if mutant.needs == 1:
        return ""
    portfolio = Portfolio(calm, CATALOGUE.kinds_of, deviations_max=mutant.needs - 1)
    while (candidate := portfolio.next()) is not None:
        if len(candidate.deviations) >= mutant.needs:
            continue
        played = run(candidate.deviations)
        if played.error is not None:
            return f"fewer show it: {candidate.deviations}: {played.error}"
        if len(candidate.deviations) < mutant.needs - 1:
            portfolio.passed(candidate, played)
    return ""


# -- the table ---------------------------------------------------------------------------------


HEAD: Final = (
    "needs  worlds  seconds  left  twin       theme             bug, and what showed it"
)


def line_of(row: Row) -> str:
    """A bug's line below `HEAD`."""
    twin = "ALARM" if row.alarm else f"{row.twin_worlds:,}{' all' if row.is_proven else ''}"
    left = "-" if row.left is None else row.left
    shown = "NOT FOUND" if row.left is None else " and ".join(row.kinds)
    told = (
        f"{row.needs:>5}  {row.worlds:>6,}  {row.seconds:>7.2f}  {left:>4}  {twin:<9}  "
        f"{row.theme:<16}  {row.name}: {shown}"
    )
    return f"{told}\n       {row.depth}" if row.depth else told


def verdict(rows: Sequence[Row]) -> tuple[list[str], bool]:
    """The summary, and whether the wanted figures are met."""
    lines, is_met = [], True

    def tell(is_kept: bool, line: str) -> None:  # noqa: FBT001 - a line of the summary.
        nonlocal is_met
        lines.append(f"{'ok ' if is_kept else 'NOT'}  {line}")
        is_met = is_met and is_kept

    for needs, told in ((1, "one deviation"), (2, "two deviations"), (3, "three deviations")):
        asked = [row for row in rows if row.needs == needs]
        if not asked:
            continue
        found = [row for row in asked if row.left is not None]
        tenths = FOUND_OF_THREE_TENTHS_MIN if needs == 3 else 10
        most = max((row.worlds for row in found), default=0)
        tell(
            10 * len(found) >= tenths * len(asked),
            f"{len(found)} of {len(asked)} that need {told} were found, within {most:,} worlds "
            f"and {max((row.seconds for row in found), default=0):.1f} s each",
        )
    alarms = [row for row in rows if row.alarm]
    proven = sum(row.is_proven for row in rows)
    tell(
        not alarms,
        f"{len(alarms)} alarms on {len(rows)} twins; nothing was left to try on {proven}",
    )
    left = sorted(row.left for row in rows if row.left is not None)
    if any(row.needs == 1 for row in rows) and left:
        median = statistics.median_low(left)
        most = left[-(-95 * len(left) // 100) - 1]
        tell(
            median <= LEFT_MEDIAN_MAX and most <= LEFT_95_PERCENT_MAX,
            f"deviations left after shrinking: median {median}, 95th percentile {most}",
        )
    wrong = [row for row in rows if row.depth]
    tell(not wrong, f"{len(wrong)} bugs need fewer deviations than they say, or none")
    return lines, is_met


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Whether exploration finds planted bugs.")
    parser.add_argument("--only", default="", help="bugs with these words in their name")
    parser.add_argument("--themes", nargs="*", default=(), help="rooms of corpus/")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--depths", action="store_true")
    parser.add_argument("--twin-worlds", type=int, default=TWIN_WORLDS_MIN)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    names = [
        one.name
        for one in mutants()
        if asked.only in one.name and (not asked.themes or one.theme in asked.themes)
    ]
    if not names:
        print("there is no such bug", file=sys.stderr)
        return 2
    work = partial(row_of, seed=asked.seed, depths=asked.depths, twin_worlds=asked.twin_worlds)
    print(HEAD)
    rows = []
    with ExitStack() as stack:
        run: Any = map
        if asked.jobs > 1 and len(names) > 1:
            run = stack.enter_context(ProcessPoolExecutor(asked.jobs)).map
        for row in run(work, names):
            print(line_of(row), flush=True)
            rows.append(row)
    for row in rows:
        if row.alarm:
            print(f"\nthe twin of {row.name!r}: {row.alarm}")
    lines, is_met = verdict(rows)
    print("\n".join(["", *lines]))
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
