"""Spreading: units given to processes of this machine, or to a Dask cluster.

Promises: the same outcomes from every engine, as each unit ends; every process has the fixed
hash seed; nothing of a unit's simulation touches the process that waits for it, whose clocks
would stand still else. Leaves to others: what a unit is (units) and does (exploring).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from amber_worker.chaos.exploring import explore_unit
from amber_worker.chaos.units import Outcome, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["SchedulerError", "run_apart", "spread"]

_HASH_SEED: Final = "PYTHONHASHSEED"
#: How long a scheduler is waited for.
CONNECT_S: Final = 10
_NO_DASK: Final = (
    "--scheduler needs dask.distributed, which is not installed: pip install "
    "'amber-emulator[scale]'"
)


class SchedulerError(Exception):
    """The cluster cannot be used; the message says why."""


def spread(
    units: Sequence[Unit],
    *,
    job_count: int = 1,
    scheduler: str | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Outcome]:
    """Run units, and give each outcome as soon as it is there.

    Args:
        units: What to run.
        job_count: Processes of this machine; 1 is this process.
        scheduler: Instead: the address of a Dask scheduler, such as "tcp://127.0.0.1:8786".
        tick: Called after each world that runs in this process.

    Raises:
        SchedulerError: If there is no such cluster, or dask.distributed is not installed.
    """
    if scheduler is not None:
        yield from _on_cluster(units, scheduler)
    elif job_count == 1 or len(units) == 1:
        for unit in units:
            yield explore_unit(unit, tick)
    else:
        yield from _in_processes(units, job_count)


def _in_processes(units: Sequence[Unit], job_count: int) -> Iterator[Outcome]:
    # Spawned, since a forked process has the hash seed, the threads and the open files of
    # this one.
    context = multiprocessing.get_context("spawn")
    with (
        _fixed_hash_seed(),
        ProcessPoolExecutor(min(job_count, len(units)), mp_context=context) as pool,
    ):
        futures = [pool.submit(explore_unit, unit) for unit in units]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_cluster(units: Sequence[Unit], scheduler: str) -> Iterator[Outcome]:
    try:
        # By its name, since it is there only if somebody wants it.
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise SchedulerError(_NO_DASK) from error
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        message = f"--scheduler {scheduler}: no Dask scheduler answers there: {error}"
        raise SchedulerError(message) from error
    with client:
        if not client.scheduler_info().get("workers"):
            message = (
                f"--scheduler {scheduler}: it has no workers; start one with `dask worker`"
            )
            raise SchedulerError(message)
        # Never the answer of an earlier run: the worker's source may have changed.
        futures = client.map(run_apart, [asdict(unit) for unit in units], pure=False)
        for future in distributed.as_completed(futures):
            yield Outcome.from_json(future.result())


def run_apart(facts: dict[str, Any]) -> dict[str, Any]:
    """Run one unit in a process of its own, as JSON in and out.

    A simulation holds the clocks of its process, and those of a Dask worker have to go on.

    Raises:
        RuntimeError: If that process fails, with what it has said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "amber_worker.chaos"],
        input=json.dumps(facts),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, _HASH_SEED: "0"},
    )
    if done.returncode:
        message = f"unit {facts['number']} ({facts['case']}) failed: {done.stderr[-2_000:]}"
        raise RuntimeError(message)
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@contextmanager
def _fixed_hash_seed() -> Iterator[None]:
    """Give processes that are started meanwhile the hash seed of a command line."""
    before = os.environ.get(_HASH_SEED)
    os.environ[_HASH_SEED] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_HASH_SEED]
        else:
            os.environ[_HASH_SEED] = before
