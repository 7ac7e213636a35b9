"""Headers: names and values of a request or response.

Promises: names without case, several values joined by ", ", every `set-cookie` apart, no
value that could smuggle a line. Leaves to others: what the headers mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, final

from emulator.errors import js_error
from emulator.web.js_object import JsObject
from emulator.web.required import required

__all__ = ["Headers"]

# RFC 9110, token. workerd takes an empty name too (measured).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_COOKIE = "set-cookie"


def _name(name: str) -> str:
    if not isinstance(name, str):
        raise js_error("TypeError", "Invalid header name.")
    return _checked_name(name)


# There are few names, and each of them is used again and again.
@lru_cache(maxsize=1_000)
def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise js_error("TypeError", "Invalid header name.")
    return name.lower()


def _value(value: object) -> str:
    # White space around a value is taken off before it is looked at (WHATWG Fetch).
    text = str(value).strip("\t\n\r ")
    if "\r" in text or "\n" in text or "\0" in text:
        raise js_error("TypeError", "Invalid header value.")
    return text


@final
class _Field(str):
    """A name that unpacks into itself and its value: `for name, value in headers`."""

    __slots__ = ("_value",)

    _value: str

    def __new__(cls, name: str, value: str) -> _Field:
        field = super().__new__(cls, name)
        field._value = value
        return field

    def __iter__(self) -> Iterator[str]:
        return iter((str(self), self._value))


@final
class Headers(JsObject, Mapping[str, str]):
    """The Headers class of the platform, which also reads like Python's HTTPMessage.

    Items cannot be assigned: on Cloudflare `response.headers` is a copy, and an assignment
    would go nowhere. Give `headers=` to the Response, or call `set` on `js_object.headers`.

    Args:
        init: Headers, a mapping, or pairs of name and value.

    Raises:
        JsTypeError: "Invalid header name.", "Invalid header value.", or a pair that is none.
    """

    def __init__(self, init: Any = None) -> None:
        self._values: dict[str, list[str]] = {}
        self._is_frozen = False
        if init is None:
            return
        if isinstance(init, Headers):
            self._values = {name: list(values) for name, values in init._values.items()}
            return
        values = self._values
        for name, value in _pairs(init):
            values.setdefault(_name(name), []).append(_value(value))

    @classmethod
    def new(cls, init: Any = None) -> Headers:
        """JavaScript's constructor."""
        return cls(init)

    def freeze(self) -> Headers:
        """Refuse changes from now on, as headers do that came over a wire."""
        self._is_frozen = True
        return self

    def _check_mutable(self) -> None:
        if self._is_frozen:
            raise js_error("TypeError", "Can't modify immutable headers.")

    @required("Headers", "string", "string")
    def append(self, name: str, value: object) -> None:
        """Add a value beside those that the name has.

        Raises:
            JsTypeError: For a bad name or value, and on headers that came over a wire; so
                do `set` and `delete`.
        """
        self._check_mutable()
        self._values.setdefault(_name(name), []).append(_value(value))

    @required("Headers", "string", "string")
    def set(self, name: str, value: object) -> None:
        """Replace every value of the name."""
        self._check_mutable()
        self._values[_name(name)] = [_value(value)]

    @required("Headers", "string")
    def delete(self, name: str) -> None:
        """Remove the name; no error if it is not there."""
        self._check_mutable()
        self._values.pop(_name(name), None)

    @required("Headers", "string")
    def has(self, name: str) -> bool:
        """Whether the name has a value."""
        return _name(name) in self._values

    @required("Headers", "string")
    def get(self, name: str, default: Any = None) -> Any:
        """The values joined by ", ", or the default."""
        values = self._values.get(_name(name))
        return default if values is None else ", ".join(values)

    def get_all(self, name: str, default: Any = None) -> Any:
        """Every value apart, or the default (`http.client.HTTPMessage`)."""
        values = self._values.get(_name(name))
        return default if values is None else list(values)

    @required("Headers", "string")
    def getAll(self, name: str) -> list[str]:
        """Every Set-Cookie apart; the platform allows no other name.

        Raises:
            JsTypeError: For any other name.
        """
        if _name(name) != _COOKIE:
            raise js_error(
                "TypeError",
                'getAll() can only be used with the header name "Set-Cookie".',
            )
        return self.getSetCookie()

    def getSetCookie(self) -> list[str]:
        """Every Set-Cookie apart."""
        return list(self._values.get(_COOKIE, ()))

    def entries(self) -> Iterator[tuple[str, str]]:
        """Pairs by sorted lower-case name; each Set-Cookie is a pair of its own."""
        for name in sorted(self._values):
            if name == _COOKIE:
                for value in self._values[name]:
                    yield name, value
            else:
                yield name, ", ".join(self._values[name])

    @required("Headers", "function")
    def forEach(self, callback: Any) -> None:
        """Call with (value, name, headers) for each pair."""
        for name, value in list(self.entries()):
            callback(value, name, self)

    def items(self) -> Any:
        """The pairs of `entries` as a list; so each Set-Cookie is apart."""
        return list(self.entries())

    def keys(self) -> Any:
        """The name of each pair."""
        return [name for name, _ in self.entries()]

    def values(self) -> Any:
        """The value of each pair."""
        return [value for _, value in self.entries()]

    def __getitem__(self, name: str) -> Any:
        # None for a name that is not there: `request.headers` of Cloudflare's package is an
        # `http.client.HTTPMessage`, and no KeyError comes from it.
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        # JavaScript's Headers iterate over pairs, and Python's HTTPMessage over names.
        return (_Field(name, value) for name, value in self.entries())

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self._values == other._values
        if isinstance(other, Mapping):
            return dict(self) == {str(name).lower(): value for name, value in other.items()}
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # Mutable, as a dict is.

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"


def _pairs(init: Any) -> Iterable[tuple[str, object]]:
    # A union asks the plain types first: an abstract one takes ten times as long.
    if isinstance(init, dict | Mapping):
        return list(init.items())
    if hasattr(init, "multi_items"):
        return list(init.multi_items())
    if isinstance(init, str | bytes) or not isinstance(init, list | Iterable):
        raise js_error("TypeError", "Received unexpected type for headers argument")
    pairs = [tuple(pair) for pair in init]
    for pair in pairs:
        if len(pair) != 2:
            raise js_error(
                "TypeError",
                "To initialize a Headers object from a sequence, each inner sequence must "
                "have exactly two elements.",
            )
    return pairs
