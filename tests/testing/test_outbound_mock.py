"""The laws of the outbound mock."""

from __future__ import annotations

import asyncio
import inspect
import re
import textwrap
from datetime import timedelta

import pytest
from js import TransformStream
from workers import Request, Response, WorkerEntrypoint, fetch

import emulator
from emulator.errors import JsException
from emulator.testing import OutboundMock, OutboundMockError

API = "https://api.example.com"


class Default(WorkerEntrypoint):
    """Asks what the path says, and tells what came back."""

    async def fetch(self, request):
        kind = request.url.rpartition("/")[2]
        if kind == "auth":
            return await self.env.AUTH.fetch("http://auth/verify", method="POST", body="token")
        try:
            return await fetch(f"{API}/users/7")
        except Exception as error:
            return Response(f"{type(error).__name__}: {error}", status=500)


@pytest.fixture
def mock():
    return OutboundMock()


async def ask(mock, method="GET", url=f"{API}/users/7", **options):
    return await mock(Request(url, method=method, **options))


async def fits(route_options, method="GET", url=f"{API}/users/7", **options):
    mock = OutboundMock()
    mock.route(**{"method": "GET", "url": f"{API}/users/7", **route_options})
    try:
        await ask(mock, method, url, **options)
    except OutboundMockError:
        return False
    return True


# -- in a world ------------------------------------------------------------------------------


def test_the_example_of_the_docstring_runs():
    _, example, _ = re.split(
        r"(?s)((?:    .*\n|\n)+)(?=As a context)", inspect.getdoc(OutboundMock), maxsplit=1
    )
    exec(textwrap.dedent(example), {})


@pytest.mark.simulated
async def test_a_mock_answers_what_leaves_the_worker():
    with OutboundMock() as mock:
        mock.get(f"{API}/users/*").reply(201, json={"name": "Ada"}, headers={"x-a": "1"})
        async with emulator.Miniflare(worker=Default, outbound_service=mock) as mf:
            response = await mf.dispatch_fetch("http://localhost/")
    assert (response.status_code, response.json()) == (201, {"name": "Ada"})
    assert response.headers["x-a"] == "1"
    assert response.headers["content-type"] == "application/json"


@pytest.mark.simulated
async def test_a_mock_answers_for_a_service_binding():
    with OutboundMock() as mock:
        mock.post("/verify", body="token").reply(json={"user_id": "u1"})
        async with emulator.Miniflare(worker=Default, service_bindings={"AUTH": mock}) as mf:
            response = await mf.dispatch_fetch("http://localhost/auth")
    assert response.json() == {"user_id": "u1"}


@pytest.mark.simulated
async def test_a_redirect_is_followed_to_the_next_route():
    with OutboundMock() as mock:
        mock.get("/users/7").reply(302, headers={"location": "/users/8"})
        mock.get("/users/8").reply(body="there")
        async with emulator.Miniflare(worker=Default, outbound_service=mock) as mf:
            assert (await mf.dispatch_fetch("http://localhost/")).text == "there"


@pytest.mark.simulated
async def test_a_delay_is_of_simulated_time(mock):
    mock.get("/users/7").delay(timedelta(minutes=5))
    async with emulator.Miniflare(worker=Default, outbound_service=mock) as mf:
        await mf.dispatch_fetch("http://localhost/")
        assert 300_000 <= mf.clock.elapsed_ms < 300_100


def test_a_mock_answers_on_a_real_loop_too(mock):
    mock.get("/users/7").reply(204)
    assert asyncio.run(ask(mock)).status == 204


@pytest.mark.simulated
async def test_an_error_is_raised_in_the_worker(mock):
    mock.get("/users/7").fail()
    mock.get("/users/7").fail(JsException("no route to host"))
    async with emulator.Miniflare(worker=Default, outbound_service=mock) as mf:
        lost = await mf.dispatch_fetch("http://localhost/")
        assert lost.text == "JsException: Error: Network connection lost."
        refused = await mf.dispatch_fetch("http://localhost/")
        assert refused.text == "JsException: Error: no route to host"


