"""Cloudflare's own package `workers` works on our `js`, `pyodide` and objects, unchanged."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import emulator
import emulator.sdk.workers as ours
from emulator.errors import JsException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

#: Names of its modules that are its own machinery: nothing of them is documented, and each
#: says why nobody can need it here.
MACHINERY = {
    "workers.asgi": {
        "acquire_js_buffer": "Memory of WebAssembly.",
        "background_tasks": "Held otherwise.",
        "close_stream_quietly": "A helper of one place.",
    },
    "workers.entrypoints": {
        "DurableObjectContext": "The state itself is handed out here.",
    },
    "workers.utils": {
        "HTTPMessageMapping": "Our Headers answer to both names.",
        "RESPONSE_ACCEPTED_TYPES": "A list of JavaScript's classes for its own checks.",
        "get_compat_flag": "Flags of the runtime behind it.",
        "import_sdk_javascript_module_async": "Its own file workflows.js.",
    },
}


def test_every_public_name_of_the_package_is_ours_too(cloudflares: dict[str, Any]) -> None:
    assert set(cloudflares["workers"].__all__) <= set(ours.__all__)


def test_every_public_definition_of_its_modules_is_ours_too(
    cloudflares: dict[str, Any],
) -> None:
    import importlib

    from emulator.sdk.finder import _HOMES

    missing: list[str] = []
    for name, module in cloudflares.items():
        if not name.startswith("workers.") or name not in _HOMES:
            continue
        home = importlib.import_module(_HOMES[name])
        for key, value in vars(module).items():
            is_its_own = getattr(value, "__module__", None) == name
            if key.startswith("_") or not is_its_own:
                continue
            if not hasattr(home, key) and key not in MACHINERY.get(name, {}):
                missing.append(f"{name}.{key}")
    assert missing == []
    declared = [
        key
        for name, keys in MACHINERY.items()
        for key in keys
        if not hasattr(cloudflares[name], key)
        or hasattr(importlib.import_module(_HOMES[name]), key)
    ]
    assert declared == []


@pytest.mark.parametrize("module", ["asgi", "wsgi"])
def test_functions_of_the_adapters_take_the_same(
    cloudflares: dict[str, Any], module: str
) -> None:
    import importlib

    home = importlib.import_module(f"emulator.sdk.workers.{module}")
    for name in ("entrypoint", "fetch", "process_request"):
        theirs = inspect.signature(getattr(cloudflares[f"workers.{module}"], name)).parameters
        assert list(inspect.signature(getattr(home, name)).parameters) == list(theirs)


def run(scenario: Callable[[], Awaitable[Any]]) -> Any:
    return emulator.run(scenario)


def both(cloudflares: dict[str, Any]) -> list[Any]:
    """Cloudflare's package and ours, to be asked the same."""
    return [cloudflares["workers"], ours]


