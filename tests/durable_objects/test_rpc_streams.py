"""Laws of streams, requests and responses that cross a stub (each measured on workerd)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.errors import JsException, JsRangeError
from emulator.sdk.workers import DurableObject, Request, Response
from emulator.web.headers import Headers
from emulator.web.streams import IdentityTransformStream, ReadableStream, WritableStream

LOCKED = "The ReadableStream has been locked to a reader."
CUT = "ReadableStream received over RPC disconnected prematurely."


class Job(DurableObject):
    def stream(self, kind: str) -> Any:
        def start(controller: Any) -> None:
            chunks = {"bytes": [b"hello ", b"world"], "object": [{"a": 1}], "text": ["text"]}
            for chunk in chunks[kind]:
                controller.enqueue(chunk)
            controller.close()

        return ReadableStream({"start": start})

    def failing(self, after: int) -> Any:
        state = {"left": after}

        async def pull(controller: Any) -> None:
            await asyncio.sleep(0.005)
            if state["left"]:
                state["left"] -= 1
                controller.enqueue(b"x")
            else:
                controller.error(JsRangeError("bad"))

        return ReadableStream({"pull": pull})

    def endless(self) -> Any:
        self.pulled = 0

        async def pull(controller: Any) -> None:
            await asyncio.sleep(0.001)
            self.pulled += 1
            controller.enqueue(b"x")

        return ReadableStream({"pull": pull}, {"highWaterMark": 0})

    def pulls(self) -> int:
        return self.pulled

    def web(self) -> Any:
        return {
            "request": Request("http://y/p", method="POST", body="rb", headers={"h": "1"}),
            "response": Response("body", status=201, headers={"a": "b"}),
            "headers": Headers([("a", "1"), ("set-cookie", "x=1"), ("set-cookie", "y=2")]),
        }

    def locked(self) -> Any:
        stream = self.stream("bytes")
        stream.getReader()
        return stream

    async def used(self) -> Any:
        response = Response("body")
        await response.text()
        return response

    async def eat(self, stream: Any) -> str:
        return await Response(stream).text()

    async def describe(self, value: Any) -> Any:
        return [await value.text(), value.headers.get("k")]

    async def write(self, stream: Any, *chunks: Any) -> str:
        writer = stream.getWriter()
        for chunk in chunks:
            await writer.write(chunk)
        await writer.close()
        return "written"

    async def give_up(self, stream: Any) -> None:
        await stream.getWriter().abort(JsRangeError("mine"))

    async def leave_open(self, stream: Any) -> None:
        self.writer = stream.getWriter()
        await self.writer.write(b"begun")

    def abort(self) -> None:
        self.ctx.abort("gone")


@pytest.fixture
def answer(with_jobs: Any) -> Any:
    """Gives `answer(function)`: what `await function(stub)` gives."""

    def run(function: Any, **options: Any) -> Any:
        async def scenario(_: Any, stub: Any) -> Any:
            return await function(stub)

        return with_jobs(Job, scenario, **options)

    return run


async def told(call: Any) -> tuple[str, str]:
    with pytest.raises(JsException) as caught:
        await call
    return caught.value.name, caught.value.message


def test_a_stream_arrives_as_a_stream(answer):
    async def look(stub: Any) -> Any:
        stream = await stub.stream("bytes")
        text = await stub.eat(stream_of(b"up"))
        return [type(stream).__name__, await stream.read_all(), text]

    assert answer(look) == ["ReadableStream", b"hello world", "up"]


def stream_of(data: bytes) -> ReadableStream:
    return ReadableStream.from_bytes(data)


def test_chunks_travel_at_the_readers_pace(answer):
    async def look(stub: Any) -> Any:
        reader = (await stub.endless()).getReader()
        await reader.read()
        await asyncio.sleep(1)
        before = await stub.pulls()
        await reader.cancel("enough")
        await asyncio.sleep(1)
        return [before, await stub.pulls()]

    before, after = answer(look)

    assert before == after == 1


@pytest.mark.parametrize("kind", ["object", "text"])
def test_only_bytes_travel(answer, kind):
    async def look(stub: Any) -> Any:
        return await told((await stub.stream(kind)).read_all())

    assert answer(look) == ("Error", CUT)


@pytest.mark.parametrize("after", [0, 1])
def test_a_stream_that_fails_breaks_off_and_does_not_say_why(answer, after):
    async def look(stub: Any) -> Any:
        return await told((await stub.failing(after)).read_all())

    assert answer(look) == ("Error", CUT)


def test_a_reset_of_the_sender_breaks_its_streams_off(answer):
    async def look(stub: Any) -> Any:
        reader = (await stub.endless()).getReader()
        await reader.read()
        with pytest.raises(JsException, match="gone"):
            await stub.abort()
        return await told(reader.read())

    assert answer(look) == ("Error", CUT)


def test_what_was_sent_is_locked_where_it_came_from(answer):
    async def look(stub: Any) -> Any:
        stream, response = stream_of(b"s"), Response("once")
        await stub.eat(stream)
        await stub.describe(response)
        return [stream.locked, response.bodyUsed, await told(stub.eat(stream))]

    assert answer(look) == [True, True, ("TypeError", LOCKED)]


@pytest.mark.parametrize("method", ["locked", "used"])
def test_what_is_in_use_already_is_refused(answer, method):
    assert answer(lambda stub: told(getattr(stub, method)())) == ("TypeError", LOCKED)


def test_requests_responses_and_headers_cross_whole(answer):
    async def look(stub: Any) -> Any:
        web = await stub.web()
        request, response = web.request, web.response
        return [
            request.method, request.url, await request.text(), request.headers["h"],
            response.status, await response.text(), response.headers["a"],
            web.headers.get("a"), web.headers.getSetCookie(),
            await stub.describe(Response("up", headers={"k": "v"})),
        ]  # fmt: skip

    found = answer(look)

    assert found[:9] == [
        "POST", "http://y/p", "rb", "1", 201, "body", "b", "1", ["x=1", "y=2"],
    ]  # fmt: skip
    assert found[9] == ["up", "v"]


# -- streams to write to -------------------------------------------------------------------


def sink(log: list[Any]) -> WritableStream:
    return WritableStream(
        {
            "write": lambda chunk, *_: log.append(bytes(chunk)),
            "close": lambda: log.append("close"),
            "abort": lambda reason: log.append(reason.message),
        }
    )


def test_a_stream_to_write_to_takes_bytes_and_its_end(answer):
    log: list[Any] = []

    async def look(stub: Any) -> Any:
        pair = IdentityTransformStream()
        text = asyncio.ensure_future(Response(pair.readable).text())
        await stub.write(pair.writable, b"through")
        return [await stub.write(sink(log), b"one", b"two"), log, await text]

    assert answer(look) == ["written", [b"one", b"two", "close"], "through"]


@pytest.mark.parametrize(("chunk", "kind"), [("text", "a string"), ({"a": 1}, "an object")])
def test_anything_but_bytes_is_refused_at_the_writer(answer, chunk, kind):
    log: list[Any] = []

    async def look(stub: Any) -> Any:
        return await told(stub.write(sink(log), chunk))

    name, message = answer(look)

    text = f"This TransformStream is being used as a byte stream, but received {kind}"
    assert (name, message[: len(text)]) == ("TypeError", text)
    assert b"text" not in log


def test_an_error_of_the_sink_reaches_the_writer(answer):
    def fail(*_: Any) -> None:
        raise JsRangeError("full")

    async def look(stub: Any) -> Any:
        return await told(stub.write(WritableStream({"write": fail}), b"x"))

    assert answer(look) == ("RangeError", "full")


def test_a_writer_that_gives_up_or_is_no_more_aborts_the_sink(answer):
    gone = (
        "WritableStream received over RPC was disconnected because the remote execution "
        "context has endeded."
    )
    first: list[Any] = []
    second: list[Any] = []

    async def look(stub: Any) -> Any:
        await stub.give_up(sink(first))
        await stub.leave_open(sink(second))
        before = list(second)
        with pytest.raises(JsException, match="gone"):
            await stub.abort()
        await asyncio.sleep(0.001)
        return [first, before, second]

    assert answer(look) == [[gone], [b"begun"], [b"begun", gone]]


def test_a_locked_stream_to_write_to_is_refused(answer):
    async def look(stub: Any) -> Any:
        stream = sink([])
        stream.getWriter()
        return await told(stub.write(stream, b"x"))

    assert answer(look) == (
        "TypeError", "This WritableStream is currently locked to a writer.",
    )  # fmt: skip
