"""The world: one worker with its bindings, as a part of the running simulation.

Promises: everything is assembled here, from checked options, and nowhere else; two worlds
share time, seed and trace, and nothing more; when a world is disposed, nothing of it runs
again and nothing of it is kept. Leaves to others: the door for tests (the facade).
"""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any, final

from emulator.bindings.services import Service
from emulator.durable_objects.context import IoContext
from emulator.durable_objects.namespace import DurableObjectNamespace
from emulator.durable_objects.record import ObjectKind
from emulator.errors import ConfigurationError, JsException, WorldError
from emulator.runtime.console import Console
from emulator.runtime.invocation import Invocation
from emulator.runtime.loader import Script, load
from emulator.simulation.rules import Operation
from emulator.web.js_dict import JsDict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.bindings.r2 import R2Bucket, R2Storage
    from emulator.runtime.options import WorldOptions
    from emulator.simulation.runner import Simulation
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["Env", "UnusedFaultWarning", "World"]

# Compatibility dates, from Cloudflare's list of compatibility flags.
_ENHANCED_ERRORS_SINCE = "2026-04-21"
_DELETE_ALL_DELETES_ALARM_SINCE = "2026-02-24"


class UnusedFaultWarning(UserWarning):
    """A fault rule never matched anything: the test that relies on it proves nothing."""


