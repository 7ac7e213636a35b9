"""The contract's world: what its worker owes to a request, whatever it does instead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import emulator
from amber_worker.contract.archive import LawBroken
from amber_worker.contract.patience import Patience
from amber_worker.contract.target import choose
from amber_worker.contract.world import NobodyThere, World
from emulator.errors import JsException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def world_of(dispatch: Callable[[], Awaitable[Any]]) -> World:
    target = choose("emulator")
    return World(target, Handle(dispatch), Patience(target.wait_ms))


class Handle:
    """A worker that does one thing with every request."""

    def __init__(self, dispatch: Callable[[], Awaitable[Any]]) -> None:
        self._dispatch = dispatch

    async def dispatch_fetch(self, url: str, **_: Any) -> Any:
        return await self._dispatch()


def raising(error: Exception) -> Callable[[], Awaitable[Any]]:
    async def dispatch() -> Any:
        raise error

    return dispatch


async def answer() -> Any:
    return "answered"


async def silence() -> Any:
    await asyncio.sleep(1_000_000)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (JsException("the handler threw"), "GET /x has no answer: Error: the handler threw"),
        (httpx.InvalidURL("a strange path"), "GET /x has no answer: a strange path"),
        (httpx.ReadTimeout("slow"), "GET /x has no whole answer after 60 s"),
    ],
)
def test_what_is_no_answer_breaks_the_law_that_asks(error: Exception, told: str) -> None:
    async def main() -> None:
        with pytest.raises(LawBroken) as caught:
            await world_of(raising(error)).ask("/x")
        assert str(caught.value) == told

    emulator.run(main)


def test_where_nobody_is_no_law_is_broken() -> None:
    async def main() -> None:
        with pytest.raises(NobodyThere, match="no route"):
            await world_of(raising(httpx.ConnectError("no route"))).ask("/")

    emulator.run(main)


def test_a_worker_that_is_silent_is_waited_for_less_and_less_until_it_answers() -> None:
    does: list[Callable[[], Awaitable[Any]]] = [silence]

    async def main() -> list[int]:
        world = world_of(lambda: does[-1]())
        loop = asyncio.get_running_loop()

        async def wait() -> int:
            begin = loop.time()
            with pytest.raises(LawBroken, match="POST /x has no whole answer after"):
                await world.ask("/x", method="POST")
            return round((loop.time() - begin) * 1_000)

        waited = [await wait() for _ in range(12)]
        does.append(answer)
        await world.ask("/y")
        does.pop()
        return [*waited, await wait()]

    assert emulator.run(main) == [60_000, 10_000, *[1_666] * 8, 277, 277, 1_666]