@pytest.mark.simulated
async def test_an_unmatched_request_is_one_clear_error_also_if_the_worker_swallows_it():
    mock = OutboundMock()
    mock.post(f"{API}/users/7", json={"a": 1}, headers={"x": re.compile("y")}).persist()
    mock.get("/other", query={"page": "2"}).times(3)
    async with emulator.Miniflare(worker=Default, outbound_service=mock) as mf:
        response = await mf.dispatch_fetch("http://localhost/")

    url = f"{API}/users/7"
    routes = [
        f"POST {url} headers={{'x': 'y'}} json={{'a': 1}} (used 0 of any number of times)",
        "GET /other query={'page': '2'} (used 0 of 3 times)",
    ]
    assert response.text.splitlines() == [
        f"OutboundMockError: the OutboundMock has no route for GET {url}; its routes are:",
        f"  {routes[0]}",
        f"  {routes[1]}",
    ]
    with pytest.raises(OutboundMockError) as caught:
        mock.assert_all_used()
    assert str(caught.value).splitlines() == [
        "the OutboundMock was not used as its routes say:",
        f"  nothing answered GET {url}",
        f"  not used: {routes[0]}",
        f"  not used: {routes[1]}",
    ]


# -- what fits -------------------------------------------------------------------------------


@pytest.mark.simulated
@pytest.mark.parametrize(
    ("route", "request_options", "is_fit"),
    [
        ({}, {}, True),
        ({}, {"method": "POST"}, False),
        ({"method": None}, {"method": "DELETE"}, True),
        ({"method": "get"}, {}, True),
        ({}, {"url": f"{API}/users/8"}, False),
        ({}, {"url": f"{API}/users/7?page=1#top"}, True),
        ({"url": f"{API}/users/7?page=1"}, {"url": f"{API}/users/7?page=1"}, True),
        ({"url": f"{API}/users/7?page=1"}, {"url": f"{API}/users/7?page=2"}, False),
        ({"url": f"{API}/users/7?page=*"}, {"url": f"{API}/users/7?page=2"}, True),
        ({"url": "HTTPS://API.example.com:443"}, {"url": f"{API}/"}, True),
        ({"url": "HTTPS://API.example.com:443/*"}, {}, True),
        ({"url": f"{API}/*/7"}, {}, True),
        ({"url": "https://*.example.com/users/7"}, {}, True),
        (
            {"url": "https://*.example.com/*"},
            {"url": "https://evil.test/a.example.com/"},
            False,
        ),
        ({"url": "https://example.*/"}, {"url": "https://example.com/"}, True),
        ({"url": "https://münchen.example/ü *"}, {"url": "https://münchen.example/ü x"}, True),
        ({"url": "/ü"}, {"url": f"{API}/%C3%BC"}, True),
        ({"url": "/a/../b"}, {"url": f"{API}/b"}, True),
        ({"url": "//b"}, {"url": f"{API}//b"}, True),
        ({"url": "/to/https://b/*"}, {"url": f"{API}/to/https://b/c"}, True),
        ({"url": f"{API}/users/7#top"}, {}, True),
        ({"url": f"{API}/users/*#top"}, {"url": f"{API}/users/7#end"}, True),
        ({"url": f"{API}./users/7"}, {}, False),
        ({"url": f"{API}/users/[0-9]"}, {}, False),
        ({"url": "*"}, {}, True),
        ({"url": "/users/7"}, {}, True),
        ({"url": "/users"}, {}, False),
        ({"url": re.compile(r"/users/\d$")}, {}, True),
        ({"url": re.compile(r"^/users")}, {}, False),
        ({"query": {"page": "2"}}, {"url": f"{API}/users/7?a=&page=1&page=2"}, True),
        ({"query": {"page": "2"}}, {"url": f"{API}/users/7?page=22"}, False),
        ({"query": {"page": re.compile("2")}}, {"url": f"{API}/users/7?page=22"}, True),
        ({"query": {"page": "2"}}, {}, False),
        ({"headers": {"X-A": "1"}}, {"headers": {"x-a": "1", "b": "2"}}, True),
        ({"headers": {"X-A": "1"}}, {"headers": {"x-a": "12"}}, False),
        ({"headers": {"authorization": re.compile("^Bearer ")}}, {}, False),
    ],
)
async def test_a_request_fits_by_method_url_query_and_headers(route, request_options, is_fit):
    assert await fits(route, **request_options) is is_fit


