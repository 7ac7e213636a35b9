"""Durable Objects: what a test does to them from outside of the worker.

Promises: the verbs of Cloudflare's `cloudflare:test` in snake_case, with their meaning and
their argument errors (workers-sdk's vitest-pool-workers, durable-objects.ts and reset.ts;
the texts of evictions and resets are workerd's), and one of ours, `crash_durable_object`.
Leaves to others: alarms, and what the objects do (the rooms below).
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final, TypeVar

from emulator.durable_objects.namespace import DurableObjectNamespace
from emulator.errors import JsException, WorldError
from emulator.simulation.calls import awaited
from emulator.testing.arguments import (
    checked_record,
    checked_world,
    refuse_real,
    wrong_argument,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.record import ObjectRecord
    from emulator.durable_objects.state import DurableObjectState
    from emulator.durable_objects.stub import DurableObjectStub
    from emulator.http.miniflare import Miniflare

__all__ = [
    "abort_all_durable_objects",
    "crash_durable_object",
    "evict_all_durable_objects",
    "evict_durable_object",
    "list_durable_object_ids",
    "run_in_durable_object",
    "run_inside",
]

T = TypeVar("T")

#: How long an eviction waits for the object to be idle. Ours: workerd's is not published.
DRAIN_MS_MAX: Final = 10_000

_STILL_BUSY: Final = (
    "Timed out waiting to evict Durable Object: it still has active references."
)


@awaited
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
    checked_record("run_in_durable_object", stub)
    if not callable(function):
        raise wrong_argument("run_in_durable_object", 2, "function")
    value: T = await run_inside(stub, "object.run", function)
    return value


async def run_inside(
    stub: DurableObjectStub, operation_name: str, function: Callable[..., Any]
) -> Any:
    """Run it inside; what it raises does not cross the stub, but comes back as it is.

    Args:
        stub: The object.
        operation_name: What faults and the trace call it.
        function: Called with the instance and its state; sync or async.
    """

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


@awaited
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
        refuse_real("list_durable_object_ids", namespace)
        raise wrong_argument("list_durable_object_ids", 1, "DurableObjectNamespace")
    return [namespace.idFromString(str(r.id)) for r in namespace.records() if r.was_started]


@awaited
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
    record = checked_record("evict_durable_object", stub)
    if record.kind.prevents_eviction:
        message = "Cannot evict Durable Object: its namespace has preventEviction set."
        raise JsException(message)
    if record.instance is None:
        message = "Cannot evict Durable Object: it is not currently running."
        raise JsException(message)
    await _evict([record])


@awaited
async def evict_all_durable_objects(mf: Miniflare) -> None:
    """End the instance of every running object politely, as `evict_durable_object` does.

    Objects that do not run are passed over, and so are namespaces with
    `unsafePreventEviction`. Each is ended as soon as it is idle.

    Args:
        mf: Whose objects.

    Raises:
        TypeError: If it is no Miniflare.
        JsException: If one of them does not become idle within ten simulated seconds; the
            others have been evicted.
    """
    world = checked_world("evict_all_durable_objects", mf)
    await _evict(
        [
            record
            for namespace in world.namespaces.values()
            for record in namespace.records()
            if not record.kind.prevents_eviction
        ]
    )


async def _evict(records: list[ObjectRecord]) -> None:
    """Evict what runs now; what starts meanwhile stays."""
    running = [(record, record.instance) for record in records if record.instance is not None]
    waited_ms = 0
    while running:
        busy = []
        for record, instance in running:
            if record.instance is not instance:
                continue  # It has ended in another way.
            if instance.is_busy():
                busy.append((record, instance))
            else:
                instance.evict()
        running = busy
        if running:
            if waited_ms >= DRAIN_MS_MAX:
                raise JsException(_STILL_BUSY)
            waited_ms += 1
            await asyncio.sleep(0.001)


@awaited
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
    record = checked_record("crash_durable_object", stub)
    if record.instance is None:
        message = (
            f"{record.name} is not running, so it has no power to lose (an idle object is "
            "evicted after ten seconds)"
        )
        raise WorldError(message)
    record.power_cut("crash_durable_object()")


@awaited
async def abort_all_durable_objects(mf: Miniflare) -> None:
    """Reset every running object; what is durable stays.

    Args:
        mf: Whose objects.

    Raises:
        TypeError: If it is no Miniflare.
    """
    for namespace in checked_world("abort_all_durable_objects", mf).namespaces.values():
        for record in namespace.records():
            if record.instance is not None:
                record.instance.reset(
                    JsException("Application called abortAllDurableObjects().")
                )
