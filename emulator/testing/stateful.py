"""Stateful: a worker under Hypothesis's state machines, step by step in simulated time.

    class JobsMachine(WorkerStateMachine):
        worker = JobsWorker
        options = {"durable_objects": {"JOBS": "Job"}}
        requests = st.sampled_from(["a", "b"]).map(lambda job: {"url": f"http://x/{job}"})

        @invariant()
        async def no_job_is_lost(self):
            ...

    TestJobs = JobsMachine.TestCase

Each machine is one simulation with one world. Its steps are requests (answered before the next
step, or left under way), time that passes, power cuts, evictions, restarts, faults and healing;
a subclass adds its own. `rule`, `initialize` and `invariant` of this module are Hypothesis's,
for functions that may be `async def`. At the end faults are healed, everything must come to
rest, and the monitors judge.

Promises: a step depends on nothing but the steps before it, so nothing is flaky; the steps that
Hypothesis prints for a failure are a program that fails in the same way. Leaves to others:
choosing steps and shrinking (Hypothesis), rest and monitors (the player).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from hypothesis import stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition

from emulator.errors import ConfigurationError
from emulator.http.miniflare import Miniflare
from emulator.simulation.clock import duration_ms
from emulator.simulation.player import Player
from emulator.simulation.runner import Simulation
from emulator.testing import invariants, strategies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from emulator.durable_objects.record import ObjectRecord
    from emulator.faults import FaultRule
    from emulator.simulation.conditions import Condition
    from emulator.simulation.monitors import Monitor

__all__ = ["WorkerStateMachine", "initialize", "invariant", "precondition", "rule"]

#: Milliseconds that pass in one step: about a call, the delays of alarms, the life of an idle
#: object, an hour.
_DURATIONS_MS: Final = (1, 2, 5, 100, 1_000, 2_500, 10_000, 60_000, 200_000, 3_600_000)
#: More rules at once hide what each of them does.
_RULES_MAX: Final = 3
#: What names a step of Hypothesis's own, on a function.
_MARKS: Final = (
    "hypothesis_stateful_rule",
    "hypothesis_stateful_initialize_rule",
    "hypothesis_stateful_invariant",
)


def _as_step(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that Hypothesis can call: what is async runs in the machine's simulation."""
    if not inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    def step(self: WorkerStateMachine, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return self.run(function, self, *args, **kwargs)

    # Hypothesis asks whether it is async, through what it wraps.
    del step.__wrapped__
    step.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return step


def rule(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`hypothesis.stateful.rule`, for a function that may be `async def`."""
    made: Any = stateful.rule(**options)
    return lambda function: made(_as_step(function))


def initialize(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`hypothesis.stateful.initialize`, for a function that may be `async def`."""
    made: Any = stateful.initialize(**options)
    return lambda function: made(_as_step(function))


def invariant(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`hypothesis.stateful.invariant`, for a function that may be `async def`.

    It is asked after each step; it may ask the worker, and then changes it as any request does.
    """
    made: Any = stateful.invariant(**options)
    return lambda function: made(_as_step(function))


class WorkerStateMachine(RuleBasedStateMachine):
    """A base for state machines. A subclass says which worker, and adds rules.

    A rule that shall not be used is set to None: `restart = None`.

    Attributes:
        worker: The worker, as for `Miniflare`; None if `options` names a script.
        options: Other options of `Miniflare`.
        requests: Draws what `dispatch_fetch` takes: {"url": ..., "method": ...}. None is no
            requests.
        fault_rules: Draws rules for `inject`.
        seed: Decides every random stream of the world.
        rest: How long everything may take to come to rest at the end, milliseconds or a
            timedelta.
    """

    worker: ClassVar[Any] = None
    options: ClassVar[Mapping[str, Any]] = {}
    requests: ClassVar[st.SearchStrategy[dict[str, Any]] | None] = None
    fault_rules: ClassVar[st.SearchStrategy[FaultRule]] = strategies.fault_rules()
    seed: ClassVar[int] = 0
    rest: ClassVar[int | timedelta] = timedelta(days=1)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, function in list(vars(cls).items()):
            wrapped = inspect.unwrap(function) if callable(function) else None
            if any(hasattr(function, mark) for mark in _MARKS) and (
                inspect.iscoroutinefunction(wrapped)
            ):
                message = (
                    f"{cls.__name__}.{name} is async: import rule, initialize and invariant "
                    "from emulator.testing.stateful, since Hypothesis's own never await it"
                )
                raise ConfigurationError(message)
        cls._add_rules()

    @classmethod
    def _add_rules(cls) -> None:
        """Make the rules that draw by a strategy of this class."""
        given = vars(cls)
        for strategy_name, argument, methods in (
            ("requests", "request", {"request": _request, "send": _send}),
            ("fault_rules", "fault", {"inject": _inject}),
        ):
            strategy = given.get(strategy_name)
            for name, function in methods.items():
                if strategy is not None and name not in given:
                    setattr(cls, name, function(rule(**{argument: strategy})))

    def __init__(self) -> None:
        super().__init__()
        #: Something went wrong on purpose: errors of requests are to be expected.
        self.is_disturbed = False
        self._simulation: Simulation | None = None
        self._mf: Miniflare | None = None
        self._under_way: dict[asyncio.Task[None], None] = {}
        self._errors: list[BaseException | None] = []

    @property
    def mf(self) -> Miniflare:
        """The world; it begins when it is first asked for."""
        if self._mf is None:
            self._start()
            assert self._mf is not None
        return self._mf

    # -- what a subclass may override ----------------------------------------------------------

    def monitors(self) -> Iterable[Monitor | Condition]:
        """What must hold after every event and at rest; the stock invariants."""
        return invariants.standard()

    async def begin(self) -> None:
        """The world is there, and empty: the place to fill it."""

    def answered(self, request: dict[str, Any], response: Any) -> None:
        """A request was answered, by an httpx.Response."""

    def failed(self, request: dict[str, Any], error: Exception) -> None:
        """A request raised: that is an error unless something was disturbed before."""
        if not self.is_disturbed:
            raise error

    # -- running -------------------------------------------------------------------------------

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run an async function in the machine's simulation, to its end.

        What it leaves under way goes on in the next step.
        """
        __tracebackhide__ = True
        value = self.mf.world.simulation.run(functools.partial(function, *args, **kwargs))
        if self._errors:
            error = self._errors[0]
            assert error is not None
            raise error  # Of a request that an earlier step sent.
        return value

    def _start(self) -> None:
        # Not in `__init__`: Hypothesis ends only what has begun a step.
        self._simulation = simulation = Simulation(seed=self.seed)
        Player(simulation, monitors=self.monitors(), rest_ms=duration_ms(self.rest))
        # Rules by chance often meet nothing.
        simulation.rules.is_quiet = True
        given = {} if self.worker is None else {"worker": self.worker}
        mf = Miniflare(**given, **self.options)
        simulation.run(mf.__aenter__)
        self._mf = mf
        simulation.run(self.begin)

    def teardown(self) -> None:
        """Heal, come to rest, let the monitors judge, and end the world."""
        super().teardown()
        simulation = self._simulation
        if simulation is None:
            return
        try:
            if sys.exception() is None and self._mf is not None:
                self.run(self._end)
        finally:
            # Not held from step to step: the program that Hypothesis prints ends at the step
            # that fails, and other simulations may follow.
            simulation.close()

    async def _end(self) -> None:
        self.mf.faults.clear()
        await self.mf.__aexit__(None, None, None)

    # -- rules ---------------------------------------------------------------------------------

    def _set_going(self, request: dict[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._fetch(request), name="request")
        task.add_done_callback(self._note_error)
        self._under_way[task] = None

    def _note_error(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        if not task.cancelled() and task.exception() is not None:
            self._errors.append(task.exception())

    async def _fetch(self, request: dict[str, Any]) -> None:
        try:
            response = await self.mf.dispatch_fetch(**request)
        except Exception as error:
            self.failed(request, error)
        else:
            self.answered(request, response)

    @rule(duration_ms=st.sampled_from(_DURATIONS_MS))
    async def advance(self, duration_ms: int) -> None:
        """Let time pass."""
        await self.mf.advance(duration_ms)

    @precondition(lambda self: bool(self.running_objects()))
    @rule(which=st.integers(0, 7))
    async def crash(self, which: int) -> None:
        """Cut the power of a running object."""
        self.is_disturbed = True
        running = self.running_objects()
        running[which % len(running)].power_cut("a step")

    @precondition(lambda self: bool(self.running_objects()))
    @rule(which=st.integers(0, 7))
    async def evict(self, which: int) -> None:
        """Evict a running object, if it is idle."""
        running = self.running_objects()
        running[which % len(running)].evict_if_idle()

    @precondition(lambda self: bool(self.running_objects()))
    @rule()
    async def restart(self) -> None:
        """Cut the power of everything."""
        self.is_disturbed = True
        self.mf.world.process.restart("a step")

    @precondition(lambda self: len(self.mf.faults) > 0)
    @rule()
    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.mf.faults.clear()

    def running_objects(self) -> list[ObjectRecord]:
        """Objects with a living instance, in the order in which they were first reached."""
        return [
            record
            for namespace in self.mf.world.namespaces.values()
            for record in namespace.records()
            if record.instance is not None
        ]


def _request(drawn: Callable[..., Any]) -> Any:
    @drawn
    async def request(self: WorkerStateMachine, request: dict[str, Any]) -> None:
        """Send a request and wait for its answer."""
        await self._fetch(request)

    return request


def _send(drawn: Callable[..., Any]) -> Any:
    @drawn
    async def send(self: WorkerStateMachine, request: dict[str, Any]) -> None:
        """Send a request and go on: its answer comes when time passes."""
        self._set_going(request)

    return send


def _inject(drawn: Callable[..., Any]) -> Any:
    @precondition(lambda self: len(self.mf.faults) < _RULES_MAX)
    @drawn
    def inject(self: WorkerStateMachine, fault: FaultRule) -> None:
        """Add a rule for what goes wrong from now on."""
        self.is_disturbed = True
        self.mf.faults.add(fault)

    return inject


WorkerStateMachine._add_rules()
