"""Errors: every exception that this package raises, as one tree.

Promises: a class per kind of trouble, each with its facts as attributes and one sentence
that says what, where and what to do. Leaves to others: when to raise them.

* EmulatorError                  the tester's side: a setting, a call or a run went wrong
  + ConfigurationError           an option of a world has a wrong name, type or value
  + SimulationError              the run itself cannot go on
    - SimulationDeadlock         somebody waits and nothing can ever wake him
    - SimulationRunaway          events, or simulated time, without end
    - SimulationEscape           a real clock, socket, thread or process was asked for
    - NotAtRest                  what was accepted goes on, or waits, for ever
    - SimulationDiverged         two runs of one world did not do the same
  + ExplorationFailure           a world fails, found by exploration; also an AssertionError
  + MonitorFailure               what a monitor demands does not hold; also an AssertionError
  + WorldError                   a world was used outside its life or on another loop
    - UnsupportedByTarget        the real runtime was asked for what only simulated time has
  + UpgradeRefused               a test asked for a WebSocket, and the worker opened none
  + WebSocketClosed              a test uses a WebSocket that has ended
  + ForgottenAwait               an async call was made, and nobody awaited it
  + NodeMissing                  the real runtime was asked for, and is not installed
* JsException                    the worker's side: what the platform throws into user code
  + JsTypeError                  also a TypeError
  + JsRangeError                 also a ValueError
* DurableObjectAbort             `ctx.abort()` ends the instance; nothing may catch it
* DeadInstance                   code of a dead instance tried to act; the act was refused
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ConfigurationError",
    "DeadInstance",
    "DurableObjectAbort",
    "EmulatorError",
    "ExplorationFailure",
    "ForgottenAwait",
    "JsException",
    "JsRangeError",
    "JsTypeError",
    "MonitorFailure",
    "NodeMissing",
    "NotAtRest",
    "SimulationDeadlock",
    "SimulationDiverged",
    "SimulationError",
    "SimulationEscape",
    "SimulationRunaway",
    "UnsupportedByTarget",
    "UpgradeRefused",
    "WebSocketClosed",
    "WorldError",
    "copied",
    "js_error",
    "meant",
    "no_attribute",
]


class EmulatorError(Exception):
    """Something on the tester's side: a setting, a call, or the run as a whole."""


class ConfigurationError(EmulatorError, ValueError):
    """An option has a wrong name, type or value. The message names it and the fix."""


class SimulationError(EmulatorError):
    """The simulated run cannot go on."""


class SimulationDeadlock(SimulationError):
    """Something is awaited, and nothing is left that could ever complete it.

    Attributes:
        waiters: One sentence for each task that waits: who, for what, and where.
    """

    def __init__(self, message: str, waiters: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.waiters = waiters


class SimulationRunaway(SimulationError):
    """Events without end in one instant, or simulated time without end."""


class SimulationEscape(SimulationError):
    """Code asked for a real clock, socket, thread or process inside a simulation."""


class NotAtRest(SimulationError, AssertionError):
    """Faults have ended, and what was accepted goes on without end, or is never answered.

    Attributes:
        waiters: One sentence for each task that waits: who, for what, and where.
    """

    def __init__(self, message: str, waiters: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.waiters = waiters


class SimulationDiverged(SimulationError):
    """Two runs of one world did not do the same: something is not decided by the seed."""


class ExplorationFailure(EmulatorError, AssertionError):
    """A scenario fails in a world that the platform allows. Its cause is the error itself.

    Attributes:
        deviations: What the world differs from the calm run by; empty if that fails itself.
        token: Replays the world.
        sentences: What happens in it, one sentence for each deviation.
        worlds: How many worlds were run until it was found.
        error: What the scenario raised.
    """

    def __init__(
        self,
        message: str,
        *,
        deviations: tuple[Any, ...],
        token: str,
        sentences: tuple[str, ...],
        worlds: int,
        error: BaseException | None,
    ) -> None:
        super().__init__(message)
        self.deviations = deviations
        self.token = token
        self.sentences = sentences
        self.worlds = worlds
        self.error = error


class MonitorFailure(EmulatorError, AssertionError):
    """What a monitor demands of a world does not hold.

    Attributes:
        monitor: What it demands, in words.
        time_ms: When it failed, epoch milliseconds; None is after all runs.
    """

    def __init__(self, message: str, *, monitor: str, time_ms: int | None) -> None:
        super().__init__(message)
        self.monitor = monitor
        self.time_ms = time_ms


class WorldError(EmulatorError):
    """A world was used after its end, before its start, or on another loop."""


class UnsupportedByTarget(WorldError):
    """The real runtime, or a deployed worker, cannot do what only simulated time can."""


class UpgradeRefused(EmulatorError):
    """A test asked for a WebSocket, and the worker answered something else.

    Attributes:
        response: What it answered (httpx.Response).
    """

    def __init__(self, message: str, response: Any) -> None:
        super().__init__(message)
        self.response = response


class WebSocketClosed(EmulatorError):
    """A test sent or awaited a message on a WebSocket that has ended.

    Attributes:
        code: Why it ended; 1006 is a lost connection, 1005 a Close frame without a code.
        reason: The same in words.
    """

    def __init__(self, name: str, code: int, reason: str) -> None:
        told = f"{code} {reason}".rstrip()
        super().__init__(f"the WebSocket {name} has ended ({told})")
        self.code = code
        self.reason = reason


class ForgottenAwait(EmulatorError):
    """A test called something async and never awaited it, so nothing of it happened."""


class NodeMissing(EmulatorError):
    """Node, or what it needs for the real runtime, is not installed."""


class JsException(Exception):
    """What the platform throws into worker code, as Pyodide shows a JavaScript error.

    Attributes:
        name: The error's class on the platform, such as "Error" or "TypeError".
        message: The platform's text, to the letter.
        remote: It was thrown on the other side of a stub.
        retryable: The call may be tried again on a new stub.
        overloaded: The object has too much to do; trying again makes it worse.
        durableObjectReset: The object lost its memory because of this.
    """

    def __init__(
        self,
        message: str = "",
        *,
        name: str = "Error",
        remote: bool = False,
        retryable: bool = False,
        overloaded: bool = False,
        durableObjectReset: bool = False,  # The platform's own spelling.
    ) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.remote = remote
        self.retryable = retryable
        self.overloaded = overloaded
        self.durableObjectReset = durableObjectReset
        # Own properties which user code put on the error (`code`, `cause`, ...).
        self.properties: dict[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), dict(self.__dict__)))


