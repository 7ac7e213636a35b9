"""Laws of the corridor: the steps of every call, in their order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from emulator.durable_objects.context import IoContext
from emulator.durable_objects.gates import InputGate, OutputGate
from emulator.errors import DeadInstance, JsException
from emulator.simulation.rules import Operation, Verdict
from emulator.simulation.runner import current_simulation, run
from emulator.simulation.schedules import random as random_schedule

HEAD = Operation("BUCKET", "r2.head", "k")


@dataclass
class Rule:
    verdict: Verdict

    def decide(self, operation: Operation) -> Verdict | None:
        return self.verdict


@dataclass
class Supply:
    causes: list[str] = field(default_factory=list)

    def power_cut(self, cause: str) -> None:
        self.causes.append(cause)


def context_here(**options: object) -> IoContext:
    return IoContext(current_simulation(), "JOBS#1", **options)  # type: ignore[arg-type]


def test_a_call_takes_effect_one_millisecond_later_and_answers_at_that_instant() -> None:
    async def main() -> tuple[int, int]:
        clock = current_simulation().clock
        effect_ms = await context_here().carry(HEAD, lambda: clock.elapsed_ms)
        return effect_ms, clock.elapsed_ms

    assert run(main) == (1, 1)


def test_a_call_acts_when_called_not_when_awaited() -> None:
    async def main() -> list[str]:
        done: list[str] = []
        context_here().carry(HEAD, lambda: done.append("effect"))
        await asyncio.sleep(0.005)
        return done

    assert run(main) == ["effect"]


def test_a_call_waits_for_the_output_gate() -> None:
    async def main() -> tuple[list[str], list[str]]:
        gate = OutputGate()
        gate.is_shut = True
        done: list[str] = []
        context_here(output_gate=gate).carry(HEAD, lambda: done.append("effect"))
        await asyncio.sleep(1)
        before = list(done)
        gate.open()
        await asyncio.sleep(1)
        return before, done

    assert run(main) == ([], ["effect"])


def test_an_answer_waits_for_the_input_gate() -> None:
    async def main() -> int:
        gate = InputGate(current_simulation().loop)
        gate.hold()
        call = context_here(input_gate=gate).carry(HEAD, lambda: None)
        asyncio.get_running_loop().call_later(0.5, gate.release)
        await call
        return current_simulation().clock.elapsed_ms

    assert run(main) == 500


def test_an_error_before_the_effect_leaves_no_effect() -> None:
    async def main() -> list[str]:
        current_simulation().rules.add(Rule(Verdict(error_before=lambda _: JsException("no"))))
        done: list[str] = []
        with pytest.raises(JsException, match="no"):
            await context_here().carry(HEAD, lambda: done.append("effect"))
        return done

    assert run(main) == []


def test_an_error_after_the_effect_leaves_the_effect() -> None:
    async def main() -> list[str]:
        current_simulation().rules.add(Rule(Verdict(error_after=lambda _: JsException("no"))))
        done: list[str] = []
        with pytest.raises(JsException, match="no"):
            await context_here().carry(HEAD, lambda: done.append("effect"))
        return done

    assert run(main) == ["effect"]


@pytest.mark.parametrize(("when", "effects"), [("before", []), ("after", ["effect"])])
def test_a_crash_cuts_the_callers_power_before_or_after_the_effect(
    when: str, effects: list[str]
) -> None:
    async def main() -> tuple[list[str], list[str], bool]:
        current_simulation().rules.add(Rule(Verdict(crash=when)))
        supply = Supply()
        done: list[str] = []
        call = context_here(owner=supply).carry(HEAD, lambda: done.append("effect"))
        await asyncio.sleep(1)
        return done, supply.causes, call.done()

    assert run(main) == (effects, [f"crash {when} BUCKET.r2.head('k')"], False)


def test_what_has_left_takes_effect_though_its_sender_dies_and_nobody_is_answered() -> None:
    async def main() -> tuple[list[str], bool]:
        done: list[str] = []
        context = context_here()
        call = context.carry(HEAD, lambda: done.append("effect"))
        context.die()
        await asyncio.sleep(1)
        return done, call.done()

    assert run(main) == (["effect"], False)


def test_an_effect_that_reads_from_a_dead_sender_breaks_off() -> None:
    async def main() -> list[str]:
        done: list[str] = []
        context = context_here()

        async def effect() -> None:
            await asyncio.sleep(10)
            done.append("effect")

        context.carry(HEAD, effect)
        await asyncio.sleep(1)
        context.die()
        await asyncio.sleep(100)
        return done

    assert run(main) == []


def test_a_dead_context_refuses_and_counts_every_act() -> None:
    async def main() -> int:
        context = context_here()
        context.die()
        for _ in range(3):
            with pytest.raises(DeadInstance):
                context.carry(HEAD, lambda: None)
        return context.refused_count

    assert run(main) == 3


def test_one_call_too_many_is_refused_with_the_platforms_text() -> None:
    async def main() -> str:
        context = context_here(subrequests_max=2)
        await context.carry(HEAD, lambda: None)
        await context.carry(HEAD, lambda: None)
        with pytest.raises(JsException) as caught:
            await context.carry(HEAD, lambda: None)
        context.top_up()
        await context.carry(HEAD, lambda: None)
        return caught.value.message

    assert run(main) == "Too many subrequests by single Worker invocation."


def test_calls_of_one_lane_arrive_in_call_order_under_a_random_schedule() -> None:
    async def main() -> list[int]:
        log: list[int] = []
        context = context_here()
        calls = [
            context.carry(HEAD, lambda number=number: log.append(number), lane="one")
            for number in range(50)
        ]
        await asyncio.gather(*calls)
        return log

    for seed in range(5):
        assert run(main, seed=seed, schedule=random_schedule()) == list(range(50))


def test_calls_without_a_lane_meet_every_order_under_random_schedules() -> None:
    async def main() -> tuple[int, ...]:
        log: list[int] = []
        context = context_here()
        calls = [
            context.carry(HEAD, lambda number=number: log.append(number)) for number in range(3)
        ]
        await asyncio.gather(*calls)
        return tuple(log)

    orders = {run(main, seed=seed, schedule=random_schedule()) for seed in range(60)}

    assert len(orders) == 6
