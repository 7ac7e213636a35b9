"""The outbound mock: the world outside of a worker, as far as a test needs it.

Promises: an async function of a request, for `outbound_service` and for a service binding, of
the emulator and of real workerd; routes are tried in the order in which they were made; one
clear error for a request that nothing answers, in the worker and again at the end, should the
worker have swallowed it. After undici's MockAgent, which `fetchMock` of `cloudflare:test` was,
and respx. Leaves to others: what fits a route (the patterns), and what it answers (the route).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, final

from emulator.testing.outbound_patterns import UNSET, Patterns
from emulator.testing.outbound_route import Route

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping
    from types import TracebackType

    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["OutboundCall", "OutboundMock", "OutboundMockError"]

#: Bytes of a body that an error shows.
_SHOWN_BYTES_MAX: Final = 200


class OutboundMockError(AssertionError):
    """A request fitted no route of an OutboundMock, or a route was not used."""


@final
@dataclass(frozen=True, slots=True)
class OutboundCall:
    """One request that reached an OutboundMock.

    Attributes:
        request: Method, URL and headers. Its body may have been read; `body` has it.
        body: The request's bytes.
        route: What answered it; None if nothing did.
    """

    request: Request
    body: bytes
    route: Route | None

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", "replace")


@final
class OutboundMock:
    """What answers the requests that leave a worker.

        import emulator
        from emulator.testing import OutboundMock
        from workers import WorkerEntrypoint, fetch

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                await fetch("https://hooks.example.com/seen", method="POST", body=request.url)
                return await fetch("https://api.example.com/users/7")

        async def main():
            with OutboundMock() as mock:
                mock.get("https://api.example.com/users/*").reply(json={"name": "Ada"})
                mock.post("/seen", body="http://localhost/").reply(204).delay(3_000)
                async with emulator.Miniflare(worker=Default, outbound_service=mock) as mf:
                    response = await mf.dispatch_fetch("http://localhost/")
            assert response.json() == {"name": "Ada"}

        emulator.run(main)

    As a context manager it checks at the end that everything was used, unless the block has
    raised. It may answer for several worlds, and for a service binding.

    Args:
        in_order: Requests must come in the order of the routes: only the first route that
            is not used up may answer.

    Attributes:
        routes: In the order in which they were made.
        calls: Every request so far, also those that nothing answered.
    """

    def __init__(self, *, in_order: bool = False) -> None:
        self._in_order = in_order
        self.routes: list[Route] = []
        self.calls: list[OutboundCall] = []

    # -- routes ----------------------------------------------------------------------------

    def route(
        self,
        method: str | None,
        url: str | re.Pattern[str],
        *,
        query: Mapping[str, str | re.Pattern[str]] | None = None,
        headers: Mapping[str, str | re.Pattern[str]] | None = None,
        body: Any = None,
        json: Any = UNSET,
    ) -> Route:
        """Make a route for some requests. It answers one of them with 200; say more on it.

        Args:
            method: Such as "GET"; None is any.
            url: An absolute URL, or a path such as "/users/*", which fits any origin; a star
                stands for any text in the path or query, and for a part of the host. Without
                a question mark in it the query does not matter. Or a regular expression,
                searched for in the whole URL.
            query: Values by name, text or regular expressions; others may be there too.
            headers: The same.
            body: The text, the bytes, a regular expression to be found in the text, or a
                function of the text that tells whether it fits.
            json: Instead of a body: what it must be as JSON.

        Returns:
            The route: `reply`, `reply_with`, `fail`, `delay`, `times`, `persist`.

        Raises:
            TypeError: If an argument is of another type.
            ValueError: If the URL is neither absolute nor a path.
        """
        route = Route(Patterns(method, url, query=query, headers=headers, body=body, json=json))
        self.routes.append(route)
        return route

    def get(self, url: str | re.Pattern[str], **patterns: Any) -> Route:
        """`route("GET", ...)`."""
        return self.route("GET", url, **patterns)

    def head(self, url: str | re.Pattern[str], **patterns: Any) -> Route:
        """`route("HEAD", ...)`."""
        return self.route("HEAD", url, **patterns)

    def post(self, url: str | re.Pattern[str], **patterns: Any) -> Route:
        """`route("POST", ...)`."""
        return self.route("POST", url, **patterns)

    def put(self, url: str | re.Pattern[str], **patterns: Any) -> Route:
        """`route("PUT", ...)`."""
        return self.route("PUT", url, **patterns)

    def patch(self, url: str | re.Pattern[str], **patterns: Any) -> Route:
        """`route("PATCH", ...)`."""
        return self.route("PATCH", url, **patterns)

    def delete(self, url: str | re.Pattern[str], **patterns: Any) -> Route:
        """`route("DELETE", ...)`."""
        return self.route("DELETE", url, **patterns)

    # -- answers ---------------------------------------------------------------------------

    async def __call__(self, request: Request) -> Response:
        """Answer a request by the first route that fits it.

        Raises:
            OutboundMockError: If none does; the message lists them.
            BaseException: What the route was told to fail with.
        """
        body = await request.clone().bytes()
        route = self._route_for(request, body)
        self.calls.append(OutboundCall(request, body, route))
        if route is None:
            raise OutboundMockError(self._unmatched(request, body))
        route.call_count += 1
        return await route.answer(request)

    def _route_for(self, request: Request, body: bytes) -> Route | None:
        open_routes = [route for route in self.routes if not route.is_used_up]
        if self._in_order:
            # What may come any number of times lets the next one come before it is over.
            first = [route for route in open_routes if route.is_pending][:1]
            open_routes = [
                route for route in open_routes if route in first or not route.is_pending
            ]
        for route in open_routes:
            if route.patterns.fit(request, body):
                return route
        return None

    def _unmatched(self, request: Request, body: bytes) -> str:
        told = f"{request.method} {request.url}"
        if body:
            told += f" with the body {body[:_SHOWN_BYTES_MAX]!r}"
        order = ", in this order," if self._in_order else ""
        routes = "".join(f"\n  {route}" for route in self.routes) or " none"
        return f"the OutboundMock has no route for {told}; its routes{order} are:{routes}"

    # -- the end ---------------------------------------------------------------------------

    def assert_all_used(self) -> None:
        """Check that each route was used as often as it expects, and each request answered.

        Raises:
            OutboundMockError: If not; the message lists what is missing.
        """
        unanswered = Counter(
            f"nothing answered {call.request.method} {call.request.url}"
            for call in self.calls
            if call.route is None
        )
        problems = [
            what if count == 1 else f"{what} ({count} times)"
            for what, count in unanswered.items()
        ]
        problems += [f"not used: {route}" for route in self.routes if route.is_pending]
        if problems:
            told = "".join(f"\n  {problem}" for problem in problems)
            message = f"the OutboundMock was not used as its routes say:{told}"
            raise OutboundMockError(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.assert_all_used()

    def __repr__(self) -> str:
        return f"<OutboundMock {len(self.routes)} routes, {len(self.calls)} calls>"
