"""Chaos: exports under every fault, crash and order that the platform allows.

    amber chaos --seeds 1000 --jobs 2
    amber chaos --worker other.py
    amber chaos --worker-script bundle.mjs

Rooms: `cases` (which exports), `client` (the user), `scenario` (one export), `watch` (what D1
and R2 tell on the way), `disturbance` (what was done to a run), `witness` (what is shown at
rest), `replays` (the judge, and names for tokens), `units` and `summary` (work and outcomes as
values), `exploring` (one unit), `spreading` (processes, clusters), `on_workerd` (real time).
What must be true is in `amber_worker.laws`.
"""

from __future__ import annotations
