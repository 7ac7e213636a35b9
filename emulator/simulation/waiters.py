"""Waiters: who waits for what, in words.

Promises: one line for each unfinished task, in the order of creation, with the innermost
line of user code and the thing it waits for; then one line that follows the calls under way
from one actor to the next, and says where they go round in a circle. Leaves to others: when to
ask.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from emulator.simulation.rules import Operation

if TYPE_CHECKING:
    from emulator.simulation.loop import SimulationLoop

__all__ = ["describe_waiter", "describe_waiters"]

#: More waiting tasks than this are counted, not listed.
LINES_MAX = 30
#: Of many that are awaited together, so many are named.
TOGETHER_MAX = 3


def describe_waiters(loop: SimulationLoop) -> tuple[str, ...]:
    """One sentence for each task of `loop` that is not done, but for the one that asks.

    Args:
        loop: The loop whose tasks are asked.

    Returns:
        At most `LINES_MAX` sentences, oldest task first, and one on who waits for whom if two
        or more wait for each other's answers.
    """
    present = asyncio.current_task(loop)
    tasks = [task for task in loop.living_tasks() if task is not present]
    lines = [describe_waiter(task) for task in tasks[:LINES_MAX]]
    if len(tasks) > LINES_MAX:
        lines.append(f"and {len(tasks) - LINES_MAX} more tasks")
    return (*lines, *_chain(tasks))


def describe_waiter(task: asyncio.Task[Any]) -> str:
    """One sentence for a task that is not done: who, where, and what it waits for."""
    where, innermost = _walk(task.get_coro())
    waiter = getattr(task, "_fut_waiter", None)
    return f"{_who(task)} in {where} waits for {_goal(waiter, innermost)}"


def _who(task: asyncio.Task[Any]) -> str:
    """A task by its name, and by whose it is."""
    name, owner = task.get_name(), getattr(task, "owner", None)
    actor = getattr(owner, "name", "")
    return name if not actor or actor in name else f"{name} of {actor}"


def _walk(coro: Any) -> tuple[str, str]:
    """The innermost frame of user code, and the name of the innermost frame of all."""
    where = innermost = getattr(coro, "__qualname__", "a coroutine")
    while coro is not None:
        coro = _generator_of(coro) or coro
        frames = (getattr(coro, name, None) for name in ("cr_frame", "gi_frame", "ag_frame"))
        frame = next((frame for frame in frames if frame is not None), None)
        if frame is None:
            break
        innermost = getattr(coro, "__qualname__", innermost)
        path = PurePath(frame.f_code.co_filename)
        if "asyncio" in path.parts:
            innermost = f"asyncio.{innermost}"
        else:
            where = f"{innermost} ({path.name}:{frame.f_lineno})"
        awaited = (
            getattr(coro, name, None) for name in ("cr_await", "gi_yieldfrom", "ag_await")
        )
        coro = next((one for one in awaited if one is not None), None)
    return where, innermost


def _generator_of(awaitable: Any) -> Any:
    """The async generator behind `anext(...)`, which only the collector can name; or None."""
    if not type(awaitable).__name__.startswith("async_generator_"):
        return None
    return next((one for one in gc.get_referents(awaitable) if inspect.isasyncgen(one)), None)


def _goal(waiter: Any, innermost: str) -> str:
    """What is awaited, in words.

    Args:
        waiter: The future; None if the task is ready.
        innermost: The name of the innermost frame of all.
    """
    if waiter is None:
        return "its next step"
    told = getattr(waiter, "waits_for", None)
    if isinstance(told, Operation):
        return f"{told} at {told.target}" if told.target else str(told)
    if told is not None:
        return str(told)
    if isinstance(waiter, asyncio.Task):
        return f"the task {waiter.get_name()}"
    if innermost == "asyncio.sleep":
        return "a time to come (asyncio.sleep)"
    together = _gathered(waiter)
    if together:
        return _together(together)
    if innermost.startswith("asyncio."):
        return f"{_ASYNCIO.get(innermost, innermost.removeprefix('asyncio.'))}()"
    return "a future that nobody has completed"


#: Private functions of asyncio, by the public name that was called.
_ASYNCIO = {
    "asyncio.TaskGroup.__aexit__": "the end of TaskGroup",
    "asyncio._wait": "asyncio.wait",
    "asyncio.Timeout.__aexit__": "asyncio.timeout",
}


def _gathered(waiter: Any) -> list[Any]:
    """What is not done yet of what `asyncio.gather` waits for; nothing if it is another."""
    if type(waiter) is not asyncio.tasks._GatheringFuture:  # type: ignore[attr-defined]
        return []
    return [one for one in waiter._children if not one.done()]


def _together(futures: list[Any]) -> str:
    named = [_goal(future, "") for future in futures[:TOGETHER_MAX]]
    if len(futures) > len(named):
        named.append(f"{len(futures) - len(named)} more")
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


# -- who waits for whom ------------------------------------------------------------------------


def _chain(tasks: list[asyncio.Task[Any]]) -> list[str]:
    """One sentence that goes from whom nobody waits for to the one who does not go on."""
    awaited: dict[str, str] = {}
    for task in tasks:
        for operation in _operations(getattr(task, "_fut_waiter", None)):
            awaited.setdefault(operation.actor, operation.target)
    if len(awaited) < 2:
        return []
    targets = set(awaited.values())
    actor = next((one for one in awaited if one not in targets), next(iter(awaited)))
    told, passed = [actor], {actor}
    while actor in awaited:
        actor = awaited[actor]
        told.append(actor)
        if actor in passed:
            told[-1] += ", and so round in a circle"
            break
        passed.add(actor)
    return [f"{told[0]} waits for {', which waits for '.join(told[1:])}"]


def _operations(waiter: Any) -> list[Operation]:
    """The calls to objects that a future stands for, by itself or together with others."""
    futures = _gathered(waiter) or ([] if waiter is None else [waiter])
    found = [getattr(one, "waits_for", None) for one in futures]
    return [told for told in found if isinstance(told, Operation) and told.target]
