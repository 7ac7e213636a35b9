"""Arguments: what workerd's binding layer makes of what worker code passes in.

Promises: keys become strings as JavaScript would make them, options are a dict or camelCase
keywords, and what does not fit is refused with the platform's words. Leaves to others: what
the arguments are for. Rules and texts as measured on workerd (its jsg library).
"""

from __future__ import annotations

import math
import warnings
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emulator.errors import JsTypeError
from emulator.values import undefined
from emulator.values.text import well_formed
from emulator.web.js_object import JsObject

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "KeyRange",
    "js_number",
    "js_string",
    "key_range",
    "merged_options",
    "text_of",
    "warn_of_snake_case",
    "wrong_type",
]

_INT32_MAX: Final = 2**31 - 1
_LAST_CHARACTER: Final = chr(0x10FFFF)


def wrong_type(method: str, owner: str, position: int, expected: str) -> JsTypeError:
    """The error for an argument of the wrong type."""
    return JsTypeError(
        f"Failed to execute '{method}' on '{owner}': parameter {position} is not of type "
        f"'{expected}'."
    )


def js_string(value: object) -> str:
    """`String(value)`, for what Python code is likely to hand in."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number_text(value)
    if isinstance(value, (list, tuple)):
        return ",".join(
            "" if item is None or item is undefined else js_string(item) for item in value
        )
    if isinstance(value, (set, frozenset)):
        return "[object Set]"
    if isinstance(value, dict):
        return "[object Object]"
    if isinstance(value, datetime):
        return _date_text(value)
    if callable(value) and hasattr(value, "__name__"):
        # JavaScript quotes the source; this is how it quotes a function that has none.
        return f"function {value.__name__}() {{ [native code] }}"
    if isinstance(value, JsObject) and type(value).__str__ is object.__str__:
        return f"[object {value.constructor.name}]"
    return str(value)


def _date_text(value: datetime) -> str:
    """A Date as JavaScript shows it in UTC, the only time zone of Workers."""
    utc = value.replace(tzinfo=None) - (value.utcoffset() or timedelta())
    # Names of days and months in English, whatever the locale.
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[utc.weekday()]
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[utc.month * 3 - 3 : utc.month * 3]
    clock = f"{utc.hour:02}:{utc.minute:02}:{utc.second:02}"
    return (
        f"{day} {month} {utc.day:02} {utc.year:04} {clock} GMT+0000 "
        "(Coordinated Universal Time)"
    )


def _number_text(value: float) -> str:
    """ECMA-262, Number::toString: the shortest digits, but other exponents than Python."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if not value:
        return "0"  # So is -0.
    mantissa, mark, power = repr(value).partition("e")
    if not mark:
        return mantissa.removesuffix(".0")
    exponent = int(power)
    if exponent < -6 or exponent >= 21:
        return f"{mantissa.removesuffix('.0')}e{exponent:+d}"
    sign = "-" if value < 0 else ""
    digits = mantissa.removeprefix("-").replace(".", "")
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    return f"{sign}{digits.ljust(exponent + 1, '0')}"


def text_of(value: object) -> str:
    """A storage key as SQLite keeps it."""
    if type(value) is str and value.isascii():
        return value
    return well_formed(value if type(value) is str else js_string(value))


def merged_options(
    options: object,
    keywords: dict[str, Any],
    method: str,
    owner: str,
    position: int,
    expected: str,
) -> dict[str, Any]:
    """Options from a dict and from keywords, as one mapping.

    A keyword that is None counts as not given, as Python programmers mean it; None in a
    dict is JavaScript's null.

    Raises:
        JsTypeError: If `options` is neither a mapping nor null nor undefined.
    """
    if options is None or options is undefined:
        if not keywords:
            return keywords
        options = {}
    elif not isinstance(options, dict):
        raise wrong_type(method, owner, position, expected)
    warn_of_snake_case(f"{owner}.{method}", {**options, **keywords})
    given = {name: value for name, value in options.items() if value is not undefined}
    given.update(
        (name, value)
        for name, value in keywords.items()
        if value is not None and value is not undefined
    )
    return given


def warn_of_snake_case(method: str, options: Mapping[str, Any]) -> None:
    """Name the options that the platform passes over, because they are spelled as in Python.

    Args:
        method: Whose options they are.
        options: As they were given.
    """
    for name in options:
        if "_" in str(name):
            first, *rest = str(name).split("_")
            camel = first + "".join(part.capitalize() for part in rest)
            warnings.warn(
                f"{method} has no option {name!r} and ignores it, as the platform does: its "
                f"options are in camelCase, so {camel!r}",
                stacklevel=4,
            )


class KeyRange(NamedTuple):
    """Which keys a `list` is about, in UTF-8 order.

    Attributes:
        low: The first key, or what all keys come after.
        is_low_excluded: `low` itself is not in it.
        high: All keys come before it; None is no end.
        is_reverse: From the last to the first.
        limit: How many at most; None is all.
    """

    low: str
    is_low_excluded: bool
    high: str | None
    is_reverse: bool
    limit: int | None

    @property
    def is_empty(self) -> bool:
        """Whether no key can be in it."""
        # The next text after one is that one and a zero.
        low = self.low + "\0" if self.is_low_excluded else self.low
        return self.high is not None and low >= self.high


def key_range(options: Mapping[str, Any]) -> KeyRange:
    """What the options of `list` ask for.

    Raises:
        JsTypeError: If start and startAfter are both given, or the limit is not positive.
    """
    if not options:
        return KeyRange("", False, None, False, None)  # noqa: FBT003  The fields have names.
    limit = _limit(options["limit"]) if "limit" in options else None
    if "start" in options and "startAfter" in options:
        message = "list() cannot be called with both start and startAfter values."
        raise JsTypeError(message)
    low, is_low_excluded = text_of(options.get("start", "")), False
    if "startAfter" in options:
        low, is_low_excluded = text_of(options["startAfter"]), True
    high = text_of(options["end"]) if "end" in options else None
    prefix = text_of(options.get("prefix", ""))
    if prefix > low:
        low, is_low_excluded = prefix, False
    after = _after_prefix(prefix)
    if after is not None and (high is None or after < high):
        high = after
    return KeyRange(low, is_low_excluded, high, bool(options.get("reverse")), limit)


def _after_prefix(prefix: str) -> str | None:
    """The least text that is greater than everything with the prefix; None if none is."""
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    if 0xD800 <= following <= 0xDFFF:
        following = 0xE000  # Surrogates are no characters of their own.
    return stem[:-1] + chr(following)


def _limit(value: object) -> int:
    number = js_number(value)
    if math.isnan(number) or math.isinf(number):
        number = 0
    if not -_INT32_MAX - 1 <= number <= _INT32_MAX:
        message = (
            f"Value out of range. Must be between {-_INT32_MAX - 1} and {_INT32_MAX} "
            "(inclusive)."
        )
        raise JsTypeError(message)
    if int(number) <= 0:
        message = "List limit must be positive."
        raise JsTypeError(message)
    return int(number)


def js_number(value: object) -> float:
    """`Number(value)`, for what Python code is likely to hand in."""
    if isinstance(value, (int, float)):
        return value
    if value is None:
        return 0
    try:
        return float(js_string(value) or 0)
    except ValueError:
        return math.nan
