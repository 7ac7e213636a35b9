"""Limits: every number at which the platform says no, by profile.

Promises: three named profiles, each number with its unit and its source; a single limit can
be set tighter. "paid" and "free" are the documented platform; "workerd" is what the local
runtime enforces, which is little. Never raised, because nothing here could tell when: CPU
time, memory, the soft limit on requests a second and what follows from it ("Durable Object is
overloaded. ..."), and what belongs to an account. Leaves to others: counting (usage), and
the words of the refusal.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeVar, final

from emulator.errors import ConfigurationError

__all__ = ["Limits", "documented"]

_MIB: Final = 1_024 * 1_024
_GB: Final = 1_000_000_000

_Error = TypeVar("_Error", bound=BaseException)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits in force in one world. None means that there is none.

    Attributes:
        name: The profile.
        subrequests_max: Calls to other services that one invocation may make.
        external_subrequests_max: Those of them that leave Cloudflare, if they have a budget
            of their own; `subrequests_max` is then for the others.
        connections_max: Calls of one invocation that may wait for response headers at once:
            R2 and fetches to elsewhere. Further ones queue.
        cpu_ms_max: CPU time of one event, milliseconds. Not measured here.
        alarm_wall_ms_max: Wall time of one run of an alarm handler, milliseconds.
        block_concurrency_ms_max: Wall time of a critical section, milliseconds.
        output_gate_ms_max: How long a flush may hold the output gate, milliseconds.
        timers_max: Timers that one object may have running.
        rpc_bytes_max: Size of one RPC message, bytes.
        websocket_message_bytes_max: Size of one received WebSocket message, bytes.
        batch_keys_max: Keys in one call of get, put or delete.
        key_value_bytes_max: Key and value of one pair together, bytes, SQLite-backed.
        kv_key_bytes_max: One key, bytes, KV-backed.
        kv_value_bytes_max: One value, bytes, KV-backed.
        row_bytes_max: One SQLite row, string or blob, bytes.
        storage_bytes_max: What one SQLite-backed object stores, bytes.
        set_alarm_now_stalls: `setAlarm` for the present instant in the handler of an alarm
            of that instant writes and schedules nothing.
    """

    name: str
    subrequests_max: int | None
    external_subrequests_max: int | None = None
    # 6 (Cloudflare docs, Workers, Limits, "Simultaneous open connections"); since 2026-04-09
    # a connection counts until its response headers have come.
    connections_max: int | None = 6
    cpu_ms_max: int | None
    # 15 minutes (Cloudflare docs, Durable Objects, Limits, "Alarm wall time"; workerd's
    # worker-entrypoint.c++ enforces the same).
    alarm_wall_ms_max: int = 900_000
    # 30 seconds (docs, Durable Object State, blockConcurrencyWhile; workerd's io-context.c++).
    block_concurrency_ms_max: int = 30_000
    # 30 seconds (workerd's io-context.c++, OUTPUT_GATE_TIMEOUT).
    output_gate_ms_max: int = 30_000
    # 10,000 (measured on workerd, which enforces it locally too).
    timers_max: int = 10_000
    # 32 MiB (docs, Workers RPC, Limitations; workerd's worker-rpc.c++).
    rpc_bytes_max: int = 32 * _MIB
    # 32 MiB since 2025-10 (docs, Durable Objects, Limits; workerd's web-socket.c++).
    websocket_message_bytes_max: int = 32 * _MIB
    # 128 (docs, Durable Object Storage API, get, put and delete).
    batch_keys_max: int | None = 128
    # 2 MB for key and value together (docs, Durable Objects, Limits).
    key_value_bytes_max: int | None = 2_000_000
    # 2 KiB (docs, Durable Objects, Limits, KV-backed; workerd's actor-cache.c++).
    kv_key_bytes_max: int | None = 2_048
    # 128 KiB (the same; it allows 34 bytes more, for what V8's format adds).
    kv_value_bytes_max: int | None = 131_072
    # 2,200,000 bytes (workerd's sqlite.c++, SQLITE_LIMIT_LENGTH); measured locally.
    row_bytes_max: int = 2_200_000
    storage_bytes_max: int | None
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

    @classmethod
    def parsed(cls, given: object) -> Limits:
        """What the option `limits` says.

        Args:
            given: A profile's name; a dict with a `profile` ("paid" unless given) and limits
                that are tighter than it, such as `{"profile": "free", "batch_keys_max": 8}`;
                or Limits.

        Raises:
            ConfigurationError: If it is none of these, or a limit is unknown or looser.
        """
        if isinstance(given, cls):
            return given
        changes: dict[Any, Any] = {}
        name = given
        if isinstance(given, Mapping):
            changes = dict(given)
            name = changes.pop("profile", "paid")
        if not isinstance(name, str) or name not in _PROFILES:
            hint = _hint(str(name), cls.names())
            message = f"option limits must be one of {', '.join(_PROFILES)}, got {name!r}{hint}"
            raise ConfigurationError(message)
        return _PROFILES[name].tightened(changes)

    def tightened(self, changes: Mapping[str, int]) -> Limits:
        """The same limits with some of them tighter.

        The two which an account may raise in its configuration (Wrangler's `limits`) may be
        set as high as it may: `subrequests_max` and `cpu_ms_max`.

        Args:
            changes: Limits by name, each at least 1.

        Raises:
            ConfigurationError: If a name is unknown, or a limit is looser than before.
        """
        if not changes:
            return self
        known = [field.name for field in fields(self) if field.name.endswith("_max")]
        for name, value in changes.items():
            if name not in known:
                hint = _hint(str(name), known) or f"; known: {', '.join(known)}"
                message = f"option limits has no {name!r}{hint}"
                raise ConfigurationError(message)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                message = f"option limits[{name!r}] must be a whole number >= 1, got {value!r}"
                raise ConfigurationError(message)
            present = getattr(self, name)
            most = _CONFIGURABLE.get(name, present) if self.name == "paid" else present
            if most is not None and value > most:
                message = (
                    f"option limits[{name!r}] can only be tighter than the {most:,} of the "
                    f"profile {self.name!r}, got {value:,}: the platform would say no first"
                )
                raise ConfigurationError(message)
        return replace(self, **changes)  # type: ignore[arg-type]  # Their names end in _max.

    @property
    def is_local(self) -> bool:
        """Whether the local runtime's ways hold, and not the documented platform's."""
        return self.name == "workerd"


