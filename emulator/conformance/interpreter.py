"""The interpreter: a Python worker that runs the programs of the conformance suite.

Promises: the classes and bindings of the interpreter worker on workerd, under the same names.
Leaves to others: ops (operations), records (recorder), starting it (emulator_target).
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from emulator.conformance.members import Target, member_of
from emulator.conformance.object_host import TOLD, ObjectHost, told_response
from emulator.conformance.operations import Host, Operations
from emulator.conformance.recorder import AlarmRun, AlarmScript, Call, Run
from emulator.conformance.sockets import EventScript, listen, waited
from emulator.conformance.tagged_values import encode, error_facts
from emulator.conformance.ticks import started
from emulator.errors import JsTypeError
from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint
from emulator.simulation.awaitables import is_awaitable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Teller = Callable[[], dict[str, Any]]

__all__ = [
    "ArrowAlarm",
    "Broken",
    "Constructing",
    "Default",
    "Kv",
    "NoAlarm",
    "NoFetch",
    "Plain",
    "Sql",
    "running",
]

#: How long an object is left alone until the platform evicts it: ten seconds, and some.
_EVICT_MS: Final = 10_600
_CALLS: Final = ("rpc", "fetch", "worker", "connect")
_URL: Final = "http://object/call"
#: The run whose program is under way: simulations take turns in a process, and each runs one.
_running: list[Run] = []


@contextmanager
def running(run: Run) -> Iterator[None]:
    """Objects that start while the block runs belong to this run."""
    _running.append(run)
    try:
        yield
    finally:
        _running.remove(run)


class Ancestor(DurableObject):
    """What lies between an object's class and the platform's."""

    def inherited(self) -> str:
        """A method that can be called."""
        return "inherited"


class Members(Ancestor):
    """The methods and properties that programs ask stubs for."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self._host = ObjectHost(_running[-1], env, ctx)
        self.field = "f"
        self.arrow = lambda: 1
        self._kept: Any = None

    async def run(self, number: int) -> Any:
        """Run the ops of one call; its result is what `return` was given."""
        return await self._host.answer(number)

    @staticmethod
    def stat() -> str:
        """A static method."""
        return "stat"

    def _under(self) -> str:
        return "under"

    @property
    def val(self) -> int:
        """A property."""
        return 99

    @property
    def obj(self) -> Any:
        """A property with properties."""
        return {"a": {"b": 1}, "f": lambda: "ff"}

    @property
    def fn(self) -> Callable[[], str]:
        """A property that is a function."""
        return lambda: "fn"

    def id(self) -> str:
        """A method whose name the stub has for itself."""
        return "id"

    def name(self) -> str:
        """A method whose name the stub has for itself."""
        return "name"

    def echo(self, *args: Any) -> Any:
        """Its arguments."""
        return list(args)

    def count(self, *args: Any) -> int:
        """How many arguments it got."""
        return len(args)

    def target(self) -> Target:
        """A new target; the instance counts its end."""
        return Target(lambda: self._host.count("disposed", 1))

    async def apply(self, function: Any, *args: Any) -> Any:
        """What a function of the caller gives."""
        return await function(*args)

    async def callOn(self, value: Any, member: str, *args: Any) -> Any:
        """What a method of an argument gives."""
        found = member_of(value, member)(*args)
        return await found if is_awaitable(found) else found

    async def readOn(self, value: Any, member: str) -> Any:
        """What a property of an argument is."""
        found = member_of(value, member)
        return await found if is_awaitable(found) else found

    async def write(self, stream: Any, *chunks: Any) -> None:
        """Write to a stream, and close it."""
        writer = stream.getWriter()
        for chunk in chunks:
            await writer.write(chunk)
        await writer.close()

    def keep(self, function: Any) -> None:
        """Keep a function of the caller."""
        self._kept = function

    def keepDup(self, function: Any) -> None:
        """Keep a duplicate of a function of the caller."""
        self._kept = function.dup()

    async def callKept(self, *args: Any) -> Any:
        """What the kept function gives; nothing if the object has lost its memory."""
        return None if self._kept is None else await self._kept(*args)


