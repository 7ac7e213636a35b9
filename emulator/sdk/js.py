"""`js`: JavaScript's global names that Python workers reach for.

Promises: the console goes where prints go; time and chance are the simulation's. Leaves to
others: the rest of JavaScript.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any, final

from emulator.durable_objects.context import CURRENT
from emulator.simulation.runner import current_simulation
from emulator.values import undefined
from emulator.web.headers import Headers
from emulator.web.request import Request
from emulator.web.response import Response
from emulator.web.streams import (
    FixedLengthStream,
    ReadableStream,
    TransformStream,
    Uint8Array,
    WritableStream,
)

__all__ = [
    "Date",
    "FixedLengthStream",
    "Headers",
    "ReadableStream",
    "Request",
    "Response",
    "TransformStream",
    "Uint8Array",
    "WritableStream",
    "console",
    "crypto",
    "undefined",
]

_logger = logging.getLogger("emulator.console")
_logger.setLevel(logging.DEBUG)


@final
class _Console:
    """`console`: five levels of the same thing."""

    def _write(self, level: int, args: tuple[Any, ...]) -> None:
        _logger.log(level, "%s", " ".join(str(arg) for arg in args))

    def debug(self, *args: Any) -> None:
        """Write at the level debug."""
        self._write(logging.DEBUG, args)

    def log(self, *args: Any) -> None:
        """Write at the level info."""
        self._write(logging.INFO, args)

    def info(self, *args: Any) -> None:
        """Write at the level info."""
        self._write(logging.INFO, args)

    def warn(self, *args: Any) -> None:
        """Write at the level warning."""
        self._write(logging.WARNING, args)

    def error(self, *args: Any) -> None:
        """Write at the level error."""
        self._write(logging.ERROR, args)


@final
class _Date:
    """`Date`, as far as a worker needs it: `Date.now()`."""

    def now(self) -> int:
        """Milliseconds since the Unix epoch, simulated."""
        context = CURRENT.get()
        if context is None:
            return current_simulation().clock.now_ms
        return context.simulation.clock.now_ms


@final
class _Crypto:
    """`crypto`: chance that obeys the seed."""

    def randomUUID(self) -> str:
        """A version 4 UUID.

        Raises:
            WorldError: Outside of a simulation, where no seed would decide it.
        """
        current_simulation()
        return str(uuid.uuid4())


console = _Console()
Date = _Date()
crypto = _Crypto()
