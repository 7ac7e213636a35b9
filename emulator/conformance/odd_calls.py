"""Odd calls: ops with arguments that the platform refuses, or takes in its own way.

Promises: each is one op of a conformance program, told apart from its neighbours by what the
binding layer of workerd (its jsg library) makes of it. Leaves to others: drawing them (the
generator); the named programs say what each one gives.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ODD_CALLS"]

_UNDEFINED: Final = {"$": "undefined"}
_NAN: Final = {"$": "number", "is": "NaN"}
_INFINITY: Final = {"$": "number", "is": "Infinity"}

ODD_CALLS: Final[tuple[list[Any], ...]] = (
    ["storage.get"],
    ["storage.get", 5],
    ["storage.get", None],
    ["storage.get", []],
    ["storage.get", ["a", "a", "none"]],
    ["storage.put"],
    ["storage.put", "a"],
    ["storage.put", "a", _UNDEFINED],
    ["storage.put", 5, "five"],
    ["storage.put", "a", 1, "bad"],
    ["storage.put", "a", 1, {"allowUnconfirmed": True}],
    ["storage.put", {"a": 1}, "bad"],
    ["storage.put", {"a": _UNDEFINED, "b": None}],
    ["storage.put", {}],
    ["storage.put", ["q"]],
    ["storage.put", "a", {"$": "symbol"}],
    ["storage.put", "a", {"$": "promise"}],
    ["storage.put", {"a": 1, "b": {"$": "symbol"}}],
    ["storage.delete"],
    ["storage.delete", []],
    ["storage.delete", ["a", "a"]],
    ["storage.list", {"start": "a", "startAfter": "a"}],
    ["storage.list", {"limit": 0}],
    ["storage.list", {"limit": _NAN}],
    ["storage.list", {"limit": 1.9}],
    ["storage.list", {"limit": 4294967296}],
    ["storage.list", {"startAfter": "a", "end": "b"}],
    ["storage.list", {"start": "c", "end": "a"}],
    ["storage.list", {"start": None}],
    ["storage.list", None],
    ["storage.list", "a"],
    ["storage.list", {"prefix": "a", "reverse": True, "limit": 1}],
    ["storage.kv.get"],
    ["storage.kv.put", "a"],
    ["storage.kv.put", "a", _UNDEFINED],
    ["storage.kv.put", "a", {"$": "symbol"}],
    ["storage.kv.delete"],
    ["list_kv", {"limit": 0}],
    ["storage.setAlarm"],
    ["storage.setAlarm", 0],
    ["storage.setAlarm", -1],
    ["storage.setAlarm", "5"],
    ["storage.setAlarm", None],
    ["storage.setAlarm", _NAN],
    ["storage.setAlarm", _INFINITY],
    ["storage.setAlarm", 9300000000000],
    ["storage.deleteAlarm", {"allowUnconfirmed": True}],
    ["storage.getAlarm", {"allowConcurrency": True}],
    ["storage.transaction"],
    ["storage.transactionSync"],
    ["state.blockConcurrencyWhile"],
    ["storage.sql.exec"],
    ["storage.sql.exec", "SELECT ?", {"call": "toArray"}],
    ["storage.sql.exec", "SELECT ?", 1, 2, {"call": "toArray"}],
    ["storage.sql.exec", "SELECT 1 AS a, 2 AS a", {"call": "toArray"}],
    ["storage.sql.exec", "SELECT 1 WHERE 0", {"call": "one"}],
    ["storage.sql.exec", "SELECT 1 UNION SELECT 2", {"call": "one"}],
    ["storage.sql.exec", "SELECT ?1 AS v, typeof(?1) AS k", True, {"call": "toArray"}],
    ["storage.getBookmarkForTime", 0],
    ["storage.onNextSessionRestoreBookmark", "x"],
)
