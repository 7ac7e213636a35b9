"""Monitors: what must hold while a world runs, and when it has come to rest.

    always(lambda mf: len(mf.trace.of_kind("alarm")) <= 7)
    eventually(job_is_done, within=timedelta(hours=1))

- `always`: the condition holds after every event.
- `never`: it holds after none.
- `eventually`: it holds when the world has come to rest, or, with a bound, at some moment
  before the bound has passed.
- `sometimes`: it holds at some moment of at least one run. A condition that no run ever met
  is a finding: what the test is about was not reached.
- A plain function, sync or async, is a check at rest.

A condition is a function of the world. One that returns nothing asserts by itself. Promises: a
failure names the condition, the simulated time and the event after which it failed.
A monitor serves many runs, one after the other, and several worlds at once. Leaves to others:
calling it (watching), and what a world is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final, runtime_checkable
from weakref import WeakKeyDictionary

from emulator.errors import ConfigurationError, MonitorFailure
from emulator.simulation.clock import duration_ms
from emulator.simulation.conditions import WorldCondition, seconds
from emulator.simulation.naming import place_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence
    from datetime import timedelta

    from emulator.simulation.conditions import Condition

__all__ = [
    "Check",
    "Monitor",
    "always",
    "as_monitor",
    "conclude",
    "eventually",
    "never",
    "raise_together",
    "sometimes",
]


@runtime_checkable
class Monitor(Protocol):
    """What looks at a world while it runs."""

    @property
    def name(self) -> str:
        """What it demands, in words."""

    def begin(self, mf: Any) -> None:
        """A world was entered."""

    def observe(self, mf: Any) -> None:
        """An event is over: the turn that it began has run dry.

        Raises:
            AssertionError: If what is demanded does not hold.
        """

    def end(self, mf: Any) -> Awaitable[None] | None:
        """The world has come to rest, and is about to be disposed."""

    def conclude(self, run_count: int) -> None:
        """The last of all runs is over."""


@final
class Always(WorldCondition):
    """Made by `always`."""

    def observe(self, mf: Any) -> None:
        """Ask, if it concerns this event."""
        if self._is_asked(mf) and not self._holds(mf, "was broken"):
            raise self._failure(mf, "was broken")

    def end(self, mf: Any) -> None:
        """Ask once more: the last turn was that of the test."""
        if not self._holds(mf, "was broken"):
            raise self._failure(mf, "was broken")


@final
class Never(WorldCondition):
    """Made by `never`."""

    def observe(self, mf: Any) -> None:
        """Ask, if it concerns this event."""
        if self._is_asked(mf) and self._holds(mf, "failed itself"):
            raise self._failure(mf, "has happened")

    def end(self, mf: Any) -> None:
        """Ask once more: the last turn was that of the test."""
        if self._holds(mf, "failed itself"):
            raise self._failure(mf, "has happened")

    def _is_true(self, value: object) -> bool:
        return bool(value)


@final
class Sometimes(WorldCondition):
    """Made by `sometimes`.

    Attributes:
        hit_count: Worlds in which the condition held.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.hit_count = 0
        self._hits: WeakKeyDictionary[Any, None] = WeakKeyDictionary()

    def observe(self, mf: Any) -> None:
        """Ask, if it concerns this event and has not been true in this world."""
        if mf not in self._hits and self._is_asked(mf) and self._holds(mf, "failed itself"):
            self._hit(mf)

    def end(self, mf: Any) -> None:
        """Ask once more: the last turn was that of the test."""
        if mf not in self._hits and self._holds(mf, "failed itself"):
            self._hit(mf)

    def _hit(self, mf: Any) -> None:
        self._hits[mf] = None
        self.hit_count += 1

    def _is_true(self, value: object) -> bool:
        return bool(value)

    def conclude(self, run_count: int) -> None:
        """Complain if it was never true.

        Raises:
            MonitorFailure: If so.
        """
        hit_count, self.hit_count = self.hit_count, 0
        if hit_count:
            return
        runs = "the only run" if run_count == 1 else f"any of {run_count:,} runs"
        place = place_of(self._condition)
        written = f" ({place})" if place else ""
        message = (
            f"{self.name}{written} was not met in {runs}: what it waits for is not reached, so "
            "nothing is known about it; let the scenario reach it, or raise the budget"
        )
        raise MonitorFailure(message, monitor=self.name, time_ms=None)


