"""Redirects are followed as workerd follows them (measured on workerd of April 2026)."""

from __future__ import annotations

import pytest
from js import FixedLengthStream
from workers import Request, Response

from emulator.errors import JsTypeError
from emulator.web.redirects import REDIRECTS_MAX, fetch_followed

HERE = "https://x.example/r1"


class Site:
    """Answers with a redirect once, and keeps what it was asked."""

    def __init__(self, status, location):
        self.redirect = Response(None, status=status, headers={"location": location})
        self.asked = []

    async def __call__(self, request):
        self.asked.append((str(request.method), request.url, await request.text()))
        self.headers = request.headers
        return self.redirect if len(self.asked) == 1 else Response("there")


@pytest.mark.simulated
@pytest.mark.parametrize(
    ("status", "method", "location", "next_asked"),
    [
        (302, "GET", "/r2?x#f", ("GET", "https://x.example/r2?x", "")),
        (301, "GET", "//y.example", ("GET", "https://y.example/", "")),
        (302, "POST", "r2", ("GET", "https://x.example/r2", "")),
        (303, "PUT", "r2", ("GET", "https://x.example/r2", "")),
        (302, "PUT", "r2", ("PUT", "https://x.example/r2", "b")),
        (303, "HEAD", "r2", ("HEAD", "https://x.example/r2", "")),
        (307, "POST", "https://y.example/", ("POST", "https://y.example/", "b")),
        (308, "POST", "?", ("POST", HERE, "b")),
    ],
)
async def test_an_answer_with_a_location_is_followed(status, method, location, next_asked):
    site = Site(status, location)
    body = None if method in ("GET", "HEAD") else "b"
    answer = await fetch_followed(Request(HERE, method=method, body=body), site)
    assert site.asked == [(method, HERE, body or ""), next_asked]
    assert (answer.url, answer.redirected) == (next_asked[1], True)
    assert await answer.text() == ("" if method == "HEAD" else "there")


@pytest.mark.simulated
@pytest.mark.parametrize(
    ("status", "location", "redirect"),
    [
        (302, "/r2", "manual"),
        (304, "/r2", "follow"),
        (200, "/r2", "follow"),
        (302, "", "follow"),
    ],
)
async def test_whoever_asks_for_the_redirect_itself_gets_it(status, location, redirect):
    site = Site(status, location)
    answer = await fetch_followed(Request(HERE, redirect=redirect), site)
    assert (answer.status, answer.url, answer.redirected) == (status, HERE, False)


@pytest.mark.simulated
@pytest.mark.parametrize(
    ("location", "is_told"),
    [
        ("/r2", True),
        ("https://x.example:443/r2", True),
        ("https://y.example", False),
        ("http://x.example/r2", False),
    ],
)
async def test_another_origin_is_not_told_the_authorization(location, is_told):
    site = Site(302, location)
    await fetch_followed(Request(HERE, headers={"authorization": "secret", "a": "1"}), site)
    assert (site.headers.get("a"), site.headers.has("authorization")) == ("1", is_told)


@pytest.mark.simulated
async def test_a_redirect_without_end_is_an_error_that_lists_the_way():
    asked = []

    async def loop(request):
        asked.append(request.url)
        return Response(None, status=302, headers={"location": HERE})

    with pytest.raises(JsTypeError) as caught:
        await fetch_followed(Request(HERE), loop)
    assert len(asked) == REDIRECTS_MAX + 1 == 21
    assert caught.value.message == f"Too many redirects.{', '.join(asked)}"


@pytest.mark.simulated
@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("http://[", "Invalid Location header; unable to follow redirect."),
        ("ftp://a/", "Fetch API cannot load: ftp://a/"),
    ],
)
async def test_a_location_that_leads_nowhere_is_an_error(location, text):
    with pytest.raises(JsTypeError) as caught:
        await fetch_followed(Request(HERE), Site(302, location))
    assert caught.value.message == text


@pytest.mark.simulated
@pytest.mark.parametrize("status", [301, 302, 303, 307])
async def test_a_stream_cannot_be_sent_again(status):
    pair = FixedLengthStream.new(1)
    writer = pair.writable.getWriter()
    sent = [writer.write(b"b"), writer.close()]
    asking = fetch_followed(
        Request(HERE, method="POST", body=pair.readable), Site(status, "/r2")
    )
    if status == 303:
        assert await (await asking).text() == "there"
    else:
        with pytest.raises(JsTypeError, match="one-time-use body"):
            await asking
    for written in sent:
        await written
