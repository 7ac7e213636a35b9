"""Recovery: the bookmark methods of `ctx.storage`.

Promises: point-in-time recovery as Cloudflare documents it for SQLite-backed objects (SQL
storage, "Point in time recovery"). The local runtime only counts bookmarks, and KV-backed
storage has none (measured on workerd). Leaves to others: the past (bookmarks).
"""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.alarm_calls import date_ms
from emulator.durable_objects.arguments import js_string, wrong_type
from emulator.durable_objects.bookmarks import DAYS_MAX
from emulator.durable_objects.foreign_use import foreign_use
from emulator.durable_objects.settled import Rejected
from emulator.errors import JsException
from emulator.simulation.rules import Operation
from emulator.values import undefined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.hooks import Hooks
    from emulator.durable_objects.units import WriteUnits

__all__ = ["NoRecovery", "Recovery", "asks_for_times"]

_OWNER: Final = "DurableObjectStorage"
_NO_RECOVERY: Final = (
    "This Durable Object's storage back-end does not implement point-in-time recovery."
)
_DAY_MS: Final = 86_400_000


@final
class NoRecovery:
    """The methods where there is no way back.

    Args:
        hooks: The instance.
        units: Whose database counts the bookmarks.
        counts: Whether `getCurrentBookmark` answers at all.
    """

    def __init__(self, hooks: Hooks, units: WriteUnits, *, counts: bool) -> None:
        self._hooks = hooks
        self._units = units
        self._counts = counts

    def current(self) -> Awaitable[str]:
        """See `DurableObjectStorage.getCurrentBookmark`."""
        if not self._counts:
            return Rejected(JsException(_NO_RECOVERY))
        # It is made when it is asked for, and told later.
        self._units.begin_write()
        count = self._units.database.count_bookmark()
        bookmark = f"00000000-{count:08x}-00000000-{'0' * 32}"
        return _carried(self._hooks, "getCurrentBookmark", lambda: bookmark)

    def for_time(self, time: object) -> Awaitable[str]:
        """See `DurableObjectStorage.getBookmarkForTime`."""
        try:
            date_ms(time, "getBookmarkForTime", _OWNER)
        except JsException as error:
            return Rejected(error)
        return Rejected(JsException(_NO_RECOVERY))

    def restore_next(self, bookmark: object) -> Awaitable[str]:
        """See `DurableObjectStorage.onNextSessionRestoreBookmark`."""
        if bookmark is undefined:
            return Rejected(wrong_type("onNextSessionRestoreBookmark", _OWNER, 1, "string"))
        return Rejected(JsException(_NO_RECOVERY))


@final
class Recovery:
    """The methods of a SQLite-backed object on the documented platform.

    Args:
        hooks: The instance.
        units: Whose database it is about.
        now_ms: The clock.
    """

    def __init__(self, hooks: Hooks, units: WriteUnits, now_ms: Callable[[], int]) -> None:
        self._hooks = hooks
        self._units = units
        self._now_ms = now_ms

    def current(self) -> Awaitable[str]:
        """See `DurableObjectStorage.getCurrentBookmark`."""

        async def bookmark() -> str:
            await self._units.wait_flushed()
            return self._units.database.bookmark_log().current()

        return _carried(self._hooks, "getCurrentBookmark", bookmark)

    def for_time(self, time: object) -> Awaitable[str]:
        """See `DurableObjectStorage.getBookmarkForTime`."""
        try:
            time_ms = date_ms(time, "getBookmarkForTime", _OWNER)
        except JsException as error:
            return Rejected(error)

        def bookmark() -> str:
            age_ms = self._now_ms() - time_ms
            # The platform's words are not public.
            if age_ms < 0:
                raise self._refused(time_ms, "is in the future")
            if age_ms > DAYS_MAX * _DAY_MS:
                raise self._refused(time_ms, f"is more than {DAYS_MAX} days ago")
            found = self._units.database.bookmark_log().at(time_ms)
            if found is None:
                raise self._refused(
                    time_ms,
                    "is a moment of which nothing was kept: every past state is kept only for "
                    "classes with a method that itself calls getBookmarkForTime, else only "
                    "what getCurrentBookmark() was called for",
                )
            return found

        return _carried(self._hooks, "getBookmarkForTime", bookmark)

    @staticmethod
    def _refused(time_ms: int, reason: str) -> JsException:
        moment = datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat()
        return JsException(f"getBookmarkForTime(): {moment} {reason}")

    def restore_next(self, bookmark: object) -> Awaitable[str]:
        """See `DurableObjectStorage.onNextSessionRestoreBookmark`."""
        if bookmark is undefined:
            return Rejected(wrong_type("onNextSessionRestoreBookmark", _OWNER, 1, "string"))
        text = js_string(bookmark)

        def restore() -> str:
            log = self._units.database.bookmark_log()
            if not log.knows(text):
                message = (
                    f"onNextSessionRestoreBookmark(): {text!r} is no bookmark that this object "
                    f"gave in the last {DAYS_MAX} days"
                )
                raise JsException(message)
            return log.restore_next(text)

        return _carried(self._hooks, "onNextSessionRestoreBookmark", restore)


def _carried(hooks: Hooks, name: str, effect: Callable[[], Any]) -> Awaitable[str]:
    error = foreign_use(hooks.context, "ActorCacheInterface")
    if error is not None:
        return Rejected(error)
    return hooks.context.carry_inner(Operation("storage", f"storage.{name}"), effect)


def asks_for_times(cls: Any) -> bool:
    """Whether a method of a class calls `getBookmarkForTime`, in so many words."""
    # Every world asks for each of its classes, so these are loops without calls.
    codes: list[CodeType] = []
    for base in getattr(cls, "__mro__", ()):
        if base is object:
            continue
        for member in vars(base).values():
            function = member
            if type(member) is not FunctionType or hasattr(member, "__wrapped__"):
                function = inspect.unwrap(member) if callable(member) else None
            if type(function) is FunctionType:
                codes.append(function.__code__)
    for code in codes:  # Grows by the functions within functions.
        if "getBookmarkForTime" in code.co_names:
            return True
        for constant in code.co_consts:
            if type(constant) is CodeType:
                codes.append(constant)  # noqa: PERF401  A comprehension is a call.
    return False
