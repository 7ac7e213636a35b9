"""Limits: every number at which the platform says no, by profile.

Promises: three named profiles, each number with its unit and its source. "paid" and "free"
are the documented platform; "workerd" is what the local runtime enforces, which is little.
Leaves to others: counting, and the words of the refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

__all__ = ["Limits"]

_MIB: Final = 1_024 * 1_024


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits in force in one world. None means that there is none.

    Attributes:
        name: The profile.
        subrequests_max: Calls to other services that one invocation may make.
        cpu_ms_max: CPU time of one event, milliseconds.
        alarm_wall_ms_max: Wall time of one run of an alarm handler, milliseconds.
        block_concurrency_ms_max: Wall time of a critical section, milliseconds.
        output_gate_ms_max: How long a flush may hold the output gate, milliseconds.
        rpc_bytes_max: Size of one RPC message, bytes.
        key_value_bytes_max: Key and value of one stored pair together, bytes.
        row_bytes_max: One SQLite row, string or blob, bytes.
        batch_keys_max: Keys in one call of get, put or delete.
        set_alarm_now_stalls: `setAlarm` for the present instant in the handler of an alarm
            of that instant writes and schedules nothing.
    """

    name: str
    subrequests_max: int | None
    cpu_ms_max: int | None
    # 15 minutes (Cloudflare docs, Durable Objects, Limits, "Alarm wall time"; workerd's
    # worker-entrypoint.c++ enforces the same).
    alarm_wall_ms_max: int = 900_000
    # 30 seconds (docs, Durable Object State, blockConcurrencyWhile; workerd's io-context.c++).
    block_concurrency_ms_max: int = 30_000
    # 30 seconds (workerd's io-context.c++, OUTPUT_GATE_TIMEOUT).
    output_gate_ms_max: int = 30_000
    # 32 MiB (docs, Workers RPC, Limitations; workerd's worker-rpc.c++).
    rpc_bytes_max: int = 32 * _MIB
    key_value_bytes_max: int | None
    # 2,200,000 bytes (workerd's sqlite.c++, SQLITE_LIMIT_LENGTH); measured locally.
    row_bytes_max: int = 2_200_000
    batch_keys_max: int | None
    # A bug of the local runtime (workerd issue 6866), not of the documented platform.
    set_alarm_now_stalls: bool = False

    @classmethod
    def named(cls, name: str) -> Limits:
        """The profile of that name.

        Args:
            name: "paid", "free" or "workerd".

        Raises:
            KeyError: If there is none.
        """
        return _PROFILES[name]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all profiles."""
        return tuple(_PROFILES)


_PROFILES: Final = {
    limits.name: limits
    for limits in (
        Limits(
            name="paid",
            # 10,000 by default since 2026-02-11 (docs, Workers, Limits, "Subrequests").
            subrequests_max=10_000,
            # 30 seconds by default (docs, Durable Objects, Limits, "CPU per request").
            cpu_ms_max=30_000,
            # 2 MB for key and value together (docs, Durable Objects, Limits).
            key_value_bytes_max=2_000_000,
            # 128 (docs, Durable Object Storage API, get, put and delete).
            batch_keys_max=128,
        ),
        Limits(
            name="free",
            # 1,000 to Cloudflare's own services (docs, Workers, Limits, "Subrequests");
            # the 50 to elsewhere are not counted apart.
            subrequests_max=1_000,
            # Durable Objects have the same 30 seconds on both plans (docs, Limits).
            cpu_ms_max=30_000,
            key_value_bytes_max=2_000_000,
            batch_keys_max=128,
        ),
        Limits(
            name="workerd",
            # The local runtime's request limiter is a null implementation (server.c++).
            subrequests_max=None,
            cpu_ms_max=None,
            # Neither the size of a pair nor the length of a batch is checked: measured.
            key_value_bytes_max=None,
            batch_keys_max=None,
            set_alarm_now_stalls=True,
        ),
    )
}
