"""Timers: `setTimeout` and its kin, on the simulated clock.

Promises: a callback runs as a turn of its own when its time has come, an interval until it
is cleared, a microtask within the turn; a callback may be async. Leaves to others: when a
timer may enter an object (the input gate). An error of a callback concerns nobody else: it
is in the worker's logs and in the trace.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import js_number
from emulator.durable_objects.context import CURRENT
from emulator.simulation.awaitables import is_awaitable
from emulator.simulation.runner import current_simulation
from emulator.web.required import GLOBAL, required

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.loop import SimulationLoop

__all__ = [
    "clearInterval",
    "clearTimeout",
    "queueMicrotask",
    "scheduler",
    "setInterval",
    "setTimeout",
]

#: workerd: a delay that is negative or no number is 0.
_DELAY_MS_MAX: Final = 2**53 - 1


@final
class _Timers:
    """The timers of one simulation, by their numbers."""

    def __init__(self, loop: SimulationLoop) -> None:
        self.loop = loop
        self._count = 0
        self._handles: dict[int, Any] = {}

    def start(
        self, callback: Callable[..., Any], delay_ms: int, args: Any, *, repeats: bool
    ) -> int:
        """Start a timer and give its number."""
        self._count += 1
        number = self._count

        def schedule() -> None:
            self._handles[number] = self.loop.call_later(delay_ms / 1000, fire)

        def fire() -> None:
            if repeats:
                schedule()
            else:
                del self._handles[number]
            _call(self.loop, callback, args)

        schedule()
        return number

    def clear(self, number: Any) -> None:
        """Stop a timer. Nothing happens if there is none of the number."""
        handle = self._handles.pop(number, None) if isinstance(number, int) else None
        if handle is not None:
            handle.cancel()


def _call(loop: SimulationLoop, callback: Callable[..., Any], args: Any) -> None:
    try:
        result = callback(*args)
    except Exception as error:
        _uncaught(error)
        return
    if is_awaitable(result):
        asyncio.ensure_future(result, loop=loop).add_done_callback(_ended)


def _ended(task: asyncio.Future[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Exception):
        _uncaught(error)


def _uncaught(error: Exception) -> None:
    """Nobody gets the error of a callback; workerd writes it to the console."""
    context = CURRENT.get()
    if context is None or context.logs is None:
        raise error
    text = f"{type(error).__name__}: {error}"
    context.logs.write("ERROR", f"Uncaught {text}", context.name)
    context.simulation.trace.record("timer.failed", context.name, error=text)


def _timers() -> _Timers:
    simulation = current_simulation()
    timers: _Timers | None = simulation.attachments.get("timers")
    if timers is None:
        timers = simulation.attachments["timers"] = _Timers(simulation.loop)
    return timers


def _delay_ms(value: Any) -> int:
    delay = js_number(value)
    if not math.isfinite(delay) or delay < 0:
        return 0
    return min(math.trunc(delay), _DELAY_MS_MAX)


@required(GLOBAL, "function")
def setTimeout(callback: Callable[..., Any], delay: float = 0, *args: Any) -> int:
    """Call a function once, later.

    Args:
        callback: A function, plain or async.
        delay: Milliseconds.
        args: What it is called with.

    Returns:
        A number for `clearTimeout`.

    Raises:
        JsTypeError: If there is no function.
        WorldError: Outside of a simulation. So do the others.
    """
    return _timers().start(callback, _delay_ms(delay), args, repeats=False)


@required(GLOBAL, "function")
def setInterval(callback: Callable[..., Any], delay: float = 0, *args: Any) -> int:
    """Call a function again and again, each time so many milliseconds (at least 1) later."""
    return _timers().start(callback, max(1, _delay_ms(delay)), args, repeats=True)


def clearTimeout(number: Any = None) -> None:
    """Stop a timer. Nothing happens if there is none of this number."""
    _timers().clear(number)


def clearInterval(number: Any = None) -> None:
    """The same, under its other name."""
    _timers().clear(number)


@required(GLOBAL, "function")
def queueMicrotask(callback: Callable[[], Any]) -> None:
    """Call a function within this turn, when the code that runs now has paused or ended."""
    loop = current_simulation().loop
    loop.call_soon(_call, loop, callback, ())


@final
class _Scheduler:
    """`scheduler`, as far as workerd has it."""

    @required("Scheduler", "number")
    async def wait(self, delay: float, options: Any = None) -> None:
        """Sleep so many milliseconds."""
        await asyncio.sleep(_delay_ms(delay) / 1000)


scheduler = _Scheduler()
