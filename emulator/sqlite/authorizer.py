"""The authorizer: what SQL of a worker may touch.

Promises: workerd's rules (sqlite.c++, `isAuthorized`): reserved `_cf_` names, no other
databases, no temporary objects, listed pragmas and functions only, no transactions by hand.
SQL of our own passes while `is_user` is off. Leaves to others: the texts, which SQLite
composes out of a refusal, except for transactions (the query).
"""

from __future__ import annotations

from typing import Final, final

import apsw

__all__ = ["Authorizer"]

RESERVED_PREFIX: Final = "_cf_"

_FUNCTIONS_BY_KIND: Final = (
    # Core. SQLite itself refuses load_extension, in the platform's words.
    "abs changes char coalesce concat concat_ws format glob hex ifnull iif instr "
    "last_insert_rowid length like likelihood likely lower ltrim max min nullif octet_length "
    "printf quote random randomblob replace round rtrim sign substr substring total_changes "
    "trim typeof unhex unicode unlikely upper zeroblob load_extension "
    # Dates.
    "date time datetime julianday unixepoch strftime timediff current_date current_time "
    "current_timestamp "
    # Aggregates and windows.
    "avg count group_concat string_agg sum total row_number rank dense_rank percent_rank "
    "cume_dist ntile lag lead first_value last_value nth_value "
    # Mathematics.
    "acos acosh asin asinh atan atan2 atanh ceil cos cosh degrees exp floor ln log log2 mod "
    "pi pow radians sin sinh sqrt tan tanh trunc "
    # JSON.
    "json json_array json_array_length json_extract -> ->> json_insert json_object json_patch "
    "json_remove json_replace json_set json_type json_valid json_quote json_group_array "
    "json_group_object json_each json_tree jsonb jsonb_array jsonb_extract jsonb_insert "
    "jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set jsonb_group_array "
    "jsonb_group_object jsonb_each jsonb_tree "
    # Full-text search.
    "match highlight bm25 snippet fts5 "
    # What ALTER TABLE calls under the hood.
    "sqlite_rename_column sqlite_rename_table sqlite_rename_test sqlite_drop_column "
    "sqlite_rename_quotefix sqlite_fail sqlite_add_constraint sqlite_drop_constraint "
    "sqlite_find_constraint"
)
_FUNCTIONS: Final = frozenset(_FUNCTIONS_BY_KIND.split())

_MODULES: Final = frozenset(("fts5", "fts5vocab"))

_BOOLEANS: Final = frozenset(("true", "false", "yes", "no", "on", "off", "1", "0"))
_BOOLEAN_PRAGMAS: Final = frozenset(
    (
        "case_sensitive_like",
        "defer_foreign_keys",
        "foreign_keys",
        "ignore_check_constraints",
        "legacy_alter_table",
        "recursive_triggers",
        "reverse_unordered_selects",
    )
)
_BARE_PRAGMAS: Final = frozenset(("data_version",))
_NAMED_PRAGMAS: Final = frozenset(
    (
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "table_info",
        "table_xinfo",
    )
)
_OPTIONAL_PRAGMAS: Final = frozenset(("foreign_key_check", "quick_check", "table_list"))

#: Actions whose named parameters are names that must not be reserved.
_FIRST: Final = 1
_BOTH: Final = 2
_NAMED_ACTIONS: Final = {
    apsw.SQLITE_CREATE_TABLE: _FIRST,
    apsw.SQLITE_DELETE: _FIRST,
    apsw.SQLITE_DROP_TABLE: _FIRST,
    apsw.SQLITE_INSERT: _FIRST,
    apsw.SQLITE_READ: _FIRST,
    apsw.SQLITE_UPDATE: _FIRST,
    apsw.SQLITE_CREATE_VIEW: _FIRST,
    apsw.SQLITE_DROP_VIEW: _FIRST,
    apsw.SQLITE_REINDEX: _FIRST,
    apsw.SQLITE_CREATE_INDEX: _BOTH,
    apsw.SQLITE_DROP_INDEX: _BOTH,
    apsw.SQLITE_CREATE_TRIGGER: _BOTH,
    apsw.SQLITE_DROP_TRIGGER: _BOTH,
}

