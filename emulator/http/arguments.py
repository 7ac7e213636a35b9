"""Arguments: what the facades are given, here and on the real runtime, checked.

Promises: a wrong argument is a `ConfigurationError` that names it and what would be right.
Leaves to others: what is done with it (the facades).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import httpx

from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bound", "dispatched_request", "upgrade_request"]

_ABSOLUTE: Final = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_REQUEST_OPTIONS: Final = (
    "method", "params", "headers", "cookies", "content", "data", "files", "json", "extensions",
)  # fmt: skip


def dispatched_request(
    url: str, options: dict[str, Any], caller: str = "dispatch_fetch"
) -> httpx.Request:
    """The request that `dispatch_fetch` means.

    Args:
        url: An absolute URL.
        options: `method` (GET unless given) and what httpx.Request takes.
        caller: The method that was called, for errors.

    Raises:
        ConfigurationError: If the URL is not absolute, or an option is unknown.
    """
    if not isinstance(url, str) or not _ABSOLUTE.match(url):
        message = (
            f"{caller} needs an absolute URL such as 'http://localhost/path', got {url!r}"
            + ("; or use mf.client()" if caller == "dispatch_fetch" else "")
        )
        raise ConfigurationError(message)
    for name in options:
        if name not in _REQUEST_OPTIONS:
            message = f"{caller} has no option {name!r}; it has {', '.join(_REQUEST_OPTIONS)}"
            raise ConfigurationError(message)
    method = options.pop("method", "GET")
    if not isinstance(method, str):
        message = f"{caller}: method must be a string such as 'POST', got {method!r}"
        raise ConfigurationError(message)
    return httpx.Request(method, url, **options)


def upgrade_request(url: str, options: dict[str, Any]) -> httpx.Request:
    """The request that `connect` means.

    Args:
        url: An absolute URL, of the scheme http, https, ws or wss.
        options: As for `dispatch_fetch`.

    Raises:
        ConfigurationError: As for `dispatch_fetch`.
    """
    headers = httpx.Headers(options.pop("headers", None))
    headers.setdefault("upgrade", "websocket")
    # Browsers say ws; what travels is HTTP.
    if isinstance(url, str) and url.startswith(("ws://", "wss://")):
        url = f"http{url[2:]}"
    return dispatched_request(url, {**options, "headers": headers}, "connect")


def bound(bindings: Mapping[str, Any], name: str, option: str) -> Any:
    """The binding of a name.

    Args:
        bindings: Those that there are.
        name: Which one.
        option: The option of a world that makes them.

    Raises:
        ConfigurationError: If there is none of that name.
    """
    if not isinstance(name, str) or name not in bindings:
        message = f"there is no {name!r} in {option}; there is {', '.join(bindings) or 'none'}"
        raise ConfigurationError(message)
    return bindings[name]
