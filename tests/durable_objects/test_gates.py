"""Laws of the input gate and the output gate."""

from __future__ import annotations

import asyncio
from typing import Any

from emulator.durable_objects.gates import InputGate, OutputGate, Section
from emulator.simulation.runner import current_simulation, run


def section_of(
    gate: InputGate, log: list[str], name: str, parent: Section | None = None
) -> Section:
    section = Section(parent, lambda: log.append(f"{name} starts"))
    gate.begin(section)
    return section


async def turn() -> None:
    await asyncio.sleep(0.001)


def gate_here() -> InputGate:
    return InputGate(current_simulation().loop)


def test_an_open_gate_lets_an_event_in_at_once() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        gate_here().enter(None, lambda: log.append("in"))
        return log

    assert run(main) == ["in"]


def test_a_section_starts_when_the_turn_is_over_and_ahead_of_all_that_waits() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        gate = gate_here()
        section = section_of(gate, log, "section")
        gate.enter(None, lambda: log.append("event"))
        log.append("rest of the turn")
        await turn()
        gate.end(section)
        await turn()
        return log

    assert run(main) == ["rest of the turn", "section starts", "event"]


def test_completions_of_the_section_enter_while_all_others_wait() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        gate = gate_here()
        section = section_of(gate, log, "section")
        await turn()
        gate.enter(None, lambda: log.append("outside"))
        gate.enter(section, lambda: log.append("inside"))
        await turn()
        gate.end(section)
        await turn()
        return log

    assert run(main) == ["section starts", "inside", "outside"]


def test_sections_of_one_event_run_one_after_another_in_start_order() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        gate = gate_here()
        first = section_of(gate, log, "first")
        second = section_of(gate, log, "second")
        gate.enter(None, lambda: log.append("event"))
        await turn()
        gate.end(first)
        await turn()
        gate.end(second)
        await turn()
        return log

    assert run(main) == ["first starts", "second starts", "event"]


def test_a_nested_section_runs_inside_the_outer_one() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        gate = gate_here()
        outer = section_of(gate, log, "outer")
        await turn()
        inner = section_of(gate, log, "inner", outer)
        await turn()
        gate.enter(outer, lambda: log.append("outer completion"))
        gate.enter(None, lambda: log.append("event"))
        gate.end(inner)
        await turn()
        gate.end(outer)
        await turn()
        return log

    assert run(main) == ["outer starts", "inner starts", "outer completion", "event"]


def test_waiting_events_enter_in_order_and_a_newcomer_behind_them() -> None:
    async def main() -> list[int]:
        log: list[int] = []
        gate = gate_here()
        gate.hold()
        for number in range(5):
            gate.enter(None, lambda number=number: log.append(number))  # type: ignore[misc]
        gate.release()
        gate.enter(None, lambda: log.append(5))
        await turn()
        return log

    assert run(main) == [0, 1, 2, 3, 4, 5]


def test_each_waiting_event_is_a_turn_of_its_own() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        gate = gate_here()
        loop = asyncio.get_running_loop()

        def event(name: str) -> Any:
            def enter() -> None:
                log.append(name)
                loop.call_soon(log.append, f"{name} microtask")

            return enter

        gate.hold()
        gate.enter(None, event("a"))
        gate.enter(None, event("b"))
        gate.release()
        await turn()
        return log

    assert run(main) == ["a", "a microtask", "b", "b microtask"]


def test_a_shut_output_gate_holds_words_until_it_opens_in_order() -> None:
    log: list[str] = []
    gate = OutputGate()
    gate.is_shut = True
    gate.leave(lambda: log.append("first"))
    gate.leave(lambda: log.append("second"))

    assert log == []

    gate.open()

    assert log == ["first", "second"]


def test_words_of_a_dead_object_never_leave() -> None:
    log: list[str] = []
    gate = OutputGate()
    gate.is_shut = True
    gate.leave(lambda: log.append("word"))
    gate.lose()
    gate.open()

    assert log == []
