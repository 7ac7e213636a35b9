"""Date: an instant in whole milliseconds, on the simulated clock.

Promises: `Date.new()` in each of JavaScript's forms, `now`, `parse` and `UTC`, and the
getters; the time zone is UTC, as on Workers. A Date is a Python datetime too, so that it
crosses into storage and over RPC as one. Leaves to others: changing a Date (its setters are
not there), text of a locale. An invalid Date cannot be made: where JavaScript gives one,
`Date.new` raises, and `Date.parse` gives NaN.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partialmethod
from typing import Any, Final, Self, final

from emulator.errors import js_error
from emulator.simulation.runner import current_simulation
from emulator.values.conversion import date_of_ms, ms_of_date
from emulator.web.js_object import JsObject

__all__ = ["JsDate"]

_DAY_MS: Final = 86_400_000
#: ECMA-262, "Date Time String Format"; a space is taken for the T, as V8 does.
_ISO: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d\d:?\d\d)?)?"
)


@final
class JsDate(JsObject, datetime):
    """A Date."""

    __js_class__ = "Date"

    @classmethod
    def new(cls, *given: Any) -> JsDate:
        """JavaScript's constructor.

        Args:
            given: Nothing for the present; epoch milliseconds, a text or another date; or
                year, month (0 to 11), day, hours, minutes, seconds, milliseconds.

        Raises:
            JsRangeError: If it is no date, or one outside Python's years 1 to 9999.
            WorldError: For the present, outside of a simulation.
        """
        if len(given) > 1:
            return cls._of_ms(cls.UTC(*given))
        if not given:
            return cls._of_ms(cls.now())
        value = given[0]
        if isinstance(value, datetime):
            return cls._of_ms(ms_of_date(value))
        return cls._of_ms(cls.parse(value) if isinstance(value, str) else float(value))

    @classmethod
    def _of_ms(cls, time_ms: float) -> Self:
        if math.isnan(time_ms) or math.isinf(time_ms):
            raise js_error("RangeError", "Invalid time value")
        at = date_of_ms(math.trunc(time_ms))
        return cls(
            at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, UTC
        )

    @staticmethod
    def now(tz: Any = None) -> Any:
        """Milliseconds since the Unix epoch, simulated.

        Raises:
            WorldError: Outside of a simulation.
        """
        return current_simulation().clock.now_ms

    @staticmethod
    def UTC(year: float, month: float = 0, day: float = 1, *time: float) -> int:
        """Epoch milliseconds of these parts; each may overflow into the next."""
        months = int(year) * 12 + int(month)
        first = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
        hours, minutes, seconds, milliseconds = (*map(int, time), 0, 0, 0, 0)[:4]
        return ms_of_date(
            first
            + timedelta(
                days=int(day) - 1,
                hours=hours,
                minutes=minutes,
                seconds=seconds,
                milliseconds=milliseconds,
            )
        )

    @staticmethod
    def parse(text: str) -> int | float:
        """Epoch milliseconds of a text: ISO 8601, or the form of HTTP headers. Else NaN."""
        found = _ISO.fullmatch(text.strip())
        try:
            if found is not None:
                return _iso_ms(found)
            return ms_of_date(parsedate_to_datetime(text))
        except (ValueError, TypeError, OverflowError):
            return math.nan

    def getTime(self) -> int:
        """Milliseconds since the Unix epoch."""
        return ms_of_date(self)

    valueOf = getTime

    def getTimezoneOffset(self) -> int:
        """Minutes from UTC: none, on Workers."""
        return 0

    def _part(self, name: str) -> int:
        if name == "month":
            return self.month - 1  # JavaScript counts them from 0.
        if name == "weekday":
            return self.isoweekday() % 7  # From Sunday, which is 0.
        if name == "millisecond":
            return self.microsecond // 1000
        return int(getattr(self, name))

    getFullYear = getUTCFullYear = partialmethod(_part, "year")
    getMonth = getUTCMonth = partialmethod(_part, "month")
    getDate = getUTCDate = partialmethod(_part, "day")
    getDay = getUTCDay = partialmethod(_part, "weekday")
    getHours = getUTCHours = partialmethod(_part, "hour")
    getMinutes = getUTCMinutes = partialmethod(_part, "minute")
    getSeconds = getUTCSeconds = partialmethod(_part, "second")
    getMilliseconds = getUTCMilliseconds = partialmethod(_part, "millisecond")

    def toISOString(self) -> str:
        """The time as ISO 8601, such as "2026-01-01T00:00:00.000Z"."""
        return iso_text(self)

    def toJSON(self, key: Any = None) -> str:
        """The same; JSON.stringify calls it."""
        return iso_text(self)

    def toUTCString(self) -> str:
        """The time in the form of HTTP headers, such as "Thu, 01 Jan 2026 00:00:00 GMT"."""
        days = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
        return (
            f"{days[self._part('weekday')]}, {self.day:02} {_MONTHS[self.month - 1]} "
            f"{self.year:04} {self.hour:02}:{self.minute:02}:{self.second:02} GMT"
        )

    def toString(self) -> str:
        """The time as JavaScript shows it."""
        day = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")[self._part("weekday")]
        return (
            f"{day} {_MONTHS[self.month - 1]} {self.day:02} {self.year:04} {self.hour:02}:"
            f"{self.minute:02}:{self.second:02} GMT+0000 (Coordinated Universal Time)"
        )

    __str__ = toString

    def __repr__(self) -> str:
        return f"Date({self.toISOString()!r})"


_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def _iso_ms(found: re.Match[str]) -> int:
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    # V8 lets a day overflow into the next month, as long as some month has it.
    if not 1 <= int(day or 1) <= 31:
        raise ValueError(day)
    at = datetime(int(year), int(month or 1), 1, tzinfo=UTC)
    at += timedelta(days=int(day or 1) - 1)
    if hour == "24" and int(minute) == int(second or 0) == 0:
        at, hour = at + timedelta(days=1), "0"
    at = at.replace(hour=int(hour or 0), minute=int(minute or 0), second=int(second or 0))
    ms = ms_of_date(at) + int((fraction or "0").ljust(3, "0")[:3])
    if zone is not None and zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        ms -= int(zone[0] + "1") * (hours * 60 + minutes) * 60_000
    return ms


def iso_text(value: datetime) -> str:
    """A date as JavaScript's `toISOString` writes it."""
    ms = ms_of_date(value)
    at = date_of_ms(ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z".rjust(24, "0")
