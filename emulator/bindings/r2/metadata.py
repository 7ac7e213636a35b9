"""Metadata: what travels with an object besides its bytes.

Promises: the six fields of `httpMetadata` from an object or from Headers, custom metadata as
strings with case and order kept, and the size limit. Leaves to others: when it is checked.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from emulator.bindings.r2.errors import METADATA_TOO_LARGE, option_type_error, r2_error
from emulator.durable_objects.arguments import text_of
from emulator.values import JsDict, undefined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.bindings.r2.profile import R2Profile

__all__ = [
    "HTTP_FIELDS",
    "check_metadata_size",
    "custom_metadata_of",
    "date_option",
    "http_metadata_of",
    "shown_http_metadata",
    "write_http_metadata",
]

#: Fields of `httpMetadata` that are strings, with the header that each one is.
HTTP_FIELDS: Final = {
    "contentType": "content-type",
    "contentLanguage": "content-language",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "cacheControl": "cache-control",
}


def date_option(value: Any, field: str, struct: str) -> datetime:
    """A Date option: a datetime (naive means UTC) or a number of epoch milliseconds.

    Raises:
        JsTypeError: If it is anything else; a string is no date here.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000, tz=UTC)
    raise option_type_error(field, struct, "date")


def http_metadata_of(value: Any, struct: str) -> dict[str, Any]:
    """The `httpMetadata` option as its known fields; only those that were given.

    Args:
        value: An object or Headers.
        struct: The options' name in error texts.

    Raises:
        JsTypeError: If it is neither, or a field has the wrong type.
    """
    if value is undefined or value is None:
        return {}
    if isinstance(value, dict):
        fields: dict[str, Any] = {
            name: text_of(value[name])
            for name in HTTP_FIELDS
            if value.get(name, undefined) is not undefined and value[name] is not None
        }
        expiry = value.get("cacheExpiry")
        if expiry is not None and expiry is not undefined:
            fields["cacheExpiry"] = date_option(expiry, "cacheExpiry", "HttpMetadata")
        return fields
    if not (hasattr(value, "get") and hasattr(value, "has")):
        raise option_type_error("httpMetadata", struct, "HttpMetadata or Headers")
    fields = {}
    for name, header in HTTP_FIELDS.items():
        text = value.get(header)
        if text is not None:
            fields[name] = text
    expires = value.get("expires")
    if expires is not None:
        with contextlib.suppress(ValueError):
            fields["cacheExpiry"] = parsedate_to_datetime(expires).astimezone(UTC)
    return fields


def custom_metadata_of(value: Any, struct: str) -> dict[str, str]:
    """The `customMetadata` option with every value as a string.

    Raises:
        JsTypeError: If it is not an object.
    """
    if value is undefined:
        return {}
    if not isinstance(value, dict):
        raise option_type_error("customMetadata", struct, "object")
    return {text_of(name): text_of(text) for name, text in value.items()}


def _size(text: str, profile: R2Profile) -> int:
    if not profile.metadata_counts_utf16:
        return len(text) if text.isascii() else len(text.encode())
    units = len(text) + sum(character > "\uffff" for character in text)
    return units * 2 if any(character > "\xff" for character in text) else units


def check_metadata_size(metadata: Mapping[str, str], profile: R2Profile, method: str) -> None:
    """Refuse more custom metadata than an object may have.

    Raises:
        JsException: If it is too much (10012).
    """
    if not metadata:
        return
    size_bytes = sum(
        _size(name, profile) + _size(text, profile) for name, text in metadata.items()
    )
    if size_bytes > profile.metadata_bytes_max:
        raise r2_error(method, METADATA_TOO_LARGE)


def shown_http_metadata(fields: Mapping[str, Any]) -> JsDict:
    """The fields as worker code sees them: all six, those that are missing as None."""
    shown = JsDict((name, fields.get(name)) for name in HTTP_FIELDS)
    shown["cacheExpiry"] = fields.get("cacheExpiry")
    return shown


def write_http_metadata(fields: Mapping[str, Any], headers: Any) -> None:
    """Set the headers that the fields stand for; others stay as they are."""
    for name, header in HTTP_FIELDS.items():
        if name in fields:
            headers.set(header, fields[name])
    if "cacheExpiry" in fields:
        headers.set("expires", format_datetime(fields["cacheExpiry"], usegmt=True))
