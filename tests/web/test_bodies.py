"""Headers, Request, Response. Texts are those measured on workerd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.web.headers import Headers
from emulator.web.request import Request
from emulator.web.response import Response
from emulator.web.streams import ReadableStream
from emulator.web.url import _NORMAL


def test_headers_iterate_sorted_in_lower_case_with_cookies_apart() -> None:
    headers = Headers(
        [("B", "1"), ("a", "2"), ("b", "3"), ("Set-Cookie", "x"), ("set-cookie", "y")]
    )

    assert headers.items() == [
        ("a", "2"),
        ("b", "1, 3"),
        ("set-cookie", "x"),
        ("set-cookie", "y"),
    ]
    assert headers.getSetCookie() == headers.getAll("Set-Cookie") == ["x", "y"]
    assert headers["B"] == "1, 3"
    assert "A" in headers


@pytest.mark.parametrize("value", ["b\nc", "b\rc", "b\0c", "a\r\nset-cookie: x"])
def test_a_header_value_cannot_smuggle_a_line(value: str) -> None:
    with pytest.raises(TypeError, match=r"Invalid header value\."):
        Headers({"a": value})


def test_a_header_name_with_a_space_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Invalid header name\."):
        Headers({"a b": "c"})


def test_five_thousand_headers_are_kept() -> None:
    assert len(Headers({f"x{n}": "v" for n in range(5_000)})) == 5_000


def test_a_body_is_read_once() -> None:
    async def main() -> None:
        response = Response("x")
        assert await response.text() == "x"
        assert response.body_used
        text = r"Body has already been used\. It can only be used once\."
        with pytest.raises(TypeError, match=text):
            await response.text()
        with pytest.raises(OSError, match=text):
            await response.bytes()

    asyncio.run(main())


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_null_body_status_refuses_a_body(status: int) -> None:
    with pytest.raises(TypeError, match="null body status"):
        Response("x", status=status)
    assert Response("", status=status).body is None


@pytest.mark.parametrize("status", [42, 100, 101, 199, 600])
def test_a_status_outside_200_to_599_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match="in the range 200 to 599, inclusive"):
        Response(None, status=status)


@pytest.mark.parametrize("method", ["GET", "HEAD", None])
def test_get_and_head_refuse_a_body(method: Any) -> None:
    with pytest.raises(TypeError, match="GET or HEAD method cannot have a body"):
        Request("http://x/", method=method, body="")


def test_content_types_default_as_on_the_platform() -> None:
    assert Response("x").headers["content-type"] == "text/plain;charset=UTF-8"
    assert "content-type" not in Response(b"x").headers
    assert Response.json({"a": 1}).headers["content-type"] == "application/json"


def test_a_clone_is_read_apart_from_its_original() -> None:
    async def main() -> None:
        stream = ReadableStream({"start": lambda c: (c.enqueue(b"ab"), c.close())})
        response = Response(stream)
        other = response.clone()

        assert await response.text() == await other.text() == "ab"

    asyncio.run(main())


def test_a_copied_request_takes_the_body_along() -> None:
    async def main() -> None:
        first = Request("http://x/", method="POST", body="hi", headers={"a": "b"})
        second = Request(first, headers={"c": "d"})

        assert first.body_used
        assert await second.text() == "hi"
        assert second.headers.items() == [("c", "d")]

    asyncio.run(main())


def test_a_stream_that_was_read_is_no_body() -> None:
    async def main() -> None:
        stream = ReadableStream.from_bytes(b"x")
        await stream.read_all()
        with pytest.raises(TypeError, match="cannot be used as a body"):
            Response(stream)

    asyncio.run(main())


def test_urls_take_their_normal_form() -> None:
    assert Request("HTTP://EXAMPLE.com:80/a/../b#frag").url == "http://example.com/b#frag"
    assert Request("http://x/a b?q=é").url == "http://x/a%20b?q=%C3%A9"
    with pytest.raises(TypeError, match="Invalid URL: nope"):
        Request("nope")


def test_a_redirect_needs_an_absolute_url_and_a_redirect_status() -> None:
    assert Response.redirect("http://a/b").headers["location"] == "http://a/b"
    with pytest.raises(TypeError, match="Unable to parse URL: /x"):
        Response.redirect("/x")
    with pytest.raises(ValueError, match="200 is not a redirect status code"):
        Response.redirect("http://a/", 200)


def test_bytes_and_text_have_a_known_length() -> None:
    body = Response("héy").body
    assert body is not None
    assert body.known_length == 4


@given(st.from_regex(_NORMAL, fullmatch=True))
def test_a_url_in_its_normal_form_is_left_as_it_is(url):
    # An empty fragment is kept (measured on workerd), and sends the URL the long way.
    assert Request(url).url == url
    assert Request(url + "#").url == url + "#"
