"""Timeouts: pytest-timeout beside simulations.

Promises: a timeout that strikes inside a simulation ends the test, even where worker code
never lets go, as an endless loop does. The failure that pytest-timeout raises in its signal
handler would else be the worker's own error there: something to answer, or to retry an alarm
for. Leaves to others: when it strikes (pytest-timeout, with its method "signal").
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["interrupt_simulations", "outcomes"]

#: Which Windows lacks.
_SIGALRM: Final = getattr(signal, "SIGALRM", None)


@final
class _Interrupt(KeyboardInterrupt):
    """Carries an outcome: a KeyboardInterrupt is what asyncio lets through at once."""

    def __init__(self, outcome: BaseException) -> None:
        super().__init__()
        self.outcome = outcome


def interrupt_simulations() -> None:
    """Let the handler that was set just now end a simulation that it strikes in."""
    handler: Any = None if _SIGALRM is None else signal.getsignal(_SIGALRM)
    if _SIGALRM is not None and callable(handler):
        signal.signal(_SIGALRM, _carried(handler))


def _carried(handler: Callable[[int, Any], Any]) -> Callable[[int, Any], None]:
    def handle(number: int, frame: Any) -> None:
        __tracebackhide__ = True
        try:
            handler(number, frame)
        except pytest.fail.Exception as outcome:
            from emulator.simulation.ambient import is_inside

            if not is_inside():
                raise
            raise _Interrupt(outcome) from None

    return handle


@contextmanager
def outcomes() -> Iterator[None]:
    """Raise the outcome that an interrupted simulation has carried out."""
    try:
        yield
    except _Interrupt as interrupt:
        raise interrupt.outcome.with_traceback(interrupt.__traceback__) from None
