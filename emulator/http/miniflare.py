"""Miniflare: the door through which a test reaches a world.

Promises: Miniflare's names in snake_case, plus what simulated time makes possible:
`advance`, `run_until_idle`, `clock`, `trace`, `logs`, `faults`. Leaves to others: the world.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Self, final

import httpx

from emulator.errors import WorldError, no_attribute
from emulator.http.arguments import bound, dispatched_request, upgrade_request
from emulator.http.transport import WorkerTransport
from emulator.runtime.options import parse
from emulator.runtime.world import World
from emulator.simulation.calls import awaited
from emulator.simulation.clock import duration_ms, instant_ms
from emulator.simulation.runner import current_simulation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime, timedelta
    from types import TracebackType

    from emulator.http.websocket_client import WebSocketClient
    from emulator.runtime.console import LogRecord
    from emulator.runtime.snapshot import WorldSnapshot
    from emulator.simulation.clock import Clock
    from emulator.simulation.rules import RuleSet
    from emulator.simulation.trace import Trace
    from emulator.usage import Usage
    from emulator.web.js_dict import JsDict

__all__ = ["Miniflare", "WorkerHandle"]


@final
class Miniflare:
    """A worker with its bindings, inside the running simulation.

    Enter it with `async with`, under `emulator.run` or the pytest plugin.

    Args:
        options: `script_path` or `worker`; `durable_objects`, `r2_buckets`,
            `d1_databases`, `bindings`, `service_bindings`, `outbound_service`,
            `compatibility_date`, `limits` ("paid", "free", "workerd", or one of them with
            tighter limits: `{"profile": "paid", "subrequests_max": 100}`), `faults`, `name`.

    Raises:
        ConfigurationError: If an option has a wrong name, type or value.
    """

    def __init__(self, **options: Any) -> None:
        self._options = parse(options)
        self._origin: World | None = None
        self._snapshot: WorldSnapshot | None = None
        self._world: World | None = None

    @classmethod
    def forked(cls, world: World) -> Self:
        """A Miniflare that is yet to be entered, and holds then what a world holds now.

        Args:
            world: Where its options and everything that is stored come from.
        """
        fork = cls.__new__(cls)
        fork._options = world.options
        fork._origin, fork._snapshot = world, world.snapshot()
        fork._world = None
        return fork

    async def __aenter__(self) -> Self:
        if self._world is not None:
            message = "this Miniflare has been entered before; make a new one"
            raise WorldError(message)
        simulation = current_simulation()
        if self._origin is not None and self._origin.simulation is not simulation:
            message = (
                "a fork belongs to the simulation of its origin: enter it there, or put a "
                "snapshot into a world of this one with restore()"
            )
            raise WorldError(message)
        self._world = World(self._options, simulation, self._snapshot)
        self._origin = self._snapshot = None
        if simulation.player is not None:
            simulation.player.entered(self)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._world is not None:
            try:
                if exc is None:
                    await self._come_to_rest()
            except BaseException as error:
                self._world.dispose(error)
                raise
            self._world.dispose(exc)

    async def _come_to_rest(self) -> None:
        """While a scenario is explored, everything must come to rest before the end."""
        world = self._world
        if world is None or world.is_disposed or world.simulation.player is None:
            return
        await world.simulation.player.rest(self, world.unanswered)

    def __enter__(self) -> NoReturn:
        message = (
            "a Miniflare is entered with `async with Miniflare(...) as mf:`, in an async "
            "function run by emulator.run(), not with `with`"
        )
        raise WorldError(message)

    def __exit__(self, *error: object) -> None:
        """Never reached; without it Python would not ask `__enter__`."""

    async def dispose(self) -> None:
        """End the world: nothing of it runs again. The end of `async with` does it too."""
        if self._world is not None:
            try:
                await self._come_to_rest()
            finally:
                self._world.dispose(sys.exception())

    @property
    def world(self) -> World:
        """What this is the door to.

        Raises:
            WorldError: Before `async with`, and on another loop than the one of its entry.
                Outside of every loop, such as in a synchronous fixture, there is nothing to
                mistake it for.
        """
        world = self._world
        if world is None:
            message = (
                "this Miniflare has not been entered: use `async with Miniflare(...) as mf:`"
            )
            raise WorldError(message)
        if asyncio._get_running_loop() not in (None, world.simulation.loop):
            message = (
                "this Miniflare belongs to another simulation: enter it inside the "
                "emulator.run() that uses it"
            )
            raise WorldError(message)
        return world

    @property
    def _open_world(self) -> World:
        """The world, for what a disposed one does not do."""
        world = self.world
        world.check_open()
        return world

    # -- requests --------------------------------------------------------------------------

    @awaited
    async def dispatch_fetch(self, url: str, **options: Any) -> httpx.Response:
        """Send one request to the worker and read its answer.

        Args:
            url: An absolute URL; its host does not matter.
            options: `method` (GET unless given) and what httpx.Request takes: `params`,
                `headers`, `cookies`, `content`, `data`, `files`, `json`.

        Returns:
            The answer, with its body read. Redirects are not followed.

        Raises:
            Exception: Whatever the worker's handler raised.
            ConfigurationError: If the URL is not absolute, or an option is unknown.
        """
        world = self.world
        request = dispatched_request(url, options)
        response = await WorkerTransport(world).handle_async_request(request)
        if isinstance(response.stream, httpx.ByteStream):
            response.read()
        else:
            await response.aread()
        return response

    @asynccontextmanager
    async def connect(self, url: str, **options: Any) -> AsyncIterator[WebSocketClient]:
        """Open a WebSocket to the worker; it is closed when the block ends.

        `async with mf.connect("http://localhost/chat") as socket:`, then
        `await socket.send("hello")` and `await socket.receive()`.

        Args:
            url: An absolute URL; its host does not matter.
            options: As for `dispatch_fetch`, such as `headers`.

        Raises:
            Exception: Whatever the worker's handler raised.
            ConfigurationError: If the URL is not absolute, or an option is unknown.
            UpgradeRefused: If the answer is no WebSocket.
        """
        from emulator.http.websocket_client import refused

        world = self.world
        request = upgrade_request(url, options)
        response = await WorkerTransport(world).handle_async_request(request)
        await response.aread()
        client: WebSocketClient | None = response.extensions.get("websocket")
        if client is None:
            raise refused(response)
        client.response = response
        async with client:
            yield client

    def client(self, **options: Any) -> httpx.AsyncClient:
        """An httpx client whose every request goes to the worker.

        Args:
            options: What httpx.AsyncClient takes; `base_url` is http://localhost unless given.
        """
        options.setdefault("base_url", "http://localhost")
        return httpx.AsyncClient(
            transport=WorkerTransport(self.world), trust_env=False, **options
        )

    def get_worker(self) -> WorkerHandle:
        """The worker itself, for the events that are not requests."""
        return WorkerHandle(self.world)

    # -- bindings --------------------------------------------------------------------------

    def get_bindings(self) -> dict[str, Any]:
        """Every binding by name: exactly the objects that the worker sees."""
        return _Bindings(vars(self._open_world.env))

    def get_durable_object_namespace(self, name: str) -> Any:
        """The Durable Object namespace bound as `name`.

        Raises:
            ConfigurationError: If there is none.
        """
        return bound(self._open_world.namespaces, name, "durable_objects")

    def get_r2_bucket(self, name: str) -> Any:
        """The R2 bucket bound as `name`.

        Raises:
            ConfigurationError: If there is none.
        """
        return bound(self._open_world.buckets, name, "r2_buckets")

    def get_d1_database(self, name: str) -> Any:
        """The D1 database bound as `name`.

        Raises:
            ConfigurationError: If there is none.
        """
        return bound(self._open_world.databases, name, "d1_databases")

    def s3_client(self, name: str) -> Any:
        """A boto3 S3 client that sees the world's buckets under their real names.

        Args:
            name: A binding, to be sure that there is something to see.

        Raises:
            ConfigurationError: If there is no such bucket.
        """
        self.get_r2_bucket(name)
        storage = self._open_world.storage
        assert storage is not None, "a bound bucket has a storage"
        return storage.s3_client()

    # -- time ------------------------------------------------------------------------------

    @awaited
    async def advance(self, duration: int | float | timedelta) -> None:
        """Let time pass: deliver everything that falls due, in order.

        Args:
            duration: A timedelta, or milliseconds.

        Raises:
            ConfigurationError: If it is negative or no duration.
        """
        loop = self._open_world.simulation.loop
        arrived = loop.create_future()
        arrived.waits_for = "the end of advance()"
        loop.deliver_last(
            loop.clock.now_ms + duration_ms(duration),
            lambda: None if arrived.done() else arrived.set_result(None),
        )
        await arrived

    @awaited
    async def run_until_idle(self) -> None:
        """Let time jump until no event and no alarm is pending.

        Raises:
            SimulationRunaway: If that never comes, such as with an alarm that always sets
                itself again.
        """
        await self._open_world.simulation.loop.wait_idle()

    @property
    def clock(self) -> Clock:
        """The simulation's clock."""
        return self.world.simulation.clock

    @property
    def trace(self) -> Trace:
        """Every event of the simulation."""
        return self.world.simulation.trace

    @property
    def faults(self) -> RuleSet:
        """The simulation's fault rules: `add` and `clear`."""
        return self.world.simulation.rules

    @property
    def refused_count(self) -> int:
        """Acts of dead instances that were refused, in the whole simulation.

        Code whose object has lost power never runs again. What Python runs of it all the same,
        such as the `finally` of a frame that is collected, can do nothing, and is counted here.
        """
        return self.world.simulation.refused_count

    @property
    def limits(self) -> Usage:
        """How near this world came to the platform's limits: `mf.limits.report()`."""
        return self.world.usage

    @property
    def logs(self) -> list[LogRecord]:
        """What workers printed or logged, oldest first."""
        return self.world.console.records

    def __getattr__(self, name: str) -> NoReturn:
        raise no_attribute(self, name)

    def __repr__(self) -> str:
        return f"<Miniflare {self._world!r}>"


@final
class _Bindings(dict[str, Any]):
    """Bindings by name; a name that is not there is told with those that are."""

    def __missing__(self, name: object) -> NoReturn:
        message = f"there is no binding {name!r}; there is {', '.join(self) or 'none'}"
        raise KeyError(message)


@final
class WorkerHandle:
    """A worker's events that are not requests.

    Args:
        world: Whose worker it is.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    @awaited
    async def scheduled(
        self, *, cron: str = "", scheduled_time: int | datetime | None = None
    ) -> JsDict:
        """Run the cron handler once.

        Args:
            cron: The expression the handler is told.
            scheduled_time: Epoch milliseconds or a datetime; now if None.

        Returns:
            `outcome`: "ok", or "exception" if the handler or its `waitUntil` work raised
            (the error is in the trace); and `noRetry`. Miniflare answers the same.
        """
        now_ms = self._world.simulation.clock.now_ms
        time_ms = now_ms if scheduled_time is None else instant_ms(scheduled_time)
        return await self._world.scheduled(cron, time_ms)
