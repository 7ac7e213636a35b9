"""Tables: which tables of a database a SQL text reads and writes, as far as the text shows.

Promises: never fewer than it names; None, which is the whole database, for what is no plain
SELECT, INSERT, UPDATE, REPLACE or DELETE. Names are in lower case, as SQLite compares them.
What a trigger or a cascade does is not seen. Leaves to others: what follows from it (the
faults).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["TableUse", "tables_of"]

#: Each table, and whether it is written.
TableUse = tuple[tuple[str, bool], ...]

#: Texts that are remembered: a worker has some dozens.
_TEXTS_MAX: Final = 1_024
_NAME: Final = r"""(?:"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|[^\W\d][\w$]*)"""
_TOKEN: Final = re.compile(
    rf"""--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|{_NAME}|[(),.;]|\S""", re.DOTALL
)
_QUOTES: Final = '"`['
#: A name may follow these, and a list of names the first.
_SOURCES: Final = frozenset({"from", "join", "into", "update"})
_WRITES: Final = frozenset({"delete", "insert", "replace", "update"})
_VERBS: Final = _WRITES | {"select", "values"}
_PLAIN: Final = _VERBS | {"with"}
#: What ends a list of tables after FROM.
_ENDS: Final = frozenset(
    {
        "where", "group", "order", "limit", "having", "window", "union", "except", "intersect",
        "on", "using", "set", "values", "select", "returning", "default", ")", ";",
    }
)  # fmt: skip


@lru_cache(maxsize=_TEXTS_MAX)
def tables_of(sql: str) -> TableUse | None:
    """The tables of a text of one or more statements, or None for the whole database."""
    used: dict[str, bool] = {}
    for statement in _statements(sql):
        if statement[0] not in _PLAIN or _verb(statement) is None:
            return None
        for name, is_written in _used_by(statement):
            used[name] = used.get(name, False) or is_written
    return tuple(sorted(used.items())) if used else ()


def _statements(sql: str) -> list[list[str]]:
    """The words of each statement: keywords and bare names in lower case, comments gone."""
    statements: list[list[str]] = [[]]
    for token in _TOKEN.findall(sql):
        if token == ";":
            statements.append([])
        elif not token.startswith(("--", "/*")):
            is_literal = token[0] in _QUOTES or token[0] == "'"
            statements[-1].append(token if is_literal else token.lower())
    return [statement for statement in statements if statement]


def _verb(statement: list[str]) -> int | None:
    """Where the word is that says what a statement does: behind all that WITH defines."""
    depth = 0
    for index, word in enumerate(statement):
        depth += (word == "(") - (word == ")")
        if not depth and word in _VERBS:
            return index
    return None


def _used_by(statement: list[str]) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    verb_at = _verb(statement)
    assert verb_at is not None
    verb = statement[verb_at]
    is_target_due = verb in _WRITES
    for index, word in enumerate(statement):
        if word not in _SOURCES:
            continue
        at = index + 1
        if word == "update" and statement[at : at + 1] == ["or"]:
            at += 2  # UPDATE OR IGNORE t
        if word == "update" and statement[at : at + 1] == ["set"]:
            continue  # ON CONFLICT DO UPDATE SET
        is_written = (is_target_due and index >= verb_at) and (
            word == verb or word == "into" or (verb == "delete" and word == "from")
        )
        if is_written:
            is_target_due = False
        names = _names(statement, at, is_list=word == "from" and not is_written)
        found += [(name, is_written) for name in names]
    return found


def _names(statement: list[str], at: int, *, is_list: bool) -> list[str]:
    """The table named at a place; in a list of FROM, those behind its commas too."""
    names: list[str] = []
    is_due, depth = True, 0
    while at < len(statement):
        word = statement[at]
        if word == "(":
            depth += 1
        elif depth:
            depth -= word == ")"
        elif word in _ENDS or word in _SOURCES:
            break
        elif is_due and _is_name(word):
            if statement[at + 1 : at + 2] == ["."]:
                at += 2  # main.t
                word = statement[at] if at < len(statement) else word
            names.append(_plain(word))
            is_due = False
            if not is_list:
                break
        elif word == ",":
            is_due = True
        at += 1
    return names


def _is_name(word: str) -> bool:
    return word[0] in _QUOTES or word[0] == "_" or word[0].isalpha()


def _plain(name: str) -> str:
    """A name without its quotes, as SQLite compares it."""
    if name[0] == '"':
        return name[1:-1].replace('""', '"').lower()
    return (name[1:-1] if name[0] in _QUOTES else name).lower()
