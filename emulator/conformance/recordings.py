"""Recordings: what workerd once gave for the named programs, kept beside them.

Promises: one file for each file of programs, the same to the byte for the same outcomes; a
recording that is missing, or belongs to another form of its program, is named. Leaves to
others: making outcomes (real_target), comparing them (comparison).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emulator.conformance.normalise import normalise
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from emulator.conformance.program import Program

__all__ = ["RECORDING_COMMAND", "folder", "is_of", "known", "program_folder", "read", "write"]

_ROOT: Final = Path(__file__).parents[2] / "fixtures"
RECORDING_COMMAND: Final = (
    "python -m emulator conform fixtures/programs/*.json --target workerd --record"
)


def program_folder() -> Path:
    """Where the named programs are, one file a theme."""
    return _ROOT / "programs"


def program_files() -> list[Path]:
    """The files of the named programs, in their order; none outside of a checkout."""
    return sorted(program_folder().glob("*.json"))


def folder() -> Path:
    """Where their recordings are."""
    return _ROOT / "recordings" / "workerd"


def digest_of(program: Program) -> str:
    """What tells one form of a program from another."""
    text = json.dumps(program.source, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write(path: Path, programs: Iterable[Program], outcomes: Mapping[str, Any]) -> None:
    """Write the recordings of one theme.

    Args:
        path: The file.
        programs: Those of the theme, in their order.
        outcomes: By the names of the programs, as workerd gave them.
    """
    lines = []
    targets = set()
    for program in programs:
        outcome = outcomes[program.name]
        targets.add(outcome["target"])
        entry = {
            "program": program.name,
            "digest": digest_of(program),
            **normalise(program.source, outcome),
        }
        lines.append(json.dumps(entry, ensure_ascii=False, sort_keys=True))
    if len(targets) > 1:
        message = f"outcomes of several targets cannot be one recording: {sorted(targets)}"
        raise ConfigurationError(message)
    target = json.dumps(*targets)
    body = ",\n".join(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f'{{"target": {target}, "outcomes": [\n{body}\n]}}\n'
    path.write_text(text, encoding="utf-8", newline="\n")


def known(theme: str) -> dict[str, dict[str, Any]]:
    """What is recorded of a theme, by the names of programs; {} if nothing is.

    Args:
        theme: The stem of the file's name.
    """
    path = folder() / f"{theme}.json"
    if not path.exists():
        return {}
    given = json.loads(path.read_text(encoding="utf-8"))
    return {
        entry["program"]: {"target": given["target"], **entry} for entry in given["outcomes"]
    }


def is_of(outcome: Mapping[str, Any], program: Program) -> bool:
    """Whether a recorded outcome is of a program as it is now."""
    return bool(outcome["digest"] == digest_of(program))


def read(theme: str, programs: Sequence[Program]) -> dict[str, dict[str, Any]]:
    """The recorded outcomes of a theme, by the names of its programs.

    Args:
        theme: The stem of the file's name.
        programs: Whose outcomes are wanted.

    Raises:
        ConfigurationError: If one was never recorded, or was changed since.
    """
    found = known(theme)
    advice = f"record it with `{RECORDING_COMMAND}`"
    for program in programs:
        outcome = found.get(program.name)
        if outcome is None:
            message = f"{theme}.json has no recorded outcome of {program.name!r}: {advice}"
            raise ConfigurationError(message)
        if not is_of(outcome, program):
            message = f"{program.name!r} was changed after {theme}.json was recorded: {advice}"
            raise ConfigurationError(message)
    return {program.name: found[program.name] for program in programs}
