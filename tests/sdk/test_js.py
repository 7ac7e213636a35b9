"""JavaScript's names. Texts and numbers are those of Node and workerd, measured."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import js
import pytest
from js import JSON, URL, Date, Object, URLSearchParams
from pyodide.ffi import create_proxy
from workers import DurableObject, Response, WorkerEntrypoint

import emulator
from emulator.errors import JsException, WorldError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def inside(scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Run in a simulation, as the code of no worker."""
    return emulator.run(scenario)


def refused(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(JsException) as caught:
        call(*arguments)
    return str(caught.value)


# -- JSON ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (100.0, "100"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.5e-9, "-1.5e-9"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.nan, "null"),
        (-math.inf, "null"),
        (2**53 - 1, "9007199254740991"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(number: float, text: str) -> None:
    assert JSON.stringify(number) == text


def test_json_leaves_out_what_javascript_leaves_out() -> None:
    value = {
        "b": 1,
        "2": 1,
        "1": 1,
        "a": js.undefined,
        "f": len,
        "d": Date.new(0),
        "m": js.Map.new([[1, 2]]),
        "s": js.Set.new([1]),
        "u": js.Uint8Array(b"\1\2"),
        "n": math.nan,
        "l": (js.undefined, len, None, True),
        "x": "\u2028\ud800é\n",
    }

    assert JSON.stringify(value) == (
        '{"1":1,"2":1,"b":1,"d":"1970-01-01T00:00:00.000Z","m":{},"s":{},"u":{"0":1,"1":2},'
        '"n":null,"l":[null,null,null,true],"x":"\u2028\\ud800é\\n"}'
    )
    assert JSON.stringify(js.undefined) is js.undefined


def test_json_indents_and_replaces() -> None:
    assert JSON.stringify({"a": [1, {"b": 2}], "c": {}, "d": []}, None, 2) == (
        '{\n  "a": [\n    1,\n    {\n      "b": 2\n    }\n  ],\n  "c": {},\n  "d": []\n}'
    )
    assert JSON.stringify({"a": 1, "b": {"a": 2, "c": 3}}, ["a", "b"]) == '{"a":1,"b":{"a":2}}'
    assert JSON.stringify([1, 2], lambda _, item: item * 2 if item == 2 else item) == "[1,4]"


def test_json_refuses_what_javascript_refuses() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)

    assert refused(JSON.stringify, 10**20) == "TypeError: Do not know how to serialize a BigInt"
    assert "Converting circular structure to JSON" in refused(JSON.stringify, cycle)
    assert refused(JSON.parse, "{").startswith("SyntaxError: ")


def test_what_was_parsed_has_attributes_and_becomes_plain_by_to_py() -> None:
    parsed = JSON.parse('{"a": {"b": [1, {"c": null}]}}')

    assert (parsed.a.b[1].c, parsed.a.b.length) == (None, 2)
    plain = parsed.to_py()
    assert [type(part) for part in (plain, plain["a"], plain["a"]["b"])] == [dict, dict, list]
    assert JSON.parse("[1, 2]", lambda key, item: item if key == "" else item + 1) == [2, 3]


# -- dates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2026", 1767225600000),
        ("2026-02", 1769904000000),
        ("2026-02-03", 1770076800000),
        ("2026-02-03T04:05Z", 1770091500000),
        ("2026-02-03T04:05:06.7891+01:00", 1770087906789),
        ("2026-02-03 04:05", 1770091500000),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 1767225600000),
        ("2026-02-30", 1772409600000),
        ("2026-01-01T24:00:00Z", 1767312000000),
    ],
)
def test_dates_are_parsed_as_v8_parses_them(text: str, time_ms: int) -> None:
    assert Date.parse(text) == time_ms
    assert Date.new(text).getTime() == time_ms


