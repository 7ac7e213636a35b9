"""Applications of FastAPI and Starlette that run as workers."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import js
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi import Request as FastRequest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from workers import DurableObject, WorkerEntrypoint, asgi

import emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from starlette.websockets import WebSocket

BINDINGS = {"VAR": "bound"}


def in_world(worker: Any, scenario: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    async def main() -> Any:
        async with emulator.Miniflare(worker=worker, bindings=BINDINGS, **options) as mf:
            return await scenario(mf)

    return emulator.run(main)


def asked(app: Any, path: str, **options: Any) -> Any:
    """The response of one request to an application."""

    async def scenario(mf: Any) -> Any:
        return await mf.dispatch_fetch(f"http://localhost{path}", **options)

    return in_world(asgi.entrypoint(app), scenario)


class Item(BaseModel):
    name: str
    price: float = 1.5


class Tally(DurableObject):
    async def add(self, amount: int) -> int:
        total: int = (await self.ctx.storage.get("total") or 0) + amount
        await self.ctx.storage.put("total", total)
        return total


fast = FastAPI()


@fast.get("/items/{item_id}")
async def read_item(item_id: int, q: str | None = None) -> Any:
    return {"id": item_id, "q": q}


@fast.post("/items", status_code=201)
async def create_item(item: Item) -> Item:
    return item


@fast.get("/env")
async def read_env(request: FastRequest) -> str:
    return str(request.scope["env"].VAR)


@fast.get("/env/depends")
async def read_env_by_depends(env: Any = asgi.env) -> str:  # type: ignore[attr-defined]
    return str(env.VAR)


@fast.get("/tally/{amount}")
async def tally(amount: int, request: FastRequest) -> int:
    return int(await request.scope["env"].TALLIES.getByName("a").add(amount))


def a_plain_dependency() -> Iterator[str]:
    yield threading.current_thread().name


@fast.get("/plain")
def plain(name: str = Depends(a_plain_dependency)) -> Any:
    return {"dependency": name, "endpoint": threading.current_thread().name}


@fast.get("/refused")
async def refused() -> None:
    raise HTTPException(418, "short and stout")


@fast.get("/broken")
async def broken() -> None:
    raise RuntimeError("broken")


@fast.get("/later")
async def later(tasks: BackgroundTasks) -> str:
    async def work() -> None:
        await asyncio.sleep(1)
        logging.getLogger("app").warning("worked")

    tasks.add_task(work)
    return "now"


def test_a_fastapi_application_routes_converts_and_validates() -> None:
    assert asked(fast, "/items/7?q=a%20b").json() == {"id": 7, "q": "a b"}
    assert asked(fast, "/items/x").status_code == 422
    assert asked(fast, "/nowhere").json() == {"detail": "Not Found"}

    made = asked(fast, "/items", method="POST", json={"name": "é"})

    assert (made.status_code, made.json()) == (201, {"name": "é", "price": 1.5})
    assert made.headers["content-type"] == "application/json"


def test_an_application_finds_env_in_its_scope() -> None:
    assert asked(fast, "/env").json() == "bound"
    assert asked(fast, "/env/depends").json() == "bound"


def test_an_application_calls_durable_objects() -> None:
    class Default(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Any:
            return await asgi.fetch(fast, request.js_object, self.env)

    async def scenario(mf: Any) -> list[Any]:
        paths = ("/tally/2", "/tally/3")
        return [(await mf.dispatch_fetch(f"http://x{path}")).json() for path in paths]

    assert in_world(Default, scenario, durable_objects={"TALLIES": "Tally"}) == [2, 5]


def test_a_plain_endpoint_runs_without_a_thread() -> None:
    main = threading.current_thread().name

    assert asked(fast, "/plain").json() == {"dependency": main, "endpoint": main}


def test_outside_of_a_worker_anyio_has_its_threads() -> None:
    asked(fast, "/plain")

    async def main() -> str:
        return await anyio.to_thread.run_sync(lambda: threading.current_thread().name)

    assert asyncio.run(main()) != threading.current_thread().name


def test_errors_are_answers() -> None:
    response = asked(fast, "/refused")

    assert (response.status_code, response.json()) == (418, {"detail": "short and stout"})


def test_an_exception_of_an_endpoint_is_a_500_and_is_logged() -> None:
    async def scenario(mf: Any) -> Any:
        response = await mf.dispatch_fetch("http://x/broken")
        return response.status_code, response.text, [(r.level, r.message) for r in mf.logs]

    assert in_world(asgi.entrypoint(fast), scenario) == (
        500,
        "Internal Server Error",
        [
            (
                "ERROR",
                "Exception in ASGI application after response started: RuntimeError: broken",
            )
        ],
    )


def test_background_tasks_end_before_a_whole_response_is_sent() -> None:
    # As in Cloudflare's package, which awaits the application if its body does not stream.
    async def scenario(mf: Any) -> Any:
        began_ms = mf.clock.now_ms
        response = await mf.dispatch_fetch("http://x/later")
        lines = [(line.message, line.time_ms - began_ms) for line in mf.logs]
        return response.json(), mf.clock.now_ms - began_ms, lines

    assert in_world(asgi.entrypoint(fast), scenario) == ("now", 1_001, [("worked", 1_001)])


def told(*lines: str) -> None:
    for line in lines:
        logging.getLogger("app").warning(line)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    told("startup")
    yield {"number": 7}
    told("shutdown")


async def state(request: Any) -> Any:
    told("request")
    return JSONResponse(request.state.number)


async def stream(request: Any) -> Any:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(1)
            told(f"chunk {number}")
            yield b"%d" % number

    return StreamingResponse(chunks(), media_type="text/plain")


async def breaking_stream(request: Any) -> Any:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("broken")

    return StreamingResponse(chunks())


async def echo(request: Any) -> Any:
    parts = [len(chunk) async for chunk in request.stream()]
    return JSONResponse([parts[:-1], request.headers.getlist("x"), str(request.url)])


async def cookies(request: Any) -> Any:
    response = PlainTextResponse("", status_code=int(request.path_params["status"]))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def starlette(*, with_lifespan: bool = True) -> Starlette:
    return Starlette(
        routes=[
            Route("/state", state),
            Route("/stream", stream),
            Route("/breaking", breaking_stream),
            Route("/echo", echo, methods=["POST"]),
            Route("/cookies/{status}", cookies),
        ],
        lifespan=lifespan if with_lifespan else None,
    )


def test_a_lifespan_is_around_each_request_and_leaves_it_its_state() -> None:
    async def scenario(mf: Any) -> Any:
        values = [(await mf.dispatch_fetch("http://x/state")).json() for _ in range(2)]
        return values, [line.message for line in mf.logs]

    values, lines = in_world(asgi.entrypoint(starlette()), scenario)

    assert values == [7, 7]
    assert lines == ["startup", "request", "shutdown"] * 2


def test_a_body_streams_while_it_is_written_and_then_the_lifespan_ends() -> None:
    class Default(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Any:
            answer = await asgi.fetch(starlette(), request, self.env, self.ctx)
            told(f"answered {answer.headers['content-type']}")
            return answer

    async def scenario(mf: Any) -> Any:
        response = await mf.dispatch_fetch("http://x/stream")
        await mf.run_until_idle()
        return response.text, [line.message for line in mf.logs]

    text, lines = in_world(Default, scenario)

    assert text == "012"
    assert lines == [
        "startup",
        "chunk 0",
        "answered text/plain; charset=utf-8",
        "chunk 1",
        "chunk 2",
        "shutdown",
    ]


def test_a_body_that_breaks_while_it_streams_ends_there_and_is_logged() -> None:
    async def scenario(mf: Any) -> Any:
        response = await mf.dispatch_fetch("http://x/breaking")
        await mf.run_until_idle()
        return response.status_code, response.text, [line.message for line in mf.logs]

    assert in_world(asgi.entrypoint(starlette(with_lifespan=False)), scenario) == (
        200,
        "begun",
        ["Exception in ASGI application after response started: RuntimeError: broken"],
    )


def test_a_body_arrives_and_headers_repeat() -> None:
    response = asked(
        starlette(), "/echo?a=%20", method="POST", content=b"12345", headers={"X": "y"}
    )

    assert response.json() == [[5], ["y"], "http://localhost/echo?a=%20"]


@pytest.mark.parametrize("status", [200, 204, 304])
def test_every_cookie_is_a_header_of_its_own(status: int) -> None:
    response = asked(starlette(), f"/cookies/{status}")

    assert response.status_code == status
    assert [value[:3] for value in response.headers.get_list("set-cookie")] == ["a=1", "b=2"]


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    told(f"open {websocket.scope['env'].VAR} {websocket.path_params['room']}")
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                told(f"gone {message['code']}")
                return
            if message.get("text") == "break":
                raise RuntimeError("broken")
            if message.get("text") == "stop":
                await websocket.close(4_000, "stopped")
                return
            await websocket.send_json([message.get("text"), len(message.get("bytes") or b"")])
    finally:
        told("end")


@pytest.mark.parametrize(
    ("last", "code", "lines"),
    [
        ("stop", 4_000, ["open bound a", "end"]),
        (
            "break",
            1_011,
            [
                "open bound a",
                "end",
                "Unhandled exception in background task: RuntimeError: broken",
            ],
        ),
    ],
)
def test_a_websocket_is_served_until_the_application_ends(
    last: str, code: int, lines: list[str]
) -> None:
    app = Starlette(routes=[WebSocketRoute("/chat/{room}", chat)])

    async def scenario(mf: Any) -> Any:
        async with mf.connect("http://x/chat/a") as socket:
            answers = []
            for message in ("hi", b"123"):
                await socket.send(message)
                answers.append(await socket.receive())
            await socket.send(last)
            with pytest.raises(Exception) as caught:
                await socket.receive()
        await mf.run_until_idle()
        return answers, caught.value.code, [line.message for line in mf.logs]

    answers = ['["hi",0]', "[null,3]"]
    assert in_world(asgi.entrypoint(app), scenario) == (answers, code, lines)


def raw(*messages: Any) -> Any:
    """An application without a lifespan that sends these messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        for message in messages:
            if isinstance(message, Exception):
                raise message
            await send(message)

    return app


