"""The world: one worker with its bindings, as a part of the running simulation.

Promises: everything is assembled here, from checked options, and nowhere else; two worlds
share time, seed and trace, and nothing more; when a world is disposed, nothing of it runs
again and nothing of it is kept. Leaves to others: the door for tests (the facade).
"""

from __future__ import annotations

import inspect
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, final

from emulator.bindings.services import Service
from emulator.durable_objects.context import CURRENT, IoContext
from emulator.durable_objects.namespace import DurableObjectNamespace
from emulator.durable_objects.record import ObjectKind
from emulator.durable_objects.recovery import asks_for_times
from emulator.durable_objects.rpc_rules import RpcRules
from emulator.errors import WorldError
from emulator.runtime.console import Console
from emulator.runtime.invocation import Invocation
from emulator.runtime.loader import Script, load
from emulator.runtime.process import WorldProcess
from emulator.runtime.snapshot import fill, take
from emulator.runtime.statistics import WorldStatistics, statistics_of
from emulator.runtime.worker import Worker
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.early_names import module_of
from emulator.simulation.rules import Operation
from emulator.usage import Usage
from emulator.web.response import checked_answer

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Iterator, Mapping

    from emulator.bindings.r2 import R2Bucket, R2Storage
    from emulator.durable_objects.record import StorageKind
    from emulator.runtime.options import ObjectOptions, WorldOptions
    from emulator.runtime.snapshot import WorldSnapshot
    from emulator.simulation.player import Player
    from emulator.simulation.runner import Simulation
    from emulator.web.js_dict import JsDict
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["Env", "World"]

# Compatibility dates, from Cloudflare's list of compatibility flags.
_ENHANCED_ERRORS = (
    "2026-04-21", "enhanced_error_serialization", "legacy_error_serialization",
)  # fmt: skip
_PARAMS_ARE_DUPPED = ("2026-01-20", "rpc_params_dup_stubs", "rpc_params_transfer_stubs")
_IO_TASKS_PREVENT_EVICTION_SINCE = "2026-10-01"
_DELETE_ALL_DELETES_ALARM_SINCE = "2026-02-24"


def _is_on(options: WorldOptions, since: str, on: str, off: str) -> bool:
    """Whether a behaviour is switched on, by a flag or else by the date."""
    flags = options.compatibility_flags
    return on in flags or (off not in flags and options.compatibility_date >= since)


@final
class Env:
    """The bindings of a worker, as attributes."""

    def __init__(self, bindings: Mapping[str, Any]) -> None:
        self.__dict__.update(bindings)

    def __getattr__(self, name: str) -> Any:
        message = f"env has no binding {name!r}; it has {', '.join(self.__dict__) or 'none'}"
        raise AttributeError(message)

    def __repr__(self) -> str:
        return f"<Env {', '.join(self.__dict__)}>"


