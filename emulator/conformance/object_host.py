"""The object host: an object of a program, and what calls and events do in it.

Promises: ops of calls, alarms and WebSockets run in the instance that they came to, and are
told outside of it. Leaves to others: the classes, which differ in how they are declared
(interpreter), the ops (operations).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from emulator.conformance.operations import Host, Operations
from emulator.conformance.recorder import Call, Run
from emulator.conformance.tagged_values import encode
from emulator.durable_objects.websocket import WebSocketPair
from emulator.sdk.workers import Response

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TOLD", "ObjectHost", "told_response"]

#: The header of an answer that is a program's own.
TOLD: Final = "told"


def told_response(value: Any) -> Response:
    """The answer of a handler to its own program."""
    return Response(json.dumps(encode(value)), headers={TOLD: "1"})


class ObjectHost(Host):
    """An object that runs ops.

    Args:
        run: The run of the program.
        env: The bindings.
        ctx: The object's state.
    """

    def __init__(self, run: Run, env: Any, ctx: Any) -> None:
        super().__init__(run, run.names.get(str(ctx.id), "main"), env, ctx)

    async def answer(self, number: int) -> Any:
        """Run a body that was sent here."""
        call, ops, path = self.run.bodies[number]
        return await Operations(self, call).run(ops, path)

    async def fetched(self, request: Any) -> Any:
        """Run the body that a request names; the answer is the result as JSON."""
        upgrade = request.headers.get("call")
        number = await request.json() if upgrade is None else int(upgrade)
        call, ops, path = self.run.bodies[number]
        operations = Operations(self, call)
        if call.connection is not None:
            return await self._connected(operations, call.connection, ops)
        result = await operations.run(ops, path)
        return result if operations.has_responded else told_response(result)

    async def alarm(self, info: Any) -> None:
        """One run of the alarm handler."""
        script = self.run.alarms.get(self.owner)
        if script is None:
            return
        call = Call(self.run, self.owner)
        names = ("isRetry", "retryCount", "scheduledTime")
        ops, run = script.begin(call, {name: encode(getattr(info, name)) for name in names})
        try:
            await Operations(self, call).run(ops)
        except Exception as error:
            script.end(run, error)
            raise
        script.end(run)

    # -- WebSockets ------------------------------------------------------------------------

    async def _connected(
        self, operations: Operations, step: dict[str, Any], ops: list[Any]
    ) -> Any:
        """Take one end of a new WebSocket, and answer with the other."""
        client, server = WebSocketPair.new().object_values()
        self.run.refs_of(self.owner)[step["connect"]] = server
        accept = step.get("accept", "hibernate")
        if accept == "hibernate":
            tags = step.get("tags")
            self.ctx.acceptWebSocket(server, *([] if tags is None else [tags]))
        elif accept != "none":
            self._listen(server)
            server.accept(allowHalfOpen=accept == "half_open")
        result = await operations.run(ops)
        if operations.has_responded:
            return result
        return Response(None, status=101, web_socket=client)

    def _listen(self, ws: Any) -> None:
        def message(event: Any) -> None:
            self._heard("webSocketMessage", {"ws": ws, "message": event.data})

        def close(event: Any) -> None:
            given = {"code": event.code, "reason": event.reason, "wasClean": event.wasClean}
            self._heard("webSocketClose", {"ws": ws, **given})

        def error(event: Any) -> None:
            self._heard("webSocketError", {"ws": ws, "error": event.error})

        ws.addEventListener("message", message)
        ws.addEventListener("close", close)
        ws.addEventListener("error", error)

    async def hear(self, handler: str, given: dict[str, Any]) -> None:
        """What came on a WebSocket that the object has taken by `acceptWebSocket()`."""
        with self._event(handler, given) as (operations, ops):
            await operations.run(ops)

    def _heard(self, handler: str, given: dict[str, Any]) -> None:
        """And by `accept()`. A listener is never waited for, so its ops are not."""
        with self._event(handler, given) as (operations, ops):
            operations.inside(is_sync=True).run_sync(ops)

    @contextmanager
    def _event(
        self, handler: str, given: dict[str, Any]
    ) -> Iterator[tuple[Operations, list[Any]]]:
        call = Call(self.run, self.owner)
        operations = Operations(self, call, given=given)
        script = self.run.events.get(self.owner)
        if script is None:
            yield operations, []
            return
        args = [value for name, value in given.items() if name != "ws"]
        with script.event(handler, call, encode(args)) as ops:
            yield operations, ops