@pytest.mark.simulated
@pytest.mark.parametrize(
    ("pattern", "body", "is_fit"),
    [
        ({"body": "abc"}, "abc", True),
        ({"body": "abc"}, "abcd", False),
        ({"body": b"\xff"}, b"\xff", True),
        ({"body": b"\xff"}, b"\xfe", False),
        ({"body": re.compile("b")}, "abc", True),
        ({"body": re.compile("x")}, b"\xff", False),
        ({"body": lambda text: len(text) > 2}, "abc", True),
        ({"body": lambda text: len(text) > 2}, "ab", False),
        ({"json": {"b": [1], "a": None}}, '{"a": null, "b": [1]}', True),
        ({"json": {"a": 1}}, '{"a": 1, "b": 2}', False),
        ({"json": {"a": 1}}, "{", False),
        ({"json": {"a": 1, "b": True}}, '{"b": true, "a": 1.0}', True),
        ({"json": {"a": 1}}, '{"a": true}', False),
        ({"json": {"a": 1}}, "[" * 100_000, False),
        ({"json": None}, "null", True),
        ({"json": None}, "", False),
        ({"json": {"a": 1}}, b"\xff\xfe{", False),
    ],
)
async def test_a_request_fits_by_its_body(pattern, body, is_fit):
    assert await fits({"method": "POST", **pattern}, "POST", body=body) is is_fit


# -- how often, in which order ---------------------------------------------------------------


@pytest.mark.simulated
async def test_routes_answer_in_the_order_in_which_they_were_made(mock):
    mock.get("/users/7").reply(201)
    mock.get("/users/*").reply(202).times(2)
    mock.get("*").reply(203).persist()
    statuses = [(await ask(mock)).status for _ in range(5)]
    assert statuses == [201, 202, 202, 203, 203]
    mock.assert_all_used()


@pytest.mark.simulated
async def test_a_route_answers_once_unless_told_otherwise(mock):
    mock.get("/users/7")
    response = await ask(mock)
    assert (response.status, await response.text()) == (200, "")
    with pytest.raises(OutboundMockError, match=r"GET /users/7 \(used 1 of 1 times\)"):
        await ask(mock)


@pytest.mark.simulated
async def test_requests_must_come_in_order_if_asked_for():
    mock = OutboundMock(in_order=True)
    mock.get("/a")
    mock.get("/b").persist()
    mock.get("/c")
    with pytest.raises(OutboundMockError, match="its routes, in this order, are"):
        await ask(mock, url=f"{API}/b")
    for path in ("a", "b", "b", "c", "b"):
        await ask(mock, url=f"{API}/{path}")
    with pytest.raises(OutboundMockError):
        await ask(mock, url=f"{API}/a")


def test_the_end_of_a_block_fails_if_a_route_was_not_used_often_enough(mock):
    async def once():
        with mock:
            mock.get("/users/7").times(2)
            await ask(mock)

    with pytest.raises(
        OutboundMockError, match=r"not used: GET /users/7 \(used 1 of 2 times\)"
    ):
        emulator.run(once)


def test_an_error_of_the_block_is_not_hidden_by_what_was_not_used(mock):
    mock.get("/users/7")
    with pytest.raises(KeyError), mock:
        raise KeyError


def test_what_nothing_answered_is_told_also_of_work_behind_the_answer():
    class Later(WorkerEntrypoint):
        async def fetch(self, request):
            self.ctx.waitUntil(fetch(f"{API}/seen"))
            self.ctx.waitUntil(fetch(f"{API}/seen"))
            return Response("")

    async def main():
        with OutboundMock() as mock:
            async with emulator.Miniflare(worker=Later, outbound_service=mock) as mf:
                await mf.dispatch_fetch("http://localhost/")
                await mf.run_until_idle()

    with pytest.raises(
        OutboundMockError, match=r"nothing answered GET https://api.*/seen \(2 times\)"
    ):
        emulator.run(main)


@pytest.mark.simulated
async def test_two_requests_at_once_do_not_share_one_answer(mock):
    mock.get("/users/7").delay(1_000)
    answers = await asyncio.gather(ask(mock), ask(mock), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Response, OutboundMockError]


@pytest.mark.simulated
async def test_an_answer_that_nobody_waits_for_any_more_is_used_up(mock):
    mock.get("/users/7").delay(1_000)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(mock), 0.5)
    mock.assert_all_used()


@pytest.mark.simulated
async def test_one_mock_answers_for_two_worlds():
    with OutboundMock() as mock:
        mock.get("/users/7").reply(201)
        mock.get("/users/7").reply(202)
        async with (
            emulator.Miniflare(worker=Default, outbound_service=mock) as one,
            emulator.Miniflare(worker=Default, outbound_service=mock) as two,
        ):
            answers = [await mf.dispatch_fetch("http://localhost/") for mf in (one, two)]
    assert [answer.status_code for answer in answers] == [201, 202]


# -- replies and calls -----------------------------------------------------------------------


