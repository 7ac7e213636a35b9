"""ids: the names of Durable Objects, 32 bytes each.

Promises: IDs are derived as workerd derives them (server.c++, ActorNamespace; the halves
are a base and a check tag of it), so a name gives the same ID here as under Miniflare.
Leaves to others: stubs and objects (namespace), chance (the caller hands in the bytes).
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import js_string
from emulator.errors import js_error
from emulator.values.text import well_formed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JURISDICTIONS", "NAME_BYTES_MAX", "DurableObjectId", "IdFactory"]

#: Cloudflare docs, Durable Objects, Data location.
JURISDICTIONS: Final = ("eu", "fedramp", "fedramp-high", "us")

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
        jurisdiction: Where the object must stay, such as "eu"; None is anywhere.
    """

    __slots__ = ("_bytes", "_hex", "jurisdiction", "name", "unique_key")

    def __init__(
        self,
        raw: bytes,
        *,
        name: str | None = None,
        unique_key: str | None = None,
        jurisdiction: str | None = None,
    ) -> None:
        assert len(raw) == 2 * _HALF_BYTES
        self._bytes = raw
        self._hex = raw.hex()
        self.name = name
        self.jurisdiction = jurisdiction
        #: Of the namespace that made it, where that is known. Not for worker code.
        self.unique_key = unique_key

    def equals(self, other: object = None) -> bool:
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
        own = {"jurisdiction": self.jurisdiction, "name": self.name}
        return {name: value for name, value in own.items() if value is not None}

    def unnamed(self) -> DurableObjectId:
        """The same without its name."""
        if self.name is None:
            return self
        return DurableObjectId(
            self._bytes, unique_key=self.unique_key, jurisdiction=self.jurisdiction
        )

    def seen_inside(self) -> DurableObjectId:
        """The ID as `ctx.id` shows it to the object: without a name over 1,024 bytes."""
        if self.name is None or len(well_formed(self.name).encode()) <= NAME_BYTES_MAX:
            return self
        return self.unnamed()

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
        jurisdictions: Those that exist; none locally.
        jurisdiction: That of the ids made here; None is anywhere.
    """

    def __init__(
        self,
        unique_key: str,
        randomness_bytes: Callable[[int], bytes],
        jurisdictions: tuple[str, ...] = (),
        jurisdiction: str | None = None,
    ) -> None:
        self.unique_key = unique_key
        self.jurisdictions = jurisdictions
        self.jurisdiction = jurisdiction
        self._randomness_bytes = randomness_bytes
        self._keys = {
            place: _key(unique_key, place) for place in (jurisdiction, None, *jurisdictions)
        }

    def within(self, jurisdiction: str) -> IdFactory:
        """The factory of the ids of a jurisdiction: no id is in two of them."""
        return IdFactory(
            self.unique_key, self._randomness_bytes, self.jurisdictions, jurisdiction
        )

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
        key = self._keys[self.jurisdiction]
        return self._made(_named(key, text), self.jurisdiction, text)

    def id_from_string(self, text: Any = _MISSING) -> DurableObjectId:
        """The ID that `str(id)` gave; it has no name, and the jurisdiction it had.

        Raises:
            JsTypeError: It is not 64 hex digits, or of another namespace.
        """
        if text is _MISSING:
            raise _no_string("idFromString")
        digits = js_string(text)
        if len(digits) != 4 * _HALF_BYTES or not _HEX_DIGITS.issuperset(digits):
            raise js_error("TypeError", "Invalid Durable Object ID: must be 64 hex digits")
        raw = bytes.fromhex(digits)
        for jurisdiction, key in self._keys.items():
            if _derive(key, raw[:_HALF_BYTES]) == raw:
                return self._made(raw, jurisdiction)
        raise js_error("TypeError", "Durable Object ID is not valid for this namespace.")

    def new_unique_id(self) -> DurableObjectId:
        """A new ID of random bytes, of this factory's jurisdiction."""
        key = self._keys[self.jurisdiction]
        return self._made(_derive(key, self._randomness_bytes(_HALF_BYTES)), self.jurisdiction)

    def _made(
        self, raw: bytes, jurisdiction: str | None, name: str | None = None
    ) -> DurableObjectId:
        return DurableObjectId(
            raw, name=name, unique_key=self.unique_key, jurisdiction=jurisdiction
        )


@lru_cache(maxsize=256)
def _key(unique_key: str, jurisdiction: str | None) -> bytes:
    # How the platform tells the jurisdictions apart is its secret; this is ours.
    text = unique_key if jurisdiction is None else f"{unique_key}\0{jurisdiction}"
    return hashlib.sha256(well_formed(text).encode()).digest()


def _bytes_of(text: str) -> bytes:
    """UTF-8; of half a surrogate pair the three bytes that V8 writes (measured)."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        whole = text.encode("utf-16-le", "surrogatepass")
        return whole.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")


def _digest(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")[:_HALF_BYTES]


@lru_cache(maxsize=4_096)
def _named(key: bytes, name: str) -> bytes:
    # Two HMACs, 10 us: every world of an exploration asks for the same names.
    return _derive(key, _digest(key, _bytes_of(name)))


def _derive(key: bytes, base: bytes) -> bytes:
    return base + _digest(key, base)


def _no_string(method: str) -> Exception:
    return js_error(
        "TypeError",
        f"Failed to execute '{method}' on 'DurableObjectNamespace': "
        "parameter 1 is not of type 'string'.",
    )