_ROW_ACTIONS: Final = frozenset(
    (
        apsw.SQLITE_DELETE,
        apsw.SQLITE_FUNCTION,
        apsw.SQLITE_INSERT,
        apsw.SQLITE_READ,
        apsw.SQLITE_RECURSIVE,
        apsw.SQLITE_SELECT,
        apsw.SQLITE_UPDATE,
    )
)


@final
class Authorizer:
    """Asked by SQLite while it compiles a statement.

    Attributes:
        is_local: Whether reserved names are told from others as local workerd does it, by case
            and not in RENAME TO (its sqlite.c++ of version 1.20260426; newer ones do it as
            documented).
        is_user: Whether the statement is a worker's own. Off, everything is allowed.
        touched_pragmas: Settings which user SQL has changed since they were last reset.
        has_gone_beyond_rows: Whether user SQL ever did more than read and write rows and call
            functions: a setting, a table, a look at the schema by a pragma.
        has_refused_transaction: Whether it was BEGIN, COMMIT, SAVEPOINT or their like that
            was refused: the platform has advice for these instead of SQLite's text.
    """

    def __init__(self) -> None:
        self.is_local = False
        self.is_user = False
        self.touched_pragmas: dict[str, None] = {}
        self.has_gone_beyond_rows = False
        self.has_refused_transaction = False

    def __call__(
        self,
        action: int,
        first: str | None,
        second: str | None,
        database: str | None,
        trigger: str | None,
    ) -> int:
        """Allow or refuse one action; the signature is SQLite's."""
        if not self.is_user or self._may(action, first, second, database, trigger):
            return apsw.SQLITE_OK
        return apsw.SQLITE_DENY

    def _may(
        self,
        action: int,
        first: str | None,
        second: str | None,
        database: str | None,
        trigger: str | None,
    ) -> bool:
        if action not in _ROW_ACTIONS:
            self.has_gone_beyond_rows = True
        if trigger is not None and self._is_reserved(trigger):
            return False
        if action == apsw.SQLITE_ALTER_TABLE:
            # The database comes first here, and DROP COLUMN passes a column where every
            # other action has the database.
            return first == "main" and not self._is_reserved(second)
        if database is not None and database != "main":
            # ALTER TABLE looks after temporary triggers as well; nothing else may.
            return database == "temp" and action in (apsw.SQLITE_READ, apsw.SQLITE_UPDATE)
        which = _NAMED_ACTIONS.get(action)
        if which is not None:
            return not (
                self._is_reserved(first) or (which == _BOTH and self._is_reserved(second))
            )
        if action in (apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE, apsw.SQLITE_ANALYZE):
            # A bare ANALYZE goes over the reserved tables too, and is allowed.
            return True
        if action == apsw.SQLITE_FUNCTION:
            return second is not None and second.lower() in _FUNCTIONS
        if action in (apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT):
            self.has_refused_transaction = True
            return False
        if action == apsw.SQLITE_PRAGMA:
            return self._may_pragma((first or "").lower(), second)
        if action in (apsw.SQLITE_CREATE_VTABLE, apsw.SQLITE_DROP_VTABLE):
            module = (second or "").lower()
            return module in _MODULES and not self._is_reserved(first)
        return False

    def _may_pragma(self, name: str, argument: str | None) -> bool:
        if name in _BOOLEAN_PRAGMAS:
            if argument is None:
                return True
            self.touched_pragmas[name] = None
            return argument.lower() in _BOOLEANS
        if name in _BARE_PRAGMAS:
            return argument is None
        if name in _NAMED_PRAGMAS:
            return argument is not None and not self._is_reserved(argument)
        if name in _OPTIONAL_PRAGMAS:
            return not self._is_reserved(argument)
        if name == "optimize":
            return argument is None or _is_integer(argument)
        return False

    def _is_reserved(self, name: str | None) -> bool:
        if name is None:
            return False
        prefix = name[: len(RESERVED_PREFIX)]
        return prefix == RESERVED_PREFIX or (
            not self.is_local and prefix.lower() == RESERVED_PREFIX
        )


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").removeprefix("0x").isalnum()
