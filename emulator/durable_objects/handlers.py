"""Handlers: which function of the worker's object answers an event, and how.

Promises: one coroutine function for each kind of event, with the platform's refusals.
Leaves to others: when it runs (the instance), and calls of methods (the call).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emulator.durable_objects.relaxed_call import relaxed_call
from emulator.errors import JsException
from emulator.simulation.awaitables import is_awaitable
from emulator.web.response import checked_answer
from emulator.web.websocket import check_upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.durable_objects.alarms import AlarmInvocationInfo
    from emulator.simulation.loop import SimulationLoop
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["answer_alarm", "answer_fetch", "cancelled_after"]


async def answer_fetch(target: object, request: Request) -> Response:
    """Hand a request to the `fetch` handler."""
    fetch = getattr(target, "fetch", None)
    if fetch is None:
        error = JsException("Handler does not export a fetch() function.")
        kind = type(target).__name__
        error.add_note(f"the class {kind} has no method `async def fetch(self, request)`")
        raise error
    value = relaxed_call(fetch, request)
    if is_awaitable(value):
        value = await value
    response = checked_answer(value, fetch)
    check_upgrade(response, request)
    return response.delivered(request.url, is_head=request.method == "HEAD")


async def answer_alarm(target: object, info: AlarmInvocationInfo) -> bool:
    """Run the `alarm` handler.

    Returns:
        Whether there is one.
    """
    alarm = getattr(target, "alarm", None)
    if alarm is None:
        return False
    value = relaxed_call(alarm, info)
    if is_awaitable(value):
        await value
    return True


def cancelled_after(
    limit_ms: int, handler: Callable[[Any], Any], loop: SimulationLoop
) -> Callable[[Any], Any]:
    """The same handler, cancelled if it takes longer than so many milliseconds."""

    async def within(target: Any) -> Any:
        task = asyncio.current_task(loop)
        assert task is not None
        due_ms = loop.clock.now_ms + limit_ms
        limit = loop.deliver(due_ms, task.cancel, is_background=True)
        try:
            return await handler(target)
        finally:
            limit.cancel()

    return within
