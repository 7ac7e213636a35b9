"""Foreign use: what belongs to one event or object, used in another.

Promises: the platform's error for it, which names who is at work and what was used
(workerd's io-context.c++, measured). Test code owns nothing and may use everything. Leaves
to others: knowing what belongs to whom (the stubs, the instance).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.durable_objects.context import CURRENT
from emulator.errors import JsException

if TYPE_CHECKING:
    from emulator.durable_objects.context import IoContext

__all__ = ["check_own", "foreign_use"]

_REQUEST: Final = (
    "Cannot perform I/O on behalf of a different request. I/O objects (such as streams, "
    "request/response bodies, and others) created in the context of one request handler "
    "cannot be accessed from a different request's handler. This is a limitation of "
    "Cloudflare Workers which allows us to improve overall performance. (I/O type: {})"
)
_OBJECT: Final = (
    "Cannot perform I/O on behalf of a different Durable Object. I/O objects (such as "
    "streams, request/response bodies, and others) created in the context of one Durable "
    "Object cannot be accessed from a different Durable Object in the same isolate. This is a "
    "limitation of Cloudflare Workers which allows us to improve overall performance. "
    "(I/O type: {})"
)


def foreign_use(owner: IoContext | None, kind: str) -> JsException | None:
    """The error, if the running code is not the owner's.

    Args:
        owner: To whom it belongs; None is test code.
        kind: The runtime's name for what is used, such as "OutgoingFactory".
    """
    user = CURRENT.get()
    if user is owner or user is None or owner is None or owner.is_outside:
        return None
    # Only objects have an input gate.
    text = _REQUEST if user.input_gate is None else _OBJECT
    return JsException(text.format(kind))


def check_own(owner: IoContext | None, kind: str) -> None:
    """Refuse foreign use; the arguments are those of `foreign_use`.

    Raises:
        JsException: If the running code is not the owner's.
    """
    error = foreign_use(owner, kind)
    if error is not None:
        raise error
