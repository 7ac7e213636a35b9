"""SQL text: where one statement ends and the next begins.

Promises: a text cut after each semicolon that ends a statement (not one in a string, a
comment, a quoted name or a trigger's body). Leaves to others: whether it is valid SQL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_blank", "split_statements"]

#: As SQLite's tokenizer has it: a vertical tab is blank behind another blank only, and a
#: byte order mark is blank anywhere. Possessive, because a comment must neither stretch to
#: the end of the text nor end before its end.
_BLANK: Final = re.compile(
    r"(?:[ \t\n\f\r][ \t\n\v\f\r]*+|[\ufeff;]|--[^\n]*+|(?>/\*.*?(?:\*/|\Z)))*+\Z",
    re.DOTALL,
)
_SPACE: Final = " \t\n\v\f\r"

#: What may hide a semicolon, and the semicolon. An unterminated quote hides the rest.
_TOKENS: Final = re.compile(
    r"'[^']*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z)"
    r"|--[^\n]*|/\*.*?(?:\*/|\Z)|;",
    re.DOTALL,
)


def is_blank(sql: str) -> bool:
    """Whether a text holds no statement: nothing but blanks, comments and semicolons."""
    return _BLANK.match(sql) is not None


def split_statements(sql: str) -> Iterator[str]:
    """The statements of a text, each with its semicolon.

    After a semicolon blanks are skipped, and nothing else (workerd's sqlite.c++,
    `prepareSql`); so a comment after the last one is a statement of its own, and an error.
    A semicolon in front of a statement belongs to it, as SQLite's grammar has it.
    """
    end = sql.find(";")
    if end < 0 or end == len(sql) - 1:
        yield sql
        return
    start = 0
    for token in _TOKENS.finditer(sql):
        if token.group() != ";":
            continue
        piece = sql[start : token.end()]
        # `complete` is SQLite's own judge of triggers, whose bodies hold semicolons. Unlike
        # the tokenizer it takes a byte order mark or a vertical tab for a word.
        if is_blank(piece) or not apsw.complete(piece.lstrip(_SPACE + "\ufeff;")):
            continue
        yield piece
        start = token.end()
        while start < len(sql) and sql[start] in _SPACE:
            start += 1
        if start == len(sql):
            return
    yield sql[start:]
