"""Redirects: where a `fetch` goes when an answer sends it elsewhere.

Promises: an answer with one of the five statuses and a `location` is followed as workerd does
(api/http.c++, measured): a POST becomes a GET unless the status says that it stays, another
origin is not told `authorization`, a body goes along if it is no stream, and twenty are enough.
Leaves to others: the journey, which is one for all of these requests here, and counting them:
on the platform each is a subrequest of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from emulator.errors import JsException, js_error
from emulator.web.headers import Headers
from emulator.web.request import Request
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.web.response import Response

__all__ = ["REDIRECTS_MAX", "fetch_followed", "followed"]

REDIRECTS_MAX: Final = 20
_STATUSES: Final = (301, 302, 303, 307, 308)
_STREAM_IS_GONE: Final = (
    "A request with a one-time-use body (it was initialized from a stream, not a buffer) "
    "encountered a redirect requiring the body to be retransmitted. To avoid this error in the "
    "future, construct this request from a buffer-like body initializer."
)


def followed(
    request: Request,
    send: Callable[[Request], asyncio.Future[Response]],
    hop: Callable[[], object],
) -> asyncio.Future[Response]:
    """`fetch_followed`, which costs a task only if there is something to follow.

    Args:
        request: Its `redirect` is "follow" or "manual".
        send: Has one request answered, with a Response that is delivered already.
        hop: Called before each further request; may refuse it.
    """
    if request.redirect == "manual":
        return send(request)
    content = request._content
    sent = send(request)
    loop = sent.get_loop()
    outcome: asyncio.Future[Response] = loop.create_future()

    def answered(answer: asyncio.Future[Response]) -> None:
        error = answer.exception()
        if error is not None:
            outcome.set_exception(error)
        elif not _leads_on(request, answer.result()):
            outcome.set_result(answer.result())
        else:
            first = (answer.result(), content)
            rest = fetch_followed(request, send, hop, first=first)
            loop.create_task(rest).add_done_callback(ended)

    def ended(task: asyncio.Task[Response]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())

    sent.add_done_callback(answered)
    return outcome


def _leads_on(request: Request, response: Response) -> bool:
    return (
        request.redirect == "follow"
        and response.status in _STATUSES
        and bool(response.headers.get("location"))
    )


async def fetch_followed(
    request: Request,
    send: Callable[[Request], Awaitable[Response]],
    hop: Callable[[], object] = bool,
    *,
    first: tuple[Response, bytes | ReadableStream | None] | None = None,
) -> Response:
    """Send a request, and follow where its answers lead unless it wants them itself.

    Args:
        request: Its `redirect` is "follow" or "manual".
        send: Has one request answered.
        hop: Called before each further request; may refuse it.
        first: The first answer and the request's body, if it was sent already.

    Returns:
        The last answer, with the URL that it is from.

    Raises:
        JsTypeError: If there is no end to it, if a location is no URL, or if a stream would
            have to be sent again.
    """
    urls: list[str] = []
    while True:
        urls.append(request.url)
        if first is not None:
            (response, content), first = first, None
        else:
            content = request._content
            response = await send(request)
        if not _leads_on(request, response):
            answer = response.delivered(request.url, is_head=request.method == "HEAD")
            answer.redirected = len(urls) > 1
            return answer
        if len(urls) > REDIRECTS_MAX:
            raise js_error("TypeError", f"Too many redirects.{', '.join(urls)}")
        if isinstance(content, ReadableStream) and response.status != 303:
            raise js_error("TypeError", _STREAM_IS_GONE)
        location = response.headers["location"]
        hop()
        request = _redirected(request, response.status, _target(request.url, location), content)


def _target(url: str, location: str) -> str:
    try:
        target = Request(urljoin(url, location)).url.partition("#")[0]
    except (JsException, ValueError):
        message = "Invalid Location header; unable to follow redirect."
        raise js_error("TypeError", message) from None
    if not target.startswith(("http:", "https:")):
        raise js_error("TypeError", f"Fetch API cannot load: {target}")
    return target


def _redirected(
    request: Request, status: int, url: str, content: bytes | ReadableStream | None
) -> Request:
    """The next request, after an answer with this status."""
    method = str(request.method)
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, content = "GET", None
    headers = Headers(request.headers)
    if urlsplit(request.url)[:2] != urlsplit(url)[:2]:
        headers.delete("authorization")
    return Request(
        url, method=method, headers=headers, body=content, cf=request.cf, signal=request.signal
    )
