"""Guarded stores: what a transaction reads and writes by, while it may.

Promises: a transaction that is rolled back or over refuses each call where workerd does
(actor-state.c++): behind the checks of the call's own arguments, and before the storage is
touched. Leaves to others: when that is (the transaction), and the storage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Guarded"]

#: What workerd calls the methods of a store in its refusals.
_CALLS: Final = {
    "get": "get()",
    "get_many": "get()",
    "put": "put()",
    "put_many": "put()",
    "delete": "delete()",
    "delete_many": "delete()",
    "rows": "list()",
    "visible_alarm_ms": "getAlarm()",
}


@final
class Guarded:
    """A table or an alarm store behind a guard.

    Args:
        store: What is guarded.
        check: Is told the name of a call, and raises if it is not to be.
    """

    __slots__ = ("_check", "_store")

    def __init__(self, store: Any, check: Callable[[str], None]) -> None:
        self._store = store
        self._check = check

    def __getattr__(self, name: str) -> Any:
        self._check(_CALLS[name])
        return getattr(self._store, name)

    def store_alarm(self, time_ms: int | None, *, confirmed: bool) -> None:
        """Set the alarm, or delete it."""
        self._check("deleteAlarm()" if time_ms is None else "setAlarm()")
        self._store.store_alarm(time_ms, confirmed=confirmed)

    def __repr__(self) -> str:
        return f"<Guarded {self._store!r}>"
