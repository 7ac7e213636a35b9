"""Tagged values: a program's JSON as Python values on the emulator, and results as JSON again.

Promises: what the interpreter worker writes for a value on workerd is what is written here for
the value's counterpart in Python. Leaves to others: which tags there are (tags), and making
both writings alike where the languages differ (normalise).
"""

from __future__ import annotations

import hashlib
import re
from array import array
from datetime import datetime
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Final, Protocol

from emulator.bindings.r2.multipart import R2MultipartUpload
from emulator.bindings.r2.objects import R2Object
from emulator.conformance.tags import TAG
from emulator.conformance.web_values import WEB_DECODERS
from emulator.durable_objects.arguments import js_number
from emulator.durable_objects.settled import Settled
from emulator.errors import JsException, js_error
from emulator.values import JsMap, undefined
from emulator.values.conversion import (
    FLAGS,
    SAFE_INTEGER_MAX,
    date_of_ms,
    hashable,
    ms_of_date,
    pattern_of,
    regexp_flags,
    regexp_letters,
    regexp_of,
    set_own_properties,
    typed_array,
    view_of,
)
from emulator.values.text import well_formed
from emulator.web.headers import Headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["LONG_MAX", "Caught", "Scope", "decode", "encode", "error_facts"]

#: Longer texts and bytes are given by length and digest.
LONG_MAX: Final = 200

#: V8's tags of views, by the names of their classes.
_VIEW_TAGS: Final = {
    "Int8Array": "b",
    "Uint8Array": "B",
    "Uint8ClampedArray": "C",
    "Int16Array": "w",
    "Uint16Array": "W",
    "Int32Array": "d",
    "Uint32Array": "D",
    "Float32Array": "f",
    "Float64Array": "F",
    "BigInt64Array": "q",
    "BigUint64Array": "Q",
    "DataView": "?",
    "ArrayBuffer": "B",
}
_VIEW_NAMES: Final = {tag: name for name, tag in _VIEW_TAGS.items() if name != "ArrayBuffer"}
_BUILT_IN_ERRORS: Final = frozenset(
    {"Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError", "EvalError",
     "URIError"}
)  # fmt: skip
#: What shows of an R2 object, as the interpreter worker shows it.
_R2_FIELDS: Final = (
    "key", "version", "size", "etag", "httpEtag", "uploaded", "httpMetadata",
    "customMetadata", "range", "storageClass",
)  # fmt: skip


_DIGESTS: Final = ("md5", "sha1", "sha256", "sha384", "sha512")


class Scope(Protocol):
    """What a value may refer to."""

    def ref(self, name: str) -> Any:
        """What an op has kept under a name; undefined if none has yet."""

    def shared(self, name: str) -> Any:
        """What any object has shared under a name."""

    def now_ms(self) -> int:
        """The time, in epoch milliseconds."""

    def start_ms(self) -> int:
        """When the program began."""

    def target(self) -> Any:
        """A new RpcTarget."""


class Custom:
    """A class of the worker's own: no platform can know it."""

    def __init__(self) -> None:
        self.a = 1


class Caught:
    """An error that an op caught: it is told as the error of an op is.

    Args:
        error: What was caught.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


class Symbol:
    """JavaScript has symbols; to the platform this is just as strange."""

    def __repr__(self) -> str:
        return "Symbol()"


def unsupported(what: str) -> JsException:
    """The error of an op that asks for what Python does not have."""
    return JsException(f"Python has no {what}", name="Unsupported")


# -- from a program ------------------------------------------------------------------------


def decode(value: Any, scope: Scope) -> Any:
    """The Python value of JSON with tags.

    Args:
        value: Checked JSON.
        scope: What it may refer to.

    Raises:
        JsException: "Unsupported", if Python has no such value.
    """
    if isinstance(value, list):
        return [decode(item, scope) for item in value]
    if not isinstance(value, dict):
        is_rounded = isinstance(value, int) and abs(value) > SAFE_INTEGER_MAX
        return float(value) if is_rounded else value
    if TAG not in value:
        return {key: decode(item, scope) for key, item in value.items()}
    of_the_web = WEB_DECODERS.get(value[TAG])
    if of_the_web is not None:
        return of_the_web(value, lambda inner: decode(inner, scope))
    return _DECODERS[value[TAG]](value, scope)


def _number(value: dict[str, Any], _: Scope) -> float:
    return float(value["is"].replace("Infinity", "inf"))


def _bytes(value: dict[str, Any], _: Scope) -> Any:
    return typed_array(_VIEW_TAGS[value.get("view", "Uint8Array")], bytes.fromhex(value["hex"]))


def _typed(value: dict[str, Any], _: Scope) -> Any:
    tag = _VIEW_TAGS[value["class"]]
    if tag in "BC":
        return bytes(value["of"])
    codes = {"b": "b", "w": "h", "W": "H", "d": "i", "D": "I", "f": "f", "F": "d"}
    return array(codes.get(tag, tag), value["of"])


def _cycle(value: dict[str, Any], _: Scope) -> Any:
    found: dict[str, Any] = {}
    found["self"] = found
    return found


def _plus(value: dict[str, Any], scope: Scope) -> Any:
    number = scope.ref(value["of"])
    return value["by"] + (0 if number is undefined else js_number(number))


def make_error(
    name: str, message: str, properties: Mapping[str, Any] | None = None
) -> Exception:
    """The error of a class of JavaScript's own, or of one that only bears the name."""
    given = dict(properties or {})
    if name in _BUILT_IN_ERRORS:
        return _platform_error(name, message, given)
    error: Exception = type(name, (Exception,), {})(given.pop("message", message))
    error.__dict__.update(given)
    return error


