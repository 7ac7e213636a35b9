"""The loop: asyncio under simulated time.

Promises: ready work runs first in, first out; when it has run dry a turn is over, and only
then does the next delivery (a timer, an arrival, a completion) enter, one at a time; when
nothing is ready the clock jumps to the next due time; equal due times keep their order of
insertion, or the order that the schedule gives them. Nothing due while somebody waits is a
`SimulationDeadlock`. There are no sockets, threads or processes. Leaves to others: what
the deliveries mean, and what user code may reach beside the loop (the ambient room).

A subclass of `asyncio.BaseEventLoop`, so that its C tasks and futures stay in use; this is
the only file that subclasses a loop.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter, deque
from contextvars import Context, copy_context
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import repeat
from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NoReturn

from emulator.errors import SimulationDeadlock, SimulationEscape, SimulationRunaway
from emulator.simulation.clock import Clock
from emulator.simulation.graveyard import Graveyard, hush
from emulator.simulation.handles import (
    OWNER,
    BackgroundDelivery,
    DeadlineDelivery,
    Delivery,
    Handle,
    Owner,
    SimulationFuture,
    SimulationTask,
    TimerHandle,
)
from emulator.simulation.refusals import Refusals
from emulator.simulation.schedules import Fifo, Schedule
from emulator.simulation.waiters import describe_waiters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Iterator
    from typing import TypeVar, TypeVarTuple

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

__all__ = ["SimulationLoop"]

# Ours: a turn of more steps, or an instant of more deliveries, is a livelock.
TURN_STEPS_MAX: Final = 1_000_000
INSTANT_DELIVERIES_MAX: Final = 1_000_000
#: Ours: what takes longer than this to become idle never will.
IDLE_DELIVERIES_MAX: Final = 2_000_000
#: Ours: when nothing but so many background deliveries came in a row, nothing else will.
LONELY_DELIVERIES_MAX: Final = 100_000
#: A hundred years: simulated time beyond it is time without end.
HORIZON_MS: Final = 100 * 365 * 86_400_000
#: Deliveries between two collections of young garbage. Automatic collection is off during a
#: run, since finalisers must not land at arbitrary steps.
COLLECT_INTERVAL: Final = 10_000
#: Every so many collections are of old garbage too, which costs 10 ms with moto loaded.
FULL_COLLECT_INTERVAL: Final = 10
#: Lanes remembered before those that lie in the past are forgotten.
LANES_KEPT_MAX: Final = 1_000
#: So many finished tasks are kept before they are forgotten.
TASKS_KEPT_MAX: Final = 1_000
#: The horizon in seconds; a longer delay is as good as for ever.
HORIZON_S: Final = 2 * HORIZON_MS // 1000
#: `asyncio.eager_task_factory`, which Python 3.12 brought.
_EAGER_FACTORY: Final = getattr(asyncio, "eager_task_factory", object())
#: Tie rank of what must come last at its instant (the end of `advance`).
LAST: Final = 1 << 62
#: Before that, and behind all others.
LATE: Final = 1 << 61


class SimulationLoop(Refusals, asyncio.BaseEventLoop):
    """An event loop whose time is simulated.

    Args:
        clock: Its time; a new clock at the default start if None.
        schedule: Decides ties; None is first in, first out.
    """

    # Of BaseEventLoop; typeshed leaves them out.
    _asyncgens: Any
    _check_closed: Callable[[], None]
    _closed: bool
    _stopping: bool
    _task_factory: Any

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
        self._lonely_count = 0
        self._lonely_insertions = 0
        self._timers_unwatched = HORIZON_MS
        self._timers_left: dict[Owner, int] = {}
        self._lanes: dict[Hashable, tuple[int, int]] = {}
        self._turn_end: list[Callable[[], None]] = []
        self._turn_watchers: tuple[Callable[[], None], ...] = ()
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._restless_collections = 0
        #: Those that may be unfinished, the oldest first. `asyncio.all_tasks` would walk the
        #: tasks of every loop, those of former runs that are not collected yet among them.
        self._tasks: list[asyncio.Task[Any]] = []
        self._tasks_max = TASKS_KEPT_MAX
        self._graveyard = Graveyard()
        #: The context of what nobody owns: the platform itself.
        self.platform_context = Context()
        self._instant_ms = -1
        self._collections = 0
        self._stagnant_collections = 0
        self._collected_at_ms = -1
        # One future for each await: a call without a frame of Python saves 60 ns.
        vars(self)["create_future"] = partial(SimulationFuture, loop=self)

    # -- time ------------------------------------------------------------------------------

    def time(self) -> float:
        """Simulated seconds since this loop's clock started."""
        return (self.clock.now_ms - self.clock.start_ms) / 1000

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """Run `callback(*args)` behind everything that is ready."""
        if self._closed:
            self._check_closed()
        handle = Handle(callback, args, copy_context() if context is None else context)
        self._queue.append(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """`call_soon` from the loop's own thread; any other thread is an escape."""
        if asyncio._get_running_loop() not in (self, None):
            message = "call_soon_threadsafe was called from another loop's thread"
            raise SimulationEscape(message)
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """Run `callback(*args)` after `delay` seconds, rounded up to a millisecond."""
        if self._closed:
            self._check_closed()
        # A thousandth of a millisecond of slack: 0.035 * 1000 is 35.00000000000001.
        delay_ms = ceil(delay * 1000 - 0.001) if delay < HORIZON_S else HORIZON_MS * 2
        due_ms = self.clock.now_ms + delay_ms if delay_ms > 0 else self.clock.now_ms
        handle = TimerHandle(
            callback, args, copy_context() if context is None else context, self, due_ms
        )
        self._insertions = order = self._insertions + 1
        heappush(self._heap, (due_ms, order, handle))
        if len(self._heap) > self._timers_unwatched:
            self._watch(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """Run `callback(*args)` when `time()` is `when`, rounded up to a millisecond."""
        return self.call_later(when - self.time(), callback, *args, context=context)

    def deliver(
        self,
        due_ms: int,
        callback: Callable[..., object],
        *args: Any,
        lane: Hashable = None,
        context: Context | None = None,
        is_background: bool = False,
    ) -> Delivery:
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
        if self._closed:
            self._check_closed()
        now_ms = self.clock.now_ms
        if due_ms < now_ms:
            due_ms = now_ms
        tie = 0 if self._schedule.is_calm else self._schedule.tie_break()
        if lane is not None:
            last_ms, last_tie = self._lanes.get(lane, (0, 0))
            due_ms = max(due_ms, last_ms)
            tie = max(tie, last_tie) if due_ms == last_ms else tie
            self._lanes[lane] = (due_ms, tie)
        kind = BackgroundDelivery if is_background else Delivery
        owner_context = self.platform_context if context is None else context
        handle = kind(callback, args, owner_context, self, due_ms)
        if is_background:
            self._background_count += 1
        self._insertions = order = self._insertions + 1
        heappush(self._heap, (due_ms, (tie << 40) + order, handle))
        return handle

    def deliver_late(self, due_ms: int, callback: Callable[..., object]) -> Delivery:
        """Like `deliver`, behind all others that fall due by then."""
        return self._deliver_behind(due_ms, callback, LATE)

    def deliver_last(self, due_ms: int, callback: Callable[..., object]) -> Delivery:
        """Like `deliver`, behind everything else that falls due by then, the late too."""
        return self._deliver_behind(due_ms, callback, LAST)

    def deliver_deadline(self, due_ms: int, callback: Callable[..., object]) -> Delivery:
        """Like `deliver`, for what only ends others that have not ended by themselves."""
        return self._deliver_behind(due_ms, callback, 0, DeadlineDelivery)

    def _deliver_behind(
        self,
        due_ms: int,
        callback: Callable[..., object],
        rank: int,
        kind: type[Delivery] = Delivery,
    ) -> Delivery:
        due_ms = max(due_ms, self.clock.now_ms)
        handle = kind(callback, (), self.platform_context, self, due_ms)
        self._insertions += 1
        heappush(self._heap, (due_ms, rank + self._insertions, handle))
        return handle

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        """Run `callback()` once when the present turn is over, before the next delivery."""
        self._turn_end.append(callback)

    def watch_turns(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher()` whenever a turn is over, until the returned function is called.

        It makes nothing ready; it may deliver. What it raises ends the run, as a deadlock does.
        """
        self._turn_watchers = (*self._turn_watchers, watcher)

        def stop() -> None:
            self._turn_watchers = tuple(w for w in self._turn_watchers if w is not watcher)

        return stop

    def timer_cancelled(self, handle: TimerHandle) -> None:
        """A handle in the heap was cancelled; forget the dead weight when it piles up."""
        self._cancelled_count += 1
        if handle.is_background:
            self._background_count -= 1
        heap = self._heap
        if self._cancelled_count > 100 and self._cancelled_count * 2 > len(heap):
            # In place: the running step holds the same list.
            heap[:] = [entry for entry in heap if entry[2].callback is not None]
            heapify(heap)
            self._cancelled_count = 0

    def watch_timers(self, count: int) -> None:
        """From now on somebody may not have more timers than this running."""
        self._timers_unwatched = min(count, self._timers_unwatched)

    def _watch(self, handle: TimerHandle) -> None:
        """A timer was set while there are many: its owner may have too many.

        Raises:
            BaseException: What the owner says about it; the timer is cancelled.
        """
        owner = handle.context.get(OWNER)
        if owner is None:
            return
        left = self._timers_left.get(owner, 0)
        if left > 0:
            self._timers_left[owner] = left - 1
            return
        count = sum(1 for timer in self._timers() if timer.context.get(OWNER) is owner)
        if count > owner.timers_max:
            handle.cancel()
            raise owner.refuse_timer(count - 1)
        # Counting again is due when so many more have been set.
        self._timers_left[owner] = owner.timers_max - count

    def timer_counts(self) -> Counter[Owner | None]:
        """How many timers each owner has running now; None is code that nobody owns."""
        return Counter(timer.context.get(OWNER) for timer in self._timers())

    def _timers(self) -> Iterator[TimerHandle]:
        return (t for _, _, t in self._heap if t.callback is not None and not t.is_delivery)

    # -- idleness --------------------------------------------------------------------------

    @property
    def pending_count(self) -> int:
        """Deliveries and timers still to come, background ones left out."""
        return len(self._heap) - self._cancelled_count - self._background_count

    async def wait_idle(self) -> None:
        """Wait until nothing is ready and nothing but background timers is to come."""
        await self.idle_waiter()

    def idle_waiter(self) -> Any:
        """A future that is done when nothing is ready or to come."""
        waiter = self.create_future()
        waiter.waits_for = "idleness"
        self._idle_waiters.append(waiter)
        return waiter

    @property
    def is_about_to_idle(self) -> bool:
        """Whether nothing is to come but what ends others."""
        return self.pending_count == 0 or not any(
            handle.callback is not None and not (handle.is_background or handle.is_deadline)
            for _, _, handle in self._heap
        )

    # -- the step --------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Run turn after turn, each with one delivery, until the loop is told to stop.

        One long function: a call for each step or delivery would cost a tenth of the rate.
        """
        queue = self._queue
        heap = self._heap
        dead = self._graveyard.dead
        for _ in repeat(None, COLLECT_INTERVAL):
            for _ in repeat(None, TURN_STEPS_MAX):
                if not queue:
                    break
                handle = queue.popleft()
                callback = handle.callback
                if callback is None:
                    continue
                if dead and handle.context.get(OWNER) in dead:
                    self._graveyard.keep(handle)
                    continue
                args = handle.args
                try:
                    # Star arguments cost 80 ns more than plain ones, and few steps need them.
                    if not args:
                        handle.context.run(callback)
                    elif len(args) == 1:
                        handle.context.run(callback, args[0])
                    elif len(args) == 2:
                        handle.context.run(callback, args[0], args[1])
                    else:
                        handle.context.run(callback, *args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # As asyncio's own Handle does.
                    self.call_exception_handler(
                        {"message": f"Exception in callback {handle!r}", "exception": error}
                    )
                if self._stopping:
                    return
            else:
                self._runaway(f"one turn ran {TURN_STEPS_MAX:,} steps and goes on")
            # Nothing is ready: the turn is over. Let in what is due next, one at a time.
            if self._stopping:
                return
            waits = self._turn_end or self._idle_waiters or self._turn_watchers
            if waits and self._end_turn():
                continue
            while heap:
                due_ms, _, timer = heappop(heap)
                if timer.callback is None:
                    self._cancelled_count -= 1
                    continue
                timer.is_scheduled = False
                if timer.is_background:
                    self._background_comes()
                owner = timer.context.get(OWNER)
                if owner is not None and owner in dead:
                    self._graveyard.keep(timer)  # Time does not pass for the dead.
                    continue
                if due_ms != self._instant_ms:
                    self._move(due_ms)
                if owner is None:
                    queue.append(timer)
                    if not timer.is_delivery and heap and heap[0][0] == due_ms:
                        self._add_timers_of(due_ms)
                else:  # A timer of an object enters by the object's own gate.
                    owner.admit(timer)
                break
            else:
                self._nothing_is_due()
        self._collect()

    def _end_turn(self) -> bool:
        """Do what waits for the end of a turn; true if it made something ready."""
        if self._turn_end:
            callbacks, self._turn_end = self._turn_end, []
            for callback in callbacks:
                self.platform_context.run(callback)
            return True
        for watcher in self._turn_watchers:
            self.platform_context.run(watcher)
        if self.pending_count or not self._idle_waiters:
            return False
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        return True

    def _add_timers_of(self, due_ms: int) -> None:
        """Let a test's own timers of one instant enter together, as asyncio does.

        Two nested timeouts with one deadline have both expired then, which CPython's tests
        demand. Only what nobody owns does so, and only up to the next delivery: the timers
        of an object or a worker enter one a turn, as in JavaScript.
        """
        heap = self._heap
        while heap and heap[0][0] == due_ms:
            timer = heap[0][2]
            if timer.is_delivery or timer.context.get(OWNER) is not None:
                return
            heappop(heap)
            timer.is_scheduled = False
            if timer.callback is None:
                self._cancelled_count -= 1
            else:
                self._queue.append(timer)

    def _move(self, due_ms: int) -> None:
        """Jump to the instant of the next delivery."""
        self._instant_ms = due_ms
        if due_ms > self.clock.now_ms:
            if due_ms - self.clock.start_ms > HORIZON_MS:
                self._runaway("simulated time has passed a hundred years")
            self.clock.move_to(due_ms)
        if len(self._lanes) > LANES_KEPT_MAX:
            self._lanes = {k: v for k, v in self._lanes.items() if v[0] >= due_ms}

    def _collect(self) -> None:
        """Collect garbage at a fixed count of deliveries, and see whether time goes on."""
        self._collections += 1
        gc.collect(1 if self._collections % FULL_COLLECT_INTERVAL else 2)
        self._restless_collections = self._restless_collections + 1 if self._idle_waiters else 0
        if self._restless_collections * COLLECT_INTERVAL >= IDLE_DELIVERIES_MAX:
            self._runaway(f"{IDLE_DELIVERIES_MAX:,} events while somebody waits for idleness")
        is_stagnant = self._collected_at_ms == self._instant_ms
        self._collected_at_ms = self._instant_ms
        self._stagnant_collections = self._stagnant_collections + 1 if is_stagnant else 0
        if self._stagnant_collections * COLLECT_INTERVAL >= INSTANT_DELIVERIES_MAX:
            self._runaway(f"{INSTANT_DELIVERIES_MAX:,} events at one instant, and more come")

    def _nothing_is_due(self) -> None:
        """Idle at last, if the last timers were those of the dead; else a deadlock."""
        if not (self._idle_waiters and self._end_turn()):
            self._deadlock()

    def _background_comes(self) -> None:
        """A background delivery is next; if none but such ever come, it is a deadlock."""
        self._background_count -= 1
        # One that brings no more than the next of its kind wakes nobody.
        wakes_nobody = self._insertions - self._lonely_insertions <= 1
        self._lonely_insertions = self._insertions
        is_lonely = wakes_nobody and not self.pending_count
        self._lonely_count = self._lonely_count + 1 if is_lonely else 0
        if self._lonely_count > LONELY_DELIVERIES_MAX:
            self._deadlock()

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
            "an alarm that sets itself again an end. "
            f"{self._last_events()}Tasks at this moment:\n{told}"
        )
        raise SimulationRunaway(message)

    def _last_events(self) -> str:
        """Who keeps it going, if it belongs to a simulation."""
        if self.simulation is None:
            return ""
        return f"What goes on: {self.simulation.trace.most_frequent()}. "

    def enqueue(self, handle: Handle) -> None:
        """Put an admitted timer behind everything that is ready."""
        self._queue.append(handle)

    # -- owners and power cuts --------------------------------------------------------------

    def owners(self) -> list[Owner]:
        """Everybody alive who has a task or a timer, in a stable order."""
        found: dict[Owner, None] = {}
        for task in self.living_tasks():
            if isinstance(task, SimulationTask) and task.owner is not None:
                found[task.owner] = None
        for _, _, handle in sorted(self._heap, key=itemgetter(0, 1)):
            owner = handle.context.get(OWNER)
            if handle.callback is not None and owner is not None and not self.is_buried(owner):
                found[owner] = None
        return list(found)

    def has_timer_of(self, owner: Owner) -> bool:
        """Whether a timer of this owner is still to come."""
        return any(
            handle.callback is not None and handle.context.get(OWNER) is owner
            for _, _, handle in self._heap
        )

    def bury(self, owner: object) -> None:
        """Nothing that `owner` started ever runs again, not even its `finally` blocks.

        Args:
            owner: What `OWNER` was when the code started. It is kept until the loop closes.
        """
        self._timers_left.pop(owner, None)  # type: ignore[call-overload]  # Any owner.
        self._graveyard.bury(owner, self.unfinished_tasks())

    def is_buried(self, owner: object) -> bool:
        """Whether `bury` was called for this owner; stays true after `close`."""
        return owner in self._graveyard.dead

    def unfinished_tasks(self) -> list[asyncio.Task[Any]]:
        """Every task that is not done, dead ones included, the oldest first."""
        self._tasks = unfinished = [task for task in self._tasks if not task.done()]
        self._tasks_max = 2 * len(unfinished) + TASKS_KEPT_MAX
        return list(unfinished)

    def living_tasks(self) -> list[asyncio.Task[Any]]:
        """Every task that is not done and whose owner lives, the oldest first."""
        return self._graveyard.living(self.unfinished_tasks())

    def close(self) -> None:
        """Close the loop.

        What never was finished unwinds now, the dead included: outside of any running
        loop, with nothing behind it that could still run.
        """
        if self._closed or self.is_running():
            super().close()
            return
        unfinished = self.unfinished_tasks()
        if unfinished:
            self._graveyard.unwind(unfinished)
        for handle in self._queue:
            hush(handle)
        self._heap.clear()
        self._queue.clear()
        self._lanes.clear()
        self._tasks.clear()
        super().close()

    @property
    def has_async_generators(self) -> bool:
        """Whether an async generator was started and neither finished nor closed."""
        return bool(self._asyncgens)

    async def shutdown_asyncgens(self) -> None:
        """Close every async generator whose owner lives, the one started first first."""
        self._asyncgens_shutdown_called = True
        generators = self._graveyard.living_generators(list(self._asyncgens))
        self._asyncgens.clear()
        for generator in generators:
            try:
                await generator.aclose()
            except Exception as error:
                name = getattr(generator, "__qualname__", "an async generator")
                message = f"{name} failed while it was closed at the end of the simulation"
                self.call_exception_handler({"message": message, "exception": error})

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        self._asyncgens.add(agen)
        self._graveyard.generator_started(agen, self._asyncgens, OWNER.get())

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        # A generator was dropped unfinished. The generator of a dead owner just stops.
        self._asyncgens.discard(agen)
        context = self._graveyard.closing_context(agen)
        if context is not None and not self._closed:
            self.call_soon(partial(self.create_task, agen.aclose(), context=context))

    # -- tasks and futures -----------------------------------------------------------------

    def next_sequence(self) -> int:
        """The next number in the order of first hashing."""
        self._sequence += 1
        return self._sequence

    def create_future(self) -> Any:
        """A future with a stable hash."""
        return SimulationFuture(loop=self)

    def create_task(  # type: ignore[override]  # Each Python version adds an option.
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """A task with a stable hash, named by this loop's own count.

        Args:
            coro: What it runs.
            name: Its name; None is "Task-1", "Task-2", ... in the order of creation.
            context: The context it runs in; a copy of the present one if None.
            options: What this version of Python adds (`eager_start`).
        """
        if self._closed:
            self._check_closed()
        if name is None:
            self._task_count += 1
            name = f"Task-{self._task_count}"
        factory = self._task_factory
        if factory is None:
            task = SimulationTask(coro, loop=self, name=str(name), context=context, **options)
        else:
            if context is not None:
                options["context"] = context
            if factory is _EAGER_FACTORY:
                # Python's eager tasks, with our hash.
                options["eager_start"] = True
                task = SimulationTask(coro, loop=self, name=str(name), **options)
            else:
                task = factory(self, coro, **options)
                task.set_name(name)
        if isinstance(task, SimulationTask):
            task.owner = OWNER.get() if context is None else context.get(OWNER)
        self._tasks.append(task)
        if len(self._tasks) > self._tasks_max:
            self.unfinished_tasks()
        return task

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is no executor to shut down."""

    def _write_to_self(self) -> None:
        """There is no selector to wake."""

    def _process_events(self, event_list: object) -> None:
        """There is no selector whose events could be processed."""
