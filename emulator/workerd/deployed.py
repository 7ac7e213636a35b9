"""Deployed: a worker that runs somewhere already, as far as a URL shows it.

Promises: requests with the names of `Miniflare`, and nothing that would need its bindings.
Leaves to others: being careful with what runs there (the contract).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, final

import httpx

from emulator.errors import ConfigurationError, UnsupportedByTarget
from emulator.simulation.clock import duration_ms
from emulator.workerd.real_clock import RealClock
from emulator.workerd.transport import TIMEOUT_SECONDS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from datetime import timedelta
    from types import TracebackType

__all__ = ["Deployed"]

CONNECT_SECONDS_MAX: Final = 10.0


@final
class Deployed:
    """A deployed worker.

    Args:
        url: Where it is, such as "https://amber.example".
        headers: Sent with every request, such as `Authorization`.

    Raises:
        ConfigurationError: If the URL is not absolute.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            message = f"Deployed needs an absolute URL such as 'https://host', got {url!r}"
            raise ConfigurationError(message)
        self.url = url.rstrip("/")
        self._headers = dict(headers or {})
        # Made once: it reads every certificate.
        self._context: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    async def dispose(self) -> None:
        """Nothing: it runs on."""

    async def dispatch_fetch(self, url: str, **options: Any) -> httpx.Response:
        """Send one request to the worker and read its answer.

        Args:
            url: A path, or an absolute URL whose path and query are used: the host is that
                of the worker.
            options: `method` (GET unless given) and what httpx.AsyncClient.request takes.

        Returns:
            The answer, with its body read. Redirects are not followed.
        """
        target = httpx.URL(url).raw_path.decode("ascii")
        async with self.client() as client:
            return await client.request(options.pop("method", "GET"), target, **options)

    def client(self, **options: Any) -> httpx.AsyncClient:
        """An httpx client whose base URL is the worker's.

        Args:
            options: What httpx.AsyncClient takes; its headers win over our own.
        """
        headers = httpx.Headers(self._headers)
        headers.update(options.pop("headers", None))
        timeout = httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS_MAX)
        options.setdefault("timeout", timeout)
        if self._context is None:
            self._context = httpx.create_ssl_context()
        options.setdefault("verify", self._context)
        return httpx.AsyncClient(base_url=self.url, headers=headers, **options)

    async def advance(self, duration: int | float | timedelta) -> None:
        """Let real time pass: sleep.

        Args:
            duration: A timedelta, or milliseconds.
        """
        await asyncio.sleep(duration_ms(duration) / 1000)

    @property
    def clock(self) -> RealClock:
        """The clock on the wall."""
        return RealClock()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        message = (
            f"{name} cannot be had of a deployed worker: only dispatch_fetch, client, advance "
            "and clock go over a URL"
        )
        raise UnsupportedByTarget(message)

    def __repr__(self) -> str:
        return f"<Deployed {self.url}>"
