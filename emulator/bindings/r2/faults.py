"""Faults of R2: what may go wrong with a bucket, and what an operation touches.

Promises: every operation of a bucket is declared, with R2's own texts. Leaves to others: which
fault happens (rules), and carrying it out (the corridor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from emulator.bindings.r2.errors import INTERNAL_ERROR, RATE_LIMITED, r2_error
from emulator.bindings.r2.objects import R2Object, R2ObjectBody
from emulator.durable_objects.faults import lost
from emulator.simulation.fault_kinds import (
    CRASHES,
    DELAYS,
    RESTARTS,
    FaultDeclaration,
    FaultKind,
    by_name,
    failed_before,
)
from emulator.simulation.rules import Operation, Verdict
from emulator.values import JsDict
from emulator.web.cut_short import cut_short

if TYPE_CHECKING:
    from emulator.errors import JsException
    from emulator.simulation.fault_kinds import Touch

__all__ = ["DECLARATION", "rate_limited", "with_other_size", "with_short_body"]

_READS: Final = frozenset({"r2.head", "r2.get", "r2.list"})
_WRITES: Final = frozenset(
    {
        "r2.abort", "r2.complete", "r2.createMultipartUpload", "r2.delete", "r2.put",
        "r2.uploadPart",
    }
)  # fmt: skip
_NULLABLE: Final = frozenset({"r2.head", "r2.get"})
#: What writes an object; R2 takes one write a second to one key.
_LIMITED: Final = frozenset({"r2.put", "r2.complete"})
_BODY: Final = "r2.body"

#: R2's word for a method, where it is not the binding's.
_METHODS: Final = {"complete": "completeMultipartUpload", "abort": "abortMultipartUpload"}

_CODES: Final = "Cloudflare docs, R2, Error codes (10001)"
_ANOTHER: Final = (
    "somebody else may write or delete it between two calls, which nothing joins (Cloudflare "
    "docs, R2, Consistency model)"
)
_LOST: Final = "a connection may be lost at any byte (measured on workerd)"


def _method(operation: Operation) -> str:
    method = operation.name.removeprefix("r2.")
    return _METHODS.get(method, method)


def _error(operation: Operation) -> JsException:
    if operation.name == _BODY:
        return lost(operation)
    return r2_error(_method(operation), INTERNAL_ERROR)


def rate_limited(operation: Operation) -> JsException:
    """R2's refusal of too many writes to one key."""
    return r2_error(_method(operation), RATE_LIMITED)


def with_other_size(value: Any, by_bytes: int) -> Any:
    """What R2 answered, with another size of each object in it.

    Args:
        value: The answer of `head`, `get` or `list`.
        by_bytes: How many bytes larger each object says it is; it never says less than 0.
    """
    if isinstance(value, R2Object):
        value.resize(by_bytes)
    elif isinstance(value, JsDict):
        for listed in value["objects"]:
            listed.resize(by_bytes)
    return value


def with_short_body(value: Any, kept_bytes: int | None, *, breaks: bool) -> Any:
    """What `get` answered, with a body that ends before its end.

    Args:
        value: The answer.
        kept_bytes: How much of the body comes; None is half of it.
        breaks: It ends with an error; else as if that were all.
    """
    if isinstance(value, R2ObjectBody):
        value.replace_body(cut_short(value.body, kept_bytes, breaks=breaks))
    return value


def _answer_nothing(_: Operation) -> None:
    """Null, whatever was asked."""


_ERROR_BEFORE: Final = failed_before(_CODES, _error)
_ERROR_AFTER: Final = FaultKind(
    "error after",
    "{what} of {who} took effect, and was answered with an error",
    _CODES,
    Verdict(error_after=_error),
)
_MISSING: Final = FaultKind(
    "missing", "{what} of {who} found nothing", _ANOTHER, Verdict(answer=_answer_nothing)
)
_VANISH: Final = FaultKind(
    "vanish",
    "{what} of {who} found nothing, whatever head had said",
    _ANOTHER,
    Verdict(answer=_answer_nothing),
)
_RATE_LIMIT: Final = FaultKind(
    "rate limit",
    "{what} of {who} was one write too many to one key",
    "one write a second to one key, else 429 (Cloudflare docs, R2, Limits)",
    Verdict(error_before=rate_limited),
)
_BREAK: Final = FaultKind(
    "truncate",
    "the connection broke in the middle of the body of {what} of {who}",
    _LOST,
    Verdict(changed=lambda _, value: with_short_body(value, None, breaks=True)),
)
_CORRUPT_SIZE: Final = FaultKind(
    "corrupt size",
    "{what} of {who} told another size than get will",
    _ANOTHER,
    Verdict(changed=lambda _, value: with_other_size(value, 1)),
)

_OF_READS: Final = (*CRASHES, _ERROR_BEFORE, *DELAYS, *RESTARTS)
_OF_WRITES: Final = (*CRASHES, _ERROR_AFTER, _ERROR_BEFORE, *DELAYS, *RESTARTS)
_KINDS: Final[dict[str, tuple[FaultKind, ...]]] = {
    **dict.fromkeys(_READS, _OF_READS),
    **dict.fromkeys(_WRITES, _OF_WRITES),
    **dict.fromkeys(_LIMITED, (*_OF_WRITES, _RATE_LIMIT)),
    "r2.head": (_MISSING, *_OF_READS, _CORRUPT_SIZE),
    "r2.get": (_VANISH, *_OF_READS, _BREAK),
    _BODY: (*CRASHES, _ERROR_BEFORE, *DELAYS),
}


def _touches(operation: Operation) -> tuple[Touch, ...]:
    bucket, name = f"r2:{operation.binding}", operation.name
    if name == "r2.list" or (name == "r2.delete" and "," in operation.key):
        # A key list is cut short in an operation's key.
        return ((bucket, name != "r2.list"),)
    upload = f"r2-upload:{operation.binding}/{operation.key}"
    match name:
        case "r2.createMultipartUpload" | "r2.uploadPart" | "r2.abort":
            return ((upload, True),)
        case "r2.complete":
            return ((f"{bucket}/{operation.key}", True), (upload, True))
        case "r2.body":
            return ()  # A snapshot of the version that was opened.
    return ((f"{bucket}/{operation.key}", name not in _READS),)


_CALLS: Final = frozenset(_READS | _WRITES | {_BODY})

DECLARATION: Final = FaultDeclaration(
    kinds=by_name(_KINDS),
    touches=_touches,
    error=_error,
    names={
        "call": _CALLS,
        "missing": _NULLABLE,
        "vanish": frozenset({"r2.get"}),
        "rate_limit": _LIMITED,
        "truncate": frozenset({"r2.get"}),
        "corrupt_size": _READS,
    },
)
