"""chaos: real worlds under faults that are drawn by seed.

Promises: the calm world comes first; then worlds in which some of the operations that it has
done meet a fault of the catalogue. Draws depend on the seed, the number of the world and the
calm world's operations, not on who is faster. What a failing world needs is made fewer and told
in sentences. Leaves to others: what happens in a world, and what must be true of it (the
scenario). Time and order are real here, so a world may come out otherwise the next time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from emulator import faults
from emulator.catalogue import CATALOGUE
from emulator.errors import ConfigurationError, EmulatorError, UnsupportedByTarget
from emulator.simulation.randomness import Randomness
from emulator.workerd.fault_plans import check

if TYPE_CHECKING:
    from emulator.faults import FaultRule
    from emulator.simulation.rules import Operation
    from emulator.simulation.trace import TraceEvent
    from emulator.workerd.miniflare import Miniflare

__all__ = ["KINDS", "Drawn", "RealExploration", "RealFinding", "Storm", "explore"]

#: How many faults a world has: one of these.
_COUNTS: Final = (1, 1, 1, 2, 2, 3)
_TEST: Final = "test"

_MakeRule = Callable[["Operation", dict[str, Any]], "FaultRule"]

#: The rule of each kind that can be had in real time without making anybody wait for long.
_RULES: Final[dict[str, _MakeRule]] = {
    "missing": lambda at, where: faults.missing(at.binding, op=at.name, **where),
    "vanish": lambda at, where: faults.vanish(at.binding, **where),
    "error before": lambda at, where: faults.error(at.binding, op=at.name, **where),
    "error after": lambda at, where: faults.error(
        at.binding, op=at.name, after_effect=True, **where
    ),
    "crash before": lambda at, where: faults.crash(before=at.path, **where),
    "crash after": lambda at, where: faults.crash(after=at.path, **where),
    "latency": lambda at, where: faults.latency(20, at.binding, op=at.name, **where),
    "truncate": lambda at, where: faults.truncate(at.binding, op=at.name, breaks=True, **where),
    "corrupt size": lambda at, where: faults.corrupt_size(at.binding, op=at.name, **where),
    "rate limit": lambda at, where: faults.rate_limit(at.binding, op=at.name, **where),
    "overloaded": lambda at, where: faults.overloaded(at.binding, op=at.name, **where),
    "reset": lambda at, where: faults.reset(at.binding, op=at.name, after_effect=True, **where),
    "status 503": lambda at, where: faults.status(at.binding, op=at.name, **where),
    "duplicate": lambda at, where: faults.duplicate_alarm(**where),
}
#: The kinds that are drawn.
KINDS: Final = tuple(_RULES)


class Drawn(NamedTuple):
    """One fault of a world.

    Attributes:
        kind: Of `emulator.catalogue`.
        operation: What it meets.
        nth: Which of its like it meets, counted from 1.
        rule: The fault rule.
    """

    kind: str
    operation: Operation
    nth: int
    rule: FaultRule

    @property
    def sentence(self) -> str:
        """What it is, in words, with the page that allows it."""
        return CATALOGUE.sentence_of(self.kind, self.operation)


@final
class Storm:
    """What goes wrong in one world. The scenario says when it begins and ends.

    Args:
        rules: The faults; none is calm.

    Attributes:
        rules: The faults.
        operations: What passed between begin and end.
        injected: The faults that happened.
    """

    def __init__(self, *rules: FaultRule) -> None:
        self.rules = rules
        self.operations: list[Operation] = []
        self.injected: list[TraceEvent] = []

    def begin(self, mf: Miniflare) -> None:
        """From now on the calls of the worker, and not those of the test, meet the faults."""
        mf.faults.spares_tests = True
        mf.faults.watch()
        mf.faults.add(*self.rules)

    async def end(self, mf: Miniflare) -> None:
        """From now on nothing goes wrong any more."""
        await mf.advance(0)  # What has happened is known then.
        self.operations = list(mf.faults.operations)
        self.injected = list(mf.faults.injected)
        for rule in self.rules:
            mf.faults.remove(rule)


@final
@dataclass(frozen=True, slots=True)
class RealFinding:
    """A world that failed.

    Attributes:
        drawn: The faults that it takes.
        error: How it failed.
        is_repeated: Whether it failed with them more than once.
    """

    drawn: tuple[Drawn, ...]
    error: BaseException
    is_repeated: bool

    def __str__(self) -> str:
        told = [f"- {fault.sentence}" for fault in self.drawn]
        rules = ", ".join(repr(fault.rule) for fault in self.drawn)
        seldom = "" if self.is_repeated else " It did not fail again: its timing matters."
        return "\n".join(
            [f"{type(self.error).__name__}: {self.error}", *told, f"faults=[{rules}]{seldom}"]
        )


@final
@dataclass(slots=True)
class RealExploration:
    """What came of an exploration.

    Attributes:
        world_count: Worlds that ran, the calm one among them.
        tried: Worlds by kind of fault.
        missed_count: Worlds in which none of their faults happened.
        findings: Those that failed.
    """

    world_count: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    missed_count: int = 0
    findings: list[RealFinding] = field(default_factory=list)


async def explore(
    scenario: Callable[[Storm], Awaitable[None]],
    *,
    world_count: int = 20,
    seed: int = 0,
    kinds: Collection[str] = KINDS,
    at_once: int = 4,
    ended: Callable[[Storm], None] = lambda storm: None,
) -> RealExploration:
    """Run a scenario in one real world after another, each with other faults.

    Args:
        scenario: Makes a world of its own, writes what it needs, calls `storm.begin(mf)`,
            works, awaits `storm.end(mf)` and looks at the world; it fails by raising.
        world_count: How many worlds, the calm one among them; those that make a finding
            smaller come on top.
        seed: Decides which faults are drawn.
        kinds: Of `KINDS`.
        at_once: How many worlds run at one time.
        ended: Called after each world.

    Returns:
        What was found.

    Raises:
        ConfigurationError: If a kind is not of `KINDS`.
        Exception: What the calm world raised.
        EmulatorError: If a world cannot be run.
    """
    for kind in kinds:
        if kind not in _RULES:
            message = f"the real runtime has no faults of the kind {kind!r}: {', '.join(KINDS)}"
            raise ConfigurationError(message)
    found = RealExploration(world_count=1)
    calm = Storm()
    await scenario(calm)
    ended(calm)
    sites = _sites(calm.operations, kinds)
    if not sites:
        return found
    gate = asyncio.Semaphore(at_once)

    async def run(number: int) -> None:
        async with gate:
            drawn = _draw(sites, seed, number)
            storm = _storm(drawn)
            error = await _failure_of(scenario, storm)
            found.world_count += 1
            found.tried.update(fault.kind for fault in drawn)
            found.missed_count += not storm.injected
            ended(storm)
            if error is not None:
                found.findings.append(await _smaller(scenario, drawn, error))

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(1, world_count):
                group.create_task(run(number))
    except* EmulatorError as errors:
        raise errors.exceptions[0] from None
    # In an order of their own, and each once, whoever was faster.
    found.findings = [
        one for _, one in sorted({str(one): one for one in found.findings}.items())
    ]
    return found


#: For each like of operations, one of them, how many there were, and the kinds that it meets.
_Sites = list[tuple["Operation", int, tuple[str, ...]]]


def _sites(operations: Sequence[Operation], kinds: Collection[str]) -> _Sites:
    counts: Counter[tuple[str, str, str]] = Counter()
    first: dict[tuple[str, str, str], Operation] = {}
    for operation in operations:
        like = (operation.path, operation.actor.partition("#")[0], operation.key)
        # SQL tells statements apart; there are as many keys and paths as files and exports.
        like = like if operation.name.startswith("d1.") else (*like[:2], "")
        counts[like] += 1
        first.setdefault(like, operation)
    found = []
    for like in sorted(first):
        operation = first[like]
        met = tuple(
            kind
            for kind in CATALOGUE.kinds_of(operation)
            if kind in kinds and _is_possible(_RULES[kind](operation, {}))
        )
        if met and operation.actor != _TEST:
            found.append((operation, counts[like], met))
    return found


def _is_possible(rule: FaultRule) -> bool:
    with suppress(UnsupportedByTarget):
        check((rule,), {})
        return True
    return False


def _draw(sites: _Sites, seed: int, number: int) -> list[Drawn]:
    stream = Randomness(seed).stream(f"real chaos {number}")
    drawn: dict[str, Drawn] = {}
    for _ in range(stream.choice(_COUNTS)):
        operation, count, kinds = stream.choice(sites)
        kind, nth = stream.choice(kinds), stream.randint(1, count)
        where: dict[str, Any] = {"nth": nth}
        namespace, is_object, _ = operation.actor.partition("#")
        if is_object:
            where["object"] = f"{namespace}#*"
        if operation.name.startswith("d1."):
            # A statement with a glob's own marks is meant as it is written, too.
            where["sql"] = operation.key
        rule = _RULES[kind](operation, where)
        drawn[repr(rule)] = Drawn(kind, operation, nth, rule)
    return list(drawn.values())


def _storm(drawn: Sequence[Drawn]) -> Storm:
    return Storm(*(fault.rule for fault in drawn))


async def _failure_of(
    scenario: Callable[[Storm], Awaitable[None]], storm: Storm
) -> Exception | None:
    try:
        await scenario(storm)
    except EmulatorError:
        raise  # The world could not be run.
    except Exception as error:
        return error
    return None


async def _smaller(
    scenario: Callable[[Storm], Awaitable[None]], drawn: list[Drawn], error: Exception
) -> RealFinding:
    """The failure with as few of its faults as fail again."""
    is_repeated = False
    for fault in tuple(drawn):
        fewer = [other for other in drawn if other is not fault]
        failed = await _failure_of(scenario, _storm(fewer)) if fewer else None
        if failed is not None:
            drawn, error, is_repeated = fewer, failed, True
    if not is_repeated:
        failed = await _failure_of(scenario, _storm(drawn))
        error, is_repeated = failed or error, failed is not None
    return RealFinding(tuple(drawn), error, is_repeated)
