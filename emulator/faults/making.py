"""Making: what the functions of `emulator.faults` share.

Promises: checked arguments, a rule of them, and for a spelling of before, the one of now.
Leaves to others: what the rule does (answers, delays, endings).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from emulator.catalogue import CATALOGUE
from emulator.errors import ConfigurationError
from emulator.simulation.clock import duration_ms
from emulator.simulation.faults import FaultRule
from emulator.simulation.selection import Selection, Where, wrong_argument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.simulation.faults import Draw, MakeVerdict
    from emulator.simulation.rules import Operation, Verdict

__all__ = ["always", "checked_delay", "checked_flag", "rule"]

#: What was said otherwise in versions before 0.1.
_FORMER: Final = {
    "when": 'say after_effect=True, or of a crash before="storage.flush" or after="r2.put"',
}
_DELAY: Final = "milliseconds or a timedelta, finite and not negative"


def rule(
    fault: str,
    binding: str | None,
    where: Mapping[str, Any],
    make: MakeVerdict,
    *,
    first: Mapping[str, Any] | None = None,
    then: Mapping[str, Any] | None = None,
    at: Mapping[str, str | None] | None = None,
    own: Mapping[str, Any] | None = None,
    known: frozenset[str] | None = None,
    is_actor: bool = False,
    nth: int | None = None,
) -> FaultRule:
    """The rule of a fault.

    Args:
        fault: The function that makes it.
        binding: As it was given.
        where: As they were given; see `Where`.
        make: Makes the verdict on an operation.
        first: The function's own arguments that come before the binding.
        then: Those that may come after it without a name.
        at: Those that stand for `op`.
        own: All others; None is the default of each.
        known: The operations that it may meet; None are those declared for it.
        is_actor: `binding` is about who does it.
        nth: What `nth` is unless it is given.

    Raises:
        ConfigurationError: If an argument is unknown, or has a wrong type or value.
    """
    for name, instead in _FORMER.items():
        if name in where:
            message = f"faults.{fault}({name}={where[name]!r}): there is no {name}; {instead}"
            raise ConfigurationError(message)
    where = {"nth": nth, **where}
    if "operation" in where:
        where["op"] = where.pop("operation")
    names = CATALOGUE.names_of(fault) if known is None else known
    selection = Selection.made(fault, binding, where, names, is_actor=is_actor)
    # One order and one form for all, so that equal rules read alike.
    given = {name: where.get(name) for name in Where.__annotations__} | {
        "nth": selection.nth,
        "during": selection.during,
        "probability": selection.probability,
    }
    positional = {**(first or {}), "binding": binding, **(then or {})}
    count = 0
    for value in positional.values():
        if value is None:
            break
        count += 1
    named = {**positional, **(at or {}), **given, **(own or {})}
    arguments = {
        name: value
        for name, value in named.items()
        if (value is not None or (name == "nth" and nth is not None))
        and not (name == "op" and at)
    }
    return FaultRule(fault, arguments, selection, make, positional=count)


def always(verdict: Verdict) -> MakeVerdict:
    """The same verdict on every operation."""

    def make(_: Operation, __: Draw) -> Verdict:
        return verdict

    return make


def checked_flag(fault: str, argument: str, value: object) -> bool | None:
    """A flag, where None stands for the default, False.

    Raises:
        ConfigurationError: If it is neither True nor False.
    """
    if not isinstance(value, bool):
        raise wrong_argument(fault, argument, value, "True or False")
    return value or None


def checked_delay(fault: str, delay: object) -> int:
    """Whole milliseconds.

    Raises:
        ConfigurationError: If it is no duration.
    """
    if not isinstance(delay, (int, float, timedelta)) or isinstance(delay, bool):
        raise wrong_argument(fault, "delay", delay, _DELAY)
    try:
        return duration_ms(delay)
    except (ValueError, OverflowError):
        raise wrong_argument(fault, "delay", delay, _DELAY) from None
