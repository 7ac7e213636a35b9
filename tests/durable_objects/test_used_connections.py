"""Laws of objects whose SQLite connection served another object before: they begin empty."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.errors import JsException
from emulator.sdk.workers import DurableObject
from emulator.sqlite import connections
from emulator.testing import crash_durable_object, reset, run_in_durable_object


class Job(DurableObject):
    async def alarm(self, info: Any) -> None:
        pass


async def writes(mf: Any, stub: Any) -> None:
    async def program(state: Any) -> None:
        await state.storage.put({"a": 1, "b": [2], "é": "x" * 500})
        await state.storage.setAlarm(2_000_000_000_000)
        await state.storage.getCurrentBookmark()

    await run_in_durable_object(stub, lambda _, state: program(state))


async def crashes(mf: Any, stub: Any) -> None:
    await writes(mf, stub)

    async def program(state: Any) -> None:
        async def closure(txn: Any) -> None:
            await txn.put("lost", 1)
            await txn.setAlarm(2_000_000_000_001)
            await crash_durable_object(stub)

        await state.storage.transaction(closure)

    with pytest.raises(JsException):
        await run_in_durable_object(stub, lambda _, state: program(state))


async def ends_in_a_transaction(mf: Any, stub: Any) -> None:
    await writes(mf, stub)

    async def program(state: Any) -> None:
        async def closure(txn: Any) -> None:
            await txn.put("lost", 1)
            state.storage.transactionSync(lambda: state.storage.kv.put("lost too", 1))
            await asyncio.sleep(100)

        await state.storage.transaction(closure)

    call = asyncio.ensure_future(run_in_durable_object(stub, lambda _, state: program(state)))
    await asyncio.sleep(1)
    assert not call.done()


async def deletes_all(mf: Any, stub: Any) -> None:
    await writes(mf, stub)
    await run_in_durable_object(stub, lambda _, state: state.storage.deleteAll())


async def has_deleted_its_objects(mf: Any, stub: Any) -> None:
    await writes(mf, stub)
    await reset(mf)


async def seen(mf: Any, stub: Any) -> Any:
    async def program(state: Any) -> Any:
        storage = state.storage
        facts = [dict(await storage.list()), await storage.getAlarm(), storage.kv.get("a")]
        await storage.put("b", 1)
        facts += [dict(await storage.list()), await storage.getAlarm()]
        await storage.sync()
        await storage.setAlarm(2_100_000_000_000)
        return [*facts, await storage.getCurrentBookmark(), await storage.getAlarm()]

    facts = await run_in_durable_object(stub, lambda _, state: program(state))
    await crash_durable_object(stub)

    async def pairs(state: Any) -> Any:
        return dict(await state.storage.list())

    again = mf.get_durable_object_namespace("JOBS").getByName("a")
    return facts, await run_in_durable_object(again, lambda _, state: pairs(state))


@pytest.mark.parametrize(
    "life", [writes, crashes, ends_in_a_transaction, deletes_all, has_deleted_its_objects]
)
def test_an_object_on_a_used_connection_begins_empty(with_jobs, life):
    while connections._idle:
        connections._idle.pop().close()
    expected = with_jobs(Job, seen)
    [link] = connections._idle
    with_jobs(Job, life)
    assert connections._idle == [link], "the connection was not used again"

    assert with_jobs(Job, seen) == expected
    assert connections._idle == [link]
