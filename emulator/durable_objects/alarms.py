"""Alarms: the one wake-up call that each Durable Object may have pending.

Promises: an alarm runs at or after its time and at least once, never twice at once for one
object. The stored time is hidden before the handler runs and deleted only when the
handler has succeeded and its writes are durable, so a power cut in between runs it again.
A failing handler is retried after 2, 4, 8, 16, 32 and 64 s, each with up to a quarter more
(workerd's alarm-scheduler.h: RETRY_START_SECONDS, RETRY_MAX_TRIES, RETRY_JITTER_FACTOR),
then the alarm is dropped. A new time that the handler or somebody else sets meanwhile wins
over the retry; the local runtime waits for the retry first if that is later, and hands it
the old time (measured on workerd). Leaves to others: the stored time (the alarm slot), and
what the handler does (the instance).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, final

from emulator.errors import JsException
from emulator.simulation.deviations import EFFECT
from emulator.simulation.rules import PASS, Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.handles import TimerHandle
    from emulator.simulation.passages import Passage
    from emulator.simulation.rules import Verdict
    from emulator.simulation.runner import Simulation

__all__ = [
    "RETRY_COUNT_MAX",
    "AlarmInvocationInfo",
    "AlarmOutcome",
    "AlarmScheduler",
    "AlarmState",
    "AlarmTarget",
]

RETRY_DELAY_MS_FIRST: Final = 2_000
RETRY_COUNT_MAX: Final = 6
#: The delay doubles at most so often: failures that are not counted go on without end.
BACKOFF_MAX: Final = 9
#: The jitter is at most this fraction of the delay: one quarter.
RETRY_JITTER_DIVISOR: Final = 4


@final
class AlarmInvocationInfo:
    """What the handler is told (Cloudflare docs: `alarmInfo`).

    Attributes:
        scheduledTime: Milliseconds since the Unix epoch for which the alarm was set.
        retryCount: How many runs of this alarm have failed so far.
        isRetry: Whether any has.
    """

    __slots__ = ("isRetry", "retryCount", "scheduledTime")

    def __init__(self, scheduled_time_ms: int, retry_count: int) -> None:
        self.scheduledTime = scheduled_time_ms
        self.retryCount = retry_count
        self.isRetry = retry_count > 0

    def __repr__(self) -> str:
        return (
            f"AlarmInvocationInfo(scheduledTime={self.scheduledTime}, "
            f"retryCount={self.retryCount}, isRetry={self.isRetry})"
        )


class AlarmOutcome(NamedTuple):
    """How one run of a handler ended.

    Attributes:
        error: What it raised or was ended by; None is success.
        is_cancelled: It did not run, because its alarm was no longer stored.
        is_counted: The failure is the object's own, not the platform's.
        may_retry: Nobody asked for the alarm to be dropped.
    """

    error: BaseException | None = None
    is_cancelled: bool = False
    is_counted: bool = True
    may_retry: bool = True


class AlarmState(Enum):
    """Where an object's alarm stands."""

    NONE = "none"
    WAITING = "waiting"
    RUNNING = "running"
    BACKOFF = "backoff"


class AlarmTarget(Protocol):
    """The object, as its alarm scheduler sees it."""

    name: str

    def run_alarm(
        self, info: AlarmInvocationInfo, done: Callable[[AlarmOutcome], None]
    ) -> None:
        """Run the handler on a living instance; `done` when its writes are durable."""

    def stored_alarm_ms(self) -> int | None:
        """The durable time, whatever `getAlarm` shows."""

    def end_alarm(self, *, succeeded: bool) -> None:
        """Delete the stored time for good, or show it again."""

    def drop_alarm(self) -> None:
        """Delete the stored time, which nobody has changed meanwhile."""

    def power_cut(self, cause: str) -> None:
        """Lose everything that is not durable, at once."""

    def restart_process(self, cause: str) -> None:
        """The same, of everything that runs beside it, too."""

    def evict_if_idle(self) -> None:
        """End its instance politely, if nothing keeps that in memory."""


