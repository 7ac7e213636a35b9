"""What goes over the wire between httpx and a worker; compared with workerd's own sockets."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workers import Response

import emulator
from emulator.web.streams import FixedLengthStream, ReadableStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import httpx


def world(on_fetch: Any) -> emulator.Miniflare:
    made = ModuleType("made")
    made.on_fetch = on_fetch  # type: ignore[attr-defined]
    return emulator.Miniflare(worker=made)


def exchange(on_fetch: Any, use: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with world(on_fetch) as mf, mf.client() as client:
            return await use(client)

    return emulator.run(main)


def get(make: Callable[[], Any], method: str = "GET") -> httpx.Response:
    def on_fetch(request: Any) -> Any:
        return make()

    return exchange(on_fetch, lambda client: client.request(method, "/"))


def stream_of(*chunks: bytes) -> ReadableStream:
    def start(controller: Any) -> None:
        for chunk in chunks:
            controller.enqueue(chunk)
        controller.close()

    return ReadableStream({"start": start})


# -- answers ---------------------------------------------------------------------------------


def test_every_header_comes_back_and_every_cookie_apart() -> None:
    answer = get(
        lambda: Response(
            "x",
            status=201,
            headers=[("x-a", "1"), ("x-a", "2"), ("set-cookie", "a=1"), ("set-cookie", "b=2")],
        )
    )

    assert answer.headers.multi_items() == [
        ("content-type", "text/plain;charset=UTF-8"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-a", "1, 2"),
        ("content-length", "1"),
    ]


@pytest.mark.parametrize(
    ("make", "length"),
    [
        (lambda: Response("héy"), "4"),
        (lambda: Response(None), "0"),
        (lambda: Response(None, headers={"content-length": "7"}), "0"),
        (lambda: Response("hello", headers={"content-length": "3"}), "5"),
        (lambda: Response(stream_of(b"ab")), None),
        (lambda: Response(stream_of(b"ab"), headers={"content-length": "2"}), None),
        (lambda: Response(None, status=204), None),
        (lambda: Response(None, status=304, headers={"content-length": "7"}), None),
    ],
)
def test_the_length_is_the_bodys_whatever_the_worker_wrote(
    make: Callable[[], Any], length: str | None
) -> None:
    assert get(make).headers.get("content-length") == length


def test_a_stream_of_known_length_tells_it() -> None:
    def make() -> Any:
        pair = FixedLengthStream(2)
        writer = pair.writable.getWriter()
        writer.write(b"st")
        writer.close()
        return Response(pair.readable)

    answer = get(make)

    assert (answer.headers["content-length"], answer.text) == ("2", "st")


def test_a_head_request_gets_the_headers_and_no_body() -> None:
    answer = get(lambda: Response("hello", headers={"content-length": "99"}), "HEAD")

    assert answer.content == b""
    assert answer.headers["content-length"] == "99"
    assert "content-length" not in get(lambda: Response("hello"), "HEAD").headers


@pytest.mark.parametrize("name", ["transfer-encoding", "connection", "keep-alive", "upgrade"])
def test_what_is_about_the_connection_is_not_the_workers_to_say(name: str) -> None:
    assert name not in get(lambda: Response("x", headers={name: "close"})).headers


@pytest.mark.parametrize(
    ("status", "text", "phrase"),
    [(299, "", "Successful"), (299, "Yo", "Yo"), (404, "", "Not Found")],
)
def test_the_reason_phrase_travels(status: int, text: str, phrase: str) -> None:
    answer = get(lambda: Response("x", status=status, status_text=text))

    assert (answer.status_code, answer.reason_phrase) == (status, phrase)


def test_a_body_marked_gzip_is_compressed_on_its_way_unless_it_already_is() -> None:
    marked = {"content-encoding": "gzip"}
    text = "hello " * 100
    answer = get(lambda: Response(text, headers=marked))
    packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"

    assert answer.text == text
    assert answer.num_bytes_downloaded < len(text)
    assert get(lambda: Response(packed, headers=marked, encodeBody="manual")).content == b""


def test_header_bytes_are_utf_8() -> None:
    def on_fetch(request: Any) -> Any:
        return Response("x", headers={"echo": request.headers["q"]})

    async def use(client: httpx.AsyncClient) -> list[bytes]:
        answers = [await client.get("/", headers={"q": q}) for q in ("é€".encode(), b"caf\xe9")]
        return [dict(answer.headers.raw)[b"echo"] for answer in answers]

    assert exchange(on_fetch, use) == ["é€".encode(), "caf\ufffd".encode()]


def test_redirects_are_not_followed_unless_the_client_asks() -> None:
    def on_fetch(request: Any) -> Any:
        if request.url.endswith("/there"):
            return Response("there")
        return Response.redirect("http://localhost/there", 307)

    async def use(client: httpx.AsyncClient) -> list[Any]:
        plain = await client.post("/")
        followed = await client.post("/", follow_redirects=True)
        return [plain.status_code, plain.headers["location"], followed.text]

    assert exchange(on_fetch, use) == [307, "http://localhost/there", "there"]


def test_a_client_keeps_cookies() -> None:
    def on_fetch(request: Any) -> Any:
        return Response(request.headers["cookie"] or "none", headers={"set-cookie": "a=1"})

    async def use(client: httpx.AsyncClient) -> list[str]:
        return [(await client.get("/")).text for _ in range(2)]

    assert exchange(on_fetch, use) == ["none", "a=1"]


# -- requests --------------------------------------------------------------------------------


async def echo(request: Any) -> Any:
    return Response.json(
        [
            request.method,
            request.url,
            request.headers["content-type"],
            request.headers["content-length"],
            request.body is None,
            await request.text(),
        ]
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [None, "0", True, ""]),
        ({"content": b""}, [None, "0", True, ""]),
        ({"content": "héy"}, [None, "4", False, "héy"]),
        ({"json": {"a": 1}}, ["application/json", "7", False, '{"a":1}']),
        ({"data": {"a": "b"}}, ["application/x-www-form-urlencoded", "3", False, "a=b"]),
    ],
    ids=["none", "empty", "text", "json", "form"],
)
def test_a_body_arrives_with_its_type_and_length(
    options: dict[str, Any], expected: list[Any]
) -> None:
    async def use(client: httpx.AsyncClient) -> Any:
        return (await client.post("/p?q=a b", **options)).json()

    assert exchange(echo, use) == ["POST", "http://localhost/p?q=a%20b", *expected]


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"]
)
def test_every_method_arrives(method: str) -> None:
    seen: list[str] = []

    def on_fetch(request: Any) -> Any:
        seen.append(request.method)
        return Response(None)

    exchange(on_fetch, lambda client: client.request(method, "/"))

    assert seen == [method]


def test_a_method_that_the_platform_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="Invalid HTTP method string: FOO"):
        exchange(echo, lambda client: client.request("FOO", "/"))


def test_files_of_a_form_arrive() -> None:
    async def on_fetch(request: Any) -> Any:
        form = await request.form_data()
        file = form["f"]
        return Response.json([form["a"], file.name, file.content_type, await file.text()])

    async def use(client: httpx.AsyncClient) -> Any:
        files = {"f": ("n.txt", b"content", "text/x")}
        return (await client.post("/", data={"a": "1"}, files=files)).json()

    assert exchange(on_fetch, use) == ["1", "n.txt", "text/x", "content"]


# -- streaming -------------------------------------------------------------------------------


def test_a_body_streams_to_the_client_as_the_worker_makes_it() -> None:
    made: list[int] = []

    async def on_fetch(request: Any) -> Any:
        async def pull(controller: Any) -> None:
            await asyncio.sleep(1)
            made.append(len(made))
            controller.enqueue(b"%d" % made[-1])

        return Response(ReadableStream({"pull": pull}, {"highWaterMark": 0}))

    async def use(client: httpx.AsyncClient) -> list[Any]:
        seen: list[Any] = []
        async with client.stream("GET", "/") as response:
            async for chunk in response.aiter_bytes():
                seen.append((chunk, len(made)))
                if len(seen) == 3:
                    break
        await asyncio.sleep(60)
        return seen

    assert exchange(on_fetch, use) == [(b"0", 1), (b"1", 2), (b"2", 3)]
    assert made == [0, 1, 2]  # Nobody reads, so nothing more is made.


def test_a_client_that_leaves_early_cancels_the_source() -> None:
    cancelled: list[Any] = []

    async def on_fetch(request: Any) -> Any:
        return Response(
            ReadableStream(
                {"pull": lambda c: c.enqueue(b"x"), "cancel": cancelled.append},
                {"highWaterMark": 0},
            )
        )

    async def leave_after_one(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/") as response:
            async for _ in response.aiter_raw():
                break

    async def leave_at_once(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/"):
            pass

    exchange(on_fetch, leave_after_one)
    exchange(on_fetch, leave_at_once)

    assert len(cancelled) == 2


def test_a_body_streams_to_the_worker_as_the_client_makes_it() -> None:
    sent: list[int] = []

    async def content() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(1)
            sent.append(number)
            yield b"%d" % number

    async def on_fetch(request: Any) -> Any:
        seen = [(bytes(chunk).decode(), len(sent)) async for chunk in request.body]
        return Response.json([request.headers["transfer-encoding"], seen])

    async def use(client: httpx.AsyncClient) -> Any:
        return (await client.post("/", content=content())).json()

    assert exchange(on_fetch, use) == ["chunked", [["0", 1], ["1", 2], ["2", 3]]]


def test_a_worker_may_answer_while_it_is_still_being_sent_to() -> None:
    async def content() -> AsyncIterator[bytes]:
        for word in (b"a", b"b"):
            await asyncio.sleep(1)
            yield word

    async def on_fetch(request: Any) -> Any:
        return Response(request.body)

    async def use(client: httpx.AsyncClient) -> str:
        return (await client.post("/", content=content())).text

    assert exchange(on_fetch, use) == "ab"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8))
def test_the_bytes_are_the_same_in_whatever_pieces_they_travel(pieces: list[bytes]) -> None:
    async def content() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def on_fetch(request: Any) -> Any:
        return Response(request.body, headers={"content-encoding": "gzip"})

    async def use(client: httpx.AsyncClient) -> bytes:
        return (await client.post("/", content=content())).content

    assert exchange(on_fetch, use) == b"".join(pieces)


def test_a_stream_that_breaks_breaks_at_the_client_with_the_workers_error() -> None:
    def make() -> Any:
        def pull(controller: Any) -> None:
            raise RuntimeError("boom")

        return Response(ReadableStream({"pull": pull}))

    with pytest.raises(RuntimeError, match="boom"):
        get(make)


def test_a_stream_of_something_else_than_bytes_is_refused() -> None:
    def make() -> Any:
        return Response(ReadableStream({"start": lambda c: (c.enqueue("text"), c.close())}))

    with pytest.raises(TypeError, match="did not return bytes"):
        get(make)
