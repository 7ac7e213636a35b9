"""Faults of services: what may go wrong with a request to another worker or to elsewhere.

Promises: every request and call that leaves by a service binding, by the way out or from a test
into a worker is declared. Leaves to others: which fault happens (rules), and carrying it out
(the corridor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from emulator.durable_objects.faults import lost
from emulator.simulation.fault_kinds import (
    CRASHES,
    DELAYS,
    RESTARTS,
    FaultDeclaration,
    FaultKind,
    by_name,
    lost_after,
    lost_before,
)
from emulator.simulation.rules import Operation, Verdict
from emulator.web.cut_short import cut_short
from emulator.web.response import Response

if TYPE_CHECKING:
    from emulator.simulation.fault_kinds import Touch

__all__ = ["DECLARATION", "answered", "with_short_body"]

_FETCHES: Final = frozenset({"outbound.fetch", "service.fetch"})
_CALLS: Final = _FETCHES | {"service.rpc", "worker.fetch", "worker.scheduled"}

_LOST: Final = "a connection may be lost (Cloudflare docs, Workers, Errors and exceptions)"
_HTTP: Final = "any server may answer so (RFC 9110, 15.6; RFC 6585, 4)"


def answered(status: int, body: str = "", headers: dict[str, str] | None = None) -> Any:
    """What makes the answer of a server in trouble.

    Args:
        status: 400 to 599.
        body: Its text.
        headers: Its headers, such as Retry-After.
    """
    return lambda _: Response(body, status, headers=headers)


def with_short_body(value: Any, kept_bytes: int | None, *, breaks: bool) -> Any:
    """A Response with a body that ends before its end.

    Args:
        value: The answer.
        kept_bytes: How much of the body comes; None is half of it.
        breaks: It ends with an error; else as if that were all.
    """
    if isinstance(value, Response) and value.body is not None and not value.body_used:
        value._set_content(cut_short(value.body, kept_bytes, breaks=breaks))
    return value


_ERROR_BEFORE: Final = lost_before(_LOST, lost)
_ERROR_AFTER: Final = lost_after(_LOST, lost)
_STATUS: Final = FaultKind(
    "status 503", "{what} of {who} was answered with 503", _HTTP, Verdict(answer=answered(503))
)
_RATE_LIMIT: Final = FaultKind(
    "rate limit",
    "{what} of {who} was answered with 429",
    _HTTP,
    Verdict(answer=answered(429, headers={"retry-after": "1"})),
)
_BREAK: Final = FaultKind(
    "truncate",
    "the connection broke in the middle of the answer to {what} of {who}",
    _LOST,
    Verdict(changed=lambda _, value: with_short_body(value, None, breaks=True)),
)

_OF_CALLS: Final = (*CRASHES, _ERROR_AFTER, _ERROR_BEFORE, *DELAYS, *RESTARTS)
_KINDS: Final[dict[str, tuple[FaultKind, ...]]] = {
    **dict.fromkeys(_CALLS, _OF_CALLS),
    **dict.fromkeys(_FETCHES, (*_OF_CALLS, _STATUS, _RATE_LIMIT, _BREAK)),
    # A test has no power to lose, and no network between itself and the worker.
    **dict.fromkeys(("worker.fetch", "worker.scheduled"), (_ERROR_AFTER, *DELAYS)),
}


def _touches(operation: Operation) -> tuple[Touch, ...]:
    service = operation.name.partition(".")[0]
    if service == "worker":
        return ()  # Each request has a life of its own.
    return ((f"{service}:{operation.binding}", True),)


DECLARATION: Final = FaultDeclaration(
    kinds=by_name(_KINDS),
    touches=_touches,
    error=lost,
    names={
        "call": _CALLS,
        "rate_limit": _FETCHES,
        "status": _FETCHES,
        "truncate": _FETCHES,
    },
)
