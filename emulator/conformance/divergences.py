"""The divergences: where the emulator is known to differ from workerd, and why.

Promises: every entry of `fixtures/divergences.toml` says what differs, how, why, and which
programs show it; a malformed one is named. Leaves to others: whether it is true (the judge).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Divergence", "check_programs", "path", "read"]

_FIELDS: Final = {"id": str, "what": str, "how": str, "why": str, "programs": list}


class Divergence(NamedTuple):
    """One known difference.

    Attributes:
        id: A short name.
        what: What workerd does.
        how: What the emulator does instead.
        why: The reason.
        programs: Names of those that show it.
    """

    id: str
    what: str
    how: str
    why: str
    programs: tuple[str, ...]


def path() -> Path:
    """The file of the entries."""
    return Path(__file__).parents[2] / "fixtures" / "divergences.toml"


def read(source: Path | None = None) -> list[Divergence]:
    """The entries, in their order.

    Args:
        source: The file; the fixture's if None. One that is not there has no entries.

    Raises:
        ConfigurationError: If the file is malformed.
    """
    source = path() if source is None else source
    if not source.exists():
        return []
    try:
        given = tomllib.loads(source.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        message = f"{source.name} is no TOML: {error}"
        raise ConfigurationError(message) from error
    unknown = set(given) - {"divergence"}
    if unknown:
        message = (
            f"{source.name} has [[divergence]] entries only, got {', '.join(sorted(unknown))}"
        )
        raise ConfigurationError(message)
    found = [
        _entry(entry, i, source.name) for i, entry in enumerate(given.get("divergence", []))
    ]
    _check_unique((entry.id for entry in found), "two entries have the id", source.name)
    names = (name for entry in found for name in entry.programs)
    _check_unique(names, "two entries tell of the program", source.name)
    return found


def _entry(entry: object, index: int, file_name: str) -> Divergence:
    where = f"{file_name}, entry {index}"
    if not isinstance(entry, dict):
        message = f"{where} must be a table [[divergence]]"
        raise ConfigurationError(message)
    where = f"{where} ({entry.get('id', 'without id')})"
    for name in entry:
        if name not in _FIELDS:
            message = f"{where} has no field {name!r}; known: {', '.join(_FIELDS)}"
            raise ConfigurationError(message)
    for name, kind in _FIELDS.items():
        given = entry.get(name)
        if not isinstance(given, kind) or not given:
            message = f"{where} needs {name!r}, {'names' if kind is list else 'a text'}"
            raise ConfigurationError(message)
    programs = entry["programs"]
    if not all(isinstance(name, str) for name in programs):
        message = f"{where}: 'programs' must be names of programs, got {programs!r}"
        raise ConfigurationError(message)
    return Divergence(entry["id"], entry["what"], entry["how"], entry["why"], tuple(programs))


def _check_unique(names: Iterable[str], complaint: str, file_name: str) -> None:
    seen = set()
    for name in names:
        if name in seen:
            message = f"{file_name}: {complaint} {name!r}"
            raise ConfigurationError(message)
        seen.add(name)


def check_programs(entries: Iterable[Divergence], known: Iterable[str]) -> None:
    """Refuse an entry that tells of a program which does not exist.

    Raises:
        ConfigurationError: It names entry and program.
    """
    names = set(known)
    for entry in entries:
        for name in entry.programs:
            if name not in names:
                message = (
                    f"divergence {entry.id!r} tells of {name!r}, and there is no such program"
                )
                raise ConfigurationError(message)
