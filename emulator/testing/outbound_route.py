"""The route: which requests an outbound mock answers, and how.

Promises: a request fits a route by method, URL, query, headers and body; the reply is a
response, an error or whatever a function makes of the request, after a delay if wanted; how
often it may be used is counted. Leaves to others: which of the routes answers (the mock).
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, final
from urllib.parse import parse_qs, urlsplit

from emulator.errors import JsException, JsTypeError
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.clock import duration_ms
from emulator.web.request import Request
from emulator.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

__all__ = ["UNSET", "Patterns", "Route"]

#: Stands for "not given", where None is a value.
UNSET: Final = object()


class Patterns(NamedTuple):
    """What a request must look like.

    Attributes:
        method: Upper case; None is any.
        url: A URL or a path in which a star stands for any text, or a regular expression.
        query: Values by name; others may be there too.
        headers: Values by name; others may be there too.
        body: The text or the bytes, or a regular expression to be found in the text, or a
            function of the text; None is any.
        json: What the body is as JSON.
    """

    method: str | None
    url: str | re.Pattern[str]
    query: Mapping[str, str | re.Pattern[str]]
    headers: Mapping[str, str | re.Pattern[str]]
    body: Any = None
    json: Any = UNSET

    def fit(self, request: Request, body: bytes) -> bool:
        """Whether a request is one of them."""
        return (
            (self.method is None or self.method == str(request.method))
            and self._fits_url(request.url)
            and self._fits_query(request.url)
            and all(
                _fits(text, request.headers.get(name)) for name, text in self.headers.items()
            )
            and self._fits_body(body)
        )

    def _fits_url(self, url: str) -> bool:
        url = url.partition("#")[0]
        if isinstance(self.url, re.Pattern):
            return self.url.search(url) is not None
        pattern = self.url
        if pattern.startswith("/"):
            parts = urlsplit(url)
            url = parts.path + (f"?{parts.query}" if parts.query else "")
        if "?" not in pattern:
            url = url.partition("?")[0]
        if "*" not in pattern:
            return url == pattern
        return (
            re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), url, re.S) is not None
        )

    def _fits_query(self, url: str) -> bool:
        if not self.query:
            return True
        values = parse_qs(urlsplit(url).query, keep_blank_values=True)
        return all(
            any(_fits(wanted, value) for value in values.get(name, ()))
            for name, wanted in self.query.items()
        )

    def _fits_body(self, body: bytes) -> bool:
        wanted = self.body
        if self.json is not UNSET:
            try:
                return bool(json.loads(body) == self.json)
            except ValueError:
                return False
        if wanted is None:
            return True
        if isinstance(wanted, bytes):
            return body == wanted
        text = body.decode("utf-8", "replace")
        return bool(wanted(text)) if callable(wanted) else _fits(wanted, text)

    def __str__(self) -> str:
        url = f"/{self.url.pattern}/" if isinstance(self.url, re.Pattern) else self.url
        told = f"{self.method or 'any method'} {url}"
        if self.query:
            told += f" query={_told(self.query)}"
        if self.headers:
            told += f" headers={_told(self.headers)}"
        if self.json is not UNSET:
            told += f" json={self.json!r}"
        elif self.body is not None:
            told += f" body={self.body!r}"
        return told


def _fits(wanted: str | re.Pattern[str], text: str | None) -> bool:
    if text is None:
        return False
    if isinstance(wanted, re.Pattern):
        return wanted.search(text) is not None
    return text == wanted


def _told(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {k: getattr(v, "pattern", v) for k, v in wanted.items()}


@final
class Route:
    """One route of an outbound mock; made by its `get`, `post`, ... and `route`.

    It answers one request with 200 and no body, unless told otherwise. Every method but
    `answer` gives the route itself, so that they can be chained.

    Attributes:
        patterns: Which requests it answers.
        times_max: How many it answers; None is any number.
        call_count: How many it has answered.
    """

    def __init__(self, patterns: Patterns) -> None:
        self.patterns = patterns
        self.times_max: int | None = 1
        self.call_count = 0
        self._delay_ms = 0
        self._make: Callable[[Request], Any] = lambda _: Response()

    # -- what it answers -------------------------------------------------------------------

    def reply(
        self,
        status: int = 200,
        *,
        body: str | bytes | None = None,
        json: Any = UNSET,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Answer with a response.

        Args:
            status: 200 to 599.
            body: Text or bytes.
            json: Instead of a body: a value, sent as JSON.
            headers: Names and values.

        Raises:
            TypeError: If there is both a body and JSON, or a body that cannot be sent.
            ValueError: If there is no such status.
        """
        if json is not UNSET and body is not None:
            message = "reply() takes body or json, not both"
            raise TypeError(message)
        fixed = dict(headers or {})

        def make(_: Request) -> Response:
            if json is UNSET:
                return Response(body, status, headers=fixed)
            return Response.from_json(json, status, headers=fixed)

        make(Request("http://localhost"))  # What is wrong is said here, not in the worker.
        return self.reply_with(make)

    def reply_with(self, function: Callable[[Request], Any]) -> Self:
        """Answer with what a function makes of the request.

        Args:
            function: Called with the Request; gives a Response, or raises. Sync or async.

        Raises:
            TypeError: If it cannot be called.
        """
        if not callable(function):
            message = f"reply_with() takes a function of the request, got {function!r}"
            raise TypeError(message)
        self._make = function
        return self

    def fail(self, error: BaseException | None = None) -> Self:
        """Answer with an error: the worker's `fetch` raises it.

        Args:
            error: "Network connection lost." if None, as on the platform.
        """

        def make(_: Request) -> Response:
            raise error or JsException("Network connection lost.", retryable=True)

        return self.reply_with(make)

    def delay(self, duration: int | float | timedelta) -> Self:
        """Let time pass before each answer.

        Args:
            duration: A timedelta, or milliseconds; simulated, where time is simulated.
        """
        self._delay_ms = duration_ms(duration)
        return self

    # -- how often -------------------------------------------------------------------------

    def times(self, count: int) -> Self:
        """Answer so many requests, and expect them all.

        Args:
            count: At least 1.

        Raises:
            ValueError: If it is less.
        """
        if not isinstance(count, int) or count < 1:
            message = f"times() takes a count of at least 1, got {count!r}"
            raise ValueError(message)
        self.times_max = count
        return self

    def persist(self) -> Self:
        """Answer any number of requests, and expect at least one."""
        self.times_max = None
        return self

    @property
    def is_used_up(self) -> bool:
        """Whether it answers no further request."""
        return self.times_max is not None and self.call_count >= self.times_max

    @property
    def is_pending(self) -> bool:
        """Whether it still expects a request."""
        return self.call_count < (1 if self.times_max is None else self.times_max)

    # -- for the mock ----------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        """Answer a request that was found to fit."""
        if self._delay_ms:
            await asyncio.sleep(self._delay_ms / 1000)
        made = self._make(request)
        response = await made if is_awaitable(made) else made
        if not isinstance(response, Response):
            message = f"the route {self.patterns} answered with {response!r}, not a Response"
            raise JsTypeError(message)
        return response

    def __str__(self) -> str:
        most = "any number of" if self.times_max is None else str(self.times_max)
        return f"{self.patterns} (used {self.call_count} of {most} times)"

    def __repr__(self) -> str:
        return f"<Route {self}>"
