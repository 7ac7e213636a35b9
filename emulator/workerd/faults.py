"""faults: the rules of one real world, which are decided inside of it.

Promises: `add`, `remove`, `clear` and the count of what never happened, as on the emulator;
whatever is added has reached the world before the next call of a test does; each fault that
was injected is told. Leaves to others: what a rule is in the world (fault_plans), deciding and
carrying it out (shim.mjs, faults.mjs).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from emulator.simulation.randomness import Randomness
from emulator.simulation.rules import Operation, RuleSet
from emulator.simulation.trace import Trace
from emulator.workerd.fault_plans import check, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from emulator.simulation.rules import Rule
    from emulator.simulation.trace import TraceEvent
    from emulator.workerd.real_clock import RealClock

__all__ = ["RealFaults"]


@final
class RealFaults:
    """The fault rules of one world.

    Args:
        seed: Decides what rules draw, as on the emulator.
        services: First parts of the names of operations, by binding.
        clock: Gives each injected fault the time at which we heard of it.
        send: Sends a change to the world.
        begin: Begins a call now.

    Attributes:
        operations: What passed since `watch`, in the order of departure.
        spares_tests: Whether the calls of a test are left alone: not met, and not counted.
    """

    def __init__(
        self,
        seed: int,
        services: Mapping[str, tuple[str, ...]],
        clock: RealClock,
        send: Callable[[dict[str, Any]], Coroutine[Any, Any, None]],
        begin: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.operations: list[Operation] = []
        self.spares_tests = False
        self._services = services
        self._trace = Trace(clock)  # type: ignore[arg-type]  # Only its time is asked for.
        self._rules = RuleSet(self._trace, Randomness(seed))
        self._numbers: dict[int, Rule] = {}
        self._count = 0
        self._is_watched = False
        self._send = send
        self._begin = begin
        self._sending: asyncio.Task[None] | None = None

    def add(self, *rules: Rule) -> None:
        """Add rules behind those that are there.

        Raises:
            ConfigurationError: If one is no rule.
            UnsupportedByTarget: If one needs what the real runtime cannot do.
        """
        check(rules, self._services)
        plans = []
        for rule in rules:
            self._count += 1
            plans.append({"id": self._count, **plan_of(rule, self._rules)})
            self._rules.add(rule)
            self._numbers[self._count] = rule
        self._change({"add": plans})

    def remove(self, rule: Rule) -> None:
        """Take one rule away; nothing happens if it is not there."""
        self._rules.remove(rule)
        self._take_away([number for number, other in self._numbers.items() if other is rule])

    def clear(self) -> None:
        """Take all rules away.

        Warns:
            UnusedFaultWarning: If some of them never matched an operation.
        """
        self._rules.clear()
        self._take_away(list(self._numbers))

    def watch(self) -> None:
        """Be told every operation from now on, whether it meets a fault or not."""
        self._is_watched = True
        self._change({"isWatched": True})

    @property
    def is_asked(self) -> bool:
        """Whether the calls of a test are to be shown to the rules."""
        return not self.spares_tests and (self._is_watched or len(self._rules) > 0)

    @property
    def injected(self) -> list[TraceEvent]:
        """The faults that happened, oldest first.

        Complete after `dispatch_fetch`, `scheduled` and `advance`.
        """
        return self._trace.events

    @property
    def unmatched(self) -> tuple[Rule, ...]:
        """Rules that never decided anything: a test that relies on one proves nothing."""
        return self._rules.unmatched

    def settle(self, error: BaseException | None = None) -> None:
        """Say at the end of the world which rules never matched an operation.

        Args:
            error: What ends the world, if it failed: it gets the sentence as a note.

        Warns:
            UnusedFaultWarning: If there are such rules, and no `error`.
        """
        self._rules.settle(error=error)

    async def arrive(self) -> None:
        """Wait until all changes have reached the world."""
        if self._sending is not None:
            await asyncio.shield(self._sending)

    def take(self, event: dict[str, Any]) -> None:
        """The world tells an operation, and by which rule it met a fault."""
        operation = Operation(**event["operation"])
        self.operations.append(operation)
        rule = self._numbers.get(event["id"])
        if rule is not None:
            self._rules.count(rule, operation)

    def _take_away(self, numbers: list[int]) -> None:
        for number in numbers:
            del self._numbers[number]
        if numbers:
            self._change({"remove": numbers})

    def _change(self, change: dict[str, Any]) -> None:
        self._sending = self._begin(self._carry(change, self._sending))

    async def _carry(self, change: dict[str, Any], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        await self._send(change)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def __repr__(self) -> str:
        return f"<RealFaults {list(self._rules)!r}>"
