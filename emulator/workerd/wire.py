"""wire: how values cross between Python and the real runtime.

Promises: what JSON lacks (bytes, dates, undefined, NaN, errors, ...) is tagged and survives
both ways, and arrives as the emulator shows it; an error of the platform is a `JsException`.
The other end is front.mjs. Leaves to others: sending it (world).
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from datetime import datetime
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import JsException, js_error
from emulator.values import JsDict, JsMap, undefined
from emulator.values.conversion import (
    FLAGS,
    SAFE_INTEGER_MAX,
    date_of_ms,
    error_fields,
    hashable,
    ms_of_date,
    number_of_float,
    pattern_of,
    regexp_flags,
    regexp_letters,
    regexp_of,
    typed_array,
    view_of,
)
from emulator.values.refusals import refusal
from emulator.web.headers import Headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["decode", "decode_error", "dumps", "encode", "error_facts", "loads"]

_TAG: Final = "$"


def encode(value: Any) -> Any:
    """A value as JSON with tags.

    Raises:
        JsException: DataCloneError, if it cannot be a JavaScript value, or contains itself.
    """
    try:
        return _encode(value)
    except RecursionError:
        text = (
            "A value that contains itself, or is nested too deeply, cannot be carried to the "
            "real runtime."
        )
        raise js_error("DataCloneError", text) from None


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX:
            return int(value)
        return {_TAG: "bigint", "is": str(value)}
    if isinstance(value, float):
        return _encode_float(value)
    if value is undefined:
        return {_TAG: "undefined"}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return _encode_dict(value)
    if isinstance(value, set | frozenset):
        # Set semantics: the order has no meaning on either side.
        return {_TAG: "set", "of": [_encode(item) for item in value]}
    if isinstance(value, datetime):
        return {_TAG: "date", "ms": ms_of_date(value)}
    if isinstance(value, re.Pattern):
        source, bits = regexp_of(value)
        return {_TAG: "regexp", "source": source, "flags": regexp_letters(bits)}
    if isinstance(value, Headers):
        return {_TAG: "headers", "of": [list(pair) for pair in value.items()]}
    if isinstance(value, Exception):
        return {_TAG: "error", **error_facts(value)}
    return _encode_buffer(value)


def _encode_float(value: float) -> Any:
    if isfinite(value):
        return {_TAG: "number", "is": "-0"} if value == 0 and str(value) == "-0.0" else value
    if isnan(value):
        return {_TAG: "number", "is": "NaN"}
    return {_TAG: "number", "is": "Infinity" if value > 0 else "-Infinity"}


def _encode_dict(value: Mapping[Any, Any]) -> Any:
    if isinstance(value, JsMap) or not all(isinstance(key, str) for key in value):
        return {_TAG: "map", "of": [[_encode(k), _encode(v)] for k, v in value.items()]}
    if _TAG in value:
        return {_TAG: "object", "of": [[k, _encode(v)] for k, v in value.items()]}
    return {key: _encode(item) for key, item in value.items()}


def _encode_buffer(value: Any) -> Any:
    view = view_of(value)
    if view is None:
        raise refusal(value)
    tag, data = view
    return {_TAG: "bytes", "view": tag, "base64": b64encode(data).decode("ascii")}


def error_facts(error: BaseException) -> dict[str, Any]:
    """What an exception tells the other side."""
    if not isinstance(error, JsException):
        name = type(error).__name__
        return {"name": "Error" if name == "Exception" else name, "message": str(error)}
    facts: dict[str, Any] = {name: getattr(error, name) for name in FLAGS}
    properties = {name: encode(value) for name, value in error.properties.items()}
    return {**facts, "name": error.name, "message": error.message, "properties": properties}


def decode(value: Any) -> Any:
    """The value of JSON with tags, as worker code in Python would see it.

    Raises:
        KeyError: For a tag that only a room above knows.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get(_TAG)
    if tag is None:
        return JsDict((key, decode(item)) for key, item in value.items())
    return _DECODERS[tag](value)


def decode_error(facts: Mapping[str, Any]) -> JsException:
    """The exception of an error on the other side."""
    flags = {name: facts.get(name) is True for name in FLAGS}
    error = js_error(facts["name"], facts["message"], **flags)
    error.properties = {k: decode(item) for k, item in facts.get("properties", {}).items()}
    return error


def _decode_number(value: dict[str, Any]) -> float:
    return float(value["is"].replace("Infinity", "inf"))


def _decode_error_value(value: dict[str, Any]) -> JsException:
    # As a clone has it: a built-in class, or a plain Error.
    name, message = error_fields(decode_error(value))
    return js_error(name, message or "")


def _decode_regexp(value: dict[str, Any]) -> re.Pattern[str]:
    return pattern_of(value["source"], regexp_flags(value["flags"]))


_DECODERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "undefined": lambda value: None,
    "number": _decode_number,
    "bigint": lambda value: int(value["is"]),
    "bytes": lambda value: typed_array(value["view"], b64decode(value["base64"])),
    "date": lambda value: date_of_ms(decode(value["ms"])),
    "map": lambda value: JsMap((hashable(decode(k)), decode(v)) for k, v in value["of"]),
    "set": lambda value: {hashable(decode(item)) for item in value["of"]},
    "object": lambda value: JsDict((key, decode(item)) for key, item in value["of"]),
    "regexp": _decode_regexp,
    "error": _decode_error_value,
}


def dumps(value: Any) -> bytes:
    """JSON on one line."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def loads(line: bytes) -> Any:
    """JSON whose numbers are JavaScript's."""
    return json.loads(
        line,
        parse_int=lambda text: number_of_float(float(text)),
        parse_float=lambda text: number_of_float(float(text)),
    )