setattr(Members, "with space", lambda self: "space")


class NoFetch(Members):
    """An object without `fetch`."""

    async def alarm(self, info: Any) -> None:
        """Run what the program's alarms do."""
        await self._host.alarm(info)


class Sql(NoFetch):
    """An object with SQLite and everything."""

    async def fetch(self, request: Any) -> Any:
        """Run the ops of one request; the answer is the result as JSON."""
        return await self._host.fetched(request)

    async def webSocketMessage(self, ws: Any, message: Any) -> None:
        """Run what the program's handlers do with a message."""
        await self._host.hear("webSocketMessage", {"ws": ws, "message": message})

    async def webSocketClose(self, ws: Any, code: int, reason: str, was_clean: Any) -> None:
        """Run what they do with a close."""
        given = {"ws": ws, "code": code, "reason": reason, "wasClean": was_clean}
        await self._host.hear("webSocketClose", given)

    async def webSocketError(self, ws: Any, error: Any) -> None:
        """Run what they do with an error."""
        await self._host.hear("webSocketError", {"ws": ws, "error": error})


class Kv(Sql):
    """The same without SQLite."""


class NoAlarm(Members):
    """An object without `alarm`."""

    async def fetch(self, request: Any) -> Any:
        """Run the ops of one request; the answer is the result as JSON."""
        return await self._host.fetched(request)


class ArrowAlarm(NoAlarm):
    """An object whose handler is an attribute of the instance."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.alarm = self._host.alarm


class Plain:
    """A class that is not the platform's."""

    def __init__(self, ctx: Any, env: Any) -> None:
        self._host = ObjectHost(_running[-1], env, ctx)

    async def run(self, number: int) -> Any:
        """Never reached."""
        return await self._host.answer(number)

    async def fetch(self, request: Any) -> Any:
        """Run the ops of one request; the answer is the result as JSON."""
        return await self._host.fetched(request)

    async def alarm(self, info: Any) -> None:
        """Run what the program's alarms do."""
        await self._host.alarm(info)


class Broken(Sql):
    """An object that cannot start."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        message = "ctor boom"
        raise JsTypeError(message)


class Constructing(Sql):
    """An object whose constructor runs ops of the program."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        host = self._host
        source = host.run.program.source
        call = Call(host.run, host.owner)  # It is told nowhere.
        if "constructorBare" in source:
            Operations(host, call).run_sync(source["constructorBare"])
        if "constructor" in source:
            ctx.blockConcurrencyWhile(lambda: Operations(host, call).run(source["constructor"]))


