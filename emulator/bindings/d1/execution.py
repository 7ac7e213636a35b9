"""Execution: one call of a worker is one transaction.

Promises: the statements of a call run in order with nothing in between, all of them or none;
what a worker's SQL sets for itself (pragmas, deferred foreign keys) ends with the call; `meta`
as measured on workerd. Leaves to others: prefixes of errors, shapes of rows, the corridor.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from emulator.bindings.d1.errors import (
    CONSTRAINTS_VIOLATED,
    INTERNAL_ERROR,
    NO_STATEMENTS,
    NOT_A_STRING,
)
from emulator.bindings.d1.results import Answer, State, meta_of
from emulator.errors import JsException
from emulator.sqlite.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.sqlite.database import Database
    from emulator.sqlite.query import SqlValue

__all__ = ["JS_SPACE", "Call", "Engine"]

#: What JavaScript's `trim` takes away (ECMA-262, WhiteSpace and LineTerminator).
JS_SPACE: Final = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)

#: Miniflare's own filter (d1/database.worker.ts): a comment counts as nothing only where a
#: blank stands before it, be it the end of the line above.
_INDENTED_COMMENT: Final = re.compile(
    rf"(?:^|(?<=[\n\r\u2028\u2029]))[{JS_SPACE}]+--[^\n\r\u2028\u2029]*"
)


class Call(NamedTuple):
    """One statement to run.

    Attributes:
        sql: The text, as worker code gave it.
        params: Values for the parameters of its last statement.
    """

    sql: Any
    params: Sequence[SqlValue] = ()


@final
class Engine:
    """Runs calls on one database.

    Args:
        database: Where. Nobody else begins transactions on it.
        is_local: Word a violated deferred foreign key as local workerd does, not as the
            documented platform does.
    """

    def __init__(self, database: Database, *, is_local: bool = False) -> None:
        self._database = database
        self._is_local = is_local
        #: Calls so far, which bookmarks count.
        self.call_count = 0
        self._known: State | None = None

    @property
    def bookmark(self) -> str:
        """Where the database stands: every call advances it, also one that only reads."""
        return f"00000000-{self.call_count:08x}-00000000-{'0' * 32}"

    def run(self, calls: Sequence[Call]) -> list[Answer]:
        """Run statements as one transaction.

        Args:
            calls: In this order. Those without a statement in them give no answer.

        Returns:
            One answer for each of the others.

        Raises:
            SqlError: What SQLite or the platform refuses; nothing of the call stays.
            JsException: A failure that the platform does not put a prefix to.
        """
        calls = [call for call in calls if not _is_nothing(call.sql)]
        if not calls:
            raise SqlError(NO_STATEMENTS)
        database = self._database
        database.begin()
        try:
            answers = self._answers(calls)
        except SqlError as error:
            if not database.in_transaction:
                # INSERT OR ROLLBACK did what it says, behind the platform's back.
                raise JsException(INTERNAL_ERROR) from error
            raise
        finally:
            database.rollback()
            database.reset_pragmas()
        self.call_count += 1
        return answers

    def forget(self) -> None:
        """The database has been changed by somebody else."""
        self._known = None

    def _answers(self, calls: Sequence[Call]) -> list[Answer]:
        """Run them, and commit."""
        database = self._database
        answers = []
        before = self._known or self._state()
        # Kept from call to call, since what only reads changes none of it; but not over a
        # failure, which undoes what it changed.
        self._known = None
        for call in calls:
            query = database.query(call.sql, call.params)
            try:
                rows, columns = query.fetch_all(), query.columns
            finally:
                query.close()
            after = before if query.is_readonly else self._state()
            answers.append(Answer(columns, rows, meta_of(before, after, len(rows))))
            before = after
        self._commit()
        self._known = before
        return answers

    def _state(self) -> State:
        database = self._database
        return State(
            database.total_changes, database.last_insert_rowid, database.database_size_bytes
        )

    def _commit(self) -> None:
        try:
            self._database.commit()
        except SqlError as error:
            if self._is_local:
                raise JsException(CONSTRAINTS_VIOLATED + error.message) from error
            raise


def _is_nothing(sql: Any) -> bool:
    if not isinstance(sql, str):
        raise SqlError(NOT_A_STRING)
    if "--" in sql:
        sql = _INDENTED_COMMENT.sub("", sql)
    return not sql.strip(JS_SPACE)
