"""Alarms: run one now, and see all that are pending.

Promises: `run_durable_object_alarm` of `cloudflare:test` (workers-sdk's vitest-pool-workers,
durable-objects.ts), with what that has not: the info that the platform hands the handler, and
its retries if they are asked for; `list_alarms` is ours. Leaves to others: alarms that run at
their own time (`mf.advance`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.alarms import RETRY_COUNT_MAX, AlarmInvocationInfo, AlarmState
from emulator.durable_objects.handlers import answer_alarm
from emulator.simulation.calls import awaited
from emulator.testing.arguments import checked_record, checked_world
from emulator.testing.durable_objects import run_inside

if TYPE_CHECKING:
    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.record import ObjectRecord
    from emulator.durable_objects.state import DurableObjectState
    from emulator.durable_objects.stub import DurableObjectStub
    from emulator.http.miniflare import Miniflare

__all__ = ["PendingAlarm", "list_alarms", "run_durable_object_alarm"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAlarm:
    """One alarm that will run, or runs.

    Attributes:
        binding: The namespace's.
        id: The object's. Its `name` is set if the object was ever reached by one.
        scheduled_time_ms: For when it was set, epoch milliseconds.
        due_ms: When its handler runs next: later than that while it waits for a retry.
        state: "waiting", "running", or "backoff" (it has failed and waits for a retry).
        retry_count: How many of its runs have failed so far.
    """

    binding: str
    id: DurableObjectId
    scheduled_time_ms: int
    due_ms: int
    state: str
    retry_count: int

    @property
    def name(self) -> str | None:
        """The object's name, or None."""
        return self.id.name


def list_alarms(mf: Miniflare) -> list[PendingAlarm]:
    """Every pending alarm of a world whose time is durable.

    Args:
        mf: Whose alarms.

    Returns:
        The next to run first; of equal times in the order of the bindings, and then in
        which the objects were first reached.

    Raises:
        TypeError: If it is no Miniflare.
    """
    world = checked_world("list_alarms", mf)
    found = [
        _pending(name, record)
        for name, namespace in world.namespaces.items()
        for record in namespace.records()
        if record.alarms.state is not AlarmState.NONE
    ]
    return sorted(found, key=lambda alarm: alarm.due_ms)


def _pending(binding: str, record: ObjectRecord) -> PendingAlarm:
    alarms = record.alarms
    assert alarms.scheduled_time_ms is not None
    assert alarms.due_ms is not None
    return PendingAlarm(
        binding=binding,
        id=record.id,
        scheduled_time_ms=alarms.scheduled_time_ms,
        due_ms=alarms.due_ms,
        state=alarms.state.value,
        retry_count=alarms.retry_count,
    )


@awaited
async def run_durable_object_alarm(stub: DurableObjectStub, *, retries: int = 0) -> bool:
    """Remove an object's alarm, if it has one, and run its handler at once.

    The handler is told the time for which the alarm was set. What it raises comes here. (An
    alarm that shall run at its own time, be retried and given up as on the platform, needs
    no helper: `mf.advance` to it.)

    Args:
        stub: The object.
        retries: How often a handler that fails is run again, 0 to 6, with the platform's
            delays of 2, 4, 8, 16, 32 and 64 simulated seconds and up to a quarter more. A new
            alarm that somebody sets meanwhile ends that, as on the platform.

    Returns:
        Whether there was an alarm.

    Raises:
        TypeError: If `stub` is no stub.
        ValueError: If `retries` is out of its bounds.
        Exception: Whatever the last run of the handler raised. The alarm is gone then, unless
            a new one was set.
    """
    record = checked_record("run_durable_object_alarm", stub)
    if not isinstance(retries, int) or not 0 <= retries <= RETRY_COUNT_MAX:
        message = (
            f"run_durable_object_alarm: retries must be 0 to {RETRY_COUNT_MAX}, after which "
            f"the platform gives an alarm up; got {retries!r}"
        )
        raise ValueError(message)
    namespace, failed_count = stub._namespace, record.alarms.retry_count
    failed_count_max = min(failed_count + retries, RETRY_COUNT_MAX)
    scheduled_time_ms: int | None = None
    failure: Exception | None = None

    async def run(instance: Any, state: DurableObjectState) -> bool:
        nonlocal scheduled_time_ms
        time_ms = await state.storage.getAlarm()
        if failure is not None:
            if time_ms is not None:
                raise failure  # A new alarm is set; it is not ours to run.
        elif time_ms is None:
            return False
        else:
            scheduled_time_ms = time_ms
            await state.storage.deleteAlarm()
            await state.storage.sync()  # Else a handler that aborts would undo it.
        assert scheduled_time_ms is not None
        await answer_alarm(instance, AlarmInvocationInfo(scheduled_time_ms, failed_count))
        return True

    while True:
        try:
            was_set: bool = await run_inside(stub, "object.alarm", run)
        except Exception as error:
            if error is failure or failed_count >= failed_count_max:
                raise
            if scheduled_time_ms is None:
                raise  # No handler has run: it is the object that failed.
            failure = error
        else:
            return was_set
        await asyncio.sleep(record.alarms.retry_delay_ms(failed_count) / 1000)
        failed_count += 1
        stub = namespace.get(stub.id)  # A reset has broken the one of before.