class WorkerHost(Host):
    """The stateless worker, which runs the steps."""

    def __init__(self, env: Any, ctx: Any) -> None:
        super().__init__(_running[-1], "worker", env, ctx)
        self._stubs: dict[str, Any] = {}

    def root(self, name: str) -> Any:
        """Where a dotted name begins."""
        return self._stub_of({}) if name == "stub" else super().root(name)

    def _stub_of(self, step: dict[str, Any]) -> Any:
        """The stub that is kept for the length of the program."""
        name = step.get("object", "main")
        kept_as = step.get("stub", name)
        if kept_as not in self._stubs:
            self._stubs[kept_as] = self.stub(name)
        return self._stubs[kept_as]

    # -- steps -----------------------------------------------------------------------------

    async def step(self, step: dict[str, Any]) -> None:
        """Run one step; the run hears how to tell its outcome once the program is over."""
        tellers = self.run.tellers
        if "par" in step:
            await self._par(step["par"])
        elif "alarms" in step:
            await self._alarms(step)
        elif any(kind in step for kind in _CALLS):
            await self._call(step, tellers)
        elif "handlers" in step:
            script = EventScript(step["handlers"])
            self.run.events[step.get("object", "main")] = script
            tellers.append(lambda: {"events": [event.told() for event in script.events]})
        else:
            if "newStub" in step:
                self._stubs.pop(step.get("stub", step.get("object", "main")), None)
                self._stub_of(step)
            elif "events" in step:
                await waited(lambda: self._has_heard(step), step["wait"])
            else:
                await asyncio.sleep((_EVICT_MS if "evict" in step else step["wait"]) / 1000)
            tellers.append(dict)

    async def _call(
        self, step: dict[str, Any], tellers: list[Teller], branch: int | None = None
    ) -> None:
        kind = next(kind for kind in _CALLS if kind in step)
        name = self.owner if kind == "worker" else step.get("object", "main")
        call = Call(self.run, name, branch)
        result: dict[str, Any] = {"open": True}
        tellers.append(lambda: {"ops": call.outcome(), "result": result})
        try:
            result = {"ok": await self._answer(kind, step, call)}
        except Exception as error:
            result = {"error": error_facts(error)}

    async def _answer(self, kind: str, step: dict[str, Any], call: Call) -> Any:
        ops = step[kind]
        if kind == "connect":
            return encode(await self._connect(step, call))
        if kind == "worker" and "request" not in step:
            return encode(await Operations(self, call).run(ops))
        number = self.run.send(call, ops)
        if kind == "rpc":
            return encode(await self._stub_of(step).run(number))
        server = self.env.SELF if kind == "worker" else self._stub_of(step)
        answer = await server.fetch(_URL, method="POST", body=json.dumps(number))
        if answer.headers.get(TOLD) is None:
            return {"$": "opaque", "class": "Response"}
        return await answer.json()

    def _has_heard(self, step: dict[str, Any]) -> bool:
        script = self.run.events.get(step.get("object", "main"))
        return script is not None and script.ended_count >= step["events"]

    async def _connect(self, step: dict[str, Any], call: Call) -> dict[str, Any]:
        """Ask an object for a WebSocket; the worker keeps its end, and hears what comes."""
        call.connection = step
        number = self.run.send(call, step.get("ops", []))
        headers = {"upgrade": "websocket", "call": str(number)}
        answer = await self._stub_of(step).fetch(_URL, headers=headers)
        socket = answer.webSocket
        self.run.refs_of(self.owner)[step["connect"]] = socket
        client = step.get("client", "plain")
        if socket is not None and client != "none":
            listen(socket)
            socket.accept(allowHalfOpen=client == "half_open")
        return {"status": answer.status, "webSocket": socket is not None}

    async def answer_again(self, request: Any) -> Response:
        """Run a body in a request that is not the program's own."""
        call, ops, path = self.run.bodies[await request.json()]
        return told_response(await Operations(self, call).run(ops, path))

    async def _par(self, branches: list[dict[str, Any]]) -> None:
        tellers: list[Teller] = []
        order: dict[str, list[str]] = {}
        self.run.tellers.append(
            lambda: {"par": [tell() for tell in tellers], "order": dict(order)}
        )
        self.run.order = order
        pending = [started(self._call(step, tellers, i)) for i, step in enumerate(branches)]
        for future in pending:
            await future
        self.run.order = None

    async def _alarms(self, step: dict[str, Any]) -> None:
        name = step.get("object", "main")
        script = self.run.alarms[name] = AlarmScript(step["alarms"])
        told: dict[str, Any] = {}
        runs: list[AlarmRun] = script.runs
        self.run.tellers.append(lambda: {"runs": [run.told() for run in runs], **told})
        wait_ms = step.get("wait", 0)
        if "set" in step:
            ops = [["storage.setAlarm", {"$": "now", "plus": step["set"]}]]
            try:
                await self._stub_of(step).run(self.run.send(Call(self.run, name), ops))
            except Exception as error:
                told["set"] = {"error": error_facts(error)}
                return
        if wait_ms > 0:
            await script.ended(step.get("until"), wait_ms)
        # Runs that begin from here on are another step's, or nobody's.
        runs = list(script.runs)


class Default(WorkerEntrypoint):
    """The worker: one request runs one program, or some of its steps."""

    async def fetch(self, request: Any) -> Any:
        """Run the program, or a body of it in another request."""
        host = WorkerHost(self.env, self.ctx)
        if request.url == _URL:
            return await host.answer_again(request)
        for step in host.run.steps:
            await host.step(step)
        await asyncio.sleep(host.run.program.settle_ms / 1000)
        return Response("")
