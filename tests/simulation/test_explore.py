"""Exploration, on a toy platform: what is found, in how few worlds, and what is proved.

The toy is tasks that get and put keys of one store, with faults, crashes and holds. It knows
nothing of Workers: what is tested with it is the search alone.
"""

from __future__ import annotations

from collections import Counter, deque
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import ConfigurationError, ExplorationFailure, SimulationDiverged
from emulator.simulation.deviations import Hold, Inject, Site
from emulator.simulation.explore import Explorer
from emulator.simulation.findings import failure_of
from emulator.simulation.playing import Played, Step
from emulator.simulation.rules import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Sequence

    from emulator.simulation.explore import Exploration

    #: It yields ("get", key) and is sent the value, or ("put", key, value).
    Program = Callable[[], Generator[tuple[Any, ...], Any, None]]

KINDS = ("error before", "error after", "crash before", "crash after")


class Lost(Exception):
    """What a call answers that met an error."""


class _Call:
    def __init__(self, task: _Task, site: Site, operation: Operation, request: Any) -> None:
        self.task, self.site, self.operation, self.request = task, site, operation, request
        self.life = task.life
        self.departed_at, self.effect_at, self.arrival_at = -1, -1, -1
        self.cause_at = -1
        self.state: Hashable = None
        self.answer: Any = None
        self.error: Lost | None = None


class _Task:
    def __init__(self, name: str, program: Any, *, is_restarted: bool) -> None:
        self.name, self.program, self.is_restarted = name, program, is_restarted
        self.life = 0
        self.generator: Any = None


class ToyWorld:
    """A scenario: tasks that start together, and a law about the store at the end.

    Args:
        tasks: By name. A name with "#" is an object, whose calls share its memory.
        law: Raises if the store is wrong at the end.
        store: What is in it at first.
        is_restarted: Whether a task that lost power starts again.
    """

    def __init__(
        self,
        tasks: dict[str, Any],
        law: Callable[[dict[str, Any]], None],
        store: dict[str, Any] | None = None,
        *,
        is_restarted: bool = True,
    ) -> None:
        self._tasks, self._law, self._first = tasks, law, dict(store or {})
        self._is_restarted = is_restarted
        self.run_count = 0

    # -- the catalogue -------------------------------------------------------------------------

    def kinds_of(self, operation: Operation) -> tuple[str, ...]:
        return tuple(k for k in KINDS if "put" in operation.name or k != "error after")

    def sentence_of(self, kind: str, operation: Operation) -> str:
        return f"{operation} of {operation.actor} met {kind!r}: the toy's page"

    # -- the player ----------------------------------------------------------------------------

    def play(self, deviations: Sequence[Any] = (), **_: Any) -> Played:
        self.run_count += 1
        run = _Run(self._tasks, dict(self._first), deviations, is_restarted=self._is_restarted)
        error: BaseException | None = None
        try:
            run.to_the_end()
            self._law(run.store)
        except Exception as caught:
            error = caught
        digest = sha256(repr([c.site for c in run.calls]).encode())
        digest.update(repr(sorted(run.store.items())).encode())
        steps = tuple(
            Step(
                c.site,
                c.operation,
                c.departed_at,
                c.effect_at,
                c.arrival_at,
                c.state,
                ((f"store/{c.operation.key}", c.request[0] == "put"),),
                c.cause_at,
            )
            for c in run.calls
        )
        return Played(
            tuple(deviations), tuple(run.applied), steps, error, digest.hexdigest(), 0
        )


