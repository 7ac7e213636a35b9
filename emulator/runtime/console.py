"""The console: what worker code prints or logs, with its time, level and object.

Promises: `print` inside a worker does not reach the terminal but the logger
"emulator.console", and so pytest's caplog; every logging record that worker code emits is
kept by the world whose code it is. Prints and logs of everybody else pass untouched, and
those of dead instances are dropped. Leaves to others: showing it.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final
from weakref import WeakKeyDictionary

from emulator.durable_objects.context import CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.durable_objects.context import IoContext
    from emulator.simulation.clock import Clock

__all__ = ["Console", "LogRecord", "stand_aside", "stand_in", "worker_output"]

_logger = logging.getLogger("emulator.console")
_logger.setLevel(logging.DEBUG)


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
        self._is_open = False

    def open(self) -> None:
        """Start to listen."""
        self._is_open = True
        _tap.acquire()

    def close(self) -> None:
        """Stop listening. Nothing happens the second time."""
        if self._is_open:
            self._is_open = False
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
        if context is None:
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
        if context is None:
            self.real.flush()
        elif context in self._partial:
            self.write("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


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
            self._printer = _Printer(sys.stdout)
            sys.stdout = self._printer

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
        context.logs.write(record.levelname, record.getMessage(), context.name)


_tap = _Tap()


def stand_aside(debugger: Any) -> bool:
    """Let a debugger that stops in worker code speak to the terminal, not to the logs.

    Args:
        debugger: A `pdb.Pdb`.

    Returns:
        Whether worker output was being caught; then `stand_in` shall follow.
    """
    if not _tap.is_in:
        return False
    if isinstance(debugger.stdout, _Printer):
        debugger.stdout = debugger.stdout.real
    _tap.stand_aside()
    return True


def stand_in() -> None:
    """Catch worker output again."""
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
