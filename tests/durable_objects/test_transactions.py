"""Laws of `transaction` and `transactionSync`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.errors import JsException, JsTypeError

FAR = 4_000_000_000_000


async def error_text(call: Any) -> str:
    with pytest.raises(JsException) as caught:
        await call
    return caught.value.message


def test_a_transaction_gives_what_its_closure_returns(in_object):
    async def program(state: Any) -> Any:
        async def closure(txn: Any) -> Any:
            await txn.put("a", 1)
            await state.storage.put("b", 2)
            return await txn.list()

        return await state.storage.transaction(closure), await state.storage.list()

    assert in_object(program) == ({"a": 1, "b": 2}, {"a": 1, "b": 2})


def test_a_sync_closure_and_the_low_priority_option_are_accepted(in_object):
    async def program(state: Any) -> Any:
        return await state.storage.transaction(lambda txn: 7, {"lowPriority": True})

    assert in_object(program) == 7


@pytest.mark.parametrize("given", [(), (5,)])
def test_a_closure_that_is_no_function_is_refused(in_object, given):
    async def program(state: Any) -> Any:
        with pytest.raises(JsTypeError, match="parameter 1 is not of type 'function'"):
            await state.storage.transaction(*given)
        with pytest.raises(JsTypeError, match="parameter 1 is not of type 'function'"):
            state.storage.transactionSync(*given)

    in_object(program)


def test_a_closure_that_raises_undoes_everything_and_resets_nothing(in_object):
    async def program(state: Any) -> Any:
        state.memory = 1
        await state.storage.put("before", 1)

        async def closure(txn: Any) -> None:
            await txn.put("a", 1)
            await state.storage.put("b", 2)
            state.storage.kv.put("c", 3)
            await state.storage.setAlarm(FAR)
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await state.storage.transaction(closure)
        return await state.storage.list(), await state.storage.getAlarm(), state.memory

    assert in_object(program) == ({"before": 1}, None, 1)


def test_rollback_undoes_and_the_closure_goes_on_outside(in_object):
    async def program(state: Any) -> Any:
        async def closure(txn: Any) -> str:
            await txn.put("in", 1)
            txn.rollback()
            txn.rollback()  # The second time nothing happens.
            await state.storage.put("outside", 1)
            return "value"

        return await state.storage.transaction(closure), await state.storage.list()

    assert in_object(program) == ("value", {"outside": 1})


CALLS = {
    "get()": lambda txn: txn.get("a"),
    "put()": lambda txn: txn.put("a", 1),
    "delete()": lambda txn: txn.delete("a"),
    "list()": lambda txn: txn.list(),
    "getAlarm()": lambda txn: txn.getAlarm(),
    "setAlarm()": lambda txn: txn.setAlarm(FAR),
    "deleteAlarm()": lambda txn: txn.deleteAlarm(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_rolled_back_transaction_refuses_every_call(in_object, call):
    async def program(state: Any) -> Any:
        async def closure(txn: Any) -> str:
            txn.rollback()
            return await error_text(CALLS[call](txn))

        return await state.storage.transaction(closure)

    assert in_object(program) == f"Cannot {call} on rolled back transaction"


@pytest.mark.parametrize("call", [*CALLS, "rollback()"])
def test_a_transaction_is_of_no_use_outside_of_its_closure(in_object, call):
    async def program(state: Any) -> Any:
        kept = await state.storage.transaction(lambda txn: txn)
        if call == "rollback()":
            with pytest.raises(JsException) as caught:
                kept.rollback()
            return caught.value.message
        return await error_text(CALLS[call](kept))

    assert in_object(program) == (
        f"Cannot call {call} on transaction that has already committed: did you move `txn` "
        "outside of the closure?"
    )


def test_delete_all_is_refused_within_a_transaction(in_object):
    async def program(state: Any) -> Any:
        async def closure(txn: Any) -> Any:
            return await error_text(txn.deleteAll()), await error_text(
                state.storage.deleteAll()
            )

        return await state.storage.transaction(closure)

    assert in_object(program) == ("Cannot call deleteAll() within a transaction",) * 2


def test_a_nested_transaction_rolls_back_by_itself(in_object):
    async def program(state: Any) -> Any:
        async def inner(txn: Any) -> None:
            await txn.put("inner", 1)
            raise ValueError("inner")

        async def outer(txn: Any) -> None:
            await txn.put("a", 1)
            with pytest.raises(ValueError, match="inner"):
                await state.storage.transaction(inner)
            await txn.put("b", 1)

        await state.storage.transaction(outer)
        return await state.storage.list()

    assert in_object(program) == {"a": 1, "b": 1}


def test_an_outer_transaction_cannot_roll_back_while_a_nested_one_runs(in_object):
    async def program(state: Any) -> Any:
        async def outer(txn: Any) -> str:
            async def inner(_: Any) -> str:
                with pytest.raises(JsException) as caught:
                    txn.rollback()
                return caught.value.message

            return await state.storage.transaction(inner)

        return await state.storage.transaction(outer)

    assert in_object(program) == (
        "Cannot roll back an outer transaction while a nested transaction is still running."
    )


def test_writes_before_a_transaction_are_not_undone_with_it(in_object):
    async def program(state: Any) -> Any:
        state.storage.put("before", 1)

        async def closure(txn: Any) -> None:
            await txn.put("in", 1)
            txn.rollback()

        await state.storage.transaction(closure)
        return await state.storage.list()

    assert in_object(program) == {"before": 1}


def test_two_transactions_of_one_event_run_one_after_the_other(in_object):
    async def program(state: Any) -> Any:
        log: list[str] = []

        async def add(txn: Any, name: str) -> None:
            log.append(f"in {name}")
            count = await txn.get("n") or 0
            await asyncio.sleep(0.01)
            await txn.put("n", count + 1)
            log.append(f"out {name}")

        await asyncio.gather(
            state.storage.transaction(lambda txn: add(txn, "1")),
            state.storage.transaction(lambda txn: add(txn, "2")),
        )
        return log, await state.storage.get("n")

    assert in_object(program) == (["in 1", "out 1", "in 2", "out 2"], 2)


def test_an_alarm_in_a_transaction_is_seen_inside_and_undone_with_it(in_object):
    async def program(state: Any) -> Any:
        async def closure(txn: Any) -> Any:
            await txn.setAlarm(FAR)
            inside = await txn.getAlarm()
            txn.rollback()
            return inside, await state.storage.getAlarm()

        return await state.storage.transaction(closure), await state.storage.getAlarm()

    assert in_object(program) == ((FAR, None), None)


def test_an_abort_in_a_transaction_loses_it_and_what_came_before_stays(with_jobs):
    from emulator.sdk.workers import DurableObject

    class Job(DurableObject):
        async def fail(self) -> None:
            storage = self.ctx.storage
            await storage.put("before", 1)

            async def closure(txn: Any) -> None:
                await txn.put("in", 1)
                await asyncio.sleep(0.01)
                self.ctx.abort()

            await storage.transaction(closure)

        async def all(self) -> Any:
            return await self.ctx.storage.list()

    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException, match="abort"):
            await stub.fail()
        return await mf.get_durable_object_namespace("JOBS").getByName("a").all()

    assert with_jobs(Job, scenario) == {"before": 1}


# -- transactionSync -----------------------------------------------------------------------


def test_transaction_sync_keeps_or_undoes_all_kinds_of_writes(in_object):
    async def program(state: Any) -> Any:
        storage = state.storage

        def writes() -> str:
            storage.kv.put("a", 1)
            storage.put("b", 2)
            return "value"

        def fails() -> None:
            storage.kv.put("c", 3)
            storage.put("d", 4)
            storage.setAlarm(FAR)
            raise ValueError("no")

        value = storage.transactionSync(writes)
        with pytest.raises(ValueError, match="no"):
            storage.transactionSync(fails)
        return value, await storage.list(), await storage.getAlarm()

    assert in_object(program) == ("value", {"a": 1, "b": 2}, None)


def test_transaction_sync_nests_and_works_inside_of_transaction(in_object):
    async def program(state: Any) -> Any:
        kv = state.storage.kv

        def inner() -> None:
            kv.put("inner", 1)
            raise ValueError("inner")

        def outer() -> None:
            kv.put("a", 1)
            with pytest.raises(ValueError, match="inner"):
                state.storage.transactionSync(inner)
            kv.put("b", 1)

        await state.storage.transaction(lambda txn: state.storage.transactionSync(outer))
        return await state.storage.list()

    assert in_object(program) == {"a": 1, "b": 1}


def test_what_an_async_callback_raises_later_undoes_nothing(in_object):
    async def program(state: Any) -> Any:
        async def callback() -> None:
            state.storage.kv.put("a", 1)
            raise ValueError("inner")

        with pytest.raises(ValueError, match="inner"):
            await state.storage.transactionSync(callback)
        return await state.storage.list()

    assert in_object(program) == {"a": 1}


def test_delete_all_in_transaction_sync_takes_the_savepoint_with_it(in_object):
    # Measured on workerd: an internal error, an empty store, and the object lives on.
    async def program(state: Any) -> Any:
        await state.storage.put("a", 1)
        with pytest.raises(JsException, match="internal error; reference = "):
            state.storage.transactionSync(lambda: state.storage.deleteAll() and None)
        return await state.storage.list()

    assert in_object(program) == {}


def test_delete_all_is_refused_in_a_transaction_that_was_rolled_back(in_object):
    async def program(state):
        await state.storage.put("a", 1)

        async def closure(txn):
            txn.rollback()
            with pytest.raises(JsException, match="within a transaction"):
                await state.storage.deleteAll()

        await state.storage.transaction(closure)
        kept = await state.storage.list()
        await state.storage.deleteAll()
        return kept, await state.storage.list()

    assert in_object(program) == ({"a": 1}, {})


@pytest.mark.parametrize("is_nested", [False, True])
def test_delete_all_is_refused_behind_a_write_that_follows_a_rollback(in_object, is_nested):
    async def program(state):
        async def closure(txn):
            txn.rollback()
            await state.storage.put("a", 1)
            with pytest.raises(JsException, match="within a transaction"):
                await state.storage.deleteAll()
            return await state.storage.list()

        async def outer(txn):
            txn.rollback()
            return await state.storage.transaction(closure)

        return await state.storage.transaction(outer if is_nested else closure)

    assert in_object(program) == {"a": 1}
