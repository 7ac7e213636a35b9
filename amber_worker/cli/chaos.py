"""Chaos: `amber chaos`, which explores exports and judges them by their laws.

Promises: exit status 0 when nothing was found, 1 when a law was broken, with the sentences and
a token that repeats it, 2 when the worker cannot run the calm export or the command cannot be
meant; the findings do not depend on the number of processes. Leaves to others: exploring
(amber_worker.chaos), the laws (amber_worker.laws).
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import TYPE_CHECKING, Final, final

from amber_worker.cli.counts import positive_count, whole_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amber_worker.chaos.summary import Summary
    from amber_worker.chaos.units import Outcome, Plan

__all__ = ["declare", "run_chaos"]

#: The budget, where none is given: real time is slow.
WORLDS: Final = 1_000
REAL_WORLDS: Final = 20

#: The laws without which there is no calm export.
_UNFIT: Final = (
    "the status reaches completed or failed",
    "an export fails for an error only",
    "a request is accepted and kept",
)

_EPILOG: Final = """\
Each world is one export, from the request to the archive, in which something goes wrong: a
call fails, hangs or finds nothing, an object loses power, an alarm comes twice, two calls
arrive in the other order. The calm export comes first, then every single fault and order, then
pairs. What is found is told in the fewest deviations that it needs, with a token:
`python -m emulator replay TOKEN` repeats it.
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "--seeds", metavar="N", type=positive_count,
        help=f"the budget: how many worlds (default: {WORLDS}, or {REAL_WORLDS} on workerd)",
    )  # fmt: skip
    add(
        "--faults", metavar="KIND,...",
        help="only these kinds: crash, missing, error, latency, ... (default: all)",
    )  # fmt: skip
    add(
        "--files", metavar="N", type=whole_count,
        help="only exports of N files (default: 0 to 1000, and odd ones)",
    )  # fmt: skip
    add(
        "--worker", metavar="FILE.py",
        help="a worker of one's own: a module with `Default` and `ExportJob` (default: ours)",
    )  # fmt: skip
    add(
        "--worker-script", metavar="BUNDLE.mjs",
        help="a JavaScript or TypeScript worker, on the real runtime and in real time",
    )  # fmt: skip
    add(
        "--replay", metavar="TOKEN",
        help="with --worker-script: the world of a finding once more (all others: `python -m "
        "emulator replay TOKEN`)",
    )  # fmt: skip
    add(
        "--jobs", metavar="N", type=positive_count, default=1,
        help="processes of this machine (default: 1)",
    )  # fmt: skip
    add(
        "--scheduler", metavar="ADDRESS",
        help="a Dask cluster instead, such as tcp://127.0.0.1:8786 (pip install "
        "'amber-emulator[scale]')",
    )  # fmt: skip
    add(
        "--seed", metavar="N", type=int, default=0,
        help="decides everything random (default: 0)",
    )  # fmt: skip
    add("--json", dest="as_json", action="store_true", help="print one JSON object, no table")


def run_chaos(arguments: argparse.Namespace) -> int:
    """Explore.

    Args:
        arguments: What argparse has made of the command's arguments.

    Returns:
        The exit status.
    """
    # Not above: bad input need not wait for it.
    from amber_worker.chaos.exploring import Unfit
    from amber_worker.chaos.spreading import SchedulerError
    from amber_worker.chaos.summary import summed_up

    try:
        plan = _plan(arguments)
        if arguments.replay is not None:
            return _replayed(arguments.worker_script, arguments.replay)
        outcomes = []
        with _Progress(plan, is_shown=not arguments.as_json) as progress:
            for outcome in _outcomes(plan, arguments, progress.tick):
                outcomes.append(outcome)
                progress.take(outcome)
    except (Unfit, SchedulerError) as error:
        sys.stderr.write(f"amber: {error}\n")
        return 2
    summary = summed_up(outcomes)
    if arguments.as_json:
        sys.stdout.write(json.dumps(summary.to_json(), ensure_ascii=True, indent=2) + "\n")
    else:
        _print(summary, arguments.worker_script)
    return 1 if summary.findings else 0


def _outcomes(
    plan: Plan, arguments: argparse.Namespace, tick: Callable[[], None]
) -> Iterator[Outcome]:
    from amber_worker.chaos.exploring import check_worker
    from amber_worker.chaos.spreading import spread
    from amber_worker.chaos.units import units_of

    if arguments.worker_script is not None:
        yield _on_workerd(plan, arguments.worker_script)
        return
    check_worker(plan)
    jobs, scheduler = arguments.jobs, arguments.scheduler
    yield from spread(units_of(plan), job_count=jobs, scheduler=scheduler, tick=tick)


