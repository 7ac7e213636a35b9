"""Receiving: how a call reaches something that lives in a worker, an object or a test.

Promises: it runs as an event of its host, by the host's gates, and answers once; what it
raises arrives as an error of another worker does. Leaves to others: what is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from emulator.durable_objects.events import outcome_of
from emulator.durable_objects.rpc import carry_error
from emulator.errors import JsException
from emulator.simulation.handles import SimulationFuture

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.gates import Section

__all__ = ["answer_of", "receive"]

#: workerd's worker-rpc.c++.
_NOT_RUNNING: Final = "The execution context which hosts this callback is no longer running."


def receive(
    host: IoContext,
    handler: Callable[[], Coroutine[Any, Any, Any]],
    section: Section | None = None,
) -> SimulationFuture:
    """Run a call of something that lives in a context.

    Args:
        host: The context.
        handler: Runs the call.
        section: The critical section in which the thing was handed out.

    Returns:
        A future with the answer.
    """
    if host.is_over:
        answer = SimulationFuture(loop=host.loop)
        answer.set_exception(JsException(_NOT_RUNNING))
        return answer
    if host.owner is not None:
        return host.owner.receive(handler, section)
    return answer_of(handler, host, host.loop.platform_context)  # Test code, without gates.


def answer_of(
    handler: Callable[[], Coroutine[Any, Any, Any]], host: IoContext, base: Context
) -> SimulationFuture:
    """Run a handler as a task, and give its result or its error to the one who called.

    Args:
        handler: Runs the call.
        host: Where it lives.
        base: What it runs in, copied.
    """
    answer = SimulationFuture(loop=host.loop)
    answer.waits_for = f"an answer of {host.name}"

    def ended(task: asyncio.Task[Any]) -> None:
        if answer.done():
            return
        error = outcome_of(task)
        if error is None:
            answer.set_result(task.result())
        else:
            enhanced = host.rpc_rules.has_enhanced_errors
            answer.set_exception(carry_error(error, is_enhanced=enhanced))

    task = host.loop.create_task(handler(), name=host.name, context=base.copy())
    task.add_done_callback(ended, context=base)
    return answer
