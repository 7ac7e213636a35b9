"""The ambient room: what user code reaches without asking the loop.

Promises: while a simulation runs, Python's wall clocks read simulated time, Python's
sources of chance obey the seed, and a blocking sleep, a thread, a socket or a process is
refused at the line that asks for it; afterwards everything is as it was. Only code on the
simulation's own thread is concerned. Leaves to others: time itself (clock, loop).
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from emulator.errors import SimulationEscape
from emulator.simulation.clock import instant_ms
from emulator.simulation.loop import SimulationLoop
from emulator.simulation.randomness import ambient_chance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.simulation.clock import Clock
    from emulator.simulation.randomness import Randomness

__all__ = ["ambient", "frozen_start_ms"]

_REFUSED: tuple[tuple[Any, str, str], ...] = (
    (time, "sleep", "use `await asyncio.sleep(...)`, which costs no real time"),
    (threading.Thread, "start", "one thread is the law: call the function directly"),
    (socket.socket, "connect", "use a binding, or mf.client() in a test"),
    (socket.socket, "bind", "use a binding, or mf.client() in a test"),
    (socket, "getaddrinfo", "use a binding, or `outbound_service=` in a test"),
    (subprocess, "Popen", "run it outside of the simulation"),
    (os, "system", "run it outside of the simulation"),
)


def is_inside() -> bool:
    """Whether the present code runs on a simulated loop, on that loop's thread."""
    return isinstance(asyncio._get_running_loop(), SimulationLoop)


def _freezegun_factory() -> Any:
    """The innermost active freezegun factory, or None; freezegun is never imported here."""
    api = sys.modules.get("freezegun.api")
    factories = getattr(api, "freeze_factories", None)
    return factories[-1] if factories else None


def frozen_start_ms() -> int | None:
    """The instant at which freezegun holds time, in epoch milliseconds, or None."""
    factory = _freezegun_factory()
    return None if factory is None else instant_ms(factory())


@contextmanager
def ambient(clock: Clock, randomness: Randomness) -> Iterator[None]:
    """Hold Python's clocks and chance, and refuse ways out, while the block runs.

    Args:
        clock: What the wall clocks shall read.
        randomness: What chance shall obey.
    """
    with ExitStack() as stack:
        stack.enter_context(_held_clocks(clock))
        stack.enter_context(ambient_chance(randomness, is_inside))
        for holder, name, advice in _REFUSED:
            stack.enter_context(_refused(holder, name, advice))
        yield


@contextmanager
def _held_clocks(clock: Clock) -> Iterator[None]:
    factory = _freezegun_factory()
    if factory is not None and hasattr(factory, "move_to"):
        # The test froze time itself: its frozen time follows ours.
        def follow(now_ms: int) -> None:
            factory.move_to(clock.now.replace(tzinfo=None))

        stop = clock.observe(follow)
        try:
            yield
        finally:
            stop()
        return
    import time_machine  # Costs an import of 10 ms that `import emulator` need not pay.

    travel = time_machine.travel(clock.now.astimezone(UTC), tick=False)
    traveller = travel.start()
    held_ms = clock.now_ms

    def shift(now_ms: int) -> None:
        nonlocal held_ms
        # A timedelta is exact; a float of seconds would lose nanoseconds.
        traveller.shift(timedelta(milliseconds=now_ms - held_ms))
        held_ms = now_ms

    stop = clock.observe(shift)
    try:
        yield
    finally:
        stop()
        travel.stop()


@contextmanager
def _refused(holder: Any, name: str, advice: str) -> Iterator[None]:
    real = getattr(holder, name)
    owner = getattr(holder, "__name__", "")

    if isinstance(real, type):
        # A class stays a class for everybody else: only its construction is refused.
        inner = real.__init__

        def initialise(self: Any, *args: Any, **options: Any) -> None:
            if is_inside():
                _escape(owner, name, advice)
            inner(self, *args, **options)

        real.__init__ = initialise
        try:
            yield
        finally:
            real.__init__ = inner
        return

    own = name in vars(holder)

    def refuse(*args: Any, **options: Any) -> Any:
        if is_inside():
            _escape(owner, name, advice)
        return real(*args, **options)

    setattr(holder, name, refuse)
    try:
        yield
    finally:
        if own:
            setattr(holder, name, real)
        else:
            delattr(holder, name)


def _escape(owner: str, name: str, advice: str) -> NoReturn:
    message = f"{owner}.{name}() reaches outside the simulation; {advice}"
    raise SimulationEscape(message)
