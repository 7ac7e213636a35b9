"""Limits: how large and how deep SQL may be.

Promises: workerd's figures (sqlite.c++, `setupSecurity`) for both profiles, and the length
limit of each. Leaves to others: enforcing them (SQLite does, given these numbers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import apsw

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SQL_BYTES_MAX", "VALUE_BYTES_MAX", "Profile", "apply_limits"]

Profile = Literal["durable_object", "d1"]

SQL_BYTES_MAX: Final = 100_000

#: The largest string, blob or row. Objects: workerd's own figure. D1: the documented one
#: (Cloudflare docs, D1, Limits), which is smaller than what local workerd enforces.
VALUE_BYTES_MAX: Final[Mapping[Profile, int]] = {"durable_object": 2_200_000, "d1": 2_000_000}

_LIMITS: Final = (
    (apsw.SQLITE_LIMIT_COLUMN, 100),
    (apsw.SQLITE_LIMIT_EXPR_DEPTH, 100),
    (apsw.SQLITE_LIMIT_COMPOUND_SELECT, 5),
    (apsw.SQLITE_LIMIT_VDBE_OP, 25_000),
    (apsw.SQLITE_LIMIT_FUNCTION_ARG, 127),
    (apsw.SQLITE_LIMIT_ATTACHED, 0),
    (apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (apsw.SQLITE_LIMIT_VARIABLE_NUMBER, 100),
    (apsw.SQLITE_LIMIT_TRIGGER_DEPTH, 10),
    (apsw.SQLITE_LIMIT_WORKER_THREADS, 0),
)


def apply_limits(connection: apsw.Connection, value_bytes_max: int) -> None:
    """Set every limit on a connection.

    The length of a statement is not among them: `Query` checks it, because the platform's
    text for it ("statement too long") is not what apsw gives.

    Args:
        connection: A new connection.
        value_bytes_max: The largest string, blob or row, in bytes.
    """
    limit = connection.limit
    for what, most in _LIMITS:
        limit(what, most)
    limit(apsw.SQLITE_LIMIT_LENGTH, value_bytes_max)
