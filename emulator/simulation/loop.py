"""The loop: asyncio under simulated time.

Promises: ready work runs first in, first out; when it has run dry a turn is over, and only
then does the next delivery (a timer, an arrival, a completion) enter; when nothing is
ready the clock jumps to the next due time; equal due times keep their order of insertion,
or the order that the schedule gives them. Nothing due while somebody waits is a
`SimulationDeadlock`. There are no sockets, threads or processes. Leaves to others: what
the deliveries mean, and what user code may reach beside the loop (the ambient room).

A subclass of `asyncio.BaseEventLoop`, so that its C tasks and futures stay in use; this is
the only file that subclasses a loop.
"""

from __future__ import annotations

import asyncio
import gc
import math
from collections import deque
from contextlib import suppress
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final, NoReturn

from emulator.errors import SimulationDeadlock, SimulationEscape, SimulationRunaway
from emulator.simulation.clock import Clock
from emulator.simulation.handles import (
    OWNER,
    Handle,
    Owner,
    SimulationFuture,
    SimulationTask,
    TimerHandle,
)
from emulator.simulation.schedules import Fifo, Schedule
from emulator.simulation.waiters import describe_waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

__all__ = ["SimulationLoop"]

# Ours: a turn of more steps, or an instant of more deliveries, is a livelock.
TURN_STEPS_MAX: Final = 1_000_000
INSTANT_DELIVERIES_MAX: Final = 1_000_000
#: A hundred years: simulated time beyond it is time without end.
HORIZON_MS: Final = 100 * 365 * 86_400_000
#: Deliveries between two collections of the youngest garbage. Automatic collection is off
#: during a run, since finalisers must not land at arbitrary steps.
COLLECT_INTERVAL: Final = 50_000
#: Lanes remembered before those that lie in the past are forgotten.
LANES_KEPT_MAX: Final = 1_000
#: Tie rank of what must come last at its instant (the end of `advance`).
LAST: Final = 1 << 62


