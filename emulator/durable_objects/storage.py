"""The storage: `ctx.storage`, all that an object keeps beyond its life.

Promises: the methods of Cloudflare's DurableObjectStorage for objects with SQLite, their
rules and their words. Each acts when it is called; awaiting the key-value and alarm methods
lets no other event in, `sync` and `getCurrentBookmark` do. Leaves to others: how (the rooms
beside this one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.alarm_calls import AlarmCalls, UnitAlarm
from emulator.durable_objects.arguments import merged_options, wrong_type
from emulator.durable_objects.foreign_use import foreign_use
from emulator.durable_objects.key_value import KeyValue
from emulator.durable_objects.key_value_table import KeyValueTable
from emulator.durable_objects.kv_backed import (
    KV_REFUSED,
    KV_REFUSED_LOCALLY,
    NO_TRANSACTION_SYNC,
    SQL_REFUSED,
    SQL_REFUSED_LOCALLY,
    Overlay,
    ReadCache,
)
from emulator.durable_objects.pair_limits import PairLimits
from emulator.durable_objects.recovery import NoRecovery, Recovery
from emulator.durable_objects.settled import Rejected, Settled
from emulator.durable_objects.sql import SqlStorage
from emulator.durable_objects.sync_key_value import SyncKvStorage
from emulator.durable_objects.transactions import (
    DELETE_ALL_REFUSED,
    DurableObjectTransaction,
    run_closure,
    run_transaction,
    run_transaction_sync,
)
from emulator.durable_objects.units import WriteUnits
from emulator.errors import JsException
from emulator.simulation.rules import Operation
from emulator.values import undefined
from emulator.web.js_object import JsObject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulator.durable_objects.hooks import Hooks
    from emulator.durable_objects.record import ObjectRecord

__all__ = ["DurableObjectStorage"]

_OWNER: Final = "DurableObjectStorage"
_TRANSACTION: Final = "DurableObjectTransaction"
#: Why a class has no SQL, and none of the synchronous methods, by its kind of storage.
_REFUSALS: Final = {
    "sqlite": (None, None),
    "local_kv": (SQL_REFUSED_LOCALLY, KV_REFUSED_LOCALLY),
    "kv": (SQL_REFUSED, KV_REFUSED),
}


@final
class DurableObjectStorage(JsObject):
    """`ctx.storage` of one instance.

    Args:
        hooks: The instance.
        record: The object, beyond the life of the instance.

    Attributes:
        kv: The synchronous key-value interface.
        sql: SQL.
    """

    def __init__(self, hooks: Hooks, record: ObjectRecord) -> None:
        self._hooks = hooks
        self._deletes_alarm = record.kind.delete_all_deletes_alarm
        self._units = units = WriteUnits(
            hooks, record.database, on_alarm_change=record.alarm_changed
        )
        limits = record.kind.limits
        self._is_local = limits.is_local
        clock = record.simulation.clock
        storage = record.kind.storage
        is_kv_backed = storage == "kv"
        self._pair_limits = PairLimits(
            record.kind.usage, record.name, is_kv_backed=is_kv_backed
        )
        self._table = table = KeyValueTable(
            units, self._pair_limits, has_enhanced_errors=record.kind.has_enhanced_errors
        )
        self._pairs = KeyValue(table, _OWNER)
        sql_refusal, kv_refusal = _REFUSALS[storage]
        self.kv = SyncKvStorage(table, kv_refusal)
        self.sql = SqlStorage(units, record.kind.usage.mark("row_bytes_max"), sql_refusal)
        #: What a class without SQLite has read, on the documented platform.
        self._cache = ReadCache(hooks.context) if is_kv_backed else None

        def now_ms() -> int:
            return clock.now_ms

        self._now_ms = now_ms
        self._alarm = alarm = UnitAlarm(units, limits)
        self._alarms = AlarmCalls(alarm, hooks, now_ms=now_ms, owner=_OWNER)
        self._txn_pairs = KeyValue(table, _TRANSACTION)
        self._txn_alarms = AlarmCalls(alarm, hooks, now_ms=now_ms, owner=_TRANSACTION)
        self._recovery = (
            NoRecovery(hooks, units, counts=not is_kv_backed)
            if is_kv_backed or limits.is_local
            else Recovery(hooks, units, now_ms)
        )

    # -- key-value -------------------------------------------------------------------------

    def get(
        self, key: object = undefined, options: object = undefined, **keywords: Any
    ) -> Awaitable[Any]:
        """Read one key, or several.

        Args:
            key: A string, or a list of strings.
            options: `allowConcurrency` and `noCache`, which have no effect with SQLite. Of a
                KV-backed object `allowConcurrency` lets other events in if this instance has
                not seen the key before.

        Returns:
            The value, or None if there is none; for a list a dict of those that exist, in
            UTF-8 order of the keys. Always fresh copies.
        """
        found = self._pairs.get(key, options, keywords)
        if self._cache is not None:
            found = self._cache.read(key, options, keywords, found)
        return found

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
        if self._cache is not None:
            self._cache.learn(key)
        return self._pairs.put(key, value, options, keywords)

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
        if self._cache is not None:
            self._cache.learn(key)
        return self._pairs.delete(key, options, keywords)

    def list(self, options: object = undefined, **keywords: Any) -> Awaitable[Any]:
        """Read the pairs of a range, in UTF-8 order of the keys.

        Args:
            options: `start`, `startAfter`, `end` (exclusive), `prefix`, `reverse`, `limit`.

        Returns:
            A dict in that order.
        """
        found = self._pairs.list(options, keywords)
        if self._cache is not None:
            found = self._cache.read(undefined, options, keywords, found)
        return found

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
        if units.transaction is not None:
            raise JsException(DELETE_ALL_REFUSED)
        # Inside of `transactionSync` it takes the savepoints with it.
        units.keep_savepoints()
        alarm = units.database.alarm
        if self._deletes_alarm and alarm.now.time_ms is not None:
            units.begin_write()
            alarm.set(None)
        self._table.delete_all()
        self.sql.forget_texts()
        if self._cache is None:
            # The platform deletes the file and begins another: nothing undoes that.
            units.end_unit()
            units.flush_closed_units()

    # -- alarms ----------------------------------------------------------------------------

    def getAlarm(self, options: object = undefined, **keywords: Any) -> Awaitable[Any]:
        """The time of the pending alarm, in epoch milliseconds; None if there is none.

        While the handler runs it is None until a new alarm is set.
        """
        return self._alarms.get(options, keywords)

    def setAlarm(
        self, scheduledTime: object = undefined, options: object = undefined, **keywords: Any
    ) -> Awaitable[None]:
        """Set the object's one alarm, in place of any other.

        Args:
            scheduledTime: Epoch milliseconds, or a datetime (naive is UTC). A past time
                counts as now.
            options: `allowUnconfirmed`, `allowConcurrency`.
        """
        return self._alarms.set(scheduledTime, options, keywords)

    def deleteAlarm(self, options: object = undefined, **keywords: Any) -> Awaitable[None]:
        """Delete the alarm, if there is one."""
        return self._alarms.delete(options, keywords)

    # -- transactions ----------------------------------------------------------------------

    def transaction(
        self,
        closure: Any = undefined,
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
        error = foreign_use(self._hooks.context, "ActorCacheInterface")
        if error is not None:
            return Rejected(error)

        async def run() -> Any:
            if self._cache is not None:
                return await self._run_overlaid(closure)
            return await run_transaction(
                self._units, closure, pairs=self._txn_pairs, alarms=self._txn_alarms
            )

        return self._hooks.critical_section(run, breaks=False)

    def _run_overlaid(
        self, closure: Callable[[DurableObjectTransaction], Any]
    ) -> Awaitable[Any]:
        overlay = Overlay(self._units, self._table, self._alarm, self._pair_limits)
        pairs = KeyValue(overlay, _TRANSACTION)
        alarms = AlarmCalls(overlay, self._hooks, now_ms=self._now_ms, owner=_TRANSACTION)
        txn = DurableObjectTransaction(overlay, overlay.frame, pairs, alarms)
        return run_closure(closure, txn)

    def transactionSync(self, callback: Any = undefined) -> Any:
        """Run `callback()`; undo its writes if it raises.

        Returns:
            What the callback returns.

        Raises:
            JsTypeError: If it is not callable.
        """
        if not callable(callback):
            raise wrong_type("transactionSync", _OWNER, 1, "function")
        if self._cache is not None:
            raise JsException(NO_TRANSACTION_SYNC)
        return run_transaction_sync(self._units, callback)

    # -- waits -----------------------------------------------------------------------------

    def sync(self) -> Awaitable[None]:
        """Wait until every earlier write is durable, unconfirmed ones too.

        With SQLite other events may enter meanwhile; without, if there is anything to wait for.
        """
        error = foreign_use(self._hooks.context, "ActorCacheInterface")
        if error is not None:
            return Rejected(error)
        waiting = self._units.wait_flushed()
        if self._cache is not None and waiting.done():
            return Settled(None)
        return self._hooks.context.carry_inner(
            Operation("storage", "storage.sync"), lambda: waiting
        )

    def getCurrentBookmark(self) -> Awaitable[str]:
        """A bookmark of what is durable when it is given; the local runtime only counts.

        Bookmarks of one object compare as text in the order of their moments.
        """
        return self._recovery.current()

    def getBookmarkForTime(self, timestamp: object = undefined) -> Awaitable[str]:
        """A bookmark of what was durable at a time.

        Every past state is kept only if a method of the class itself calls this; else only
        what `getCurrentBookmark` was called for can be found again.

        Args:
            timestamp: Epoch milliseconds, or a datetime (naive is UTC), in the last 30 days.
        """
        return self._recovery.for_time(timestamp)

    def onNextSessionRestoreBookmark(self, bookmark: object = undefined) -> Awaitable[str]:
        """Go back to a bookmark at the object's next start, such as after `ctx.abort()`.

        Pairs, tables and the alarm become what they were then.

        Args:
            bookmark: One that this object gave in the last 30 days.

        Returns:
            A bookmark of the moment before that start, with which it can be undone.
        """
        return self._recovery.restore_next(bookmark)

    # -- for the instance, not for worker code ---------------------------------------------

    def begin_alarm(self, time_ms: int) -> bool:
        """The alarm handler is about to run: hide its time from `getAlarm`.

        Returns:
            False if the alarm of `time_ms` is no longer stored: it must not run.
        """
        overdue_ms = self._now_ms() if self._is_local else None
        return self._units.database.begin_alarm(time_ms, overdue_ms)

    def end_unit(self) -> None:
        """What this turn has written so far stands or falls by itself."""
        self._units.end_unit()

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
