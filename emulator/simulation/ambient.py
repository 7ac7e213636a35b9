"""The ambient room: what user code reaches without asking the loop.

Promises: while a simulation runs, Python's clocks read simulated time, Python's sources of
chance obey the seed, and a blocking sleep, a thread, a socket or a process is refused at
the line that asks for it; afterwards everything is as it was. Only code on the
simulation's own thread is concerned. Leaves to others: time itself (clock, loop).

The clocks that tell the date (`time.time`, `datetime.now`, ...) are held by freezegun if a
test has frozen time already, else by time-machine. The clocks that measure a distance
(`time.monotonic`, `time.perf_counter`) read the loop's own time: a deadline that is
polled against real time would never be reached by simulated sleeps.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import ConfigurationError, SimulationEscape, WorldError
from emulator.simulation.clock import instant_ms
from emulator.simulation.loop import SimulationLoop
from emulator.simulation.patches import Patches
from emulator.simulation.randomness import ambient_chance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.simulation.clock import Clock
    from emulator.simulation.randomness import Randomness

__all__ = ["ambient", "frozen_start_ms", "is_inside"]

_ONE_THREAD: Final = "one thread is the law: call the function directly"
_WAIT: Final = "Condition.wait"
_NO_OTHER: Final = "no other thread would ever wake it: use asyncio's Event, Queue and the like"
_USE_BINDING: Final = "use a binding, or mf.client() in a test"
_OUTSIDE: Final = "run it outside of the simulation"

#: Holder, attribute, name in the message, advice. Names which a platform lacks are left out.
_REFUSED: Final[tuple[tuple[Any, str, str, str], ...]] = tuple(
    (holder, attribute, name, advice)
    for holder, attribute, name, advice in (
        (time, "sleep", "time.sleep", "use `await asyncio.sleep(...)`: it costs no real time"),
        (threading.Thread, "start", "Thread.start", _ONE_THREAD),
        # What Event.wait, Queue.get and Future.result come down to: nobody would ever wake it.
        (threading.Condition, "wait", _WAIT, _NO_OTHER),
        (socket.socket, "connect", "socket.connect", _USE_BINDING),
        (socket.socket, "connect_ex", "socket.connect_ex", _USE_BINDING),
        (socket.socket, "bind", "socket.bind", _USE_BINDING),
        (socket.socket, "sendto", "socket.sendto", _USE_BINDING),
        (socket, "getaddrinfo", "socket.getaddrinfo", _USE_BINDING),
        (socket, "gethostbyname", "socket.gethostbyname", _USE_BINDING),
        # The class stays a class for everybody else: only its construction is refused.
        (subprocess.Popen, "__init__", "subprocess.Popen", _OUTSIDE),
        (os, "system", "os.system", _OUTSIDE),
        (os, "fork", "os.fork", _OUTSIDE),
        (os, "posix_spawn", "os.posix_spawn", _OUTSIDE),
        (os, "execv", "os.execv", _OUTSIDE),
        (os, "execve", "os.execve", _OUTSIDE),
    )
    if hasattr(holder, attribute)
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: The simulation that holds the process now. Clocks belong to the process, not to a thread.
_holder: list[object] = []


def is_inside() -> bool:
    """Whether the present code runs on a simulated loop, on that loop's thread."""
    return isinstance(asyncio._get_running_loop(), SimulationLoop)


@contextmanager
def ambient(clock: Clock, randomness: Randomness) -> Iterator[None]:
    """Hold Python's clocks and chance, and refuse ways out, while the block runs.

    Entering it again for the same clock changes nothing.

    Args:
        clock: What the wall clocks shall read.
        randomness: What chance shall obey.

    Raises:
        WorldError: If another simulation holds the process.
        ConfigurationError: If a test has frozen time in a way that ticks by itself.
    """
    if _holder:
        if _holder[0] is clock:
            yield
            return
        message = (
            "another simulation is running in this process, in another thread: Python's "
            "clocks belong to the whole process, so simulations take turns"
        )
        raise WorldError(message)
    _holder.append(clock)
    patches = Patches()
    release: Callable[[], None] | None = None
    try:
        release = _hold_dates(clock)
        _hold_distances(patches, clock)
        for holder, attribute, name, advice in _REFUSED:
            patches.replace(
                holder, attribute, _refusal(getattr(holder, attribute), name, advice)
            )
        with ambient_chance(randomness, is_inside):
            yield
    finally:
        patches.restore()
        if release is not None:
            release()
        _holder.clear()