class SimulationLoop(asyncio.BaseEventLoop):
    """An event loop whose time is simulated.

    Args:
        clock: Its time; a new clock at the default start if None.
        schedule: Decides ties; None is first in, first out.
    """

    def __init__(self, clock: Clock | None = None, schedule: Schedule | None = None) -> None:
        super().__init__()
        self.clock = clock if clock is not None else Clock()
        #: The simulation this loop belongs to; set by it.
        self.simulation: Any = None
        self._schedule = schedule if schedule is not None else Fifo()
        self._queue: deque[Handle] = deque()
        self._heap: list[tuple[int, int, TimerHandle]] = []
        self._insertions = 0
        self._sequence = 0
        self._task_count = 0
        self._cancelled_count = 0
        self._background_count = 0
        self._lanes: dict[Hashable, tuple[int, int]] = {}
        self._turn_end: list[Callable[[], None]] = []
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._dead: set[object] = set()
        self._graveyard: list[object] = []
        #: The context of what nobody owns: the platform itself.
        self.platform_context = Context()
        self._instant_ms = -1
        self._instant_deliveries = 0
        self._collect_countdown = COLLECT_INTERVAL

    # -- time ------------------------------------------------------------------------------

    def time(self) -> float:
        """Simulated seconds since this loop's clock started."""
        return (self.clock.now_ms - self.clock.start_ms) / 1000

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        """Run `callback(*args)` behind everything that is ready."""
        handle = Handle(callback, args, copy_context() if context is None else context)
        if self._closed:  # type: ignore[attr-defined]  # A private of BaseEventLoop.
            self._check_closed()  # type: ignore[attr-defined]  # Likewise.
        self._queue.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        """`call_soon` from the loop's own thread; any other thread is an escape."""
        if asyncio._get_running_loop() not in (self, None):
            message = "call_soon_threadsafe was called from another loop's thread"
            raise SimulationEscape(message)
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Any:
        """Run `callback(*args)` after `delay` seconds, rounded up to a millisecond."""
        # A thousandth of a millisecond of slack: 0.035 * 1000 is 35.00000000000001.
        delay_ms = delay * 1000 - 0.001
        whole = HORIZON_MS * 2 if delay_ms > HORIZON_MS * 2 else math.ceil(delay_ms)
        return self._call_at_ms(self.clock.now_ms + max(whole, 0), callback, args, context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Any:
        """Run `callback(*args)` when `time()` is `when`, rounded up to a millisecond."""
        when_ms = when * 1000 - 0.001
        whole = HORIZON_MS * 2 if when_ms > HORIZON_MS * 2 else math.ceil(when_ms)
        due_ms = max(self.clock.start_ms + whole, self.clock.now_ms)
        return self._call_at_ms(due_ms, callback, args, context)

    def _call_at_ms(
        self,
        due_ms: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> TimerHandle:
        handle = TimerHandle(
            callback, args, copy_context() if context is None else context, self, due_ms
        )
        self._insertions = order = self._insertions + 1
        heappush(self._heap, (due_ms, order, handle))
        return handle

    def deliver(
        self,
        due_ms: int,
        callback: Callable[..., object],
        *args: Any,
        lane: Hashable = None,
        context: Context | None = None,
        is_background: bool = False,
    ) -> TimerHandle:
        """Let `callback(*args)` enter as an event of its own.

        Args:
            due_ms: Simulated milliseconds since the Unix epoch; the past means now.
            callback: Runs when every callback that was ready has run dry.
            args: Its arguments.
            lane: Deliveries of one lane keep their order of insertion, whatever their due
                times and the schedule.
            context: Whose event it is; the platform's own if None.
            is_background: It does not keep the simulation from being idle.

        Returns:
            A handle; `cancel()` takes the delivery back.
        """
        due_ms = max(due_ms, self.clock.now_ms)
        handle = TimerHandle(
            callback, args, self.platform_context if context is None else context, self, due_ms
        )
        tie = 0 if self._schedule.is_calm else self._schedule.tie_break()
        if lane is not None:
            last_ms, last_tie = self._lanes.get(lane, (0, 0))
            handle.due_ms = due_ms = max(due_ms, last_ms)
            tie = max(tie, last_tie) if due_ms == last_ms else tie
            self._lanes[lane] = (due_ms, tie)
        self._insertions += 1
        order = (tie << 40) + self._insertions
        if is_background:
            handle.is_background = True
            self._background_count += 1
        heappush(self._heap, (due_ms, order, handle))
        return handle

    def deliver_last(self, due_ms: int, callback: Callable[..., object]) -> TimerHandle:
        """Like `deliver`, behind everything else that falls due by then."""
        handle = TimerHandle(callback, (), self.platform_context, self, due_ms)
        self._insertions += 1
        heappush(self._heap, (due_ms, LAST + self._insertions, handle))
        return handle

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        """Run `callback()` once when the present turn is over, before the next delivery."""
        self._turn_end.append(callback)

    def timer_cancelled(self, handle: TimerHandle) -> None:
        """A handle in the heap was cancelled; forget the dead weight when it piles up."""
        self._cancelled_count += 1
        if handle.is_background:
            self._background_count -= 1
        if self._cancelled_count > 100 and self._cancelled_count * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].is_cancelled]
            heapify(self._heap)
            self._cancelled_count = 0

    # -- idleness --------------------------------------------------------------------------

    @property
    def pending_count(self) -> int:
        """Deliveries and timers still to come, background ones left out."""
        return len(self._heap) - self._cancelled_count - self._background_count

    async def wait_idle(self) -> None:
        """Wait until nothing is ready and nothing but background timers is to come."""
        waiter: asyncio.Future[None] = self.create_future()
        self._idle_waiters.append(waiter)
        await waiter

    # -- the step --------------------------------------------------------------------------

    def _run_once(self) -> None:
        queue = self._queue
        if not queue:
            self._advance()
        steps = 0
        while queue:
            handle = queue.popleft()
            callback = handle.callback
            if callback is None:
                continue
            context = handle.context
            if self._dead and context.get(OWNER) in self._dead:
                self._graveyard.append(handle)
                continue
            try:
                context.run(callback, *handle.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # As asyncio's own Handle does.
                self.call_exception_handler(
                    {"message": f"Exception in callback {handle!r}", "exception": error}
                )
            if self._stopping:  # type: ignore[attr-defined]  # A private of BaseEventLoop.
                return
            steps += 1
            if steps > TURN_STEPS_MAX:
                self._runaway(f"one turn ran {TURN_STEPS_MAX:,} steps and goes on")

    def _advance(self) -> None:
        """Nothing is ready: end the turn, then let in what is due next."""
        if self._turn_end:
            callbacks, self._turn_end = self._turn_end, []
            for callback in callbacks:
                self.platform_context.run(callback)
            if self._queue or self._turn_end:
                return
        if self._idle_waiters and self.pending_count == 0:
            waiters, self._idle_waiters = self._idle_waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
            return
        heap = self._heap
        while heap:
            due_ms, _, handle = heappop(heap)
            handle.is_scheduled = False
            if handle.is_cancelled:
                self._cancelled_count -= 1
                continue
            if handle.is_background:
                self._background_count -= 1
            if due_ms != self._instant_ms:
                self._move(due_ms)
            self._instant_deliveries += 1
            if self._instant_deliveries > INSTANT_DELIVERIES_MAX:
                self._runaway(
                    f"{INSTANT_DELIVERIES_MAX:,} events at one instant, and more come"
                )
            self._collect_countdown -= 1
            if not self._collect_countdown:
                self._collect_countdown = COLLECT_INTERVAL
                gc.collect(1)
            owner = handle.context.get(OWNER)
            if owner is None or owner in self._dead:
                self._queue.append(handle)
            else:
                # A timer of an object enters by the object's own gate.
                owner.admit(handle)
            return
        if not self._stopping:  # type: ignore[attr-defined]  # A private of BaseEventLoop.
            self._deadlock()

    def _move(self, due_ms: int) -> None:
        """Jump to the instant of the next delivery."""
        self._instant_ms = due_ms
        self._instant_deliveries = 0
        if due_ms > self.clock.now_ms:
            if due_ms - self.clock.start_ms > HORIZON_MS:
                self._runaway("simulated time has passed a hundred years")
            self.clock.move_to(due_ms)
        if len(self._lanes) > LANES_KEPT_MAX:
            self._lanes = {k: v for k, v in self._lanes.items() if v[0] >= due_ms}

    def _deadlock(self) -> NoReturn:
        waiters = describe_waiters(self)
        told = "\n".join(f"  - {line}" for line in waiters) or "  - the main coroutine"
        message = (
            "nothing is left to happen, yet somebody waits (no timer, no event, no alarm "
            f"is pending at {self.clock.now.isoformat(timespec='milliseconds')}):\n{told}"
        )
        raise SimulationDeadlock(message, waiters)

    def _runaway(self, what: str) -> NoReturn:
        told = "\n".join(f"  - {line}" for line in describe_waiters(self))
        message = (
            f"{what}, at {self.clock.now.isoformat(timespec='milliseconds')}. Time passes "
            "only when the code waits for something: give a polling loop a real delay, and "
            f"an alarm that sets itself again an end. Tasks at this moment:\n{told}"
        )
        raise SimulationRunaway(message)

    def enqueue(self, handle: Handle) -> None:
        """Put an admitted timer behind everything that is ready."""
        self._queue.append(handle)

    # -- power cuts ------------------------------------------------------------------------

    def bury(self, owner: object) -> None:
        """Nothing that `owner` started ever runs again.

        Its handles go to a graveyard instead of being dropped: a dropped coroutine would
        run its `finally` blocks when it is collected, which no power cut does.
        """
        self._dead.add(owner)
        for task in sorted(asyncio.all_tasks(self), key=hash):
            if isinstance(task, SimulationTask) and task.owner is owner:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # Of asyncio.
                self._graveyard.append(task)

    def has_work_of(self, owner: Owner) -> bool:
        """Whether a task or a timer of this owner is unfinished."""
        return any(
            isinstance(task, SimulationTask) and task.owner is owner
            for task in asyncio.all_tasks(self)
        ) or any(
            not handle.is_cancelled and handle.context.get(OWNER) is owner
            for _, _, handle in self._heap
        )

    def is_buried(self, owner: object) -> bool:
        """Whether `bury` was called for this owner."""
        return owner in self._dead

    def close(self) -> None:
        """Close the loop, and the graveyard with it.

        The coroutines of dead instances unwind only now, outside of any running loop and
        with every effect refused.
        """
        graves, self._graveyard = self._graveyard, []
        for grave in graves:
            if isinstance(grave, SimulationTask):
                with suppress(BaseException):
                    grave.get_coro().close()  # type: ignore[union-attr]  # A coroutine has it.
        self._heap.clear()
        self._queue.clear()
        super().close()

    def not_buried(self, tasks: list[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
        """Those of `tasks` whose owner still lives."""
        return [t for t in tasks if getattr(t, "owner", None) not in self._dead]

    # -- tasks and futures -----------------------------------------------------------------

    def next_sequence(self) -> int:
        """The next number in the order of first hashing."""
        self._sequence += 1
        return self._sequence

    def create_future(self) -> Any:
        """A future with a stable hash."""
        return SimulationFuture(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> Any:
        """A task with a stable hash, named by this loop's own count."""
        self._check_closed()  # type: ignore[attr-defined]  # A private of BaseEventLoop.
        if self._task_factory is not None:  # type: ignore[attr-defined]  # Likewise.
            if context is not None:
                options["context"] = context
            task = self._task_factory(self, coro, **options)  # type: ignore[attr-defined]  # Likewise.
            if name is not None:
                task.set_name(name)
            return task
        if name is None:
            self._task_count += 1
            name = f"Task-{self._task_count}"
        task = SimulationTask(coro, loop=self, name=str(name), context=context, **options)
        task.owner = OWNER.get() if context is None else context.get(OWNER)
        return task

    # -- what a simulation does not have ----------------------------------------------------

    def _write_to_self(self) -> None:
        """There is no selector to wake."""

    def _process_events(self, event_list: object) -> None:
        """There is no selector whose events could be processed."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:
        """Refused: one thread is the law of a simulation.

        Raises:
            SimulationEscape: Always.
        """
        name = getattr(func, "__qualname__", repr(func))
        message = (
            f"run_in_executor({name}) needs a thread, and a simulation has one thread only: "
            "call the function directly"
        )
        raise SimulationEscape(message)

    def _refuse(self, name: str) -> NoReturn:
        message = (
            f"loop.{name}() reaches outside the simulation: a worker talks to the world "
            "through its bindings, and a test through dispatch_fetch or mf.client()"
        )
        raise SimulationEscape(message)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is no executor to shut down."""


def _refuser(name: str) -> Callable[..., Any]:
    def refused(self: SimulationLoop, *args: Any, **options: Any) -> NoReturn:
        self._refuse(name)

    refused.__name__ = name
    refused.__doc__ = "Refused with a SimulationEscape: it would leave the simulation."
    return refused


for _name in (
    "add_reader", "add_signal_handler", "add_writer", "connect_accepted_socket",
    "connect_read_pipe", "connect_write_pipe", "create_connection", "create_datagram_endpoint",
    "create_server", "create_unix_connection", "create_unix_server", "getaddrinfo",
    "getnameinfo", "remove_reader", "remove_signal_handler", "remove_writer", "sendfile",
    "sock_accept", "sock_connect", "sock_recv", "sock_recv_into", "sock_recvfrom",
    "sock_recvfrom_into", "sock_sendall", "sock_sendfile", "sock_sendto", "start_tls",
    "subprocess_exec", "subprocess_shell",
):  # fmt: skip
    setattr(SimulationLoop, _name, _refuser(_name))
del _name
