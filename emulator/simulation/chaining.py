"""Chaining: what `then` makes of a future.

Promises: the rules of promises: a callback's value, or what it awaits, becomes the value of
the new future, and its error the error; a callback that is absent passes on. Leaves to
others: when the future is done.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emulator.simulation.awaitables import is_awaitable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["chained", "finished"]


def chained(
    future: asyncio.Future[Any],
    on_fulfilled: Callable[[Any], Any] | None,
    on_rejected: Callable[[Any], Any] | None,
) -> asyncio.Task[Any]:
    """A future with what one of the callbacks gives.

    Args:
        future: What is waited for.
        on_fulfilled: Called with its value; None passes the value on.
        on_rejected: Called with its error; None passes the error on.
    """

    async def follow() -> Any:
        try:
            value = await future
        except Exception as error:
            if on_rejected is None:
                raise
            return await _settled(on_rejected(error))
        return value if on_fulfilled is None else await _settled(on_fulfilled(value))

    return asyncio.get_running_loop().create_task(follow())


def finished(future: asyncio.Future[Any], on_end: Callable[[], Any]) -> asyncio.Task[Any]:
    """A future with the same end, after a callback was called at that end."""

    async def follow() -> Any:
        try:
            return await future
        finally:
            await _settled(on_end())

    return asyncio.get_running_loop().create_task(follow())


async def _settled(value: Any) -> Any:
    return await value if is_awaitable(value) else value
