"""Runtime: from options to a running world.

Rooms: `options` (what a world is made of, checked), `loader` (from a script to its
classes), `invocation` (one event of a plain worker), `console` (what workers print) and
`world` (the assembly).
"""
