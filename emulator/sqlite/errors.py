"""SQL errors: what SQLite said, in workerd's words.

Promises: `{message}[ at offset {n}]: SQLITE_{CODE}[ (extended: SQLITE_{EXTENDED})]`, to the
letter (workerd's sqlite.c++). Leaves to others: prefixes such as `D1_ERROR: `.
"""

from __future__ import annotations

from typing import Any, Final, final

import apsw

from emulator.errors import JsException

__all__ = [
    "NO_STATEMENT",
    "ONLY_LAST_HAS_PARAMETERS",
    "TRANSACTION_REFUSED",
    "WRONG_BINDING_COUNT",
    "SqlError",
    "sql_error",
]

WRONG_BINDING_COUNT: Final = "Wrong number of parameter bindings for SQL query."
NO_STATEMENT: Final = "SQL code did not contain a statement."
ONLY_LAST_HAS_PARAMETERS: Final = (
    "When executing multiple SQL statements in a single call, only the last statement can "
    "have parameters."
)
TRANSACTION_REFUSED: Final = (
    "To execute a transaction, please use the state.storage.transaction() or "
    "state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT "
    "statements. The JavaScript API is safer because it will automatically roll back on "
    "exceptions, and because it interacts correctly with Durable Objects' automatic atomic "
    "write coalescing."
)

_NOT_UTF_8: Final = (
    "A TEXT value of the result is not UTF-8, which the emulator cannot read: select it as a "
    "BLOB, with CAST(... AS BLOB)."
)

#: Codes after which SQLite may have rolled the whole transaction back by itself, so the
#: object cannot go on (workerd's sqlite.c++, the critical error callback).
_CRITICAL: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_INTERRUPT")


@final
class SqlError(JsException):
    """SQL that failed. To worker code it is a plain `Error`.

    Attributes:
        code: SQLite's primary code, such as "SQLITE_CONSTRAINT"; empty if SQLite was not asked.
        extended_code: The finer code; the same as `code` when there is none.
    """

    def __init__(self, message: str = "", *, code: str = "", extended_code: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.extended_code = extended_code or code

    @property
    def is_critical(self) -> bool:
        """Whether SQLite may have rolled back more than the statement."""
        return self.code in _CRITICAL


def sql_error(error: apsw.Error | UnicodeDecodeError) -> SqlError:
    """What apsw raised, as the platform says it.

    Args:
        error: The exception of apsw. One that holds no code of SQLite is an error of ours
            in calling apsw, or a count of bindings that does not fit, or text that Python
            cannot hold: the platform shows U+FFFD in it.
    """
    if isinstance(error, UnicodeDecodeError):
        return SqlError(_NOT_UTF_8)
    facts: Any = error
    result = getattr(facts, "result", None)
    if result is None:
        if isinstance(error, apsw.BindingsError):
            return SqlError(WRONG_BINDING_COUNT)
        return SqlError(str(error))
    primary = _name(result & 0xFF)
    extended_result = facts.extendedresult
    extended = _name(extended_result) if extended_result != result & 0xFF else primary
    text = str(error)
    offset = facts.error_offset
    if offset >= 0:
        text = f"{text} at offset {offset}"
    text = f"{text}: {primary}"
    if extended != primary:
        text = f"{text} (extended: {extended})"
    return SqlError(text, code=primary, extended_code=extended)


def _name(code: int) -> str:
    mapping = apsw.mapping_result_codes if code <= 0xFF else apsw.mapping_extended_result_codes
    name = mapping.get(code, f"SQLITE_{code}")
    return str(name)
