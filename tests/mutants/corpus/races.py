"""Races: two events of one object, or of two, between which an await lets others in."""

from __future__ import annotations

import asyncio
from typing import Any

from corpus.planting import World, now_ms, planted, read

from emulator.sdk.workers import DurableObject

#: Between two clients who do not know of each other: enough that they do not meet by chance.
APART_S = 0.005


class _Sum:
    """Laws about a sum: nothing acknowledged is lost, nothing is counted twice."""

    @staticmethod
    async def drive(world: World) -> None:
        async def later() -> None:
            await asyncio.sleep(APART_S)
            await world.call("a", "add", 2)

        await asyncio.gather(world.call("a", "add", 1), later())

    @staticmethod
    def check(world: World, value: int) -> None:
        told = sum(one for (one,) in world.told)
        asked = sum(one for (one,) in world.asked)
        assert told <= value <= asked, f"{told} was acknowledged, and the sum is {value}"


@planted("a total in R2 is read, and written back after an await", kinds=("hold", "latency"))
class TotalInR2(_Sum):
    objects = {"total": "0"}

    class Broken(DurableObject):
        async def add(self, amount: int) -> None:
            total = int(await read(self.env.BUCKET, "total"))
            await self.env.BUCKET.put("total", str(total + amount))

    class Repaired(Broken):
        async def add(self, amount: int) -> None:
            await self.ctx.blockConcurrencyWhile(lambda: self._add(amount))

        async def _add(self, amount: int) -> None:
            total = int(await read(self.env.BUCKET, "total"))
            await self.env.BUCKET.put("total", str(total + amount))

    @staticmethod
    async def law(world: World) -> None:
        _Sum.check(world, int(await world.text("total") or 0))


@planted("a balance in D1 is selected, and updated to a value computed from it", kinds="hold")
class BalanceInD1(_Sum):
    class Broken(DurableObject):
        async def add(self, amount: int) -> None:
            account = self.env.DB.prepare("SELECT balance FROM accounts WHERE id = 'a'")
            balance = await account.first("balance")
            update = self.env.DB.prepare("UPDATE accounts SET balance = ? WHERE id = 'a'")
            await update.bind(balance + amount).run()

    class Repaired(Broken):
        async def add(self, amount: int) -> None:
            update = self.env.DB.prepare(
                "UPDATE accounts SET balance = balance + ? WHERE id = 'a'"
            )
            await update.bind(amount).run()

    @staticmethod
    async def law(world: World) -> None:
        [(balance,)] = world.rows("SELECT balance FROM accounts WHERE id = 'a'")
        _Sum.check(world, balance)


@planted("another object's value is got and set in two calls", kinds=("hold", "latency"))
class ValueOfAnotherObject(_Sum):
    class Broken(DurableObject):
        async def add(self, amount: int) -> None:
            owner = self.env.JOBS.getByName("owner")
            await owner.set(await owner.value() + amount)

        async def value(self) -> int:
            return await self.ctx.storage.get("value") or 0

        async def set(self, value: int) -> None:
            await self.ctx.storage.put("value", value)

    class Repaired(Broken):
        async def add(self, amount: int) -> None:
            await self.env.JOBS.getByName("owner").increase(amount)

        async def increase(self, amount: int) -> None:
            await self.set(await self.value() + amount)

    @staticmethod
    async def law(world: World) -> None:
        _Sum.check(world, await world.ask("owner", "value"))


@planted("a stored counter is written after a lookup in D1 which came between", kinds="hold")
class LookupBetween(_Sum):
    class Broken(DurableObject):
        async def add(self, amount: int) -> None:
            count = await self.ctx.storage.get("count") or 0
            await self._check()
            await self.ctx.storage.put("count", count + amount)

        async def _check(self) -> None:
            await self.env.DB.prepare("SELECT id FROM accounts WHERE id = 'a'").first()

        async def value(self) -> int:
            return await self.ctx.storage.get("count") or 0

    class Repaired(Broken):
        async def add(self, amount: int) -> None:
            await self._check()
            count = await self.ctx.storage.get("count") or 0
            await self.ctx.storage.put("count", count + amount)

    @staticmethod
    async def law(world: World) -> None:
        _Sum.check(world, await world.ask("a", "value"))


@planted("two objects edit one document, and neither looks at its ETag", kinds="hold")
class DocumentWithoutEtag:
    objects = {"document": "zero"}

    class Broken(DurableObject):
        async def edit(self, word: str) -> None:
            found = await self.env.BUCKET.get("document")
            text = await found.text()
            await self.env.BUCKET.put("document", f"{text} {word}")

    class Repaired(Broken):
        async def edit(self, word: str) -> None:
            while True:
                found = await self.env.BUCKET.get("document")
                text = await found.text()
                condition = {"etagMatches": found.etag}
                text = f"{text} {word}"
                done = await self.env.BUCKET.put("document", text, onlyIf=condition)
                if done is not None:
                    return

    @staticmethod
    async def drive(world: World) -> None:
        async def later() -> None:
            await asyncio.sleep(APART_S)
            await world.call("b", "edit", "two")

        await asyncio.gather(world.call("a", "edit", "one"), later())

    @staticmethod
    async def law(world: World) -> None:
        text = await world.text("document") or ""
        lost = [word for (word,) in world.told if word not in text]
        assert not lost, f"{lost} was acknowledged, and the document is {text!r}"


