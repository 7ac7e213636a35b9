"""Bindings: what a worker reaches through `env`, beside Durable Objects.

Rooms: `r2` (object storage), `d1` (the SQL database) and `services` (other workers, and the
way out).
"""
