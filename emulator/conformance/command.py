"""The command `conform`: programs on the emulator and on workerd, from a terminal.

Promises: outcomes are JSON on standard output; a malformed program is one sentence on standard
error and exit status 2; differences are told in words and exit status 1. Leaves to others:
running and comparing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emulator.conformance import divergences, fidelity, recordings
from emulator.conformance.judge import complaint
from emulator.conformance.program import read, unique
from emulator.errors import ConfigurationError, NodeMissing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from emulator.conformance.program import Program

__all__ = ["add_arguments", "run_command"]

_DESCRIPTION: Final = """\
A conformance program is JSON: steps that call an object, and what they do there, such as
{"name": "a put", "steps": [{"rpc": [["storage.put", "k", 1], ["storage.get", "k"]]}]};
docs/conformance.md tells how to write one. Run some and print their outcomes as JSON; or
compare what the emulator gives with what workerd, Cloudflare's own runtime, gives
(--against workerd) or gave (--against recordings), and print what differs. Exit status: 0 all
is well, 1 something differs, 2 something cannot be read or run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `python -m emulator conform` takes."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "programs",
        nargs="+",
        metavar="PROGRAM.json",
        type=Path,
        help='a file with one program, or with {"programs": [...]}',
    )
    parser.add_argument(
        "--target",
        choices=("emulator", "workerd"),
        default="emulator",
        help="where to run them (emulator); workerd needs Node 20, and once `python -m "
        "emulator.workerd install`",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the emulator (0)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--against",
        choices=("workerd", "recordings"),
        help="compare the emulator's outcomes with these, and print the differences",
    )
    what.add_argument(
        "--record",
        action="store_true",
        help="keep the outcomes of workerd in fixtures/recordings/workerd: those of programs "
        "that are new or were changed",
    )
    parser.add_argument(
        "--exitfirst",
        "-x",
        action="store_true",
        help="with --against: stop at the first program that is to be looked at",
    )
    parser.add_argument(
        "--anew", action="store_true", help="with --record: run all of them, not only the new"
    )
    what.add_argument(
        "--fidelity",
        action="store_true",
        help="write docs/fidelity.md from programs, recordings and declared differences",
    )


def run_command(options: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit status is the result."""
    try:
        return _run(options)
    except NodeMissing as error:
        sys.stderr.write(
            f"{error}; in a checkout, what workerd once gave can be compared with without it: "
            "--against recordings\n"
        )
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
    return 2


def _run(options: argparse.Namespace) -> int:
    is_recorded = options.fidelity or options.record or options.against == "recordings"
    if is_recorded and not recordings.program_folder().is_dir():
        message = (
            "what workerd once gave is kept in a checkout of the project only, and this is an "
            "installed package: compare with the real runtime itself, --against workerd"
        )
        raise ConfigurationError(message)
    themes = {path: read(path) for path in options.programs}
    programs = unique(program for theme in themes.values() for program in theme)
    if options.fidelity:
        fidelity.path().write_text(fidelity.page(), encoding="utf-8", newline="\n")
        sys.stdout.write(f"{fidelity.path()}\n")
        return 0
    if options.record:
        if options.target != "workerd":
            message = "--record keeps outcomes of workerd: give --target workerd"
            raise ConfigurationError(message)
        _record(themes, is_anew=options.anew)
        return 0
    if options.against is None:
        outcomes = _outcomes(programs, options.target, options.seed)
        _print(outcomes)
        return 0
    if options.target != "emulator":
        message = "--against compares with the emulator: leave --target out"
        raise ConfigurationError(message)
    if options.against == "workerd":
        real = {o["program"]: o for o in _outcomes(programs, "workerd", 0)}
        return _compare(programs, real, [], options)
    recorded, missing = _recorded(themes)
    present = [program for program in programs if program.name in recorded]
    return _compare(present, recorded, missing, options)


def _recorded(themes: dict[Path, list[Program]]) -> tuple[dict[str, Any], list[str]]:
    """What is recorded, by the names of programs; and what is wrong with the others."""
    found: dict[str, Any] = {}
    missing = []
    for path, theme in themes.items():
        for program in theme:
            try:
                found |= recordings.read(path.stem, [program])
            except ConfigurationError as error:
                missing.append(str(error))
    return found, missing


def _outcomes(programs: Sequence[Program], target: str, seed: int) -> list[dict[str, Any]]:
    if target == "workerd":
        import asyncio

        from emulator.conformance.real_target import run_programs
        from emulator.workerd import installation

        installation.check()
        return asyncio.run(run_programs([program.source for program in programs]))
    from emulator.conformance.emulator_target import run_program

    return [run_program(program, seed=seed) for program in programs]


def _print(outcomes: list[dict[str, Any]]) -> None:
    """One outcome is an object; several are a list, one on a line."""
    lines = [json.dumps(outcome, ensure_ascii=False) for outcome in outcomes]
    text = lines[0] if len(lines) == 1 else "[\n" + ",\n".join(lines) + "\n]"
    sys.stdout.write(f"{text}\n")


def _record(themes: dict[Path, list[Program]], *, is_anew: bool) -> None:
    from emulator.conformance.real_target import version

    target = f"workerd {version()}"
    found: dict[str, dict[str, Any]] = {}
    if not is_anew:
        for path, theme in themes.items():
            known = recordings.known(path.stem)
            for program in theme:
                outcome = known.get(program.name)
                if (
                    outcome
                    and outcome["target"] == target
                    and recordings.is_of(outcome, program)
                ):
                    found[program.name] = outcome
    missing = [p for theme in themes.values() for p in theme if p.name not in found]
    for outcome in _outcomes(missing, "workerd", 0) if missing else ():
        found[outcome["program"]] = outcome
        if "error" in outcome:
            error = outcome["error"]
            sys.stderr.write(f"{outcome['program']!r}: {error['name']}: {error['message']}\n")
    for path, theme in themes.items():
        file = recordings.folder() / f"{path.stem}.json"
        recordings.write(file, theme, found)
        count = sum(program in missing for program in theme)
        sys.stdout.write(f"{file}: {len(theme)} programs, {count} of them new\n")


def _compare(
    programs: Sequence[Program],
    real: dict[str, Any],
    complaints: list[str],
    options: argparse.Namespace,
) -> int:
    from emulator.conformance.emulator_target import run_program

    declared = divergences.read()
    count = len(complaints)  # Those that are recorded nowhere.
    told = 0
    for program in programs:
        if complaints and options.exitfirst:
            break
        count += 1
        told += sum(program.name in entry.programs for entry in declared)
        outcome = run_program(program, seed=options.seed)
        text = complaint(program, real[program.name], outcome, declared)
        if text:
            complaints.append(text)
    for text in complaints:
        sys.stdout.write(f"{text}\n\n")
    sys.stdout.write(
        f"{_counted(count)}: {count - len(complaints) - told} the same, "
        f"{told} declared to differ, {len(complaints)} to be looked at\n"
    )
    return 1 if complaints else 0


def _counted(count: int) -> str:
    return "1 program" if count == 1 else f"{count} programs"
