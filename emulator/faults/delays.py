"""Delays: faults that only take time.

Promises: what happens is what would have happened, later. Leaves to others: what else may be
due meanwhile (the loop).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.catalogue import CATALOGUE
from emulator.faults.making import checked_delay, checked_flag, rule
from emulator.simulation.fault_kinds import STALL_MS
from emulator.simulation.rules import Operation, Verdict
from emulator.simulation.selection import Where, wrong_argument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from typing import Unpack

    from emulator.simulation.faults import Draw, FaultRule

__all__ = ["latency", "stall"]


def latency(
    delay: int | float | timedelta | tuple[Any, Any],
    binding: str | None = None,
    *,
    after_effect: bool = False,
    **where: Unpack[Where],
) -> FaultRule:
    """The call takes longer, and so may a flush or an alarm.

    Nothing promises how long a call takes.

    Args:
        delay: Extra milliseconds, or a timedelta; a pair of them is a range, both ends
            included, of which each call draws its own by the seed.
        binding: The name of the other side in the worker's environment.
        after_effect: It is the answer that takes longer; else the way to the effect.
        where: Which calls (`Where`); before the effect also "storage.flush" and
            "alarm.deliver".

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    return _late("latency", delay, binding, after_effect, where)


def stall(
    binding: str | None = None, *, after_effect: bool = False, **where: Unpack[Where]
) -> FaultRule:
    """The call takes 30 seconds longer: whatever waits for it with a time limit gives up.

    Args:
        binding: The name of the other side in the worker's environment.
        after_effect: It is the answer that takes longer; else the way to the effect.
        where: Which calls, as for `latency`.

    Raises:
        ConfigurationError: If an argument has a wrong type or value.
    """
    return _late("stall", STALL_MS, binding, after_effect, where)


def _late(
    fault: str, delay: Any, binding: str | None, after_effect: object, where: Mapping[str, Any]
) -> FaultRule:
    is_after = checked_flag(fault, "after_effect", after_effect)
    if isinstance(delay, (tuple, list)) and len(delay) == 2:
        least, most = (checked_delay(fault, one) for one in delay)
        if least > most:
            raise wrong_argument(fault, "delay", delay, "a range that is not empty")
        told: Any = (least, most)
    else:
        least = most = told = checked_delay(fault, delay)

    def make(_: Operation, draw: Draw) -> Verdict:
        delay_ms = least if least == most else draw(least, most)
        if is_after:
            return Verdict(answer_latency_ms=delay_ms)
        return Verdict(latency_ms=delay_ms)

    calls = CATALOGUE.names_of("call")
    return rule(
        fault,
        binding,
        where,
        make,
        first={"delay": told} if fault == "latency" else None,
        own={"after_effect": is_after},
        known=calls if is_after else calls | CATALOGUE.names_of("slow"),
    )