class _Run:
    def __init__(
        self, tasks: Any, store: dict[str, Any], deviations: Any, *, is_restarted: bool
    ) -> None:
        self.store, self.applied, self.calls = store, [], []
        self._holds = {d.site: d for d in deviations if isinstance(d, Hold)}
        self._faults = {d.site: d for d in deviations if isinstance(d, Inject)}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._versions: Counter[str] = Counter()
        self._ordinal = 0
        self._travelling: deque[_Call] = deque()
        self._held: list[_Call] = []
        self._done: set[Site] = set()
        for name, program in tasks.items():
            self._start(_Task(name, program, is_restarted=is_restarted))

    def to_the_end(self) -> None:
        while self._travelling or self._held:
            if not self._travelling:
                self._travelling.append(self._held.pop(0))
            self._take_effect(self._travelling.popleft())

    def _now(self) -> int:
        self._ordinal += 1
        return self._ordinal

    def _start(self, task: _Task) -> None:
        task.generator = task.program()
        self._resume(task, answered=False)

    def _resume(
        self, task: _Task, answer: Any = None, error: Lost | None = None, *, answered: bool
    ) -> None:
        try:
            if error is None:
                request = task.generator.send(answer)
            else:
                request = task.generator.throw(error)
        except (StopIteration, Lost):
            return
        name = f"store.{request[0]}"
        self._counts[task.name, name] += 1
        site = Site(task.name, name, self._counts[task.name, name])
        call = _Call(task, site, Operation("", name, request[1], task.name), request)
        call.cause_at = self._ordinal if answered else -1
        call.departed_at = self._now()
        call.state = self._versions[task.name]
        self.calls.append(call)
        self._travelling.append(call)

    def _take_effect(self, call: _Call) -> None:
        hold = self._holds.get(call.site)
        if hold is not None and hold.until not in self._done and call not in self._held:
            if self._travelling:
                self._held.append(call)
                return
        elif hold is not None:
            self.applied.append(hold)
        fault = self._faults.get(call.site)
        kind = "" if fault is None else fault.kind
        if fault is not None:
            self.applied.append(fault)
        if kind == "crash before":
            self._crash(call.task)
            return
        call.effect_at = self._now()
        if kind != "error before":
            if call.request[0] == "put":
                self.store[call.request[1]] = call.request[2]
                self._versions[call.task.name] += 1
            call.answer = self.store.get(call.request[1])
        self._done.add(call.site)
        for held in [h for h in self._held if self._holds[h.site].until == call.site]:
            self._held.remove(held)
            self._travelling.appendleft(held)
        if kind == "crash after":
            self._crash(call.task)
            return
        if kind.startswith("error"):
            call.error = Lost(str(call.operation))
        call.arrival_at = self._now()
        if call.life == call.task.life:
            self._resume(call.task, call.answer, call.error, answered=True)

    def _crash(self, task: _Task) -> None:
        task.life += 1
        if task.is_restarted:
            self._start(task)


def explorer(world: ToyWorld, **options: Any) -> Explorer:
    return Explorer(
        world.play,
        world,
        describe=lambda finding: failure_of(finding, world, token="TOKEN", scenario="toy"),
        **options,
    )


def explore(world: ToyWorld, **options: Any) -> Exploration:
    return explorer(world, **options).explore()


def failure(world: ToyWorld, **options: Any) -> ExplorationFailure:
    with pytest.raises(ExplorationFailure) as caught:
        explore(world, **options)
    return caught.value


def anything(store: dict[str, Any]) -> None:
    """No law."""


# -- races -------------------------------------------------------------------------------------


def adding_one(*first: str) -> Program:
    """Add one to "n", after a look at other keys."""

    def program() -> Generator[tuple[Any, ...], Any, None]:
        for key in first:
            yield ("get", key)
        value = yield ("get", "n")
        yield ("put", "n", (value or 0) + 1)

    return program


def is_two(store: dict[str, Any]) -> None:
    assert store["n"] == 2


def test_a_lost_update_is_found_by_the_first_race() -> None:
    late = adding_one("x", "y", "z")
    found = failure(ToyWorld({"A#1": adding_one(), "B#1": late}, is_two), kinds=())

    assert found.worlds == 2
    assert found.deviations == (Hold(Site("A#1", "store.put", 1), Site("B#1", "store.get", 4)),)
    assert found.sentences == (
        "`store.put('n')` of A#1 took effect after the 4th `store.get('n')` of B#1",
    )
    assert isinstance(found.error, AssertionError)


def test_a_bug_that_needs_two_holds_is_found_in_few_worlds() -> None:
    def reader() -> Generator[tuple[Any, ...], Any, None]:
        first = yield ("get", "flag")
        yield ("put", "seen", first)
        second = yield ("get", "data")
        yield ("put", "torn", first == 1 and second != 2)

    def writer() -> Generator[tuple[Any, ...], Any, None]:
        for number in range(6):
            yield ("get", f"w{number}")
        yield ("put", "flag", 1)
        for number in range(4):
            yield ("get", f"v{number}")
        yield ("put", "data", 2)

    def is_whole(store: dict[str, Any]) -> None:
        assert not store["torn"]

    world = ToyWorld({"R#1": reader, "W#1": writer}, is_whole)
    found = failure(world, kinds=())

    assert found.worlds <= 5
    assert len(found.deviations) == 1


