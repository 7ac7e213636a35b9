"""Faults of Durable Objects: what may go wrong with a call, a flush, an alarm, a message.

Promises: everything that an object is sent, and everything that the runtime does for it, is
declared, with the platform's own texts. Leaves to others: which fault happens (rules), and
carrying it out (the corridor, the instance, the alarm's scheduler).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.errors import JsException
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

if TYPE_CHECKING:
    from emulator.simulation.fault_kinds import Touch

__all__ = [
    "ALARM_LATE_MS",
    "DECLARATION",
    "flush_failed",
    "lost",
    "overloaded",
    "rate_limited",
    "was_reset",
]

#: An alarm may be late by this much after a machine failed (Cloudflare docs, Alarms).
ALARM_LATE_MS: Final = 60_000

_DELIVERIES: Final = frozenset({"object.fetch", "object.rpc"})
_CALLS: Final = _DELIVERIES | {
    "rpc.body", "stub.rpc", "websocket.close", "websocket.message",
}  # fmt: skip
_ACK: Final = "alarm.ack"
_ALARM: Final = "alarm.deliver"
_FLUSH: Final = "storage.flush"

_STUBS: Final = "Cloudflare docs, Durable Objects, Error handling"
_ALARMS: Final = "alarms run at least once (Cloudflare docs, Durable Objects, Alarms)"
_LATE: Final = (
    "usually within milliseconds, up to a minute late when a machine failed (Cloudflare docs, "
    "Durable Objects, Alarms)"
)
_IDLE: Final = (
    "an idle object may leave memory (Cloudflare docs, Durable Objects, Lifecycle of a Durable "
    "Object)"
)
_STORAGE: Final = "a write may fail, which resets the object (workerd's actor-sqlite.c++)"


def lost(_: Operation) -> JsException:
    """The connection is gone (workerd's `jsg/util.c++`)."""
    return JsException("Network connection lost.", retryable=True)


def overloaded(_: Operation) -> JsException:
    """Too many calls wait for the object (Cloudflare docs, Durable Objects, Error handling)."""
    text = "Durable Object is overloaded. Too many requests queued."
    return JsException(text, overloaded=True)


def rate_limited(_: Operation) -> JsException:
    """Too many calls of one object (Cloudflare docs, Durable Objects, Error handling)."""
    text = (
        "Durable Object is overloaded. Too many requests for the same object within a 10 "
        "second window."
    )
    return JsException(text, overloaded=True)


def was_reset(_: Operation) -> JsException:
    """New code was deployed (Cloudflare docs, Durable Objects, Error handling)."""
    text = "Durable Object reset because its code was updated."
    return JsException(text, durableObjectReset=True)


def flush_failed(_: Operation) -> JsException:
    """What was written could not be made durable (workerd's `actor-cache.c++`)."""
    text = "Internal error in Durable Object storage write caused object to be reset."
    return JsException(text, durableObjectReset=True)


def _error(operation: Operation) -> JsException:
    return flush_failed(operation) if operation.name == _FLUSH else lost(operation)


_ERROR_BEFORE: Final = lost_before(_STUBS, lost)
_ERROR_AFTER: Final = lost_after(_STUBS, lost)
_OVERLOADED: Final = FaultKind(
    "overloaded",
    "{what} of {who} was refused by an object with too much to do",
    _STUBS,
    Verdict(error_before=overloaded),
)
_RESET: Final = FaultKind(
    "reset",
    "new code reset the object when {what} of {who} came",
    _STUBS,
    Verdict(error_before=was_reset, target_ends="reset"),
)
_EVICT: Final = FaultKind(
    "evict",
    "the object, idle, was evicted before {what} of {who}",
    _IDLE,
    Verdict(target_ends="evict"),
)
_FLUSH_FAILURE: Final = FaultKind(
    "flush failure",
    "what {who} had written could not be made durable, and the object was reset",
    _STORAGE,
    Verdict(error_before=flush_failed),
)
_SLOW_FLUSH: Final = FaultKind(
    "latency",
    "what {who} had written became durable 20 ms late",
    "words wait for the writes before them, however long (workerd's io-gate.h)",
    Verdict(latency_ms=20),
)
_LATE_ALARM: Final = FaultKind(
    "late", "the alarm of {who} ran a minute late", _LATE, Verdict(latency_ms=ALARM_LATE_MS)
)
_DUPLICATE: Final = FaultKind(
    "duplicate",
    "the alarm of {who} was done, nobody heard so, and it ran again",
    _ALARMS,
    Verdict(is_unheard=True),
)

_KINDS: Final[dict[str, tuple[FaultKind, ...]]] = {
    **dict.fromkeys(
        _CALLS, (*CRASHES, _ERROR_AFTER, _ERROR_BEFORE, *DELAYS, *RESTARTS)
    ),
    **dict.fromkeys(
        _DELIVERIES,
        (
            *CRASHES, _ERROR_AFTER, _ERROR_BEFORE, _EVICT, *DELAYS, *RESTARTS, _RESET,
            _OVERLOADED,
        ),
    ),
    _FLUSH: (*CRASHES, _FLUSH_FAILURE, _SLOW_FLUSH, *RESTARTS),
    _ACK: (_DUPLICATE, *CRASHES, *RESTARTS),
    _ALARM: (CRASHES[1], _EVICT, _LATE_ALARM, RESTARTS[1]),
}  # fmt: skip


def _touches(operation: Operation) -> tuple[Touch, ...]:
    service, _, method = operation.name.partition(".")
    if service in ("storage", "alarm"):
        if method == "deliver":
            return ((f"alarm:{operation.actor}", True), (f"object:{operation.actor}", True))
        return ((f"{service}:{operation.actor}", True),)
    if service == "rpc":
        return ()  # A chunk of a stream that has one reader.
    if service == "websocket":
        return (("websocket", True),)  # Whose it is, the operation does not say.
    return ((f"object:{operation.target}", True),)


DECLARATION: Final = FaultDeclaration(
    kinds=by_name(_KINDS),
    touches=_touches,
    error=_error,
    names={
        "call": _CALLS,
        "own": frozenset({_ACK, _ALARM, _FLUSH}),
        "slow": frozenset({_ALARM, _FLUSH}),
        "overloaded": _DELIVERIES,
        "rate_limit": _DELIVERIES,
        "reset": _DELIVERIES,
        "evict": _DELIVERIES | {_ALARM},
        "flush_failure": frozenset({_FLUSH}),
        "late_alarm": frozenset({_ALARM}),
        "duplicate_alarm": frozenset({_ACK}),
        "status": frozenset({"object.fetch"}),
        "truncate": frozenset({"object.fetch"}),
    },
)
