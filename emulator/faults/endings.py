"""Endings: faults of the one who calls, and of the runtime beneath.

Promises: each rule ends a life, or fails or delays what the runtime does by itself. Leaves to
others: what a call is answered (answers), how a life ends (the instance).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.catalogue import CATALOGUE
from emulator.durable_objects.faults import ALARM_LATE_MS, flush_failed
from emulator.errors import ConfigurationError
from emulator.faults.making import always, checked_delay, checked_flag, rule
from emulator.simulation.rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from typing import Unpack

    from emulator.simulation.faults import FaultRule
    from emulator.simulation.selection import Where

__all__ = ["crash", "duplicate_alarm", "evict", "flush_failure", "late_alarm", "restart"]


def crash(
    binding: str | None = None,
    *,
    before: str | None = None,
    after: str | None = None,
    **where: Unpack[Where],
) -> FaultRule:
    """Whoever does an operation loses power at that instant.

    An object may at any time, and starts again from what is durable (Cloudflare docs, Durable
    Objects, Lifecycle of a Durable Object). Its callers see "Network connection lost.".

    Args:
        binding: Who loses power: the namespace of an object in the worker's environment, such
            as "JOBS", or "worker" for the worker itself; None is whoever does the operation.
        before: The operation before whose effect it happens: "storage.flush", "r2.put",
            "BUCKET.r2.put", or a glob. Without `before` and `after`, the first operation.
        after: The operation after whose effect it happens, and before its answer.
        where: Which of these operations (`Where`), without `op`. `nth` is 1 unless it is
            given, since an object that always crashes never ends.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    return _power_cut("crash", binding, before, after, where)


def restart(
    binding: str | None = None,
    *,
    before: str | None = None,
    after: str | None = None,
    **where: Unpack[Where],
) -> FaultRule:
    """The process restarts at that instant: all its objects and requests lose power at once.

    A machine that fails takes along all that ran on it. Alarms that are due fire at once, and
    their retries are counted afresh (measured on workerd).

    Args:
        binding: Whose operation it is: the namespace of an object in the worker's environment,
            or "worker"; None is anybody's.
        before: As for `crash`.
        after: As for `crash`.
        where: As for `crash`; `nth` is 1 unless it is given.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    return _power_cut("restart", binding, before, after, where)


def _power_cut(
    fault: str,
    binding: str | None,
    before: str | None,
    after: str | None,
    where: Mapping[str, Any],
) -> FaultRule:
    if binding in ("before", "after") or "op" in where or "operation" in where:
        message = (
            f'faults.{fault}() says when with before="storage.flush" or after="r2.put", and '
            "its first argument is whose power fails"
        )
        raise ConfigurationError(message)
    if before is not None and after is not None:
        message = f"faults.{fault}(before={before!r}, after={after!r}): give one of the two"
        raise ConfigurationError(message)
    when = "before" if after is None else "after"
    verdict = Verdict(crash=when) if fault == "crash" else Verdict(restart=when)
    made = {**where, "op": before if after is None else after}
    return rule(
        fault,
        binding,
        made,
        always(verdict),
        at={"before": before, "after": after},
        known=CATALOGUE.names_of("call") | CATALOGUE.names_of("own"),
        is_actor=True,
        nth=1,
    )


def evict(binding: str | None = None, **where: Unpack[Where]) -> FaultRule:
    """An idle object leaves memory just before something is delivered to it.

    All that was written is kept, no stub breaks (Cloudflare docs, Durable Objects, Lifecycle of
    a Durable Object). An object that is not idle stays.

    Args:
        binding: The namespace in the worker's environment.
        where: Before which deliveries (`Where`), of "object.rpc", "object.fetch" and
            "alarm.deliver". `nth` is 1 unless it is given.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    return rule("evict", binding, where, always(Verdict(target_ends="evict")), nth=1)


def flush_failure(
    binding: str | None = None, *, after_effect: bool = False, **where: Unpack[Where]
) -> FaultRule:
    """What an object has written cannot be made durable: the object is reset.

    Whoever waits for it is told "Internal error in Durable Object storage write caused object
    to be reset." (workerd's `actor-cache.c++`), and nothing leaves that the object said after
    these writes. A running alarm is retried, and that is not counted.

    Args:
        binding: The namespace in the worker's environment.
        after_effect: They are durable all the same.
        where: Which flushes (`Where`). `nth` is 1 unless it is given.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    own = {"after_effect": checked_flag("flush_failure", "after_effect", after_effect)}
    verdict = Verdict(error_before=flush_failed)
    if after_effect:
        verdict = Verdict(error_after=flush_failed)
    return rule("flush_failure", binding, where, always(verdict), own=own, nth=1)


def late_alarm(
    binding: str | None = None,
    delay: int | float | timedelta = ALARM_LATE_MS,
    **where: Unpack[Where],
) -> FaultRule:
    """An alarm is delivered late.

    By up to a minute when a machine failed (Cloudflare docs, Durable Objects, Alarms).

    Args:
        binding: The namespace in the worker's environment.
        delay: Milliseconds, or a timedelta.
        where: Which deliveries (`Where`).

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    delay_ms = checked_delay("late_alarm", delay)
    then = {"delay": None if delay_ms == ALARM_LATE_MS else delay_ms}
    return rule("late_alarm", binding, where, always(Verdict(latency_ms=delay_ms)), then=then)


def duplicate_alarm(binding: str | None = None, **where: Unpack[Where]) -> FaultRule:
    """An alarm is done, and nobody hears so: it is delivered again, two seconds later or more.

    Alarms run at least once (Cloudflare docs, Durable Objects, Alarms). One that the handler
    has set anew is not due again.

    Args:
        binding: The namespace in the worker's environment.
        where: Which acknowledgements (`Where`). `nth` is 1 unless it is given.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    return rule("duplicate_alarm", binding, where, always(Verdict(is_unheard=True)), nth=1)