@planted("a seat is found free, and taken after the receipt was written", kinds="hold")
class SeatTakenTwice:
    class Broken(DurableObject):
        async def book(self, who: str) -> bool:
            if await self.ctx.storage.get("seat") not in (None, who):
                return False
            await self.env.BUCKET.put(f"receipt/{who}", "your seat")
            await self.ctx.storage.put("seat", who)
            return True

        async def seat(self) -> str | None:
            return await self.ctx.storage.get("seat")

    class Repaired(Broken):
        async def book(self, who: str) -> bool:
            if await self.ctx.storage.get("seat") not in (None, who):
                return False
            await self.ctx.storage.put("seat", who)
            await self.env.BUCKET.put(f"receipt/{who}", "your seat")
            return True

    @staticmethod
    async def drive(world: World) -> None:
        async def later() -> None:
            await asyncio.sleep(APART_S)
            await world.call("a", "book", "berta")

        await asyncio.gather(world.call("a", "book", "anton"), later())

    @staticmethod
    async def law(world: World) -> None:
        receipts = await world.keys("receipt/")
        assert len(receipts) <= 1, f"one seat, and {receipts}"


@planted("a cache in memory is filled with what was read before it was changed", kinds="hold")
class CacheFilledLate:
    objects = {"text": "old"}

    class Broken(DurableObject):
        cache: str | None = None

        async def read(self) -> str | None:
            if self.cache is None:
                self.cache = await read(self.env.BUCKET, "text")
            return self.cache

        async def write(self, text: str) -> None:
            self.cache = None
            await self.env.BUCKET.put("text", text)
            self.cache = text

    class Repaired(Broken):
        changes = 0

        async def read(self) -> str | None:
            if self.cache is not None:
                return self.cache
            changes = self.changes
            text = await read(self.env.BUCKET, "text")
            if changes == self.changes:
                self.cache = text
            return text

        async def write(self, text: str) -> None:
            self.cache = None
            self.changes += 1
            await self.env.BUCKET.put("text", text)
            # What was read meanwhile may be older, and a failed write may have taken effect.
            self.changes += 1
            self.cache = None

    @staticmethod
    async def drive(world: World) -> None:
        async def later() -> None:
            await asyncio.sleep(APART_S)
            await world.call("a", "write", "new")

        await asyncio.gather(world.call("a", "read"), later())

    @staticmethod
    async def law(world: World) -> None:
        read, stored = await world.ask("a", "read"), await world.text("text")
        assert read == stored, f"R2 has {stored!r}, and the object answers {read!r}"


@planted(
    "the constructor loads from R2, and calls do not wait for it", kinds=("evict", "crash")
)
class LoadingConstructor(_Sum):
    objects = {"total": "10"}

    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.total = 0
            self._begin()

        def _begin(self) -> None:
            self.loading = asyncio.ensure_future(self._load())

        async def _load(self) -> None:
            self.total = int(await read(self.env.BUCKET, "total"))

        async def hello(self) -> None:
            await asyncio.sleep(APART_S)

        async def add(self, amount: int) -> None:
            self.total += amount
            await self.env.BUCKET.put("total", str(self.total))

    class Repaired(Broken):
        def _begin(self) -> None:
            self.ctx.blockConcurrencyWhile(self._load)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "hello")
        await world.call("a", "add", 1)

    @staticmethod
    async def law(world: World) -> None:
        total = int(await world.text("total") or 0)
        assert total in (10, 11), f"10 was there, 1 was added, and the total is {total}"


@planted("an alarm sets itself again after work during which it was stopped", kinds="hold")
class StoppedMeanwhile:
    class Broken(DurableObject):
        async def start(self) -> None:
            await self.ctx.storage.put("ticks_left", 4)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def stop(self) -> int:
            await self.ctx.storage.put("is_stopped", True)
            await self.ctx.storage.deleteAlarm()
            return await self.ticks_left()

        async def alarm(self, info: Any = None) -> None:
            ticks_left = await self.ticks_left() - 1
            await self.env.BUCKET.put(f"tick/{ticks_left}", "tick")
            await self.ctx.storage.put("ticks_left", ticks_left)
            if ticks_left and await self._may_go_on():
                await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def _may_go_on(self) -> bool:
            return True

        async def ticks_left(self) -> int:
            return int(await self.ctx.storage.get("ticks_left") or 0)

    class Repaired(Broken):
        async def _may_go_on(self) -> bool:
            return not await self.ctx.storage.get("is_stopped")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "start")
        await asyncio.sleep(1 + APART_S)
        world.told = [await world.call("a", "stop", attempts=9)]

    @staticmethod
    async def law(world: World) -> None:
        [at_stop], at_end = world.told, await world.ask("a", "ticks_left")
        # The one that was under way.
        assert at_end >= at_stop - 1, f"{at_stop} ticks were left when it stopped, {at_end} are"


@planted(
    "a flush removes everything that waits, also what came while it was sent",
    kinds=("hold", "latency"),
)
class FlushedTooMuch:
    class Broken(DurableObject):
        async def add(self, word: str) -> None:
            await self.ctx.storage.put(f"word:{word}", word)
            if await self.ctx.storage.getAlarm() is None:
                await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            words = await self.ctx.storage.list(prefix="word:")
            for word in words.values():
                await self.env.BUCKET.put(f"sent/{word}", word)
            await self._remove(list(words.keys()))

        async def _remove(self, sent: list[str]) -> None:
            await self.ctx.storage.delete(list(await self.ctx.storage.list(prefix="word:")))

    class Repaired(Broken):
        async def _remove(self, sent: list[str]) -> None:
            await self.ctx.storage.delete(sent)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "add", "one")
        await asyncio.sleep(1 + APART_S)
        await world.call("a", "add", "two")

    @staticmethod
    async def law(world: World) -> None:
        sent = await world.keys("sent/")
        lost = [word for (word,) in world.told if f"sent/{word}" not in sent]
        assert not lost, f"{lost} was acknowledged, and {sent} was sent"
