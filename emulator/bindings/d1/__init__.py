"""d1: the SQL database as a binding.

Promises: `D1Database` (what worker code calls as `env.DB`), its statements and its sessions,
with the shapes, texts and rules of Cloudflare's. Leaves to others: SQL itself (`sqlite`),
names in `env`, worlds, faults.
"""

from __future__ import annotations

from emulator.bindings.d1.database import D1Database
from emulator.bindings.d1.session import D1DatabaseSession
from emulator.bindings.d1.statement import D1PreparedStatement

__all__ = ["D1Database", "D1DatabaseSession", "D1PreparedStatement"]
