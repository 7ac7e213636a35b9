"""`workers`: the names of Cloudflare's Python package for workers.

Promises: classes and functions of `workers-runtime-sdk` as far as the emulator has what
they stand for. Leaves to others: everything they do.
"""

from __future__ import annotations

from typing import Any

from emulator.durable_objects.context import CURRENT
from emulator.errors import DurableObjectAbort, EmulatorError
from emulator.web.headers import Headers
from emulator.web.request import Request
from emulator.web.response import Response

__all__ = [
    "DurableObject",
    "DurableObjectAbort",
    "Headers",
    "Request",
    "Response",
    "WorkerEntrypoint",
    "fetch",
]


class DurableObject:
    """Base class of Durable Objects.

    Args:
        ctx: The object's state: `id`, `storage`, `waitUntil`, `blockConcurrencyWhile`, `abort`.
        env: The worker's bindings, as attributes.
    """

    __workers_rpc__ = True

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env


class WorkerEntrypoint:
    """Base class of workers; the class called `Default` answers requests.

    Args:
        ctx: The execution context: `waitUntil`, `passThroughOnException`.
        env: The worker's bindings, as attributes.
    """

    __workers_rpc__ = True

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env


async def fetch(resource: str | Request, **options: Any) -> Response:
    """Send a request to the outside.

    Args:
        resource: An absolute URL, or a Request.
        options: What `Request` takes.

    Raises:
        EmulatorError: If the world has no `outbound_service`, or there is no world here.
    """
    context = CURRENT.get()
    outbound = None if context is None else context.outbound
    if outbound is None:
        message = (
            "fetch() leaves the worker, and nothing answers there: give Miniflare an "
            "outbound_service=<async function of a Request>"
        )
        raise EmulatorError(message)
    response: Response = await outbound.fetch(resource, **options)
    return response
