"""Broken: why an instance ended, for everybody who still waits for it.

Promises: each who asks gets an error of his own, with the platform's flags (section "Error
handling" of Cloudflare's Durable Objects docs; workerd's jsg, error tunnelling). Leaves to
others: who asks (the instance, the stub).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from emulator.errors import copied
from emulator.values import structured_clone

if TYPE_CHECKING:
    from emulator.errors import JsException

__all__ = ["Broken"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The end of an instance that some callers did not expect.

    Attributes:
        error: What callers see.
        is_disconnect: The connection was lost; nothing is known about the cause.
        is_counted: An alarm that ran counts this among its failures.
        retries_alarm: An alarm that ran is tried again.
    """

    error: JsException
    is_disconnect: bool = False
    is_counted: bool = True
    retries_alarm: bool = True

    def as_seen(self, *, is_fetch: bool) -> JsException:
        """A fresh copy of the error.

        Args:
            is_fetch: A `fetch` that was under way adds `remote`; an RPC call does not, and
                neither does a later call on the broken stub.
        """
        seen = copied(self.error)
        seen.remote |= is_fetch and not self.is_disconnect
        if seen.properties:
            seen.properties = structured_clone(
                seen.properties, for_storage=True, has_enhanced_errors=True
            )
        return seen
