"""Laws of the worker's state machine: its steps, its end, and what a failure prints."""

from __future__ import annotations

import asyncio
import re
import types
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from js import Date
from workers import DurableObject, Response, WorkerEntrypoint

from emulator import faults
from emulator.errors import ConfigurationError, MonitorFailure, NotAtRest
from emulator.testing import always, strategies
from emulator.testing.stateful import (
    WorkerStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)


class Counter(DurableObject):
    """It counts in storage."""

    async def fetch(self, request: Any) -> Response:
        path = request.url.rpartition("/")[2]
        count = await self.ctx.storage.get("count") or 0
        if path == "careless" and count == 1:
            await self.env.BUCKET.head("any")  # Others may come in between.
        if path == "hang":
            await asyncio.Event().wait()
        await self.ctx.storage.put("count", count + 1)
        await self.ctx.storage.setAlarm(Date.now() + 1_000)
        return Response(str(count + 1))

    async def alarm(self) -> None:
        await self.ctx.storage.put("alarms", 1)


class Default(WorkerEntrypoint):
    """It sends everything to one counter."""

    async def fetch(self, request: Any) -> Response:
        return await self.env.COUNTERS.getByName("one").fetch(request)


COUNTING = types.ModuleType("counting")
vars(COUNTING).update(Counter=Counter, Default=Default)
STEPS = settings(
    max_examples=30,
    stateful_step_count=10,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    derandomize=True,
)


class CounterMachine(WorkerStateMachine):
    """What every test here begins with."""

    worker = COUNTING
    options: ClassVar[dict[str, Any]] = {
        "durable_objects": {"COUNTERS": "Counter"},
        "r2_buckets": ["BUCKET"],
    }
    requests = st.just({"url": "http://localhost/careful"})
    fault_rules = strategies.fault_rules(["latency", "error", "crash", "evict"])

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def answered(self, request: dict[str, Any], response: Any) -> None:
        assert response.status_code == 200
        self.counts.append(int(response.text))


def failure_of(machine: Any) -> tuple[BaseException, str]:
    with pytest.raises(BaseException) as caught:
        run_state_machine_as_test(machine, settings=STEPS)
    return caught.value, "\n".join(getattr(caught.value, "__notes__", ()))


# -- steps -------------------------------------------------------------------------------------


def test_a_decent_worker_passes_all_steps():
    machines: list[CounterMachine] = []

    class Machine(CounterMachine):
        def __init__(self) -> None:
            super().__init__()
            machines.append(self)

        def answered(self, request: dict[str, Any], response: Any) -> None:
            super().answered(request, response)
            assert self.counts == sorted(set(self.counts)), "no count is given twice"

    run_state_machine_as_test(Machine, settings=STEPS)
    assert sum(len(machine.counts) for machine in machines) > 50


def test_a_race_between_two_requests_is_found_with_the_fewest_steps():
    class Machine(CounterMachine):
        crash = restart = evict = inject = None
        requests = st.just({"url": "http://localhost/careless"})

        def answered(self, request: dict[str, Any], response: Any) -> None:
            super().answered(request, response)
            assert len(set(self.counts)) == len(self.counts), "a count was given twice"

    error, told = failure_of(Machine)
    assert str(error).startswith("a count was given twice")
    steps = re.findall(r"^state\.(\w+)\(", told, re.MULTILINE)
    assert "send" in steps
    assert len(steps) <= 6


def test_the_steps_that_are_printed_fail_in_the_same_way():
    class Machine(CounterMachine):
        @rule(number=st.integers(0, 9))
        async def add(self, number: int) -> None:
            await self.mf.get_r2_bucket("BUCKET").put("number", str(number))
            assert number < 5, "too large"

    error, told = failure_of(Machine)
    steps = re.findall(r"^state.*$", told, re.MULTILINE)
    assert steps[0] == "state = Machine()"
    assert steps[-2:] == ["state.add(number=5)", "state.teardown()"]
    names: dict[str, Any] = {"Machine": Machine}
    with pytest.raises(AssertionError) as again:
        exec("\n".join(steps), names)
    assert str(again.value) == str(error)
    names["state"].mf.world.simulation.close()


def test_async_rules_initializers_invariants_and_preconditions_take_part():
    seen: set[str] = set()

    class Machine(CounterMachine):
        numbers = stateful.Bundle("numbers")

        @initialize(target=numbers)
        async def first(self) -> int:
            seen.add("initialize")
            await asyncio.sleep(1)
            return 1

        @precondition(lambda self: self.mf.clock.elapsed_ms > 0)
        @rule(number=numbers, target=numbers)
        async def next(self, number: int) -> int:
            seen.add("rule")
            return number + 1

        @rule()
        def plain(self) -> None:
            seen.add("plain")

        @invariant()
        async def look(self) -> None:
            seen.add("invariant")
            await asyncio.sleep(0)

    run_state_machine_as_test(Machine, settings=STEPS)
    assert seen == {"initialize", "rule", "plain", "invariant"}


