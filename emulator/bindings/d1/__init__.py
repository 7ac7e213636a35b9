"""d1: the SQL database as a binding.

Promises: `D1Database` (what worker code calls as `env.DB`), its statements and its sessions,
with the shapes, texts and rules of Cloudflare's. Leaves to others: SQL itself (`sqlite`),
names in `env`, worlds, faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.bindings.d1.database import D1Database
    from emulator.bindings.d1.session import D1DatabaseSession
    from emulator.bindings.d1.statement import D1PreparedStatement

__all__ = ["D1Database", "D1DatabaseSession", "D1PreparedStatement"]

#: Loaded when they are first named: a rule about D1 needs no SQLite.
_HOMES = {
    "D1Database": "database",
    "D1DatabaseSession": "session",
    "D1PreparedStatement": "statement",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
