"""Answers: faults of a call that leaves an object or a worker.

Promises: each rule changes what the caller is told, and says whether the call happens.
Leaves to others: what befalls the caller itself and the runtime (endings), the platform's texts
(the declarations of the bindings).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emulator.bindings.d1.faults import OVERLOADED, RESET, failed
from emulator.bindings.r2.faults import with_other_size
from emulator.bindings.r2.faults import with_short_body as with_short_object
from emulator.bindings.service_faults import answered
from emulator.bindings.service_faults import with_short_body as with_short_response
from emulator.catalogue import CATALOGUE
from emulator.durable_objects.faults import overloaded as refused
from emulator.durable_objects.faults import rate_limited
from emulator.errors import js_error
from emulator.faults.making import always, checked_flag, rule
from emulator.simulation.rules import Operation, Verdict
from emulator.simulation.selection import Where, wrong_argument

if TYPE_CHECKING:
    from typing import Unpack

    from emulator.simulation.faults import Draw, FaultRule

__all__ = [
    "corrupt_size",
    "error",
    "missing",
    "overloaded",
    "rate_limit",
    "reset",
    "status",
    "truncate",
    "vanish",
]


def missing(binding: str | None = None, **where: Unpack[Where]) -> FaultRule:
    """The object or row is not there: the answer is null, whatever is stored.

    Somebody else may delete it at any time (Cloudflare docs, R2, Consistency model); a row that
    is not found is what D1's `first` answers with null.

    Args:
        binding: The name of the bucket or database in the worker's environment.
        where: Which operations (`Where`), of "r2.head", "r2.get" and "d1.first".

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    return rule("missing", binding, where, always(Verdict(answer=_nothing)))


def vanish(binding: str | None = None, **where: Unpack[Where]) -> FaultRule:
    """An R2 object is there at `head` and gone at `get`: somebody deleted it in between.

    Nothing joins two R2 calls (Cloudflare docs, R2, Consistency model).

    Args:
        binding: The name of the bucket in the worker's environment.
        where: Which calls of "r2.get" (`Where`).

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    return rule("vanish", binding, where, always(Verdict(answer=_nothing)))


def error(
    binding: str | None = None,
    *,
    after_effect: bool = False,
    message: str | None = None,
    name: str = "Error",
    retryable: bool | None = None,
    overloaded: bool = False,
    durable_object_reset: bool = False,
    **where: Unpack[Where],
) -> FaultRule:
    """The call fails: with or without having happened.

    Args:
        binding: The name of the other side in the worker's environment.
        after_effect: The call has happened, and only its answer is an error; else it has not.
        message: The error's text. None is what the platform says: R2's internal error 10001
            with the method's name (Cloudflare docs, R2, Error codes), a lost connection behind
            D1's prefix (Cloudflare docs, D1, Debug D1), elsewhere a lost connection (workerd's
            `jsg/util.c++`).
        name: The error's class, such as "Error" or "TypeError".
        retryable: The flag of that name. None is the platform's: true for a lost connection of
            an object or a service.
        overloaded: The flag of that name.
        durable_object_reset: The flag `durableObjectReset`.
        where: Which calls (`Where`).

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    if message is not None and not isinstance(message, str):
        raise wrong_argument("error", "message", message, "the error's text, or None")
    if not isinstance(name, str):
        raise wrong_argument("error", "name", name, 'a class of errors such as "TypeError"')
    if retryable is not None:
        checked_flag("error", "retryable", retryable)
    own = {
        "message": message,
        "name": None if name == "Error" else name,
        "retryable": retryable,
        "overloaded": checked_flag("error", "overloaded", overloaded),
        "durable_object_reset": checked_flag(
            "error", "durable_object_reset", durable_object_reset
        ),
    }
    is_usual = not any(value is not None for value in own.values())

    def make(operation: Operation) -> BaseException:
        usual: Any = CATALOGUE.error_of(operation)
        if is_usual:
            return usual  # type: ignore[no-any-return]
        made = js_error(
            name,
            usual.message if message is None else message,
            retryable=(message is None and usual.retryable) if retryable is None else retryable,
            overloaded=overloaded,
            durableObjectReset=durable_object_reset,
        )
        if message is None:
            made.properties = usual.properties
        return made

    is_after = checked_flag("error", "after_effect", after_effect)
    verdict = Verdict(error_after=make) if is_after else Verdict(error_before=make)
    own = {"after_effect": is_after, **own}
    return rule(
        "error", binding, where, always(verdict), own=own, known=CATALOGUE.names_of("call")
    )


def rate_limit(binding: str | None = None, **where: Unpack[Where]) -> FaultRule:
    """Too many at once: this one is refused, and nothing has happened.

    R2 takes one write a second to one key (Cloudflare docs, R2, Limits) and refuses another
    with 10058; a server answers 429 (RFC 6585); a database and an object have texts of their
    own (Cloudflare docs: D1, Debug D1; Durable Objects, Error handling).

    Args:
        binding: The name of the bucket or service in the worker's environment.
        where: Which operations (`Where`), of "r2.put", "r2.complete", "d1.*", "object.rpc",
            "object.fetch", "service.fetch" and "outbound.fetch".

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """

    def make(operation: Operation, _: Draw) -> Verdict:
        if operation.name.startswith("d1."):
            return Verdict(error_before=lambda one: failed(one, OVERLOADED))
        if operation.name.startswith("object."):
            return Verdict(error_before=rate_limited)
        return CATALOGUE.verdict_of("rate limit", operation)

    return rule("rate_limit", binding, where, make)


