"""Simulation: time, chance, order and record, and nothing of Workers.

Rooms: `clock` (what time it is), `loop` (asyncio under that time), `handles`, `waiters`
(who waits for what), `schedules` (what decides a choice), `randomness` (named streams),
`rules` (what goes wrong), `trace` (what happened), `ambient` (what user code reaches
without asking) and `runner` (one simulation from start to end).
"""
