"""Checksums: the digests that a put may ask for, and those that an object shows.

Promises: workerd's checks of a digest argument (r2-bucket.c++), and the comparison after the
whole body was read. Leaves to others: etags.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, final

from emulator.bindings.r2.errors import BAD_DIGEST, option_type_error, r2_error
from emulator.errors import js_error
from emulator.values import undefined
from emulator.web.streams import Uint8Array

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Digester", "ExpectedDigest", "R2Checksums", "expected_digest", "md5_hex"]

# Option, name in texts, bytes of the digest.
_ALGORITHMS: Final = (
    ("md5", "MD5", 16),
    ("sha1", "SHA-1", 20),
    ("sha256", "SHA-256", 32),
    ("sha384", "SHA-384", 48),
    ("sha512", "SHA-512", 64),
)


def md5_hex(data: bytes) -> str:
    """The MD5 of some bytes, as lower-case hex digits: the etag of a body put as one."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@final
class R2Checksums:
    """The digests of one object, as `object.checksums` shows them.

    Args:
        digests: Option name to digest; those that are missing read as None.
    """

    __slots__ = ("_digests",)

    def __init__(self, digests: Mapping[str, bytes]) -> None:
        self._digests = digests

    def _get(self, name: str) -> Uint8Array | None:
        digest = self._digests.get(name)
        return None if digest is None else Uint8Array(digest)

    @property
    def md5(self) -> Uint8Array | None:
        """MD5 of the body; an object of several parts has none."""
        return self._get("md5")

    @property
    def sha1(self) -> Uint8Array | None:
        """SHA-1, if it was given to `put`."""
        return self._get("sha1")

    @property
    def sha256(self) -> Uint8Array | None:
        """SHA-256, if it was given to `put`."""
        return self._get("sha256")

    @property
    def sha384(self) -> Uint8Array | None:
        """SHA-384, if it was given to `put`."""
        return self._get("sha384")

    @property
    def sha512(self) -> Uint8Array | None:
        """SHA-512, if it was given to `put`."""
        return self._get("sha512")

    def toJSON(self) -> dict[str, str]:  # The platform's spelling.
        """All digests as lower-case hex digits."""
        return {name: digest.hex() for name, digest in self._digests.items()}

    def __repr__(self) -> str:
        return f"<R2Checksums {self.toJSON()!r}>"


@final
class ExpectedDigest:
    """The one digest that a put promised."""

    __slots__ = ("digest", "label", "name")

    def __init__(self, name: str, label: str, digest: bytes) -> None:
        self.name = name
        self.label = label
        self.digest = digest


def expected_digest(options: Mapping[str, Any]) -> ExpectedDigest | None:
    """The digest among the options of a put.

    Raises:
        JsTypeError: If there are two, or one is not a digest of its algorithm.
    """
    found: ExpectedDigest | None = None
    for name, label, size_bytes in _ALGORITHMS:
        value = options.get(name)
        if value is None or value is undefined:
            continue
        if found is not None:
            raise js_error("TypeError", "You cannot specify multiple hashing algorithms.")
        found = ExpectedDigest(name, label, _digest_bytes(value, name, label, size_bytes))
    return found


def _digest_bytes(value: Any, name: str, label: str, size_bytes: int) -> bytes:
    if isinstance(value, str):
        if len(value) != size_bytes * 2:
            text = f"{label} is {size_bytes * 2} hex characters, not {len(value)}"
            raise js_error("TypeError", text)
        if not all(character in "0123456789abcdefABCDEF" for character in value):
            raise js_error("TypeError", f"Provided {label} wasn't a valid hex string")
        return bytes.fromhex(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise option_type_error(name, "PutOptions", "JsBufferSource or string")
    digest = bytes(value)
    if len(digest) != size_bytes:
        raise js_error("TypeError", f"{label} is {size_bytes} bytes, not {len(digest)}")
    return digest


@final
class Digester:
    """Digests of a body as it comes: always MD5, and the promised one.

    Args:
        expected: What the put promised.
    """

    __slots__ = ("_expected", "_md5", "_other")

    def __init__(self, expected: ExpectedDigest | None) -> None:
        self._expected = expected
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._other = (
            None
            if expected is None or expected.name == "md5"
            else hashlib.new(expected.name, usedforsecurity=False)
        )

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take some bytes of the body."""
        self._md5.update(data)
        if self._other is not None:
            self._other.update(data)

    def finish(self) -> dict[str, bytes]:
        """The digests that the object will show.

        Raises:
            JsException: If the promised digest is not the body's (10037).
        """
        digests = {"md5": self._md5.digest()}
        expected = self._expected
        if expected is None:
            return digests
        actual = digests["md5"] if self._other is None else self._other.digest()
        if actual != expected.digest:
            label = expected.label
            text = (
                f"The {label} checksum you specified did not match what we received.\n"
                f"You provided a {label} checksum with value: {expected.digest.hex()}\n"
                f"Actual {label} was: {actual.hex()}"
            )
            raise r2_error("put", BAD_DIGEST, text)
        digests[expected.name] = actual
        return digests
