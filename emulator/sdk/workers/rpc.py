"""RPC: what Python's values become on their way to JavaScript, and back.

Promises: `python_to_rpc` and `python_from_rpc` with the conversions and the refusals of
Cloudflare's package. Leaves to others: the call itself, which copies (structured clone).
"""

from __future__ import annotations

import inspect
import re
from datetime import datetime
from typing import Any

from emulator.errors import JsException
from emulator.sdk.js.date import JsDate
from emulator.sdk.js.objects import Object
from emulator.sdk.pyodide.conversion import to_js
from emulator.sdk.pyodide.proxies import create_proxy
from emulator.values.js_map import JsMap
from emulator.web.js_dict import JsDict
from emulator.web.js_object import JsArray, JsObject

__all__ = ["JsDict", "python_from_rpc", "python_to_rpc"]


def python_to_rpc(value: Any) -> Any:
    """A value as JavaScript gets it over RPC.

    Raises:
        TypeError: For a tuple, a bytearray, a regular expression or something that should
            have been awaited, also within lists, dicts and sets.
    """
    _refuse(value)
    return to_js(value, default_converter=_to_rpc, dict_converter=Object.fromEntries)


def _refuse(value: Any) -> None:
    if isinstance(value, JsObject) or (callable(value) and not isinstance(value, type)):
        return
    if isinstance(value, re.Pattern):
        raise TypeError("RegExp cannot be sent over RPC.")
    if isinstance(value, tuple | bytearray):
        raise TypeError(f"{type(value)} cannot be sent over RPC.")
    if inspect.isawaitable(value):
        raise TypeError(f"Awaitable {type(value)} cannot be sent over RPC.")
    if isinstance(value, dict):
        for item in value.values():
            _refuse(item)
    elif isinstance(value, list | set | frozenset):
        for item in value:
            _refuse(item)


def _to_rpc(value: Any, convert: Any, cache: Any) -> Any:
    if isinstance(value, datetime):
        return JsDate.new(value)
    if isinstance(value, Exception):
        return JsException(str(value))
    if callable(value) and not isinstance(value, type):
        return create_proxy(value)
    return value


def python_from_rpc(obj: Any) -> Any:
    """A value as Python gets it from RPC: objects are dicts with attributes.

    Dates are datetimes without a time zone, in UTC, and Errors plain exceptions.
    """
    if isinstance(obj, JsDate):
        return _naive(obj)
    if isinstance(obj, JsException):
        return Exception(str(obj))
    if isinstance(obj, JsDict | JsMap):
        return JsDict((key, python_from_rpc(item)) for key, item in obj.items())
    if isinstance(obj, JsArray):
        return [python_from_rpc(item) for item in obj]
    return obj


def _naive(date: JsDate) -> datetime:
    fields = (date.year, date.month, date.day, date.hour, date.minute, date.second)
    return datetime(*fields, date.microsecond)  # noqa: DTZ001  # Cloudflare's are naive.
