"""Laws of `stub.fetch`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.errors import JsException, JsTypeError
from emulator.sdk.workers import DurableObject, Request, Response


class Job(DurableObject):
    async def fetch(self, request: Any) -> Any:
        path = request.url.split("/", 3)[3]
        if path == "raises":
            raise IndexError("from the handler")
        if path == "nothing":
            return None
        if path == "text":
            return "a string"
        body = await request.text()
        return Response(f"{request.method} {request.url} {body}", status=201)


class Silent(DurableObject):
    pass


def test_the_handler_answers_the_request_it_was_sent(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        response = await stub.fetch("http://any.host/p", {"method": "POST", "body": "b"})
        return response.status, await response.text()

    assert with_jobs(Job, scenario) == (201, "POST http://any.host/p b")


def test_a_request_object_and_keywords_are_accepted(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        one = await stub.fetch(Request("http://x/1", method="PUT", body="b"))
        two = await stub.fetch("http://x/2", method="DELETE")
        return await one.text(), await two.text()

    assert with_jobs(Job, scenario) == ("PUT http://x/1 b", "DELETE http://x/2 ")


def test_a_relative_url_is_refused_where_it_is_called(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            await stub.fetch("/p")
        return caught.value.message, caught.value.remote, len(mf.trace.of_kind("start"))

    assert with_jobs(Job, scenario) == ("Invalid URL: /p", False, 0)


NOT_A_RESPONSE = "Incorrect type for Promise: the Promise did not resolve to 'Response'."


@pytest.mark.parametrize(
    ("cls", "path", "name", "message"),
    [
        (Job, "raises", "Error", "IndexError: from the handler"),
        (Job, "nothing", "TypeError", NOT_A_RESPONSE),
        (Job, "text", "TypeError", NOT_A_RESPONSE),
        (Silent, "x", "Error", "Handler does not export a fetch() function."),
    ],
)
def test_what_goes_wrong_in_the_handler_rejects_the_callers_promise(
    with_jobs, cls, path, name, message
):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await stub.fetch(f"http://x/{path}")
        error = caught.value
        return error.name, error.message, error.remote, error.durableObjectReset

    assert with_jobs(cls, scenario) == (name, message, True, False)


def test_fetch_works_without_the_base_class(with_jobs):
    class Plain:
        def __init__(self, ctx: Any, env: Any) -> None: ...

        def fetch(self, request: Any) -> Any:
            return Response("plain")

    async def scenario(mf: Any, stub: Any) -> Any:
        return await (await stub.fetch("http://x/")).text()

    assert with_jobs(Plain, scenario) == "plain"


def test_a_reset_is_remote_to_a_fetch_under_way_but_not_to_a_later_one(with_jobs):
    class Aborting(DurableObject):
        async def fetch(self, request: Any) -> None:
            await asyncio.sleep(0.001)
            self.ctx.abort("gone")

    async def scenario(mf: Any, stub: Any) -> Any:
        flags = []
        for _ in range(2):
            with pytest.raises(JsException, match="gone") as caught:
                await stub.fetch("http://x/")
            flags.append((caught.value.remote, caught.value.durableObjectReset))
        return flags

    assert with_jobs(Aborting, scenario) == [(True, True), (False, True)]


def test_an_answer_arrives_with_its_url_and_frozen_headers_and_to_head_without_a_body(
    with_jobs,
):
    class Job(DurableObject):
        async def fetch(self, request):
            return Response("body", headers={"x": "1"})

    async def scenario(mf, stub):
        answer = await stub.fetch("http://x/path")
        assert (answer.url, await answer.text()) == ("http://x/path", "body")
        with pytest.raises(TypeError, match="immutable"):
            answer.headers.set("x", "2")
        head = await stub.fetch("http://x/", method="HEAD")
        assert (head.headers.get("x"), head.body) == ("1", None)

    with_jobs(Job, scenario)


def test_a_handler_takes_as_many_arguments_as_it_names(with_jobs):
    seen = []

    class Job(DurableObject):
        async def start(self):
            await self.ctx.storage.setAlarm(1)

        async def alarm(self):
            seen.append("alarm")

        async def fetch(self):
            return Response("no arguments")

    async def scenario(mf, stub):
        await stub.start()
        await mf.run_until_idle()
        answer = await stub.fetch("http://x/")
        assert await answer.text() == "no arguments"

    with_jobs(Job, scenario)
    assert seen == ["alarm"]