def overloaded(binding: str | None = None, **where: Unpack[Where]) -> FaultRule:
    """A database or an object has too much to do, and does not do this.

    The texts are those of Cloudflare's docs: D1, Debug D1, and Durable Objects, Error handling;
    an object's error has the flag `overloaded`.

    Args:
        binding: The name of the database or namespace in the worker's environment.
        where: Which calls (`Where`), of "d1.*", "object.rpc" and "object.fetch".

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """

    def make(operation: Operation) -> BaseException:
        is_d1 = operation.name.startswith("d1.")
        return failed(operation, OVERLOADED) if is_d1 else refused(operation)

    return rule("overloaded", binding, where, always(Verdict(error_before=make)))


def reset(
    binding: str | None = None, *, after_effect: bool = False, **where: Unpack[Where]
) -> FaultRule:
    """A database or an object is reset: its memory is lost, and the call fails.

    D1 says "Internal error in D1 DB storage caused object to be reset." (Cloudflare docs, D1,
    Debug D1). An object is reset when new code is deployed, whatever it was doing (Cloudflare
    docs, Durable Objects, Error handling): everybody who waits for it is told.

    Args:
        binding: The name of the database or namespace in the worker's environment.
        after_effect: The statement has been executed; of D1 only.
        where: Which calls (`Where`), of "d1.*", "object.rpc" and "object.fetch".

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """

    is_after = checked_flag("reset", "after_effect", after_effect)

    def make(operation: Operation, _: Draw) -> Verdict:
        if not operation.name.startswith("d1."):
            return CATALOGUE.verdict_of("reset", operation)
        error = failed(operation, RESET)
        return (
            Verdict(error_after=lambda _: error)
            if is_after
            else Verdict(error_before=lambda _: error)
        )

    return rule("reset", binding, where, make, own={"after_effect": is_after})


def status(
    binding: str | None = None,
    status: int = 503,
    *,
    body: str = "",
    headers: Mapping[str, str] | None = None,
    **where: Unpack[Where],
) -> FaultRule:
    """A server answers with an HTTP error, and does nothing else.

    Any server may (RFC 9110, 15.5 and 15.6).

    Args:
        binding: The name of the service or namespace in the worker's environment.
        status: 400 to 599.
        body: The answer's text.
        headers: The answer's headers, such as `{"retry-after": "5"}`.
        where: Which requests (`Where`), of "service.fetch", "outbound.fetch" and
            "object.fetch".

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    if not isinstance(status, int) or isinstance(status, bool) or not 400 <= status <= 599:
        raise wrong_argument("status", "status", status, "a whole number from 400 to 599")
    if not isinstance(body, str):
        raise wrong_argument("status", "body", body, "a text")
    if headers is not None and not isinstance(headers, Mapping):
        raise wrong_argument("status", "headers", headers, "a dict of texts, or None")
    sent = None if headers is None else dict(headers)
    return rule(
        "status",
        binding,
        where,
        always(Verdict(answer=answered(status, body, sent))),
        then={"status": None if status == 503 else status},
        own={"body": body or None, "headers": sent},
    )


def truncate(
    binding: str | None = None,
    *,
    kept_bytes: int | None = None,
    breaks: bool = False,
    **where: Unpack[Where],
) -> FaultRule:
    """A body ends before its end.

    A connection may be lost at any byte: the reader gets what has come and then "Network
    connection lost."; a body whose length the server did not say just ends (measured on
    workerd). What is missing shows in the size and the checksums of an R2 object, and in
    nothing else.

    Args:
        binding: The name of the bucket, service or namespace in the worker's environment.
        kept_bytes: How much of the body comes. None is half of it; of a body of unknown length,
            its first chunk.
        breaks: It ends with the error; else as if that were all.
        where: The body of which answers (`Where`), of "r2.get", "service.fetch",
            "outbound.fetch" and "object.fetch".

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    if kept_bytes is not None and (type(kept_bytes) is not int or kept_bytes < 0):
        told = "a whole number of bytes from 0 on, or None"
        raise wrong_argument("truncate", "kept_bytes", kept_bytes, told)
    own = {"kept_bytes": kept_bytes, "breaks": checked_flag("truncate", "breaks", breaks)}

    def cut(operation: Operation, value: Any) -> Any:
        is_r2 = operation.name.startswith("r2.")
        cut = with_short_object if is_r2 else with_short_response
        return cut(value, kept_bytes, breaks=breaks)

    return rule("truncate", binding, where, always(Verdict(changed=cut)), own=own)


def corrupt_size(
    binding: str | None = None, *, by_bytes: int = 1, **where: Unpack[Where]
) -> FaultRule:
    """An R2 object says another size than its body has when it is read.

    Somebody wrote it in between: nothing joins two R2 calls (Cloudflare docs, R2, Consistency
    model). Its body is that which is stored.

    Args:
        binding: The name of the bucket in the worker's environment.
        by_bytes: How many bytes more it says; less if negative, and never less than 0 in all.
        where: In which answers (`Where`), of "r2.head", "r2.get" and "r2.list".

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    if type(by_bytes) is not int or not by_bytes:
        told = "a whole number of bytes other than 0"
        raise wrong_argument("corrupt_size", "by_bytes", by_bytes, told)
    verdict = Verdict(changed=lambda _, value: with_other_size(value, by_bytes))
    own = {"by_bytes": None if by_bytes == 1 else by_bytes}
    return rule("corrupt_size", binding, where, always(verdict), own=own)


def _nothing(_: Operation) -> None:
    """Null, whatever was asked."""