def test_responses_and_requests_agree_with_ours(cloudflares: dict[str, Any]) -> None:
    async def seen(workers: Any) -> Any:
        made = workers.Response("hé", status=201, headers={"a": "b"})
        data = workers.Response.json({"a": [1, "é"]}, status=202)
        request = workers.Request("http://x/", method="POST", body=b"x", headers={"A": "1"})
        redirect = workers.Response.redirect("http://a/b", 301)
        cookies = workers.Response(
            None, headers=[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x", "1"), ("x", "2")]
        )
        return [
            repr(made),
            sorted(made.headers.items()),
            (made.ok, made.status, made.status_text, await made.text()),
            (data.status, data.headers["Content-Type"], await data.json()),
            (request.url, request.method, request.headers["a"], await request.bytes()),
            (redirect.status, redirect.headers.get("location")),
            (cookies.headers.get_all("set-cookie"), cookies.headers["x"], cookies.body),
            await workers.Response("a").replace_body("b").text(),
            await (await workers.Response("a").blob()).bytes(),
            await workers.Request("http://x/", method="PUT", body="[1]").json(),
        ]

    async def main() -> list[Any]:
        return [await seen(workers) for workers in both(cloudflares)]

    theirs, mine = run(main)
    assert theirs == mine


def test_forms_and_blobs_agree_with_ours(cloudflares: dict[str, Any]) -> None:
    async def seen(workers: Any) -> Any:
        form = workers.FormData({"a": "1"})
        form.append("a", "2")
        form["b"] = workers.File(["x", b"y", workers.Blob("z")], "n.txt", "Text/Plain")
        sent = await workers.Response(form).form_data()
        file = sent["b"]
        blob = workers.Blob("héllo", content_type="text/x")
        return [
            sorted(set(sent.keys())),
            (sent.get_all("a"), "a" in sent, "c" in sent),
            (await file.text(), file.name, file.content_type, file.size),
            (blob.size, blob.content_type, await blob.slice(0, 3).text()),
            workers.File("x", "n", last_modified=5).last_modified,
        ]

    async def main() -> list[Any]:
        return [await seen(workers) for workers in both(cloudflares)]

    theirs, mine = run(main)
    assert theirs == mine


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(Exception) as caught:  # Which one is compared.
        call()
    kind = type(caught.value)
    python = next(base for base in kind.__mro__ if not issubclass(base, JsException))
    return python.__name__, getattr(caught.value, "message", str(caught.value))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda w: w.Response(5), id="body"),
        pytest.param(lambda w: w.Response("x", status=99), id="status"),
        pytest.param(lambda w: w.Response("x", status=204), id="null body"),
        pytest.param(lambda w: w.Request("nope"), id="URL"),
        pytest.param(lambda w: w.Request("http://x/", method="GET", body="x"), id="GET"),
        pytest.param(lambda w: w.Response.redirect("http://x/", 200), id="redirect"),
        pytest.param(lambda w: w.Response.redirect("x"), id="relative"),
        pytest.param(lambda w: w.FormData([1]), id="form"),
        pytest.param(lambda w: w.Blob([5]), id="blob"),
        pytest.param(lambda w: w.python_to_rpc((1,)), id="tuple"),
        pytest.param(lambda w: w.python_to_rpc({"a": [bytearray()]}), id="bytearray"),
        pytest.param(lambda w: w.python_to_rpc({"a": {"b": (1,)}}), id="deep"),
    ],
)
def test_refusals_agree_with_ours(cloudflares: dict[str, Any], make: Any) -> None:
    theirs, mine = (refusal(lambda w=w: make(w)) for w in both(cloudflares))

    assert theirs == mine


def test_values_for_rpc_agree_with_ours(cloudflares: dict[str, Any]) -> None:
    values: list[Any] = [
        *(None, True, 1, 1.5, "é", b"x", [1, [None]], {"a": {"b": None}}, {1, 2}),
        datetime(2026, 1, 1, tzinfo=UTC),
        {"when": datetime(2026, 1, 1, 2, 3, 4, 5_000, tzinfo=UTC)},
    ]
    theirs, mine = (
        [w.python_from_rpc(w.python_to_rpc(value)) for value in values]
        for w in both(cloudflares)
    )

    assert theirs == mine
    assert mine[-1].when == datetime(2026, 1, 1, 2, 3, 4, 5_000)  # noqa: DTZ001

    async def forgotten() -> None:
        """Never awaited, on purpose."""

    texts = []
    for workers in both(cloudflares):
        coroutine = forgotten()
        texts.append(refusal(lambda w=workers, c=coroutine: w.python_to_rpc([c])))
        coroutine.close()
    assert (
        texts == [("TypeError", "Awaitable <class 'coroutine'> cannot be sent over RPC.")] * 2
    )


