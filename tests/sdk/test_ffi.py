"""`pyodide.ffi`: conversions and proxies, by Pyodide's own rules."""

from __future__ import annotations

import asyncio
from typing import Any

import js
import pyodide.ffi as ffi
import pytest
from js import Object
from pyodide.ffi import create_once_callable, create_proxy, destroy_proxies, to_js
from workers import Response, WorkerEntrypoint

import emulator
from emulator.errors import JsException, SimulationEscape


def test_a_dict_becomes_a_map_unless_something_else_is_made_of_it() -> None:
    value = {"a": [1, (2, {"b": b"x"})]}

    as_map, as_object = to_js(value), to_js(value, dict_converter=Object.fromEntries)

    assert as_map.constructor.name == as_map["a"][1][1].constructor.name == "Map"
    assert (as_map.get("a").length, as_map.has("a"), as_map.size) == (2, True, 1)
    assert as_object.constructor.name == "Object"
    assert as_object.a[1][1].b.constructor.name == "Uint8Array"
    assert as_map.to_py() == as_object.to_py() == {"a": [1, [2, {"b": b"x"}]]}


def test_a_conversion_is_a_copy() -> None:
    value: dict[str, Any] = {"a": [1]}
    converted = to_js(value, dict_converter=Object.fromEntries)
    value["a"].append(2)

    assert converted == {"a": [1]}


def test_options_that_are_a_map_have_no_effect_as_on_cloudflare() -> None:
    # The options of the platform are objects; to_js alone makes a Map, which has none of them.
    with pytest.warns(UserWarning, match="these options are a Map"):
        response = js.Response.new("x", to_js({"status": 404}))
    right = js.Response.new("x", to_js({"status": 404}, dict_converter=Object.fromEntries))

    assert (response.status, right.status) == (200, 404)


def test_a_value_within_itself_is_converted_both_ways() -> None:
    value: list[Any] = []
    value.append({"self": value})

    converted = to_js(value)
    assert converted[0]["self"] is converted
    back = converted.to_py()
    assert back[0]["self"] is back


def test_converters_are_asked_for_what_has_no_value() -> None:
    class Point:
        x = 1

    def converter(value: Any, convert: Any, cache: Any) -> Any:
        return convert([value.x]) if isinstance(value, Point) else value

    point = Point()
    assert to_js([point]) == [point]
    assert to_js([point], default_converter=converter) == [[1]]
    assert to_js([1, 2], eager_converter=lambda v, convert, cache: v if v == 2 else convert(v))
    with pytest.raises(ffi.ConversionError, match="No conversion known for"):
        to_js(point, create_pyproxies=False)
    assert to_js([[1]], depth=1)[0].__class__ is list
    headers = js.Headers.new({"a": "b"})
    assert headers.to_py() is headers
    assert headers.to_py(default_converter=lambda value, convert, cache: 5) == 5


def test_a_proxy_does_what_its_object_does_until_it_is_destroyed() -> None:
    proxy, buffer = create_proxy(lambda x: x + 1), create_proxy(b"abc")

    assert (proxy(1), buffer.getBuffer().data) == (2, b"abc")
    assert isinstance(proxy, ffi.JsDoubleProxy)
    assert proxy.unwrap()(1) == 2
    destroy_proxies([proxy, "other"])
    with pytest.raises(JsException, match="Object has already been destroyed"):
        proxy(1)
    once = create_once_callable(lambda: 5)
    assert once() == 5
    with pytest.raises(JsException, match="OnceProxy can only be called once"):
        once()


def test_a_proxy_of_a_task_is_awaited() -> None:
    async def main() -> int:
        async def work() -> int:
            return 7

        result: int = await create_proxy(asyncio.ensure_future(work()))
        return result

    assert emulator.run(main) == 7


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (lambda: js.Headers.new(), {"JsProxy", "JsIterable"}),
        (lambda: js.Uint8Array(b""), {"JsProxy", "JsIterable", "JsBuffer", "JsTypedArray"}),
        (lambda: to_js([1]), {"JsProxy", "JsIterable", "JsArray"}),
        (lambda: to_js({}), {"JsProxy", "JsIterable", "JsMap", "JsMutableMap"}),
        (lambda: create_proxy(len), {"JsProxy", "JsCallable", "JsDoubleProxy"}),
        (lambda: js.Error.new("x"), {"JsProxy", "JsException"}),
        (lambda: js.ReadableStream.new(), {"JsProxy", "JsAsyncIterable"}),
        (dict, set()),
        (lambda: "text", set()),
    ],
)
def test_isinstance_tells_what_javascript_has_made(make: Any, kinds: set[str]) -> None:
    value = make()
    classes = {name: getattr(ffi, name) for name in ffi.__all__ if name.startswith("Js")}

    assert {name for name, cls in classes.items() if isinstance(value, cls)} == kinds


def test_no_object_is_made_of_the_classes_of_proxies() -> None:
    with pytest.raises(TypeError, match=r"JsProxy cannot be instantiated\."):
        ffi.JsProxy()


def test_stacks_are_not_switched() -> None:
    async def work() -> None:
        """Never runs."""

    assert not ffi.can_run_sync()
    with pytest.raises(SimulationEscape, match="put `await` before what it waits for"):
        ffi.run_sync(work())


class Fetcher(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        from pyodide.http import pyfetch

        answer = await pyfetch("https://out/a", method="POST", body="[1]")
        answer.raise_for_status()
        copy = answer.clone()
        seen = [answer.status, answer.ok, answer.url, answer.headers["x"], await answer.json()]
        with pytest.raises(OSError, match="Response body is already used"):
            await answer.text()
        return Response.json([*seen, (await copy.bytes()).decode()])


def test_pyfetch_reads_for_python() -> None:
    async def outbound(request: Any) -> Any:
        return Response(await request.text(), headers={"x": "y"})

    async def main() -> Any:
        async with emulator.Miniflare(worker=Fetcher, outbound_service=outbound) as mf:
            return (await mf.dispatch_fetch("http://x/")).json()

    assert emulator.run(main) == [200, True, "https://out/a", "y", [1], "[1]"]


def test_a_future_has_the_names_of_a_promise() -> None:
    async def main() -> list[Any]:
        def future(result: Any) -> Any:
            made = asyncio.get_running_loop().create_future()
            if isinstance(result, Exception):
                made.set_exception(result)
            else:
                made.set_result(result)
            return made

        async def later(value: int) -> int:
            await asyncio.sleep(1)
            return value + 1

        ended: list[str] = []
        error = ValueError("bad")
        return [
            await future(1).then(lambda value: value + 1).then(later).then(None),
            await future(error).then(lambda value: value).catch(str),
            await future(error).then(None, lambda e: e is error),
            await future(5).finally_(lambda: ended.append("end")),
            ended,
        ]

    assert emulator.run(main) == [3, "bad", True, 5, ["end"]]