def test_an_async_rule_of_hypothesis_itself_is_refused():
    with pytest.raises(ConfigurationError, match=r"Machine\.act is async: import rule"):

        class Machine(CounterMachine):
            @stateful.rule()
            async def act(self) -> None:
                """Never awaited."""


def test_what_a_machine_shall_not_do_is_set_to_none():
    class Calm(CounterMachine):
        crash = restart = evict = inject = send = None

        def answered(self, request: dict[str, Any], response: Any) -> None:
            super().answered(request, response)
            assert not self.is_disturbed
            assert self.counts == list(range(1, len(self.counts) + 1))

    run_state_machine_as_test(Calm, settings=STEPS)


def test_a_machine_without_requests_has_time_power_cuts_and_faults():
    names: set[str] = set()

    class Machine(WorkerStateMachine):
        worker = COUNTING
        options: ClassVar[dict[str, Any]] = CounterMachine.options

        async def begin(self) -> None:
            names.update(f"begin {type(self.mf).__name__}".split())
            await self.mf.dispatch_fetch("http://localhost/careful")

        @invariant()
        def note(self) -> None:
            names.update(event.kind for event in self.mf.trace.events)

    run_state_machine_as_test(Machine, settings=STEPS)
    assert {"begin", "Miniflare", "crash", "evict", "restart", "alarm.ack"} <= names


# -- errors ------------------------------------------------------------------------------------


def test_an_error_of_a_request_is_a_failure_if_nothing_was_disturbed():
    machine = CounterMachine()
    machine.options = {**CounterMachine.options, "durable_objects": {}}
    with pytest.raises(AttributeError, match="COUNTERS"):
        machine.request(request={"url": "http://localhost/careful"})
    machine.teardown()


def test_an_error_of_a_request_is_no_failure_under_faults():
    machine = CounterMachine()
    machine.inject(fault=faults.error(op="object.fetch"))
    machine.request(request={"url": "http://localhost/careful"})
    machine.heal()
    machine.request(request={"url": "http://localhost/careful"})
    assert machine.counts == [1]
    machine.teardown()


def test_a_request_under_way_is_answered_when_time_passes():
    machine = CounterMachine()
    machine.send(request={"url": "http://localhost/careful"})
    assert machine.counts == []
    machine.advance(duration_ms=10)
    assert machine.counts == [1]
    machine.teardown()


def test_what_an_answer_to_a_request_under_way_breaks_is_raised_by_the_step_that_brings_it():
    class Machine(CounterMachine):
        def answered(self, request: dict[str, Any], response: Any) -> None:
            message = "seen"
            raise AssertionError(message)

    machine = Machine()
    machine.send(request={"url": "http://localhost/careful"})
    with pytest.raises(AssertionError, match="seen"):
        machine.advance(duration_ms=10)
    machine.mf.world.simulation.close()


# -- the end -----------------------------------------------------------------------------------


def test_what_never_comes_to_rest_fails_at_the_end():
    machine = CounterMachine()
    machine.send(request={"url": "http://localhost/hang"})
    with pytest.raises(NotAtRest, match=r"(?s)faults have ended.*in Counter\.fetch"):
        machine.teardown()


def test_the_monitors_of_a_machine_look_after_every_event_and_at_rest():
    class Machine(CounterMachine):
        def monitors(self) -> Any:
            return [always(lambda mf: not mf.trace.of_kind("alarm"))]

    machine = Machine()
    machine.request(request={"url": "http://localhost/careful"})
    with pytest.raises(MonitorFailure, match=r"was broken, 1\.002 s after the start"):
        machine.advance(duration_ms=2_000)
    machine.mf.world.simulation.close()


def test_a_machine_that_did_nothing_ends_quietly():
    CounterMachine().teardown()


def test_two_machines_of_one_class_do_the_same():
    digests = []
    for _ in range(2):
        machine = CounterMachine()
        machine.inject(fault=faults.latency(7, op="r2.*", probability=0.5))
        for _ in range(3):
            machine.send(request={"url": "http://localhost/careful"})
            machine.advance(duration_ms=2)
            machine.crash(which=3)
        digests.append(machine.mf.trace.digest())
        machine.teardown()
    assert digests[0] == digests[1]
