"""WSGI: a Flask or Django application as a worker.

Promises: `wsgi.fetch(app, request, env, ctx)` and `wsgi.entrypoint(app)` of Cloudflare's
package: the environment of PEP 3333 with the bindings under "workers.env", and a body that
is made as it is read. Leaves to others: the body of the request as it comes, which is read
whole before the application is called (CPython cannot switch stacks, as Pyodide can).
"""

from __future__ import annotations

import io
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import unquote, urlsplit

from emulator.errors import js_error
from emulator.sdk.workers.asgi import NULL_BODY_STATUSES
from emulator.sdk.workers.entrypoints import WorkerEntrypoint
from emulator.sdk.workers.gateway import BaseOptions
from emulator.web.response import Response
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.sdk.workers.types import Context
    from emulator.web.request import Request

__all__ = [
    "DEFAULT_OPTIONS",
    "NULL_BODY_STATUSES",
    "Options",
    "build_environ",
    "entrypoint",
    "fetch",
    "process_request",
]

logger = logging.getLogger("wsgi")


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """Options of the adapter; see `BaseOptions`."""


DEFAULT_OPTIONS: Final = Options()


def _native(text: str) -> str:
    # PEP 3333: text of the environment is bytes, each as one character.
    return text.encode("utf-8").decode("latin-1")


def build_environ(req: Request, env: Any, body: bytes | io.IOBase) -> dict[str, Any]:
    """The environment of a request.

    Args:
        req: What was asked.
        env: The worker's bindings, for "workers.env".
        body: Its content.
    """
    is_whole = isinstance(body, bytes | bytearray)
    url = urlsplit(req.url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": str(req.method),
        "SCRIPT_NAME": "",
        "PATH_INFO": _native(unquote(url.path or "/")),
        "QUERY_STRING": url.query,
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(body) if isinstance(body, bytes | bytearray) else body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "workers.env": env,
    }
    for header, value in req.headers.items():
        name = header.upper().replace("-", "_")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = f"HTTP_{name}"
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    if is_whole and body and "CONTENT_LENGTH" not in environ:
        environ["CONTENT_LENGTH"] = str(len(body))  # type: ignore[arg-type]  # It is bytes.
    return environ


@final
class _Answer:
    """What an application says before and beside its body."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.headers: list[tuple[str, str]] = []
        #: Chunks of the old `write()`; they come before the body's own.
        self.written: list[bytes] = []

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        """The application's `start_response`."""
        if self.status is not None:
            if exc_info is not None:
                raise exc_info[1].with_traceback(exc_info[2])
            raise AssertionError("start_response() called more than once")
        self.status, self.headers = status, headers
        return self._write

    def _write(self, chunk: bytes) -> None:
        if chunk:
            self.written.append(chunk)


def process_request(
    app: Any,
    req: Request,
    env: Any,
    body: bytes | io.IOBase,
    options: Options = DEFAULT_OPTIONS,
) -> Response:
    """Ask an application.

    Raises:
        RuntimeError: If it never called `start_response`.
        Exception: What it raised before its first chunk.
    """
    environ = build_environ(req, env, body)
    answer = _Answer()
    result = app(environ, answer.start)
    rest = iter(result)

    def close() -> None:
        if hasattr(result, "close"):
            result.close()
        environ["wsgi.input"].close()

    # An application may say how it answers as late as with its first chunk.
    try:
        first = [next(filter(None, rest), b"")]
    except Exception:
        close()
        raise
    if answer.status is None:
        close()
        raise RuntimeError("The WSGI application did not call start_response()")

    def chunks() -> Iterator[bytes]:
        for part in (answer.written, first, rest):
            yield from filter(None, part)

    return _response(answer.status, answer.headers, chunks(), close, options)


def _response(
    status: str,
    headers: list[tuple[str, str]],
    chunks: Iterator[bytes],
    close: Callable[[], None],
    options: Options,
) -> Response:
    code, _, reason = status.partition(" ")
    init = options.response_init()
    if int(code) in NULL_BODY_STATUSES:
        close()
        return Response(None, int(code), reason, headers, **init)

    def pull(controller: Any) -> None:
        try:
            chunk = next(chunks, None)
        except Exception as error:
            logger.exception("Exception while streaming WSGI response body")
            close()
            controller.error(js_error("Error", str(error)))
            return
        if chunk is None:
            controller.close()
            close()
        else:
            controller.enqueue(chunk)

    def cancel(reason: Any = None) -> None:
        close()

    stream = ReadableStream({"pull": pull, "cancel": cancel})
    return Response(stream, int(code), reason, headers, **init)


async def fetch(
    app: Any,
    req: Request,
    env: Any,
    ctx: Context | None = None,
    *,
    options: Options | None = None,
) -> Response:
    """Answer a request with an application.

    Args:
        app: A WSGI application.
        req: The request, as the handler was given it.
        env: `self.env`; the application finds it in `environ["workers.env"]`.
        ctx: Taken, and not used, as in Cloudflare's package.
        options: Of the adapter.

    Raises:
        Exception: What the application raised before it answered.
    """
    logger.debug("WSGI request: %s %s", req.method, req.url)
    body = await req.bytes()
    try:
        return process_request(app, req, env, body, options or DEFAULT_OPTIONS)
    except Exception:
        logger.exception("WSGI request failed")
        raise


def entrypoint(app: Any, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """The class `Default` of a worker that is an application and nothing else."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, options=options)

    return Default
