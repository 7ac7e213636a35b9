"""The generator: random programs for two runtimes.

Promises: Hypothesis draws whole programs, so they shrink; every program ends with a look at
all that was stored. What a program does with outside services, time and alarms is drawn so
that the real runtime gives the same outcome each time: completions of one service come in the
order of the calls, near alarms are waited for at once, others lie hours ahead. Programs that
wait for two services at once may come out in more than one way. Leaves to others: the single
ops (drawn_ops), running and comparing (differential).

The kinds of ops are drawn first, few for each program ("swarm testing", Groce and others,
2012), so that rare kinds meet each other often enough.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from emulator.conformance.drawn_ops import (
    ALARMS,
    FAVOURITES,
    KINDS,
    NEAR_MS,
    SQL,
    WAITS,
    Ops,
    errors,
    rows,
)
from emulator.conformance.fragments import fragments
from emulator.conformance.program_parts import has_near_alarm, has_ops

__all__ = ["programs"]

Program = dict[str, Any]

#: A near alarm, its failure, and the retry after at most 2.5 s.
ALARM_WAIT_MS: Final = 3_000

#: What one program may wait for. Nobody can say how a timer of 0 ms and a short call race.
_WAITS_TOGETHER: Final = (
    (), (), ("r2",), ("r2",), ("r2",), ("d1",), ("d1",), ("sleep",), ("sleep",), ("rpc",),
    ("sync",), ("bookmark",), ("r2", "sync"), ("r2", "d1"),
)  # fmt: skip

_SCHEMA: Final = (
    rows("CREATE TABLE t(k INTEGER PRIMARY KEY, v)"),
    rows("CREATE TABLE u(pid REFERENCES t(k) DEFERRABLE INITIALLY DEFERRED, note)"),
    rows("INSERT INTO t VALUES (?, ?)", 0, "zero"),
)

_LOOK: Final = (
    ["memory", "m", 1],
    ["storage.list", {}],
    ["storage.getAlarm"],
)
_LOOK_SQL: Final = (
    ["list_kv", {}],
    ["try", [rows("SELECT *, typeof(v) AS kind FROM t ORDER BY k")]],
    ["try", [rows("SELECT * FROM u ORDER BY rowid")]],
    ["try", [rows("SELECT * FROM extra ORDER BY rowid")]],
)


@st.composite
def programs(draw: Any) -> Program:
    """A strategy for programs.

    Returns:
        Programs without a name: whoever runs them gives one.
    """
    has_fragment = _is_drawn(draw, 3) and fragments() != ()
    fragment = draw(st.sampled_from(fragments())) if has_fragment else None
    world = _world(draw) if fragment is None else dict(fragment.world)
    is_sql = world.setdefault("class", "sql") in ("sql", {"useSQLite": True})
    date = world.setdefault("compatibilityDate", "2026-04-01")
    ops = Ops(draw, _kinds(draw, date))
    steps: list[dict[str, Any]] = []
    if is_sql and ops.kinds.intersection(SQL):
        steps.append({"rpc": [list(op) for op in _SCHEMA]})
    count = draw(st.integers(1, 4))
    place = None if fragment is None else draw(st.integers(0, count))
    for number in range(count + 1):
        if fragment is not None and number == place:
            steps += [*fragment.steps, {"newStub": True}]
        if number == count:
            break
        following = _steps(draw, ops)
        if {"evict": True} in following and (fragment or {"evict": True} in steps):
            # One costs ten seconds of real time, and comes late while a stub is kept.
            continue
        steps += following
    if ops.kinds.intersection(ALARMS) and draw(st.booleans()):
        # At last: a retry that is still to come meets nothing of the program.
        steps.append(_alarms(draw, ops))
    look = [*_LOOK, *(_LOOK_SQL if is_sql else ())]
    steps += [{"newStub": True}, {"rpc": [list(op) for op in look]}]
    return {**world, "settle": 20, "steps": steps}


def _is_drawn(draw: Any, one_in: int) -> bool:
    """True for one in so many programs; Hypothesis shrinks it to False."""
    return bool(draw(st.integers(1, one_in)) == one_in)


def _world(draw: Any) -> dict[str, Any]:
    return {
        "class": "kv" if _is_drawn(draw, 8) else "sql",
        "compatibilityDate": draw(st.sampled_from(["2026-04-01", "2026-04-25", "2026-02-01"])),
    }


def _kinds(draw: Any, date: str) -> frozenset[str]:
    """The kinds that one program may have."""
    swarm = draw(st.sets(st.sampled_from(KINDS), min_size=6, max_size=18))
    waits = frozenset(draw(st.sampled_from(_WAITS_TOGETHER)))
    favourite = draw(st.sampled_from(("", *FAVOURITES)))
    if favourite == "rollback":
        swarm |= {"transaction"}
    kinds = (frozenset({*swarm, favourite, "put", "par"}) - set(WAITS)) | waits
    if len(waits) > 1 or "sleep" in waits:
        # An answer of D1 enters the object more than once, each time behind what is critical. A
        # timer that is due outside of a critical section keeps those inside of it waiting, for
        # thirty seconds of real time.
        kinds -= {"bcw", "transaction"}
    if "sleep" in waits or "bcw" in kinds:
        # Whether a timer is due, or a section has failed, before the answer has left, when
        # nobody waits for it.
        kinds -= {"task"}
    if waits.intersection(("rpc", "sync", "bookmark")):
        # What leaves or comes back within the turns that a reset takes, nobody can say.
        kinds -= {"abort", "bcw"}
    if date < "2026-02-24" and "deleteAll" in kinds:
        # There it keeps the alarm by a write of its own, which a reset in the same turn undoes.
        kinds -= {"abort", "bcw"}
    return kinds


def _steps(draw: Any, ops: Ops) -> list[dict[str, Any]]:
    """One thing that happens, and what must follow it."""
    kinds = ops.kinds
    shapes = ["rpc", "par", "par"]
    shapes += [shape for shape in ("fetch", "evict", "newStub") if shape in kinds]
    shape = draw(st.sampled_from(shapes))
    if shape in ("evict", "newStub"):
        return [{shape: True}]
    if shape == "par":
        # Requests have bodies, which take their time to be read: no mixture.
        can_fetch = "fetch" in kinds and not kinds.intersection(WAITS)
        way = "fetch" if can_fetch and not draw(st.integers(0, 3)) else "rpc"
        ops.is_crowded = True
        branches = [{way: ops.body()} for _ in range(draw(st.integers(2, 4)))]
        ops.is_crowded = False
        steps: list[dict[str, Any]] = [{"par": branches}]
    else:
        steps = [{shape: ops.body()}]
    if has_near_alarm(steps):
        # Without a script: it runs, and nothing is to be seen of it but that it has.
        steps.append({"alarms": [], "wait": 2 * NEAR_MS})
    if has_ops(steps, "abort", "blockConcurrencyWhile") and draw(st.integers(0, 3)):
        steps.append({"newStub": True})
    return steps


def _alarms(draw: Any, ops: Ops) -> dict[str, Any]:
    """A near alarm with a handler; it may fail once, and is then waited for."""
    first = ops.body(where="handler")
    runs = [first]
    step: dict[str, Any] = {"set": NEAR_MS, "alarms": runs}
    if "handler.throw" in ops.kinds:
        runs[0] = [*first, ["throw", draw(errors), "failed"]]
        runs.append(ops.body(where="handler", most=2))
        # The second run comes after 2 to 2.5 s, or never if the first one deleted the alarm.
        step.update(wait=ALARM_WAIT_MS)
    else:
        step.update(wait=3 * NEAR_MS)
    return step
