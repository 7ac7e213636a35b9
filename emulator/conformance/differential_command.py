"""The command `differential`: random programs on the emulator and on workerd, from a terminal.

Promises: how many agree, how fast, and of what ops the programs consist; a difference is
printed as the smallest program that shows it, with exit status 1. Leaves to others: drawing,
running and comparing.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import ConfigurationError, NodeMissing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from emulator.conformance.differential import Distribution, Verdict
    from emulator.conformance.program import Program

__all__ = ["add_arguments", "count_of", "run_command"]

_DESCRIPTION: Final = """\
Draw random conformance programs (what that is, `conform --help` tells), run them on the
emulator and on workerd, and compare. workerd needs Node 20, and once `python -m
emulator.workerd install`. Exit status: 0 all agree, 1 something differs, 2 workerd cannot be
run.
"""
_SHOWN_MAX: Final = 5
#: Programs that wait do so together.
_BATCH: Final = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `python -m emulator differential` takes."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "--count", type=count_of, default=2_000, help="programs for each seed (2000)"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="one or more (0); a seed and a count always draw the same programs",
    )
    parser.add_argument(
        "--save", type=Path, metavar="FILE.gz", help="keep what workerd gave, for --against"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FILE.gz",
        help="compare with what --save has kept, without Node: same count, same seeds",
    )
    parser.add_argument(
        "--facts", type=Path, metavar="FILE.json", help="write counts for the fidelity page"
    )


def count_of(text: str) -> int:
    """The number of programs that an argument asks for."""
    from argparse import ArgumentTypeError

    if not text.isdecimal() or int(text) < 1:
        message = f"a whole number of at least 1, got {text!r}"
        raise ArgumentTypeError(message)
    return int(text)


def run_command(options: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit status is the result."""
    try:
        return _run(options)
    except (NodeMissing, ConfigurationError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _run(options: argparse.Namespace) -> int:
    # Hypothesis takes its time to load.
    from emulator.conformance.differential import Differential, distribution, drawn_programs

    by_seed = {number: drawn_programs(options.count, number) for number in options.seeds}
    given = [program for programs in by_seed.values() for program in programs]
    found = distribution(given)
    _say(*found.lines())
    saved = None if options.against is None else _read(options.against)
    hows: Counter[str] = Counter()
    different: list[Verdict] = []
    with _Runtime(saved) as runtime:
        compared = Differential(runtime.run, can_ask_again=saved is None)
        start = monotonic()
        for batch in _batches(given):
            verdicts = compared.compare(batch)
            hows.update(verdict.how for verdict in verdicts)
            different += [verdict for verdict in verdicts if verdict.how == "different"]
        seconds = monotonic() - start
        outcomes = dict(runtime.told)  # Shrinking adds others.
        _say(
            f"{len(given)} programs in {seconds:.0f} s, {len(given) / seconds:.0f} a second: "
            + ", ".join(f"{count} {how}" for how, count in sorted(hows.items()))
        )
        if different and saved is None:
            for number, programs in by_seed.items():
                bad = [v.program for v in different if v.program in programs]
                if bad:
                    _say(f"the smallest program of seed {number} that differs:")
                    _say(compared.shrunk(options.count, number, bad).text)
    for verdict in different[:_SHOWN_MAX]:
        _say(verdict.text)
    if options.save is not None:
        _write(options.save, outcomes)
    if options.facts is not None and not different:
        facts = _facts(options.seeds, found, hows, runtime.name)
        options.facts.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 1 if different else 0


def _batches(given: Sequence[Program]) -> Iterator[Sequence[Program]]:
    for first in range(0, len(given), _BATCH):
        yield given[first : first + _BATCH]


def _facts(
    seeds: list[int], found: Distribution, hows: Counter[str], target: str
) -> dict[str, Any]:
    return {
        "real_runtime": target,
        "seeds": seeds,
        "programs": found.program_count,
        "ops": found.op_count,
        "ops_beside_others": f"{found.concurrent_count / found.op_count:.0%}",
        "same_outcome": hows["calm"],
        "same_outcome_by_some_order_of_completions": hows["by some order"],
        "same_outcome_when_workerd_was_asked_again": hows["asked again"],
        "different": hows["different"],
    }


class _Runtime:
    """The real runtime, or what it once gave.

    Args:
        saved: Outcomes by the names of programs; None runs workerd.
    """

    def __init__(self, saved: dict[str, dict[str, Any]] | None) -> None:
        self._saved = saved
        #: First outcomes of all programs so far.
        self.told: dict[str, dict[str, Any]] = {}
        self.name = "saved outcomes"

    def __enter__(self) -> _Runtime:
        if self._saved is None:
            from emulator.conformance.real_target import RealTarget
            from emulator.workerd import installation

            installation.check()
            self._runner = asyncio.Runner()
            self._runner.__enter__()
            self._target = RealTarget()
            self.name = self._target.name
        return self

    def __exit__(self, *exc: object) -> None:
        if self._saved is None:
            self._runner.run(self._target.__aexit__(None, None, None))
            self._runner.close()

    def run(self, programs: Sequence[Program]) -> list[dict[str, Any]]:
        """The outcomes of some programs."""
        if self._saved is not None:
            missing = [p.name for p in programs if p.name not in self._saved]
            if missing:
                message = f"nothing was kept of {missing[0]!r}: same --count and --seeds?"
                raise ConfigurationError(message)
            return [self._saved[program.name] for program in programs]
        outcomes = self._runner.run(self._target.run([p.source for p in programs]))
        for program, outcome in zip(programs, outcomes, strict=True):
            self.told.setdefault(program.name, outcome)
        return outcomes


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, ValueError, EOFError) as error:
        message = f"cannot read {path}: {error}"
        raise ConfigurationError(message) from error
    return found


def _write(path: Path, outcomes: dict[str, dict[str, Any]]) -> None:
    path.write_bytes(gzip.compress(json.dumps(outcomes).encode(), mtime=0))


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
