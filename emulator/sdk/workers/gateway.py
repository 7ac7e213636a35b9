"""Gateway: the options that the adapters for ASGI and WSGI share.

Promises: the checks and the defaults of Cloudflare's package. Leaves to others: the
adapters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["BaseOptions", "EncodeBody"]

EncodeBody = Literal["automatic", "manual"]


@dataclass(frozen=True, kw_only=True)
class BaseOptions:
    """Options of an adapter.

    Attributes:
        encode_body: "manual" sends a body with a `content-encoding` as it is; "automatic"
            has the platform encode it.

    Raises:
        ValueError: For another value.
    """

    encode_body: EncodeBody = "automatic"

    def __post_init__(self) -> None:
        known = get_args(EncodeBody)
        if self.encode_body not in known:
            raise ValueError(f"encode_body must be one of {known}, got {self.encode_body!r}")

    def response_init(self) -> dict[str, Any]:
        """What the Response is made with beside status and headers."""
        return {} if self.encode_body == "automatic" else {"encodeBody": self.encode_body}
