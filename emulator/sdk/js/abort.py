"""AbortController and AbortSignal: telling others to stop.

Promises: a signal aborts once, keeps its reason and calls its listeners. Leaves to others:
obeying it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, final

from emulator.errors import JsException, js_error
from emulator.sdk.js.timers import setTimeout
from emulator.web.js_dict import JsDict
from emulator.web.js_object import JsObject
from emulator.web.required import required

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["AbortController", "AbortSignal"]


@final
class AbortSignal(JsObject):
    """Whether to stop, and why."""

    def __init__(self) -> None:
        self.aborted = False
        self.reason: Any = None
        self.onabort: Callable[[Any], Any] | None = None
        self._listeners: list[Callable[[Any], Any]] = []

    @classmethod
    def abort(cls, reason: Any = None) -> AbortSignal:
        """A signal that has aborted."""
        signal = cls()
        signal.stop(reason)
        return signal

    @classmethod
    @required("AbortSignal", "number")
    def timeout(cls, delay: float) -> AbortSignal:
        """A signal that aborts with a TimeoutError after so many milliseconds."""
        signal = cls()
        text = "The operation was aborted due to timeout"
        setTimeout(signal.stop, delay, js_error("TimeoutError", text))
        return signal

    @classmethod
    @required("AbortSignal", "Array")
    def any(cls, signals: Iterable[AbortSignal]) -> AbortSignal:
        """A signal that aborts with the first of these."""
        if not isinstance(signals, list | tuple):
            text = (
                "Failed to execute 'any' on 'AbortSignal': parameter 1 is not of type 'Array'."
            )
            raise js_error("TypeError", text)
        result = cls()
        for signal in signals:
            if signal.aborted:
                result.stop(signal.reason)
            else:
                signal._listeners.append(partial(result._follow, signal))
        return result

    def _follow(self, other: AbortSignal, event: Any) -> None:
        self.stop(other.reason)

    def stop(self, reason: Any) -> None:
        """Abort. Nothing happens the second time."""
        if self.aborted:
            return
        self.aborted = True
        if reason is None:
            reason = js_error("AbortError", "The operation was aborted")
        self.reason = reason
        event = JsDict(type="abort", target=self)
        for listener in (self.onabort, *self._listeners):
            if listener is not None:
                listener(event)

    @required("EventTarget", "string", "function or HandlerObject")
    def addEventListener(
        self, kind: str, listener: Callable[[Any], Any], options: Any = None
    ) -> None:
        """Call a function with the event "abort" when it comes."""
        if kind == "abort" and listener not in self._listeners:
            self._listeners.append(listener)

    @required("EventTarget", "string", "Object")
    def removeEventListener(
        self, kind: str, listener: Callable[[Any], Any], options: Any = None
    ) -> None:
        """Do not call the function."""
        if kind == "abort" and listener in self._listeners:
            self._listeners.remove(listener)

    def throwIfAborted(self) -> None:
        """Raise the reason, if the signal has aborted.

        Raises:
            JsException: The reason, or an Error that tells a reason which is none.
        """
        if not self.aborted:
            return
        if isinstance(self.reason, BaseException):
            raise self.reason
        raise JsException(str(self.reason))


@final
class AbortController(JsObject):
    """The one who may abort a signal."""

    def __init__(self) -> None:
        self.signal = AbortSignal()

    @classmethod
    def new(cls) -> AbortController:
        """JavaScript's constructor."""
        return cls()

    def abort(self, reason: Any = None) -> None:
        """Abort the signal; without a reason, by an AbortError."""
        self.signal.stop(reason)
