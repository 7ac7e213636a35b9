"""Laws of classes without SQLite, on the documented platform and on the local runtime.

What holds there was measured on workerd: with its in-memory storage, which is the platform's
write-back cache, and with its storage on disk.
"""

from __future__ import annotations

from typing import Any

import pytest

import emulator
from emulator.errors import JsException, JsRangeError
from emulator.sdk.workers import DurableObject
from emulator.testing import run_in_durable_object

NO_RECOVERY = (
    "This Durable Object's storage back-end does not implement point-in-time recovery."
)


class Job(DurableObject):
    """It does nothing by itself; it may set alarms."""

    async def alarm(self, info: Any) -> None:
        pass

    async def count(self, allow: bool) -> None:  # noqa: FBT001
        storage = self.ctx.storage
        number = await storage.get("n", allowConcurrency=allow) or 0
        await storage.get(f"other {number}", allowConcurrency=allow)
        await storage.put("n", number + 1)

    async def sync(self, name: str, writes: bool) -> None:  # noqa: FBT001
        steps = self.ctx.__dict__.setdefault("steps", [])
        steps.append(f"{name}1")
        if writes:
            await self.ctx.storage.put(name, 1)
        await self.ctx.storage.sync()
        steps.append(f"{name}2")


def inside(program: Any, limits: Any = "paid") -> Any:
    """Run `await program(storage)` in an object without SQLite."""

    async def main() -> Any:
        async with emulator.Miniflare(
            worker=Job,
            durable_objects={"JOBS": {"className": "Job", "useSQLite": False}},
            limits=limits,
        ) as mf:
            stub = mf.get_durable_object_namespace("JOBS").getByName("a")
            return await run_in_durable_object(stub, lambda _, state: program(state.storage))

    return emulator.run(main)


async def error_of(call: Any) -> str:
    """What a call raises, at once or when it is awaited."""
    with pytest.raises(JsException) as caught:
        await call()
    return caught.value.message


def many(count: int) -> dict[str, int]:
    return {f"k{number}": number for number in range(count)}


@pytest.mark.parametrize(
    ("limits", "sql", "kv"),
    [
        (
            "workerd",
            "SQL is not enabled for this Durable Object class. To",
            "Alternatively, to",
        ),
        ("paid", "This Durable Object is not backed by SQLite storage, so", "SQLite can be"),
        ("free", "This Durable Object is not backed by SQLite storage, so", "SQLite can be"),
    ],
)
def test_sql_and_the_synchronous_methods_are_refused(limits, sql, kv):
    async def program(storage: Any) -> None:
        assert (await error_of(lambda: storage.sql.exec("SELECT 1"))).startswith(sql)
        assert (await error_of(lambda: storage.sql.databaseSize)).startswith(sql)
        for call in (
            lambda: storage.kv.get("a"),
            lambda: storage.kv.put("a", 1),
            lambda: storage.kv.delete("a"),
            lambda: storage.kv.list(),
        ):
            message = await error_of(call)
            assert message.startswith("The storage.kv (synchronous KV) API is only available")
            assert f"(e.g. `storage.get()`). {kv}" in message
        await storage.put("a", 1)
        assert await storage.get("a") == 1

    inside(program, limits)


@pytest.mark.parametrize("size", [2_048, 2_049])
def test_a_key_has_at_most_2048_bytes(size):
    async def program(storage: Any) -> Any:
        key = "é" * 1_024 + "x" * (size - 2_048)
        calls = (
            lambda: storage.put(key, 1),
            lambda: storage.put({"a": 1, key: 1}),
            lambda: storage.get(key),
            lambda: storage.delete(["a", key]),
            lambda: storage.delete(key),
        )
        if size == 2_048:
            return [await call() for call in calls]
        # Neither a list of keys to read nor a range is asked.
        assert await storage.get([key]) == {}
        assert await storage.list(prefix=key) == {}
        return [await error_of(call) for call in calls]

    text = "Keys cannot be larger than 2048 bytes. A key of size 2049 was provided."
    expected = [None, None, 1, 2, False] if size == 2_048 else [text] * 5
    assert inside(program) == expected


def test_a_value_has_at_most_131072_bytes_and_what_the_format_adds():
    async def program(storage: Any) -> Any:
        await storage.put("v", "x" * 131_100)
        messages = [
            await error_of(lambda: storage.put("v", "x" * 131_101)),
            await error_of(lambda: storage.put({"a": 1, "b": "x" * 200_000, "c": 1})),
            await error_of(lambda: storage.put("k" * 2_049, "x" * 200_000)),
            await error_of(lambda: storage.put("k" * 2_049, lambda: 1)),
        ]
        assert await storage.get("a") is None
        return messages

    assert inside(program)[:3] == [
        "Values cannot be larger than 131072 bytes. A value of size 131107 was provided.",
        "Values cannot be larger than 131072 bytes. A value of size 200006 was provided.",
        "Keys cannot be larger than 2048 bytes. A key of size 2049 was provided.",
    ]
    assert "could not be cloned" in inside(program)[3]


