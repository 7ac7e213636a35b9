"""The record: one object of a namespace, which outlives its instances.

Promises: at most one instance at a time; storage and alarm survive it; an idle instance is
evicted after ten seconds (workerd's server.c++) unless something keeps it busy. Leaves to
others: what an instance does, when alarms fire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, final

from emulator.durable_objects.alarms import AlarmOutcome, AlarmScheduler
from emulator.durable_objects.instance import Instance
from emulator.durable_objects.object_database import ObjectDatabase
from emulator.durable_objects.websockets import HibernatableSockets
from emulator.errors import JsException

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from emulator.durable_objects.alarms import AlarmInvocationInfo
    from emulator.durable_objects.broken import Broken
    from emulator.durable_objects.context import IoContext, Process
    from emulator.durable_objects.ids import DurableObjectId
    from emulator.durable_objects.object_database import StoredState
    from emulator.limits import Limits
    from emulator.simulation.handles import Handle
    from emulator.simulation.runner import Simulation
    from emulator.usage import Usage

__all__ = ["ObjectKind", "ObjectRecord", "ObjectSnapshot", "StorageKind"]

StorageKind: TypeAlias = Literal["sqlite", "local_kv", "kv"]

EVICTION_MS: Final = 10_000
#: An idle instance that cannot hibernate, because of a timer or a call under way, is evicted
#: after 70 to 140 seconds (Cloudflare docs, Lifecycle of a Durable Object). Local workerd
#: leaves it in memory as long as there is such work (measured).
IDLE_MS_MIN: Final = 70_000
IDLE_MS_MAX: Final = 140_000
#: Since compatibility date 2026-10-01 each such piece of work keeps it for 15 minutes (docs,
#: compatibility flag `durable_object_io_tasks_prevent_eviction`).
IO_TASK_MS_MAX: Final = 900_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKind:
    """What all objects of one namespace share.

    Attributes:
        cls: The worker's class.
        env: Gives the bindings that the constructor is handed.
        furnish: Gives an instance's context what the world owns.
        usage: How near the world has come to the platform's limits, and those in force.
        has_enhanced_errors: Compatibility date 2026-04-21 or later.
        delete_all_deletes_alarm: Compatibility date 2026-02-24 or later.
        prevents_eviction: Idle instances stay in memory.
        io_tasks_prevent_eviction: Compatibility date 2026-10-01 or later.
        storage: "kv" is the documented storage of a class without SQLite, "local_kv" what
            the local runtime gives it.
        keeps_history: Whether every past state is kept, for `getBookmarkForTime`.
        process: What a rule can restart; None outside of every world.
    """

    cls: Callable[..., Any]
    env: Callable[[], Any]
    furnish: Callable[[IoContext], None]
    usage: Usage
    has_enhanced_errors: bool = False
    delete_all_deletes_alarm: bool = True
    prevents_eviction: bool = False
    io_tasks_prevent_eviction: bool = False
    storage: StorageKind = "sqlite"
    keeps_history: bool = False
    process: Process | None = None

    @property
    def limits(self) -> Limits:
        """The platform's limits in force."""
        return self.usage.limits


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
        #: What the instance that set the alarm knew itself by.
        self._alarm_id: DurableObjectId | None = None
        #: The same, of the local runtime's entry for the object, which a reset removes.
        self._entry_id: DurableObjectId | None = None
        self.database = self._new_database()
        self.alarms = AlarmScheduler(simulation, self, is_local=kind.limits.is_local)
        self.instance: Instance | None = None
        #: WebSockets that outlive an eviction; None until there was one.
        self.hibernation: HibernatableSockets | None = None
        #: The most calls that one event of any of its instances has made.
        self.subrequests_most = 0
        #: Whether there has ever been an instance, since the last `erase`.
        self.was_started = False
        #: Lives that have ended, the first one first.
        self._past: list[Instance] = []
        self._rest: Handle | None = None
        #: Since when it is idle, and how long the platform lets it be.
        self._patience: tuple[int, int] | None = None

    def _new_database(self) -> ObjectDatabase:
        kind = self.kind
        return ObjectDatabase(
            self.simulation, self.name, kind.limits, keeps_history=kind.keeps_history
        )

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
            self._recover()
            instance = self.instance = Instance(self, self._known_as(object_id))
            instance.start()
        return instance

    def _recover(self) -> bool:
        """Go back to a bookmark before a new instance starts, if the last one asked for it."""
        bookmarks = self.database.bookmarks
        if self.instance is not None or bookmarks is None or not bookmarks.restore():
            return False
        self.simulation.trace.record("recovery", self.name)
        self.alarms.restart()
        return True

    def _known_as(self, object_id: DurableObjectId | None) -> DurableObjectId:
        """The id, with or without a name, that a new instance sees."""
        if not self.kind.limits.is_local:
            # The name is stored beside the alarm (workerd's newer sources; Cloudflare's
            # changelog of 2026-03-15).
            return object_id or self._alarm_id or self.id
        # Measured: whoever made the entry gave it the name, which stays over evictions; an
        # alarm that finds none knows no name.
        self._entry_id = self._entry_id or object_id or self.id.unnamed()
        return self._entry_id

    def alarm_changed(self, time_ms: int | None) -> None:
        """A `setAlarm` or `deleteAlarm` has become durable."""
        if self.instance is not None:
            self._alarm_id = self.instance.state.id
        self.alarms.time_changed(time_ms)

    @property
    def refused_count(self) -> int:
        """Acts of this object's dead instances that were refused."""
        return sum(instance.context.refused_count for instance in self._past)

    def note_storage(self) -> None:
        """Count what is stored now."""
        sqlite = self.database.sqlite
        if sqlite is not None and self.kind.storage == "sqlite":
            mark = self.kind.usage.mark("storage_bytes_max")
            mark.saw(sqlite.file_size_bytes, self.name)

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
        end_ms = self._end_of_rest_ms(instance, now_ms)
        if now_ms < end_ms:
            # What keeps it in memory may end before that.
            self._look_again(min(now_ms, end_ms - EVICTION_MS))
        else:
            instance.evict()

    def _end_of_rest_ms(self, instance: Instance, now_ms: int) -> int:
        """When the instance is evicted if it stays as it is."""
        active_ms = instance.context.last_active_ms
        if not instance.is_busy():
            return active_ms + EVICTION_MS
        if instance.is_running() or self.kind.limits.is_local:
            return now_ms + EVICTION_MS
        if self.kind.io_tasks_prevent_eviction:
            return active_ms + IO_TASK_MS_MAX
        if self._patience is None or self._patience[0] != instance.idle_since_ms:
            stream = self.simulation.randomness.stream(f"eviction.{self.name}")
            patience_ms = stream.randint(IDLE_MS_MIN, IDLE_MS_MAX)
            self._patience = (instance.idle_since_ms, patience_ms)
        return sum(self._patience)

    def ended(self, instance: Instance, broken: Broken | None) -> None:
        """An instance's life is over."""
        self._note_subrequests(instance)
        self.note_storage()
        self._past.append(instance)
        for observer in instance.observers:
            observer.life_ended(instance)
        if self.instance is instance:
            self.instance = None
        if broken is not None:
            self._drop_sockets()
            self._entry_id = None
        elif self.hibernation is not None:
            self.hibernation.hibernate()
        if broken is not None and broken.is_disconnect:
            self.alarms.restart()

    def _drop_sockets(self) -> None:
        """A reset or a power cut: nobody stays connected."""
        sockets, self.hibernation = self.hibernation, None
        if sockets is not None:
            sockets.drop()

    @property
    def websockets(self) -> HibernatableSockets:
        """The WebSockets that outlive an eviction."""
        if self.hibernation is None:
            self.hibernation = HibernatableSockets(self)
        return self.hibernation

    def erase(self, caller: str = "deleteAllDurableObjects") -> None:
        """Forget everything that was stored, as local workerd's deleteAllDurableObjects.

        Args:
            caller: What the calls under way are told.
        """
        if self.instance is not None:
            self.instance.reset(JsException(f"Application called {caller}()."))
        self._drop_sockets()
        self.alarms.stop()
        self.database.close()
        self.database = self._new_database()
        self._alarm_id = self._entry_id = None
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
        if self.id.name is not None:
            self.simulation.rules.object_names[self.name] = self.id.name
        self._alarm_id = self.id
        self.database.restore(stored)
        self.alarms.restart()

    def dispose(self) -> None:
        """The world ends."""
        self.alarms.stop()
        if self._rest is not None:
            self._rest.cancel()
        if self.instance is not None:
            self.instance.power_off()
        else:
            self.note_storage()
        for instance in self._past:
            instance.forget_world()
        self.database.close()

    # -- the alarm's view --------------------------------------------------------------------

    def run_alarm(
        self, info: AlarmInvocationInfo, done: Callable[[AlarmOutcome], None]
    ) -> None:
        """Run the handler on a living instance."""
        if self._recover():
            return  # The alarm of then has been armed in the place of this one.
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
            self._drop_sockets()
            self.alarms.restart()

    def restart_process(self, cause: str) -> None:
        """Cut the power of everything that runs beside the object, too."""
        process = self.kind.process
        if process is None:
            self.power_cut(cause)
        else:
            process.restart(cause)

    def evict_if_idle(self) -> None:
        """End the instance politely, if nothing keeps it in memory."""
        instance = self.instance
        if instance is None or instance.is_busy() or self.kind.prevents_eviction:
            return
        instance.evict()

    def __repr__(self) -> str:
        return f"<ObjectRecord {self.name} {'alive' if self.instance else 'asleep'}>"