def test_a_date_is_made_and_shown_as_in_javascript() -> None:
    assert (
        Date.new(0).toString()
        == "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)"
    )
    assert Date.new(0).toUTCString() == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert Date.new(1.9).getTime() == 1
    assert Date.new(2026, 0, 31, 25).toISOString() == "2026-02-01T01:00:00.000Z"
    assert Date.UTC(2026, 13, 1) == 1801440000000
    date = Date.new("2026-02-03T04:05:06.789Z")
    parts = (date.getFullYear(), date.getMonth(), date.getDate(), date.getDay())
    assert parts == (2026, 1, 3, 2)
    assert (date.getUTCHours(), date.getMinutes(), date.getMilliseconds()) == (4, 5, 789)
    assert (date.valueOf(), date.constructor.name) == (1770091506789, "Date")


def test_what_is_no_date_is_refused() -> None:
    assert math.isnan(Date.parse("garbage"))
    assert refused(Date.new, "garbage") == "RangeError: Invalid time value"
    assert refused(Date.new, math.nan) == "RangeError: Invalid time value"


def test_the_present_is_simulated() -> None:
    async def main() -> Any:
        await asyncio.sleep(1.5)
        return Date.new().toISOString(), Date.now(), js.performance.now()

    assert inside(main) == ("2026-01-01T00:00:01.500Z", 1767225601500, 1767225601500)
    with pytest.raises(WorldError):
        Date.now()


# -- URLs ------------------------------------------------------------------------------------

PARTS = ("href", "origin", "protocol", "username", "password", "host", "hostname", "port")


@pytest.mark.parametrize(
    ("url", "parts", "rest"),
    [
        (
            "http://Example.com:80/a/../b c?x=1&y=%20é#f",
            ["http://example.com/b%20c?x=1&y=%20%C3%A9#f", "http://example.com", "http:", "",
             "", "example.com", "example.com", ""],
            ["/b%20c", "?x=1&y=%20%C3%A9", "#f", [("x", "1"), ("y", " é")]],
        ),
        (
            "https://user:p%40@h:8443/?",
            ["https://user:p%40@h:8443/?", "https://h:8443", "https:", "user", "p%40",
             "h:8443", "h", "8443"],
            ["/", "", "", []],
        ),
        (
            "http://[::1]:99/p",
            ["http://[::1]:99/p", "http://[::1]:99", "http:", "", "", "[::1]:99", "[::1]",
             "99"],
            ["/p", "", "", []],
        ),
        (
            "http://x/%7Eü?q=ü'\"<>#\"<>`",
            ["http://x/%7E%C3%BC?q=%C3%BC%27%22%3C%3E#%22%3C%3E%60", "http://x", "http:", "",
             "", "x", "x", ""],
            ["/%7E%C3%BC", "?q=%C3%BC%27%22%3C%3E", "#%22%3C%3E%60", [("q", "ü'\"<>")]],
        ),
    ],
)  # fmt: skip
def test_a_url_has_the_parts_that_node_gives_it(
    url: str, parts: list[str], rest: list[Any]
) -> None:
    made = URL.new(url)

    assert [getattr(made, name) for name in PARTS] == parts
    assert [made.pathname, made.search, made.hash, [*made.searchParams]] == rest


@pytest.mark.parametrize(
    ("url", "base", "href"),
    [
        ("/p?q", "http://x/a/b", "http://x/p?q"),
        ("c", "http://x/a/b?z", "http://x/a/c"),
        ("../c", "http://x/a/b/", "http://x/a/c"),
        ("?q=1", "http://x/a/b?z", "http://x/a/b?q=1"),
        ("#h", "http://x/a?z", "http://x/a?z#h"),
        ("//y/z", "https://x/a", "https://y/z"),
        ("", "http://x/a?b#c", "http://x/a?b"),
    ],
)
def test_a_url_may_be_relative_to_another(url: str, base: str, href: str) -> None:
    assert URL.new(url, base).href == href


