"""The record: one object of a namespace, which outlives its instances.

Promises: at most one instance at a time; storage and alarm survive it; an idle instance is
evicted after ten seconds (workerd's server.c++) unless something keeps it busy. Leaves to
others: what an instance does, when alarms fire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.alarms import AlarmInvocationInfo, AlarmScheduler
from emulator.durable_objects.instance import Broken, Instance
from emulator.durable_objects.units import ObjectDatabase

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.ids import DurableObjectId
    from emulator.limits import Limits
    from emulator.simulation.runner import Simulation

__all__ = ["ObjectKind", "ObjectRecord"]

EVICTION_MS: Final = 10_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKind:
    """What all objects of one namespace share.

    Attributes:
        cls: The worker's class.
        env: Gives the bindings that the constructor is handed.
        furnish: Gives an instance's context what the world owns.
        limits: The platform's limits in force.
        has_enhanced_errors: Compatibility date 2026-04-21 or later.
        delete_all_deletes_alarm: Compatibility date 2026-02-24 or later.
        prevents_eviction: Idle instances stay in memory.
    """

    cls: Callable[..., Any]
    env: Callable[[], Any]
    furnish: Callable[[IoContext], None]
    limits: Limits
    has_enhanced_errors: bool = False
    delete_all_deletes_alarm: bool = True
    prevents_eviction: bool = False


@final
class ObjectRecord:
    """One object.

    Args:
        simulation: Time, chance, rules and trace.
        kind: What it shares with the others of its namespace.
        binding_name: The name under which workers know the namespace.
        object_id: Its id.
    """

    def __init__(
        self,
        simulation: Simulation,
        kind: ObjectKind,
        binding_name: str,
        object_id: DurableObjectId,
    ) -> None:
        self.simulation = simulation
        self.kind = kind
        self.binding_name = binding_name
        self.id = object_id
        #: Who this is in the trace.
        self.name = f"{binding_name}#{str(object_id)[:8]}"
        self.database = ObjectDatabase(simulation, self.name)
        self.alarms = AlarmScheduler(simulation, self)
        self.instance: Instance | None = None
        #: The most calls that one event of any of its instances has made.
        self.subrequests_most = 0
        self._is_resting = False

    def wake(self) -> Instance:
        """The living instance; a new one is started if there is none."""
        instance = self.instance
        if instance is None:
            instance = self.instance = Instance(self)
            instance.start()
        return instance

    def _note_subrequests(self, instance: Instance) -> None:
        count = instance.context.subrequest_count_most
        self.subrequests_most = max(self.subrequests_most, count)

    def rest(self) -> None:
        """An event ended: see in ten seconds whether the instance is still needed."""
        if self.instance is not None:
            self._note_subrequests(self.instance)
        if self._is_resting or self.kind.prevents_eviction:
            return
        self._is_resting = True
        loop = self.simulation.loop
        loop.deliver(loop.clock.now_ms + EVICTION_MS, self._rested, is_background=True)

    def _rested(self) -> None:
        self._is_resting = False
        instance = self.instance
        if instance is None:
            return
        idle_ms = self.simulation.clock.now_ms - instance.last_active_ms
        if instance.is_busy() or idle_ms < EVICTION_MS:
            self.rest()
        else:
            instance.evict()

    def ended(self, instance: Instance, broken: Broken | None) -> None:
        """An instance's life is over."""
        self._note_subrequests(instance)
        if self.instance is instance:
            self.instance = None
        if broken is not None and broken.is_disconnect:
            self.alarms.restart()

    def dispose(self) -> None:
        """The world ends."""
        self.alarms.stop()
        if self.instance is not None:
            self.instance.dispose()
        self.database.close()

    # -- the alarm's view --------------------------------------------------------------------

    def run_alarm(
        self, info: AlarmInvocationInfo, done: Callable[[BaseException | None], None]
    ) -> None:
        """Run the handler on a living instance."""
        instance = self.wake()
        instance.state.storage.begin_alarm()
        answer = instance.alarm(info)

        def answered(answer: asyncio.Future[Any]) -> None:
            done(answer.exception())

        answer.add_done_callback(answered, context=self.simulation.loop.platform_context)

    def stored_alarm_ms(self) -> int | None:
        """The durable alarm time."""
        return self.database.alarm_time_ms

    def end_alarm(self, *, succeeded: bool) -> None:
        """The handler is over: delete the stored time for good, or show it again."""
        self.database.end_alarm(succeeded=succeeded)

    def power_cut(self, cause: str) -> None:
        """Cut the power of the living instance."""
        if self.instance is not None:
            self.instance.power_cut(cause)

    def __repr__(self) -> str:
        return f"<ObjectRecord {self.name} {'alive' if self.instance else 'asleep'}>"
