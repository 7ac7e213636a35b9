"""The worker: a loaded script as something that answers events.

Promises: each event meets a fresh instance of the entrypoint, or a module-level handler;
what comes back is checked as workerd checks it, in its words. Leaves to others: loading
the script (loader), the life of one event (invocation), who asks (the world).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.relaxed_call import note_arguments, relaxed_call
from emulator.errors import JsException
from emulator.simulation.awaitables import is_awaitable
from emulator.web.js_dict import JsDict
from emulator.web.response import checked_answer
from emulator.web.websocket import check_upgrade

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from emulator.durable_objects.rpc_call import RpcCall
    from emulator.runtime.invocation import Invocation
    from emulator.runtime.loader import Script
    from emulator.simulation.handles import SimulationFuture
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["Worker"]


#: What a handler is called with, by how many that are, for the note on an error.
_ARGUMENTS: Final = {
    1: "(request), and finds env and ctx in self.env and self.ctx",
    3: "(event, env, ctx)",
}


@final
class ScheduledController:
    """What a cron handler is told.

    Args:
        cron: The expression that was due.
        scheduled_time_ms: When it was due, in epoch milliseconds.
    """

    def __init__(self, cron: str, scheduled_time_ms: int) -> None:
        self.cron = cron
        self.scheduledTime = scheduled_time_ms
        self.refuses_retry = False

    def noRetry(self) -> None:
        """Ask not to be called again after a failure."""
        self.refuses_retry = True


@final
class Worker:
    """One worker.

    Args:
        script: Its code.
        env: Its bindings.
        begin: Gives the invocation for a new event.
    """

    def __init__(self, script: Script, env: Any, begin: Callable[[], Invocation]) -> None:
        self.script = script
        self._env = env
        self._begin = begin

    def fetch(self, request: Request) -> Future[Response]:
        """Answer a request.

        Returns:
            A future with the Response; what the handler raises rejects it.
        """
        invocation = self._begin()
        request.headers.freeze()

        async def handler() -> Response:
            answer = await self._call(invocation, "fetch", request)
            response = checked_answer(answer, self._handler("fetch"))
            check_upgrade(response, request)
            if response.web_socket is not None:
                response.web_socket = response.web_socket.handed_over()
            return response

        return invocation.run(handler)

    def rpc(self, call: RpcCall) -> SimulationFuture:
        """Call a method of a fresh instance of the entrypoint, or read a property of it.

        Returns:
            A future with a copy of the result.
        """
        invocation = self._begin()

        async def handler() -> Any:
            entrypoint = self.script.entrypoint
            target = object() if entrypoint is None else self._instance(invocation, entrypoint)
            return await call.run(target, invocation.context, is_entrypoint=True)

        return invocation.rpc(handler)

    def _instance(self, invocation: Invocation, entrypoint: Any) -> Any:
        try:
            return entrypoint(invocation.ctx, self._env)
        except TypeError as error:
            note_arguments(error, entrypoint, "(ctx, env)", invocation.ctx, self._env)
            raise

    def scheduled(self, cron: str, scheduled_time_ms: int) -> Future[JsDict]:
        """Run the cron handler, and wait for the work it handed to `waitUntil`.

        Returns:
            A future with `outcome`, "ok" or "exception", and `noRetry`, as Miniflare's
            `worker.scheduled()` answers. The error itself is in the trace.
        """
        invocation = self._begin()
        controller = ScheduledController(cron, scheduled_time_ms)

        async def handler() -> JsDict:
            outcome = "ok"
            try:
                await self._call(invocation, "scheduled", controller)
                await invocation.background.finish()
            except Exception as error:
                outcome = "exception"
                invocation.record_failure("scheduled.failed", error)
                if self._handler("scheduled") is None:
                    context, text = invocation.context, self.script.missing_handler("scheduled")
                    context.logs.write("ERROR", text, context.name)
            no_retry = controller.refuses_retry or self._handler("scheduled") is None
            return JsDict(outcome=outcome, noRetry=no_retry)

        return invocation.run(handler)

    def _handler(self, name: str) -> Any:
        """The function that answers such an event, or None."""
        entrypoint = self.script.entrypoint
        if entrypoint is None:
            return self.script.handler(name)
        return getattr(entrypoint, name, None)

    async def _call(self, invocation: Invocation, name: str, event: Any) -> Any:
        if self._handler(name) is None:
            error = JsException(f"Handler does not export a {name}() function.")
            error.add_note(self.script.missing_handler(name))
            raise error
        entrypoint = self.script.entrypoint
        arguments: tuple[Any, ...] = (event, self._env, invocation.ctx)
        if entrypoint is None:
            target = self.script.handler(name)
        else:
            target = getattr(self._instance(invocation, entrypoint), name)
            if name == "fetch":
                arguments = arguments[:1]
        try:
            value = relaxed_call(target, *arguments)
        except TypeError as error:
            note_arguments(error, target, _ARGUMENTS[len(arguments)], *arguments)
            raise
        return await value if is_awaitable(value) else value

    def __repr__(self) -> str:
        return f"<Worker {self.script.label}>"