def test_more_than_128_keys_are_written_and_deleted_but_not_read_in_one_call():
    async def program(storage: Any) -> Any:
        await storage.put(many(1_000))
        assert len(await storage.get(list(many(128)))) == 128
        messages = [
            await error_of(lambda: storage.get(list(many(129)))),
            await error_of(lambda: storage.get(["k1"] * 129)),
        ]
        return [*messages, await storage.delete(list(many(1_001)))]

    refused = "Maximum number of key value pairs is 128. 129 pairs were provided."
    assert inside(program) == [refused, refused, 1_000]


def test_the_local_runtime_has_none_of_these_limits():
    async def program(storage: Any) -> Any:
        await storage.put("k" * 5_000, "x" * 200_000)
        await storage.put(many(1_000))
        return len(await storage.get(list(many(1_000))))

    assert inside(program, "workerd") == 1_000


# -- transactions --------------------------------------------------------------------------


def test_only_calls_on_the_transaction_are_part_of_it():
    async def program(storage: Any) -> Any:
        async def fails(txn: Any) -> None:
            await storage.put("outside", 1)
            await txn.put("inside", 1)
            assert [await storage.get("inside"), await txn.get("inside")] == [None, 1]
            assert await txn.get(["inside", "outside", "x"]) == {"inside": 1, "outside": 1}
            raise KeyError

        with pytest.raises(KeyError):
            await storage.transaction(fails)
        return list(await storage.list())

    assert inside(program) == ["outside"]


def test_on_the_disk_of_the_local_runtime_all_calls_are_part_of_it():
    async def program(storage: Any) -> Any:
        async def fails(txn: Any) -> None:
            await storage.put("outside", 1)
            assert await txn.get("outside") == 1
            raise KeyError

        with pytest.raises(KeyError):
            await storage.transaction(fails)
        return list(await storage.list())

    assert inside(program, "workerd") == []


def test_what_the_transaction_wrote_is_laid_over_what_was_written_meanwhile():
    async def program(storage: Any) -> Any:
        async def closure(txn: Any) -> Any:
            value = {"a": 1}
            await txn.put("c", value)
            value["a"] = 2
            await storage.put({"c": "storage", "gone": 1})
            assert [await txn.delete("gone"), await txn.delete("gone")] == [True, False]
            assert await txn.delete(["gone", "nothing"]) == 0
            return [await txn.get("c"), await storage.get("c")]

        seen = await storage.transaction(closure)
        return [*seen, await storage.list()]

    assert inside(program) == [{"a": 1}, "storage", {"c": {"a": 1}}]


def test_a_rollback_forgets_the_layer_and_nothing_else():
    async def program(storage: Any) -> Any:
        async def closure(txn: Any) -> Any:
            await txn.put("a", 1)
            await txn.setAlarm(4_000_000_000_000)
            assert await storage.getAlarm() is None
            txn.rollback()
            txn.rollback()
            await storage.put("b", 1)
            return await error_of(lambda: txn.get("b"))

        message = await storage.transaction(closure)
        return [message, list(await storage.list()), await storage.getAlarm()]

    assert inside(program) == ["Cannot get() on rolled back transaction", ["b"], None]


def test_an_alarm_of_the_transaction_is_set_when_it_succeeds():
    async def program(storage: Any) -> Any:
        async def closure(txn: Any) -> Any:
            await txn.setAlarm(4_000_000_000_000)
            seen = [await txn.getAlarm(), await storage.getAlarm()]
            await storage.setAlarm(3_000_000_000_000)
            return [*seen, await txn.getAlarm()]

        seen = await storage.transaction(closure)
        seen.append(await storage.getAlarm())

        async def deletes(txn: Any) -> None:
            await txn.deleteAlarm()
            seen.append(await storage.getAlarm())

        await storage.transaction(deletes)
        return [*seen, await storage.getAlarm()]

    late = 4_000_000_000_000
    assert inside(program) == [late, None, late, late, late, None]


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, "l0 l1 l3 l4 l5 l7"),
        ({"reverse": True}, "l7 l5 l4 l3 l1 l0"),
        ({"start": "l1", "end": "l5"}, "l1 l3 l4"),
        ({"startAfter": "l3"}, "l4 l5 l7"),
        # Of more than the limit there are as many as the layer and the storage give.
        ({"limit": 1}, "l0 l1"),
        ({"limit": 2}, "l0 l1 l3"),
        ({"limit": 3}, "l0 l1 l3 l4 l5"),
        ({"limit": 1, "reverse": True}, "l7 l4"),
        ({"limit": 2, "reverse": True}, "l7 l5 l4 l3"),
        ({"limit": 3, "reverse": True}, "l7 l5 l4 l3 l0"),
        ({"start": "l1", "limit": 2}, "l1 l3 l4"),
        ({"end": "l4", "limit": 2, "reverse": True}, "l3 l1 l0"),
    ],
)
def test_a_list_of_the_transaction_merges_both(options, keys):
    async def program(storage: Any) -> Any:
        await storage.put({"l1": 1, "l2": 2, "l3": 3, "l5": 5, "l7": 7})

        async def closure(txn: Any) -> Any:
            await txn.delete("l2")
            await txn.put({"l4": 4, "l0": 0, "l3": 33})
            return await txn.list(options)

        return await storage.transaction(closure)

    found = inside(program)
    assert " ".join(found) == keys
    assert found.get("l3", 33) == 33