@final
class Eventually(WorldCondition):
    """Made by `eventually`."""

    def __init__(self, condition: Condition, within_ms: int | None, name: str | None) -> None:
        told = "" if within_ms is None else f", within={seconds(within_ms)}"
        super().__init__("eventually", condition, name, None, told)
        self._within_ms = within_ms
        #: Worlds in which it has yet to hold, and the last moment for it.
        self._due_ms: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def begin(self, mf: Any) -> None:
        """A world was entered: the bound counts from now."""
        super().begin(mf)
        if self._within_ms is not None:
            self._due_ms[mf] = mf.clock.now_ms + self._within_ms

    def observe(self, mf: Any) -> None:
        """Ask, if it has not yet held and has a bound."""
        due_ms = self._due_ms.get(mf)
        if due_ms is None:
            return
        if mf.clock.now_ms > due_ms:
            del self._due_ms[mf]
            assert self._within_ms is not None
            raise self._failure(mf, f"had not held after {seconds(self._within_ms)}")
        if self._has_come(mf):
            del self._due_ms[mf]

    def _has_come(self, mf: Any) -> bool:
        try:
            return self._holds(mf, "did not hold yet")
        except MonitorFailure:
            return False

    async def end(self, mf: Any) -> None:
        """It holds now, or has held in time."""
        if self._within_ms is None:
            if not await self._holds_at_rest(mf):
                raise self._failure(mf, "did not hold at rest")
            return
        self.observe(mf)
        if self._due_ms.pop(mf, None) is not None:
            raise self._failure(mf, "had not held when the world came to rest")


@final
class Check(WorldCondition):
    """A plain function, checked at rest."""

    def __init__(self, condition: Condition, name: str | None = None) -> None:
        super().__init__("", condition, name)

    def observe(self, mf: Any) -> None:
        """Not yet."""

    async def end(self, mf: Any) -> None:
        """Ask, and wait for the answer."""
        if not await self._holds_at_rest(mf):
            raise self._failure(mf, "did not hold at rest")


def always(
    condition: Condition, *, name: str | None = None, after: str | Iterable[str] | None = None
) -> Always:
    """The condition holds after every event.

    Args:
        condition: A function of the world; what it returns is true, or it asserts.
        name: What it is called in a failure; None is by its own name, a lambda by its text.
        after: Ask only after events of these kinds of the trace, such as "r2.put" or "alarm.*";
            None is after all of them. It is asked once more at rest.

    Raises:
        ConfigurationError: If `condition` is no function. When it is asked: if it is async.
    """
    return Always("always", condition, name, after)


def never(
    condition: Condition, *, name: str | None = None, after: str | Iterable[str] | None = None
) -> Never:
    """The condition holds after no event.

    Args:
        condition: A function of the world.
        name: What it is called in a failure; None is by its own name, a lambda by its text.
        after: As for `always`.

    Raises:
        ConfigurationError: If `condition` is no function. When it is asked: if it is async.
    """
    return Never("never", condition, name, after)


def sometimes(
    condition: Condition, *, name: str | None = None, after: str | Iterable[str] | None = None
) -> Sometimes:
    """The condition holds at some moment of at least one run.

    Args:
        condition: A function of the world.
        name: What it is called in a failure; None is by its own name, a lambda by its text.
        after: As for `always`.

    Raises:
        ConfigurationError: If `condition` is no function. When it is asked: if it is async.
    """
    return Sometimes("sometimes", condition, name, after)


def eventually(
    condition: Condition,
    *,
    within: int | float | timedelta | None = None,
    name: str | None = None,
) -> Eventually:
    """The condition holds at rest, or at some moment before a bound has passed.

    Args:
        condition: A function of the world; without a bound it may be async.
        within: Milliseconds or a timedelta, counted in simulated time from the start of the
            world; None is at rest.
        name: What it is called in a failure; None is by its own name, a lambda by its text.

    Raises:
        ConfigurationError: If `condition` is no function, or `within` no duration. When it is
            asked: if there is a bound and it is async.
    """
    within_ms = None if within is None else duration_ms(within)
    return Eventually(condition, within_ms, name)


def as_monitor(given: Monitor | Condition) -> Monitor:
    """A monitor as it is, and a function of the world as a check at rest.

    Raises:
        ConfigurationError: If it is neither.
    """
    if isinstance(given, type) or not callable(given):
        if isinstance(given, Monitor) and not isinstance(given, type):
            return given
        message = (
            "an invariant is always(...), eventually(...), sometimes(...), never(...), one of "
            f"emulator.testing.invariants, or a function of the world, got {given!r}"
        )
        raise ConfigurationError(message)
    return given if isinstance(given, Monitor) else Check(given)


def conclude(monitors: Iterable[Monitor], run_count: int) -> None:
    """All runs are over.

    Raises:
        AssertionError: If one of the monitors never saw what it must see sometimes.
    """
    failures: list[AssertionError] = []
    for monitor in monitors:
        try:
            monitor.conclude(run_count)
        except AssertionError as failure:
            failures.append(failure)
    raise_together(failures)


def raise_together(failures: Sequence[AssertionError]) -> None:
    """Raise the first of several failures, with the others as its notes; nothing if none."""
    if failures:
        for other in failures[1:]:
            failures[0].add_note(str(other))
        raise failures[0]
