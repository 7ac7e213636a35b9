"""Alarm calls: `setAlarm`, `getAlarm`, `deleteAlarm` as worker code sees them.

Promises: the platform's argument rules and words; a past time is raised to now; the change
belongs to the unit or transaction in which it is made. Leaves to others: the slot's states,
and firing (the scheduler).
"""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from emulator.durable_objects.arguments import merged_options, wrong_type
from emulator.durable_objects.guarded import Guarded
from emulator.durable_objects.settled import Rejected, Settled
from emulator.errors import JsTypeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.hooks import Hooks
    from emulator.durable_objects.units import WriteUnits
    from emulator.limits import Limits

__all__ = ["AlarmCalls", "AlarmStore", "UnitAlarm", "date_ms"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_HANDLER: Final = (
    "Your Durable Object class must have an alarm() handler in order to call setAlarm()"
)
_TOO_LATE: Final = "This API doesn't support dates after 2189."
#: What 64 bits hold in nanoseconds, which is the year 2262, whatever the words say (measured).
_TIME_MS_MAX: Final = 9_223_372_036_854


#: How near to the present a number must be, in seconds, to be taken for seconds: ten years.
_YEARS_S: Final = 10 * 365 * 86_400


class AlarmStore(Protocol):
    """Where the alarm's time is read and written."""

    def visible_alarm_ms(self) -> int | None:
        """What `getAlarm` tells."""

    def store_alarm(self, time_ms: int | None, *, confirmed: bool) -> None:
        """Set the alarm, or delete it."""


@final
class UnitAlarm:
    """The alarm in the object's storage.

    Args:
        units: Where writes belong; holds the slot.
        limits: Whether the local runtime's stall is reproduced.
    """

    __slots__ = ("_limits", "_units")

    def __init__(self, units: WriteUnits, limits: Limits) -> None:
        self._units = units
        self._limits = limits

    def visible_alarm_ms(self) -> int | None:
        """What `getAlarm` tells."""
        self._units.begin_read()
        return self._units.database.alarm.visible_time_ms

    def store_alarm(self, time_ms: int | None, *, confirmed: bool) -> None:
        """Set the alarm, or delete it."""
        alarm = self._units.database.alarm
        if time_ms is None and alarm.now.time_ms is None:
            self._units.begin_read()
            return
        if self._limits.set_alarm_now_stalls and alarm.now.time_ms == time_ms:
            # workerd's actor-sqlite.c++ compares with the stored time, which the handler
            # that runs has not deleted yet, and finds nothing to do (workerd issue 6866).
            self._units.begin_read()
            alarm.keep()
            return
        self._units.begin_write(confirmed=confirmed)
        alarm.set(time_ms)
        self._units.database.alarm_changed()


@final
class AlarmCalls:
    """The three methods, for the storage and for a transaction.

    Args:
        store: Where the time is read and written.
        hooks: The instance.
        now_ms: The clock.
        owner: The platform's class whose methods they are, for its words.
    """

    __slots__ = ("_hooks", "_now_ms", "_owner", "_store")

    def __init__(
        self, store: AlarmStore, hooks: Hooks, *, now_ms: Callable[[], int], owner: str
    ) -> None:
        self._store = store
        self._hooks = hooks
        self._now_ms = now_ms
        self._owner = owner

    def behind(self, check: Callable[[str], None]) -> AlarmCalls:
        """The same, and each call is told to `check` before the store is touched."""
        store = Guarded(self._store, check)
        return AlarmCalls(store, self._hooks, now_ms=self._now_ms, owner=self._owner)

    def set(self, time: object, options: object, keywords: dict[str, Any]) -> Awaitable[Any]:
        """See `DurableObjectStorage.setAlarm`."""
        try:
            time_ms = date_ms(time, "setAlarm", self._owner)
            given = merged_options(
                options, keywords, "setAlarm", self._owner, 2, "SetAlarmOptions"
            )
            if time_ms <= 0:
                message = "setAlarm() cannot be called with an alarm time <= 0"
                raise JsTypeError(message)
            if not self._hooks.in_constructor and not self._hooks.has_alarm_handler():
                raise JsTypeError(_NO_HANDLER)
            now_ms = self._now_ms()
            if abs(time_ms - now_ms / 1000) < _YEARS_S and time_ms < now_ms / 100:
                warnings.warn(
                    f"setAlarm({time!r}) is a time in January 1970, and fires at once: "
                    "setAlarm takes milliseconds, and these look like seconds, so multiply "
                    "them by 1000 or give a datetime",
                    stacklevel=3,
                )
            confirmed = not given.get("allowUnconfirmed")
            self._store.store_alarm(max(time_ms, now_ms), confirmed=confirmed)
        except Exception as error:
            return Rejected[Any](error)
        return Settled(None)

    def get(self, options: object, keywords: dict[str, Any]) -> Awaitable[Any]:
        """See `DurableObjectStorage.getAlarm`."""
        try:
            merged_options(options, keywords, "getAlarm", self._owner, 1, "GetAlarmOptions")
            time_ms = self._store.visible_alarm_ms()
        except Exception as error:
            return Rejected[Any](error)
        return Settled(time_ms)

    def delete(self, options: object, keywords: dict[str, Any]) -> Awaitable[Any]:
        """See `DurableObjectStorage.deleteAlarm`."""
        try:
            given = merged_options(
                options, keywords, "deleteAlarm", self._owner, 1, "SetAlarmOptions"
            )
            self._store.store_alarm(None, confirmed=not given.get("allowUnconfirmed"))
        except Exception as error:
            return Rejected[Any](error)
        return Settled(None)


def date_ms(time: object, method: str, owner: str) -> int:
    """What workerd's binding layer makes of a date: epoch milliseconds.

    Args:
        time: Milliseconds, or a datetime (naive is UTC).
        method: Whose first parameter it is.
        owner: Whose method.

    Raises:
        JsTypeError: If it is no date, or too far away.
    """
    if isinstance(time, datetime):
        aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
        delta = aware - _EPOCH
        time_ms: float = delta.days * 86_400_000 + delta.seconds * 1_000
        time_ms += delta.microseconds // 1_000
    elif isinstance(time, (int, float)) and not isinstance(time, bool):
        time_ms = time
    else:
        raise wrong_type(method, owner, 1, "date")
    if isinstance(time_ms, float) and not math.isfinite(time_ms):
        message = "The value cannot be converted because it is not a valid Date."
        raise JsTypeError(message)
    if time_ms > _TIME_MS_MAX:
        raise JsTypeError(_TOO_LATE)
    return int(time_ms)