def test_a_transaction_inside_of_another_does_not_see_it():
    async def program(storage: Any) -> Any:
        async def inner(txn: Any) -> Any:
            await txn.put("inner", 1)
            return await txn.get("outer")

        async def outer(txn: Any) -> Any:
            await txn.put("outer", 1)
            seen = await storage.transaction(inner)
            txn.rollback()
            return seen

        seen = await storage.transaction(outer)
        return [seen, list(await storage.list())]

    assert inside(program) == [None, ["inner"]]


def test_delete_all_of_the_storage_is_no_part_of_a_transaction():
    async def program(storage: Any) -> Any:
        await storage.put("a", 1)

        async def closure(txn: Any) -> Any:
            await txn.put("q", 1)
            await storage.deleteAll()
            seen = list(await txn.list())
            return [seen, await error_of(txn.deleteAll)]

        seen = await storage.transaction(closure)
        return [*seen, list(await storage.list())]

    refused = "Cannot call deleteAll() within a transaction"
    assert inside(program) == [["q"], refused, ["q"]]


def test_the_limits_hold_in_a_transaction_too():
    async def program(storage: Any) -> Any:
        async def closure(txn: Any) -> Any:
            await txn.put(many(129))
            with pytest.raises(JsRangeError):
                await txn.put("k" * 2_049, 1)
            with pytest.raises(JsRangeError):
                await txn.put("v", "x" * 200_000)
            with pytest.raises(JsRangeError):
                await txn.get(list(many(129)))
            return await txn.delete(list(many(200)))

        return await storage.transaction(closure)

    assert inside(program) == 129


@pytest.mark.parametrize(
    ("limits", "result"), [("paid", "Durable Object is not backed by SQL."), ("workerd", 7)]
)
def test_transaction_sync_is_for_sql(limits, result):
    async def program(storage: Any) -> Any:
        try:
            return storage.transactionSync(lambda: 7)
        except JsException as error:
            return error.message

    assert inside(program, limits) == result


# -- waits ---------------------------------------------------------------------------------


def after(calls: Any, ask: Any, *, uses_sqlite: bool = False) -> Any:
    """What `ask(state)` gives after `calls(stub)` were made at once."""

    async def main() -> Any:
        async with emulator.Miniflare(
            worker=Job,
            durable_objects={"JOBS": {"className": "Job", "useSQLite": uses_sqlite}},
        ) as mf:
            stub = mf.get_durable_object_namespace("JOBS").getByName("a")
            for call in calls(stub):
                await call
            return await run_in_durable_object(stub, lambda _, state: ask(state))

    return emulator.run(main)


@pytest.mark.parametrize(
    ("allows", "uses_sqlite", "is_lossy"),
    [(False, False, False), (True, False, True), (True, True, False)],
)
def test_others_enter_while_an_unknown_key_is_read_with_allow_concurrency(
    allows, uses_sqlite, is_lossy
):
    found = after(
        lambda stub: [stub.count(allows) for _ in range(8)],
        lambda state: state.storage.get("n"),
        uses_sqlite=uses_sqlite,
    )

    assert (found < 8) if is_lossy else (found == 8)


@pytest.mark.parametrize(
    ("writes", "uses_sqlite", "steps"),
    [
        (False, False, ["a1", "a2", "b1", "b2"]),
        (True, False, ["a1", "b1", "a2", "b2"]),
        (False, True, ["a1", "b1", "a2", "b2"]),
    ],
)
def test_others_enter_during_sync_only_if_it_has_something_to_wait_for(
    writes, uses_sqlite, steps
):
    found = after(
        lambda stub: [stub.sync("a", writes), stub.sync("b", writes)],
        lambda state: state.steps,
        uses_sqlite=uses_sqlite,
    )

    assert found == steps


def test_there_are_no_bookmarks_on_the_platform_and_counted_ones_locally():
    async def program(storage: Any) -> Any:
        try:
            return await storage.getCurrentBookmark()
        except JsException as error:
            return error.message

    assert inside(program) == NO_RECOVERY
    assert inside(program, "workerd") == f"00000000-00000000-00000000-{'0' * 32}"