class JsTypeError(JsException, TypeError):
    """A JavaScript TypeError; Python code may catch it as TypeError."""

    def __init__(self, message: str = "", **flags: Any) -> None:
        flags.setdefault("name", "TypeError")
        super().__init__(message, **flags)


class JsRangeError(JsException, ValueError):
    """A JavaScript RangeError; Python code may catch it as ValueError."""

    def __init__(self, message: str = "", **flags: Any) -> None:
        flags.setdefault("name", "RangeError")
        super().__init__(message, **flags)


def _restore(cls: type[JsException], state: dict[str, Any]) -> JsException:
    error = cls(state["message"])
    error.__dict__.update(state)
    return error


def js_error(name: str, message: str, **flags: Any) -> JsException:
    """The platform error of the given class name, as the Python class that fits it.

    Args:
        name: "TypeError", "RangeError", "DataCloneError", "Error", ...
        message: The platform's text.
        flags: `remote`, `retryable`, `overloaded`, `durableObjectReset`.
    """
    if name == "TypeError":
        return JsTypeError(message, **flags)
    if name == "RangeError":
        return JsRangeError(message, **flags)
    return JsException(message, name=name, **flags)


def copied(error: JsException) -> JsException:
    """The same error once more: each who is told gets one of his own."""
    copy = js_error(
        error.name,
        error.message,
        remote=error.remote,
        retryable=error.retryable,
        overloaded=error.overloaded,
        durableObjectReset=error.durableObjectReset,
    )
    copy.properties = dict(error.properties)
    return copy


def no_attribute(owner: object, name: str, hint: str = "") -> AttributeError:
    """The error for a name that an object does not have, with the name that was meant.

    Args:
        owner: What was asked.
        name: For what.
        hint: What else to do, in words.
    """
    known = [known for known in dir(type(owner)) if not known.startswith("_")]
    kind = type(owner).__name__
    return AttributeError(f"{kind} has no {name!r}{meant(name, known)}{hint}")


def meant(name: str, known: Iterable[str]) -> str:
    """A question about the known name that is close to `name`; empty if none is.

    Spelled in camelCase or in snake_case, it is the same name.
    """
    by_letters = {other.replace("_", "").lower(): other for other in known}
    near = difflib.get_close_matches(name.replace("_", "").lower(), by_letters, 1)
    return f"; did you mean {by_letters[near[0]]!r}?" if near else ""


class DurableObjectAbort(BaseException):
    """`ctx.abort()`: the instance is gone from this line on.

    A BaseException, so that `except Exception` does not swallow it (Cloudflare's
    `workers` package does the same).
    """


class DeadInstance(BaseException):
    """Code of a crashed or reset instance tried to act on the world; it was refused."""
