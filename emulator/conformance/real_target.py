"""The real target: conformance programs on the real runtime.

Promises: each program runs as if it were alone, many at a time, in one world for each
compatibility date and flags, which stays open for the next batch; a program that hangs, or
ends the runtime, costs no other its outcome. Leaves to others: what programs are (program),
running one (fixtures/workerd/programs), comparing outcomes.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, final

from emulator.conformance.program import (
    COMPATIBILITY_DATE_DEFAULT,
    WORKER_NAME,
    durable_objects,
)
from emulator.errors import ConfigurationError, JsException, WorldError
from emulator.http.arguments import dispatched_request
from emulator.workerd.faults import RealFaults
from emulator.workerd.installation import checked_modules_folder, node_folder
from emulator.workerd.options import settings_of
from emulator.workerd.real_clock import RealClock
from emulator.workerd.transport import LOST, dispatch
from emulator.workerd.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

__all__ = ["AT_ONCE", "HANG_MS", "RealTarget", "run_programs", "version", "wait_ms"]

#: What a program may take beside its own waits: workerd itself lets a critical section wait
#: for 30 s.
HANG_MS: Final = 45_000
#: An object is idle for 10 s until workerd evicts it; the interpreter waits a little longer.
EVICT_MS: Final = 10_600
#: Programs share one thread of JavaScript: more of them are no faster, and delay each other.
AT_ONCE: Final = 4
#: A program that waits longer takes no place of those that work.
_WAIT_MS_MIN: Final = 200
_WAITING_COUNT_MAX: Final = 250
_BEGIN_SECONDS: Final = 0.01
#: How long the interpreter may be silent when it should have told of a hang.
_SILENCE_MS_MAX: Final = 2_000
#: Ops that wait, with the milliseconds as their first argument.
_WAITING_OPS: Final = ("sleep", "timer")

_Key = tuple[str, tuple[str, ...]]

#: How a world shows that it is gone, or that nothing runs in it any more.
_LOST: Final = (WorldError, TimeoutError, *LOST)


def version() -> str:
    """The version of the workerd that is installed, such as "1.20260426.1".

    Raises:
        NodeMissing: If none is.
    """
    package = checked_modules_folder() / "node_modules" / "workerd" / "package.json"
    found: str = json.loads(package.read_bytes())["version"]
    return found


async def run_programs(
    programs: Sequence[Mapping[str, Any]], *, at_once: int = AT_ONCE
) -> list[dict[str, Any]]:
    """Run programs on the real runtime, and end it.

    Args:
        programs: Checked ones, as JSON.
        at_once: How many work at one time, from 1.

    Returns:
        Their outcomes, in the order of the programs.

    Raises:
        NodeMissing: If the real runtime is not installed.
    """
    async with RealTarget(at_once=at_once) as target:
        return await target.run(programs)


@final
class RealTarget:
    """Worlds of the interpreter worker, kept open from batch to batch.

    Enter it with `async with`, on an asyncio loop.

    Args:
        at_once: How many programs work at one time, from 1. Those that mostly wait come on top.
        hang_ms: After so many milliseconds beside its own waits a program is taken to hang.
    """

    def __init__(self, *, at_once: int = AT_ONCE, hang_ms: int = HANG_MS) -> None:
        self._hang_ms = hang_ms
        self._working = asyncio.Semaphore(at_once)
        self._waiting = asyncio.Semaphore(_WAITING_COUNT_MAX)
        self._alone = asyncio.Lock()
        self._worlds: dict[_Key, asyncio.Task[World]] = {}
        self._count = 0
        self.name = f"workerd {version()}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for key, starting in list(self._worlds.items()):
            await self._give_up(key, starting)

    async def run(self, programs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Run a batch of programs.

        Args:
            programs: Checked ones, as JSON.

        Returns:
            Their outcomes, in the order of the programs. One that cannot be run to its end has
            an "error" beside its "steps".
        """
        # What waits longest begins first.
        order = sorted(range(len(programs)), key=lambda index: -wait_ms(programs[index]))
        found = await asyncio.gather(*(self._run_one(programs[index]) for index in order))
        outcomes = dict(zip(order, found, strict=True))
        return [outcomes[index] for index in range(len(programs))]

    async def _run_one(self, program: Mapping[str, Any]) -> dict[str, Any]:
        key = _key(program)
        outcome = None
        if wait_ms(program) < _WAIT_MS_MIN:
            async with self._working:
                outcome = await self._run_in(self._world(key), program)
        else:
            async with self._waiting:
                # It takes part in the work while it begins: many of them at once would delay
                # the alarms of each other.
                async with self._working:
                    running = asyncio.create_task(self._run_in(self._world(key), program))
                    await asyncio.wait([running], timeout=_BEGIN_SECONDS)
                outcome = await running
        return outcome or await self._run_alone(program)

    async def _run_in(
        self, starting: asyncio.Task[World], program: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The outcome; None if the world is lost, perhaps by the fault of another program."""
        try:
            # Others wait for it too.
            return await self._outcome(await asyncio.shield(starting), program)
        except ConfigurationError as error:
            return self._failed(program, "ConfigurationError", str(error))
        except _LOST:
            await self._give_up(_key(program), starting)
            return None

    async def _run_alone(self, program: Mapping[str, Any]) -> dict[str, Any]:
        key = _key(program)
        async with self._alone, RealTarget(hang_ms=self._hang_ms) as target:
            world = await target._world(key)
            try:
                return await self._outcome(world, program)
            except TimeoutError:
                text = f"the real runtime did not answer within {self._ms_max(program)} ms"
                return self._failed(program, "ProgramHangs", text)
            except _LOST:
                text = "the real runtime ended while it ran this program alone"
                return self._failed(program, "RuntimeEnded", text)

    async def _outcome(self, world: World, program: Mapping[str, Any]) -> dict[str, Any]:
        self._count += 1
        ms_max = self._ms_max(program)
        task = {
            "program": program,
            # Of one length each, so that a program's sizes do not differ from run to run.
            "prefix": f"~{self._count:07}~",
            "tablePrefix": f"zq{self._count:07}_",
            "msMax": ms_max,
        }
        request = dispatched_request(
            "http://conform/run",
            {
                "method": "POST",
                "content": json.dumps(task).encode(),
                "extensions": {"timeout": {}},  # Ours is in force.
            },
        )
        try:
            async with asyncio.timeout((ms_max + _SILENCE_MS_MAX) / 1000):
                response = await dispatch(world.transport, request)
        except JsException as error:
            text = f"the interpreter failed: {error.message}"
            return self._failed(program, error.name, text)
        return self._told(program, json.loads(response.content))

    def _failed(self, program: Mapping[str, Any], name: str, message: str) -> dict[str, Any]:
        return self._told(program, {"steps": [], "error": {"name": name, "message": message}})

    def _told(self, program: Mapping[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
        return {**outcome, "program": program["name"], "target": self.name}

    def _ms_max(self, program: Mapping[str, Any]) -> int:
        return wait_ms(program) + self._hang_ms

    # -- worlds ----------------------------------------------------------------------------

    def _world(self, key: _Key) -> asyncio.Task[World]:
        starting = self._worlds.get(key)
        if starting is None:
            starting = self._worlds[key] = asyncio.create_task(_start(key))
        return starting

    async def _give_up(self, key: _Key, starting: asyncio.Task[World]) -> None:
        if self._worlds.get(key) is starting:  # Else another one has been started already.
            del self._worlds[key]
        with suppress(ConfigurationError):  # It has never started.
            await (await starting).dispose()


async def _start(key: _Key) -> World:
    date, flags = key
    settings = settings_of(
        {
            "name": WORKER_NAME,
            "script_path": node_folder() / "programs" / "src" / "index.ts",
            "durable_objects": durable_objects(),
            "r2_buckets": ["BUCKET"],
            "d1_databases": ["DB"],
            "compatibility_date": date,
            "compatibility_flags": list(flags),
        }
    )
    # The worker's own door, for requests that are not the program's.
    settings.driver["worker"]["serviceBindings"]["SELF"] = settings.driver["worker"]["name"]
    faults = partial(RealFaults, 0, settings.operations, RealClock())  # It has no rules.
    return await World.start(settings.driver, {}, faults)


def _key(program: Mapping[str, Any]) -> _Key:
    date = program.get("compatibilityDate", COMPATIBILITY_DATE_DEFAULT)
    return date, tuple(program.get("compatibilityFlags", ()))


def wait_ms(program: Mapping[str, Any]) -> int:
    """How long a program waits at most, in milliseconds, by what it says and what it does."""
    told_ms = int(1000 * program.get("seconds", 0))
    done_ms = program.get("settle", 0) + sum(map(_step_ms, program["steps"]))
    return max(told_ms, int(done_ms))


def _step_ms(step: Mapping[str, Any]) -> float:
    own_ms = EVICT_MS if "evict" in step else step.get("wait", 0)
    return float(own_ms + sum(_sleeps_ms(list(step.values()))))


def _sleeps_ms(part: Any) -> Iterator[float]:
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list):
        if len(part) > 1 and part[0] in _WAITING_OPS and isinstance(part[1], int | float):
            yield part[1]
        for item in part:
            yield from _sleeps_ms(item)
