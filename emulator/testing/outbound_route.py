"""The route: how an outbound mock answers some requests, and how many of them.

Promises: the reply is a response, an error or whatever a function makes of the request, after
a delay if wanted; how often it may be used is counted. Leaves to others: which requests those
are (the patterns), and which of the routes answers (the mock).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, final

from emulator.errors import JsException, JsTypeError
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.clock import duration_ms
from emulator.testing.outbound_patterns import UNSET
from emulator.web.request import Request
from emulator.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from emulator.testing.outbound_patterns import Patterns

__all__ = ["Route"]


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
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Self:
        """Answer with a response.

        Args:
            status: 200 to 599.
            body: Text or bytes.
            json: Instead of a body: a value, sent as JSON.
            headers: Values by name, or pairs, where a name may come twice.

        Raises:
            TypeError: If there is both a body and JSON, or a body that cannot be sent.
            ValueError: If there is no such status.
        """
        if json is not UNSET and body is not None:
            message = "reply() takes body or json, not both"
            raise TypeError(message)
        fixed = list(headers.items() if isinstance(headers, Mapping) else headers)

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

    def fail(self, error: BaseException | type[BaseException] | None = None) -> Self:
        """Answer with an error: the worker's `fetch` raises it.

        Args:
            error: "Network connection lost." if None, as on the platform.

        Raises:
            TypeError: If it is something else.
        """
        is_class = isinstance(error, type) and issubclass(error, BaseException)
        if not (error is None or is_class or isinstance(error, BaseException)):
            message = f"fail() takes an exception, got {error!r}"
            raise TypeError(message)

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
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
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
