"""Waiters: who waits for what, in words.

Promises: one line for each unfinished task, in the order of creation, with the innermost
line of user code and the thing it waits for. Leaves to others: when to ask.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.simulation.loop import SimulationLoop

__all__ = ["describe_waiter", "describe_waiters"]

#: More waiting tasks than this are counted, not listed.
LINES_MAX = 30


def describe_waiters(loop: SimulationLoop) -> tuple[str, ...]:
    """One sentence for each task of `loop` that is not done.

    Args:
        loop: The loop whose tasks are asked.

    Returns:
        At most `LINES_MAX` sentences, oldest task first.
    """
    tasks = loop.living_tasks()
    lines = [describe_waiter(task) for task in tasks[:LINES_MAX]]
    if len(tasks) > LINES_MAX:
        lines.append(f"and {len(tasks) - LINES_MAX} more tasks")
    return tuple(lines)


def describe_waiter(task: asyncio.Task[Any]) -> str:
    """One sentence for a task that is not done: who, where, and what it waits for."""
    where, innermost = _walk(task.get_coro())
    waiter = getattr(task, "_fut_waiter", None)
    goal = getattr(waiter, "waits_for", None) or _goal(waiter, innermost)
    return f"{task.get_name()} in {where} waits for {goal}"


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
        if "asyncio" not in path.parts:
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
    if waiter is None:
        return "its next step"
    if isinstance(waiter, asyncio.Task):
        return f"the task {waiter.get_name()}"
    if innermost.endswith((".wait", ".acquire", ".get", ".put", ".join")):
        return f"{innermost}()"
    return "a future that nobody has completed"
