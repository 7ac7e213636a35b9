"""Laws of `storage.kv`, the synchronous key-value interface."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.errors import JsException
from emulator.values import undefined


def wrong(method: str, position: int, expected: str) -> str:
    return (
        f"TypeError: Failed to execute '{method}' on 'SyncKvStorage': parameter {position} is "
        f"not of type '{expected}'."
    )


def test_both_interfaces_see_the_same_pairs(in_object):
    async def program(state: Any) -> Any:
        state.storage.kv.put("a", 1)
        await state.storage.put("b", 2)
        return await state.storage.get("a"), state.storage.kv.get("b")

    assert in_object(program) == (1, 2)


def test_a_missing_key_is_none_and_delete_tells_whether(in_object):
    async def program(state: Any) -> Any:
        kv = state.storage.kv
        kv.put("a", 1)
        return kv.get("no"), kv.delete("a"), kv.delete("a"), kv.get("a")

    assert in_object(program) == (None, True, False, None)


def test_it_stores_undefined_unlike_the_asynchronous_put(in_object):
    async def program(state: Any) -> Any:
        kv = state.storage.kv
        kv.put("u", undefined)
        found = (kv.get("u"), list(kv.list()), await state.storage.get(["u"]))
        return *found, await state.storage.get("u"), kv.delete("u")

    assert in_object(program) == (
        undefined, [("u", undefined)], {"u": undefined}, None, True
    )  # fmt: skip


def test_a_list_of_keys_is_one_key_as_text(in_object):
    async def program(state: Any) -> Any:
        state.storage.kv.put("a,b", 1)
        return state.storage.kv.get(["a", "b"])

    assert in_object(program) == 1


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("put", (), wrong("put", 1, "string")),
        ("put", ("a",), wrong("put", 2, "JsValue")),
        ("put", ({"a": 1},), wrong("put", 2, "JsValue")),
        ("get", (), wrong("get", 1, "string")),
        ("delete", (), wrong("delete", 1, "string")),
        ("list", ("x",), wrong("list", 1, "ListOptions")),
        ("list", ({"limit": 0},), "TypeError: List limit must be positive."),
    ],
)
def test_wrong_arguments_raise_at_once(in_object, method, arguments, message):
    async def program(state: Any) -> str:
        with pytest.raises(JsException) as caught:
            getattr(state.storage.kv, method)(*arguments)
        return str(caught.value)

    assert in_object(program) == message


def test_list_takes_the_options_of_the_asynchronous_list(in_object):
    async def program(state: Any) -> Any:
        kv = state.storage.kv
        for key in "dabc":
            kv.put(key, key.upper())
        return list(kv.list(start="b")), list(kv.list({"reverse": True, "limit": 2}))

    assert in_object(program) == (
        [("b", "B"), ("c", "C"), ("d", "D")],
        [("d", "D"), ("c", "C")],
    )


def test_list_is_lazy_and_sees_writes_meanwhile(in_object):
    async def program(state: Any) -> Any:
        kv = state.storage.kv
        kv.put("a", 1)
        kv.put("c", 3)
        seen = []
        for key, value in kv.list():
            seen.append((key, value))
            if key == "a":
                kv.put("b", 2)
                kv.delete("c")
        return seen

    assert in_object(program) == [("a", 1), ("b", 2)]


def test_only_one_list_is_alive_at_a_time(in_object):
    async def program(state: Any) -> Any:
        kv = state.storage.kv
        kv.put("a", 1)
        older = kv.list()
        newer = kv.list()
        with pytest.raises(JsException) as caught:
            next(older)
        return next(newer), caught.value.message

    assert in_object(program) == (
        ("a", 1),
        "kv.list() iterator was invalidated because a new call to kv.list() was started. Only "
        "one kv.list() iterator can exist at a time.",
    )


def test_an_async_list_ends_an_open_list(in_object):
    async def program(state: Any) -> str:
        storage = state.storage
        await storage.put({"a": 1, "b": 2})
        pairs = storage.kv.list()
        next(pairs)
        await storage.list()
        with pytest.raises(JsException) as caught:
            next(pairs)
        return caught.value.message

    assert in_object(program).startswith("kv.list() iterator was invalidated because a new")


def test_delete_all_ends_an_open_list(in_object):
    async def program(state: Any) -> str:
        storage = state.storage
        await storage.put({"a": 1, "b": 2})
        pairs = storage.kv.list()
        next(pairs)
        await storage.deleteAll()
        with pytest.raises(JsException) as caught:
            next(pairs)
        return caught.value.message

    assert in_object(program) == "internal error; reference = 000000000000000000000000"
