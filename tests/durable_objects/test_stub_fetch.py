"""Laws of `stub.fetch`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from emulator.errors import JsException, JsTypeError
from emulator.limits import Limits
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


class Moved(DurableObject):
    async def fetch(self, request: Any) -> Any:
        path = request.url.rpartition("/")[2]
        if path in ("302", "307"):
            return Response(None, status=int(path), headers={"location": "/there?x=1"})
        if path == "loop":
            return Response.redirect("http://z/loop", 302)
        return Response(f"{request.method} {request.url} {await request.text()}")


@pytest.mark.parametrize(
    ("status", "text"),
    [("302", "GET http://q/there?x=1 "), ("307", "POST http://q/there?x=1 b")],
)
def test_a_redirect_is_followed_to_the_same_object(with_jobs, status, text):
    async def scenario(mf: Any, stub: Any) -> Any:
        response = await stub.fetch(f"http://q/{status}", method="POST", body="b")
        return await response.text(), response.url, response.redirected

    assert with_jobs(Moved, scenario) == (text, "http://q/there?x=1", True)


def test_a_redirect_that_is_asked_for_is_given(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        response = await stub.fetch("http://q/302", redirect="manual")
        return response.status, response.url, response.redirected

    assert with_jobs(Moved, scenario) == (302, "http://q/302", False)


def test_redirects_without_end_are_an_error(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            await stub.fetch("http://z/loop")
        return caught.value.message

    told = with_jobs(Moved, scenario)

    assert told == f"Too many redirects.{', '.join(['http://z/loop'] * 21)}"


class Caller(DurableObject):
    async def fetch(self, request: Any) -> Any:
        if request.url.endswith("/loop"):
            return Response.redirect("http://z/loop", 302)
        return Response("here")

    async def call(self) -> None:
        await self.env.JOBS.getByName("b").fetch("http://z/loop")


def test_each_request_of_a_redirected_call_is_a_subrequest(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsException) as caught:
            await stub.call()
        return caught.value.message

    limits = replace(Limits.named("paid"), subrequests_max=5)

    assert with_jobs(Caller, scenario, limits=limits) == (
        "Too many subrequests by single Worker invocation."
    )


def test_a_fetch_of_nothing_is_refused_in_the_platforms_words(with_jobs):
    async def scenario(mf: Any, stub: Any) -> Any:
        with pytest.raises(JsTypeError) as caught:
            await stub.fetch()
        return caught.value.message

    assert with_jobs(Job, scenario) == (
        "Failed to execute 'fetch' on 'Fetcher': parameter 1 is not of type 'Request or "
        "string'."
    )
