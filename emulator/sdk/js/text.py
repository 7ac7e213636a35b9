"""Text: encoders between text, bytes, base 64 and URLs.

Promises: JavaScript's functions with its results and errors. Leaves to others: other
encodings than UTF-8, UTF-16 and Latin-1.
"""

from __future__ import annotations

import base64
import binascii
import codecs
from typing import Any, Final, final
from urllib.parse import quote, unquote

from emulator.durable_objects.arguments import js_string
from emulator.errors import js_error
from emulator.web.js_object import JsObject
from emulator.web.required import GLOBAL, required
from emulator.web.uint8_array import Uint8Array

__all__ = [
    "TextDecoder",
    "TextEncoder",
    "atob",
    "btoa",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
]

_LABELS: Final = {
    "utf8": "utf-8", "utf-8": "utf-8", "unicode-1-1-utf-8": "utf-8",
    "utf-16": "utf-16le", "utf-16le": "utf-16le", "utf-16be": "utf-16be",
    "ascii": "windows-1252", "latin1": "windows-1252", "iso-8859-1": "windows-1252",
    "us-ascii": "windows-1252", "windows-1252": "windows-1252",
}  # fmt: skip
_CODECS: Final = {"utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "windows-1252": "cp1252"}


@final
class TextEncoder(JsObject):
    """Text to UTF-8."""

    encoding = "utf-8"

    @classmethod
    def new(cls) -> TextEncoder:
        """JavaScript's constructor."""
        return cls()

    def encode(self, text: str = "") -> Uint8Array:
        """The bytes; half of a surrogate pair becomes U+FFFD."""
        units = str(text).encode("utf-16-le", "surrogatepass")
        return Uint8Array(units.decode("utf-16-le", "replace").encode("utf-8"))


@final
class TextDecoder(JsObject):
    """Bytes to text.

    Args:
        label: The encoding.
        init: `fatal` and `ignoreBOM`, as a dict.
        options: The same, as keywords.

    Raises:
        JsRangeError: For an encoding that is not known.
    """

    def __init__(self, label: str = "utf-8", init: Any = None, **options: Any) -> None:
        options = {**(init or {}), **options}
        name = _LABELS.get(label.strip().lower())
        if name is None:
            raise js_error("RangeError", f'"{label}" is not a valid encoding.')
        self.encoding = name
        self.fatal = bool(options.get("fatal"))
        self.ignoreBOM = bool(options.get("ignoreBOM"))
        self._restart()

    @classmethod
    def new(cls, *arguments: Any, **options: Any) -> TextDecoder:
        """JavaScript's constructor."""
        return cls(*arguments, **options)

    def _restart(self) -> None:
        make = codecs.getincrementaldecoder(_CODECS.get(self.encoding, self.encoding))
        self._decoder = make("strict" if self.fatal else "replace")
        self._is_at_start = True

    def decode(self, data: Any = b"", init: Any = None, **options: Any) -> str:
        """The text.

        Args:
            data: Bytes.
            init: `stream` as a dict: more bytes will follow.
            options: The same, as keywords.

        Raises:
            JsTypeError: With `fatal`, for bytes that are no text.
        """
        is_open = bool({**(init or {}), **options}.get("stream"))
        try:
            text = self._decoder.decode(bytes(data or b""), final=not is_open)
        except UnicodeDecodeError:
            self._restart()
            raise js_error("TypeError", "Failed to decode input.") from None
        if self._is_at_start and text:
            text = text if self.ignoreBOM else text.removeprefix("\ufeff")
            self._is_at_start = False
        if not is_open:
            self._restart()
        return text


@required(GLOBAL, "JsString")
def btoa(text: Any) -> str:
    """Base 64 of a text whose characters are bytes.

    Raises:
        JsException: InvalidCharacterError, for a character beyond U+00FF.
    """
    try:
        data = js_string(text).encode("latin-1")
    except UnicodeEncodeError:
        message = "btoa() can only operate on characters in the Latin1 (ISO/IEC 8859-1) range."
        raise js_error("InvalidCharacterError", message) from None
    return base64.b64encode(data).decode("ascii")


@required(GLOBAL, "string")
def atob(text: Any) -> str:
    """The bytes of base 64, each as a character.

    Raises:
        JsException: InvalidCharacterError, if it is none.
    """
    packed = "".join(js_string(text).split())
    bare = packed.rstrip("=") if len(packed) % 4 == 0 else packed
    try:
        if "=" in bare or len(bare) % 4 == 1 or len(packed) - len(bare) > 2:
            raise binascii.Error
        data = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        message = "atob() called with invalid base64-encoded data. (Only whitespace, '+', '/', "
        message += "alphanumeric ASCII, and up to two terminal '=' signs when the input data "
        message += "length is divisible by 4 are allowed.)"
        raise js_error("InvalidCharacterError", message) from None
    return data.decode("latin-1")


def encodeURIComponent(text: Any) -> str:
    """Text as a part of a URL."""
    return quote(js_string(text), safe="!'()*~")


def encodeURI(text: Any) -> str:
    """A whole URL, whose marks stay as they are."""
    return quote(js_string(text), safe="!'()*~;,/?:@&=+$#")


def decodeURIComponent(text: Any) -> str:
    """The way back from `encodeURIComponent`.

    Raises:
        JsException: URIError, for percent signs that make no text.
    """
    try:
        decoded = unquote(js_string(text), errors="strict")
    except UnicodeDecodeError:
        raise js_error("URIError", "URI malformed") from None
    return decoded