@pytest.mark.simulated
async def test_a_reply_may_have_a_header_twice(mock):
    cookies = [("set-cookie", "a=1"), ("set-cookie", "b=2")]
    mock.get("/users/7").reply(headers=iter(cookies)).times(2)
    for _ in range(2):
        assert list((await ask(mock)).headers.items()) == cookies


@pytest.mark.simulated
async def test_a_body_that_streams_is_read_to_its_end_before_it_is_compared(mock):
    mock.post("/users/7", body="abcd")
    mock.post("/users/7").reply_with(lambda request: Response(request.body))
    for text in ("abcd", "abcde"):
        pair = TransformStream.new()
        asking = asyncio.ensure_future(ask(mock, "POST", body=pair.readable))
        writer = pair.writable.getWriter()
        for letter in text:
            await writer.write(letter.encode())
        await writer.close()
        answer = await asking
    assert await answer.text() == "abcde"
    assert [call.text for call in mock.calls] == ["abcd", "abcde"]


@pytest.mark.simulated
async def test_a_function_answers_with_the_request_still_to_read(mock):
    async def echo(request):
        return Response(await request.text(), status=202)

    mock.post("/users/7").reply_with(echo)
    mock.post("/users/7").reply_with(lambda request: Response(request.url))
    first, second = await ask(mock, "POST", body="abc"), await ask(mock, "POST", body="abc")
    assert (first.status, await first.text()) == (202, "abc")
    assert await second.text() == f"{API}/users/7"


@pytest.mark.simulated
async def test_a_function_that_gives_no_response_is_named(mock):
    mock.get("/users/7").reply_with(lambda request: {"a": 1})
    with pytest.raises(
        TypeError, match=r"the route GET /users/7 answered with {'a': 1}, not a"
    ):
        await ask(mock)


@pytest.mark.simulated
async def test_each_answer_is_a_response_of_its_own(mock):
    mock.get("/users/7").reply(body="abc").persist()
    assert await (await ask(mock)).text() == "abc"
    assert await (await ask(mock)).text() == "abc"


@pytest.mark.simulated
async def test_calls_are_kept_with_what_was_sent(mock):
    route = mock.post("/users/7")
    await ask(mock, "POST", body="é", headers={"x-a": "1"})
    with pytest.raises(OutboundMockError):
        await ask(mock)

    first, second = mock.calls
    assert (first.request.headers.get("x-a"), first.text, first.route) == ("1", "é", route)
    assert (second.body, second.route) == (b"", None)
    assert (route.call_count, route.is_pending) == (1, False)


# -- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mistake", "error", "words"),
    [
        (lambda mock: mock.get("users"), ValueError, "an absolute URL, or a path"),
        (lambda mock: mock.get("http://[x/"), ValueError, "takes a URL"),
        (lambda mock: mock.get(5), TypeError, "as text or as a regular expression, got 5"),
        (lambda mock: mock.route(5, "/"), TypeError, "a method such as 'GET' or None, got 5"),
        (lambda mock: mock.get("/", query="a=1"), TypeError, "query as a dict"),
        (lambda mock: mock.get("/", query={"a": 1}), TypeError, "query as a dict of texts"),
        (lambda mock: mock.get("/", headers={"a": re.compile(b"")}), TypeError, "headers as"),
        (lambda mock: mock.post("/", body={"a": 1}), TypeError, "body as text, bytes, pattern"),
        (lambda mock: mock.post("/", json={1, 2}), TypeError, "not JSON serializable"),
        (lambda mock: mock.get("https://a:*/"), ValueError, "star may be in the host, path"),
        (lambda mock: mock.get("/").fail("no"), TypeError, "takes an exception, got 'no'"),
        (lambda mock: mock.get("/").times(True), ValueError, "at least 1, got True"),
        (lambda mock: mock.post("/", body="", json=1), TypeError, "body or json, not both"),
        (
            lambda mock: mock.get("/").reply(body="", json=1),
            TypeError,
            "body or json, not both",
        ),
        (lambda mock: mock.get("/").reply(99), ValueError, "in the range 200 to 599"),
        (lambda mock: mock.get("/").reply(body=5), TypeError, "."),
        (lambda mock: mock.get("/").reply(json={1, 2}), TypeError, "not JSON serializable"),
        (lambda mock: mock.get("/").reply_with(Response()), TypeError, "takes a function of"),
        (lambda mock: mock.get("/").times(0), ValueError, "a count of at least 1, got 0"),
        (lambda mock: mock.get("/").delay(-1), ValueError, "."),
    ],
)
def test_a_mistake_is_named_where_it_is_made(mock, mistake, error, words):
    with pytest.raises(error, match=words):
        mistake(mock)
