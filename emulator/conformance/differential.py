"""The differential: random programs on both runtimes, and what differs.

Promises: the same programs for the same seed; an outcome of the real runtime that the
emulator cannot give is a difference, shrunk by Hypothesis to a few ops. What counts as
agreement: the calm run gives the same; or the program waits for several services at once
(`is_racing`) and some order of their completions gives the same; or the real runtime, asked
again, gives what the emulator gives, so that it has more than one outcome itself. Leaves to
others: drawing programs (generator), comparing two outcomes (comparison).
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Final, final

from hypothesis import HealthCheck, Phase, given, seed, settings

from emulator import schedules
from emulator.conformance.comparison import difference
from emulator.conformance.emulator_target import run_program
from emulator.conformance.generator import programs
from emulator.conformance.latencies import Latencies
from emulator.conformance.program import Program, checked
from emulator.conformance.program_parts import has_ops, is_racing, ops_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from emulator.simulation.schedules import Schedule

__all__ = ["Differential", "Verdict", "distribution", "drawn_programs"]

#: Orders of completions that are tried for a program that waits for several services.
SCHEDULES: Final = 60
#: Up to which, in milliseconds, times of services are tried against each other.
LEG_MS_MAX: Final = 7
#: How often the real runtime is asked again before a difference is believed.
RETRIES: Final = 3
#: How much later than usual an alarm may come on the real runtime when it is asked again, in
#: milliseconds. Less than the two seconds after which a failed one is tried again.
LATE_MS_MAX: Final = 1_200
#: One in so many of those that Hypothesis draws is run: its neighbours are much the same.
STRIDE: Final = 3
#: Programs that shrinking may try.
SHRINKS_MAX: Final = 2_000

Outcome = dict[str, Any]


def drawn_programs(count: int, seed_number: int) -> list[Program]:
    """Programs without repetition, the same for the same arguments.

    Args:
        count: How many, at least 1.
        seed_number: Decides them.
    """
    found: dict[str, dict[str, Any]] = {}

    def note(source: dict[str, Any]) -> None:
        found.setdefault(json.dumps(source), source)

    _draw(_drawn_max(count), seed_number, note, phases=(Phase.generate,))
    return [
        checked({"name": f"random {seed_number}/{number}", **source})
        for number, source in enumerate(list(found.values())[::STRIDE][:count])
    ]


def _drawn_max(count: int) -> int:
    # Some are drawn twice.
    return count * STRIDE * 4 // 3


def _draw(
    count: int,
    seed_number: int,
    test: Callable[[dict[str, Any]], None],
    *,
    phases: tuple[Phase, ...],
) -> None:
    """Have Hypothesis call `test` with programs."""
    configured = settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    seed(seed_number)(configured(given(programs())(test)))()


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one program.

    Attributes:
        program: It.
        how: "calm", "by some order", "asked again", or "different".
        text: The difference in words; "" if there is none.
    """

    program: Program
    how: str
    text: str = ""


@final
class Differential:
    """Compares the emulator with a real runtime.

    Args:
        run_real: Runs programs on the real runtime.
        can_ask_again: False if `run_real` only tells what was recorded.
    """

    def __init__(
        self,
        run_real: Callable[[Sequence[Program]], list[Outcome]],
        *,
        can_ask_again: bool = True,
    ) -> None:
        self._run_real = run_real
        self._retries = RETRIES if can_ask_again else 0

    def compare(self, given: Sequence[Program]) -> list[Verdict]:
        """Run programs on both, and compare.

        Args:
            given: Any number; the real runtime has them all at once.
        """
        verdicts = {
            program.name: _judged(program, outcome)
            for program, outcome in zip(given, self._run_real(given), strict=True)
        }
        for _ in range(self._retries):
            again = [v.program for v in verdicts.values() if v.how == "different"]
            if not again:
                break
            patient = [_patient(program) for program in again]
            for program, outcome in zip(again, self._run_real(patient), strict=True):
                if _judged(program, outcome).how != "different":
                    verdicts[program.name] = Verdict(program, "asked again")
        return list(verdicts.values())

    def shrunk(self, count: int, seed_number: int, different: Iterable[Program]) -> Verdict:
        """The smallest program that Hypothesis finds to differ, of a seed that has one.

        Args:
            count: As it was drawn.
            seed_number: As it was drawn.
            different: Those of its programs that differ.
        """
        known = {_key(program.source): program for program in different}
        tried: dict[str, Verdict] = {}
        last: list[Verdict] = []
        is_shrinking = False

        def test(source: dict[str, Any]) -> None:
            nonlocal is_shrinking
            key = _key(source)
            is_shrinking = is_shrinking or key in known
            if not is_shrinking or len(tried) > SHRINKS_MAX:
                return
            if key not in tried:
                program = checked({"name": "shrunk", **source})
                [tried[key]] = self.compare([program])
            if tried[key].how == "different":
                last.append(tried[key])
                raise AssertionError

        with suppress(AssertionError):
            _draw(_drawn_max(count), seed_number, test, phases=(Phase.generate, Phase.shrink))
        return last[-1] if last else self.compare(list(known.values())[:1])[0]