def _platform_error(name: str, message: str, given: dict[str, Any]) -> JsException:
    error = js_error(name, given.pop("message", message))
    error.name = given.pop("name", name)
    set_own_properties(error, given)
    return error


def _error_value(value: dict[str, Any], scope: Scope) -> JsException:
    # Among values it is JavaScript's: a Python exception crosses as its text alone.
    properties = decode(value.get("properties", {}), scope)
    return _platform_error(value["name"], value["message"], properties)


def _function(value: dict[str, Any], scope: Scope) -> Callable[..., Any]:
    if "throws" in value:
        given = value["throws"]

        def throws(*_: Any) -> None:
            raise make_error(given["name"], given["message"])

        return throws
    if value.get("is") == "double":
        return lambda x: x * 2
    return lambda *_: 1


def _without(what: str) -> Callable[[dict[str, Any], Scope], Any]:
    def refuse(value: dict[str, Any], scope: Scope) -> Any:
        raise unsupported(what)

    return refuse


_DECODERS: Final[dict[str, Callable[[dict[str, Any], Scope], Any]]] = {
    "undefined": lambda value, scope: undefined,
    "number": _number,
    "bytes": _bytes,
    "date": lambda value, scope: date_of_ms(value["ms"]),
    "map": lambda value, scope: JsMap(
        (hashable(decode(k, scope)), decode(v, scope)) for k, v in value["of"]
    ),
    "set": lambda value, scope: {hashable(decode(item, scope)) for item in value["of"]},
    "bigint": lambda value, scope: int(value["is"]),
    "error": _error_value,
    "domexception": lambda value, scope: js_error(value["name"], value["message"]),
    "cycle": _cycle,
    "object": lambda value, scope: {k: decode(v, scope) for k, v in value["of"]},
    "nullproto": lambda value, scope: {k: decode(v, scope) for k, v in value["of"]},
    "repeat": lambda value, scope: value["text"] * value["times"],
    "zeros": lambda value, scope: bytes(value["bytes"]),
    "names": lambda value, scope: [f"{value['text']}{i}" for i in range(value["times"])],
    "entries": lambda value, scope: {f"{value['text']}{i}": i for i in range(value["times"])},
    "now": lambda value, scope: scope.now_ms() + value.get("plus", 0),
    "start": lambda value, scope: scope.start_ms() + value.get("plus", 0),
    "ref": lambda value, scope: scope.ref(value["of"]),
    "shared": lambda value, scope: scope.shared(value["of"]),
    "plus": _plus,
    "function": _function,
    "symbol": lambda value, scope: Symbol(),
    "promise": lambda value, scope: Settled(1),
    "instance": lambda value, scope: Custom(),
    "regexp": lambda value, scope: pattern_of(value["source"], regexp_flags(value["flags"])),
    "typed": _typed,
    "lone_surrogate": lambda value, scope: "\ud800",
    "generator": lambda value, scope: (number for number in (1,)),
    "target": lambda value, scope: scope.target(),
    "weakmap": _without("WeakMap"),
    "url": _without("URL"),
    "boxed": _without("boxed values"),
    "invalid_date": _without("invalid Date"),
}


# -- of a result ---------------------------------------------------------------------------


