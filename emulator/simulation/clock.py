"""The clock: what time it is in a simulation, as integer milliseconds.

Promises: time moves only when the loop moves it, never backwards, and everybody who reads
it (the worker's `time.time()` included) reads the same number. Leaves to others: when to
move (the loop), and what holds Python's own clocks still (the ambient room).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, final

from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["START_MS_DEFAULT", "Clock", "duration_ms", "instant_ms"]

#: 2026-01-01T00:00:00Z. Fixed, so that a run does not depend on the day it is run.
START_MS_DEFAULT: Final = 1_767_225_600_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def instant_ms(instant: int | float | datetime) -> int:
    """An instant as milliseconds since the Unix epoch.

    Args:
        instant: Milliseconds since the epoch, or a datetime (naive means UTC).

    Returns:
        Whole milliseconds, rounded down.

    Raises:
        ConfigurationError: If it is neither.
    """
    if isinstance(instant, datetime):
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        return (instant - _EPOCH) // _MILLISECOND
    if not _is_number(instant):
        message = f"an instant must be milliseconds since 1970 or a datetime, got {instant!r}"
        raise ConfigurationError(message)
    return int(instant)


def duration_ms(duration: int | float | timedelta) -> int:
    """A duration as whole milliseconds, rounded up.

    Args:
        duration: Milliseconds, or a timedelta. Not negative.

    Raises:
        ConfigurationError: If it is neither, negative, or not finite.
    """
    if isinstance(duration, timedelta):
        whole = -(-duration // _MILLISECOND)
    elif _is_number(duration):
        whole = int(-(-duration // 1))
    else:
        message = f"a duration must be milliseconds or a timedelta, finite, got {duration!r}"
        raise ConfigurationError(message)
    if whole < 0:
        message = f"a duration cannot be negative, got {duration!r}"
        raise ConfigurationError(message)
    return whole


def _is_number(value: object) -> bool:
    """Whether it is a finite number, which True and False are not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


@final
class Clock:
    """Simulated time.

    Args:
        start_ms: Milliseconds since the Unix epoch at which this clock starts.
    """

    __slots__ = ("_on_move", "now_ms", "start_ms")

    def __init__(self, start_ms: int = START_MS_DEFAULT) -> None:
        self.start_ms = start_ms
        #: Milliseconds since the Unix epoch, now.
        self.now_ms = start_ms
        self._on_move: tuple[Callable[[int], None], ...] = ()

    @property
    def now(self) -> datetime:
        """The present instant as an aware datetime in UTC."""
        return _EPOCH + timedelta(milliseconds=self.now_ms)

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since this clock started."""
        return self.now_ms - self.start_ms

    def move_to(self, now_ms: int) -> None:
        """Set the time. Only the loop calls this.

        Args:
            now_ms: Milliseconds since the Unix epoch; not before the present.
        """
        assert now_ms >= self.now_ms, "time does not run backwards"
        self.now_ms = now_ms
        for observer in self._on_move:
            observer(now_ms)

    def observe(self, observer: Callable[[int], None]) -> Callable[[], None]:
        """Call `observer(now_ms)` after every move, until the returned function is called."""
        self._on_move = (*self._on_move, observer)

        def stop() -> None:
            self._on_move = tuple(o for o in self._on_move if o is not observer)

        return stop

    def __repr__(self) -> str:
        return f"<Clock {self.now.isoformat(timespec='milliseconds')}>"
