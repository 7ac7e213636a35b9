"""Calls: what a test must await, and what becomes of a call that it did not.

Promises: a call of a method marked with `awaited` is a coroutine that knows where it was
made; one that nobody awaits is a `ForgottenAwait` at the end of the simulation, and whoever
takes it for its result is told so at once. Leaves to others: what the method does. Python's
own warning comes when the garbage is collected, names no line of the test, and fails none.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import warnings
from collections.abc import Coroutine
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, final

from emulator.errors import ForgottenAwait, WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import CodeType

    from emulator.simulation.handles import SimulationFuture

    #: A line of code; put into words on demand, since most calls are awaited.
    Place = tuple[CodeType, int]

__all__ = ["Call", "Calls", "UnseenErrorWarning", "awaited"]

P = ParamSpec("P")
T = TypeVar("T")

#: More calls than this are counted, not listed.
LINES_MAX: Final = 5
#: Ours: so many failed calls are remembered before those that were seen are forgotten.
FAILED_KEPT_MAX: Final = 100


class UnseenErrorWarning(UserWarning):
    """A call of a test failed, and nobody awaited it: its error would pass unnoticed."""


@final
class Calls:
    """The calls of one simulation that wait to be awaited."""

    def __init__(self) -> None:
        self._waiting: dict[Call, None] = {}
        self._failed: list[SimulationFuture] = []
        self._prune_at = FAILED_KEPT_MAX

    def add(self, call: Call) -> None:
        """A call was made."""
        self._waiting[call] = None

    def discard(self, call: Call) -> None:
        """It was awaited, or its forgetting has been told."""
        self._waiting.pop(call, None)

    def failed(self, answer: SimulationFuture) -> None:
        """The answer to a call is an error, which somebody should see."""
        if len(self._failed) >= self._prune_at:
            self._failed = [answer for answer in self._failed if answer._log_traceback]
            self._prune_at = max(FAILED_KEPT_MAX, 2 * len(self._failed))
        self._failed.append(answer)

    def _unseen(self) -> list[str]:
        """What failed and was never awaited, in words."""
        lines = []
        for answer in self._failed:
            # Of asyncio: nobody has asked for its error, which would be logged.
            if not answer._log_traceback:
                continue
            error = answer.exception()
            # A crash or reset befalls the call; whoever brings it about need not be told.
            if not (getattr(error, "retryable", 0) or getattr(error, "durableObjectReset", 0)):
                what = getattr(answer, "waits_for", "a call")
                where = place_in_words(answer.place)
                lines.append(f"{what} in {where} failed, and nobody awaited it ({error})")
        self._failed = []
        return lines

    def settle(self, error: BaseException | None = None) -> None:
        """Drop the calls that were never awaited, and say which.

        Args:
            error: What ends the simulation, if it failed: it gets the sentences as notes.

        Raises:
            ForgottenAwait: If there are such calls, and no `error`.

        Warns:
            UnseenErrorWarning: If calls failed that nobody awaited. They were made, as on the
                platform, so a test may mean it.
        """
        forgotten = [f"{call} was never awaited" for call in self._waiting]
        for call in list(self._waiting):
            call.close()
        for lines in (self._unseen(), forgotten):
            if not lines:
                continue
            more = f"; and {len(lines) - LINES_MAX} more" if len(lines) > LINES_MAX else ""
            message = f"{'; '.join(lines[:LINES_MAX])}{more}: put `await` before it"
            if error is not None:
                error.add_note(message)
            elif lines is forgotten:
                raise ForgottenAwait(message)
            else:
                warnings.warn(message, UnseenErrorWarning, stacklevel=4)


@final
class Call(Coroutine[Any, Any, Any]):
    """One call, to be awaited like the coroutine in it.

    Args:
        name: What was called.
        place: The line that made it.
        coroutine: Does it.
        calls: Those of the simulation; None outside of every simulation.
    """

    __slots__ = ("_calls", "_coroutine", "_name", "_place")

    def __init__(
        self, name: str, place: Place, coroutine: Coroutine[Any, Any, Any], calls: Calls | None
    ) -> None:
        self._name = name
        self._place = place
        self._coroutine = coroutine
        self._calls = calls
        if calls is not None:
            calls.add(self)

    def _taken(self) -> Coroutine[Any, Any, Any]:
        if self._calls is not None:
            self._calls.discard(self)
            self._calls = None
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._taken().__await__()

    def send(self, value: Any) -> Any:
        """As of any coroutine: a task runs it."""
        return self._taken().send(value)

    def throw(self, *error: Any) -> Any:
        """As of any coroutine."""
        return self._taken().throw(*error)

    def close(self) -> None:
        """As of any coroutine."""
        self._taken().close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("cr_", "__")):
            # What debuggers and the report of a deadlock ask of a coroutine.
            return getattr(self._coroutine, name)
        message = f"{self} has not been awaited, so it has no {name!r}: put `await` before it"
        self.close()
        raise AttributeError(message)

    def __repr__(self) -> str:
        return f"{self._name}() in {place_in_words(self._place)}"


def awaited(
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let the calls of an async function be `Call`s.

    Args:
        function: An async function, or a method of a class.

    Raises:
        WorldError: By a call where no loop runs, so that nobody could await it.
    """
    name = function.__qualname__

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        loop = asyncio._get_running_loop()
        if loop is None:
            message = (
                f"{name}() is async, and no loop runs here: make the test `async def` and "
                f"write `await`, or do it in an async function given to emulator.run()"
            )
            raise WorldError(message)
        simulation = getattr(loop, "simulation", None)
        calls = None if simulation is None else simulation.calls
        frame = sys._getframe(1)
        place = (frame.f_code, frame.f_lineno)
        return Call(name, place, function(*args, **kwargs), calls)

    return call


def place_in_words(place: Place) -> str:
    """A line of code, as "test_jobs.py:12"."""
    code, line = place
    return f"{PurePath(code.co_filename).name}:{line}"