# The same doors are shut at each run; making the refusals would cost as much as the patches.
@lru_cache(maxsize=100)
def _refusal(real: Any, name: str, advice: str) -> Callable[..., Any]:
    def refuse(*args: Any, **options: Any) -> Any:
        if is_inside() and not (name == _WAIT and _may_wait(*args, **options)):
            message = f"{name}() reaches outside the simulation; {advice}"
            raise SimulationEscape(message)
        return real(*args, **options)

    return refuse


def _may_wait(condition: object, timeout: float | None = None) -> bool:
    """Whether a wait may end: a thread of the test is there, or a debugger."""
    if timeout is not None and timeout <= 0:
        return True
    present = threading.current_thread()
    others = (thread for thread in threading.enumerate() if thread is not present)
    return "pydevd" in sys.modules or not all(thread.daemon for thread in others)


def _hold_distances(patches: Patches, clock: Clock) -> None:
    """Let the clocks that measure distances read simulated time, on this thread only."""
    for name, per_ms, unit in (
        ("monotonic", 1, 1000),
        ("perf_counter", 1, 1000),
        ("monotonic_ns", 1_000_000, None),
        ("perf_counter_ns", 1_000_000, None),
    ):
        patches.replace(time, name, _distance(getattr(time, name), clock, per_ms, unit))


def _distance(real: Any, clock: Clock, per_ms: int, unit: int | None) -> Callable[[], Any]:
    def read() -> Any:
        if not is_inside():
            return real()
        elapsed = clock.elapsed_ms * per_ms
        return elapsed if unit is None else elapsed / unit

    return read


def _freezegun_factory() -> Any:
    """The innermost active freezegun factory, or None; freezegun is never imported here."""
    api = sys.modules.get("freezegun.api")
    factories = getattr(api, "freeze_factories", None)
    return factories[-1] if factories else None


def frozen_start_ms() -> int | None:
    """The instant at which freezegun holds time, in epoch milliseconds, or None.

    Raises:
        ConfigurationError: If the frozen time ticks by itself.
    """
    factory = _freezegun_factory()
    if factory is None:
        return None
    if type(factory).__name__ != "FrozenDateTimeFactory":
        message = (
            "freezegun's time ticks by itself here, and in a simulation only the loop moves "
            "time: use freeze_time(...) without tick=True and auto_tick_seconds"
        )
        raise ConfigurationError(message)
    return instant_ms(factory())


def _hold_dates(clock: Clock) -> Callable[[], None]:
    """Hold `time.time`, `datetime.now` and their kin; returns what lets them go."""
    if frozen_start_ms() is not None:
        # The test froze time itself: its frozen time follows ours.
        factory = _freezegun_factory()

        def follow(now_ms: int) -> None:
            factory.move_to(clock.now.replace(tzinfo=None))

        follow(clock.now_ms)
        return clock.observe(follow)
    import time_machine  # Costs an import of 10 ms that `import emulator` need not pay.

    # A destination in UTC makes naive times UTC too, as on Cloudflare; where the machine
    # is in UTC already, the 6 us of setting the time zone twice are saved.
    is_utc = time.timezone == 0 and not time.daylight and time.tzname[0] == "UTC"
    travel = time_machine.travel(0 if is_utc else _EPOCH, tick=False)
    traveller = travel.start()

    def read() -> int:
        return clock.now_ms * 1_000_000

    # Reading our clock on demand makes a jump free of charge. The epoch as destination
    # tells whether this version of time-machine lets us: otherwise, move it at each jump.
    vars(traveller)["time_ns"] = read
    if time.time_ns() == read():
        return travel.stop
    del vars(traveller)["time_ns"]

    def move(now_ms: int) -> None:
        traveller.move_to(clock.now.astimezone(UTC))

    move(clock.now_ms)
    stop = clock.observe(move)

    def release() -> None:
        stop()
        travel.stop()

    return release
