"""The laws of an export: what must be true of any worker's exports, whatever went wrong.

Promises: one place for them, judged by nothing but what HTTP, D1, R2 and an object's storage
show, so that any worker which answers Amber's contract can be judged. Where Amber's README and
its worker differ, both are accepted. A law is a function from evidence to sentences; none is a
law kept:

    problems = judge(WorldEvidence(exports=(ExportEvidence(row=..., history=...),), ...))

Rooms: `evidence` (what is judged), `life` (status, end, R2 and storage), `contents` (the
archive).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from amber_worker.contract.archive import LawBroken
from amber_worker.laws.contents import CONTENT_LAWS
from amber_worker.laws.evidence import (
    Disturbance,
    Expected,
    ExportEvidence,
    OpenUpload,
    WorldEvidence,
)
from amber_worker.laws.life import EXPORT_LAWS, WORLD_LAWS

__all__ = [
    "Disturbance",
    "Expected",
    "ExportEvidence",
    "OpenUpload",
    "WorldEvidence",
    "assert_kept",
    "judge",
    "law_names",
]


def judge(world: WorldEvidence) -> list[str]:
    """What is broken: one sentence for each thing, the law's name in front."""
    found = []
    for export in world.exports:
        for law in (*EXPORT_LAWS, *CONTENT_LAWS):
            found += [f"{_told(law)}: {export}: {problem}" for problem in law(export)]
    for world_law in WORLD_LAWS:
        found += [f"{_told(world_law)}: {problem}" for problem in world_law(world)]
    return found


def assert_kept(world: WorldEvidence) -> None:
    """Complain of what is broken.

    Raises:
        LawBroken: Of a class of its own for each law, since a search that makes a failure
            smaller goes by classes. All sentences are in it.
    """
    problems = judge(world)
    if problems:
        law = problems[0].partition(":")[0]
        raise _class_of(law)("\n".join(problems))


@cache
def _class_of(law: str) -> type[LawBroken]:
    return type("".join(map(str.capitalize, law.split())), (LawBroken,), {})


def law_names() -> tuple[str, ...]:
    """Every law, in words."""
    return tuple(_told(law) for law in (*EXPORT_LAWS, *CONTENT_LAWS, *WORLD_LAWS))


def _told(law: Any) -> str:
    return str(law.__name__).replace("_", " ")
