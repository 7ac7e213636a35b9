"""Callbacks: how streams call user code and keep promises.

Promises: a user function runs in the context in which its stream was made; a rejected
promise that nobody awaits makes no noise. Leaves to others: what is called, and when.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emulator.errors import JsException, js_error
from emulator.simulation.awaitables import is_awaitable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

__all__ = [
    "as_error",
    "call_later",
    "call_user",
    "follow",
    "fulfil",
    "member",
    "number_member",
    "promise",
    "rejected",
    "resolved",
]


def _hear(future: asyncio.Future[Any]) -> None:
    # An error that nobody awaits is an unhandled rejection; asyncio would log it at an
    # instant chosen by the garbage collector, which no run may depend on.
    if not future.cancelled():
        future.exception()


def promise() -> asyncio.Future[Any]:
    """A new future of the running loop, silent when its error is never awaited."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(_hear)
    return future


def resolved(value: Any = None) -> asyncio.Future[Any]:
    """A future that already has its value."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


def rejected(error: BaseException) -> asyncio.Future[Any]:
    """A future that already has its error."""
    future = promise()
    future.set_exception(error)
    return future


def as_error(reason: Any, default: str = "undefined") -> BaseException:
    """The exception for an abort or cancel reason, which on the platform is any value.

    Args:
        reason: An exception, or a value that becomes the message of an Error.
        default: The message when there is no reason.
    """
    if isinstance(reason, BaseException):
        return reason
    if reason is None:
        return JsException(default)
    return JsException(str(reason))


def member(thing: Any, name: str) -> Any:
    """A member of a dict or of an object; None if it has none."""
    if thing is None:
        return None
    if isinstance(thing, dict):
        return thing.get(name)
    return getattr(thing, name, None)


def number_member(thing: Any, name: str, default: float) -> float:
    """A member that must be a number, as `highWaterMark` of a queuing strategy.

    Raises:
        JsTypeError: If it is negative or not a number.
    """
    value = member(thing, name)
    if value is None:
        return default
    # workerd takes the mark as a whole number; these are its texts.
    if not isinstance(value, int | float) or value != value:
        raise js_error(
            "TypeError", "The value cannot be converted because it is not an integer."
        )
    if value < 0:
        raise js_error(
            "TypeError",
            "The value cannot be converted because it is negative and this API expects a "
            "positive bigint.",
        )
    return value


def call_user(context: Context, function: Callable[..., Any], *args: Any) -> Any:
    """Call a user function in a context; an awaitable answer becomes a task there."""
    # A copy each time, because a context cannot be entered while it is being run in, and
    # a callback may well cause the next one.
    scope = context.copy()
    result = scope.run(function, *args)
    if isinstance(result, asyncio.Future) or not is_awaitable(result):
        return result
    loop = asyncio.get_running_loop()
    return loop.create_task(_settle(result), context=scope)


async def _settle(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def fulfil(answer: asyncio.Future[Any], error: BaseException | None = None) -> None:
    """Settle a future that may be settled already, with an error or without a value."""
    if answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)


def call_later(function: Callable[..., object], *args: Any) -> None:
    """Call a function of ours when the present callback is over, like a microtask."""
    asyncio.get_running_loop().call_soon(function, *args)


def follow(
    result: Any,
    *,
    done: Callable[[], object],
    failed: Callable[[BaseException], object],
) -> None:
    """When a result that may be a future is there, call `done` or `failed`, once."""
    if not isinstance(result, asyncio.Future):
        call_later(done)
        return

    def arrived(future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            failed(JsException("The operation was cancelled."))
            return
        error = future.exception()
        if error is None:
            done()
        else:
            failed(error)

    result.add_done_callback(arrived)