def _on_workerd(plan: Plan, script: str) -> Outcome:
    from amber_worker.chaos.cases import case_named, case_of_size
    from amber_worker.chaos.exploring import Unfit
    from amber_worker.chaos.on_workerd import explore_bundle, outcome_of_calm
    from amber_worker.contract.archive import LawBroken
    from amber_worker.contract.target import TargetError, choose
    from emulator.errors import EmulatorError

    count = plan.file_count
    case = case_named("three files") if count is None else case_of_size(count)
    try:
        return explore_bundle(
            choose("workerd", script=script),
            case,
            world_count=plan.world_count,
            kinds=plan.kinds,
            seed=plan.seed,
        )
    except (EmulatorError, TargetError) as error:
        message = f"the worker cannot be run on workerd: {error}"
        raise Unfit(message) from error
    except LawBroken as broken:
        if str(broken).startswith(_UNFIT):
            message = f"the calm export does not complete: {broken}"
            raise Unfit(message) from broken
        return outcome_of_calm(case, broken)


def _replayed(script: str, token: str) -> int:
    from amber_worker.chaos.exploring import Unfit
    from amber_worker.chaos.on_workerd import repeat
    from amber_worker.contract.archive import LawBroken
    from amber_worker.contract.target import TargetError, choose
    from emulator.errors import EmulatorError

    try:
        repeat(choose("workerd", script=script), token)
    except (EmulatorError, TargetError) as error:
        raise Unfit(str(error)) from error
    except LawBroken as broken:
        sys.stdout.write(f"{broken}\n")
        return 1
    sys.stdout.write("every law is kept\n")
    return 0


def _plan(arguments: argparse.Namespace) -> Plan:
    from amber_worker.chaos.exploring import Unfit, kinds_named, source_of
    from amber_worker.chaos.units import Plan

    is_real = arguments.worker_script is not None
    if is_real and (arguments.worker or arguments.scheduler or arguments.jobs != 1):
        message = "--worker-script goes without --worker, --scheduler and --jobs"
        raise Unfit(message)
    if arguments.replay is not None and not is_real:
        message = "--replay goes with --worker-script; else it is `python -m emulator replay`"
        raise Unfit(message)
    return Plan(
        worker=source_of(arguments.worker),
        world_count=arguments.seeds or (REAL_WORLDS if is_real else WORLDS),
        kinds=kinds_named(arguments.faults),
        file_count=arguments.files,
        seed=arguments.seed,
    )


def _print(summary: Summary, script: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from amber_worker.cli.report import printable

    console = Console()
    cases = Table(title="Exports", title_justify="left")
    kinds = Table(title="Deviations", title_justify="left")
    for table, first in ((cases, "export"), (kinds, "kind")):
        table.add_column(first)
        table.add_column("worlds", justify="right")
        table.add_column("found", justify="right")
    cases.add_column("left to try")
    for case in summary.cases:
        told = "nothing" if case.is_exhausted else "more"
        cases.add_row(case.name, f"{case.world_count:,}", f"{case.finding_count:,}", told)
    for kind, count in summary.tried.items():
        kinds.add_row(kind, f"{count:,}", f"{summary.found.get(kind, 0):,}")
    console.print(cases)
    console.print(kinds)
    for number, finding in enumerate(summary.findings, start=1):
        happened = finding.happened or ("nothing goes wrong",)
        lines = [
            f"{number}. {finding.case}",
            *(f"   if:   {sentence}" for sentence in happened),
            *(f"   then: {sentence}" for sentence in finding.broken),
            f"   {_command(finding.token, script)}",
        ]
        told = "\n".join(map(printable, lines))
        console.print(f"\n{told}", markup=False, highlight=False, soft_wrap=True)
    found = len(summary.findings)
    closing = f"{found:,} finding{'' if found == 1 else 's'}" if found else "nothing was found"
    worlds = f"{summary.world_count:,} world{'' if summary.world_count == 1 else 's'}"
    console.print(f"\n{worlds}, {closing}", highlight=False)


def _command(token: str, script: str | None) -> str:
    """What repeats a finding."""
    if script is None:
        return f"python -m emulator replay {token}"
    return shlex.join(["amber", "chaos", "--worker-script", script, "--replay", token])


@final
class _Progress:
    """A bar on the error stream of a terminal."""

    def __init__(self, plan: Plan, *, is_shown: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("worlds"),
            # No thread may refresh it, since a simulation refuses threads; and worlds take the
            # streams over for what workers print.
            console=console, auto_refresh=False, transient=True,
            redirect_stdout=False, redirect_stderr=False,
            disable=not (is_shown and console.is_terminal),
        )  # fmt: skip
        self._task = self._bar.add_task("exploring", total=plan.world_count)
        self._total = plan.world_count
        #: Worlds of units that have ended, and of the one that runs.
        self._ended = self._running = 0
        self._found = 0
        self._percent = 0

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()

    def tick(self) -> None:
        """One more world has run."""
        self._running += 1
        self._show()

    def take(self, outcome: Outcome) -> None:
        """One more unit has ended."""
        self._found += len(outcome.findings)
        self._ended += outcome.world_count
        self._running = 0
        found = f"{self._found} found, " if self._found else ""
        self._bar.update(self._task, description=f"exploring, {found}{outcome.case}")
        self._show()

    def _show(self) -> None:
        completed = self._ended + self._running
        percent = completed * 100 // self._total
        if percent != self._percent:
            self._percent = percent
            self._bar.update(self._task, completed=completed, refresh=True)
