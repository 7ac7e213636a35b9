"""crypto: chance that obeys the seed, digests and HMAC.

Promises: `randomUUID` and `getRandomValues` from the simulation's own stream;
`crypto.subtle` for digests and for HMAC with raw keys, with workerd's errors. Leaves to
others: every other algorithm (Python code has its own libraries for them).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final, final

from emulator.errors import js_error
from emulator.simulation.runner import current_simulation
from emulator.web.js_object import JsObject
from emulator.web.required import required
from emulator.web.uint8_array import Uint8Array

__all__ = ["crypto"]

_STREAM: Final = "js.crypto"
_RANDOM_BYTES_MAX: Final = 65_536  # Web Cryptography API, getRandomValues.
_DIGESTS: Final = {
    "MD5": "md5",  # workerd's own addition.
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}


def _name_of(algorithm: Any) -> str:
    name = algorithm.get("name", "") if isinstance(algorithm, dict) else algorithm
    return str(name).upper()


def _digest_of(algorithm: Any) -> str:
    found = _DIGESTS.get(_name_of(algorithm))
    if found is None:
        text = "Unrecognized or unimplemented digest algorithm requested."
        raise js_error("NotSupportedError", text)
    return found


@final
class CryptoKey(JsObject):
    """A key for HMAC."""

    type = "secret"

    def __init__(
        self, data: bytes, digest: str, algorithm: Any, usages: list[str], *, is_open: bool
    ) -> None:
        self._data = data
        self._digest = digest
        self.algorithm = algorithm
        self.usages = usages
        self.extractable = is_open

    def sign(self, data: Any, usage: str) -> bytes:
        """The HMAC of the data, for `sign` or `verify`."""
        if usage not in self.usages:
            text = (
                f'Requested key usage "{usage}" does not match any usage listed in this '
                "CryptoKey."
            )
            raise js_error("InvalidAccessError", text)
        return hmac.digest(self._data, bytes(data), self._digest)


@final
class _Subtle:
    """`crypto.subtle`."""

    async def digest(self, algorithm: Any, data: Any) -> Uint8Array:
        """A digest.

        Args:
            algorithm: "SHA-256" and its kin, or an object with such a `name`.
            data: Bytes.

        Raises:
            JsException: NotSupportedError, for an algorithm that is not known.
        """
        return Uint8Array(hashlib.new(_digest_of(algorithm), bytes(data)).digest())

    async def importKey(
        self,
        format: str,  # noqa: A002  # Web Cryptography's name.
        data: Any,
        algorithm: Any,
        extractable: Any,
        usages: Any,
    ) -> CryptoKey:
        """A key for HMAC, from its bytes.

        Raises:
            JsException: NotSupportedError, for another algorithm or format.
        """
        if _name_of(algorithm) != "HMAC" or format != "raw":
            text = (
                f"the emulator's crypto.subtle knows raw keys of HMAC, not {format!r} keys of "
                f"{_name_of(algorithm)!r}: use a Python library for it"
            )
            raise js_error("NotSupportedError", text)
        digest = _digest_of(algorithm.get("hash", "") if isinstance(algorithm, dict) else "")
        usages = [str(usage) for usage in usages]
        return CryptoKey(bytes(data), digest, algorithm, usages, is_open=bool(extractable))

    async def sign(self, algorithm: Any, key: CryptoKey, data: Any) -> Uint8Array:
        """The HMAC of the data."""
        return Uint8Array(key.sign(data, "sign"))

    async def verify(self, algorithm: Any, key: CryptoKey, signature: Any, data: Any) -> bool:
        """Whether the signature is the data's."""
        return hmac.compare_digest(key.sign(data, "verify"), bytes(signature))

    def timingSafeEqual(self, one: Any, other: Any) -> bool:
        """Whether two buffers are alike (workerd's own addition).

        Raises:
            JsTypeError: If their lengths differ.
        """
        first, second = bytes(one), bytes(other)
        if len(first) != len(second):
            raise js_error("TypeError", "Input buffers must have the same byte length.")
        return hmac.compare_digest(first, second)


@final
class _Crypto:
    """`crypto`."""

    subtle = _Subtle()

    def randomUUID(self) -> str:
        """A version 4 UUID.

        Raises:
            WorldError: Outside of a simulation, where no seed would decide it.
        """
        return current_simulation().randomness.uuid4(_STREAM)

    @required("Crypto", "JsArrayBufferView")
    def getRandomValues(self, array: Any) -> Any:
        """As many random bytes as the array is long.

        Args:
            array: A bytearray (or writable view), which is filled; or a Uint8Array, which
                Python cannot write to, so use what is returned.

        Raises:
            JsException: QuotaExceededError, beyond 65,536 bytes.
            WorldError: Outside of a simulation.
        """
        try:
            size = memoryview(array).nbytes
        except TypeError:
            text = (
                "Failed to execute 'getRandomValues' on 'Crypto': parameter 1 is not of type "
                "'JsArrayBufferView'."
            )
            raise js_error("TypeError", text) from None
        if size > _RANDOM_BYTES_MAX:
            text = (
                "getRandomValues() only accepts buffers of size <= 64K but provided "
                f"{size} bytes."
            )
            raise js_error("QuotaExceededError", text)
        data = current_simulation().randomness.token_bytes(_STREAM, size)
        if isinstance(array, bytes):
            return Uint8Array(data)
        memoryview(array).cast("B")[:] = data
        return array


crypto = _Crypto()
