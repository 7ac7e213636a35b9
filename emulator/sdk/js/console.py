"""console: five levels of the same thing.

Promises: what is written goes where prints go, to the logger "emulator.console".
Leaves to others: keeping and showing it.
"""

from __future__ import annotations

import logging
from typing import Any, final

__all__ = ["console"]

_logger = logging.getLogger("emulator.console")
_logger.setLevel(logging.DEBUG)


@final
class _Console:
    """`console`."""

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


console = _Console()