def test_a_url_changes_with_its_parts() -> None:
    url = URL.new("http://x/p")
    url.searchParams.set("k", "v w")
    assert url.href == "http://x/p?k=v+w"
    url.search = ""
    url.pathname, url.hash, url.hostname, url.port = "/é", "h", "y", "8080"
    url.protocol = "https:"

    assert str(url) == "https://y:8080/%C3%A9#h"
    assert JSON.stringify([url]) == '["https://y:8080/%C3%A9#h"]'
    assert (URL.canParse("foo"), URL.canParse("foo", "http://x")) == (False, True)
    assert refused(URL.new, "foo") == "TypeError: Invalid URL string."


def test_the_fields_of_a_query_repeat_and_keep_their_order() -> None:
    fields = URLSearchParams.new("?a=1&b=2&a=3&c=%zz+1&d")

    assert fields.toString() == "a=1&b=2&a=3&c=%25zz+1&d="
    assert (fields.get("c"), fields.getAll("a"), fields.get("zz")) == (
        "%zz 1",
        ["1", "3"],
        None,
    )
    assert (fields.has("d"), fields.has("a", "3"), fields.size) == (True, True, 5)
    fields.sort()
    assert fields.toString() == "a=1&a=3&b=2&c=%25zz+1&d="
    fields.set("a", "9")
    fields.append("a", 10)
    fields.delete("b")
    assert fields.toString() == "a=9&c=%25zz+1&d=&a=10"
    made = URLSearchParams.new({"a": "1 2", "b": "é&=~*'()!-._"})
    assert made.toString() == "a=1+2&b=%C3%A9%26%3D%7E*%27%28%29%21-._"


def test_the_fields_of_a_query_are_a_body() -> None:
    response = Response(URLSearchParams.new("a=1 2"))

    assert response.headers["content-type"] == "application/x-www-form-urlencoded;charset=UTF-8"
    assert asyncio.run(response.text()) == "a=1+2"


# -- text, crypto, containers ----------------------------------------------------------------


def test_text_is_encoded_and_decoded() -> None:
    assert js.TextEncoder.new().encode("é\ud800") == b"\xc3\xa9\xef\xbf\xbd"
    decoder = js.TextDecoder.new("utf8", stream=True)
    parts = [decoder.decode(b"\xef\xbb\xbf\xc3", {"stream": True}), decoder.decode(b"\xa9")]
    assert parts == ["", "é"]
    assert js.TextDecoder.new("latin1").decode(b"\x80") == "€"
    assert refused(js.TextDecoder.new, "foo") == 'RangeError: "foo" is not a valid encoding.'
    fatal = js.TextDecoder.new("utf-8", fatal=True)
    assert refused(fatal.decode, b"\xff") == "TypeError: Failed to decode input."
    assert (js.btoa("ÿa"), js.atob(" /2E="), js.atob("YQ")) == ("/2E=", "ÿa", "a")
    assert js.encodeURIComponent("a b/é'()*!~") == "a%20b%2F%C3%A9'()*!~"
    assert js.encodeURI("a b/é?&#") == "a%20b/%C3%A9?&#"
    assert js.decodeURIComponent("%C3%A9") == "é"
    assert refused(js.decodeURIComponent, "%ff") == "URIError: URI malformed"
    assert refused(js.btoa, "€").startswith("InvalidCharacterError: btoa() can only operate")
    for text in ("*", "a", "YQ="):
        assert refused(js.atob, text).startswith("InvalidCharacterError: atob() called with")