@final
class World:
    """One worker and what it is bound to.

    Args:
        options: Checked options.
        simulation: What it is a part of.
        snapshot: What it holds from the start; None is nothing but the given schemas. It is a
            fork then: the option `faults` has been added to the simulation already.

    Raises:
        ConfigurationError: If the script cannot be loaded or lacks a class.
    """

    def __init__(
        self,
        options: WorldOptions,
        simulation: Simulation,
        snapshot: WorldSnapshot | None = None,
    ) -> None:
        self.options = options
        self._is_fork = snapshot is not None
        self.simulation = simulation
        self.is_disposed = False
        self.console = Console(simulation.clock)
        self.usage = Usage(options.limits)
        self.usage.before_report.append(self._note_uses)
        #: The context of test code: it has no gates and cannot lose power.
        self.outside = IoContext(simulation, "test")
        self.outside.is_outside = True
        self.process = self.outside.process = WorldProcess(self)
        self._rpc_rules = self.outside.rpc_rules = RpcRules(
            bytes_max=options.limits.rpc_bytes_max,
            bytes_mark=self.usage.mark("rpc_bytes_max"),
            has_enhanced_errors=_is_on(options, *_ENHANCED_ERRORS),
            dups_params=_is_on(options, *_PARAMS_ARE_DUPPED),
            path_depth_max=None if options.limits.is_local else 64,
        )
        if simulation.player is not None and simulation.player.catalogue is None:
            # Here, where all bindings are known; only a recorded run needs it.
            from emulator.catalogue import CATALOGUE

            simulation.player.catalogue = CATALOGUE
            self._add_rules_of_token(simulation.player)
        self.namespaces: dict[str, DurableObjectNamespace] = {}
        self.databases: dict[str, Any] = {}
        self.buckets: dict[str, R2Bucket] = {}
        #: All buckets of this world; None until one is bound.
        self.storage: R2Storage | None = None
        self.env = Env(options.bindings)
        self._outbound: Service | None = None
        if not self._is_fork:
            simulation.rules.add(*options.faults)
        # The lines outlive this world: the report of a failing test shows them.
        simulation.attachments.setdefault("consoles", []).append(self.console)
        # A world that nobody ends by himself ends with the simulation.
        simulation.endings[self] = self.dispose
        try:
            self.console.open()
            self.script = self._load()
            self._bind()
            self.worker = self._worker(self.script, "worker")
            if snapshot is not None:
                fill(self, snapshot)
        except BaseException as error:
            self.dispose(error)
            raise

    def _add_rules_of_token(self, player: Player) -> None:
        """The faults that held from the start of the run which is replayed."""
        from emulator import faults

        self.simulation.rules.add(*map(faults.from_json, player.rule_texts))

    # -- assembly --------------------------------------------------------------------------

    def _load(self) -> Script:
        """Run the script as code of this world: what it prints is kept, variables are bound."""
        context = IoContext(self.simulation, "worker")
        self._furnish(context)
        scope = copy_context()
        scope.run(CURRENT.set, context)
        options = self.options
        script = scope.run(load, script_path=options.script_path, worker=options.worker)
        if options.worker is not None:
            self.simulation.hold_module(module_of(options.worker))
        return script

    def _bind(self) -> None:
        options, bindings = self.options, vars(self.env)
        for name, given in options.durable_objects.items():
            cls = self.script.object_class(given.class_name, name)
            self.namespaces[name] = bindings[name] = DurableObjectNamespace(
                self.simulation,
                self._kind(cls, given),
                binding_name=name,
                unique_key=given.unique_key or f"{options.name}-{given.class_name}",
                outside=self.outside,
            )
        for name, bucket_name in options.r2_buckets.items():
            self.buckets[name] = bindings[name] = self._bucket(name, bucket_name)
        for name in options.d1_databases:
            self.databases[name] = bindings[name] = self._database(name)
        for name, given in options.service_bindings.items():
            bindings[name] = self._service(name, given, "service.fetch")
        if options.outbound_service is not None:
            self._outbound = self._service(
                "outbound", options.outbound_service, "outbound.fetch"
            )

    def _kind(self, cls: Any, given: ObjectOptions) -> ObjectKind:
        date, is_local = self.options.compatibility_date, self.options.limits.is_local
        without_sqlite: StorageKind = "local_kv" if is_local else "kv"
        return ObjectKind(
            cls=cls,
            env=lambda: self.env,
            furnish=self._furnish,
            usage=self.usage,
            has_enhanced_errors=self._rpc_rules.has_enhanced_errors,
            delete_all_deletes_alarm=date >= _DELETE_ALL_DELETES_ALARM_SINCE,
            io_tasks_prevent_eviction=date >= _IO_TASKS_PREVENT_EVICTION_SINCE,
            prevents_eviction=given.prevents_eviction,
            storage="sqlite" if given.uses_sqlite else without_sqlite,
            keeps_history=given.uses_sqlite and not is_local and asks_for_times(cls),
            process=self.process,
        )

    def _furnish(self, context: IoContext) -> None:
        """Give the context of new code what this world owns."""
        context.logs = self.console
        context.outbound = self._outbound
        context.world = self
        context.process = self.process
        context.rpc_rules = self._rpc_rules
        context.count_in(self.usage)

    def _bucket(self, binding_name: str, bucket_name: str) -> R2Bucket:
        from emulator.bindings.r2 import DOCUMENTED, WORKERD, R2Bucket, R2Storage

        if self.storage is None:
            clock = self.simulation.clock
            self.storage = R2Storage(
                now_ms=lambda: clock.now_ms,
                token_hex=self.simulation.randomness.token_hex,
                profile=WORKERD if self.options.limits.name == "workerd" else DOCUMENTED,
                may_share=not self._is_fork,
            )
        store = self.storage.store(bucket_name)
        return R2Bucket(store, binding_name=binding_name, outside=self.outside)

    def _database(self, binding_name: str) -> Any:
        from emulator.bindings.d1 import D1Database
        from emulator.sqlite.database import Database

        # Not `self`: SQLite's clock keeps the function that it was last given.
        clock, randomness = self.simulation.clock, self.simulation.randomness
        stream = f"d1.{binding_name}"
        is_local = self.options.limits.name == "workerd"
        database = Database(
            now_ms=lambda: clock.now_ms,
            random_bytes=lambda size: randomness.token_bytes(stream, size),
            profile="d1",
            # The documented limit of D1 is smaller than the local one.
            value_bytes_max=self.options.limits.row_bytes_max if is_local else None,
        )
        binding = D1Database(
            database, binding_name=binding_name, outside=self.outside, is_local=is_local
        )
        if not self._is_fork:
            self._apply_schema(binding_name, binding)
        return binding

    def _apply_schema(self, binding_name: str, binding: Any) -> None:
        given = self.options.d1_databases[binding_name]
        if given.schema is not None:
            binding.apply_schema(given.schema)
        if given.migrations is not None:
            binding.apply_migrations(given.migrations)

    def _service(self, binding_name: str, given: Any, operation: str) -> Service:
        async def answer(request: Request) -> Response:
            response = given(request)
            return checked_answer(await response if is_awaitable(response) else response)

        worker: Worker | None = None
        if isinstance(given, str) or inspect.isclass(given) or inspect.ismodule(given):
            worker = self._worker(load(script_path=None, worker=given), binding_name)
            self.simulation.hold_module(module_of(given))
        return Service(
            answer if worker is None else worker.fetch,
            binding_name=binding_name,
            operation=operation,
            is_external=operation == "outbound.fetch",
            outside=self.outside,
            rpc=None if worker is None else worker.rpc,
        )

    # -- events ----------------------------------------------------------------------------

    def _worker(self, script: Script, name: str) -> Worker:
        def begin() -> Invocation:
            return Invocation(
                self.simulation,
                name,
                subrequests_max=self.options.limits.subrequests_max,
                furnish=self._furnish,
            )

        return Worker(script, self.env, begin)

    def fetch(self, request: Request) -> Future[Response]:
        """Send a request to the worker, from outside.

        Returns:
            A future with its Response; what the worker raises rejects it.
        """
        self.check_open()
        operation = Operation("worker", "worker.fetch", f"{request.method} {request.url}")
        return self.outside.carry(
            operation, lambda: self.worker.fetch(request), is_subrequest=False
        )

    def scheduled(self, cron: str, scheduled_time_ms: int) -> Future[JsDict]:
        """Run the worker's cron handler, from outside.

        Returns:
            A future with its `outcome` and `noRetry`.
        """
        self.check_open()
        return self.outside.carry(
            Operation("worker", "worker.scheduled", cron),
            lambda: self.worker.scheduled(cron, scheduled_time_ms),
            is_subrequest=False,
        )

    # -- the end ---------------------------------------------------------------------------

    def check_open(self) -> None:
        """Refuse the use of a disposed world.

        Raises:
            WorldError: If it was disposed.
        """
        if self.is_disposed:
            message = "this Miniflare has been disposed; make a new one with `async with`"
            raise WorldError(message)

    def reset(self) -> None:
        """Delete all data of all bindings; the given schemas are applied again."""
        self.check_open()
        for namespace in self.namespaces.values():
            for record in namespace.records():
                record.erase()
        if self.storage is not None:
            self.storage.clear()
        for name, database in self.databases.items():
            database.clear()
            self._apply_schema(name, database)

    def snapshot(self) -> WorldSnapshot:
        """Everything that is stored, as a power cut would leave it now."""
        self.check_open()
        return take(self)

    def restore(self, snapshot: WorldSnapshot) -> None:
        """Hold what a snapshot holds, and nothing else. Running objects are reset.

        Raises:
            ConfigurationError: If it is of a world with other bindings.
        """
        self.check_open()
        fill(self, snapshot)

    def unanswered(self) -> Iterator[str]:
        """Who was asked something that he has not answered, by his name in the trace."""
        for namespace in self.namespaces.values():
            for record in namespace.records():
                if record.instance is not None and record.instance.events:
                    yield record.name
        for invocation in self.invocations():
            if not invocation.has_answered:
                yield invocation.name

    def invocations(self) -> list[Invocation]:
        """The events of plain workers that are under way."""
        return [
            owner
            for owner in self.simulation.loop.owners()
            if isinstance(owner, Invocation) and owner.context.world is self
        ]

    def _note_uses(self) -> None:
        timers = self.usage.mark("timers_max")
        counts = self.simulation.loop.timer_counts()
        for namespace in self.namespaces.values():
            for record in namespace.records():
                record.note_storage()
                if record.instance is not None:
                    timers.saw(counts[record.instance], record.name)

    def statistics(self) -> WorldStatistics:
        """What its objects hold, as far as a report shows it."""
        return statistics_of(self)

    def dispose(self, error: BaseException | None = None) -> None:
        """End everything. Nothing happens the second time.

        Args:
            error: What ended the life of this world, if it did not end well.

        Warns:
            UnusedFaultWarning: If one of the option `faults` never matched an operation.
        """
        if self.is_disposed:
            return
        if error is not None and self.namespaces:
            # The report of a failing test shows the last of them.
            remains = self.simulation.attachments.setdefault("remains", deque(maxlen=5))
            remains.append(self.statistics())
        self.is_disposed = self.outside.is_closed = True
        self.outside.process = None
        self.simulation.endings.pop(self, None)
        for namespace in self.namespaces.values():
            namespace.dispose()
        for invocation in self.invocations():
            invocation.dispose()
        for database in self.databases.values():
            database.close()
        if self.storage is not None:
            self.storage.dispose()
        self.console.close()
        if not self._is_fork:
            self.simulation.rules.settle(self.options.faults, error)

    def __repr__(self) -> str:
        state = "disposed" if self.is_disposed else "open"
        return f"<World {self.options.name or 'worker'} {state}>"
