"""Helpers: what a test does to Durable Objects from outside of the worker.

Promises: the verbs of Cloudflare's `cloudflare:test` in snake_case, with their meaning and
their argument errors (workers-sdk's vitest-pool-workers, durable-objects.ts and reset.ts;
the texts of evictions and resets are workerd's), and one of ours, `crash_durable_object`.
Leaves to others: what the objects do (the rooms below).
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final, TypeVar

from emulator.durable_objects.alarms import AlarmInvocationInfo
from emulator.durable_objects.namespace import DurableObjectNamespace
from emulator.durable_objects.stub import DurableObjectStub
from emulator.errors import JsException, WorldError
from emulator.http.miniflare import Miniflare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.record import ObjectRecord
    from emulator.durable_objects.state import DurableObjectState
    from emulator.runtime.world import World

__all__ = [
    "abort_all_durable_objects",
    "crash_durable_object",
    "evict_durable_object",
    "list_durable_object_ids",
    "reset",
    "run_durable_object_alarm",
    "run_in_durable_object",
]

T = TypeVar("T")

#: How long an eviction waits for the object to be idle. Ours: workerd's is not published.
DRAIN_MS_MAX: Final = 10_000


async def run_in_durable_object(
    stub: DurableObjectStub, function: Callable[[Any, DurableObjectState], Awaitable[T] | T]
) -> T:
    """Run a function inside an object, as if it were its `fetch` handler.

    The object is started if it is not running; the call goes the way of a request, so it
    waits for what the input gate holds, takes a millisecond, and its writes are durable
    when it returns.

    Args:
        stub: The object.
        function: Called with the instance and its state (`ctx`); sync or async.

    Returns:
        What the function returns: the thing itself, not a copy.

    Raises:
        TypeError: If an argument is no stub or no function.
        BaseException: Whatever the function raised, as it was.
    """
    _check_stub("run_in_durable_object", stub)
    if not callable(function):
        raise _wrong_argument("run_in_durable_object", 2, "function")
    value: T = await _run_inside(stub, "object.run", function)
    return value


async def run_durable_object_alarm(stub: DurableObjectStub) -> bool:
    """Remove an object's alarm, if it has one, and run its handler at once.

    What the handler raises comes here, and is not retried. (An alarm that shall fail and be
    retried as on the platform needs no helper: `mf.advance` to its time.)

    Args:
        stub: The object.

    Returns:
        Whether there was an alarm.

    Raises:
        TypeError: If `stub` is no stub.
        Exception: Whatever the handler raised.
    """
    record = _check_stub("run_durable_object_alarm", stub)

    async def run(instance: Any, state: DurableObjectState) -> bool:
        time_ms = await state.storage.getAlarm()
        if time_ms is None:
            return False
        info = AlarmInvocationInfo(time_ms, record.alarms.retry_count)
        await state.storage.deleteAlarm()
        value = instance.alarm(info)
        if inspect.isawaitable(value):
            await value
        return True

    was_set: bool = await _run_inside(stub, "object.alarm", run)
    return was_set


async def list_durable_object_ids(namespace: DurableObjectNamespace) -> list[DurableObjectId]:
    """The ids of all objects of a namespace that have been started so far.

    Args:
        namespace: A binding, such as `mf.get_durable_object_namespace("JOBS")`.

    Returns:
        Ids without names, in the order in which the objects were first reached.

    Raises:
        TypeError: If it is no namespace.
    """
    if not isinstance(namespace, DurableObjectNamespace):
        raise _wrong_argument("list_durable_object_ids", 1, "DurableObjectNamespace")
    return [namespace.idFromString(str(r.id)) for r in namespace.records() if r.was_started]


async def evict_durable_object(stub: DurableObjectStub) -> None:
    """End an object's instance politely: what was written is kept, its memory is lost.

    Waits until the object is idle, for at most ten simulated seconds.

    Args:
        stub: The object. It works as before afterwards.

    Raises:
        TypeError: If `stub` is no stub.
        JsException: If the object is not running, does not become idle, or belongs to a
            namespace with `unsafePreventEviction`.
    """
    record = _check_stub("evict_durable_object", stub)
    if record.kind.prevents_eviction:
        message = "Cannot evict Durable Object: its namespace has preventEviction set."
        raise JsException(message)
    instance = record.instance
    if instance is None:
        message = "Cannot evict Durable Object: it is not currently running."
        raise JsException(message)
    clock = record.simulation.clock
    deadline_ms = clock.now_ms + DRAIN_MS_MAX
    while instance.is_busy() and record.instance is instance:
        if clock.now_ms >= deadline_ms:
            message = (
                "Timed out waiting to evict Durable Object: it still has active references."
            )
            raise JsException(message)
        await asyncio.sleep(0.001)
    instance.evict()


async def crash_durable_object(stub: DurableObjectStub) -> None:
    """Cut an object's power at this instant.

    Its memory and all writes that are not yet durable are gone, nothing of it runs any
    more, and whoever waits for it gets "Network connection lost.". An alarm that was
    running, or is overdue, is delivered again.

    Args:
        stub: The object.

    Raises:
        TypeError: If `stub` is no stub.
        WorldError: If the object is not running.
    """
    record = _check_stub("crash_durable_object", stub)
    if record.instance is None:
        message = (
            f"{record.name} is not running, so it has no power to lose (an idle object is "
            "evicted after ten seconds)"
        )
        raise WorldError(message)
    record.power_cut("crash_durable_object()")


async def abort_all_durable_objects(mf: Miniflare) -> None:
    """Reset every running object; what is durable stays.

    Args:
        mf: Whose objects.

    Raises:
        TypeError: If it is no Miniflare.
    """
    for namespace in _world("abort_all_durable_objects", mf).namespaces.values():
        for record in namespace.records():
            if record.instance is not None:
                record.instance.reset(
                    JsException("Application called abortAllDurableObjects().")
                )


async def reset(mf: Miniflare) -> None:
    """Delete all data of all bindings: objects with their alarms, R2, D1.

    Running objects are reset. Schemas and migrations that were given as options are applied
    again. Time, seed, trace and logs go on.

    Args:
        mf: Whose data.

    Raises:
        TypeError: If it is no Miniflare.
    """
    _world("reset", mf).reset()


# -- on the way ------------------------------------------------------------------------------


async def _run_inside(
    stub: DurableObjectStub, operation_name: str, function: Callable[..., Any]
) -> Any:
    """Run it inside; what it raises does not cross the stub, but comes back as it is."""

    async def inside(instance: Any, state: DurableObjectState) -> tuple[Any, Any]:
        try:
            value = function(instance, state)
            return (await value if inspect.isawaitable(value) else value), None
        except BaseException as error:  # pytest.fail() and its kin are no Exceptions.
            return None, error

    value, error = await stub._run_inside(operation_name, inside)
    if error is not None:
        raise error
    return value


def _check_stub(verb: str, stub: object) -> ObjectRecord:
    if not isinstance(stub, DurableObjectStub):
        raise _wrong_argument(verb, 1, "DurableObjectStub")
    return stub._record


def _world(verb: str, mf: object) -> World:
    if not isinstance(mf, Miniflare):
        raise _wrong_argument(verb, 1, "Miniflare")
    return mf.world


def _wrong_argument(verb: str, position: int, kind: str) -> TypeError:
    return TypeError(
        f"Failed to execute '{verb}': parameter {position} is not of type '{kind}'."
    )
