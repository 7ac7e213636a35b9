"""The environment: what worker code reaches without being handed it.

Promises: `env`, `waitUntil` and `fetch` of the running event, as the module
"cloudflare:workers" has them; a sentence where no worker runs. Leaves to others: the
objects behind them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

from emulator.durable_objects.context import CURRENT
from emulator.errors import EmulatorError, WorldError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping, Sequence

    from emulator.durable_objects.context import IoContext
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["env", "fetch", "patch_env", "wait_until"]


def _context(name: str) -> IoContext:
    context = CURRENT.get()
    if context is None or context.world is None:
        message = (
            f"{name} belongs to the running worker, and none runs here: in a test use "
            "mf.get_bindings() and its kin"
        )
        raise WorldError(message)
    return context


@final
class _Environment:
    """The bindings of whichever worker runs, as attributes."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # Tools that look a module over ask for these, outside of any worker.
            raise AttributeError(name)
        return getattr(_context("workers.env").world.env, name)

    def __repr__(self) -> str:
        return "<workers.env>"


env = _Environment()


@contextmanager
def patch_env(
    d: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None, **kwds: Any
) -> Iterator[None]:
    """Change bindings while the block runs.

    Args:
        d: Names and values.
        kwds: The same, as keywords.

    Raises:
        WorldError: Outside of a worker.
    """
    bindings = vars(_context("workers.patch_env()").world.env)
    before = dict(bindings)
    bindings.update({**dict(d or {}), **kwds})
    try:
        yield
    finally:
        bindings.clear()
        bindings.update(before)


def wait_until(awaitable: Awaitable[Any]) -> None:
    """Let work go on after the answer of the running event.

    Raises:
        WorldError: Outside of an event.
    """
    owner: Any = _context("workers.wait_until()").owner
    if owner is None:
        message = "workers.wait_until() belongs to an event, and a script that loads is none"
        raise WorldError(message)
    owner.background.start(awaitable)


async def fetch(resource: str | Request, **options: Any) -> Response:
    """Send a request to the outside.

    Args:
        resource: An absolute URL, or a Request.
        options: What `Request` takes; `fetcher` is the `fetch` of a binding to send it by.

    Returns:
        The Response.

    Raises:
        EmulatorError: If the world has no `outbound_service`, or there is no world here.
    """
    fetcher = options.pop("fetcher", None)
    if fetcher is None:
        context = CURRENT.get()
        outbound = None if context is None else context.outbound
        if outbound is None:
            message = (
                "fetch() leaves the worker, and nothing answers there: give Miniflare an "
                "outbound_service=<async function of a Request>"
            )
            raise EmulatorError(message)
        fetcher = outbound.fetch
    response: Response = await fetcher(resource, **options)
    return response
