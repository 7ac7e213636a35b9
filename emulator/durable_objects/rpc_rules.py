"""RPC rules: what a world has settled about calls between its parts.

Promises: the compatibility flags and limits that calls obey, in one place. Leaves to others:
obeying them (the call, the errors), and what a world's options say (the world).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from emulator.usage import Mark

__all__ = ["RpcRules"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RpcRules:
    """What a world has settled about calls between its parts.

    Attributes:
        bytes_max: The largest message.
        bytes_mark: The largest message so far; a small one is counted generously.
        has_enhanced_errors: Names and own properties of errors survive
            (`enhanced_error_serialization`, since 2026-04-21).
        dups_params: A stub among the arguments stays the caller's as well
            (`rpc_params_dup_stubs`, since 2026-01-20).
        path_depth_max: Names that may be gone into on the way to a property; None is no limit.
    """

    bytes_max: int = 32 * 1_024 * 1_024
    bytes_mark: Mark = field(default_factory=Mark)
    has_enhanced_errors: bool = False
    dups_params: bool = True
    path_depth_max: int | None = 64  # workerd's worker-rpc.c++, not in every version.
