"""Conditions: the `onlyIf` option of get and put.

Promises: R2's truth table (Cloudflare docs, R2, Conditional operations; Miniflare's
r2/validator), with times in milliseconds compared strictly, and etag lists, weak tags and `*`
from Headers. Leaves to others: what happens when a condition fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, final

from emulator.bindings.r2.errors import option_type_error
from emulator.bindings.r2.metadata import date_option
from emulator.errors import JsException, js_error
from emulator.values import undefined
from emulator.values.conversion import ms_of_date

if TYPE_CHECKING:
    from emulator.bindings.r2.record import ObjectRecord

__all__ = ["Condition", "condition_of"]


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for an operation to happen.

    Attributes:
        matches: Etags of which the object must bear one; None is no such condition.
        differs: Etags of which it must bear none.
        before_ms: It must have been uploaded before this.
        after_ms: It must have been uploaded after this.
        is_seconds: Times are compared in whole seconds.

    An etag is its text and whether it is strong; "*" is any object.
    """

    matches: tuple[tuple[str, bool], ...] | None
    differs: tuple[tuple[str, bool], ...] | None
    before_ms: int | None
    after_ms: int | None
    is_seconds: bool

    def holds(self, record: ObjectRecord | None) -> bool:
        """Whether it holds for this object, or for none."""
        if record is None:
            return self.matches is None and self.after_ms is None
        etag = record.etag
        matched = self.matches is None or any(
            text == "*" or (is_strong and text == etag) for text, is_strong in self.matches
        )
        differed = self.differs is None or not any(
            text in ("*", etag) for text, _ in self.differs
        )
        uploaded = self._scale(record.uploaded_ms)
        modified = (
            self.after_ms is None
            or self._scale(self.after_ms) < uploaded
            or (self.differs is not None and differed)
        )
        unmodified = (
            self.before_ms is None
            or uploaded < self._scale(self.before_ms)
            or (self.matches is not None and matched)
        )
        return matched and differed and modified and unmodified

    def _scale(self, time_ms: int) -> int:
        return time_ms // 1000 if self.is_seconds else time_ms


def condition_of(value: Any) -> Condition | None:
    """The `onlyIf` option: an object, or Headers.

    Raises:
        JsTypeError: A field has the wrong type, or an etag is wrapped in quotes.
        JsException: An etag header cannot be read.
    """
    if value is None or value is undefined:
        return None
    if not isinstance(value, dict):
        if not (hasattr(value, "get") and hasattr(value, "has")):
            raise option_type_error("onlyIf", "GetOptions", "Conditional or Headers")
        return _of_headers(value)
    times = [
        None
        if (time := value.get(field)) is None or time is undefined
        else ms_of_date(date_option(time, field, "Conditional"))
        for field in ("uploadedBefore", "uploadedAfter")
    ]
    condition = Condition(
        _option_etag(value.get("etagMatches"), "etagMatches"),
        _option_etag(value.get("etagDoesNotMatch"), "etagDoesNotMatch"),
        times[0],
        times[1],
        value.get("secondsGranularity") is True,
    )
    return condition


def _option_etag(value: Any, field: str) -> tuple[tuple[str, bool], ...] | None:
    if value is None or value is undefined:
        return None
    if not isinstance(value, str):
        raise option_type_error(field, "Conditional", "string")
    if len(value) >= 2 and value[0] == value[-1] == '"':
        text = f"Conditional ETag should not be wrapped in quotes ({value})."
        raise js_error("TypeError", text)
    return ((value, True),)


def _of_headers(headers: Any) -> Condition:
    return Condition(
        _header_etags(headers.get("if-match"), "if-match"),
        _header_etags(headers.get("if-none-match"), "if-none-match"),
        _header_ms(headers.get("if-unmodified-since")),
        _header_ms(headers.get("if-modified-since")),
        is_seconds=True,
    )


def _header_ms(text: str | None) -> int | None:
    """A date header; one that cannot be read is no condition."""
    if text is None:
        return None
    try:
        date: datetime = parsedate_to_datetime(text)
    except ValueError:
        return None
    return ms_of_date(date if date.tzinfo else date.replace(tzinfo=UTC))


def _header_etags(text: str | None, header: str) -> tuple[tuple[str, bool], ...] | None:
    """A list of etags by workerd's grammar (r2-bucket.c++, parseConditionalEtagHeader)."""
    if text is None:
        return None
    etags: list[tuple[str, bool]] = []
    rest = text.strip(" \t")
    while rest:
        if rest[0] == "*":
            return (("*", True),)
        is_strong = True
        if rest.startswith("W/"):
            is_strong = False
            rest = rest[2:]
            if not rest.startswith('"'):
                raise JsException(
                    "Weak etags must start with W/ and their value must be quoted"
                )
        if rest[0] != '"':
            raise JsException(f"Invalid ETag in {header} header")
        end = rest.find('"', 1)
        if end < 0:
            raise JsException("Unclosed double quote for Etag")
        etags.append((rest[1:end], is_strong))
        rest = rest[end + 1 :].lstrip(" \t")
        if rest.startswith('"'):
            raise JsException(
                "Comma was expected to separate etags. Encountered a double quote character "
                "'\"' instead. This would otherwise indicate the start of a new strong etag."
            )
        rest = rest.lstrip(", \t")
    if not etags:
        raise JsException(f"Invalid ETag in {header} header")
    return tuple(etags)
