"""The generator: random programs for two runtimes.

Promises: Hypothesis draws whole programs, so they shrink; every program ends with a look at
all that was stored. What a program does with outside services, time and alarms is drawn so
that the real runtime gives the same outcome each time: completions of one service come in the
order of the calls, near alarms are waited for at once, others lie hours ahead. Programs that
wait for two services at once (`is_racing`) may come out in more than one way. Leaves to
others: running and comparing them (differential).

The kinds of ops are drawn first, few for each program ("swarm testing", Groce and others,
2012), so that rare kinds meet each other often enough.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from emulator.conformance.odd_calls import ODD_CALLS

__all__ = ["KINDS", "is_racing", "ops_of", "programs"]

Op = list[Any]
Program = dict[str, Any]

#: Hours ahead: such an alarm never runs while a program does.
FAR_MS: Final = 7_200_000
#: Soon, and yet after the answer of the call that sets it.
NEAR_MS: Final = 200
#: A near alarm, its failure, and the retry after at most 2.5 s.
ALARM_WAIT_MS: Final = 3_000

_READS: Final = ("get", "get_many", "list", "kv.get", "kv.list")
_WRITES: Final = ("put", "put_many", "delete", "delete_many", "kv.put", "kv.delete")
_SQL: Final = ("sql.insert", "sql.select", "sql.change", "sql.schema", "sql.bad", "sql.cursor")
_ALARMS: Final = ("alarm.far", "alarm.near", "alarm.get", "alarm.delete")
_BODIES: Final = ("transaction", "transactionSync", "bcw", "try", "gather", "task")
_ENDS: Final = ("throw", "abort", "return")
_WAITS: Final = ("sync", "bookmark", "sleep", "r2", "d1", "rpc")
#: What one program may wait for. Nobody can say how a timer of 0 ms and a short call race.
_WAITS_TOGETHER: Final = (
    (), ("r2",), ("r2",), ("d1",), ("sleep",), ("rpc",), ("sync", "bookmark"),
    ("r2", "sync"), ("r2", "d1"), ("r2", "rpc"), ("d1", "bookmark"),
    ("rpc", "bookmark", "sync"),
)  # fmt: skip
_OTHERS: Final = ("deleteAll", "memory", "odd", "waitUntil")
_STEPS: Final = ("par", "fetch", "evict", "newStub", "handler.throw")

#: Every kind of op and step that is drawn.
KINDS: Final = (
    *_READS, *_WRITES, *_SQL, *_ALARMS, *_BODIES, *_ENDS, *_WAITS, *_OTHERS, *_STEPS,
    "rollback",
)  # fmt: skip

_KEYS: Final = ("a", "b", "c", "aa", "a/1", "é", "", "\U0001f4a9")
_keys = st.sampled_from(_KEYS)

_scalars = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**53), 2**53),
    st.sampled_from([0.5, -1.5, 1e300]),
    st.text("aé\U0001f4a9\x00", max_size=3),
    st.booleans(),
    st.none(),
)
_tagged = st.one_of(
    st.binary(max_size=4).map(lambda data: {"$": "bytes", "hex": data.hex()}),
    st.sampled_from(
        [
            {"$": "undefined"},
            {"$": "number", "is": "NaN"},
            {"$": "number", "is": "-0"},
            {"$": "number", "is": "Infinity"},
            {"$": "date", "ms": 86_400_000},
            {"$": "bigint", "is": "18446744073709551616"},
            {"$": "map", "of": [["k", 1], [2, "v"]]},
            {"$": "set", "of": [1, "x"]},
            {"$": "error", "name": "RangeError", "message": "stored"},
            {"$": "cycle"},
        ]
    ),
)
_values = st.recursive(
    st.one_of(_scalars, _scalars, _tagged),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    ),
    max_leaves=4,
)
_storable = _values.filter(lambda value: value != {"$": "undefined"})

_ranges = st.fixed_dictionaries(
    {},
    optional={
        "start": _keys,
        "end": _keys,
        "prefix": st.sampled_from(["", "a", "é"]),
        "limit": st.integers(1, 3),
        "reverse": st.booleans(),
    },
)

_bindings = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, "x", "", None, True, {"$": "bytes", "hex": "00ff"}]),
)


def _exec(sql: str, *bindings: Any) -> Op:
    return ["storage.sql.exec", sql, *bindings]


def _rows(sql: str, *bindings: Any) -> Op:
    # A cursor is read at once: left open it would lock its table until nobody knows when.
    return ["storage.sql.exec", sql, *bindings, {"call": "toArray"}]


_INSERTS: Final = (
    "INSERT INTO t VALUES (?, ?)",
    "INSERT OR REPLACE INTO t VALUES (?, ?)",
    "INSERT INTO t VALUES (?, ?) ON CONFLICT DO UPDATE SET v = excluded.v",
    "INSERT INTO t VALUES (?, ?) RETURNING k, v, typeof(v)",
)
_SELECTS: Final = (
    "SELECT * FROM t ORDER BY k",
    "SELECT count(*) AS n, sum(k) AS s FROM t",
    "SELECT k, typeof(v) AS kind FROM t ORDER BY k DESC LIMIT 2",
    "SELECT ? AS v, typeof(?) AS kind",
    "SELECT t.k, u.pid FROM t JOIN u ON u.pid = t.k",
    "SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name",
)
_CHANGES: Final = (
    "UPDATE t SET v = ? WHERE k = ?",
    "DELETE FROM t WHERE v IS ? OR k = ?",
    "INSERT INTO u(pid, note) VALUES (?, ?)",
    "UPDATE u SET note = ? WHERE pid = ?",
)
_SCHEMAS: Final = (
    "CREATE TABLE extra(x UNIQUE, y NOT NULL DEFAULT 1)",
    "CREATE TABLE IF NOT EXISTS extra(x UNIQUE, y NOT NULL DEFAULT 1)",
    "DROP TABLE extra",
    "DROP TABLE IF EXISTS extra",
    "CREATE INDEX by_v ON t(v)",
    "ALTER TABLE t ADD COLUMN w DEFAULT 7",
    "CREATE VIEW seen AS SELECT k FROM t",
    "CREATE TRIGGER after_t AFTER INSERT ON t BEGIN INSERT INTO u(note) VALUES ('t'); END",
)
_BAD_SQL: Final = (
    "SELEC 1",
    "SELECT * FROM nowhere",
    "SELECT nothing FROM t",
    "INSERT INTO extra VALUES (1, NULL)",
    "BEGIN TRANSACTION",
    "SAVEPOINT s",
    "VACUUM",
    "PRAGMA user_version",
    "CREATE TABLE _cf_mine(x)",
    "SELECT key FROM _cf_KV",
    "SELECT 1; SELECT 2;",
    "",
    "SELECT ?",
    "ATTACH 'x' AS y",
)


@st.composite
def _sql(draw: Any, kind: str) -> Op:
    if kind == "sql.insert":
        return _rows(draw(st.sampled_from(_INSERTS)), draw(st.integers(0, 4)), draw(_bindings))
    if kind == "sql.select":
        sql = draw(st.sampled_from(_SELECTS))
        return _rows(sql, *(draw(_bindings) for _ in range(sql.count("?"))))
    if kind == "sql.change":
        first, second = draw(_bindings), draw(st.integers(0, 4))
        return _rows(draw(st.sampled_from(_CHANGES)), first, second)
    if kind == "sql.schema":
        return _rows(draw(st.sampled_from(_SCHEMAS)))
    return _rows(draw(st.sampled_from(_BAD_SQL)))


@st.composite
def _pair(draw: Any, kind: str) -> Op:
    key = draw(_keys)
    match kind:
        case "get":
            return ["storage.get", key]
        case "get_many":
            return ["storage.get", draw(st.lists(_keys, max_size=3))]
        case "list":
            return ["storage.list", draw(_ranges)]
        case "kv.get":
            return ["storage.kv.get", key]
        case "kv.list":
            return ["list_kv", draw(_ranges)]
        case "put":
            return ["storage.put", key, draw(_storable)]
        case "put_many":
            return ["storage.put", draw(st.dictionaries(_keys, _values, max_size=3))]
        case "delete":
            return ["storage.delete", key]
        case "delete_many":
            return ["storage.delete", draw(st.lists(_keys, max_size=3))]
        case "kv.put":
            return ["storage.kv.put", key, draw(_values)]
        case _:
            return ["storage.kv.delete", key]


@st.composite
def _alarm(draw: Any, kind: str) -> Op:
    match kind:
        case "alarm.far":
            plus = draw(st.sampled_from([FAR_MS, 2 * FAR_MS]))
            return ["storage.setAlarm", {"$": "now", "plus": plus}]
        case "alarm.near":
            return ["storage.setAlarm", {"$": "now", "plus": NEAR_MS}]
        case "alarm.get":
            return ["storage.getAlarm"]
        case _:
            return ["storage.deleteAlarm"]


_ERRORS: Final = st.sampled_from(["Error", "TypeError", "RangeError"])

#: What may stand where nothing waits: the body of a `transactionSync`.
_SYNC_KINDS: Final = frozenset((*_READS, *_WRITES, *_SQL, *_ALARMS, "throw", "transactionSync"))


class _Ops:
    """Draws ops of the kinds that one program may have."""

    def __init__(self, draw: Any, kinds: frozenset[str]) -> None:
        self.draw = draw
        self.kinds = kinds

    def body(self, *, depth: int = 0, where: str = "object", most: int = 4) -> list[Op]:
        """A list of ops, run one after the other.

        Args:
            depth: Bodies around this one.
            where: "object", "transaction", "sync" or "handler".
            most: Ops.
        """
        allowed = [kind for kind in KINDS if self._fits(kind, depth, where)]
        if not allowed:
            allowed = ["memory"]
        count = self.draw(st.integers(1, most))
        return [
            self.op(self.draw(st.sampled_from(allowed)), depth=depth, where=where)
            for _ in range(count)
        ]

    def _fits(self, kind: str, depth: int, where: str) -> bool:
        if kind not in self.kinds or kind in _STEPS:
            return False
        if where == "sync":
            return kind in _SYNC_KINDS and (kind != "transactionSync" or depth < 3)
        if kind == "rollback":
            return where == "transaction"
        if kind in _BODIES and depth >= 2:
            return False
        return not (kind == "return" and (depth or where == "handler"))

    def op(self, kind: str, *, depth: int, where: str) -> Op:
        """One op of that kind."""
        draw = self.draw
        op: Op
        if kind in _READS or kind in _WRITES:
            op = draw(_pair(kind))
            if where == "transaction" and draw(st.booleans()):
                op = self._by_transaction(op)
            return op
        if kind == "sql.cursor":
            return _rows("SELECT k FROM t ORDER BY k; SELECT v FROM t ORDER BY k")
        if kind in _SQL:
            op = draw(_sql(kind))
            return op
        if kind in _ALARMS:
            op = draw(_alarm(kind))
            return op
        if kind in _BODIES:
            return self._with_body(kind, depth=depth, where=where)
        return self._simple(kind)

    @staticmethod
    def _by_transaction(op: Op) -> Op:
        name = op[0].replace("storage.", "txn.", 1)
        return op if ".kv." in name or not name.startswith("txn.") else [name, *op[1:]]

    def _with_body(self, kind: str, *, depth: int, where: str) -> Op:
        inner = {"transaction": "transaction", "transactionSync": "sync"}.get(kind, where)
        body = self.body(depth=depth + 1, where=inner, most=3)
        match kind:
            case "transaction":
                return ["storage.transaction", body]
            case "transactionSync":
                return ["storage.transactionSync", body]
            case "bcw":
                return ["blockConcurrencyWhile", body]
            case "task":
                return ["task", body[0]]
            case _:
                return [kind, body]

    def _simple(self, kind: str) -> Op:
        draw = self.draw
        match kind:
            case "throw":
                return ["throw", draw(_ERRORS), "thrown"]
            case "abort":
                return ["abort", *draw(st.sampled_from([[], ["because"]]))]
            case "return":
                return ["return", draw(_values)]
            case "sync":
                return ["storage.sync"]
            case "bookmark":
                return ["storage.getCurrentBookmark"]
            case "sleep":
                return ["sleep", 1]
            case "r2":
                return ["r2.head", "missing"]
            case "d1":
                return ["d1.prepare", "SELECT 1 AS v", {"call": "all"}]
            case "rpc":
                return ["rpc", "other", [["storage.put", draw(_keys), 1], ["return", 5]]]
            case "deleteAll":
                return ["storage.deleteAll"]
            case "memory":
                return ["memory", "m", 1]
            case "waitUntil":
                return ["waitUntil", [["storage.put", draw(_keys), "later"]]]
            case "rollback":
                return ["txn.rollback"]
            case _:
                return list(draw(st.sampled_from(ODD_CALLS)))


_SCHEMA: Final = (
    _exec("CREATE TABLE t(k INTEGER PRIMARY KEY, v)"),
    _exec("CREATE TABLE u(pid REFERENCES t(k) DEFERRABLE INITIALLY DEFERRED, note)"),
    _rows("INSERT INTO t VALUES (?, ?)", 0, "zero"),
)

_LOOK: Final = (
    ["memory", "m", 1],
    ["storage.list", {}],
    ["storage.getAlarm"],
)
_LOOK_SQL: Final = (
    ["list_kv", {}],
    ["try", [_rows("SELECT *, typeof(v) AS kind FROM t ORDER BY k")]],
    ["try", [_rows("SELECT * FROM u ORDER BY rowid")]],
    ["try", [_rows("SELECT * FROM extra ORDER BY rowid")]],
)


@st.composite
def programs(draw: Any) -> Program:
    """A strategy for programs.

    Returns:
        Programs without a name: whoever runs them gives one.
    """
    is_sql = draw(st.integers(0, 7)) > 0
    swarm = draw(st.sets(st.sampled_from(KINDS), min_size=6, max_size=18))
    kinds = frozenset({*swarm, "put", "par"})
    waits = frozenset(draw(st.sampled_from(_WAITS_TOGETHER)))
    kinds = (kinds - set(_WAITS)) | waits
    if waits.intersection(("rpc", "sync", "bookmark")):
        # What leaves or comes back within the turns that a reset takes, nobody can say.
        kinds -= {"abort", "bcw"}
    ops = _Ops(draw, kinds)
    steps: list[dict[str, Any]] = []
    if is_sql and kinds.intersection(_SQL):
        steps.append({"rpc": [list(op) for op in _SCHEMA]})
    for _ in range(draw(st.integers(1, 4))):
        following = _steps(draw, ops)
        if {"evict": True} in following and {"evict": True} in steps:
            continue  # One costs ten seconds of real time.
        steps += following
    if kinds.intersection(_ALARMS) and draw(st.booleans()):
        # At last: a retry that is still to come meets nothing of the program.
        steps.append(_alarms(draw, ops))
    look = [*_LOOK, *(_LOOK_SQL if is_sql else ())]
    steps += [{"newStub": True}, {"rpc": [list(op) for op in look]}]
    date = draw(st.sampled_from(["2026-04-01", "2026-04-25", "2026-02-01"]))
    return {
        "class": "sql" if is_sql else "kv",
        "compatibilityDate": date,
        "settle": 20,
        "steps": steps,
    }


def _steps(draw: Any, ops: _Ops) -> list[dict[str, Any]]:
    """One thing that happens, and what must follow it."""
    kinds = ops.kinds
    shapes = ["rpc", "par", "par"]
    shapes += [shape for shape in ("fetch", "evict", "newStub") if shape in kinds]
    shape = draw(st.sampled_from(shapes))
    if shape in ("evict", "newStub"):
        return [{shape: True}]
    if shape == "par":
        # Requests have bodies, which take their time to be read: no mixture.
        way = "fetch" if "fetch" in kinds and not draw(st.integers(0, 3)) else "rpc"
        branches = [{way: ops.body()} for _ in range(draw(st.integers(2, 4)))]
        steps: list[dict[str, Any]] = [{"par": branches}]
    else:
        steps = [{shape: ops.body()}]
    if _has_near_alarm(steps):
        # Without a script: it runs, and nothing is to be seen of it but that it has.
        steps.append({"alarms": [], "wait": 2 * NEAR_MS})
    if _has(steps, "abort", "blockConcurrencyWhile") and draw(st.integers(0, 3)):
        steps.append({"newStub": True})
    return steps


def _alarms(draw: Any, ops: _Ops) -> dict[str, Any]:
    """A near alarm with a handler; it may fail once, and is then waited for."""
    first = ops.body(where="handler")
    runs = [first]
    step: dict[str, Any] = {"set": NEAR_MS, "alarms": runs}
    if "handler.throw" in ops.kinds:
        runs[0] = [*first, ["throw", draw(_ERRORS), "failed"]]
        runs.append(ops.body(where="handler", most=2))
        # The second run comes after 2 to 2.5 s, or never if the first one deleted the alarm.
        step.update(wait=ALARM_WAIT_MS)
    else:
        step.update(wait=3 * NEAR_MS)
    return step


def _has(steps: Any, *names: str) -> bool:
    if isinstance(steps, list):
        if steps and steps[0] in names:
            return True
        return any(_has(item, *names) for item in steps)
    return isinstance(steps, dict) and any(_has(item, *names) for item in steps.values())


def _has_near_alarm(part: Any) -> bool:
    if isinstance(part, dict):
        return part == {"$": "now", "plus": NEAR_MS} or any(map(_has_near_alarm, part.values()))
    return isinstance(part, list) and any(map(_has_near_alarm, part))


#: Ops whose answers may overtake those of another line.
_RACERS: Final = (
    ("r2.head",),
    ("d1.prepare",),
    ("rpc",),
    ("storage.sync",),
    ("storage.getCurrentBookmark",),
)


def is_racing(program: Program) -> bool:
    """Whether completions of two kinds may overtake each other in a program."""
    steps = program["steps"]
    waits = [ops for ops in _RACERS if _has(steps, *ops)]
    # A request of `fetch` has a body, which takes its time to be read.
    branches = [branch for step in steps for branch in step.get("par", ())]
    return len(waits) + any("fetch" in branch for branch in branches) > 1


#: The names of kinds that programs show by their ops.
_KIND_OF: Final = {
    "storage.delete": "delete",
    "storage.deleteAlarm": "alarm.delete",
    "storage.deleteAll": "deleteAll",
    "storage.get": "get",
    "storage.getAlarm": "alarm.get",
    "storage.getCurrentBookmark": "bookmark",
    "storage.list": "list",
    "storage.put": "put",
    "storage.setAlarm": "alarm.set",
    "storage.sql.exec": "sql",
    "storage.sync": "sync",
    "storage.transaction": "transaction",
    "storage.transactionSync": "transactionSync",
    "blockConcurrencyWhile": "blockConcurrencyWhile",
    "storage.kv.get": "kv.get",
    "list_kv": "kv.list",
    "storage.kv.put": "kv.put",
    "storage.kv.delete": "kv.delete",
    "d1.prepare": "d1",
    "r2.head": "r2",
    "storage.rollback": "rollback",
}

#: Ops whose last argument is a list of ops.
_WITH_BODY: Final = frozenset(
    (
        "storage.transaction", "storage.transactionSync", "blockConcurrencyWhile",
        "try", "gather", "waitUntil", "rpc",
    )
)  # fmt: skip


def ops_of(program: Program) -> list[tuple[str, bool]]:
    """Every op of a program: its kind, and whether others may run at the same time."""
    found: list[tuple[str, bool]] = []

    def walk(ops: list[Op], *, is_concurrent: bool) -> None:
        for op in ops:
            name: str = op[0]
            kind = _KIND_OF.get(name.replace("txn.", "storage.", 1), _KIND_OF.get(name, name))
            beside = is_concurrent or name in ("gather", "task", "waitUntil")
            found.append((kind, beside))
            if name == "task":
                walk([op[1]], is_concurrent=True)
            elif name in _WITH_BODY and len(op) > 1:
                walk(op[-1], is_concurrent=beside)

    for step in program["steps"]:
        for branch in step.get("par", ()):
            for ops in branch.values():
                walk(ops, is_concurrent=True)
        for way in ("rpc", "fetch", "worker"):
            walk(step.get(way, []), is_concurrent=False)
        for ops in step.get("alarms", ()):
            walk(ops, is_concurrent=False)
        if "evict" in step or "newStub" in step:
            found.append((next(iter(step)), False))
    return found
