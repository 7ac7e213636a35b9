"""Listing: one page of a bucket's keys.

Promises: order by UTF-8 bytes, groups by delimiter, a limit that counts objects and groups,
and a cursor behind the last key that the page covered. Leaves to others: the metadata that a
page includes.
"""

from __future__ import annotations

import base64
import binascii
import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from emulator.bindings.r2.errors import (
    INVALID_MAX_KEYS,
    UNSPECIFIED,
    element_type_error,
    option_type_error,
    r2_error,
)
from emulator.errors import js_error
from emulator.values import undefined

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIMIT_MAX", "ListRequest", "Page", "list_request", "page_of"]

# Cloudflare docs, R2, Workers API reference.
LIMIT_MAX: Final = 1_000

_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_INCLUDABLE: Final = ("httpMetadata", "customMetadata")


@final
@dataclass(frozen=True, slots=True)
class ListRequest:
    """The options of a list, checked."""

    prefix: str
    delimiter: str
    start_after: str
    cursor: str
    limit: int
    include: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Page:
    """The keys and groups of one page; the cursor is None on the last."""

    keys: list[str]
    groups: list[str]
    cursor: str | None


def _text(options: Mapping[str, Any], field: str) -> str:
    value = options.get(field)
    if value is None or value is undefined:
        return ""
    if not isinstance(value, str):
        raise option_type_error(field, "ListOptions", "string")
    return value


def list_request(options: Mapping[str, Any]) -> ListRequest:
    """The options of a list.

    Raises:
        JsTypeError: A text is none.
        JsRangeError: `include` names something else than metadata.
    """
    include = options.get("include")
    names: tuple[str, ...] = ()
    if include is not None and include is not undefined:
        if not isinstance(include, list | tuple):
            raise option_type_error("include", "ListOptions", "Array")
        for index, name in enumerate(include):
            if not isinstance(name, str):
                raise element_type_error(index, "string")
            if name not in _INCLUDABLE:
                raise js_error("RangeError", f"Unsupported include value {name}")
        names = tuple(include)
    return ListRequest(
        _text(options, "prefix"),
        _text(options, "delimiter"),
        _text(options, "startAfter"),
        _text(options, "cursor"),
        _limit(options.get("limit")),
        names,
    )


def _limit(value: Any) -> int:
    """The limit as a 32-bit integer by JavaScript's rules; -1 means unset on the wire."""
    if value is None or value is undefined:
        return LIMIT_MAX
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    limit = int(number) if math.isfinite(number) else 0
    return LIMIT_MAX if limit == -1 else limit


def _decode_cursor(cursor: str, *, is_strict: bool) -> str:
    try:
        data = cursor.encode("ascii").translate(_URL_SAFE)
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (UnicodeError, binascii.Error):
        if not is_strict:
            return base64.b64decode(cursor.encode()).decode("utf-8", "replace")
        raise r2_error("list", UNSPECIFIED) from None


def _encode_cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode("ascii")


def page_of(keys: list[str], request: ListRequest, page_size: int, *, is_strict: bool) -> Page:
    """One page.

    Args:
        keys: All keys of the bucket, sorted.
        request: What is asked for.
        page_size: Objects and groups on a page, at most the limit.
        is_strict: Whether a cursor that no list gave is an error, or names some key.

    Raises:
        JsException: The limit is out of range (10022), or the cursor is none of ours.
    """
    if not 1 <= request.limit <= LIMIT_MAX:
        raise r2_error("list", INVALID_MAX_KEYS)
    prefix, delimiter = request.prefix, request.delimiter
    after = request.start_after
    if request.cursor:
        after = max(after, _decode_cursor(request.cursor, is_strict=is_strict))
    index = bisect_left(keys, prefix)
    if after:
        index = max(index, bisect_right(keys, after))
    found: list[str] = []
    groups: list[str] = []
    last = ""
    while index < len(keys) and keys[index].startswith(prefix):
        if len(found) + len(groups) >= page_size:
            return Page(found, groups, _encode_cursor(last))
        key = keys[index]
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            found.append(key)
            index += 1
        else:
            group = key[: cut + len(delimiter)]
            groups.append(group)
            while index < len(keys) and keys[index].startswith(group):
                index += 1
        # Behind the last key inside of a group, so that no page shows it again.
        last = keys[index - 1]
    return Page(found, groups, None)
