"""The record: one object of a namespace, which outlives its instances.

Promises: at most one instance at a time; storage and alarm survive it; an idle instance is
evicted after ten seconds (workerd's server.c++) unless something keeps it busy. Leaves to
others: what an instance does, when alarms fire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from emulator.durable_objects.alarms import AlarmOutcome, AlarmScheduler
from emulator.durable_objects.instance import Instance
from emulator.durable_objects.object_database import ObjectDatabase
from emulator.errors import JsException

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from emulator.durable_objects.alarms import AlarmInvocationInfo
    from emulator.durable_objects.broken import Broken
    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.object_database import StoredState
    from emulator.limits import Limits
    from emulator.simulation.handles import Handle
    from emulator.simulation.runner import Simulation

__all__ = ["ObjectKind", "ObjectRecord", "ObjectSnapshot"]

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


class ObjectSnapshot(NamedTuple):
    """One object at one instant.

    Attributes:
        id: With its name, if the object was ever reached by one.
        was_started: Whether there has ever been an instance.
        stored: What it has stored.
    """

    id: DurableObjectId
    was_started: bool
    stored: StoredState


@final
class ObjectRecord:
    """One object.

    Args:
        simulation: Time, chance, rules and trace.
        kind: What it shares with the others of its namespace.
        name: Who this is in the trace, such as "JOBS#1f3a9c02".
        object_id: Its id.
    """

    def __init__(
        self,
        simulation: Simulation,
        kind: ObjectKind,
        name: str,
        object_id: DurableObjectId,
    ) -> None:
        self.simulation = simulation
        self.kind = kind
        self.name = name
        #: With its name, if the object was ever reached by one.
        self.id = object_id
        self.database = ObjectDatabase(simulation, self.name)
        self.alarms = AlarmScheduler(simulation, self)
        self.instance: Instance | None = None
        #: The most calls that one event of any of its instances has made.
        self.subrequests_most = 0
        #: Whether there has ever been an instance, since the last `erase`.
        self.was_started = False
        #: Lives that have ended, the first one first.
        self._past: list[Instance] = []
        self._rest: Handle | None = None

    def wake(self, object_id: DurableObjectId | None = None) -> Instance:
        """The living instance; a new one is started if there is none.

        Args:
            object_id: The id by which it is reached; None is by its alarm.
        """
        if object_id is not None and object_id.name is not None:
            self.id = object_id
        instance = self.instance
        if instance is None:
            self.was_started = True
            instance = self.instance = Instance(self, object_id or self.id)
            instance.start()
        return instance

    @property
    def refused_count(self) -> int:
        """Acts of this object's dead instances that were refused."""
        return sum(instance.context.refused_count for instance in self._past)

    def _note_subrequests(self, instance: Instance) -> None:
        count = instance.context.subrequest_count_most
        self.subrequests_most = max(self.subrequests_most, count)

    def rest(self) -> None:
        """An event ended: see in ten seconds whether the instance is still needed."""
        if self.instance is not None:
            self._note_subrequests(self.instance)
        if self._rest is None and not self.kind.prevents_eviction:
            self._look_again(self.simulation.clock.now_ms)

    def _look_again(self, active_ms: int) -> None:
        self._rest = self.simulation.loop.deliver(
            active_ms + EVICTION_MS, self._rested, is_background=True
        )

    def _rested(self) -> None:
        self._rest = None
        instance = self.instance
        if instance is None:
            return
        now_ms = self.simulation.clock.now_ms
        active_ms = now_ms if instance.is_busy() else instance.context.last_active_ms
        if now_ms - active_ms < EVICTION_MS:
            self._look_again(active_ms)
        else:
            instance.evict()

    def ended(self, instance: Instance, broken: Broken | None) -> None:
        """An instance's life is over."""
        self._note_subrequests(instance)
        self._past.append(instance)
        if self.instance is instance:
            self.instance = None
        if broken is not None and broken.is_disconnect:
            self.alarms.restart()

    def erase(self, caller: str = "deleteAllDurableObjects") -> None:
        """Forget everything that was stored, as local workerd's deleteAllDurableObjects.

        Args:
            caller: What the calls under way are told.
        """
        if self.instance is not None:
            self.instance.reset(JsException(f"Application called {caller}()."))
        self.alarms.stop()
        self.database.close()
        self.database = ObjectDatabase(self.simulation, self.name)
        self.was_started = False

    def snapshot(self) -> ObjectSnapshot:
        """The object as a power cut would leave it now."""
        return ObjectSnapshot(self.id, self.was_started, self.database.snapshot())

    def restore(self, snapshot: ObjectSnapshot) -> None:
        """Become what a snapshot holds; this object must be new, or erased.

        The alarm is armed as after a power cut: for its stored time, at once if that is over,
        and as a first run.
        """
        self.id, self.was_started, stored = snapshot
        self.database.restore(stored)
        self.alarms.restart()

    def dispose(self) -> None:
        """The world ends."""
        self.alarms.stop()
        if self._rest is not None:
            self._rest.cancel()
        if self.instance is not None:
            self.instance.power_off()
        for instance in self._past:
            instance.forget_world()
        self.database.close()

    # -- the alarm's view --------------------------------------------------------------------

    def run_alarm(
        self, info: AlarmInvocationInfo, done: Callable[[AlarmOutcome], None]
    ) -> None:
        """Run the handler on a living instance."""
        instance = self.wake()
        answer = instance.alarm(info)

        def answered(answer: asyncio.Future[Any]) -> None:
            error = answer.exception()
            broken = instance.broken
            done(
                AlarmOutcome(
                    error,
                    is_cancelled=error is None and not answer.result(),
                    is_counted=broken is None or broken.is_counted,
                    may_retry=broken is None or broken.retries_alarm,
                )
            )

        answer.add_done_callback(answered, context=self.simulation.loop.platform_context)

    def stored_alarm_ms(self) -> int | None:
        """The durable alarm time."""
        return self.database.alarm_time_ms

    def end_alarm(self, *, succeeded: bool) -> None:
        """The handler is over: delete the stored time for good, or show it again."""
        self.database.end_alarm(succeeded=succeeded)

    def drop_alarm(self) -> None:
        """Delete the stored time: the alarm has failed for good."""
        self.database.drop_alarm()

    def power_cut(self, cause: str) -> None:
        """Cut the power of the process that holds the instance and the retry state."""
        if self.instance is not None:
            self.instance.power_cut(cause)
        else:
            self.alarms.restart()

    def __repr__(self) -> str:
        return f"<ObjectRecord {self.name} {'alive' if self.instance else 'asleep'}>"
