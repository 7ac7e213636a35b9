"""The storage: `ctx.storage`, all that an object keeps beyond its life.

Promises: the methods of Cloudflare's DurableObjectStorage for objects with SQLite, their
rules and their words. Each acts when it is called; awaiting the key-value and alarm methods
lets no other event in, `sync` and `getCurrentBookmark` do. Leaves to others: how (the rooms
beside this one). `sql` is not here yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.alarm_calls import AlarmCalls
from emulator.durable_objects.arguments import merged_options, wrong_type
from emulator.durable_objects.key_value import KeyValue
from emulator.durable_objects.key_value_table import KeyValueTable
from emulator.durable_objects.settled import Rejected, Settled
from emulator.durable_objects.sync_key_value import SyncKvStorage
from emulator.durable_objects.transactions import (
    DELETE_ALL_REFUSED,
    run_transaction,
    run_transaction_sync,
)
from emulator.durable_objects.units import WriteUnits
from emulator.errors import JsException
from emulator.simulation.rules import Operation
from emulator.values import undefined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.hooks import Hooks
    from emulator.durable_objects.record import ObjectRecord
    from emulator.durable_objects.transactions import DurableObjectTransaction

__all__ = ["DurableObjectStorage"]

_OWNER: Final = "DurableObjectStorage"
_TRANSACTION: Final = "DurableObjectTransaction"
_NO_RECOVERY: Final = (
    "This Durable Object's storage back-end does not implement point-in-time recovery."
)


@final
class DurableObjectStorage:
    """`ctx.storage` of one instance.

    Args:
        hooks: The instance.
        record: The object, beyond the life of the instance.

    Attributes:
        kv: The synchronous key-value interface.
    """

    def __init__(self, hooks: Hooks, record: ObjectRecord) -> None:
        self._hooks = hooks
        self._deletes_alarm = record.kind.delete_all_deletes_alarm
        self._units = units = WriteUnits(
            hooks, record.database, on_alarm_change=record.alarms.time_changed
        )
        limits = record.kind.limits
        clock = record.simulation.clock
        self._table = table = KeyValueTable(units, limits)
        self._pairs = KeyValue(table, _OWNER)
        self.kv = SyncKvStorage(table)

        def now_ms() -> int:
            return clock.now_ms

        self._alarms = AlarmCalls(units, hooks, limits, now_ms=now_ms, owner=_OWNER)
        self._txn_pairs = KeyValue(table, _TRANSACTION)
        self._txn_alarms = AlarmCalls(units, hooks, limits, now_ms=now_ms, owner=_TRANSACTION)

    # -- key-value -------------------------------------------------------------------------

    def get(
        self, key: object = undefined, options: object = undefined, **keywords: Any
    ) -> Awaitable[Any]:
        """Read one key, or several.

        Args:
            key: A string, or a list of strings.
            options: `allowConcurrency` and `noCache`, which have no effect with SQLite.

        Returns:
            The value, or None if there is none; for a list a dict of those that exist, in
            UTF-8 order of the keys. Always fresh copies.
        """
        return self._pairs.get(key, options, keywords)  # type: ignore[no-any-return]

    def put(
        self,
        key: object = undefined,
        value: object = undefined,
        options: object = undefined,
        **keywords: Any,
    ) -> Awaitable[None]:
        """Store one pair, or all entries of a dict at once.

        Args:
            key: A string; or a dict of entries, then options follow it directly.
            value: Anything that structured clone can copy; the copy is made now.
            options: `allowUnconfirmed`: words may leave before this is durable.
        """
        return self._pairs.put(key, value, options, keywords)  # type: ignore[no-any-return]

    def delete(
        self, key: object = undefined, options: object = undefined, **keywords: Any
    ) -> Awaitable[Any]:
        """Remove one key, or several.

        Args:
            key: A string, or a list of strings.
            options: `allowUnconfirmed`.

        Returns:
            Whether it was there; for a list, how many were.
        """
        return self._pairs.delete(key, options, keywords)  # type: ignore[no-any-return]

    def list(self, options: object = undefined, **keywords: Any) -> Awaitable[Any]:
        """Read the pairs of a range, in UTF-8 order of the keys.

        Args:
            options: `start`, `startAfter`, `end` (exclusive), `prefix`, `reverse`, `limit`.

        Returns:
            A dict in that order.
        """
        return self._pairs.list(options, keywords)  # type: ignore[no-any-return]

    def deleteAll(self, options: object = undefined, **keywords: Any) -> Awaitable[None]:
        """Remove everything: pairs, tables, and the alarm (since 2026-02-24)."""
        try:
            merged_options(options, keywords, "deleteAll", _OWNER, 1, "PutOptions")
            self._delete_all()
        except Exception as error:
            return Rejected(error)
        return Settled(None)

    def _delete_all(self) -> None:
        units = self._units
        self._hooks.check_alive()
        if units.frames:
            if not units.is_in_unit:
                raise JsException(DELETE_ALL_REFUSED)
            # Inside of `transactionSync` it takes the savepoints with it.
            units.keep_savepoints()
        self._table.delete_all()
        alarm = units.database.alarm
        if self._deletes_alarm and alarm.now.time_ms is not None:
            units.begin_write()
            alarm.set(None)

    # -- alarms ----------------------------------------------------------------------------

    def getAlarm(self, options: object = undefined, **keywords: Any) -> Awaitable[Any]:
        """The time of the pending alarm, in epoch milliseconds; None if there is none.

        While the handler runs it is None until a new alarm is set.
        """
        return self._alarms.get(options, keywords)  # type: ignore[no-any-return]

    def setAlarm(
        self, scheduledTime: object = undefined, options: object = undefined, **keywords: Any
    ) -> Awaitable[None]:
        """Set the object's one alarm, in place of any other.

        Args:
            scheduledTime: Epoch milliseconds, or a datetime (naive is UTC). A past time
                counts as now.
            options: `allowUnconfirmed`, `allowConcurrency`.
        """
        return self._alarms.set(scheduledTime, options, keywords)  # type: ignore[no-any-return]

    def deleteAlarm(self, options: object = undefined, **keywords: Any) -> Awaitable[None]:
        """Delete the alarm, if there is one."""
        return self._alarms.delete(options, keywords)  # type: ignore[no-any-return]

    # -- transactions ----------------------------------------------------------------------

    def transaction(
        self,
        closure: Callable[[DurableObjectTransaction], Any],
        options: object = undefined,
        **keywords: Any,
    ) -> Awaitable[Any]:
        """Run `closure(txn)` with no other event entering; undo its writes if it raises.

        Args:
            closure: Sync or async.
            options: `lowPriority` is accepted.

        Returns:
            A future with what the closure returns.
        """
        if not callable(closure):
            return Rejected(wrong_type("transaction", _OWNER, 1, "function"))

        def run() -> Awaitable[Any]:
            return run_transaction(
                self._units, closure, pairs=self._txn_pairs, alarms=self._txn_alarms
            )

        return self._hooks.critical_section(run, breaks=False)

    def transactionSync(self, callback: Callable[[], Any]) -> Any:
        """Run `callback()`; undo its writes if it raises.

        Returns:
            What the callback returns.

        Raises:
            JsTypeError: If it is not callable.
        """
        if not callable(callback):
            raise wrong_type("transactionSync", _OWNER, 1, "function")
        return run_transaction_sync(self._units, callback)

    # -- waits -----------------------------------------------------------------------------

    def sync(self) -> Awaitable[None]:
        """Wait until every earlier write is durable, unconfirmed ones too."""
        return self._hooks.context.carry_inner(
            Operation("storage", "storage.sync"), self._units.wait_flushed
        )

    def getCurrentBookmark(self) -> Awaitable[str]:
        """A new bookmark; the local runtime only counts."""
        database = self._units.database

        def bookmark() -> str:
            count = database.bookmark_count
            database.bookmark_count += 1
            return f"00000000-{count:08x}-00000000-{'0' * 32}"

        return self._hooks.context.carry_inner(
            Operation("storage", "storage.getCurrentBookmark"), bookmark
        )

    def getBookmarkForTime(self, *arguments: object) -> Awaitable[str]:
        """Refused: there is no recovery locally."""
        return Rejected(JsException(_NO_RECOVERY))

    def onNextSessionRestoreBookmark(self, *arguments: object) -> Awaitable[str]:
        """Refused: there is no recovery locally."""
        return Rejected(JsException(_NO_RECOVERY))

    # -- for the instance, not for worker code ---------------------------------------------

    def begin_alarm(self, time_ms: int) -> bool:
        """The alarm handler is about to run: hide its time from `getAlarm`.

        Returns:
            False if the alarm of `time_ms` is no longer stored: it must not run.
        """
        return self._units.database.begin_alarm(time_ms)

    def settle(self) -> None:
        """Eviction: make every unit durable at once."""
        self._units.settle_now()

    def lose_open_unit(self) -> None:
        """Reset: undo the open unit or transaction; what was closed before is kept."""
        self._units.lose_open_unit()

    def lose_unflushed_writes(self) -> None:
        """Power cut: everything since the last flush is gone."""
        self._units.lose_pending()

    def __repr__(self) -> str:
        return f"<DurableObjectStorage of {self._units.database.name}>"
