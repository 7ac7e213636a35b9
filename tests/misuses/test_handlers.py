"""Misuses 23 to 32: a worker that does not answer as a worker must.

The texts of the platform stay as they are; what to do about them is a note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import JsException, JsTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

NO_RESPONSE = (
    "TypeError: Incorrect type for Promise: the Promise did not resolve to 'Response'. | "
)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param("pass", "returned None: return a Response", id="23 nothing"),
        pytest.param(
            "return 'x'", "of type 'str': return a Response of `workers`", id="24 text"
        ),
        pytest.param("return {}", "of type 'dict': return Response.json(...)", id="25 dict"),
    ],
)
def test_a_handler_that_returns_no_response_is_named_with_its_line(
    request_told: Callable[..., str], body: str, text: str
) -> None:
    sentence = request_told(body, JsTypeError)

    assert sentence.startswith(f"{NO_RESPONSE}Default.fetch (worker.py:")
    assert text in sentence


@pytest.mark.parametrize(
    ("script", "text"),
    [
        pytest.param(
            "from workers import WorkerEntrypoint\n"
            "class Default(WorkerEntrypoint):\n"
            "    def on_fetch(self, request): ...",
            "worker.py: the class Default needs a method `async def fetch(self, request)`",
            id="26 no method",
        ),
        pytest.param(
            "from workers import WorkerEntrypoint\n"
            "class Worker(WorkerEntrypoint):\n"
            "    def fetch(self, request): ...",
            "worker.py needs `class Default(WorkerEntrypoint)` with a method `async def "
            "fetch(self, request)`; it has Worker",
            id="27 other name",
        ),
        pytest.param(
            "async def fetch(request): ...",
            "worker.py needs `class Default(WorkerEntrypoint)`",
            id="27 function",
        ),
    ],
)
def test_a_worker_without_a_fetch_handler_says_where_it_belongs(
    request_told: Callable[..., str], script: str, text: str
) -> None:
    platform, note = request_told(script, JsException).split(" | ")

    assert platform == "Error: Handler does not export a fetch() function."
    assert note.startswith(text)


@pytest.mark.parametrize(
    ("methods", "text"),
    [
        pytest.param(
            "def fetch(self, request, env, ctx): ...",
            "Default.fetch is called with (request), and finds env and ctx in self.env",
            id="28 arguments of fetch",
        ),
        pytest.param(
            "def __init__(self): ...\n    def fetch(self, request): ...",
            "Default is called with (ctx, env): let it take these",
            id="29 arguments of the class",
        ),
        pytest.param(
            "def __init__(self, ctx, env): ...\n    def fetch(self, request): self.env.X",
            "self.env is not set: call super().__init__(ctx, env) in Default.__init__",
            id="30 no super",
        ),
    ],
)
def test_a_class_that_does_not_take_its_arguments_is_told_what_they_are(
    request_told: Callable[..., str], methods: str, text: str
) -> None:
    script = (
        f"from workers import WorkerEntrypoint\nclass Default(WorkerEntrypoint):\n    {methods}"
    )

    assert text in request_told(script, Exception)


def test_31_a_worker_without_a_cron_handler_answers_as_miniflare_and_says_why_in_its_logs(
    try_out: Callable[..., Any],
) -> None:
    async def scenario(mf: Any) -> Any:
        return await mf.get_worker().scheduled(cron="0 3 * * *"), mf.logs[-1]

    outcome, log = try_out(scenario)

    assert outcome == {"outcome": "exception", "noRetry": True}
    assert (log.level, log.message) == (
        "ERROR",
        "worker.py: the class Default needs a method `async def scheduled(self, controller, "
        "env, ctx)`",
    )


def test_32_an_object_without_a_handler_is_named(told: Callable[..., str]) -> None:
    async def fetch(mf: Any) -> None:
        await mf.get_durable_object_namespace("LAZY").getByName("a").fetch("http://x/")

    async def alarm(mf: Any) -> None:
        await (
            mf.get_durable_object_namespace("LAZY").getByName("a").wake_at(mf.clock.now_ms + 1)
        )

    assert told(fetch, JsException) == (
        "Error: Handler does not export a fetch() function. | the class Lazy has no method "
        "`async def fetch(self, request)`"
    )
    assert told(alarm, JsTypeError) == (
        "TypeError: Your Durable Object class must have an alarm() handler in order to call "
        "setAlarm()"
    )


def test_32_a_dict_is_no_body(request_told: Callable[..., str]) -> None:
    assert request_told("return Response({})", TypeError) == (
        "Unsupported type in Response: dict | a dict is no body: give Response.json(...) of it"
    )
