"""Miniflare: the door through which a test reaches a real world.

Promises: the options and methods of `emulator.Miniflare`, on the real runtime and in real
time; what only simulated time has is one clear error. Leaves to others: the world.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self, final

import httpx

from emulator.errors import UnsupportedByTarget, WorldError
from emulator.http.arguments import bound, dispatched_request, upgrade_request
from emulator.simulation.clock import duration_ms, instant_ms
from emulator.workerd.d1 import D1Database, apply_files
from emulator.workerd.durable_objects import DurableObjectNamespace, Service
from emulator.workerd.faults import RealFaults
from emulator.workerd.options import settings_of, unique_key
from emulator.workerd.r2 import R2Bucket
from emulator.workerd.real_clock import RealClock
from emulator.workerd.transport import dispatch
from emulator.workerd.websocket_client import open_socket, upgrade
from emulator.workerd.wire import decode
from emulator.workerd.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime, timedelta
    from types import TracebackType

    from emulator.http.websocket_client import WebSocketClient
    from emulator.runtime.console import LogRecord
    from emulator.values import JsDict

__all__ = ["Miniflare", "WorkerHandle", "only_simulated"]


def only_simulated(name: str) -> NoReturn:
    """Refuse what the real runtime cannot give.

    Raises:
        UnsupportedByTarget: Always.
    """
    message = (
        f"{name} needs simulated time, and the real runtime has none: use the emulator "
        "(--emulator-target emulator) for it"
    )
    raise UnsupportedByTarget(message)


@final
class Miniflare:
    """A worker with its bindings on the real workerd.

    Enter it with `async with`, on an asyncio loop.

    Args:
        seed: Decides what fault rules draw, as that of `emulator.run` does.
        options: Those of `emulator.Miniflare`, where `script_path` is a .mjs, .js or .ts
            module.

    Raises:
        ConfigurationError: If an option is wrong, or has no meaning on the real runtime.
        UnsupportedByTarget: If one of `faults` cannot be had there.
    """

    def __init__(self, *, seed: int = 0, **options: Any) -> None:
        self._seed = seed
        self._settings = settings_of(options)
        self._world: World | None = None
        self._bindings: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        if self._world is not None:
            message = "this Miniflare has been entered before; make a new one"
            raise WorldError(message)
        options = self._settings.options
        settings = self._settings
        faults = partial(RealFaults, self._seed, settings.operations, RealClock())
        world = await World.start(settings.driver, settings.services, faults)
        self._world = world
        try:
            bindings = self._bindings = dict(options.bindings)
            for name in options.durable_objects:
                key = unique_key(options, name)
                bindings[name] = DurableObjectNamespace(world, name, key)
            for name in options.r2_buckets:
                bindings[name] = R2Bucket(world, name)
            for name in options.service_bindings:
                bindings[name] = Service(world, name)
            for name, given in options.d1_databases.items():
                bindings[name] = database = D1Database(world, name)
                await apply_files(database, given.schema, given.migrations)
            world.faults.add(*options.faults)
            await world.faults.arrive()
        except BaseException:
            await world.dispose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.dispose(exc)

    async def dispose(self, error: BaseException | None = None) -> None:
        """End the world. The end of `async with` does it too.

        Args:
            error: What ends it, if it failed.

        Warns:
            UnusedFaultWarning: If a fault rule never matched an operation.
        """
        if self._world is not None:
            await self._world.dispose(error)

    @property
    def world(self) -> World:
        """What this is the door to.

        Raises:
            WorldError: Before `async with`, after its end, and on another loop.
        """
        world = self._world
        if world is None:
            message = (
                "this Miniflare has not been entered: use `async with Miniflare(...) as mf:`"
            )
            raise WorldError(message)
        if asyncio._get_running_loop() not in (None, world.loop):
            message = "this Miniflare belongs to another event loop: enter it where it is used"
            raise WorldError(message)
        world.check_open()
        return world

    # -- requests --------------------------------------------------------------------------

    async def dispatch_fetch(self, url: str, **options: Any) -> httpx.Response:
        """Send one request to the worker and read its answer.

        Args:
            url: An absolute URL; its host does not matter.
            options: `method` (GET unless given) and what httpx.Request takes.

        Returns:
            The answer, with its body read. Redirects are not followed.

        Raises:
            JsException: What the worker's handler threw.
            ConfigurationError: If the URL is not absolute, or an option is unknown.
            WorldError: If the world ends before the answer, or the answer is longer than
                512 MiB.
            httpx.TimeoutException: If the worker is silent for two minutes.
        """
        world = self.world
        request = dispatched_request(url, options)
        try:
            if request.headers.get("upgrade", "").lower() == "websocket":
                return await upgrade(world, request)
            return await dispatch(world.transport, request)
        except (httpx.TransportError, WorldError):
            world.check_open()  # It has been disposed in the meantime: say so.
            raise
        finally:
            await world.settle()

    @asynccontextmanager
    async def connect(self, url: str, **options: Any) -> AsyncIterator[WebSocketClient]:
        """Open a WebSocket to the worker; it is closed when the block ends.

        Args:
            url: An absolute URL; its host does not matter.
            options: As for `dispatch_fetch`, such as `headers`.

        Raises:
            JsException: What the worker's handler threw.
            ConfigurationError: If the URL is not absolute, or an option is unknown.
            UpgradeRefused: If the answer is no WebSocket.
            WorldError: If the world has ended.
        """
        request = upgrade_request(url, options)
        async with await open_socket(self.world, request) as client:
            yield client

    def client(self, **options: Any) -> httpx.AsyncClient:
        """An httpx client whose every request goes to the worker.

        Args:
            options: What httpx.AsyncClient takes; `base_url` is http://localhost unless given.
        """
        options.setdefault("base_url", "http://localhost")
        transport = self.world.client_transport
        return httpx.AsyncClient(transport=transport, trust_env=False, **options)

    def get_worker(self) -> WorkerHandle:
        """The worker itself, for the events that are not requests."""
        return WorkerHandle(self.world)

    # -- bindings --------------------------------------------------------------------------

    def get_bindings(self) -> dict[str, Any]:
        """Every binding by name, with the methods that worker code has."""
        self.world.check_open()
        return dict(self._bindings)

    def get_durable_object_namespace(self, name: str) -> DurableObjectNamespace:
        """The Durable Object namespace bound as `name`.

        Raises:
            ConfigurationError: If there is none.
        """
        namespace: DurableObjectNamespace = self._binding("durable_objects", name)
        return namespace

    def get_r2_bucket(self, name: str) -> R2Bucket:
        """The R2 bucket bound as `name`.

        Raises:
            ConfigurationError: If there is none.
        """
        bucket: R2Bucket = self._binding("r2_buckets", name)
        return bucket

    def get_d1_database(self, name: str) -> D1Database:
        """The D1 database bound as `name`.

        Raises:
            ConfigurationError: If there is none.
        """
        database: D1Database = self._binding("d1_databases", name)
        return database

    def s3_client(self, name: str) -> Any:
        """Refused: the real runtime's buckets are not in moto."""
        only_simulated(f"s3_client({name!r})")

    def _binding(self, option: str, name: str) -> Any:
        self.world.check_open()
        bound(getattr(self._settings.options, option), name, option)
        return self._bindings[name]

    # -- time ------------------------------------------------------------------------------

    async def advance(self, duration: int | float | timedelta) -> None:
        """Let real time pass: sleep.

        Args:
            duration: A timedelta, or milliseconds.
        """
        world = self.world
        await asyncio.sleep(duration_ms(duration) / 1000)
        await world.settle()

    async def run_until_idle(self) -> None:
        """Refused: nobody knows when the real runtime is idle."""
        only_simulated("run_until_idle()")

    @property
    def clock(self) -> RealClock:
        """The clock on the wall."""
        return RealClock()

    @property
    def trace(self) -> Any:
        """Refused: the real runtime tells nobody its events."""
        only_simulated("trace")

    @property
    def faults(self) -> RealFaults:
        """The world's fault rules: `add`, `clear`, and those that were `injected`.

        The calls of the worker and those of the test meet them in real time.
        """
        return self.world.faults

    @property
    def logs(self) -> list[LogRecord]:
        """What workers printed, and errors that nobody caught, oldest first.

        `object` is always "worker": the real runtime does not say who wrote a line. Lines
        are complete after `dispatch_fetch`, `scheduled` and `advance`.
        """
        if self._world is None:
            return self.world.logs
        return self._world.logs

    def __repr__(self) -> str:
        return f"<workerd.Miniflare {self._world!r}>"


@final
class WorkerHandle:
    """A real worker's events that are not requests.

    Args:
        world: Whose worker it is.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def scheduled(
        self, *, cron: str = "", scheduled_time: int | datetime | None = None
    ) -> JsDict:
        """Run the cron handler once.

        Args:
            cron: The expression the handler is told.
            scheduled_time: Epoch milliseconds or a datetime; now if None.

        Returns:
            `outcome`: "ok", or "exception" if the handler threw; and `noRetry`.
        """
        given = RealClock().now_ms if scheduled_time is None else scheduled_time
        call = {"call": "scheduled", "cron": cron, "timeMs": instant_ms(given)}
        result: JsDict = decode((await self._world.call(call)).line)
        await self._world.settle()
        return result
