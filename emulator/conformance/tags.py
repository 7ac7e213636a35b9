"""Tags: the values of a program that JSON lacks, and what each of them is written with.

Promises: every tag that a program may hold, with the fields it must and may have. Leaves to
others: making such values (tagged_values on the emulator, the interpreter worker on workerd).
"""

from __future__ import annotations

from typing import Any, Final

from emulator.errors import ConfigurationError, meant

__all__ = ["TAG", "check_value"]

TAG: Final = "$"

_ANY: Final = object
#: Tag: (fields it must have, fields it may have), each with the type of its value.
_FIELDS: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "undefined": ({}, {}),
    "number": ({"is": str}, {}),
    "bytes": ({"hex": str}, {"view": str}),
    "date": ({"ms": (int, float)}, {}),
    "invalid_date": ({}, {}),
    "map": ({"of": list}, {}),
    "set": ({"of": list}, {}),
    "bigint": ({"is": str}, {}),
    "error": ({"name": str, "message": str}, {"properties": dict}),
    "domexception": ({"name": str, "message": str}, {}),
    "cycle": ({}, {}),
    "object": ({"of": list}, {}),
    "nullproto": ({"of": list}, {}),
    "boxed": ({"is": _ANY}, {}),
    "repeat": ({"text": str, "times": int}, {}),
    "zeros": ({"bytes": int}, {}),
    "names": ({"text": str, "times": int}, {}),
    "entries": ({"text": str, "times": int}, {}),
    "now": ({}, {"plus": (int, float)}),
    "start": ({}, {"plus": (int, float)}),
    "ref": ({"of": str}, {}),
    "shared": ({"of": str}, {}),
    "plus": ({"of": str, "by": (int, float)}, {}),
    "function": ({}, {"throws": dict, "is": str}),
    "symbol": ({}, {}),
    "promise": ({}, {}),
    "instance": ({}, {}),
    "regexp": ({"source": str, "flags": str}, {}),
    "headers": ({"of": list}, {}),
    "typed": ({"class": str, "of": list}, {}),
    "lone_surrogate": ({}, {}),
    "weakmap": ({}, {}),
    "url": ({}, {}),
    "blob": ({}, {}),
    "generator": ({}, {}),
    "stream": ({}, {"chunks": list, "fails": dict}),
    "response": ({}, {"body": _ANY, "status": int, "headers": list}),
    "request": ({}, {"body": _ANY, "url": str, "method": str, "headers": list}),
    "transform": ({}, {}),
    "target": ({}, {}),
    "upgrade": ({"of": _ANY}, {}),
    "auto_response": ({"of": list}, {}),
}
_NUMBERS: Final = ("NaN", "-0", "Infinity", "-Infinity")


def check_value(value: Any, where: str) -> None:
    """Refuse a value with a tag that nobody knows, or one that lacks a field.

    Args:
        value: JSON.
        where: The program, step and op, for the error.

    Raises:
        ConfigurationError: It names the place and the tag.
    """
    if isinstance(value, list):
        for item in value:
            check_value(item, where)
    elif isinstance(value, dict):
        if TAG in value:
            _check_tagged(value, where)
        else:
            for item in value.values():
                check_value(item, where)


def _check_tagged(value: dict[str, Any], where: str) -> None:
    tag = value[TAG]
    if not isinstance(tag, str) or tag not in _FIELDS:
        hint = meant(str(tag), _FIELDS)
        message = f"{where}: there is no tagged value {tag!r}{hint}"
        raise ConfigurationError(message)
    required, optional = _FIELDS[tag]
    known = {**required, **optional}
    for name, given in value.items():
        if name == TAG:
            continue
        if name not in known:
            message = f"{where}: the tagged value {tag!r} has no field {name!r}"
            raise ConfigurationError(message)
        kind = known[name]
        if not isinstance(given, kind) or (isinstance(given, bool) and kind is not _ANY):
            message = f"{where}: the field {name!r} of the tagged value {tag!r} is {given!r}"
            raise ConfigurationError(message)
    for name in required:
        if name not in value:
            message = f"{where}: the tagged value {tag!r} lacks its field {name!r}"
            raise ConfigurationError(message)
    _check_inside(tag, value, where)


def _check_inside(tag: str, value: dict[str, Any], where: str) -> None:
    """What the type of a field does not say."""
    wrong: Any = None
    if tag == "number" and value["is"] not in _NUMBERS:
        wrong = f"one of {', '.join(_NUMBERS)}"
    elif tag == "bytes":
        try:
            bytes.fromhex(value["hex"])
        except ValueError:
            wrong = "an even number of hex digits"
    elif tag == "bigint" and not value["is"].lstrip("-").isdigit():
        wrong = "a whole number in digits"
    elif tag in ("map", "object", "nullproto", "headers"):
        for pair in value["of"]:
            if not isinstance(pair, list) or len(pair) != 2:
                wrong = "a list of pairs [key, value]"
                break
            check_value(pair, where)
    elif tag in ("set", "typed", "upgrade", "auto_response"):
        check_value(value["of"], where)
    elif tag in ("stream", "response", "request"):
        check_value([value.get("chunks"), value.get("body")], where)
    elif tag in ("repeat", "names", "entries") and value["times"] < 0:
        wrong = "a number of times from 0"
    elif tag == "zeros" and value["bytes"] < 0:
        wrong = "a number of bytes from 0"
    if wrong is not None:
        message = f"{where}: the tagged value {tag!r} needs {wrong}, got {value!r}"
        raise ConfigurationError(message)
