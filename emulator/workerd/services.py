"""services: Python functions that answer requests of a real worker.

Promises: the function gets a `Request` of the `workers` names with its body as a stream, and
its `Response` goes back with every header; what it raises is thrown in the worker. Python
never listens: the driver holds the request until the answer is brought. Leaves to others:
the way there (front.mjs, driver.mjs).
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Final, final

from emulator.simulation.awaitables import is_awaitable
from emulator.web.readable import ReadableStream
from emulator.web.request import Request
from emulator.web.response import checked_answer
from emulator.workerd.frames import BodyStream
from emulator.workerd.wire import error_facts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import httpx

    from emulator.web.response import Response

__all__ = ["OUTBOUND", "Services"]

#: The name of what answers `fetch`; no binding can have it.
OUTBOUND: Final = "outbound service"
_LENGTH: Final = "content-length"


@final
class Services:
    """The services of one world.

    Args:
        functions: By binding name, and by `OUTBOUND`.
        ask: Sends a request about this world to the driver.
    """

    def __init__(
        self, functions: Mapping[str, Any], ask: Callable[..., Awaitable[httpx.Response]]
    ) -> None:
        self._functions = functions
        self._ask = ask

    async def answer(self, event: dict[str, Any]) -> None:
        """Answer one request.

        Args:
            event: The driver's: `id`, `service`, `method`, `url`, `headers`, `hasBody`.
        """
        incoming: httpx.Response | None = None
        try:
            body = None
            if event["hasBody"]:
                incoming = await self._ask("GET", f"/body/{event['id']}")
                body = _stream_of(incoming, event["headers"])
            response = self._functions[event["service"]](_request(event, body))
            if is_awaitable(response):
                response = await response
            checked_answer(response)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise  # The world ends; nobody waits for the answer.
            await self._bring(event["id"], {"error": error_facts(error)}, b"")
        else:
            await self._send(event["id"], response)
        finally:
            if incoming is not None:
                await incoming.aclose()

    async def _send(self, call_id: str, response: Response) -> None:
        facts = {
            "status": response.status,
            "statusText": response.status_text,
            "headers": [pair for pair in response.headers.items() if pair[0] != _LENGTH],
            "length": response.body_length,
        }
        content = response._take_over()
        facts["hasBody"] = content is not None
        body = BodyStream(b"", content) if isinstance(content, ReadableStream) else content
        await self._bring(call_id, facts, body or b"")

    async def _bring(
        self, call_id: str, facts: dict[str, Any], body: bytes | BodyStream
    ) -> None:
        packed = base64.b64encode(json.dumps(facts).encode())
        headers = [(b"amber-answer", packed)]
        if not isinstance(body, bytes):
            headers.append((b"transfer-encoding", b"chunked"))
        answer = await self._ask("POST", f"/answer/{call_id}", headers, body)
        await answer.aread()


def _is_cancelled() -> bool:
    """Whether it is this task that was cancelled, and not something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _request(event: dict[str, Any], body: ReadableStream | None) -> Request:
    return Request(
        event["url"],
        method=event["method"],
        headers=event["headers"],
        body=body,
        redirect="manual",
    )


def _stream_of(response: httpx.Response, headers: list[list[str]]) -> ReadableStream:
    chunks = response.aiter_raw()
    length = dict(headers).get(_LENGTH)

    async def pull() -> bytes | None:
        return await anext(chunks, None)

    return ReadableStream.from_source(pull, known_length=int(length) if length else None)