WORKER = """
from fastapi import FastAPI, Request as FastRequest
from workers import (
    DurableObject, Response, WorkerEntrypoint, asgi, env, fetch, patch_env, wait_until
)

class Base:
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.mixed_in = True

class Tally(Base, DurableObject):
    async def add(self, amount, name="total"):
        total = (await self.ctx.storage.get(name) or 0) + amount
        await self.ctx.storage.put(name, total)
        return {"total": total, "mixed_in": self.mixed_in}

    def sync_method(self, value):
        return [value, None]

    async def several(self):
        await self.ctx.storage.put({"a": 1, "b": [1, {"c": None}]})
        found = await self.ctx.storage.get(["a", "b", "missing"])
        listed = await self.ctx.storage.list(prefix="b", limit=5)
        rows = self.ctx.storage.sql.exec("SELECT 1 AS one, 'x' AS text").toArray()
        return [found.to_py() if hasattr(found, "to_py") else found, list(listed), rows[0].one]

    async def wake(self, at):
        await self.ctx.storage.setAlarm(at)

    async def alarm(self):
        await self.ctx.storage.put("woken", True)

    async def woken(self):
        return await self.ctx.storage.get("woken")

    async def fetch(self, request):
        return Response(f"{request.method} {await request.text()}", headers={"x": "y"})

app = FastAPI()

@app.get("/app/{number}")
async def read(number: int, request: FastRequest):
    return {"number": number, "var": request.scope["env"].VAR}

@app.get("/app/plain/{text}")
def plain(text: str):
    return text

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.split("/", 3)[3]
        if path.startswith("app/"):
            return await asgi.fetch(app, request.js_object, self.env)
        return await getattr(self, path)(request)

    async def bindings(self, request):
        with patch_env(NEW="new"):
            patched = [env.NEW, env.VAR]
        await self.env.BUCKET.put("k", b"bytes", httpMetadata={"contentType": "text/x"})
        stored = await self.env.BUCKET.get("k")
        body = await stored.text()
        statement = self.env.DB.prepare("SELECT ?1 AS n, ?2 AS t").bind(7, "x")
        row = await statement.first()
        everything = await statement.all()
        inner = await self.env.AUTH.fetch("https://auth/x", method="POST", body="b")
        outer = await fetch("https://out/y", headers={"a": "b"})
        return Response.json({
            "patched": patched,
            "bucket": [body, stored.httpMetadata.contentType, stored["key"]],
            "row": [row.n, everything.results[0].t, everything.success],
            "fetched": [await inner.text(), await outer.text(), outer.status],
        })

    async def objects(self, request):
        stub = self.env.TALLIES.getByName("a")
        first = await stub.add(2)
        second = await stub.add(3, name="total")
        answer = await stub.fetch("http://object/", method="PUT", body="hi")
        return Response.json({
            "totals": [first.total, second["total"], second.mixed_in],
            "sync": await stub.sync_method({"a": 1}),
            "several": await stub.several(),
            "fetch": [await answer.text(), answer.headers["x"]],
        })

    async def refused(self, request):
        try:
            await self.env.TALLIES.getByName("a").add((1,))
        except TypeError as error:
            return Response(str(error))

    async def later(self, request):
        import asyncio

        async def work():
            await asyncio.sleep(5)
            await self.env.TALLIES.getByName("a").add(40)

        wait_until(work())
        return Response("now")
"""


def ask(tmp_path: Path, *paths: str) -> list[Any]:
    """The bodies of requests to the sample worker."""
    script = tmp_path / "worker.py"
    script.write_text(dedent(WORKER))

    async def auth(request: Any) -> Any:
        return ours.Response(f"auth {request.method} {await request.text()}")

    async def outbound(request: Any) -> Any:
        return ours.Response(f"out {request.headers['a']}", status=203)

    async def main() -> list[Any]:
        options: dict[str, Any] = {
            "durable_objects": {"TALLIES": "Tally"},
            "r2_buckets": ["BUCKET"],
            "d1_databases": ["DB"],
            "service_bindings": {"AUTH": auth},
            "outbound_service": outbound,
            "bindings": {"VAR": "bound"},
        }
        async with emulator.Miniflare(script_path=script, **options) as mf:
            answers = []
            for path in paths:
                response = await mf.dispatch_fetch(f"http://localhost/{path}")
                is_json = "json" in response.headers.get("content-type", "")
                answers.append(response.json() if is_json else response.text)
                await mf.run_until_idle()
            return answers

    return emulator.run(main)


BINDINGS_ANSWER = {
    "patched": ["new", "bound"],
    "bucket": ["bytes", "text/x", "k"],
    "row": [7, "x", True],
    "fetched": ["auth POST b", "out b", 203],
}
OBJECTS_ANSWER = {
    "totals": [2, 5, True],
    "sync": [{"a": 1}, None],
    "several": [{"a": 1, "b": [1, {"c": None}]}, ["b"], 1],
    "fetch": ["PUT hi", "y"],
}


@pytest.mark.usefixtures("cloudflares")
class TestOnCloudflares:
    def test_bindings(self, tmp_path: Path) -> None:
        assert ask(tmp_path, "bindings") == [BINDINGS_ANSWER]

    def test_objects(self, tmp_path: Path) -> None:
        assert ask(tmp_path, "objects") == [OBJECTS_ANSWER]

    def test_an_application(self, tmp_path: Path) -> None:
        answers = ask(tmp_path, "app/7", "app/plain/x")

        assert answers == [{"number": 7, "var": "bound"}, "x"]

    def test_refusals_and_background_work(self, tmp_path: Path) -> None:
        refused, now, objects = ask(tmp_path, "refused", "later", "objects")

        assert refused == "<class 'tuple'> cannot be sent over RPC."
        assert now == "now"
        assert objects["totals"] == [42, 45, True]


class TestOnOurs:
    """The very same worker, on our package."""

    test_bindings = TestOnCloudflares.test_bindings
    test_objects = TestOnCloudflares.test_objects
    test_an_application = TestOnCloudflares.test_an_application
    test_refusals_and_background_work = TestOnCloudflares.test_refusals_and_background_work
