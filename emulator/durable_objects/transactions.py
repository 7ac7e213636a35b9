"""Transactions: `storage.transaction` and what its closure is handed.

Promises: everything written while the closure runs, by the transaction object or by the
storage itself, is kept or undone together; nobody else's events enter meanwhile; nested
transactions roll back by themselves. A failure is the caller's and resets nothing. Leaves
to others: shutting the gate (the instance), undoing (the units).
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.settled import Rejected
from emulator.durable_objects.units import internal_error_text
from emulator.errors import JsException
from emulator.values import undefined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.alarm_calls import AlarmCalls
    from emulator.durable_objects.frame import Frame
    from emulator.durable_objects.key_value import KeyValue
    from emulator.durable_objects.kv_backed import Overlay
    from emulator.durable_objects.units import WriteUnits

__all__ = [
    "DELETE_ALL_REFUSED",
    "DurableObjectTransaction",
    "run_closure",
    "run_transaction",
    "run_transaction_sync",
]

_NESTED: Final = (
    "Cannot roll back an outer transaction while a nested transaction is still running."
)
DELETE_ALL_REFUSED: Final = "Cannot call deleteAll() within a transaction"


@final
class DurableObjectTransaction:
    """What the closure of `transaction` is handed.

    Args:
        units: Where its frame lies.
        frame: What it keeps or undoes.
        pairs: The key-value methods.
        alarms: The alarm methods.
    """

    __slots__ = ("_alarms", "_frame", "_is_over", "_pairs", "_units")

    def __init__(
        self, units: WriteUnits | Overlay, frame: Frame, pairs: KeyValue, alarms: AlarmCalls
    ) -> None:
        self._units = units
        self._frame = frame
        self._pairs = pairs.behind(self._check)
        self._alarms = alarms.behind(self._check)
        self._is_over = False

    def get(
        self, key: object = undefined, options: object = undefined, **keywords: Any
    ) -> Awaitable[Any]:
        """See `DurableObjectStorage.get`."""
        return self._pairs.get(key, options, keywords)

    def put(
        self,
        key: object = undefined,
        value: object = undefined,
        options: object = undefined,
        **keywords: Any,
    ) -> Awaitable[None]:
        """See `DurableObjectStorage.put`."""
        return self._pairs.put(key, value, options, keywords)

    def delete(
        self, key: object = undefined, options: object = undefined, **keywords: Any
    ) -> Awaitable[Any]:
        """See `DurableObjectStorage.delete`."""
        return self._pairs.delete(key, options, keywords)

    def list(self, options: object = undefined, **keywords: Any) -> Awaitable[Any]:
        """See `DurableObjectStorage.list`."""
        return self._pairs.list(options, keywords)

    def getAlarm(self, options: object = undefined, **keywords: Any) -> Awaitable[Any]:
        """See `DurableObjectStorage.getAlarm`."""
        return self._alarms.get(options, keywords)

    def setAlarm(
        self, scheduledTime: object = undefined, options: object = undefined, **keywords: Any
    ) -> Awaitable[None]:
        """See `DurableObjectStorage.setAlarm`."""
        return self._alarms.set(scheduledTime, options, keywords)

    def deleteAlarm(self, options: object = undefined, **keywords: Any) -> Awaitable[None]:
        """See `DurableObjectStorage.deleteAlarm`."""
        return self._alarms.delete(options, keywords)

    def deleteAll(self, *arguments: object) -> Awaitable[None]:
        """Always refused: a transaction cannot hold it."""
        return Rejected(JsException(DELETE_ALL_REFUSED))

    def rollback(self) -> None:
        """Undo everything so far. The closure goes on; the second time nothing happens.

        Raises:
            JsException: If the closure is over, or a nested transaction still runs, or rows
                that a write returned are still to be read.
        """
        if self._is_over:
            raise JsException(_already_committed("rollback()"))
        if not self._frame.is_open:
            return
        if self._units.frames[-1] is not self._frame:
            raise JsException(_NESTED)
        self._units.roll_back(self._frame)

    def finish(self, *, succeeded: bool) -> None:
        """The closure is over. Not for worker code."""
        self._is_over = True
        frame, units = self._frame, self._units
        while frame.is_open and units.frames[-1] is not frame:
            units.roll_back(units.frames[-1])  # A nested one that nobody awaited.
        if not frame.is_open:
            return
        if succeeded:
            units.commit(frame)
        else:
            units.roll_back(frame)

    def _check(self, call: str) -> None:
        if self._is_over:
            raise JsException(_already_committed(call))
        if not self._frame.is_open:
            message = f"Cannot {call} on rolled back transaction"
            raise JsException(message)

    def __repr__(self) -> str:
        state = "over" if self._is_over else "open" if self._frame.is_open else "rolled back"
        return f"<DurableObjectTransaction {state}>"


def _already_committed(call: str) -> str:
    return (
        f"Cannot call {call} on transaction that has already committed: did you move `txn` "
        "outside of the closure?"
    )


async def run_transaction(
    units: WriteUnits,
    closure: Callable[[DurableObjectTransaction], Any],
    *,
    pairs: KeyValue,
    alarms: AlarmCalls,
) -> Any:
    """Run the closure, and keep or undo what was written meanwhile.

    To be called inside a critical section. Earlier writes are committed first, so that they
    are not undone with it.

    Returns:
        What the closure returns.
    """
    await units.wait_committed()
    frame = units.push(is_transaction=True)
    try:
        return await run_closure(closure, DurableObjectTransaction(units, frame, pairs, alarms))
    finally:
        units.end_transaction(frame)


async def run_closure(
    closure: Callable[[DurableObjectTransaction], Any], txn: DurableObjectTransaction
) -> Any:
    """Run the closure, and end its transaction as it ended.

    Returns:
        What the closure returns.
    """
    try:
        value = closure(txn)
        if inspect.isawaitable(value):
            value = await value
    except (Exception, asyncio.CancelledError):
        txn.finish(succeeded=False)
        raise
    txn.finish(succeeded=True)
    return value


def run_transaction_sync(units: WriteUnits, callback: Callable[[], Any]) -> Any:
    """Run the callback, and undo what it wrote if it raises.

    Returns:
        What the callback returns. If that is a coroutine, it runs outside.

    Raises:
        JsException: If it called `deleteAll`, after which there is nothing to go back to.
    """
    frame = units.push(is_transaction=False)
    try:
        value = callback()
    except Exception:
        if not frame.is_open:
            raise JsException(internal_error_text()) from None
        units.roll_back(frame)
        raise
    if not frame.is_open:
        raise JsException(internal_error_text())
    units.commit(frame)
    return value