def test_two_windows_far_apart_need_two_holds_and_few_worlds() -> None:
    def reader(name: str) -> Program:
        def program() -> Generator[tuple[Any, ...], Any, None]:
            before = yield ("get", name)
            yield ("put", f"{name}.busy", 1)
            after = yield ("get", name)
            yield ("put", f"{name}.moved", before != after)

        return program

    def writer() -> Generator[tuple[Any, ...], Any, None]:
        for number in range(8):
            yield ("get", f"w{number}")
        yield ("put", "p", 1)
        yield ("put", "q", 1)

    def law(store: dict[str, Any]) -> None:
        assert not (store["p.moved"] and store["q.moved"])

    world = ToyWorld({"P#1": reader("p"), "Q#1": reader("q"), "W#1": writer}, law)
    found = failure(world, kinds=())

    assert len(found.deviations) == 2
    assert found.worlds <= 30


def test_an_exhausted_list_is_a_proof_of_every_order() -> None:
    def locked(name: str) -> Program:
        def program() -> Generator[tuple[Any, ...], Any, None]:
            yield ("put", f"log.{name}", 1)
            yield ("put", "last", name)

        return program

    world = ToyWorld({f"T#{n}": locked(str(n)) for n in range(3)}, anything)
    result = explore(world, kinds=())

    assert result.is_exhausted
    assert result.order_count == 6  # 3! orders of three writes to one key.
    assert result.proof == "every order of conflicting operations: none fails"
    assert result.world_count <= 20


def test_steps_without_a_conflict_are_never_reordered() -> None:
    def own(name: str) -> Program:
        def program() -> Generator[tuple[Any, ...], Any, None]:
            yield ("put", name, 1)
            yield ("get", name)

        return program

    result = explore(ToyWorld({f"T#{n}": own(str(n)) for n in range(4)}, anything), kinds=())

    assert result.world_count == 1
    assert result.is_exhausted


# -- faults ------------------------------------------------------------------------------------


def test_every_single_fault_is_tried_before_any_pair() -> None:
    def program() -> Generator[tuple[Any, ...], Any, None]:
        yield ("get", "a")
        yield ("put", "b", 1)

    world = ToyWorld({"A#1": program}, anything, is_restarted=False)
    result = explore(world, deviations_max=1)

    # Two errors of the put and one of the get; a crash with nothing written, one at the end.
    assert result.phases == {"calm": 1, "single faults": 5}
    assert result.pruned_count == 2
    assert result.proof == (
        "every order of conflicting operations and every single fault of any kind: none fails"
    )


def test_crash_points_with_nothing_new_to_lose_are_one() -> None:
    def program() -> Generator[tuple[Any, ...], Any, None]:
        for number in range(10):
            yield ("get", str(number))

    world = ToyWorld({"A#1": program}, anything, is_restarted=False)
    result = explore(world, kinds=["crash"], deviations_max=1)

    assert (
        result.phases["single faults"] == 2
    )  # One, and one after the last, whose past is open.


def test_an_unsafe_retry_is_found_and_told() -> None:
    def program() -> Generator[tuple[Any, ...], Any, None]:
        for _ in range(3):
            try:
                value = yield ("get", "n")
                yield ("put", "n", (value or 0) + 1)
            except Lost:
                continue
            return

    def is_one(store: dict[str, Any]) -> None:
        assert store["n"] == 1

    world = ToyWorld({"A#1": program}, is_one, is_restarted=False)
    found = failure(world, kinds=["error"])

    assert found.sentences == (
        "at the 1st store.put: store.put('n') of A#1 met 'error after': the toy's page",
    )
    assert "fails if this happens:\n  1. at the 1st store.put: store.put('n')" in str(found)
    assert "pytest --emulator-replay TOKEN" in str(found)
    assert "def test_toy_in_a_world_that_failed() -> None:" in str(found)
    assert '    emulator.run(toy, schedule=schedules.replay("TOKEN"))' in str(found)


def test_faults_of_one_retry_after_another_are_found_as_a_triple() -> None:
    def program() -> Generator[tuple[Any, ...], Any, None]:
        for number in range(3):
            try:
                yield ("put", f"try{number}", 1)
            except Lost:
                continue
            yield ("put", "done", 1)
            return

    def is_done(store: dict[str, Any]) -> None:
        assert store["done"]

    world = ToyWorld({"A#1": program}, is_done, {"done": 0}, is_restarted=True)
    found = failure(world, kinds=["error before"])

    # The last put may fail too, which is one deviation: nothing is tried thrice.
    assert [one.site.nth for one in found.deviations] == [2]