def test_digests_and_hmac_are_those_of_web_crypto() -> None:
    subtle, encoder = js.crypto.subtle, js.TextEncoder.new()

    async def main() -> Any:
        digest = await subtle.digest({"name": "sha-256"}, b"")
        algorithm = {"name": "HMAC", "hash": "SHA-256"}
        key = await subtle.importKey("raw", encoder.encode("k"), algorithm, False, ["sign"])
        signature = await subtle.sign("HMAC", key, encoder.encode("m"))
        with pytest.raises(JsException, match='Requested key usage "verify" does not match'):
            await subtle.verify("HMAC", key, signature, b"m")
        both = await subtle.importKey("raw", b"k", algorithm, True, ["verify"])
        verified = [await subtle.verify("HMAC", both, signature, data) for data in (b"m", b"n")]
        with pytest.raises(JsException, match="NotSupportedError: Unrecognized or unimpl"):
            await subtle.digest("foo", b"")
        with pytest.raises(JsException, match="use a Python library for it"):
            await subtle.importKey("jwk", {}, "RSA-OAEP", False, [])
        return digest.hex()[:8], js.btoa(signature.decode("latin-1")), verified

    assert inside(main) == (
        "e3b0c442",
        "tgCQ4wUil661oICInOL8S8qVfnVvrrTffTGADKHncew=",
        [True, False],
    )
    assert js.crypto.subtle.timingSafeEqual(b"a", b"a")
    assert "must have the same byte length" in refused(subtle.timingSafeEqual, b"a", b"ab")


def test_random_values_obey_the_seed() -> None:
    async def main() -> Any:
        filled = bytearray(8)
        js.crypto.getRandomValues(filled)
        with pytest.raises(JsException, match="QuotaExceededError: getRandomValues"):
            js.crypto.getRandomValues(bytearray(65_537))
        return bytes(filled), js.crypto.getRandomValues(js.Uint8Array(8))

    assert (
        emulator.run(main, seed=1) == emulator.run(main, seed=1) != emulator.run(main, seed=2)
    )


def test_containers_are_pythons_with_javascripts_names() -> None:
    value = Object.fromEntries([("b", 1), ("1", 2)])

    assert (value.b, Object.keys(value), Object.values(value)) == (1, ["1", "b"], [2, 1])
    assert Object.entries(value).to_py() == [["1", 2], ["b", 1]]
    assert Object.fromEntries(js.Map.new({"a": 1}.items())).object_keys() == ["a"]
    assert Object.assign(Object.new(a=1), {"b": 2}, None) == {"a": 1, "b": 2}
    assert js.Array.of(1, 2).length == js.Array.new(2).length == 2
    assert js.Array.from_("ab", lambda item, index: f"{item}{index}") == ["a0", "b1"]
    assert (js.Array.isArray([]), js.Array.isArray({})) == (True, False)
    assert js.Array.new(1, 2).push(3) == 3
    copy = js.structuredClone(value)
    assert copy == value
    assert copy is not value


def test_errors_are_made_to_be_raised() -> None:
    error = js.TypeError.new("bad", {"cause": 1})

    assert isinstance(error, TypeError)
    assert (str(error), error.properties) == ("TypeError: bad", {"cause": 1})
    assert str(js.Error.new("x")) == "Error: x"


# -- timers ----------------------------------------------------------------------------------


def test_timers_fire_in_order_on_the_simulated_clock() -> None:
    async def main() -> Any:
        begun_ms, lines = Date.now(), []

        def tell(*words: Any) -> None:
            lines.append((Date.now() - begun_ms, *words))

        async def later(word: str) -> None:
            await asyncio.sleep(0.01)
            tell(word)

        js.setTimeout(create_proxy(tell), 20, "b", 1)
        js.setTimeout(later, 5.9, "async")
        js.setTimeout(tell, -1, "now")
        js.queueMicrotask(lambda: tell("microtask"))
        stopped = js.setTimeout(tell, 1, "never")
        interval = js.setInterval(tell, 8, "tick")
        js.clearTimeout(stopped)
        js.clearTimeout(None)
        await js.scheduler.wait(30)
        js.clearInterval(interval)
        await js.scheduler.wait(100)
        return lines

    assert inside(main) == [
        (0, "microtask"),
        (0, "now"),
        (8, "tick"),
        (15, "async"),
        (16, "tick"),
        (20, "b", 1),
        (24, "tick"),
    ]
    assert refused(js.setTimeout, "code", 1) == (
        "TypeError: Failed to execute 'setTimeout' on 'ServiceWorkerGlobalScope': parameter 1 "
        "is not of type 'function'."
    )


