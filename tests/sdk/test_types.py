"""A worker written for Cloudflare is read by mypy, strictly, through the stubs that we ship."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from emulator.sdk.finder import _HOMES

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "emulator" / "sdk" / "stubs"

WORKER = """
from datetime import UTC, datetime
from typing import Any

import asgi as old_asgi
from js import (
    JSON, URL, AbortController, Array, Date, Headers, Object, TextEncoder, WebSocketPair,
    console, crypto, queueMicrotask, setTimeout,
)
from js import Response as JsResponse
from pyodide.ffi import JsException, JsProxy, create_proxy, to_js
from pyodide.http import pyfetch
from workers import (
    Blob, DurableObject, FormData, Request, Response, WorkerEntrypoint, asgi, env, fetch,
    handler, import_from_javascript, patch_env, python_from_rpc, python_to_rpc, wait_until,
    wsgi,
)
from workers.types import Context, FetchKwargs
from workers.workflows import NonRetryableError


class Mixin:
    def hello(self) -> str:
        return "hello"


class Counter(Mixin, DurableObject):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.count = 0

    async def add(self, amount: int = 1) -> int:
        self.count += amount
        await self.ctx.storage.put("count", self.count, allowUnconfirmed=True)
        await self.ctx.storage.setAlarm(Date.now() + 1_000)
        return self.count

    async def alarm(self, info: Any = None) -> None:
        console.log("alarm", info)


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        if request.method == "POST":
            data: Any = await request.json()
            form: FormData = await request.form_data()
            return Response.json({"data": data, "form": list(form.keys())}, status=201)
        options = to_js({"status": 404}, dict_converter=Object.fromEntries)
        if URL.new(request.url).pathname == "/js":
            return JsResponse.new(JSON.stringify({"a": 1}), options)
        if request.headers.get("upgrade") == "websocket":
            client, server = WebSocketPair.new().object_values()
            server.accept()
            return Response(None, status=101, web_socket=client)
        answer = await fetch("https://example.com", headers={"a": "b"}, method="PUT")
        other = await pyfetch("https://example.com")
        headers = Headers.new({"x": "y"})
        headers.append("z", TextEncoder.new().encode("z").length)
        setTimeout(create_proxy(lambda: None), 5)
        queueMicrotask(lambda: None)
        when: datetime = Date.new(2026, 0, 1)
        wait_until(self.env.COUNTERS.getByName("a").add(2))
        with patch_env(VAR="x"):
            text: str = env.VAR
        try:
            await crypto.subtle.digest("SHA-256", b"x")
        except JsException as error:
            return Response(error.message, status=500)
        assert not isinstance(python_from_rpc(python_to_rpc([text])), JsProxy)
        body = await Blob([await answer.bytes(), await other.text()]).text()
        return Response(f"{body} {when.astimezone(UTC)} {Array.of(1).length}", headers=headers)

    async def scheduled(self, controller: Any, env: Any, ctx: Context) -> None:
        raise NonRetryableError(controller.cron)


class App(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        AbortController.new().abort()
        application: Any = import_from_javascript("cloudflare:workers").env.APP
        if request.url.endswith("wsgi"):
            return await wsgi.fetch(application, request, self.env)
        await old_asgi.fetch(application, request, self.env)
        return await asgi.fetch(application, request, self.env, self.ctx)


@handler
async def on_fetch(request: Request, env: Any, ctx: Context) -> Response:
    options: FetchKwargs = {"method": "GET"}
    return await fetch(request, **options)
"""


def mypy(tmp_path: Path, text: str) -> str:
    """What mypy says of a worker."""
    path = tmp_path / "sample_worker.py"
    path.write_text(dedent(text), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--no-pretty", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode in (0, 1), done.stderr
    lines = (line.partition("sample_worker.py:")[2] for line in done.stdout.splitlines())
    return "\n".join(filter(None, lines))


def test_a_worker_with_the_names_of_cloudflare_has_no_errors(tmp_path: Path) -> None:
    assert mypy(tmp_path, WORKER) == ""


def test_a_wrong_argument_is_an_error(tmp_path: Path) -> None:
    wrong = """
        from js import setTimeout
        from workers import Response, nothing

        def answer() -> Response:
            setTimeout("code", 5)
            return Response("x", status="200")
    """

    told = mypy(tmp_path, wrong)

    assert 'Module "workers" has no attribute "nothing"' in told
    assert 'Argument 1 to "setTimeout" has incompatible type "str"' in told
    assert 'Argument "status" to "Response" has incompatible type "str"' in told


def test_every_module_of_the_finder_has_a_stub_of_its_home() -> None:
    for name, home in _HOMES.items():
        path = STUBS.joinpath(*name.split("."))
        stub = path / "__init__.pyi" if path.is_dir() else path.with_suffix(".pyi")
        text = stub.read_text(encoding="utf-8")
        imported = [
            node.module
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ImportFrom)
        ]
        assert name == "pyodide" or home in imported, stub
