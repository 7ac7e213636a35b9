"""ids: the names of Durable Objects, 32 bytes each.

Promises: IDs are derived as workerd derives them (server.c++, ActorNamespace; the halves
are a base and a check tag of it), so a name gives the same ID here as under Miniflare.
Leaves to others: stubs and objects (namespace), chance (the caller hands in the bytes).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import js_string
from emulator.errors import js_error
from emulator.values.text import well_formed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NAME_BYTES_MAX", "DurableObjectId", "IdFactory"]

# A longer name is not told to the object itself (Cloudflare docs, Durable Object ID, `name`).
NAME_BYTES_MAX: Final = 1_024
_HALF_BYTES: Final = 16
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_MISSING: Final = object()


@final
class DurableObjectId:
    """Which object: 32 bytes, and the name they came from if they did.

    Two IDs are equal when their bytes are; `str()` is 64 lower-case hex digits.

    Attributes:
        name: The name given to `idFromName`, else None.
        jurisdiction: Always None: workerd has no jurisdictions.
    """

    __slots__ = ("_bytes", "_hex", "jurisdiction", "name", "unique_key")

    def __init__(
        self, raw: bytes, *, name: str | None = None, unique_key: str | None = None
    ) -> None:
        assert len(raw) == 2 * _HALF_BYTES
        self._bytes = raw
        self._hex = raw.hex()
        self.name = name
        self.jurisdiction: str | None = None
        #: Of the namespace that made it, where that is known. Not for worker code.
        self.unique_key = unique_key

    def equals(self, other: DurableObjectId) -> bool:
        """Whether both name the same object; names are not compared.

        Raises:
            JsTypeError: The other is no ID.
        """
        if not isinstance(other, DurableObjectId):
            raise js_error(
                "TypeError",
                "Failed to execute 'equals' on 'DurableObjectId': "
                "parameter 1 is not of type 'DurableObjectId'.",
            )
        return self._bytes == other._bytes

    def toString(self) -> str:
        """The ID as 64 lower-case hex digits."""
        return self._hex

    def toJSON(self) -> dict[str, str]:
        """What JSON shows of an ID: its own properties that are set, and no digits."""
        return {} if self.name is None else {"name": self.name}

    def seen_inside(self) -> DurableObjectId:
        """The ID as `ctx.id` shows it to the object: without a name over 1,024 bytes."""
        if self.name is None or len(well_formed(self.name).encode()) <= NAME_BYTES_MAX:
            return self
        return DurableObjectId(self._bytes)

    def __bytes__(self) -> bytes:
        return self._bytes

    def __str__(self) -> str:
        return self._hex

    def __repr__(self) -> str:
        name = "" if self.name is None else f" name={self.name!r}"
        return f"<DurableObjectId {self._hex[:8]}…{name}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DurableObjectId):
            return NotImplemented
        return self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)


@final
class IdFactory:
    """Makes and checks the IDs of one namespace.

    Args:
        unique_key: The namespace's key; Miniflare's is worker name, "-", class name.
        randomness_bytes: Gives that many random bytes, for `newUniqueId`.
    """

    def __init__(self, unique_key: str, randomness_bytes: Callable[[int], bytes]) -> None:
        self.unique_key = unique_key
        self._key = hashlib.sha256(well_formed(unique_key).encode()).digest()
        self._randomness_bytes = randomness_bytes

    def __repr__(self) -> str:
        return f"<IdFactory {self.unique_key!r}>"

    def id_from_name(self, name: Any = _MISSING) -> DurableObjectId:
        """The ID of a name; what is no string becomes one as in JavaScript.

        Raises:
            JsTypeError: No argument was given.
        """
        if name is _MISSING:
            raise _no_string("idFromName")
        text = js_string(name)
        # As workerd hashes it: each byte of a lone surrogate is a U+FFFD.
        raw = self._derive(self._digest(well_formed(text).encode()))
        return DurableObjectId(raw, name=text, unique_key=self.unique_key)

    def id_from_string(self, text: Any = _MISSING) -> DurableObjectId:
        """The ID that `str(id)` gave; it has no name.

        Raises:
            JsTypeError: It is not 64 hex digits, or of another namespace.
        """
        if text is _MISSING:
            raise _no_string("idFromString")
        digits = js_string(text)
        if len(digits) != 4 * _HALF_BYTES or not _HEX_DIGITS.issuperset(digits):
            raise js_error("TypeError", "Invalid Durable Object ID: must be 64 hex digits")
        raw = bytes.fromhex(digits)
        if self._derive(raw[:_HALF_BYTES]) != raw:
            raise js_error("TypeError", "Durable Object ID is not valid for this namespace.")
        return DurableObjectId(raw)

    def new_unique_id(self) -> DurableObjectId:
        """A new ID of random bytes. Whether a jurisdiction is legal, the namespace says."""
        raw = self._derive(self._randomness_bytes(_HALF_BYTES))
        return DurableObjectId(raw, unique_key=self.unique_key)

    def _digest(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")[:_HALF_BYTES]

    def _derive(self, base: bytes) -> bytes:
        return base + self._digest(base)


def _no_string(method: str) -> Exception:
    return js_error(
        "TypeError",
        f"Failed to execute '{method}' on 'DurableObjectNamespace': "
        "parameter 1 is not of type 'string'.",
    )
