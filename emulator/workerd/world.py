"""world: one workerd with one worker and its bindings, seen from one loop.

Promises: it starts whole or not at all, and ends with everything it opened; calls begin when
they are made. Leaves to others: what options mean (options), shapes of the bindings (d1, r2,
durable_objects), answers of Python's services (services).
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, final

import httpx

from emulator.errors import ConfigurationError, JsException, WorldError
from emulator.runtime.console import LogRecord
from emulator.workerd.driver import shared
from emulator.workerd.frames import BodyStream, read_frame
from emulator.workerd.services import Services
from emulator.workerd.transport import LOST, Pool, WorldTransport, has_ended
from emulator.workerd.wire import decode_error, dumps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from emulator.workerd.faults import RealFaults
    from emulator.workerd.frames import Answer, Outgoing
    from emulator.workerd.websocket_client import RealConnection

    #: Of what sends a change, and what begins a call.
    MakeFaults = Callable[[Any, Any], RealFaults]

__all__ = ["World"]

_LEVELS = {"debug": "DEBUG", "warn": "WARNING", "warning": "WARNING", "error": "ERROR"}
_SETTLE_SECONDS_MAX = 30.0


@final
class World:
    """A running world. `start` makes one.

    Args:
        control: Connections to the driver.
        token: The driver's.
        facts: What the driver said of the world: `id`, `url`, `token`.
        services: Python functions by binding name, and by `OUTBOUND`.
        faults: Makes the fault rules of the world.
    """

    def __init__(
        self,
        control: Pool,
        token: str,
        facts: dict[str, str],
        services: Mapping[str, Any],
        faults: MakeFaults,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_disposed = False
        #: What the workers printed, oldest first.
        self.logs: list[LogRecord] = []
        self._control = control
        self._headers = _headers(token)
        self._path = f"/worlds/{facts['id']}"
        self._pool = Pool(facts["url"])
        self.token = facts["token"]
        self._token = facts["token"].encode()
        #: The rules by which calls meet faults.
        self.faults = faults(self._change_faults, self.start_call)
        self.transport = WorldTransport(self._pool, facts["token"], self.faults)
        #: The same for clients, who do not say when they are done: what was printed until
        #: the head of an answer came is in `logs` then.
        self.client_transport = WorldTransport(
            self._pool, facts["token"], self.faults, self.settle
        )
        self._services = Services(services, self._ask)
        self._sockets: dict[str, RealConnection] = {}
        self._early: dict[str, list[dict[str, Any]]] = {}
        self._settle_count = 0
        self._settling: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def start(
        cls, settings: dict[str, Any], services: Mapping[str, Any], faults: MakeFaults
    ) -> World:
        """Start a world.

        Args:
            settings: For the driver.
            services: As above.
            faults: As above.

        Raises:
            ConfigurationError: If workerd refuses the script or the options.
            NodeMissing: If the driver cannot be started.
        """
        driver = await asyncio.to_thread(shared)
        control = Pool(driver.url)
        try:
            response = await control.send(
                "POST", b"/worlds", _headers(driver.token), dumps(settings)
            )
            answer = json.loads(await response.aread())
            if response.status_code != 200:
                message = f"the real runtime refused the worker: {answer['error']}"
                raise ConfigurationError(message)
            world = cls(control, driver.token, answer, services, faults)
        except BaseException:
            await control.aclose()
            raise
        world._begin(world._listen())
        return world

    # -- calls -----------------------------------------------------------------------------

    def check_open(self) -> None:
        """Refuse the use of a disposed world, or from another loop.

        Raises:
            WorldError: If it cannot be used.
        """
        if self.is_disposed:
            message = "this Miniflare has been disposed; make a new one with `async with`"
            raise WorldError(message)

    def start_call(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin a call now. An error that nobody awaits makes no noise, as on the platform."""
        task = self._begin(coroutine)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    def _begin(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def call(self, call: dict[str, Any], body: Outgoing | None = None) -> Answer:
        """Make one call of a binding, inside the world.

        Args:
            call: What front.mjs takes, with values encoded.
            body: A body that it sends.

        Returns:
            The result, still encoded, and the body that came with it.

        Raises:
            JsException: What the platform threw.
            WorldError: If the world has ended.
        """
        self.check_open()
        await self.faults.arrive()
        return await self._exchange({**call, "hasRules": self.faults.is_asked}, body)

    async def _change_faults(self, change: dict[str, Any]) -> None:
        change = {"token": self.token, **change}
        await self._exchange({"call": "faults", "change": change}, None)

    async def _exchange(self, call: dict[str, Any], body: Outgoing | None) -> Answer:
        headers = [
            (b"host", b"localhost"),
            (b"amber-token", self._token),
            (b"transfer-encoding", b"chunked"),
        ]
        try:
            response = await self._pool.send(
                "POST", b"/", headers, BodyStream.of_call(call, body)
            )
            answer = await read_frame(response)
        except LOST as error:
            raise has_ended() from error
        except httpx.TransportError as error:
            text = f"the real runtime did not answer: {str(error) or type(error).__name__}"
            raise JsException(text) from error
        if "error" in answer.line:
            raise decode_error(answer.line["error"])
        return answer._replace(line=answer.line["ok"])

    # -- what comes back -------------------------------------------------------------------

    async def _ask(
        self,
        method: str,
        path: str,
        headers: list[tuple[bytes, bytes]] | None = None,
        body: bytes | httpx.AsyncByteStream = b"",
    ) -> httpx.Response:
        """Ask the driver about this world."""
        return await self._control.send(
            method,
            f"{self._path}{path}".encode(),
            [*self._headers, *(headers or [])],
            body,
            {"timeout": httpx.Timeout(None).as_dict()},
        )

    async def _listen(self) -> None:
        try:
            response = await self._ask("GET", "/events")
            async with aclosing(response):
                async for line in _lines(response):
                    self._take(json.loads(line))
        except httpx.TransportError:
            pass  # The driver has ended; whoever calls it next hears of it.
        finally:
            self._end_settling(list(self._settling))

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "log":
            level = _LEVELS.get(event["level"], "INFO")
            record = LogRecord(int(event["timeMs"]), level, event["message"], "worker")
            self.logs.append(record)
        elif event["event"] == "call":
            self.start_call(self._services.answer(event))
        elif event["event"] == "fault":
            self.faults.take(event)
        elif event["event"] == "socket":
            self._take_from_socket(event)
        else:
            self._end_settling([event["id"]])

    def _take_from_socket(self, event: dict[str, Any]) -> None:
        connection = self._sockets.get(event["id"])
        if connection is None:
            # The worker spoke before Python knew the socket.
            self._early.setdefault(event["id"], []).append(event)
            return
        connection.take(event)

    def add_socket(self, number: str, connection: RealConnection) -> None:
        """Hand what comes on a socket to its connection from now on."""
        self._sockets[number] = connection
        for event in self._early.pop(number, []):
            connection.take(event)

    async def ask_about_sockets(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        """Ask the driver to open a socket, or to say something on one.

        Raises:
            WorldError: If the world has ended.
        """
        self.check_open()
        try:
            response = await self._ask("POST", f"/sockets{path}", body=dumps(value))
            answer: dict[str, Any] = json.loads(await response.aread())
        except LOST as error:
            raise has_ended() from error
        if "error" in answer:
            raise WorldError(answer["error"])
        return answer

    def _end_settling(self, ids: list[str]) -> None:
        for number in ids:
            arrived = self._settling.pop(number, None)
            if arrived is not None and not arrived.done():
                arrived.set_result(None)

    async def settle(self) -> None:
        """Wait until everything that workers printed before now is in `logs`."""
        if self.is_disposed:
            return
        self._settle_count += 1
        number = str(self._settle_count)
        arrived = self._settling[number] = self.loop.create_future()
        with suppress(httpx.TransportError, TimeoutError):
            response = await self._ask("POST", f"/settle/{number}")
            await response.aread()
            await asyncio.wait_for(arrived, _SETTLE_SECONDS_MAX)

    async def dispose(self, error: BaseException | None = None) -> None:
        """End it. Nothing happens the second time.

        Args:
            error: What ends it, if it failed.

        Warns:
            UnusedFaultWarning: If a fault rule never matched an operation.
        """
        if self.is_disposed:
            return
        if self.faults:
            await self.settle()
        self.is_disposed = True
        with suppress(httpx.TransportError):
            response = await self._ask("DELETE", "")
            await response.aread()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.aclose()
        await self._control.aclose()
        self.faults.settle(error)

    def __repr__(self) -> str:
        return f"<World {self._path} {'disposed' if self.is_disposed else 'open'}>"


def _headers(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.aiter_raw():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
