"""Torture: a random program under everything that may go wrong, on the emulator alone.

Promises: what no comparison with a real runtime can show, since it has no such faults and
profiles, holds all the same: no error of the emulator's own code ever reaches a worker; the
same ordeal is the same run; a run ends, or says who waits for what; and a program that asks
for nothing that the profiles tell apart gives the same under each of them. Leaves to others:
drawing ordeals, and laws about single verbs (ordeal_verbs).
"""

from __future__ import annotations

import asyncio
import json
import re
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import emulator
from emulator import schedules
from emulator.conformance import interpreter
from emulator.conformance.comparison import difference
from emulator.conformance.emulator_target import run_program, world_options
from emulator.conformance.ordeal import Act, Ordeal, ordeal
from emulator.conformance.ordeal_dialect import BrokenLaw
from emulator.conformance.ordeal_verbs import REFUSALS, VERBS, Hands
from emulator.conformance.real_target import HANG_MS, wait_ms
from emulator.conformance.recorder import Run
from emulator.errors import JsException, SimulationDeadlock
from emulator.sdk.workers import Response
from emulator.simulation.randomness import Randomness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.conformance.program import Program
    from emulator.http.miniflare import Miniflare
    from emulator.sdk.workers import Request

__all__ = ["Suffered", "broken_laws", "suffer"]

#: Python's own errors that mean a mistake in somebody's code, and no program makes any.
_MISTAKES: Final = frozenset(
    (
        "AssertionError", "AttributeError", "IndexError", "KeyError", "NameError",
        "NotImplementedError", "RecursionError", "RuntimeError", "UnboundLocalError",
        "UnicodeDecodeError", "UnicodeEncodeError", "ZeroDivisionError", "InvalidStateError",
        "StopIteration", "SystemError", "ValueError", "SQLError", "MisuseError", "BusyError",
    )
)  # fmt: skip
#: Words that Python has for a TypeError of such a mistake. (A program that gives too many
#: arguments hears of it in Python's words, too.)
_PYTHON: Final = re.compile("NoneType|unexpected keyword|unsupported operand|not subscriptable")
#: Words of programs that ask for what the documented platform does in another way than local
#: workerd: bookmarks, jurisdictions, the sizes of pairs and batches, storage without SQLite,
#: storage classes of R2, reserved names in SQL, how deep a path may be, a reason that is null,
#: and the names of objects that an alarm wakes.
_TOLD_APART: Final = (
    "Bookmark", "urisdiction", '"zeros"', '"entries"', '"repeat"', '"kv"', '"env.KV',
    '"r2.put"', '"r2.list"', '"r2.createMultipartUpload"', "_CF_", "_cf_y", "obj.obj.obj",
    '"abort", null', "id.name", '"symbol"',
)  # fmt: skip
#: Alarms that are retried: local workerd lets an earlier time wait for the retry.
_ALARMS: Final = ("setAlarm", '"alarms"')
_FAILURES: Final = ("blockConcurrencyWhile", '"abort"', '"throw"', "pid", "constructor")


@final
class Suffered(NamedTuple):
    """What an ordeal came to.

    Attributes:
        outcome: What the program told.
        digest: Of the whole trace.
        broken: What was promised and is not so.
    """

    outcome: Any
    digest: str
    broken: tuple[str, ...]


def broken_laws(program: Program, seed_number: int) -> list[str]:
    """Put a program through its ordeal; what did not hold, in words.

    Args:
        program: A drawn one.
        seed_number: Decides the ordeal.
    """
    given = ordeal(program, seed_number)
    first, second = suffer(given), suffer(given)
    found = list(first.broken)
    if (first.outcome, first.digest) != (second.outcome, second.digest):
        found.append("the same ordeal is not the same run")
    if not _is_told_apart(program):
        local, paid = run_program(program), run_program(program, limits="paid")
        found += filter(None, [difference(program, local, paid, ("workerd", "paid"))])
    return [f"{text}\n  in the ordeal of {given}" for text in found]


def _is_told_apart(program: Program) -> bool:
    source = json.dumps(program.source)

    def has(words: tuple[str, ...]) -> bool:
        return any(word in source for word in words)

    return has(_TOLD_APART) or (has(_ALARMS) and has(_FAILURES))


def suffer(given: Ordeal) -> Suffered:
    """Run an ordeal.

    Args:
        given: It; its rules count anew.
    """
    broken: list[str] = []
    told: list[Any] = []
    digest = ""

    async def main() -> None:
        nonlocal digest
        options = world_options(given.program, given.limits)
        mf = emulator.Miniflare(
            **options, faults=list(given.rules), outbound_service=_elsewhere
        )
        try:
            async with mf:
                told.append(await _through(mf, given, broken))
        finally:
            digest = mf.trace.digest()

    schedule = schedules.random(given.seed) if given.is_shuffled else None
    try:
        with warnings.catch_warnings():
            # They are for whoever writes a worker, or a rule that nothing meets.
            warnings.simplefilter("ignore")
            emulator.run(main, seed=given.seed, schedule=schedule)
    except SimulationDeadlock as error:
        told.append(str(error))  # Who waits for what.
    except Exception as error:
        broken.append("".join(traceback.format_exception(error)))
    broken += [f"a program is told of {name}" for name in _mistakes(told)]
    return Suffered(told, digest, tuple(broken))


async def _elsewhere(request: Request) -> Response:
    return Response("elsewhere")


async def _through(mf: Miniflare, given: Ordeal, broken: list[str]) -> Any:
    program = given.program
    run = Run(program, mf.clock.now_ms)
    stream = Randomness(given.seed).stream(f"verbs.{program.name}")
    hands = Hands(mf, program, stream)
    ends: list[str] = []
    with interpreter.running(run):
        for step, act in zip(program.steps, given.acts, strict=True):
            run.steps = [step]
            request = asyncio.ensure_future(_request(mf, wait_ms(program.source)))
            if act.after_ms is None:
                ends.append(await request)
            else:
                await asyncio.sleep(act.after_ms / 1_000)
            ends.append(await _act(hands, act, broken))
            if act.after_ms is not None:
                ends.append(await request)
    return {"ends": ends, "steps": [tell() for tell in run.tellers]}


async def _request(mf: Miniflare, program_ms: int) -> str:
    """Have the worker do its step; how that ended."""
    try:
        async with asyncio.timeout((program_ms + HANG_MS) / 1_000):
            answer = await mf.dispatch_fetch("http://conform/")
    except (JsException, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"
    return str(answer.status_code)


async def _act(hands: Hands, act: Act, broken: list[str]) -> str:
    """Do what a test does; how that ended."""
    hands.is_alone = act.after_ms is None
    try:
        async with asyncio.timeout(HANG_MS / 1_000):
            await VERBS[act.verb](hands)
    except BrokenLaw as error:
        broken.append(f"{act.verb}: {error}")
    except (*REFUSALS, TimeoutError) as error:
        return f"{act.verb}: {type(error).__name__}: {error}"
    return act.verb


def _mistakes(told: Any) -> Iterator[str]:
    """The errors in an outcome that only a mistake in our own code raises."""
    if isinstance(told, list):
        for part in told:
            yield from _mistakes(part)
    elif isinstance(told, dict):
        error = told.get("error")
        if isinstance(error, dict) and (
            error.get("name") in _MISTAKES or _PYTHON.search(str(error.get("message")))
        ):
            yield f"{error.get('name')}: {error.get('message')}"
        for part in told.values():
            yield from _mistakes(part)