@final
class AlarmScheduler:
    """The alarm of one object.

    Args:
        simulation: Time, jitter, rules and trace.
        target: The object.
        is_local: A time before the coming retry waits for the retry.
    """

    def __init__(
        self, simulation: Simulation, target: AlarmTarget, *, is_local: bool = False
    ) -> None:
        self._simulation = simulation
        self._loop = simulation.loop
        self._target = target
        self._is_local = is_local
        self._timer: TimerHandle | None = None
        self.state = AlarmState.NONE
        #: For when the present alarm was set, epoch milliseconds.
        self.scheduled_time_ms: int | None = None
        #: Failures of the present alarm that count.
        self.retry_count = 0
        self._backoff = 0
        #: A time that was set while the handler runs; it waits for the handler.
        self._queued_ms: int | None = None
        self._run = 0
        #: When it was armed, for the record of the run.
        self._departed_at = 0

    @property
    def due_ms(self) -> int | None:
        """When the handler runs next, or was to run if it runs now; None without an alarm."""
        return self.scheduled_time_ms if self._timer is None else self._timer.due_ms

    def time_changed(self, time_ms: int | None) -> None:
        """A new stored time has become durable.

        Args:
            time_ms: Epoch milliseconds, or None if the alarm was deleted.
        """
        if self.state is AlarmState.RUNNING:
            self._queued_ms = time_ms
            return
        if (
            self._is_local
            and self.state is AlarmState.BACKOFF
            and time_ms is not None
            and self._timer is not None
            and time_ms < self._timer.due_ms
        ):
            return
        self._disarm()
        if time_ms is not None:
            self._arm(time_ms)

    def restart(self) -> None:
        """The process that held the retry state is gone; start from the stored time.

        An overdue alarm runs at once and as a first run (as after a restart of workerd).
        """
        self._run += 1
        self._disarm()
        time_ms = self._target.stored_alarm_ms()
        if time_ms is not None:
            self._arm(time_ms)

    def stop(self) -> None:
        """The world ends: never fire again."""
        self._run += 1
        self._disarm()

    def _arm(self, time_ms: int) -> None:
        self._note_departure()
        self.state = AlarmState.WAITING
        self.scheduled_time_ms = time_ms
        if time_ms > self._loop.clock.now_ms or not self._simulation.schedule.is_calm:
            self._timer = self._loop.deliver(time_ms, self._fire)
        else:
            # Measured: whoever set it in the past has his answer before it runs.
            self._timer = self._loop.deliver_late(time_ms, self._fire)

    def _note_departure(self) -> None:
        """The alarm is on its way from now on, if the run is recorded."""
        player = self._simulation.player
        if player is not None:
            self._departed_at = player.now()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.state = AlarmState.NONE
        self.scheduled_time_ms = None
        self.retry_count = self._backoff = 0
        self._queued_ms = None

    def _fire(self) -> None:
        """The alarm is due. A rule may delay it, or end what it is delivered to."""
        simulation, name = self._simulation, self._target.name
        operation = Operation("alarm", "alarm.deliver", actor=name, target=name)
        verdict = simulation.rules.decide(operation) if simulation.rules else PASS
        player = simulation.player
        passage = None if player is None else player.depart(operation, self._departed_at)
        if passage is not None and passage.verdict is not None:
            verdict = passage.verdict
        if self._ends_by(verdict, operation, "before"):
            if passage is not None:
                passage.no_effect()
            return
        if verdict.target_ends == "evict":
            self._target.evict_if_idle()
        if verdict.latency_ms:
            due_ms = self._loop.clock.now_ms + verdict.latency_ms
            self._timer = self._loop.deliver(due_ms, self._deliver, verdict, operation, passage)
        else:
            self._deliver(verdict, operation, passage)

    def _deliver(self, verdict: Verdict, operation: Operation, passage: Passage | None) -> None:
        if passage is not None:
            run = self._run

            def come_again() -> None:
                if run == self._run and self._timer is timer:
                    self._deliver(verdict, operation, passage)

            timer = self._timer
            if not passage.admits(EFFECT, come_again):
                return  # It is held back.
            passage.effect()
        assert self.scheduled_time_ms is not None
        self.state = AlarmState.RUNNING
        self._timer = None
        self._queued_ms = None
        self._run += 1
        run = self._run
        info = AlarmInvocationInfo(self.scheduled_time_ms, self.retry_count)
        self._simulation.trace.record(
            "alarm",
            self._target.name,
            scheduled_time=self.scheduled_time_ms,
            retry=self.retry_count,
        )
        self._target.run_alarm(info, lambda outcome: self._ran(run, outcome))
        self._ends_by(verdict, operation, "after")

    def _ran(self, run: int, outcome: AlarmOutcome) -> None:
        if run != self._run:
            return  # A power cut has already started this alarm afresh.
        if outcome.is_cancelled:
            self._simulation.trace.record("alarm.cancelled", self._target.name)
            self._next()
        elif outcome.error is None:
            self._acknowledge()
        else:
            self._failed(outcome, outcome.error)

    def _acknowledge(self) -> None:
        """The handler's writes are durable: delete the stored time."""
        target, simulation = self._target, self._simulation
        operation = Operation("alarm", "alarm.ack", actor=target.name)
        verdict = simulation.rules.decide(operation) if simulation.rules else PASS
        player = simulation.player
        passage = None if player is None else player.depart(operation)
        if passage is not None and passage.verdict is not None:
            verdict = passage.verdict
        if self._ends_by(verdict, operation, "before"):
            return
        if verdict.is_unheard:
            error = JsException("Network connection lost.", retryable=True)
            self._failed(AlarmOutcome(error, is_counted=False), error)
            return
        if passage is not None:
            passage.effect()
            passage.arrival()
        simulation.trace.record("alarm.ack", target.name)
        target.end_alarm(succeeded=True)
        if not self._ends_by(verdict, operation, "after"):
            self._next()

    def _ends_by(self, verdict: Verdict, operation: Operation, when: str) -> bool:
        """Cut the power if a rule says so of this moment; tells whether it did."""
        if verdict.crash == when:
            self._target.power_cut(f"crash {when} {operation}")
        elif verdict.restart == when:
            self._target.restart_process(f"restart {when} {operation}")
        else:
            return False
        return True

    def _next(self) -> None:
        """Arm the time that was set meanwhile, if any."""
        queued_ms = self._queued_ms
        self._disarm()
        if queued_ms is not None:
            self._arm(queued_ms)

    def _failed(self, outcome: AlarmOutcome, error: BaseException) -> None:
        target, simulation = self._target, self._simulation
        stored_ms = target.stored_alarm_ms()
        simulation.trace.record(
            "alarm.failed",
            target.name,
            retry=self.retry_count,
            error=str(error) or type(error).__name__,
        )
        if self._queued_ms is not None or stored_ms != self.scheduled_time_ms:
            # A time set in the failing handler replaces the retry, a deletion ends it.
            target.end_alarm(succeeded=False)
            self._queued_ms = stored_ms if self._queued_ms is None else self._queued_ms
            self._next()
        elif not outcome.may_retry or (
            outcome.is_counted and self.retry_count >= RETRY_COUNT_MAX
        ):
            simulation.trace.record("alarm.dropped", target.name)
            target.drop_alarm()
            self._disarm()
        else:
            target.end_alarm(succeeded=False)
            self._back_off(is_counted=outcome.is_counted)

    def _back_off(self, *, is_counted: bool) -> None:
        if is_counted:
            if self.retry_count == 0:
                self._backoff = 0  # Earlier failures were the platform's.
            self.retry_count += 1
        delay_ms = self.retry_delay_ms(self._backoff)
        self._backoff = min(self._backoff + 1, BACKOFF_MAX)
        self._note_departure()
        self.state = AlarmState.BACKOFF
        self._timer = self._loop.deliver(self._loop.clock.now_ms + delay_ms, self._fire)

    def retry_delay_ms(self, backoff: int) -> int:
        """How long to wait before a retry, with jitter.

        Args:
            backoff: How often the delay has doubled, from 0.
        """
        delay_ms = RETRY_DELAY_MS_FIRST << backoff
        jitter = self._simulation.randomness.stream(f"alarms.jitter.{self._target.name}")
        return delay_ms + jitter.randrange(delay_ms // RETRY_JITTER_DIVISOR + 1)

    def __repr__(self) -> str:
        return (
            f"<AlarmScheduler {self.state.value} scheduled={self.scheduled_time_ms} "
            f"retries={self.retry_count}>"
        )
