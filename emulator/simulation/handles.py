"""Handles: one callback that waits for its step, and the identity of tasks and futures.

Promises: handles carry no clock and no debugging weight, and tasks and futures hash by the
order in which they were first hashed, so that a set of them iterates alike in every run.
Leaves to others: when a handle runs (the loop).
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from emulator.simulation.chaining import chained, finished

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from types import CodeType

    from emulator.simulation.loop import SimulationLoop

__all__ = [
    "OWNER",
    "BackgroundDelivery",
    "DeadlineDelivery",
    "Delivery",
    "Handle",
    "Owner",
    "SimulationFuture",
    "SimulationTask",
    "TimerHandle",
]


class Owner(Protocol):
    """Somebody whose code runs, and whose power can be cut."""

    @property
    def name(self) -> str:
        """Who it is in the trace."""

    @property
    def timers_max(self) -> int:
        """How many timers he may have running."""

    def refuse_timer(self, active_count: int) -> BaseException:
        """What the one who sets another timer is told."""

    def admit(self, handle: Handle) -> None:
        """A timer of this owner is due: hand it to the loop's `enqueue` when it may enter."""


#: Whose code is running: set when an object's instance starts, and inherited by every task,
#: timer and callback that it creates, so that a power cut finds them all.
OWNER: Final[ContextVar[Owner | None]] = ContextVar("OWNER", default=None)


class Handle:
    """A callback in the ready queue; the surface of `asyncio.Handle` that code uses."""

    # Three fields and no more: one is made for each step of each task.
    __slots__ = ("args", "callback", "context")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> None:
        #: None once the handle is cancelled.
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        """Never run the callback."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self.callback is None

    def get_context(self) -> Context:
        """The context in which the callback runs."""
        return self.context

    def __repr__(self) -> str:
        if self.callback is None:
            return f"<{type(self).__name__} cancelled>"
        # Never the callback's own repr, which may hold a memory address.
        name = getattr(self.callback, "__qualname__", type(self.callback).__qualname__)
        return f"<{type(self).__name__} {name}>"


class TimerHandle(Handle):
    """A callback that waits for its time in the heap.

    Attributes:
        due_ms: Simulated milliseconds since the Unix epoch.
        is_scheduled: It is still in the loop's heap.
        is_background: It does not keep a simulation from being idle.
        is_delivery: It enters as an event of its own.
        is_deadline: It only ends what has not ended by itself.
    """

    __slots__ = ("due_ms", "is_scheduled", "loop")

    is_background = False
    is_delivery = False
    is_deadline = False

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
        loop: SimulationLoop,
        due_ms: int,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.loop = loop
        self.due_ms = due_ms
        self.is_scheduled = True

    def cancel(self) -> None:
        """Never run the callback."""
        if self.callback is not None:
            self.callback = None
            self.args = ()
            if self.is_scheduled:
                self.loop.timer_cancelled(self)

    def when(self) -> float:
        """The due time in the loop's own seconds."""
        return (self.due_ms - self.loop.clock.start_ms) / 1000


class Delivery(TimerHandle):
    """An arrival or a completion: an event of its own, made by `SimulationLoop.deliver`."""

    __slots__ = ()

    is_delivery = True


@final
class DeadlineDelivery(Delivery):
    """A delivery that only ends what has not ended by itself."""

    __slots__ = ()

    is_deadline = True


@final
class BackgroundDelivery(Delivery):
    """A delivery that does not keep a simulation from being idle, such as an eviction."""

    __slots__ = ()

    is_background = True


class _Promise:
    """The names that the futures of Pyodide's loop have (pyodide.webloop.PyodideFuture)."""

    __slots__ = ()

    def then(
        self,
        on_fulfilled: Callable[[Any], Any] | None = None,
        on_rejected: Callable[[Any], Any] | None = None,
    ) -> asyncio.Task[Any]:
        """A future with what one of the callbacks, plain or async, gives."""
        future: Any = self
        return chained(future, on_fulfilled, on_rejected)

    def catch(self, on_rejected: Callable[[Any], Any]) -> asyncio.Task[Any]:
        """A future with the value, or with what the callback makes of the error."""
        return self.then(None, on_rejected)

    def finally_(self, on_finally: Callable[[], Any]) -> asyncio.Task[Any]:
        """A future with the same end, after the callback."""
        future: Any = self
        return finished(future, on_finally)


class SimulationTask(_Promise, asyncio.Task[Any]):
    """A task whose hash is a sequence number instead of an address.

    Attributes:
        owner: Whose code it runs; None is the platform or the test.
    """

    __slots__ = ("_sequence", "owner")

    _sequence: int
    owner: Owner | None
    # Of asyncio: whether the end of an unfinished task is worth a log line.
    _log_destroy_pending: bool
    # Of asyncio: it has an error that nobody has asked for.
    _log_traceback: bool

    def abandon(self) -> None:
        """It will not be finished, on purpose: no complaint when it is dropped."""
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        try:
            return self._sequence
        except AttributeError:
            loop: Any = self.get_loop()
            self._sequence = sequence = int(loop.next_sequence())
            return sequence


class SimulationFuture(_Promise, asyncio.Future[Any]):
    """A future whose hash is a sequence number, and which can say what it waits for."""

    __slots__ = ("_sequence", "place", "waits_for")

    #: What must happen, in words, for the report of a deadlock.
    waits_for: str
    #: The line of the test that made the call whose answer this is; unset for all others.
    place: tuple[CodeType, int]
    _sequence: int
    # Of asyncio: it has an error that nobody has asked for.
    _log_traceback: bool

    def __getattr__(self, name: str) -> Any:
        if name in SimulationFuture.__slots__ or name.startswith("__"):
            raise AttributeError(name)
        what = getattr(self, "waits_for", "this call")
        message = f"{what} has not been awaited, so it has no {name!r}: put `await` before it"
        raise AttributeError(message)

    def __hash__(self) -> int:
        try:
            sequence: int = _sequence_of(self)
            return sequence
        except AttributeError:
            loop: Any = self.get_loop()
            self._sequence = sequence = int(loop.next_sequence())
            return sequence


# Asks the slot itself: a name that is not set yet would go through `__getattr__`.
_sequence_of: Final = vars(SimulationFuture)["_sequence"].__get__
