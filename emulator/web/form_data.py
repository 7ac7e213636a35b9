"""FormData: the fields of a form.

Promises: the surface of Cloudflare's `workers` package, a mapping whose keys may repeat.
Leaves to others: the bytes of a form (multipart), bodies (body).
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, final

from emulator.web import multipart
from emulator.web.blob import Blob, File
from emulator.web.js_object import JsObject

__all__ = ["FormData"]


@final
class FormData(JsObject, MutableMapping[str, Any]):
    """Pairs of a name and a text, Blob or File, in order; names may repeat.

    Args:
        form_data: A dict, or a FormData to share its fields with.

    Raises:
        TypeError: For anything else.
    """

    def __init__(self, form_data: Any = None) -> None:
        self._fields: list[tuple[str, str | Blob]] = []
        if isinstance(form_data, FormData):
            self._fields = form_data._fields
        elif isinstance(form_data, dict):
            for name, value in form_data.items():
                self.append(name, value)
        elif form_data:
            raise TypeError("Expected form_data to be a dict or an instance of FormData")

    @classmethod
    def new(cls) -> FormData:
        """JavaScript's constructor."""
        return cls()

    @property
    def js_object(self) -> FormData:
        """The object as JavaScript has it; here they are one."""
        return self

    def append(self, key: str, value: Any, filename: str | None = None) -> None:
        """Add a field beside those of the same name.

        Args:
            key: The name.
            value: Text, or a Blob, which becomes a File.
            filename: The File's name; its own, or the field's name, unless given.
        """
        self._fields.append((str(key), _field_value(str(key), value, filename)))

    def set(self, key: str, value: Any, filename: str | None = None) -> None:
        """Put the field in the place of the first of its name, and remove the others."""
        new = (str(key), _field_value(str(key), value, filename))
        places = [index for index, (name, _) in enumerate(self._fields) if name == new[0]]
        if not places:
            self._fields.append(new)
            return
        self._fields[places[0]] = new
        for index in reversed(places[1:]):
            del self._fields[index]

    def delete(self, key: str) -> None:
        """Remove every field of this name; no error if there is none."""
        self._fields[:] = [field for field in self._fields if field[0] != key]

    def has(self, key: str) -> bool:
        """Whether there is a field of this name."""
        return key in self

    def get_all(self, key: str) -> list[Any]:
        """Every value of this name."""
        return [value for name, value in self._fields if name == key]

    def getAll(self, key: str) -> list[Any]:
        """The same under JavaScript's name."""
        return self.get_all(key)

    def entries(self) -> Iterator[tuple[str, Any]]:
        """Every pair, repeated names included."""
        yield from self._fields

    def items(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override]  # Names repeat.
        """The same under Python's name."""
        yield from self._fields

    def keys(self) -> Iterator[str]:  # type: ignore[override]  # Names repeat.
        """The name of every field."""
        return (name for name, _ in self._fields)

    def values(self) -> Iterator[Any]:  # type: ignore[override]  # Names repeat.
        """The value of every field."""
        return (value for _, value in self._fields)

    def __getitem__(self, key: str) -> Any:
        # As on the platform, a name that is not there has the value None.
        return next((value for name, value in self._fields if name == key), None)

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list):
            raise TypeError("Expected single item in arguments to FormData.__setitem__")
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self._fields)

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"FormData({self._fields!r})"

    # -- on its way --------------------------------------------------------------------------

    def encode(self) -> tuple[bytes, str]:
        """The fields as a multipart body, and its content type."""
        return multipart.write(self._fields)

    @classmethod
    def decode(cls, data: bytes, content_type: str | None) -> FormData:
        """Read the fields of a body.

        Args:
            data: The whole body.
            content_type: As in the header; None if there is none.

        Raises:
            JsTypeError: If the type is no form's, or the body is none.
        """
        form = cls()
        form._fields += multipart.read(data, content_type)
        return form


def _field_value(key: str, value: Any, filename: str | None) -> str | Blob:
    if not isinstance(value, Blob):
        return "null" if value is None else str(value)
    if isinstance(value, File) and filename is None:
        return value
    return File(value, key if filename is None else filename)
