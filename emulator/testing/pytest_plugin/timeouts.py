"""Timeouts: pytest-timeout beside simulations.

Promises: a timeout that strikes inside a simulation ends the test, even where worker code
never lets go, as an endless loop does. The failure that pytest-timeout raises in its signal
handler would else be the worker's own error there: something to answer, or to retry an alarm
for. Leaves to others: when it strikes (pytest-timeout, with its method "signal").
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final, final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["carry_out", "interrupt_simulations"]

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


def carry_out(outcome: Any) -> None:
    """Put in place of an interrupt the outcome that it has carried out of a simulation.

    Args:
        outcome: Of a hook, as an older wrapper gets it.
    """
    error = outcome.exception
    if isinstance(error, _Interrupt):
        outcome.force_exception(error.outcome.with_traceback(error.__traceback__))
