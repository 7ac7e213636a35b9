"""Faults of D1: what may go wrong with a database, and what a statement touches.

Promises: every call of a database is declared, with D1's own texts. Leaves to others: which
fault happens (rules), and carrying it out (the corridor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.bindings.d1.errors import d1_error
from emulator.bindings.d1.tables import tables_of
from emulator.simulation.fault_kinds import (
    CRASHES,
    DELAYS,
    RESTARTS,
    FaultDeclaration,
    FaultKind,
    failed_before,
)
from emulator.simulation.rules import Operation, Verdict

if TYPE_CHECKING:
    from emulator.errors import JsException
    from emulator.simulation.fault_kinds import Touch

__all__ = ["DECLARATION", "OVERLOADED", "RESET", "failed"]

_CALLS: Final = frozenset({"d1.all", "d1.batch", "d1.exec", "d1.first", "d1.raw", "d1.run"})

# Cloudflare docs, D1, Debug D1, Error list.
LOST: Final = "Network connection lost."
OVERLOADED: Final = "D1 DB is overloaded. Too many requests queued."
RESET: Final = "Internal error in D1 DB storage caused object to be reset."
_LIST: Final = "Cloudflare docs, D1, Debug D1, Error list"


def failed(operation: Operation, text: str = LOST) -> JsException:
    """The error of a call, worded by what was called.

    Args:
        operation: The call.
        text: What went wrong.
    """
    if operation.name == "d1.exec":
        first_line = operation.key.partition("\n")[0]
        return d1_error(f"Error in line 1: {first_line}: {text}", "D1_EXEC_ERROR")
    return d1_error(text)


def _is_read(operation: Operation) -> bool:
    used = tables_of(operation.key)
    return used is not None and not any(is_written for _, is_written in used)


_ERROR_BEFORE: Final = failed_before(_LIST, failed)
_ERROR_AFTER: Final = FaultKind(
    "error after",
    "{what} of {who} took effect, and its connection was lost before the answer",
    _LIST,
    Verdict(error_after=failed),
)
_OVERLOADED: Final = FaultKind(
    "overloaded",
    "{what} of {who} was refused by a database with too much to do",
    _LIST,
    Verdict(error_before=lambda operation: failed(operation, OVERLOADED)),
)
_RESET: Final = FaultKind(
    "reset",
    "the database was reset when {what} of {who} had taken effect",
    _LIST,
    Verdict(error_after=lambda operation: failed(operation, RESET)),
)

_OF_READS: Final = (*CRASHES, _ERROR_BEFORE, *DELAYS, *RESTARTS)
_OF_WRITES: Final = (
    *CRASHES, _ERROR_AFTER, _ERROR_BEFORE, *DELAYS, *RESTARTS, _OVERLOADED, _RESET,
)  # fmt: skip


def _kinds(operation: Operation) -> tuple[FaultKind, ...]:
    if operation.name not in _CALLS:
        return ()
    return _OF_READS if _is_read(operation) else _OF_WRITES


def _touches(operation: Operation) -> tuple[Touch, ...]:
    database = f"d1:{operation.binding}"
    used = tables_of(operation.key)
    if used is None:
        return ((database, True),)
    return tuple((f"{database}.{name}", is_written) for name, is_written in used)


DECLARATION: Final = FaultDeclaration(
    kinds=_kinds,
    touches=_touches,
    error=failed,
    names={
        "call": _CALLS,
        "missing": frozenset({"d1.first"}),
        "overloaded": _CALLS,
        "rate_limit": _CALLS,
        "reset": _CALLS,
    },
)
