"""Conditions: one question about a world, and the sentence about its answer.

Promises: the condition is asked after the events that it is about, and a failure names it, the
simulated time and the event after which it failed. Leaves to others: which answer is wanted
(the monitors).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias, final
from weakref import WeakKeyDictionary

from emulator.errors import ConfigurationError, MonitorFailure
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.naming import is_lambda, name_of, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    #: What is asked of a world: true or false, or it asserts and returns nothing.
    Condition: TypeAlias = Callable[[Any], Any]

__all__ = ["Kinds", "WorldCondition", "moment", "seconds"]


class WorldCondition:
    """What the monitors have in common: one condition, asked after some events.

    Args:
        verb: Whose function made it.
        condition: What is asked.
        name: What it is called; None is by the condition.
        after: Kinds of events, or globs over them, after which it is asked; None is all.
        told: What else its call said.
    """

    def __init__(
        self,
        verb: str,
        condition: Condition,
        name: str | None = None,
        after: str | Iterable[str] | None = None,
        told: str = "",
    ) -> None:
        if not callable(condition):
            message = (
                f"{verb}() takes a function of the world, such as "
                f"{verb}(lambda mf: len(mf.logs) < 10), got {condition!r}"
            )
            raise ConfigurationError(message)
        self._condition = condition
        self._given_name = name
        self._verb = verb
        self._told = told
        self._kinds = None if after is None else Kinds(after)
        #: How much of its trace each world has shown already.
        self._seen: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """What it demands, in words."""
        if self._given_name is not None:
            return self._given_name
        name = f"{name_of(self._condition)}{self._told}"
        return f"{self._verb}({name})" if self._verb else name

    def begin(self, mf: Any) -> None:
        """A world was entered."""
        self._seen[mf] = len(mf.trace.events)

    def conclude(self, run_count: int) -> None:
        """Nothing to say."""

    def _is_asked(self, mf: Any) -> bool:
        """Whether something has happened since it was last asked that it is asked after."""
        kinds = self._kinds
        if kinds is None:
            return True
        events = mf.trace.events
        seen, self._seen[mf] = self._seen.get(mf, 0), len(events)
        return any(events[index].kind in kinds for index in range(seen, len(events)))

    def _holds(self, mf: Any, failed: str) -> bool:
        """What the condition says now.

        Args:
            mf: The world.
            failed: What an assertion of its own means, in words.
        """
        try:
            value = self._condition(mf)
        except AssertionError as error:
            raise self._failure(mf, failed, error) from error
        except Exception as error:
            error.add_note(f"raised by {self.name} itself, {moment(mf)}")
            raise
        if is_awaitable(value):
            close = getattr(value, "close", None)
            if close is not None:
                close()
            message = (
                f"{self.name} is async, and nothing can be awaited between two events: ask "
                "what is at hand (mf.trace, mf.logs, what the test noted), or check at "
                "rest, with a plain async function or eventually(...)"
            )
            raise ConfigurationError(message)
        return self._is_true(value)

    def _is_true(self, value: object) -> bool:
        # A function with statements asserts by itself, and returns nothing.
        return not is_lambda(self._condition) if value is None else bool(value)

    async def _holds_at_rest(self, mf: Any) -> bool:
        failed = "did not hold at rest"
        try:
            value = self._condition(mf)
            if is_awaitable(value):
                value = await value
        except AssertionError as error:
            raise self._failure(mf, failed, error) from error
        return self._is_true(value)

    def _failure(
        self, mf: Any, what: str, error: AssertionError | None = None
    ) -> MonitorFailure:
        reason = f": {error}" if error is not None and str(error) else ""
        place = place_of(self._condition)
        written = f" ({place})" if place else ""
        message = f"{self.name}{written} {what}, {moment(mf)}{reason}"
        return MonitorFailure(message, monitor=self.name, time_ms=mf.clock.now_ms)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


@final
class Kinds:
    """Kinds of events, by name or glob."""

    def __init__(self, given: str | Iterable[str]) -> None:
        self._globs = (given,) if isinstance(given, str) else tuple(given)
        self._known: dict[str, bool] = {}

    def __contains__(self, kind: str) -> bool:
        is_meant = self._known.get(kind)
        if is_meant is None:
            is_meant = any(fnmatchcase(kind, glob) for glob in self._globs)
            self._known[kind] = is_meant
        return is_meant


def moment(mf: Any) -> str:
    """When it is, and what happened last, in words."""
    clock, events = mf.clock, mf.trace.events
    told = f"{seconds(clock.elapsed_ms)} after the start"
    if not events:
        return f"{told}, before any event"
    last = events[-1]
    what = f"{last.kind} {last.subject}".rstrip()
    facts = "".join(f" {name}={value!r}" for name, value in last.facts.items() if value != "")
    return f"{told}, after event {len(events)}: {what}{facts}"


def seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f} s"
