"""Testing: what a test asks for beside the world itself, and the pytest plugin.

The verbs of Cloudflare's `cloudflare:test` in snake_case, and ours: `crash_durable_object`,
`list_alarms`, `snapshot`, `restore`, `fork` and `OutboundMock`; and what must hold while a
world runs: `always`, `eventually`, `never`, `sometimes`, `watching`. They are loaded when they
are first used: the plugin, which every pytest loads, lives here too. `invariants`,
`strategies` and `stateful` are modules of this package, which need Hypothesis or more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from emulator.testing.alarms import PendingAlarm, list_alarms, run_durable_object_alarm
    from emulator.testing.durable_objects import (
        abort_all_durable_objects,
        crash_durable_object,
        evict_all_durable_objects,
        evict_durable_object,
        list_durable_object_ids,
        run_in_durable_object,
    )
    from emulator.testing.events import (
        create_execution_context,
        create_scheduled_controller,
        wait_on_execution_context,
    )
    from emulator.testing.monitors import always, eventually, never, sometimes, watching
    from emulator.testing.outbound_mock import OutboundMock, OutboundMockError
    from emulator.testing.snapshots import fork, reset, restore, snapshot

__all__ = [
    "OutboundMock",
    "OutboundMockError",
    "PendingAlarm",
    "abort_all_durable_objects",
    "always",
    "crash_durable_object",
    "create_execution_context",
    "create_scheduled_controller",
    "eventually",
    "evict_all_durable_objects",
    "evict_durable_object",
    "fork",
    "list_alarms",
    "list_durable_object_ids",
    "never",
    "reset",
    "restore",
    "run_durable_object_alarm",
    "run_in_durable_object",
    "snapshot",
    "sometimes",
    "wait_on_execution_context",
    "watching",
]

_ROOMS: Final = {
    "alarms": ("PendingAlarm", "list_alarms", "run_durable_object_alarm"),
    "durable_objects": (
        "abort_all_durable_objects",
        "crash_durable_object",
        "evict_all_durable_objects",
        "evict_durable_object",
        "list_durable_object_ids",
        "run_in_durable_object",
    ),
    "events": (
        "create_execution_context",
        "create_scheduled_controller",
        "wait_on_execution_context",
    ),
    "monitors": ("always", "eventually", "never", "sometimes", "watching"),
    "outbound_mock": ("OutboundMock", "OutboundMockError"),
    "snapshots": ("fork", "reset", "restore", "snapshot"),
}
_ROOM_OF: Final = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    room = _ROOM_OF.get(name)
    if room is None:
        message = f"module 'emulator.testing' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"emulator.testing.{room}"), name)
