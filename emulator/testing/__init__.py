"""Testing: what a test asks for beside the world itself, and the pytest plugin.

The verbs of Cloudflare's `cloudflare:test` for Durable Objects, in snake_case. They are
loaded when they are first used: the plugin, which every pytest loads, lives here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.testing.helpers import (
        abort_all_durable_objects,
        crash_durable_object,
        evict_durable_object,
        list_durable_object_ids,
        reset,
        run_durable_object_alarm,
        run_in_durable_object,
    )

__all__ = [
    "abort_all_durable_objects",
    "crash_durable_object",
    "evict_durable_object",
    "list_durable_object_ids",
    "reset",
    "run_durable_object_alarm",
    "run_in_durable_object",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from emulator.testing import helpers

        return getattr(helpers, name)
    message = f"module 'emulator.testing' has no attribute {name!r}"
    raise AttributeError(message)
