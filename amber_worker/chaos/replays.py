"""Replays: the scenarios and the judge by the names that tokens have.

    amber_worker.chaos.replays:three_files
    amber_worker.chaos.replays:three_files@/home/me/worker%2Epy

Promises: a token of `amber chaos` finds its scenario in any process, with its files written;
one scenario of each kind in a process. Leaves to others: what they are (scenario), tokens
(`emulator.simulation.tokens`).
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import quote, unquote

from amber_worker.chaos.cases import CASES, case_named
from amber_worker.chaos.disturbance import disturbance_of
from amber_worker.chaos.scenario import Run, Scenario
from amber_worker.chaos.units import WorkerSource
from amber_worker.chaos.witness import evidence_of
from amber_worker.contract.target import choose
from amber_worker.laws import assert_kept

if TYPE_CHECKING:
    from amber_worker.contract.target import Target

__all__ = ["judge", "scenario_of"]

_FILE_MARK: Final = "@"


@final
class _Judge:
    """A monitor that judges a world when it has come to rest."""

    name = "the laws of an export are kept"

    def begin(self, mf: Any) -> None:
        """Nothing to prepare."""

    def observe(self, mf: Any) -> None:
        """Nothing to see: the run has a watch of its own."""

    async def end(self, mf: Any) -> None:
        """Judge the exports of a world by every law.

        Raises:
            LawBroken: With what is broken.
        """
        run = Run.of(mf)
        # Before the evidence is gathered, which makes events of its own.
        disturbance = disturbance_of(mf.trace.events)
        assert_kept(await evidence_of(run, disturbance))

    def conclude(self, run_count: int) -> None:
        """Every world was judged by itself."""


judge: Final = _Judge()
# By these a token names it.
vars(judge).update(__qualname__="judge")


@lru_cache(maxsize=32)
def scenario_of(worker: WorkerSource, case_name: str) -> Scenario:
    """The scenario of a case on a worker, its files written. Not inside of a simulation.

    Raises:
        KeyError: If there is no such case.
        TargetError: If the worker's file is not there.
        ConfigurationError: If the worker cannot be loaded.
    """
    scenario = Scenario(_target_of(worker), case_named(case_name))
    name = _identifier(case_name)
    if worker.path is not None:
        # Dots and colons mean something in a name.
        name += _FILE_MARK + quote(worker.path).replace(".", "%2E")
    # By these a token names what it replays.
    vars(scenario).update(__module__=__name__, __qualname__=name)
    scenario.seed()
    return scenario


def __getattr__(name: str) -> Any:
    """The async function that a token names."""
    identifier, _, path = name.partition(_FILE_MARK)
    worker = WorkerSource(path=unquote(path) or None)
    names = {_identifier(case.name): case.name for case in CASES}
    try:
        scenario = scenario_of(worker, names.get(identifier, identifier.replace("_", " ")))
    except KeyError:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message) from None

    async def run() -> None:
        await scenario()

    return run


def _identifier(case_name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in case_name)


@lru_cache(maxsize=8)
def _target_of(worker: WorkerSource) -> Target:
    if worker.path is None:
        return choose("emulator", dialect=worker.dialect)
    path = Path(worker.path)
    if worker.text is not None and not path.is_file():
        # This machine of a cluster does not have it.
        digest = sha256(worker.text.encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"amber-chaos-{digest}" / path.name
        path.parent.mkdir(exist_ok=True)
        path.write_text(worker.text, encoding="utf-8")
    return choose("emulator", script=str(path))
