"""Ranges: which bytes a `get` asks for.

Promises: workerd's checks of the `range` option (r2-bucket.c++), R2's rule for what cannot be
satisfied, and the lenient reading of a Range header. Leaves to others: reading the bytes.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final, NamedTuple

from emulator.bindings.r2.errors import INVALID_RANGE, option_type_error, r2_error
from emulator.errors import js_error
from emulator.values import undefined

__all__ = ["RangeRequest", "byte_range", "range_request"]

_HEADER: Final = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)


class RangeRequest(NamedTuple):
    """A range before the object's size is known."""

    offset: int | None
    length: int | None
    suffix: int | None
    is_lenient: bool = False


def _number(value: Any, what: str, label: str) -> int | None:
    """A member as a whole number that is not negative; None if it is absent."""
    if value is None or value is undefined:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if number == math.inf:
        return 2**63
    shown = "nan" if math.isnan(number) else "-inf" if math.isinf(number) else f"{number:g}"
    if number < 0:
        text = f"Invalid {what}. {label} ({shown}) must be greater than or equal to 0."
        raise js_error("RangeError", text)
    if not number.is_integer():
        # The platform says "range" here for a suffix as well.
        text = f"Invalid range. {label} ({shown}) must be an integer, not floating point."
        raise js_error("RangeError", text)
    return int(number)


def range_request(value: Any) -> RangeRequest | None:
    """The `range` option: an object, or Headers whose Range header counts.

    Raises:
        JsRangeError: For a number that is negative or no integer.
        JsTypeError: For a suffix together with an offset or a length.
    """
    if value is None or value is undefined:
        return None
    if not isinstance(value, dict):
        if not hasattr(value, "get"):
            raise option_type_error("range", "GetOptions", "Range or Headers")
        return _header_request(value.get("range"))
    offset = _number(value.get("offset"), "range", "Starting offset")
    length = _number(value.get("length"), "range", "Length")
    suffix = _number(value.get("suffix"), "suffix", "Suffix")
    if suffix is not None:
        if offset is not None:
            raise js_error("TypeError", "Suffix is incompatible with offset.")
        if length is not None:
            raise js_error("TypeError", "Suffix is incompatible with length.")
    if offset is None and length is None and suffix is None:
        return None
    return RangeRequest(offset, length, suffix)


def _header_request(text: str | None) -> RangeRequest | None:
    match = _HEADER.fullmatch(text) if text else None
    if match is None:
        return None
    first, last = match.groups()
    if first:
        offset = int(first)
        length = int(last) - offset + 1 if last else None
        if length is not None and length <= 0:
            return None
        return RangeRequest(offset, length, None, is_lenient=True)
    return RangeRequest(None, None, int(last), is_lenient=True) if last else None


def byte_range(request: RangeRequest | None, size_bytes: int) -> tuple[int, int]:
    """Offset and length of what is asked for, in an object of `size_bytes`.

    Raises:
        JsException: If it cannot be satisfied (10039). A header never errs: it then means
            the whole object.
    """
    if request is None:
        return 0, size_bytes
    if request.suffix is not None:
        length = min(request.suffix, size_bytes)
        offset = size_bytes - length
    else:
        offset = request.offset or 0
        length = size_bytes - offset
        if request.length is not None:
            length = min(request.length, length)
    if length > 0:
        return offset, length
    if request.is_lenient:
        return 0, size_bytes
    raise r2_error("get", INVALID_RANGE)