def test_an_application_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="The application did not generate a response"):
        asked(raw(), "/")


def test_an_application_that_raises_before_it_answers_raises_from_the_worker() -> None:
    with pytest.raises(ValueError, match="early"):
        asked(raw(ValueError("early")), "/")


def test_a_lifespan_that_says_it_failed_fails_the_request() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"):
        asked(app, "/")


def test_the_old_name_of_the_module_and_the_scope_are_those_of_cloudflare() -> None:
    import asgi as old

    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(scope)
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"ok"})

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Any:
            return await old.fetch(app, request, self.env)

    async def scenario(mf: Any) -> Any:
        return (await mf.dispatch_fetch("https://h:8443/a%2Fb%20c?x=%20", method="PUT")).text

    assert in_world(Default, scenario) == "ok"
    (scope,) = seen
    assert {key: scope[key] for key in ("method", "scheme", "path", "raw_path", "type")} == {
        "method": "PUT",
        "scheme": "https",
        "path": "/a/b c",
        "raw_path": b"/a%2Fb%20c",
        "type": "http",
    }
    assert scope["query_string"] == b"x=%20"
    assert scope["asgi"] == {"spec_version": "2.0", "version": "3.0"}


def test_the_option_encode_body_is_checked() -> None:
    assert asgi.Options(encode_body="manual").response_init() == {"encodeBody": "manual"}
    with pytest.raises(ValueError, match="encode_body must be one of"):
        asgi.Options(encode_body="other")  # type: ignore[arg-type]


def test_an_application_reaches_javascripts_names() -> None:
    async def clock(request: Any) -> Any:
        return JSONResponse(js.Date.new(js.Date.now()).toISOString())

    assert asked(Starlette(routes=[Route("/", clock)]), "/").json().startswith("2026-01-01T")


def test_a_stream_that_the_end_of_the_world_cuts_is_nobodys_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def for_ever() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await asyncio.sleep(1)

    async def ticks(request: Any) -> StreamingResponse:
        return StreamingResponse(for_ever())

    async def scenario(mf: Any) -> None:
        context = mf.client().stream("GET", "http://localhost/")
        await context.__aenter__()

    in_world(asgi.entrypoint(Starlette(routes=[Route("/", ticks)])), scenario)
    gc.collect()

    assert caplog.records == []


def test_what_runs_in_the_background_ends_with_its_simulation() -> None:
    kept: list[Any] = []

    async def scenario(mf: Any) -> None:
        kept.append(weakref.ref(asgi.run_in_background(asyncio.sleep(3_600))))

    in_world(asgi.entrypoint(fast), scenario)
    gc.collect()

    assert kept[0]() is None