def encode(value: Any) -> Any:
    """A result as JSON with tags; what is no value is `opaque`."""
    return _encode(value, ())


def _encode(value: Any, above: tuple[Any, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        if -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX:
            return int(value)
        return {TAG: "bigint", "is": str(value)}
    if isinstance(value, float):
        return _float(value)
    if value is undefined:
        return {TAG: "undefined"}
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        if any(value is container for container in above):
            return {TAG: "cycle"}
        return _container(value, (*above, value))
    return _scalar(value, above)


def _text(value: str) -> Any:
    # JavaScript counts UTF-16 units.
    length = len(value)
    if not value.isascii():
        length = len(value.encode("utf-16-le", "surrogatepass")) // 2
    if length <= LONG_MAX:
        return value
    digest = hashlib.sha256(well_formed(value).encode()).hexdigest()
    return {TAG: "long", "kind": "string", "length": length, "sha256": digest}


def _float(value: float) -> Any:
    if isfinite(value):
        if value == 0 and str(value) == "-0.0":
            return {TAG: "number", "is": "-0"}
        is_safe = value.is_integer() and abs(value) <= SAFE_INTEGER_MAX
        return int(value) if is_safe else value
    if isnan(value):
        return {TAG: "number", "is": "NaN"}
    return {TAG: "number", "is": "Infinity" if value > 0 else "-Infinity"}


def _container(value: Any, above: tuple[Any, ...]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_encode(item, above) for item in value]
    if isinstance(value, (set, frozenset)):
        return {TAG: "set", "of": [_encode(item, above) for item in value]}
    if isinstance(value, JsMap) or not all(isinstance(key, str) for key in value):
        pairs = [[_encode(k, above), _encode(v, above)] for k, v in value.items()]
        return {TAG: "map", "of": pairs}
    if TAG in value:
        return {TAG: "object", "of": [[k, _encode(v, above)] for k, v in value.items()]}
    return {key: _encode(item, above) for key, item in value.items()}


def _scalar(value: Any, above: tuple[Any, ...]) -> Any:
    if isinstance(value, Caught):
        return error_facts(value.error)
    if isinstance(value, datetime):
        return {TAG: "date", "ms": ms_of_date(value)}
    if isinstance(value, re.Pattern):
        source, bits = regexp_of(value)
        return {TAG: "regexp", "source": source, "flags": regexp_letters(bits)}
    if isinstance(value, Headers):
        return {TAG: "headers", "of": [list(pair) for pair in value.items()]}
    if isinstance(value, Exception):
        return {TAG: "error", **error_facts(value)}
    if isinstance(value, R2Object):
        return _r2_object(value)
    if isinstance(value, R2MultipartUpload):
        return {"key": _text(value.key), "uploadId": _text(value.uploadId)}
    view = view_of(value)
    if view is not None:
        return _view(*view)
    return {TAG: "opaque", "class": type(value).__name__}


def _r2_object(value: R2Object) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _R2_FIELDS:
        given = getattr(value, name)
        if isinstance(given, dict):
            # What was not given is undefined on the platform.
            given = {key: item for key, item in given.items() if item is not None}
        if given is not None:
            found[name] = encode(given)
    checksums = {name: getattr(value.checksums, name) for name in _DIGESTS}
    found["checksums"] = {k: encode(v) for k, v in checksums.items() if v is not None}
    return found


def _view(tag: str, data: Any) -> dict[str, Any]:
    content = bytes(data)
    if len(content) > LONG_MAX:
        digest = hashlib.sha256(content).hexdigest()
        return {TAG: "long", "kind": "bytes", "length": len(content), "sha256": digest}
    if tag == "B":
        return {TAG: "bytes", "hex": content.hex()}
    return {TAG: "bytes", "hex": content.hex(), "view": _VIEW_NAMES[tag]}


def error_facts(error: BaseException) -> dict[str, Any]:
    """An error as an outcome tells it: flags only when true, own properties if it has any."""
    properties: dict[str, Any]
    if isinstance(error, JsException):
        name, message, properties = error.name, error.message, error.properties
    else:
        name, message, properties = type(error).__name__, str(error), vars(error)
        name = "Error" if name == "Exception" else name
    facts: dict[str, Any] = {"name": name, "message": message}
    facts.update((flag, True) for flag in FLAGS if getattr(error, flag, False) is True)
    shown = {k: v for k, v in properties.items() if k not in FLAGS and k[:1] != "_"}
    if shown:
        facts["properties"] = {key: encode(item) for key, item in shown.items()}
    return facts
