"""URLSearchParams: the fields of a query, in order; names may repeat.

Promises: JavaScript's class, whose text is a form's (a space is a plus). Leaves to others:
the URL around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, final
from urllib.parse import parse_qsl, quote_plus

from emulator.web.js_object import JsArray, JsObject
from emulator.web.required import required

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["URLSearchParams"]


@final
class URLSearchParams(JsObject):
    """Pairs of a name and a text.

    Args:
        init: A query with or without its mark, a mapping, pairs, or another of this class.
    """

    def __init__(self, init: Any = "") -> None:
        #: Called after each change (by the URL whose query it is).
        self.changed: Callable[[], None] | None = None
        self._fields: list[tuple[str, str]] = []
        if isinstance(init, str):
            self.replace(init)
        elif isinstance(init, Mapping):
            self._fields = [(str(name), str(value)) for name, value in init.items()]
        elif isinstance(init, Iterable):
            self._fields = [(str(name), str(value)) for name, value in init]

    @classmethod
    def new(cls, init: Any = "", **fields: Any) -> URLSearchParams:
        """JavaScript's constructor; keywords are an object."""
        return cls(fields or init)

    def replace(self, query: str) -> None:
        """Take the fields of another query."""
        self._fields = parse_qsl(
            query.removeprefix("?"), keep_blank_values=True, errors="replace"
        )

    def _note(self) -> None:
        if self.changed is not None:
            self.changed()

    @property
    def size(self) -> int:
        """The number of fields."""
        return len(self._fields)

    @required("URLSearchParams", "USVString", "USVString")
    def append(self, name: str, value: Any) -> None:
        """Add a field beside those of the same name."""
        self._fields.append((str(name), str(value)))
        self._note()

    @required("URLSearchParams", "USVString", "USVString")
    def set(self, name: str, value: Any) -> None:
        """Put the field in the place of the first of its name, and remove the others."""
        new = (str(name), str(value))
        places = [index for index, field in enumerate(self._fields) if field[0] == new[0]]
        if places:
            self._fields[places[0]] = new
            for index in reversed(places[1:]):
                del self._fields[index]
        else:
            self._fields.append(new)
        self._note()

    @required("URLSearchParams", "USVString")
    def delete(self, name: str, value: Any = None) -> None:
        """Remove the fields of this name, or those with this value only."""
        self._fields = [
            field
            for field in self._fields
            if field[0] != name or (value is not None and field[1] != str(value))
        ]
        self._note()

    def sort(self) -> None:
        """Order the fields by name; those of one name keep their order."""
        # JavaScript compares UTF-16 code units.
        self._fields.sort(key=lambda field: field[0].encode("utf-16-be", "surrogatepass"))
        self._note()

    @required("URLSearchParams", "USVString")
    def get(self, name: str) -> str | None:
        """The first value of this name, or None."""
        return next((value for key, value in self._fields if key == name), None)

    @required("URLSearchParams", "USVString")
    def getAll(self, name: str) -> JsArray:
        """Every value of this name."""
        return JsArray(value for key, value in self._fields if key == name)

    @required("URLSearchParams", "USVString")
    def has(self, name: str, value: Any = None) -> bool:
        """Whether there is a field of this name (and value)."""
        return any(
            key == name and (value is None or given == str(value))
            for key, given in self._fields
        )

    __contains__ = has

    def entries(self) -> Iterator[tuple[str, str]]:
        """Every field, in order."""
        yield from self._fields

    __iter__ = entries

    def keys(self) -> Iterator[str]:
        """Every name."""
        return (name for name, _ in self._fields)

    def values(self) -> Iterator[str]:
        """Every value."""
        return (value for _, value in self._fields)

    @required("URLSearchParams", "function")
    def forEach(self, callback: Callable[[str, str, Any], Any]) -> None:
        """Call with (value, name, params) for each field."""
        for name, value in list(self._fields):
            callback(value, name, self)

    def toString(self) -> str:
        """The query without its mark."""
        return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in self._fields)

    __str__ = toString

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"URLSearchParams({self.toString()!r})"


def _quoted(text: str) -> str:
    # WHATWG URL, application/x-www-form-urlencoded: the tilde is encoded, the star is not.
    return quote_plus(text, safe="*", errors="replace").replace("~", "%7E")