def _patient(program: Program) -> Program:
    """The same, and alarms that a busy machine brings late still come in."""
    steps = [
        {**step, "wait": step["wait"] + LATE_MS_MAX} if "wait" in step else step
        for step in program.steps
    ]
    return checked({**program.source, "steps": steps})


def _key(source: dict[str, Any]) -> str:
    return json.dumps({name: part for name, part in source.items() if name != "name"})


def _without_races(program: Program, outcome: Outcome) -> Outcome:
    """An outcome without the answers that race with a reset.

    Where one of several calls resets the object, it is a matter of some turns of the event
    loop whether the answer of another one, whose ops had all ended, is out before. Calls that
    were cut short are compared, and so is what was stored.
    """
    steps = []
    for step, told in zip(program.steps, outcome["steps"], strict=False):
        found = dict(told)
        if "par" in told and has_ops(step, "abort", "blockConcurrencyWhile"):
            found["par"] = [_without_answer(branch) for branch in told["par"]]
        if "order" in told and has_ops(step, "rpc"):
            # The other object may have to start, and its calls wait for it.
            found["order"] = None
        steps.append(found)
    return {**outcome, "steps": steps}


def _without_order(outcome: Outcome) -> Outcome:
    steps = [{**step, "order": None} if "order" in step else step for step in outcome["steps"]]
    return {**outcome, "steps": steps}


def _without_answer(branch: dict[str, Any]) -> dict[str, Any]:
    ops = [entry for entry in branch.get("ops", ()) if "." not in entry["op"]]
    if not ops or any("open" in entry for entry in ops):
        return branch
    return {**branch, "result": None}


def _judged(program: Program, told: Outcome) -> Verdict:
    real = _without_races(program, told)

    def emulated(schedule: Schedule | None = None) -> Outcome:
        return _without_races(program, run_program(program, schedule=schedule))

    text = difference(program, real, emulated())
    if not text:
        return Verdict(program, "calm")
    if is_racing(program.source):
        # What the ops gave and left behind is compared, not which of two services was first.
        unordered = _without_order(real)
        for schedule in _orders(program):
            if not difference(program, unordered, _without_order(emulated(schedule))):
                return Verdict(program, "by some order")
    return Verdict(program, "different", text)


def _orders(program: Program) -> Iterator[Schedule]:
    """Schedules that may bring the completions of several services into other orders."""
    bindings = [
        binding
        for op, binding in (
            ("d1.prepare", "DB"),
            ("r2.head", "BUCKET"),
            ("rpc", program.class_name.upper()),
        )
        if has_ops(program.steps, op)
    ]
    for legs_ms in product(range(LEG_MS_MAX), repeat=len(bindings)):
        yield Latencies(dict(zip(bindings, legs_ms, strict=True)))
    for number in range(SCHEDULES):
        yield schedules.random(number)


@final
@dataclass(slots=True)
class Distribution:
    """What a number of programs consist of."""

    program_count: int = 0
    op_count: int = 0
    concurrent_count: int = 0
    #: In how many programs each kind of op appears.
    kinds: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """It in words."""
        share = self.concurrent_count / max(1, self.op_count)
        rare = ", ".join(
            f"{kind} {count / self.program_count:.0%}"
            for kind, count in sorted(self.kinds.items(), key=lambda item: (-item[1], item[0]))
        )
        return [
            f"{self.op_count} ops in {self.program_count} programs, {share:.0%} of them beside "
            "others; programs with each kind of op:",
            f"  {rare}",
        ]


def distribution(given: Iterable[Program]) -> Distribution:
    """What programs consist of."""
    found = Distribution()
    for program in given:
        ops = ops_of(program.source)
        found.program_count += 1
        found.op_count += len(ops)
        found.concurrent_count += sum(is_concurrent for _, is_concurrent in ops)
        found.kinds.update({kind for kind, _ in ops})
    return found
