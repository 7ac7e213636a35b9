"""Events: what a JavaScript object tells those who listen to it.

Promises: listeners are called in the order in which they were added, a property such as
`onmessage` among them; a listener that is there already is not added twice. Leaves to
others: what is told, and what an error in a listener means (the WebSocket).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import JsException, js_error
from emulator.web.callbacks import call_user, member
from emulator.web.js_object import JsObject
from emulator.web.required import required

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

__all__ = ["CloseEvent", "ErrorEvent", "Event", "EventTarget", "MessageEvent"]

_NO_LISTENER: Final = (
    "Failed to execute 'addEventListener' on 'EventTarget': parameter 2 is not of type "
    "'function or HandlerObject'."
)


class Event(JsObject):
    """One thing that happened.

    Args:
        kind: Its type, such as "message".
    """

    def __init__(self, kind: str) -> None:
        self.type = kind
        self.target: Any = None

    @property
    def currentTarget(self) -> Any:
        """To whom it happened; nothing bubbles here, so it is the target."""
        return self.target

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type}>"


@final
class MessageEvent(Event):
    """A message came: `data` is text or bytes."""

    def __init__(self, data: Any) -> None:
        super().__init__("message")
        self.data = data
        self.origin: None = None
        self.source: None = None
        self.lastEventId = ""
        self.ports: list[Any] = []


@final
class CloseEvent(Event):
    """The other side closed, or was lost: `code`, `reason`, `wasClean`."""

    def __init__(self, code: int, reason: str, *, was_clean: bool) -> None:
        super().__init__("close")
        self.code = code
        self.reason = reason
        self.wasClean = was_clean


@final
class ErrorEvent(Event):
    """Something failed: `error`, and its text as `message`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("error")
        self.error = error
        told = error if isinstance(error, JsException) else f"{type(error).__name__}: {error}"
        self.message = f"Uncaught {told}"
        self.filename = ""
        self.lineno = self.colno = 0


class EventTarget(JsObject):
    """Something that can be listened to."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[tuple[Any, bool]]] = {}

    @required("EventTarget", "string", "function or HandlerObject")
    def addEventListener(
        self, kind: str, listener: Any, options: Any = None, **keywords: Any
    ) -> None:
        """Call `listener(event)` for each event of a type.

        Args:
            kind: The type, such as "message".
            listener: A function, sync or async, or an object with a method `handleEvent`.
            options: `once`, as a dict or as a keyword.
            keywords: The same.
        """
        if listener is None:
            return
        if not callable(listener) and not callable(member(listener, "handleEvent")):
            raise js_error("TypeError", _NO_LISTENER)
        once = bool(keywords.get("once", member(options, "once")))
        listeners = self._listeners.setdefault(str(kind), [])
        if all(there is not listener for there, _ in listeners):
            listeners.append((listener, once))

    @required("EventTarget", "string", "Object")
    def removeEventListener(self, kind: str, listener: Any, options: Any = None) -> None:
        """Do not call it any more; nothing happens if it is not there."""
        listeners = self._listeners.get(str(kind), [])
        listeners[:] = [entry for entry in listeners if entry[0] is not listener]

    def _tell(self, event: Event, scope: Context) -> None:
        """Call everybody who listens to such an event.

        Args:
            event: What they are handed.
            scope: The context variables with which they run.

        Raises:
            Exception: What a listener raised; those behind it are not called.
        """
        event.target = self
        # Those that are added meanwhile hear the next one.
        for listener, once in list(self._listeners.get(event.type, ())):
            if once:
                self.removeEventListener(event.type, listener)
            self._call(scope, _function(listener), event)
        handler = vars(self).get(f"on{event.type}")
        if handler is not None:
            self._call(scope, handler, event)

    def _call(self, scope: Context, listener: Callable[[Event], Any], event: Event) -> None:
        result = call_user(scope, listener, event)
        if isinstance(result, asyncio.Future):
            result.add_done_callback(self._listener_ended)

    def _listener_ended(self, answer: asyncio.Future[Any]) -> None:
        error = None if answer.cancelled() else answer.exception()
        if isinstance(error, Exception):
            self._uncaught(error)

    def _uncaught(self, error: Exception) -> None:
        """An async listener failed, which concerns nobody (measured): tell whoever reads."""


def _function(listener: Any) -> Callable[[Event], Any]:
    handle: Callable[[Event], Any] | None = member(listener, "handleEvent")
    return listener if handle is None else handle
