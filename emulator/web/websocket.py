"""WebSocket: what a Response with status 101 carries, and the rules that need no connection.

Promises: close codes, reasons and upgrades are refused as workerd refuses them (its
api/web-socket.c++ and api/http.c++; texts measured). Leaves to others: the connection.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final, Self

from emulator.errors import js_error
from emulator.web.events import EventTarget

if TYPE_CHECKING:
    from emulator.web.request import Request
    from emulator.web.response import Response

__all__ = ["UpgradeSocket", "check_close", "check_upgrade"]

#: Bytes of a close reason: a control frame has 125, and two are the code (RFC 6455, 5.5).
REASON_BYTES_MAX: Final = 123
#: Codes that no Close frame may bear (RFC 6455, 7.4.1), among those from 1000 to 4999.
_RESERVED: Final = (1004, 1005, 1006, 1015)


class UpgradeSocket(EventTarget):
    """One end of a WebSocket, which a Response may carry to whoever asked."""

    @abstractmethod
    def handed_over(self) -> Self:
        """The end as the one who asked holds it; this object is no longer connected."""


def check_close(code: int | None, reason: str | None) -> None:
    """Refuse what no Close frame can say.

    Args:
        code: None is a frame without a code.
        reason: None is no reason.

    Raises:
        JsException: InvalidAccessError for the code, SyntaxError for the reason.
    """
    if code is None:
        if reason is not None:
            raise js_error(
                "InvalidAccessError",
                "If you specify a WebSocket close reason, you must also specify a code.",
            )
        return
    if not 1000 <= code < 5000 or code in _RESERVED:
        raise js_error("InvalidAccessError", f"Invalid WebSocket close code: {code}.")
    if reason is not None and len(reason.encode("utf-8", "replace")) > REASON_BYTES_MAX:
        raise js_error(
            "SyntaxError",
            f"WebSocket close reason must not be longer than {REASON_BYTES_MAX} bytes when "
            "UTF-8 encoded.",
        )


def check_upgrade(response: Response, request: Request) -> None:
    """Refuse a WebSocket as the answer to a request that did not ask for one.

    Raises:
        JsTypeError: If it has one, and the request no header `Upgrade: websocket`.
    """
    if response.web_socket is None:
        return
    wanted: Any = request.headers.get("upgrade")
    if wanted is None or wanted.lower() != "websocket":
        raise js_error(
            "TypeError",
            "Worker tried to return a WebSocket in a response to a request which did not "
            'contain the header "Upgrade: websocket".',
        )
