"""Ordeal dialect: verbs for what only Python code can ask, and no program has a word for.

Promises: iteration, context managers, printing and late use of objects, stubs, cursors and
bindings, each with what it must give; no comparison with a real runtime could show it. Leaves
to others: the verbs of a test (ordeal_verbs).
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from emulator.durable_objects.relaxed_call import note_arguments, relaxed_call
from emulator.durable_objects.websocket import WebSocketPair
from emulator.durable_objects.websockets import WebSocketRequestResponsePair
from emulator.errors import JsException, WorldError
from emulator.sdk import js
from emulator.sdk.workers import Request
from emulator.values import undefined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from emulator.durable_objects.state import DurableObjectState

__all__ = ["INSIDE", "BrokenLaw", "holds", "late", "same"]

_KEY: Final = "ordeal/dialect"


class BrokenLaw(AssertionError):
    """Something that is promised is not so."""


def same(law: str, found: object, wanted: object) -> None:
    """Refuse that something found is not what was wanted."""
    if found != wanted:
        message = f"{law}: {_short(found)} is not {_short(wanted)}"
        raise BrokenLaw(message)


def holds(law: str, is_so: object) -> None:
    """Refuse that something is not so."""
    if not is_so:
        raise BrokenLaw(law)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}..."


class _Colour(StrEnum):
    RED = "red"


class _Half(float):
    """A number that shows itself as something else."""

    def __repr__(self) -> str:
        return "half"


async def _cursors(state: DurableObjectState) -> None:
    """Rows may be taken in each way that Python has."""
    sql: Any = state.storage.sql
    ask = "SELECT 1 AS a UNION SELECT 2 ORDER BY 1"
    same("rows are iterated", [row.a for row in sql.exec(ask)], [1, 2])
    same("raw rows are iterated", list(sql.exec(ask).raw()), [[1], [2]])
    cursor = sql.exec(ask)
    raw = cursor.raw()
    same(
        "a row is taken",
        [raw.next().value, raw.next().done, raw.next().done],
        [[1], False, True],
    )
    same("no row is left", (raw.toArray(), cursor.toArray()), ([], []))
    same("counters stay", (cursor.columnNames, cursor.rowsWritten), (["a"], 0))
    repr([cursor, raw, sql])
    bound = sql.exec("SELECT ? AS c, ? AS h, ? AS u", _Colour.RED, _Half(0.5), undefined).one()
    same("what is bound is the value", (bound.c, bound.h, bound.u), ("red", 0.5, None))
    rows = sql.exec(
        "WITH RECURSIVE n(i) AS (SELECT -3 UNION ALL SELECT i + 1 FROM n) "
        "SELECT abs(i) AS i FROM n"
    )
    same("a cursor that is left open harms nobody", next(iter(rows)).i, 3)


async def _virtual(state: DurableObjectState) -> None:
    """Tables that count differently, and values too large to be shown."""
    sql: Any = state.storage.sql
    sql.exec("CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(x)")
    await state.storage.put(_KEY, "x" * 5_000)
    sql.exec("INSERT INTO words VALUES ('a word')")
    holds("a word is found", sql.exec("SELECT * FROM words('word')").toArray())


async def _transactions(state: DurableObjectState) -> None:
    """A transaction sees its own writes, in the order of the storage, and undoes them all."""
    storage: Any = state.storage
    before = await storage.list(prefix=_KEY)
    alarm_ms = await storage.getAlarm()

    async def writes(txn: Any) -> None:
        await txn.put({f"{_KEY}/{number}": number for number in range(4)})
        await txn.delete([f"{_KEY}/1", f"{_KEY}/9"])
        found = await txn.list({"prefix": f"{_KEY}/", "limit": 2})
        same("a list has its limit", [*found.values()][:2], [0, 2])
        found = await txn.list({"startAfter": f"{_KEY}/2", "end": f"{_KEY}/9", "reverse": True})
        same("a list has its order", [*found.values()][:1], [3])
        same("a deleted key is gone", await txn.get(f"{_KEY}/1"), None)
        await txn.setAlarm(9_000_000_000_000)
        same("an alarm is seen", await txn.getAlarm(), 9_000_000_000_000)
        await txn.deleteAlarm()
        same("no alarm is seen", await txn.getAlarm(), None)
        repr(txn)
        txn.rollback()

    await storage.transaction(writes)
    found = [await storage.list(prefix=_KEY), await storage.getAlarm()]
    same("a rollback undoes all", found, [before, alarm_ms])

    async def keeps(txn: Any) -> None:
        await txn.put(f"{_KEY}/kept", 1)
        await txn.delete(f"{_KEY}/kept")
        storage.transaction(lambda _: asyncio.sleep(0))  # Nobody awaits it.

    await storage.transaction(keeps)
    same("what is put and deleted is not there", await storage.get(f"{_KEY}/kept"), None)


async def _arguments(state: DurableObjectState) -> None:
    """Options in snake case are passed over, and all answers can be printed."""
    storage: Any = state.storage
    await storage.put(_KEY, 1, allow_unconfirmed=True)
    same("it is there", await storage.get(_KEY, no_cache=True), 1)
    answers = [storage.get(_KEY), storage.get(), storage.kv, storage.sql, storage, state]
    holds("each is printed on one line", all("\n" not in repr(answer) for answer in answers))
    for number in (float("nan"), float("-inf"), -0.0, 1.5, 1e21, 1e-7, -1.5e16):
        await storage.delete(number)


async def _sections(state: DurableObjectState) -> None:
    """Critical sections inside of one another, the inner one left behind."""
    entered: list[int] = []

    async def inner() -> None:
        await asyncio.sleep(0.001)
        entered.append(1)

    async def outer() -> int:
        left = state.blockConcurrencyWhile(inner)
        await asyncio.sleep(0)
        state.blockConcurrencyWhile(inner)
        del left
        return len(entered)

    await state.blockConcurrencyWhile(outer)
    await state.blockConcurrencyWhile(inner)
    same("sections are entered in order", len(entered), 3)


async def _background(state: DurableObjectState) -> None:
    """Work in the background, in each form in which Python has it."""

    async def work() -> None:
        await asyncio.sleep(0.001)

    state.waitUntil(work())
    state.waitUntil(asyncio.ensure_future(work()))
    state.waitUntil(state.storage.sync())
    state.waitUntil(5)  # As in JavaScript: it is no promise.


async def _pairs(state: DurableObjectState) -> None:
    """The two ends of a WebSocket, taken in each way that Python has."""
    pair = WebSocketPair.new()
    same("its ends have names", list(pair.object_keys()), ["0", "1"])
    same("its ends are listed", [end for _, end in pair.object_entries()], list(pair))
    same("and numbered", [pair[0], pair["1"]], list(pair.object_values()))
    client, server = pair
    heard: list[Any] = []
    client.addEventListener("message", lambda event: heard.append(event.data))
    server.accept()
    client.accept()
    server.send("hello")
    await asyncio.sleep(0.005)
    # It may be on its way yet, or lost.
    holds("nothing is heard but what was sent", heard in ([], ["hello"]))
    server.close(1_000, "enough")
    repr([pair, client, server])
    answers = WebSocketRequestResponsePair.new("ping", "pong")
    repr(answers)
    same("both are kept", [answers.request, answers.response], ["ping", "pong"])


async def _elsewhere(state: DurableObjectState) -> None:
    """More calls to elsewhere than some accounts may make, several at once."""
    for _ in range(8):
        calls = [js.fetch("http://elsewhere/") for _ in range(8)]
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            if not isinstance(answer, BaseException):
                same("elsewhere answers", await answer.text(), "elsewhere")
            elif not isinstance(answer, JsException):
                raise answer


async def _uncloneable(state: DurableObjectState) -> None:
    """What cannot be stored is refused, and what was written with it is not there."""
    storage: Any = state.storage
    before = await storage.list(prefix=_KEY)
    for value in (
        lambda: 1,
        object(),
        MappingProxyType({}),
        asyncio.sleep,
        Request("http://x"),
    ):
        try:
            await storage.put({f"{_KEY}/a": 1, f"{_KEY}/b": value})
        except (JsException, TypeError):
            continue
        message = f"{value!r} was stored"
        raise BrokenLaw(message)
    same("nothing of a refused put is there", await storage.list(prefix=_KEY), before)


async def _handlers(state: DurableObjectState) -> None:
    """A handler is given as many arguments as it names; if it wants more, it is told which."""

    def given(*rest: int) -> int:
        return len(rest)

    takes = (
        lambda: 0,
        lambda one: one,
        given,
        partial(given, 1),
        partial(lambda _, two: two, 1),
    )
    same(
        "a handler takes what it names",
        [relaxed_call(handler, 7, 8) for handler in takes],
        [0, 7, 2, 3, 7],
    )
    for handler, notes in (
        (lambda one, two: one + two, ["<lambda> is called with one: let it take these"]),
        (lambda one: one, []),
        (iter, []),
    ):
        error = TypeError("from within")
        note_arguments(error, handler, "one", 1)
        told = [note.rpartition(".")[2] for note in getattr(error, "__notes__", [])]
        same("a handler that wants more is told", told, notes)


async def late(use: Callable[[], Any]) -> None:
    """What is used after its world has ended is refused, with a word why."""
    try:
        found = use()
        await found
    except WorldError:
        return
    message = f"a binding of a disposed world still answers: {found!r}"
    raise BrokenLaw(message)


#: What is done inside of an object, by name.
INSIDE: Final[Mapping[str, Callable[[DurableObjectState], Awaitable[None]]]] = {
    "arguments": _arguments,
    "background": _background,
    "cursors": _cursors,
    "elsewhere": _elsewhere,
    "handlers": _handlers,
    "pairs": _pairs,
    "sections": _sections,
    "transactions": _transactions,
    "uncloneable": _uncloneable,
    "virtual": _virtual,
}