def _hint(name: str, known: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def documented(error: _Error, limit: str, most: int) -> _Error:
    """Note on an error where its limit comes from, as nobody could measure that.

    Args:
        error: The platform's refusal.
        limit: Which, such as "batch_keys_max".
        most: The number in force.
    """
    error.add_note(f"{limit} is {most:,} here; documented by Cloudflare, {_PAGES[limit]}")
    return error


_DOCS: Final = "https://developers.cloudflare.com"

_WORKERS_PAGE: Final = f"Workers, Limits: {_DOCS}/workers/platform/limits/#subrequests"

#: Where Cloudflare documents what local workerd does not enforce.
_PAGES: Final = {
    "subrequests_max": _WORKERS_PAGE,
    "external_subrequests_max": _WORKERS_PAGE,
    "batch_keys_max": (
        "Durable Object Storage API: "
        f"{_DOCS}/durable-objects/api/sqlite-storage-api/#asynchronous-kv-api"
    ),
    "key_value_bytes_max": f"Durable Objects, Limits: {_DOCS}/durable-objects/platform/limits/",
}

#: What an account may raise, and how far (docs, Wrangler configuration, "Limits").
_CONFIGURABLE: Final = {"subrequests_max": 10_000_000, "cpu_ms_max": 300_000}

_PROFILES: Final = {
    limits.name: limits
    for limits in (
        Limits(
            name="paid",
            # 10,000 by default since 2026-02-11 (docs, Workers, Limits, "Subrequests").
            subrequests_max=10_000,
            # 30 seconds by default (docs, Durable Objects, Limits, "CPU per request").
            cpu_ms_max=30_000,
            # 10 GB an object (docs, Durable Objects, Limits).
            storage_bytes_max=10 * _GB,
        ),
        Limits(
            name="free",
            # 1,000 to Cloudflare's own services, 50 to elsewhere (docs, Workers, Limits,
            # "Subrequests").
            subrequests_max=1_000,
            external_subrequests_max=50,
            # Durable Objects have the same 30 seconds on both plans (docs, Limits).
            cpu_ms_max=30_000,
            # 5 GB the whole account (docs, Durable Objects, Limits), so no object has more.
            storage_bytes_max=5 * _GB,
        ),
        Limits(
            name="workerd",
            # The local runtime's request limiter is a null implementation (server.c++).
            subrequests_max=None,
            connections_max=None,
            cpu_ms_max=None,
            # Neither the size of a pair nor the length of a batch is checked: measured.
            batch_keys_max=None,
            key_value_bytes_max=None,
            kv_key_bytes_max=None,
            kv_value_bytes_max=None,
            storage_bytes_max=None,
            set_alarm_now_stalls=True,
        ),
    )
}
