"""Laws of what is missing: what the platform's methods say when they are called with too
little. Texts measured on workerd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import js
import pytest
from workers import DurableObject

from emulator.errors import JsException, JsTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GLOBAL = "ServiceWorkerGlobalScope"
#: What workerd says of each: (object, method, owner, type of the first argument).
_REFUSED = (
    ("ctx", "waitUntil", "DurableObjectState", "Promise"),
    ("ctx", "blockConcurrencyWhile", "DurableObjectState", "function"),
    ("ctx", "acceptWebSocket", "DurableObjectState", "WebSocket"),
    ("ctx", "getTags", "DurableObjectState", "WebSocket"),
    ("ctx", "getWebSocketAutoResponseTimestamp", "DurableObjectState", "WebSocket"),
    ("storage", "get", "DurableObjectStorage", "string or Array"),
    ("storage", "put", "DurableObjectStorage", "string or object"),
    ("storage", "delete", "DurableObjectStorage", "string or Array"),
    ("storage", "setAlarm", "DurableObjectStorage", "date"),
    ("storage", "transaction", "DurableObjectStorage", "function"),
    ("storage", "transactionSync", "DurableObjectStorage", "function"),
    ("storage", "getBookmarkForTime", "DurableObjectStorage", "date"),
    ("storage", "onNextSessionRestoreBookmark", "DurableObjectStorage", "string"),
    ("kv", "get", "SyncKvStorage", "string"),
    ("kv", "put", "SyncKvStorage", "string"),
    ("kv", "delete", "SyncKvStorage", "string"),
    ("sql", "exec", "SqlStorage", "JsString"),
    ("id", "equals", "DurableObjectId", "DurableObjectId"),
    ("namespace", "idFromName", "DurableObjectNamespace", "string"),
    ("namespace", "idFromString", "DurableObjectNamespace", "string"),
    ("namespace", "get", "DurableObjectNamespace", "DurableObjectId"),
    ("namespace", "getByName", "DurableObjectNamespace", "string"),
    ("stub", "fetch", "Fetcher", "Request or string"),
    ("websocket", "send", "WebSocket", "ArrayBuffer or ArrayBufferView or string"),
    ("websocket", "serializeAttachment", "WebSocket", "JsValue"),
    ("websocket", "addEventListener", "EventTarget", "string"),
    ("websocket", "removeEventListener", "EventTarget", "string"),
    ("headers", "get", "Headers", "string"),
    ("headers", "set", "Headers", "string"),
    ("headers", "append", "Headers", "string"),
    ("headers", "has", "Headers", "string"),
    ("headers", "delete", "Headers", "string"),
    ("headers", "forEach", "Headers", "function"),
    ("query", "get", "URLSearchParams", "USVString"),
    ("query", "set", "URLSearchParams", "USVString"),
    ("query", "append", "URLSearchParams", "USVString"),
    ("query", "has", "URLSearchParams", "USVString"),
    ("query", "delete", "URLSearchParams", "USVString"),
    ("query", "getAll", "URLSearchParams", "USVString"),
    ("global", "setTimeout", _GLOBAL, "function"),
    ("global", "setInterval", _GLOBAL, "function"),
    ("global", "queueMicrotask", _GLOBAL, "function"),
    ("global", "structuredClone", _GLOBAL, "JsValue"),
    ("global", "btoa", _GLOBAL, "JsString"),
    ("global", "atob", _GLOBAL, "string"),
    ("global", "fetch", _GLOBAL, "Request or string"),
    ("crypto", "getRandomValues", "Crypto", "JsArrayBufferView"),
    ("scheduler", "wait", "Scheduler", "number"),
    ("signal", "addEventListener", "EventTarget", "string"),
    ("signal", "removeEventListener", "EventTarget", "string"),
    ("AbortSignal", "timeout", "AbortSignal", "number"),
    ("AbortSignal", "any", "AbortSignal", "Array"),
    ("Response", "redirect", "Response", "string"),
    ("Response", "json", "Response", "JsValue"),
)


class Keeper(DurableObject):
    async def alarm(self, info: Any) -> None:
        pass

    async def said(self, place: str, method: str, *arguments: Any) -> Any:
        """What a method raises, or None."""
        return await _said(getattr(self.objects()[place], method), *arguments)

    def objects(self) -> dict[str, Any]:
        storage = self.ctx.storage
        one, _ = js.WebSocketPair.new().object_values()
        one.accept()
        return {
            "ctx": self.ctx, "storage": storage, "kv": storage.kv, "sql": storage.sql,
            "id": self.ctx.id, "signal": js.AbortController.new().signal,
            "namespace": self.env.JOBS, "stub": self.env.JOBS.getByName("b"),
            "websocket": one, "headers": js.Headers.new(), "crypto": js.crypto,
            "query": js.URLSearchParams.new("a=1"), "URL": js.URL,
            "scheduler": js.scheduler, "AbortSignal": js.AbortSignal, "global": js,
            "Response": js.Response,
        }  # fmt: skip


async def _said(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        answer = function(*arguments)
        if hasattr(answer, "__await__"):
            await answer
    except JsException as error:
        return f"{error.name}: {error.message}"
    except TypeError as error:
        return str(error)
    return None


@pytest.fixture
def ask(with_jobs: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    def run(method: str, *arguments: Any) -> Any:
        async def scenario(_: Any, stub: Any) -> Any:
            return await getattr(stub, method)(*arguments)

        return with_jobs(Keeper, scenario)

    return run


@pytest.mark.parametrize(("place", "method", "owner", "kind"), _REFUSED)
def test_a_call_without_arguments_is_refused_as_on_the_platform(
    ask: Callable[..., Any], place: str, method: str, owner: str, kind: str
) -> None:
    said = ask("said", place, method)

    expected = (
        f"Failed to execute '{method}' on '{owner}': parameter 1 is not of type '{kind}'."
    )
    assert said == f"TypeError: {expected}"


@pytest.mark.parametrize("method", ["append", "set"])
def test_a_second_argument_that_is_missing_is_told_by_its_number(method: str) -> None:
    with pytest.raises(JsTypeError, match="parameter 2 is not of type 'string'"):
        getattr(js.Headers.new(), method)("a")


def test_a_missing_argument_may_come_as_a_keyword() -> None:
    headers = js.Headers.new({"a": "1"})

    assert headers.get(name="a") == "1"


@pytest.mark.parametrize("options", [True, 5, "eu"])
def test_options_of_an_id_that_are_none_are_refused(
    ask: Callable[..., Any], options: Any
) -> None:
    assert ask("said", "namespace", "newUniqueId", options) == (
        "TypeError: Failed to execute 'newUniqueId' on 'DurableObjectNamespace': parameter 1 "
        "is not of type 'NewUniqueIdOptions'."
    )


def test_the_options_of_get_by_name_may_come_second(ask: Callable[..., Any]) -> None:
    assert ask("said", "namespace", "getByName", "x", {"locationHint": "weur"}) is None
    assert ask("said", "namespace", "getByName", "x", {"routingMode": "y"}) == (
        "RangeError: unknown routingMode: y"
    )
    assert ask("said", "namespace", "getByName", "x", "weur") == (
        "TypeError: Failed to execute 'getByName' on 'DurableObjectNamespace': parameter 2 is "
        "not of type 'GetDurableObjectOptions'."
    )


def test_a_bad_close_code_is_told_before_a_missing_accept(
    in_object: Callable[..., Any],
) -> None:
    async def program(_: Any) -> None:
        one, _other = js.WebSocketPair.new().object_values()
        with pytest.raises(JsException, match=r"Invalid WebSocket close code: 1\."):
            one.close(True)
        with pytest.raises(JsTypeError, match="You must call one of accept"):
            one.close(1000)

    in_object(program)


@pytest.mark.parametrize("listener", ["x", 5, {}])
def test_a_listener_that_cannot_be_called_is_refused(
    in_object: Callable[..., Any], listener: Any
) -> None:
    async def program(_: Any) -> None:
        one, _other = js.WebSocketPair.new().object_values()
        with pytest.raises(JsTypeError, match="'function or HandlerObject'"):
            one.addEventListener("message", listener)

    in_object(program)


@pytest.mark.parametrize("status", [None, "x", [], 5])
def test_a_status_that_is_no_redirect_is_refused(status: Any) -> None:
    with pytest.raises(JsException, match=r"^RangeError: \d is not a redirect status code"):
        js.Response.redirect("http://x/", status)


@pytest.mark.parametrize("init", [5, "x"])
def test_options_of_a_request_and_a_response_are_an_object(init: Any) -> None:
    with pytest.raises(JsTypeError, match="'RequestInitializerDict or Request'"):
        js.Request.new("http://x/", init)
    with pytest.raises(JsTypeError, match="'InitializerDict or Response'"):
        js.Response.new("x", init)


def test_a_delay_that_is_no_number_is_none(in_object: Callable[..., Any]) -> None:
    async def program(_: Any) -> None:
        await js.scheduler.wait("x")
        js.setTimeout(lambda: None, "x")

    in_object(program)


@pytest.mark.parametrize("array", [None, 5, "x", {}])
def test_random_values_need_an_array(in_object: Callable[..., Any], array: Any) -> None:
    async def program(_: Any) -> None:
        with pytest.raises(JsTypeError, match="'JsArrayBufferView'"):
            js.crypto.getRandomValues(array)

    in_object(program)
