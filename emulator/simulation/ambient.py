"""The ambient room: what user code reaches without asking the loop.

Promises: while a simulation runs, Python's clocks read simulated time, Python's sources of
chance obey the seed, and a blocking sleep, a thread, a socket or a process is refused at
the line that asks for it; afterwards everything is as it was. Only code on the
simulation's own thread is concerned. Leaves to others: time itself
(clock, loop), and which ways out there are (the escapes).

The clocks that tell the date (`time.time`, `datetime.now`, ...) are held by freezegun if a
test has frozen time already, else by time-machine. The clocks that measure a distance
(`time.monotonic`, `time.perf_counter`, ...) or work (`time.process_time`, ...) read the loop's
own time: a deadline that is polled against real time would never be reached by simulated
sleeps.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import ConfigurationError, WorldError
from emulator.simulation.clock import instant_ms
from emulator.simulation.early_names import hold_names
from emulator.simulation.escapes import REFUSED, is_inside, refusal
from emulator.simulation.patches import Patches, own
from emulator.simulation.randomness import ambient_chance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from emulator.simulation.clock import Clock
    from emulator.simulation.randomness import Randomness

__all__ = ["ambient", "frozen_start_ms", "hold_module", "is_inside"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: The simulation that holds the process now. Clocks belong to the process, not to a thread.
_holder: list[Clock] = []
#: What it has replaced.
_patches: list[Patches] = []


@contextmanager
def ambient(
    clock: Clock, randomness: Randomness, modules: Iterable[ModuleType] = ()
) -> Iterator[None]:
    """Hold Python's clocks and chance, and refuse ways out, while the block runs.

    Entering it again for the same clock changes nothing.

    Args:
        clock: What the wall clocks shall read.
        randomness: What chance shall obey.
        modules: Those of workers, which may have bound names of what is replaced here.

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
    _patches.append(patches)
    release: Callable[[], None] | None = None
    try:
        release = _hold_dates(clock)
        for holder, attribute, _, wrapper in patches.replace_all(_WRAPPERS):
            # A test has something of its own there, which code outside still finds.
            patches.replace(holder, attribute, _MAKERS[wrapper](getattr(holder, attribute)))
        with ambient_chance(randomness, is_inside):
            for module in modules:
                hold_names(module, patches)
            yield
    finally:
        _patches.clear()
        patches.restore()
        if release is not None:
            release()
        _holder.clear()


def hold_module(module: ModuleType) -> None:
    """Let the names of a worker's module stand for what is in force, until that ends."""
    if _patches:
        hold_names(module, _patches[-1])


#: Name, ticks of a millisecond, and ticks of its unit where that is no whole number.
_DISTANCES: Final = (
    ("monotonic", 1, 1000),
    ("perf_counter", 1, 1000),
    ("process_time", 1, 1000),
    ("thread_time", 1, 1000),
    ("monotonic_ns", 1_000_000, None),
    ("perf_counter_ns", 1_000_000, None),
    ("process_time_ns", 1_000_000, None),
    ("thread_time_ns", 1_000_000, None),
)


# Once for each function and process: a module that binds one of them while a simulation runs
# keeps it, and is right in the next simulation, too.
@lru_cache(maxsize=100)
def _distance(real: Any, per_ms: int, unit: int | None) -> Callable[[], Any]:
    def read() -> Any:
        if not is_inside():
            return real()
        elapsed = _holder[0].elapsed_ms * per_ms
        return elapsed if unit is None else elapsed / unit

    return read


@lru_cache(maxsize=10)
def _clock_gettime(real: Any) -> Callable[[int], float]:
    return lambda clock: _read_ms(clock) / 1000 if is_inside() else real(clock)


@lru_cache(maxsize=10)
def _clock_gettime_ns(real: Any) -> Callable[[int], int]:
    return lambda clock: _read_ms(clock) * 1_000_000 if is_inside() else real(clock)


def _read_ms(clock_id: int) -> int:
    clock = _holder[0]
    return clock.now_ms if clock_id == time.CLOCK_REALTIME else clock.elapsed_ms


@lru_cache(maxsize=10)
def _ctime(real: Any) -> Callable[..., str]:
    def ctime(secs: float | None = None, /) -> str:
        return str(real(_holder[0].now_ms / 1000 if secs is None and is_inside() else secs))

    return ctime


@lru_cache(maxsize=10)
def _asctime(real: Any) -> Callable[..., str]:
    def asctime(*given: Any) -> str:
        return str(real(*(given or ((time.localtime(),) if is_inside() else ()))))

    return asctime


@lru_cache(maxsize=10)
def _times(real: Any) -> Callable[[], Any]:
    def times() -> Any:
        if not is_inside():
            return real()
        elapsed_s = _holder[0].elapsed_ms / 1000
        return os.times_result((elapsed_s, 0.0, 0.0, 0.0, elapsed_s))

    return times


def _made() -> Iterator[tuple[Any, str, Callable[[Any], Any]]]:
    """Holder and attribute of all that is replaced, and what makes the wrapper of it."""
    for name, per_ms, unit in _DISTANCES:
        yield time, name, partial(_distance, per_ms=per_ms, unit=unit)
    for holder, name, make in (
        (time, "clock_gettime", _clock_gettime),
        (time, "clock_gettime_ns", _clock_gettime_ns),
        (time, "ctime", _ctime),
        (time, "asctime", _asctime),
        (os, "times", _times),
    ):
        yield holder, name, make
    for holder, name, told, advice in REFUSED:
        yield holder, name, partial(refusal, name=told, advice=advice)


def _looked_up() -> Iterator[tuple[tuple[Any, str, Any, Any], Callable[[Any], Any]]]:
    for holder, name, make in _made():
        if hasattr(holder, name):
            yield (holder, name, own(holder, name), make(getattr(holder, name))), make


# Looked up once: a simulation is started hundreds of times a second.
_WRAPPERS: Final = tuple(entry for entry, _ in _looked_up())
_MAKERS: Final = {entry[3]: make for entry, make in _looked_up()}


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
