"""Ticks: passes of the ready queue, which are what JavaScript's microtasks are here.

Promises: an async function can be started as JavaScript starts one, up to its first wait;
every op takes the same number of ticks at least, as in the interpreter worker on workerd.
Leaves to others: what runs (operations).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Generator

__all__ = ["ONE_TICK", "PADDING", "begun", "hear", "started"]

#: Ticks that every op takes at least.
TICK_COUNT: Final = 8


@final
class _Ticks:
    """So many passes of the ready queue."""

    __slots__ = ("_count",)

    def __init__(self, count: int) -> None:
        self._count = count

    def __await__(self) -> Generator[None, None, None]:
        for _ in range(self._count):
            yield


PADDING: Final = _Ticks(TICK_COUNT)
ONE_TICK: Final = _Ticks(1)


def started(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
    """Run a coroutine up to its first wait, as JavaScript does with an async function.

    Returns:
        A future with its result. An error that nobody awaits is none of the program.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any]
    try:
        waits_for = coroutine.send(None)
    except StopIteration as stop:
        future = loop.create_future()
        future.set_result(stop.value)
    except Exception as error:
        future = loop.create_future()
        future.set_exception(error)
    else:
        # After a bare pass of the ready queue a task can go on with it as it is.
        rest = coroutine if waits_for is None else _continued(coroutine, waits_for)
        future = loop.create_task(rest)
    future.add_done_callback(hear)
    return future


async def _continued(begun: Coroutine[Any, Any, Any], waits_for: Any) -> Any:
    return await _Rest(begun, waits_for)


@final
class _Rest:
    """The rest of a coroutine that has come to its first wait."""

    __slots__ = ("_begun", "_waits_for")

    def __init__(self, begun: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._begun = begun
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        begun, waits_for = self._begun, self._waits_for
        try:
            while True:
                try:
                    value = yield waits_for
                except BaseException as error:
                    waits_for = begun.throw(error)
                else:
                    waits_for = begun.send(value)
        except StopIteration as stop:
            return stop.value


def hear(future: asyncio.Future[Any]) -> None:
    """An error that nobody awaits is none."""
    if not future.cancelled():
        future.exception()


def begun(value: Awaitable[Any]) -> asyncio.Future[Any]:
    """A promise of what an awaitable gives; it is under way."""
    if asyncio.isfuture(value):
        return value
    return started(value if asyncio.iscoroutine(value) else _await(value))


async def _await(value: Awaitable[Any]) -> Any:
    return await value