def test_a_restricted_search_tries_the_named_kinds_only() -> None:
    def program() -> Generator[tuple[Any, ...], Any, None]:
        yield ("put", "a", 1)

    world = ToyWorld({"A#1": program}, anything)
    result = explore(world, kinds=["crash after"])

    assert list(result.kinds) == ["crash after"]


def test_a_kind_that_nothing_can_meet_is_told() -> None:
    world = ToyWorld({"A#1": adding_one()}, anything)

    with pytest.raises(ConfigurationError, match=r"of the kind 'crsh'.*did you mean 'crash'"):
        explore(world, kinds=["crsh"])


# -- what a failure is -------------------------------------------------------------------------


def test_a_scenario_that_fails_in_the_calm_run_is_told_so() -> None:
    def never(store: dict[str, Any]) -> None:
        raise ValueError("no")

    found = failure(ToyWorld({"A#1": adding_one()}, never))

    assert str(found) == "toy fails in the calm run, without any deviation: ValueError: no"
    assert (found.deviations, found.worlds) == ((), 1)
    assert isinstance(found.__cause__, ValueError)


def test_a_scenario_that_does_not_repeat_is_told_with_its_first_different_step() -> None:
    keys = iter("abcdefgh")

    def program() -> Generator[tuple[Any, ...], Any, None]:
        yield ("get", "same")
        yield ("put", next(keys), 1)

    with pytest.raises(SimulationDiverged, match=r"step 2 was store.put\('a'\) .*put\('b'\)"):
        explore(ToyWorld({"A#1": program}, anything))


def test_a_failure_that_does_not_repeat_is_no_finding() -> None:
    runs = iter(range(1_000))

    def law(store: dict[str, Any]) -> None:
        assert next(runs) != 3

    with pytest.raises(
        SimulationDiverged, match=r"AssertionError.*the first time and no error"
    ):
        explore(ToyWorld({"A#1": adding_one()}, law))


# -- shape -------------------------------------------------------------------------------------


def busy(name: str) -> Program:
    def program() -> Generator[tuple[Any, ...], Any, None]:
        for number in range(4):
            try:
                value = yield ("get", f"n{number % 2}")
                yield ("put", f"n{number % 2}", (value or 0) + 1)
                yield ("put", name, number)
            except Lost:
                continue

    return program


def test_a_budget_is_kept_and_its_end_is_by_chance() -> None:
    world = ToyWorld({f"T#{n}": busy(str(n)) for n in range(3)}, anything)
    result = explore(world, budget=200)

    assert result.world_count == 200
    assert result.phases["by chance"] == 20
    assert not result.is_exhausted
    assert "every pair" not in result.proof
    assert world.run_count == 200 + result.rerun_count


def test_the_same_seed_tries_the_same_worlds() -> None:
    def deviations_of(seed: int) -> list[Any]:
        world = ToyWorld({f"T#{n}": busy(str(n)) for n in range(3)}, anything)
        seen: list[Any] = []

        def play(deviations: Any, schedule: Any = None) -> Played:
            seen.append((deviations, repr(schedule)))
            return world.play(deviations)

        Explorer(play, world, budget=150, seed=seed, describe=AssertionError).explore()
        return seen

    assert deviations_of(1) == deviations_of(1)
    assert deviations_of(1) != deviations_of(2)


def test_no_world_is_run_twice_but_to_check_it() -> None:
    world = ToyWorld({"T#1": busy("1"), "T#2": busy("2")}, anything)
    seen: Counter[Any] = Counter()

    def play(deviations: Any, schedule: Any = None) -> Played:
        if schedule is None:
            seen[frozenset(deviations)] += 1
        return world.play(deviations)

    result = Explorer(play, world, budget=400, describe=AssertionError).explore()

    assert sum(count - 1 for count in seen.values()) <= result.rerun_count + 40


def test_the_result_is_a_table() -> None:
    world = ToyWorld({"A#1": adding_one()}, anything)
    lines = str(explore(world, deviations_max=1, kinds=["error"])).splitlines()

    assert lines[0] == "nothing found in 4 worlds (1 calm, 3 single faults)"
    assert lines[2].split() == ["kind", "tried", "came", "about"]
    assert lines[3].split() == ["error", "after", "1", "1"]
