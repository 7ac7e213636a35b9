"""The context: where code runs, and the one corridor by which its calls leave.

Promises: every call to a binding, a service or another object is refused, counted and sent
by one method, `carry`. Leaves to others: the way out and back (the journey), what an effect
does (the bindings), and who lives (the instance).
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from emulator.durable_objects.connections import Connections
from emulator.durable_objects.journey import Journey
from emulator.durable_objects.rpc_rules import RpcRules
from emulator.errors import DeadInstance, JsException, WorldError
from emulator.limits import documented
from emulator.simulation.handles import SimulationFuture
from emulator.simulation.rules import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from types import CodeType

    from emulator.durable_objects.events import Event
    from emulator.durable_objects.gates import InputGate, OutputGate, Section
    from emulator.durable_objects.websocket import WebSocket
    from emulator.simulation.runner import Simulation
    from emulator.usage import Mark, Usage

__all__ = [
    "CURRENT",
    "EVENT",
    "SECTION",
    "Held",
    "IoContext",
    "PowerSupply",
    "Process",
    "current_context",
]

_PACKAGE: Final = f"{Path(__file__).parents[1]}{os.sep}"
#: Milliseconds from a call to its effect, and from there to its arrival.
TRAVEL_MS: Final = 1

#: The context of the running code; unset in test code and on the platform's side.
CURRENT: Final[ContextVar[IoContext | None]] = ContextVar("CURRENT", default=None)
#: The event of an object in which the running code was started.
EVENT: Final[ContextVar[Event | None]] = ContextVar("EVENT", default=None)
#: The critical section in which the running code was started.
SECTION: Final[ContextVar[Section | None]] = ContextVar("SECTION", default=None)


def current_context(default: IoContext) -> IoContext:
    """The context of the running code, or `default` outside of every worker.

    Raises:
        WorldError: If test code uses what belongs to a disposed world, or to another loop.
    """
    context = CURRENT.get()
    if context is not None:
        return context
    default.check_usable()
    return default


class PowerSupply(Protocol):
    """What can be cut: the instance or the request that a context belongs to."""

    def power_cut(self, cause: str) -> None:
        """Lose everything that is not durable, at once."""

    def receive(
        self, handler: Callable[[], Coroutine[Any, Any, Any]], section: Section | None
    ) -> SimulationFuture:
        """Run a call of something that lives here, as an event; its errors are `remote`.

        Args:
            handler: Runs it.
            section: The critical section in which the thing was handed out.
        """


class Process(Protocol):
    """What runs objects and workers, and can end them: a world."""

    def restart(self, cause: str) -> None:
        """Lose everything of every object and request that is not durable, at once."""

    def end_object(self, name: str, how: str, error: JsException | None) -> None:
        """End the instance of an object, if it runs.

        Args:
            name: The object's name in the trace.
            how: "evict" it if it is idle, or "reset" it.
            error: What those are told who wait for it; None is of an eviction.
        """


class Held(Protocol):
    """What code here holds of somebody else: it is let go when the context ends."""

    def let_go(self) -> None:
        """Tell the other side that nobody here needs it any more."""


_RPC_RULES: Final = RpcRules()


@final
class IoContext:
    """Where code runs: one per object instance, one per request of a plain worker.

    Args:
        simulation: Time, rules and trace.
        name: Who this is in the trace, such as "JOBS#1f3a9c02".
        input_gate: Through which answers come back; None lets them straight in.
        output_gate: At which calls wait; None lets them straight out.
        subrequests_max: Calls that one event may make; None is no limit.
        owner: What a power cut kills; None cannot lose power (test code).
    """

    # One is made for every event of a worker; CPython's objects share the keys of their
    # dictionaries up to 30 names only.
    __slots__ = (
        "__weakref__", "_connections", "_connections_mark", "_connections_max", "_effects",
        "_external_mark", "_external_max", "_subrequests_mark", "external_count", "held",
        "hosted_count", "in_flight_count", "input_gate", "is_closed", "is_dead", "is_outside",
        "is_over", "last_active_ms", "logs", "loop", "name", "outbound", "output_gate", "owner",
        "process", "refused_count", "rpc_rules", "simulation", "sockets", "subrequest_count",
        "subrequest_count_most", "subrequests_max", "when_unhosted", "world",
    )  # fmt: skip

    def __init__(
        self,
        simulation: Simulation,
        name: str,
        *,
        input_gate: InputGate | None = None,
        output_gate: OutputGate | None = None,
        subrequests_max: int | None = None,
        owner: PowerSupply | None = None,
    ) -> None:
        self.simulation = simulation
        self.loop = simulation.loop
        self.name = name
        self.input_gate = input_gate
        self.output_gate = output_gate
        self.subrequests_max = subrequests_max
        self.owner = owner
        self.is_dead = False
        #: It is that of test code, whose calls can be named by their lines.
        self.is_outside = False
        #: The world of this test code was disposed.
        self.is_closed = False
        #: Calls made since the last event came in.
        self.subrequest_count = 0
        #: Those of them to elsewhere, if they have a budget of their own.
        self.external_count = 0
        #: The most calls that one event has made so far.
        self.subrequest_count_most = 0
        #: Acts of a dead instance that were refused.
        self.refused_count = 0
        self._subrequests_mark: Mark | None = None
        self._external_mark: Mark | None = None
        self._external_max: int | None = None
        self._connections: Connections | None = None
        self._connections_mark: Mark | None = None
        self._connections_max: int | None = None
        #: What the world gives its code: where prints go, the way out, and itself.
        self.logs: Any = None
        self.outbound: Any = None
        self.world: Any = None
        #: What a rule can restart; None outside of every world.
        self.process: Process | None = None
        #: What its world has settled about RPC.
        self.rpc_rules = _RPC_RULES
        #: Stubs that code here holds, in the order in which it got them.
        self.held: dict[Held, None] = {}
        #: Things of its own that others hold stubs of.
        self.hosted_count = 0
        #: Told when the last of them is held no more.
        self.when_unhosted: Callable[[], None] | None = None
        #: The event that it was made for is over, and nothing of it can be called any more.
        self.is_over = False
        #: Calls on their way.
        self.in_flight_count = 0
        #: WebSockets that code here listens to, in the order of their `accept()`.
        self.sockets: dict[WebSocket, None] = {}
        #: When an event last entered or ended, epoch milliseconds.
        self.last_active_ms = simulation.clock.now_ms
        self._effects: dict[asyncio.Future[Any], None] = {}

    def count_in(self, usage: Usage) -> None:
        """Count for the world whose code runs here, and by its limits."""
        limits = usage.limits
        self._subrequests_mark = usage.mark("subrequests_max")
        self._external_max = limits.external_subrequests_max
        if self._external_max is not None:
            self._external_mark = usage.mark("external_subrequests_max")
        self._connections_max = limits.connections_max
        self._connections_mark = usage.mark("connections_max")

    @property
    def connections(self) -> Connections:
        """What it has open to R2 and to elsewhere."""
        opened = self._connections
        if opened is None:
            opened = self._connections = Connections(
                self._connections_max, self._connections_mark, self.name
            )
        return opened

    def top_up(self) -> None:
        """A new event came in: its budget of calls starts afresh."""
        self.subrequest_count = self.external_count = 0
        self.touch()

    def touch(self) -> None:
        """Something happens here; idleness is counted from now."""
        self.last_active_ms = self.loop.clock.now_ms

    def check_alive(self) -> None:
        """Refuse an act of a dead instance.

        Raises:
            DeadInstance: If this context has lost power; the refusal is counted.
        """
        if self.is_dead:
            self.refused_count += 1
            self.simulation.refused_count += 1
            message = f"{self.name} is dead: what it still tries to do is refused"
            raise DeadInstance(message)

    def check_usable(self) -> None:
        """Refuse test code that is late, or on the wrong loop.

        Raises:
            WorldError: If the world has been disposed, or belongs to another loop.
        """
        if self.is_closed:
            message = (
                "the world of this binding has been disposed: use it inside `async with "
                "Miniflare(...) as mf:`, or get it anew from the Miniflare that is open"
            )
            raise WorldError(message)
        if asyncio._get_running_loop() not in (None, self.loop):
            message = (
                "this binding belongs to another simulation: get it from a Miniflare that was "
                "entered inside the emulator.run() that uses it"
            )
            raise WorldError(message)

    def die(self) -> None:
        """Power is gone. Effects that still read from this context break off."""
        self.is_dead = True
        self.end()
        sockets, self.sockets = self.sockets, {}
        for socket in sockets:
            socket.lose()
        for task in list(self._effects):
            task.cancel()
        self._effects.clear()

    def end(self) -> None:
        """Its event is over: let go of every stub that code here holds."""
        self.is_over = True
        held, self.held = self.held, {}
        for stub in held:
            stub.let_go()

    def unhosted(self) -> None:
        """Something of its own is held by nobody any more."""
        self.touch()
        if self.hosted_count == 0 and self.when_unhosted is not None:
            self.when_unhosted()

    def forget_world(self) -> None:
        """The world is disposed: do not keep it in memory."""
        self.owner = self.logs = self.outbound = self.world = self.process = None

    def carry(
        self,
        operation: Operation,
        effect: Callable[[], Any],
        *,
        lane: Hashable = None,
        travel_ms: int = TRAVEL_MS,
        is_subrequest: bool = True,
        is_external: bool = False,
        takes_connection: bool = False,
        answer: SimulationFuture | None = None,
    ) -> SimulationFuture:
        """Carry one operation out, and its answer back in.

        Args:
            operation: What it is; faults and the trace know it by this.
            effect: Does it, on the platform's side: outside of this object's gates, and
                not stopped when the object dies. May return an awaitable.
            lane: Calls of one lane arrive in the order in which they were made.
            travel_ms: Milliseconds until the effect.
            is_subrequest: Whether it counts against the event's budget of calls.
            is_external: Whether it leaves Cloudflare.
            takes_connection: Whether it waits for its turn if too many calls wait for
                their answers already.
            answer: The future to answer by; None makes one.

        Returns:
            A future with the answer, or with the error of the effect or of a fault.

        Raises:
            DeadInstance: If this context has lost power.
        """
        if self.is_dead:
            self.check_alive()
        if not operation.actor:
            # `_replace` would take 2 us instead of 0.2.
            operation = Operation(
                operation.binding, operation.name, operation.key, self.name, operation.target
            )
        if is_subrequest:
            refused = self._count(is_external=is_external)
            if refused is not None:
                return self.rejected(refused, answer)
        future = SimulationFuture(loop=self.loop) if answer is None else answer
        future.waits_for = operation  # type: ignore[assignment]  # Put into words on demand.
        if self.is_outside:
            future.place = _place_in_test()
        section = SECTION.get()
        connections = self.connections if takes_connection else None
        journey = Journey(
            self, operation, effect, future, lane, travel_ms, section, connections
        )
        self.in_flight_count += 1
        depart = journey.travel if connections is None else journey.depart
        gate = self.output_gate
        if gate is not None and gate.is_shut:
            gate.leave(depart)
        else:
            depart()
        return future

    def count_hop(self, *, is_external: bool = False) -> None:
        """Count one more request of a call that was redirected.

        Raises:
            JsException: If there have been too many.
        """
        refused = self._count(is_external=is_external)
        if refused is not None:
            raise refused

    def _count(self, *, is_external: bool) -> JsException | None:
        """Count one call; tells why it must not leave, if it must not."""
        if is_external and self._external_max is not None:
            return self._count_external()
        self.subrequest_count = count = self.subrequest_count + 1
        if count > self.subrequest_count_most:
            self.subrequest_count_most = count
            mark = self._subrequests_mark
            if mark is not None and count > mark.most:
                mark.saw(count, self.name)
        if self.subrequests_max is not None and count > self.subrequests_max:
            return _too_many("subrequests_max", self.subrequests_max)
        return None

    def _count_external(self) -> JsException | None:
        """Count one call to elsewhere; tells why it must not leave, if it must not."""
        most, mark = self._external_max, self._external_mark
        assert most is not None
        assert mark is not None
        self.external_count = count = self.external_count + 1
        mark.saw(count, self.name)
        return None if count <= most else _too_many("external_subrequests_max", most)

    def rejected(
        self, error: BaseException, answer: SimulationFuture | None = None
    ) -> SimulationFuture:
        """The answer to a call that is refused before it leaves."""
        future = SimulationFuture(loop=self.loop) if answer is None else answer
        future.set_exception(error)
        if self.is_outside:
            future.place = _place_in_test()
            self.simulation.calls.failed(future)
        return future

    def carry_inner(self, operation: Operation, effect: Callable[[], Any]) -> SimulationFuture:
        """Carry one step of a journey that was counted already: a chunk of a body.

        It takes no time of its own and is no subrequest, but its completion enters the
        object as an event, as every real wait does.
        """
        return self.carry(operation, effect, travel_ms=0, is_subrequest=False)

    def keep_effect(self, task: asyncio.Future[Any]) -> None:
        """Remember an effect that is under way, so that a power cut breaks it off."""
        self._effects[task] = None
        task.add_done_callback(self._forget_effect)

    def _forget_effect(self, task: asyncio.Future[Any]) -> None:
        self._effects.pop(task, None)

    def __repr__(self) -> str:
        state = " dead" if self.is_dead else ""
        return f"<IoContext {self.name}{state} subrequests={self.subrequest_count}>"


def _too_many(limit: str, most: int) -> JsException:
    # The text that public reports show; workerd's open source has no limiter.
    error = JsException("Too many subrequests by single Worker invocation.")
    return documented(error, limit, most)


def _place_in_test() -> tuple[CodeType, int]:
    """The innermost line outside of this package."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code, frame.f_lineno
