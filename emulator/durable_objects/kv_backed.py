"""KV-backed: what the documented storage of a class without SQLite does differently.

Promises: a transaction is a layer of writes above the storage, seen only by calls on the
transaction itself, and laid into the storage as one unit when its closure succeeds; reading
with `allowConcurrency` what this instance has not read or written before lets other events in.
Measured on workerd's in-memory storage, which is the platform's write-back cache
(actor-cache.c++). Leaves to others: the pairs, units and alarms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from emulator.durable_objects.arguments import js_string, text_of
from emulator.durable_objects.frame import Frame
from emulator.durable_objects.key_value_table import MISSING
from emulator.simulation.rules import Operation
from emulator.values import JsDict, deserialize, serialize, undefined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.durable_objects.alarm_calls import AlarmStore
    from emulator.durable_objects.arguments import KeyRange
    from emulator.durable_objects.context import IoContext
    from emulator.durable_objects.key_value_table import KeyValueTable
    from emulator.durable_objects.pair_limits import PairLimits
    from emulator.durable_objects.units import WriteUnits

__all__ = [
    "KV_REFUSED",
    "KV_REFUSED_LOCALLY",
    "NO_TRANSACTION_SYNC",
    "SQL_REFUSED",
    "SQL_REFUSED_LOCALLY",
    "Overlay",
    "ReadCache",
]

NO_TRANSACTION_SYNC: Final = "Durable Object is not backed by SQL."
SQL_REFUSED_LOCALLY: Final = (
    "SQL is not enabled for this Durable Object class. To enable it, change `new_classes` to "
    "`new_sqlite_classes` within the 'migrations' field in your wrangler.jsonc or "
    "wrangler.toml file. If using workerd directly,set `enableSql = true` in your workerd "
    "config for the class. Note that this change cannot be made after the class is already "
    "deployed to production."
)
SQL_REFUSED: Final = (
    "This Durable Object is not backed by SQLite storage, so the SQL API is not available. "
    "SQL can be enabled on a new Durable Object class by using the `new_sqlite_classes` "
    "instead of `new_classes` under `[[migrations]]` in your wrangler.toml, but an "
    "already-deployed class cannot be converted to SQLite (except by deleting the existing "
    "data)."
)
_KV_REFUSED: Final = (
    "The storage.kv (synchronous KV) API is only available for SQLite-backed Durable Objects, "
    "but this object's namespace is not declared to use SQLite. You can use the older, "
    "asyncronous interface via methods of `storage` itself (e.g. `storage.get()`). "
)
KV_REFUSED_LOCALLY: Final = (
    f"{_KV_REFUSED}Alternatively, to enable SQLite, change `new_classes` to "
    "`new_sqlite_classes` within the 'migrations' field in your wrangler.jsonc or "
    "wrangler.toml file. If using workerd directly, set `enableSql = true` in your workerd "
    "config for the class. Note that this change cannot be made after the class is already "
    "deployed to production."
)
KV_REFUSED: Final = (
    f"{_KV_REFUSED}SQLite can be enabled on a new Durable Object class by using the "
    "`new_sqlite_classes` instead of `new_classes` under `migrations` in your wrangler.jsonc "
    "or wrangler.toml, but an already-deployed class cannot be converted to SQLite (except by "
    "deleting the existing data)."
)


@final
class Overlay:
    """The writes of one transaction, above the storage.

    It has the methods of the table of pairs and of the stored alarm for the transaction's
    calls, and those of the units for its end.

    Args:
        units: Where the writes belong in the end.
        table: The pairs below.
        alarm: The stored alarm below.
        limits: How large a pair and a call may be.

    Attributes:
        frame: What is kept or undone.
        frames: That, while it is open.
    """

    def __init__(
        self, units: WriteUnits, table: KeyValueTable, alarm: AlarmStore, limits: PairLimits
    ) -> None:
        self._units = units
        self._table = table
        self._alarm = alarm
        self._limits = limits
        #: Values as V8's bytes; None is a deletion.
        self._pairs: dict[str, bytes | None] = {}
        self._alarm_change: tuple[int | None] | None = None
        self._is_confirmed = False
        self.frame = Frame(units.database.alarm.now)
        self.frames = [self.frame]

    # -- pairs -----------------------------------------------------------------------------

    def get(self, key: object) -> Any:
        """The value of a key, a fresh copy; MISSING if there is none."""
        self._units.begin_read()
        text = text_of(key)
        self._limits.check_key(text)
        return self._get(text)

    def _get(self, text: str) -> Any:
        if text not in self._pairs:
            return self._table.get_many([text]).get(text, MISSING)
        blob = self._pairs[text]
        return MISSING if blob is None else deserialize(blob)

    def get_many(self, keys: Sequence[object]) -> JsDict:
        """The values of those keys that exist, in UTF-8 order of the keys."""
        self._limits.check_read(len(keys))
        self._units.begin_read()
        found = JsDict()
        for text in sorted(set(map(text_of, keys))):
            value = self._get(text)
            if value is not MISSING:
                found[text] = value
        return found

    def put(self, key: object, value: object, *, confirmed: bool = True) -> None:
        """Store one pair."""
        self.put_many({key: value}, confirmed=confirmed)

    def put_many(self, entries: dict[Any, Any], *, confirmed: bool = True) -> None:
        """Store several pairs, all or none."""
        if not entries:
            return
        self._units.begin_read()
        enhanced = self._table.has_enhanced_errors
        rows = {
            text_of(key): serialize(value, has_enhanced_errors=enhanced)
            for key, value in entries.items()
        }
        for text, blob in rows.items():
            # The in-memory storage lets a transaction put anything; what it would be laid
            # into on the platform does not.
            self._limits.check_pair(text, blob)
        self._pairs.update(rows)
        self._is_confirmed |= confirmed

    def delete(self, key: object, *, confirmed: bool = True) -> bool:
        """Remove one pair; tells whether it was there."""
        return self.delete_many([key], confirmed=confirmed) == 1

    def delete_many(self, keys: Sequence[object], *, confirmed: bool = True) -> int:
        """Remove several pairs; tells how many were there."""
        self._units.begin_read()
        texts = [text_of(key) for key in keys]
        for text in texts:
            self._limits.check_key(text)
        count = 0
        for text in texts:
            count += self._get(text) is not MISSING
            self._pairs[text] = None
        self._is_confirmed |= confirmed
        return count

    def rows(self, keys: KeyRange) -> list[tuple[str, Any]]:
        """The pairs of a range, in its order.

        With a limit there may be more: the layer and the storage each give as many
        (actor-cache.c++, Transaction::list).
        """
        self._units.begin_read()
        own: dict[str, bytes | None] = {}
        kept_count = 0
        for text in sorted(self._pairs, reverse=keys.is_reverse):
            if kept_count == keys.limit:
                break
            if _is_in(text, keys):
                own[text] = self._pairs[text]
                kept_count += own[text] is not None
        limit = None if keys.limit is None else keys.limit + len(own) - kept_count
        found = dict(self._table.rows(keys._replace(limit=limit)))
        for text, blob in own.items():
            if blob is None:
                found.pop(text, None)
            else:
                found[text] = deserialize(blob)
        return sorted(found.items(), key=lambda pair: pair[0], reverse=keys.is_reverse)

    # -- the alarm -------------------------------------------------------------------------

    def visible_alarm_ms(self) -> int | None:
        """What `getAlarm` of the transaction tells."""
        self._units.begin_read()
        change = self._alarm_change
        return self._alarm.visible_alarm_ms() if change is None else change[0]

    def store_alarm(self, time_ms: int | None, *, confirmed: bool) -> None:
        """Set or delete the alarm."""
        self._units.begin_read()
        self._alarm_change = (time_ms,)
        self._is_confirmed |= confirmed

    # -- the end ---------------------------------------------------------------------------

    def roll_back(self, frame: Frame) -> None:
        """Forget all of it."""
        self._end(frame)
        self._pairs.clear()
        self._alarm_change = None

    def commit(self, frame: Frame) -> None:
        """Lay it into the storage, as one unit."""
        self._end(frame)
        units = self._units
        unit = units.push(is_transaction=False)
        confirmed = self._is_confirmed
        for text, blob in self._pairs.items():
            if blob is None:
                self._table.delete(text, confirmed=confirmed)
            else:
                self._table.put_blobs([(text, blob)], confirmed=confirmed)
        if self._alarm_change is not None:
            self._alarm.store_alarm(self._alarm_change[0], confirmed=confirmed)
        units.commit(unit)

    def _end(self, frame: Frame) -> None:
        frame.is_open = False
        self.frames.clear()

    def __repr__(self) -> str:
        return f"<Overlay of {len(self._pairs)} writes>"


def _is_in(text: str, keys: KeyRange) -> bool:
    is_late_enough = text > keys.low if keys.is_low_excluded else text >= keys.low
    return is_late_enough and (keys.high is None or text < keys.high)


@final
class ReadCache:
    """Which keys an instance need not ask the storage for.

    Args:
        context: Where a read waits.
    """

    def __init__(self, context: IoContext) -> None:
        self._context = context
        self._known: set[str] = set()

    def learn(self, keys: object) -> None:
        """These keys were read or written: a key, a list of keys, or a dict of entries."""
        self._known.update(_texts(keys))

    def read(self, keys: object, options: object, keywords: dict[str, Any], found: Any) -> Any:
        """Give what was found, as late as the platform would.

        Args:
            keys: What was asked for; undefined is a range.
            options: As worker code gave them.
            keywords: The same, by name.
            found: The settled answer.
        """
        given = {**(options if isinstance(options, dict) else {}), **keywords}
        is_hit = keys is not undefined and self._known.issuperset(_texts(keys))

        def arrive() -> Any:
            if keys is not undefined and not given.get("noCache"):
                self.learn(keys)
            return found

        if is_hit or not given.get("allowConcurrency"):
            # Otherwise the wait holds the input lock, so nobody could tell it from none.
            return arrive()
        return self._context.carry_inner(Operation("storage", "storage.read"), arrive)

    def __repr__(self) -> str:
        return f"<ReadCache of {len(self._known)} keys>"


def _texts(keys: object) -> list[str]:
    if isinstance(keys, (list, tuple, dict)):
        return [js_string(key) for key in keys]
    return [js_string(keys)]