class Ticker(DurableObject):
    async def break_later(self) -> None:
        async def broken() -> None:
            raise ValueError("async")

        js.setTimeout(lambda: [].pop(), 1)
        js.setTimeout(broken, 2)

    async def start(self) -> None:
        js.setTimeout(self.tick, 1_000)

    async def tick(self) -> None:
        await self.ctx.storage.put("ticked", js.Date.now())

    async def ticked(self) -> Any:
        return await self.ctx.storage.get("ticked")


def test_a_timer_of_an_object_runs_as_its_code() -> None:
    async def main() -> Any:
        async with emulator.Miniflare(worker=Ticker, durable_objects={"T": "Ticker"}) as mf:
            stub = mf.get_durable_object_namespace("T").getByName("a")
            await stub.start()
            begun_ms = mf.clock.now_ms
            await mf.run_until_idle()
            return await stub.ticked() - begun_ms

    assert emulator.run(main) == 1_000


def test_an_error_in_a_timer_concerns_nobody_and_is_told() -> None:
    async def main() -> Any:
        async with emulator.Miniflare(worker=Ticker, durable_objects={"T": "Ticker"}) as mf:
            stub = mf.get_durable_object_namespace("T").getByName("a")
            await stub.break_later()
            await mf.run_until_idle()
            kinds = [event.kind for event in mf.trace.events if event.kind.startswith("timer.")]
            return await stub.ticked(), kinds, [(r.level, r.message) for r in mf.logs]

    assert emulator.run(main) == (
        None,
        ["timer.failed", "timer.failed"],
        [
            ("ERROR", "Uncaught IndexError: pop from empty list"),
            ("ERROR", "Uncaught ValueError: async"),
        ],
    )


def test_a_signal_aborts_once_and_keeps_its_reason() -> None:
    controller, heard = js.AbortController.new(), []
    controller.signal.addEventListener("abort", lambda event: heard.append(event.type))
    either = js.AbortSignal.any([controller.signal])
    controller.signal.throwIfAborted()
    controller.abort()
    controller.abort("again")

    assert heard == ["abort"]
    assert refused(controller.signal.throwIfAborted) == "AbortError: The operation was aborted"
    assert (either.aborted, js.AbortSignal.abort("why").reason) == (True, "why")

    async def main() -> str:
        signal = js.AbortSignal.timeout(5)
        await js.scheduler.wait(6)
        return str(signal.reason)

    assert inside(main) == "TimeoutError: The operation was aborted due to timeout"


# -- fetch -----------------------------------------------------------------------------------


class Asker(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        answer = await js.fetch(
            js.URL.new("/a", "https://out"), {"method": "POST", "body": "x"}
        )
        data = (await answer.json()).to_py()
        pairs = [(name, value) for name, value in answer.headers]
        return js.Response.new(
            JSON.stringify([data, pairs]), headers=js.Headers.new({"x": "y"}), status=201
        )


def test_javascripts_fetch_gives_objects_and_headers_are_pairs() -> None:
    async def outbound(request: Any) -> Any:
        return Response.json({"got": await request.text()})

    async def main() -> Any:
        async with emulator.Miniflare(worker=Asker, outbound_service=outbound) as mf:
            response = await mf.dispatch_fetch("http://x/")
            return response.status_code, response.headers["x"], response.json()

    assert emulator.run(main) == (
        201,
        "y",
        [{"got": "x"}, [["content-type", "application/json"]]],
    )


@pytest.mark.parametrize(
    ("source", "content"),
    [(3, b"\0\0\0"), (b"ab", b"ab"), (bytearray(b"ab"), b"ab"), ([1, 257, -1], b"\1\1\xff")],
)
def test_a_uint8_array_is_made_of_a_length_of_bytes_or_of_numbers(
    source: Any, content: bytes
) -> None:
    array = js.Uint8Array.new(source)

    assert array == content
    assert array.constructor.name == "Uint8Array"


def test_a_uint8_array_has_no_negative_length() -> None:
    with pytest.raises(JsException, match="Invalid typed array length: -1"):
        js.Uint8Array.new(-1)