@final
class Env:
    """The bindings of a worker, as attributes."""

    def __init__(self, bindings: dict[str, Any]) -> None:
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

    Raises:
        ConfigurationError: If the script cannot be loaded or lacks a class.
    """

    def __init__(self, options: WorldOptions, simulation: Simulation) -> None:
        self.options = options
        self.simulation = simulation
        self.is_disposed = False
        self.console = Console(simulation.clock)
        #: The context of test code: it has no gates and cannot lose power.
        self.outside = IoContext(simulation, "test")
        self.namespaces: dict[str, DurableObjectNamespace] = {}
        self.databases: dict[str, Any] = {}
        self.buckets: dict[str, R2Bucket] = {}
        #: All buckets of this world; None until one is bound.
        self.storage: R2Storage | None = None
        self._scripts: dict[int, Script] = {}
        self._outbound: Service | None = None
        self._rules = tuple(options.faults)
        simulation.rules.add(*self._rules)
        try:
            self.console.open()
            self.script = load(script_path=options.script_path, worker=options.worker)
            self.env = Env(self._bindings())
        except BaseException:
            self.dispose()
            raise

    # -- assembly --------------------------------------------------------------------------

    def _bindings(self) -> dict[str, Any]:
        options = self.options
        bindings: dict[str, Any] = dict(options.bindings)
        for name, given in options.durable_objects.items():
            cls = self.script.object_class(given.class_name, name)
            self.namespaces[name] = bindings[name] = DurableObjectNamespace(
                self.simulation,
                self._kind(cls, prevents_eviction=given.prevents_eviction),
                binding_name=name,
                unique_key=given.unique_key or f"{options.name}-{given.class_name}",
                outside=self.outside,
            )
        for name, bucket_name in options.r2_buckets.items():
            self.buckets[name] = bindings[name] = self._bucket(name, bucket_name)
        for name in options.d1_databases:
            self.databases[name] = bindings[name] = self._database(name)
        for name, given in options.service_bindings.items():
            bindings[name] = self._service(name, given)
        if options.outbound_service is not None:
            self._outbound = self._service("outbound", options.outbound_service)
        return bindings

    def _kind(self, cls: Any, *, prevents_eviction: bool) -> ObjectKind:
        date = self.options.compatibility_date
        return ObjectKind(
            cls=cls,
            env=lambda: self.env,
            furnish=self._furnish,
            limits=self.options.limits,
            has_enhanced_errors=date >= _ENHANCED_ERRORS_SINCE,
            delete_all_deletes_alarm=date >= _DELETE_ALL_DELETES_ALARM_SINCE,
            prevents_eviction=prevents_eviction,
        )

    def _furnish(self, context: IoContext) -> None:
        """Give the context of new code what this world owns."""
        context.logs = self.console
        context.outbound = self._outbound
        context.world = self

    def _bucket(self, binding_name: str, bucket_name: str) -> R2Bucket:
        from emulator.bindings.r2 import DOCUMENTED, WORKERD, R2Bucket, R2Storage

        if self.storage is None:
            clock = self.simulation.clock
            self.storage = R2Storage(
                now_ms=lambda: clock.now_ms,
                token_hex=self.simulation.randomness.token_hex,
                profile=WORKERD if self.options.limits.name == "workerd" else DOCUMENTED,
            )
        store = self.storage.store(bucket_name)
        return R2Bucket(store, binding_name=binding_name, outside=self.outside)

    def _database(self, binding_name: str) -> Any:
        from emulator.bindings.d1 import D1Database
        from emulator.sqlite.database import Database

        randomness = self.simulation.randomness
        stream = f"d1.{binding_name}"
        database = Database(
            now_ms=lambda: self.simulation.clock.now_ms,
            random_bytes=lambda size: randomness.token_bytes(stream, size),
            profile="d1",
        )
        binding = D1Database(database, binding_name=binding_name, outside=self.outside)
        given = self.options.d1_databases[binding_name]
        if given.schema is not None:
            binding.apply_schema(given.schema.read_text(encoding="utf-8"))
        if given.migrations is not None:
            binding.apply_migrations(given.migrations)
        return binding

    def _service(self, binding_name: str, given: Any) -> Service:
        is_outbound = binding_name == "outbound"
        return Service(
            self._answerer(binding_name, given),
            binding_name=binding_name,
            operation="outbound.fetch" if is_outbound else "service.fetch",
            outside=self.outside,
        )

    def _answerer(self, name: str, given: Any) -> Callable[[Request], Awaitable[Response]]:
        if inspect.iscoroutinefunction(given) or inspect.ismethod(given):

            async def answer(request: Request) -> Response:
                response: Response = await given(request)
                return response

            return answer
        if isinstance(given, str) or inspect.isclass(given) or inspect.ismodule(given):
            script = load(script_path=None, worker=given)
            return lambda request: self._dispatch(script, name, request)
        message = (
            f"service {name!r} must be an async function of a request, a worker module or a "
            f"worker class, got {given!r}"
        )
        raise ConfigurationError(message)

    # -- events ----------------------------------------------------------------------------

    def fetch(self, request: Request) -> Any:
        """Send a request to the worker, from outside.

        Returns:
            A future with its Response; what the worker raises rejects it.
        """
        self.check_open()
        operation = Operation("worker", "worker.fetch", f"{request.method} {request.url}")
        return self.outside.carry(
            operation,
            lambda: self._dispatch(self.script, "worker", request),
            is_subrequest=False,
        )

    def _invocation(self, name: str) -> Invocation:
        return Invocation(
            self.simulation,
            name,
            subrequests_max=self.options.limits.subrequests_max,
            furnish=self._furnish,
        )

    def _dispatch(self, script: Script, name: str, request: Request) -> Any:
        invocation = self._invocation(name)

        def handler() -> Any:
            return self._call(script, invocation, "fetch", request)

        return invocation.run(handler)

    def scheduled(self, cron: str, scheduled_time_ms: int) -> Any:
        """Run the worker's cron handler, from outside.

        Returns:
            A future that resolves when the handler has ended.
        """
        self.check_open()
        controller = JsDict(cron=cron, scheduledTime=scheduled_time_ms, noRetry=lambda: None)
        operation = Operation("worker", "worker.scheduled", cron)

        def effect() -> Any:
            invocation = self._invocation("worker")
            return invocation.run(
                lambda: self._call(self.script, invocation, "scheduled", controller)
            )

        return self.outside.carry(operation, effect, is_subrequest=False)

    def _call(self, script: Script, invocation: Invocation, name: str, event: Any) -> Any:
        entrypoint = script.entrypoint
        if entrypoint is not None:
            target = getattr(entrypoint(invocation.ctx, self.env), name, None)
            arguments: tuple[Any, ...] = (event,)
            if name == "scheduled":
                arguments = (event, self.env, invocation.ctx)
        else:
            target = script.handler(name)
            arguments = (event, self.env, invocation.ctx)
        if target is None:
            message = f"Handler does not export a {name}() function."
            raise JsException(message)
        return target(*arguments[: _positional_count(target)])

    # -- the end ---------------------------------------------------------------------------

    def check_open(self) -> None:
        """Refuse the use of a disposed world.

        Raises:
            WorldError: If it was disposed.
        """
        if self.is_disposed:
            message = "this Miniflare has been disposed; make a new one with `async with`"
            raise WorldError(message)

    def dispose(self) -> None:
        """End everything. Nothing happens the second time."""
        if self.is_disposed:
            return
        self.is_disposed = True
        for namespace in self.namespaces.values():
            namespace.dispose()
        for owner in self.simulation.loop.owners():
            if isinstance(owner, Invocation) and owner.context.world is self:
                owner.dispose()
        for database in self.databases.values():
            database.close()
        if self.storage is not None:
            self.storage.dispose()
        self.console.close()
        self._retire_rules()

    def _retire_rules(self) -> None:
        rules = self.simulation.rules
        unused = [rule for rule in rules.unmatched if rule in self._rules]
        for rule in self._rules:
            rules.remove(rule)
        for rule in unused:
            message = f"the fault rule {rule!r} never matched an operation"
            warnings.warn(message, UnusedFaultWarning, stacklevel=4)

    def __repr__(self) -> str:
        state = "disposed" if self.is_disposed else "open"
        return f"<World {self.options.name or 'worker'} {state}>"


def _positional_count(function: Callable[..., Any]) -> int | None:
    """How many positional arguments a handler takes; None is any number."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
