"""The console: what worker code prints or logs, with its time, level and object.

Promises: `print` inside a worker does not reach the terminal but the logger
"emulator.console", and so pytest's caplog; every logging record that worker code emits is
kept by the world whose code it is. Prints and logs of everybody else pass untouched, a
debugger's that stops in worker code too, and those of dead instances are dropped. Leaves to
others: showing it.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final
from weakref import WeakKeyDictionary

from emulator.durable_objects.context import CURRENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from emulator.durable_objects.context import IoContext
    from emulator.simulation.clock import Clock

__all__ = ["Console", "LogRecord", "catch_again", "worker_output"]

_logger = logging.getLogger("emulator.console")
_logger.setLevel(logging.DEBUG)

#: Who speaks to the terminal while a worker stands still; the last one prints pytest's header.
_DEBUGGERS: Final = (
    "bdb",
    "cmd",
    "code",
    "pdb",
    "_pytest.debugging",
    "_pytest._io.terminalwriter",
)


@final
@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line of a worker.

    Attributes:
        time_ms: Simulated milliseconds since the Unix epoch.
        level: "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL".
        message: The line.
        object: Who wrote it, such as "JOBS#1f3a9c02" or "worker".
    """

    time_ms: int
    level: str
    message: str
    object: str

    def __str__(self) -> str:
        return f"{self.time_ms} {self.level} {self.object}: {self.message}"


@final
class Console:
    """The lines of one world.

    Args:
        clock: Gives each line its time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Every line so far, oldest first.
        self.records: list[LogRecord] = []
        self._stop: Callable[[], None] | None = None

    def open(self) -> None:
        """Start to listen."""
        # A test may exchange `sys.stdout` under us, and time moves before a worker hears of it.
        self._stop = self._clock.observe(_tap.time_moved)
        _tap.acquire()

    def close(self) -> None:
        """Stop listening. Nothing happens the second time."""
        if self._stop is not None:
            self._stop()
            self._stop = None
            _tap.release()

    def write(self, level: str, message: str, name: str) -> None:
        """Keep one line."""
        self.records.append(LogRecord(self._clock.now_ms, level, message, name))


@final
class _Printer:
    """Stands in for `sys.stdout` while worlds live, for worker code only."""

    def __init__(self, real: Any) -> None:
        self.real = real
        #: What an object has written of a line that has no end yet.
        self._partial: WeakKeyDictionary[IoContext, str] = WeakKeyDictionary()

    def write(self, text: str) -> int:
        """Write a piece of a line."""
        context = CURRENT.get()
        if context is None or _is_debugger(sys._getframe(1)):
            written: int = self.real.write(text)
            return written
        if context.is_dead:
            return len(text)
        *lines, rest = (self._partial.pop(context, "") + text).split("\n")
        if rest:
            self._partial[context] = rest
        for line in lines:
            _logger.info("%s", line)
        return len(text)

    def flush(self) -> None:
        """Flush the real stream; in worker code, end the line."""
        context = CURRENT.get()
        if context is None or _is_debugger(sys._getframe(1)):
            self.real.flush()
        elif context in self._partial:
            self.write("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def _is_debugger(frame: FrameType) -> bool:
    """Whether a debugger writes, or runs the line that does: `print(x)` at its prompt."""
    return any(
        one is not None and one.f_globals.get("__name__") in _DEBUGGERS
        for one in (frame, frame.f_back)
    )


@final
class _Tap(logging.Handler):
    """The one handler and the one printer that all living worlds share."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._printer: _Printer | None = None

    def acquire(self) -> None:
        """One more world listens."""
        self._count += 1
        if self._count == 1:
            logging.getLogger().addHandler(self)
        self.stand_in()

    def release(self) -> None:
        """One world less listens."""
        self._count -= 1
        if self._count == 0:
            logging.getLogger().removeHandler(self)
            self.stand_aside()

    @property
    def is_in(self) -> bool:
        """Whether it has taken the place of `sys.stdout`; others may have taken it since."""
        return self._printer is not None

    def stand_in(self) -> None:
        """Take the place of the present `sys.stdout`, if any world listens."""
        if self._count and (self._printer is None or sys.stdout is not self._printer):
            real: Any = sys.stdout
            while isinstance(real, _Printer):
                real = real.real
            sys.stdout = self._printer = _Printer(real)

    def time_moved(self, _: int) -> None:
        """`stand_in`, for a clock: most moves find it in its place."""
        if sys.stdout is not self._printer:
            self.stand_in()

    def stand_aside(self) -> None:
        """Give `sys.stdout` back."""
        if self._printer is not None and sys.stdout is self._printer:
            sys.stdout = self._printer.real
        self._printer = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Worker code only, and only while it lives."""
        context = CURRENT.get()
        return context is not None and context.logs is not None and not context.is_dead

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the line to the world whose code wrote it."""
        context = CURRENT.get()
        assert context is not None
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = f"{text}: {type(error).__name__}: {error}"
        context.logs.write(record.levelname, text, context.name)


_tap = _Tap()


def catch_again() -> None:
    """Catch worker output where it was caught, after pytest has exchanged `sys.stdout`."""
    if _tap.is_in:
        _tap.stand_in()


@contextmanager
def worker_output() -> Iterator[None]:
    """Catch what living worlds print while the block runs, and not after it.

    For a simulation that goes on in several runs: pytest exchanges `sys.stdout` between
    set-up, call and teardown of a test.
    """
    _tap.stand_in()
    try:
        yield
    finally:
        _tap.stand_aside()
