"""The special ops: bodies, errors, time, and small things that only a language can do.

Promises: each gives its result or an awaitable of it, and never waits by itself where it may
not. Leaves to others: paths, padding and records (operations).
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from emulator.conformance.members import member_of
from emulator.conformance.sockets import heard, listen
from emulator.conformance.tagged_values import Caught, make_error, unsupported
from emulator.conformance.ticks import hear, started
from emulator.durable_objects.arguments import js_string
from emulator.durable_objects.websocket import WebSocketPair
from emulator.values import JsDict, undefined

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.conformance.operations import Operations

__all__ = ["BY_BODY", "SPECIAL_OPS"]


def _sleep(o: Operations, args: list[Any], path: str) -> Any:
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(args[0] / 1000, over.set_result, None)
    return over


def _throw(o: Operations, args: list[Any], path: str) -> None:
    properties = {k: o.value(v) for k, v in (args[2] if len(args) > 2 else {}).items()}
    raise make_error(args[0], args[1], properties)


def _throw_value(o: Operations, args: list[Any], path: str) -> None:
    value = o.value(args[0])
    # Python raises exceptions only: this one has the text of what JavaScript throws.
    raise value if isinstance(value, Exception) else Exception(js_string(value))


def _abort(o: Operations, args: list[Any], path: str) -> Any:
    return o.host.ctx.abort(*o.values(args))


def _return(o: Operations, args: list[Any], path: str) -> Any:
    return o.value(args[0])


def _respond(o: Operations, args: list[Any], path: str) -> Any:
    o.has_responded = True
    return o.value(args[0])


def _memory(o: Operations, args: list[Any], path: str) -> Any:
    return o.host.count(args[0], args[1])


def _try(o: Operations, args: list[Any], path: str) -> Any:
    if not o.is_sync:
        return _try_async(o, args[0], path)
    try:
        o.run_sync(args[0], path)
    except Exception as error:
        return {"caught": Caught(error)}
    return {"ok": True}


async def _try_async(o: Operations, ops: list[Any], path: str) -> Any:
    try:
        await o.run(ops, path)
    except Exception as error:
        return {"caught": Caught(error)}
    return {"ok": True}


def _task(o: Operations, args: list[Any], path: str) -> Any:
    return started(o.op(args[0], f"{path}.0"))


def _await_value(o: Operations, args: list[Any], path: str) -> Any:
    return o.value(args[0])


async def _gather(o: Operations, args: list[Any], path: str) -> None:
    ops = args[0]
    pending = [started(o.op(op, f"{path}.{index}")) for index, op in enumerate(ops)]
    for future in pending:
        await asyncio.wait([future])


def _transaction(o: Operations, args: list[Any], path: str) -> Any:
    async def closure(txn: Any) -> Any:
        return await o.inside(txn=txn).run(args[0], path)

    return o.host.ctx.storage.transaction(closure, *o.values(args[1:]))


def _transaction_sync(o: Operations, args: list[Any], path: str) -> Any:
    inside = o.inside(is_sync=True)
    rest = o.values(args[1:])
    return o.host.ctx.storage.transactionSync(lambda: inside.run_sync(args[0], path), *rest)


def _transaction_sync_async(o: Operations, args: list[Any], path: str) -> Any:
    return o.host.ctx.storage.transactionSync(lambda: started(o.run(args[0], path)))


def _block_concurrency(o: Operations, args: list[Any], path: str) -> Any:
    async def closure() -> Any:
        return await o.run(args[0], path)

    return o.host.ctx.blockConcurrencyWhile(closure)


def _wait_until(o: Operations, args: list[Any], path: str) -> None:
    o.host.ctx.waitUntil(started(o.run(args[0], path)))


def _timer(o: Operations, args: list[Any], path: str) -> None:
    def ring() -> None:
        # A task of its own: whoever aborts in it ends it, and not the loop's callback.
        asyncio.get_running_loop().create_task(o.run(args[1], path)).add_done_callback(hear)

    asyncio.get_running_loop().call_later(args[0] / 1000, ring)


def _rpc(o: Operations, args: list[Any], path: str) -> Any:
    return o.host.call_object(args[0], args[1], o.call, path)


def _stub_of(o: Operations, args: list[Any], path: str) -> Any:
    return o.host.stub(args[0])


def _pair(o: Operations, args: list[Any], path: str) -> None:
    kept = o.host.run.refs_of(o.host.owner)
    kept.update(zip(args, WebSocketPair.new().object_values(), strict=True))


def _listen(o: Operations, args: list[Any], path: str) -> None:
    listen(o.value(args[0]))


def _heard(o: Operations, args: list[Any], path: str) -> Any:
    return heard(o.value(args[0]), *args[1:])


def _list_kv(o: Operations, args: list[Any], path: str) -> Any:
    return list(o.host.ctx.storage.kv.list(*o.values(args)))


def _iterate(o: Operations, args: list[Any], path: str) -> Any:
    return list(o.value(args[0]))


def _next(o: Operations, args: list[Any], path: str) -> Any:
    iterator = o.value(args[0])
    function = getattr(iterator, "next", None)
    if function is not None:
        return function()
    try:
        return JsDict(done=False, value=next(iterator))
    except StopIteration:
        return JsDict(done=True, value=undefined)


def _read(o: Operations, args: list[Any], path: str) -> Any:
    value = o.value(args[0])
    for member in args[1].split("."):
        value = member_of(value, member)
    return value


def _set(o: Operations, args: list[Any], path: str) -> None:
    setattr(o.value(args[0]), args[1], o.value(args[2]))


def _dispose(o: Operations, args: list[Any], path: str) -> None:
    value = o.value(args[0])
    dispose = member_of(value, "__dispose__")
    if dispose is undefined:
        raise unsupported("disposer here")
    dispose()


def _call(o: Operations, args: list[Any], path: str) -> Any:
    return o.apply(o.value(args[0]), args[1], args[2:], is_shared=True)


def _json(o: Operations, args: list[Any], path: str) -> Any:
    return json.dumps(o.value(args[0]), separators=(",", ":"), ensure_ascii=False)


def _string(o: Operations, args: list[Any], path: str) -> Any:
    return js_string(o.value(args[0]))


def _typeof(o: Operations, args: list[Any], path: str) -> Any:
    return _type_of(o.value(args[0]))


def _share(o: Operations, args: list[Any], path: str) -> None:
    o.host.run.shared[args[0]] = o.value(args[1])


def _detached(o: Operations, args: list[Any], path: str) -> Any:
    raise unsupported("methods without their object")


def _pipeline(o: Operations, args: list[Any], path: str) -> Any:
    value = o.path(args[0][0], args[0][1:])
    for member, *rest in args[1:]:
        value = o.apply(value, member, rest, is_shared=True)
    return value


def _type_of(value: Any) -> str:
    if value is undefined:
        return "undefined"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "function" if callable(value) else "object"


SPECIAL_OPS: Final[dict[str, Callable[[Operations, list[Any], str], Any]]] = {
    "sleep": _sleep,
    "throw": _throw,
    "throw_value": _throw_value,
    "abort": _abort,
    "return": _return,
    "respond": _respond,
    "memory": _memory,
    "try": _try,
    "task": _task,
    "await": _await_value,
    "gather": _gather,
    "blockConcurrencyWhile": _block_concurrency,
    "waitUntil": _wait_until,
    "timer": _timer,
    "rpc": _rpc,
    "stub_of": _stub_of,
    "pair": _pair,
    "listen": _listen,
    "heard": _heard,
    "list_kv": _list_kv,
    "iterate": _iterate,
    "next": _next,
    "read": _read,
    "set": _set,
    "dispose": _dispose,
    "call": _call,
    "json": _json,
    "string": _string,
    "typeof": _typeof,
    "share": _share,
    "detached": _detached,
    "pipeline": _pipeline,
    "storage.transactionSyncAsync": _transaction_sync_async,
}
#: Paths of the platform, unless a list of ops is given.
BY_BODY: Final[dict[str, Callable[[Operations, list[Any], str], Any]]] = {
    "storage.transaction": _transaction,
    "storage.transactionSync": _transaction_sync,
}
