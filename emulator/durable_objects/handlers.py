"""Handlers: which function of the worker's object answers an event, and how.

Promises: one coroutine function for each kind of event, with the platform's refusals.
Leaves to others: when it runs (the instance), and which method a caller may reach (the rpc
room).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.durable_objects.relaxed_call import relaxed_call
from emulator.durable_objects.rpc import check_message_size, resolve
from emulator.errors import JsException, JsTypeError
from emulator.simulation.awaitables import is_awaitable
from emulator.values import structured_clone
from emulator.web.response import checked_answer

if TYPE_CHECKING:
    from emulator.durable_objects.alarms import AlarmInvocationInfo
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["answer_alarm", "answer_fetch", "answer_rpc"]


async def answer_rpc(
    target: object,
    path: tuple[str, ...],
    args: list[Any],
    kwargs: dict[str, Any],
    *,
    is_call: bool,
    bytes_max: int,
) -> Any:
    """Call a method, or read a property.

    Args:
        target: The worker's object.
        path: Property names, outermost first.
        args: What the method is handed.
        kwargs: The same, by name.
        is_call: False reads the property.
        bytes_max: The largest result.

    Returns:
        A copy of the result.
    """
    value = resolve(target, path)
    if is_call:
        if not callable(value):
            message = f'"{".".join(path)}" is not a function.'
            raise JsTypeError(message)
        value = value(*args, **kwargs)
    if is_awaitable(value):
        value = await value
    result = structured_clone(value, for_storage=False)
    check_message_size(result, bytes_max)
    return result


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
    return checked_answer(value, fetch).delivered(request.url, is_head=request.method == "HEAD")


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
