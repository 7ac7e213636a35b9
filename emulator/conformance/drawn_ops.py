"""Drawn ops: the single ops of random programs.

Promises: Hypothesis strategies for each kind of op, with values, keys, ranges and SQL small
enough that ops of one program meet each other. Leaves to others: which kinds a program has,
and its steps (generator).
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from emulator.conformance.odd_calls import ODD_CALLS

__all__ = [
    "ALARMS", "BODIES", "ENDS", "FAR_MS", "KINDS", "NEAR_MS", "OTHERS", "SQL", "STEPS", "WAITS",
    "Ops", "errors", "rows",
]  # fmt: skip

Op = list[Any]

#: Hours ahead: such an alarm never runs while a program does.
FAR_MS: Final = 7_200_000
#: Soon, and yet after the answer of the call that sets it.
NEAR_MS: Final = 200

READS: Final = ("get", "get_many", "list", "kv.get", "kv.list")
WRITES: Final = ("put", "put_many", "delete", "delete_many", "kv.put", "kv.delete")
SQL: Final = ("sql.insert", "sql.select", "sql.change", "sql.schema", "sql.bad", "sql.cursor")
ALARMS: Final = ("alarm.far", "alarm.near", "alarm.get", "alarm.delete")
BODIES: Final = ("transaction", "transactionSync", "bcw", "try", "gather", "task")
ENDS: Final = ("throw", "abort", "return")
WAITS: Final = ("sync", "bookmark", "sleep", "r2", "d1", "rpc")
#: Kinds that would be rare, since they need others around them or exclude each other.
FAVOURITES: Final = ("bcw", "rollback", "abort", "transaction", "sleep", "rpc", "d1", "sync")
OTHERS: Final = ("deleteAll", "memory", "odd", "waitUntil")
STEPS: Final = ("par", "fetch", "evict", "newStub", "handler.throw")

#: Every kind of op and step that is drawn.
KINDS: Final = (
    *READS, *WRITES, *SQL, *ALARMS, *BODIES, *ENDS, *WAITS, *OTHERS, *STEPS,
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


def rows(sql: str, *bindings: Any) -> Op:
    """A statement, and its rows read at once: left open it locks its table."""
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
    "DELETE FROM t WHERE v IS ? AND k = ?",
    "UPDATE u SET note = ? WHERE pid = ?",
    "INSERT INTO u(note, pid) SELECT ?, k FROM t WHERE k = ?",
    # From here on they may leave a row of `u` without its row of `t`.
    "DELETE FROM t WHERE v IS ? OR k = ?",
    "INSERT INTO u(pid, note) VALUES (?, ?)",
)
_VIOLATING: Final = 4
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
#: None of them stands at a row of a table, which would lock it against DROP from then on.
_SEVERAL: Final = (
    "SELECT 1; SELECT v FROM t ORDER BY k",
    "DELETE FROM t WHERE k = 4; SELECT k FROM t ORDER BY k;",
    "INSERT OR IGNORE INTO t VALUES (2, 'two'); INSERT INTO t VALUES (2, 'again')",
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
    "SELECT 1; SELECT 2;",
    "",
    "SELECT ?",
    "ATTACH 'x' AS y",
)


@st.composite
def _sql(draw: Any, kind: str, *, can_violate: bool) -> Op:
    if kind == "sql.insert":
        return rows(draw(st.sampled_from(_INSERTS)), draw(st.integers(0, 4)), draw(_bindings))
    if kind == "sql.select":
        sql = draw(st.sampled_from(_SELECTS))
        return rows(sql, *(draw(_bindings) for _ in range(sql.count("?"))))
    if kind == "sql.change":
        first, second = draw(_bindings), draw(st.integers(0, 4))
        changes = _CHANGES if can_violate else _CHANGES[:_VIOLATING]
        return rows(draw(st.sampled_from(changes)), first, second)
    if kind == "sql.schema":
        return rows(draw(st.sampled_from(_SCHEMAS)))
    return rows(draw(st.sampled_from(_BAD_SQL)))


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


errors: Final = st.sampled_from(["Error", "TypeError", "RangeError"])

#: What may stand where nothing waits: the body of a `transactionSync`.
_SYNC_KINDS: Final = frozenset((*READS, *WRITES, *SQL, *ALARMS, "throw", "transactionSync"))


class Ops:
    """Draws ops of the kinds that one program may have."""

    def __init__(self, draw: Any, kinds: frozenset[str]) -> None:
        self.draw = draw
        self.kinds = kinds
        self.favourites = tuple(kind for kind in FAVOURITES if kind in kinds)
        #: Other calls run at the same time.
        self.is_crowded = False

    @property
    def _can_violate(self) -> bool:
        """Whether a constraint may be violated.

        The reset comes some turns of the event loop later: how many of the calls that wait come
        in before, and what ends in the meantime, is timing.
        """
        return not (self.is_crowded or self.kinds.intersection(WAITS))

    def body(self, *, depth: int = 0, where: str = "object", most: int = 4) -> list[Op]:
        """A list of ops, run one after the other.

        Args:
            depth: Bodies around this one.
            where: "object", "transaction", "sync" or "handler".
            most: Ops.
        """
        allowed = [kind for kind in KINDS if self._fits(kind, depth, where)]
        allowed += [kind for kind in self.favourites if kind in allowed] * 4
        if not allowed:
            allowed = ["memory"]
        count = self.draw(st.integers(1, most))
        return [
            self.op(self.draw(st.sampled_from(allowed)), depth=depth, where=where)
            for _ in range(count)
        ]

    def _fits(self, kind: str, depth: int, where: str) -> bool:
        if kind not in self.kinds or kind in STEPS:
            return False
        if kind == "rollback":
            return where == "transaction"
        is_set = kind in ("alarm.near", "alarm.far")
        if is_set and "rollback" in self.kinds and where not in ("object", "handler"):
            return False  # A declared divergence: set behind a rollback, it never runs.
        if where == "sync":
            return kind in _SYNC_KINDS and (kind != "transactionSync" or depth < 3)
        if kind in BODIES and depth >= 2:
            return False
        return not (kind == "return" and (depth or where == "handler"))

    def op(self, kind: str, *, depth: int, where: str) -> Op:
        """One op of that kind."""
        draw = self.draw
        op: Op
        if kind in READS or kind in WRITES or kind in ALARMS:
            op = draw(_alarm(kind) if kind in ALARMS else _pair(kind))
            if where == "transaction" and draw(st.booleans()):
                op = self._by_transaction(op)
            return op
        if kind == "sql.cursor":
            return rows(draw(st.sampled_from(_SEVERAL)))
        if kind in SQL:
            can_violate = self._can_violate and depth == 0 and where != "handler"
            op = draw(_sql(kind, can_violate=can_violate))
            return op
        if kind in BODIES:
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
                return ["throw", draw(errors), "thrown"]
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
