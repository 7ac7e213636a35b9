"""Pages: lists that change while they are read, and lists that are longer than expected."""

from __future__ import annotations

import asyncio
from typing import Any

from corpus.planting import World, now_ms, planted

from emulator.sdk.workers import DurableObject


@planted("pages are counted by offset while rows go to the trash", kinds=("stall", "late"))
class OffsetWhileRowsGo:
    class Broken(DurableObject):
        async def begin(self) -> None:
            await self.ctx.storage.put("taken", [])
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            taken = await self.taken()
            found = await self._page(taken)
            if found:
                await self.ctx.storage.put("taken", [*taken, *found])
                await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def _page(self, taken: list[int]) -> list[int]:
            query = "SELECT id FROM files WHERE deleted_at IS NULL ORDER BY id LIMIT 2 OFFSET ?"
            return await self._ids(query, len(taken))

        async def _ids(self, query: str, place: int) -> list[int]:
            rows = (await self.env.DB.prepare(query).bind(place).all()).results
            return [row.id for row in rows]

        async def taken(self) -> list[int]:
            return await self.ctx.storage.get("taken") or []

    class Repaired(Broken):
        async def _page(self, taken: list[int]) -> list[int]:
            query = (
                "SELECT id FROM files WHERE deleted_at IS NULL AND id > ? ORDER BY id LIMIT 2"
            )
            return await self._ids(query, max(taken, default=0))

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")
        await asyncio.sleep(5)
        database = world.mf.get_d1_database("DB")
        try:
            await database.exec("UPDATE files SET deleted_at = 'now' WHERE id = 1")
        except Exception:
            world.asked.append("it may be in the trash")

    @staticmethod
    async def law(world: World) -> None:
        taken = await world.ask("a", "taken")
        if world.told:
            lost = {2, 3, 4} - set(taken)
            assert not lost, f"{lost} were there all the time, and {taken} were taken"


@planted("only the first page of what waits is sent", kinds="late")
class FirstPageOnly:
    class Broken(DurableObject):
        async def add(self, word: str) -> None:
            await self.ctx.storage.put(f"word:{word}", word)
            await self.ctx.storage.setAlarm(now_ms() + 60_000)

        async def alarm(self, info: Any = None) -> None:
            # Nobody has more than two in a minute.
            while words := await self.ctx.storage.list(prefix="word:", limit=2):
                for key, word in list(words.items()):
                    await self.env.BUCKET.put(f"sent/{word}", word)
                    await self.ctx.storage.delete(key)
                if not self._goes_on():
                    return

        def _goes_on(self) -> bool:
            return False

    class Repaired(Broken):
        def _goes_on(self) -> bool:
            return True

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "add", "one")
        await world.call("a", "add", "two")
        await asyncio.sleep(70)
        await world.call("a", "add", "three")

    @staticmethod
    async def law(world: World) -> None:
        sent = await world.keys("sent/")
        lost = [word for (word,) in world.told if f"sent/{word}" not in sent]
        assert not lost, f"{lost} was acknowledged, and {sent} was sent"


@planted("the cursor of a list is a time that two entries may share", kinds=("latency", "hold"))
class CursorWithTies:
    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            ctx.storage.sql.exec(
                "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, time_ms, text)"
            )

        async def note(self, text: str) -> None:
            await self.env.BUCKET.put(f"note/{text}", text)
            self.ctx.storage.sql.exec(
                "INSERT INTO notes (time_ms, text) VALUES (?, ?)", now_ms(), text
            )

        async def all(self) -> list[str]:
            texts: list[str] = []
            place: list[Any] = [0, 0]
            while True:
                rows = self._page(place)
                if not rows:
                    return texts
                texts += [row.text for row in rows]
                place = [rows[-1].time_ms, rows[-1].id]

        def _page(self, place: list[Any]) -> list[Any]:
            return self._rows("time_ms > ?", place[0])

        def _rows(self, condition: str, *values: Any) -> list[Any]:
            query = f"SELECT * FROM notes WHERE {condition} ORDER BY time_ms, id LIMIT 1"
            return list(self.ctx.storage.sql.exec(query, *values).toArray())

    class Repaired(Broken):
        def _page(self, place: list[Any]) -> list[Any]:
            return self._rows("(time_ms, id) > (?, ?)", *place)

    @staticmethod
    async def drive(world: World) -> None:
        async def later() -> None:
            await asyncio.sleep(0.020)
            await world.call("a", "note", "two")

        await asyncio.gather(world.call("a", "note", "one"), later())

    @staticmethod
    async def law(world: World) -> None:
        texts = await world.ask("a", "all")
        lost = [text for (text,) in world.told if text not in texts]
        assert not lost, f"{lost} was acknowledged, and the list is {texts}"


@planted("a list is read again from a place that counts what was taken from it", kinds="crash")
class PlaceInAShrinkingList:
    class Broken(DurableObject):
        async def add(self, *words: str) -> None:
            await self.ctx.storage.put({f"word:{word}": word for word in words})
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            sent = await self._sent()
            words = list((await self.ctx.storage.list(prefix="word:")).values())
            for word in words[sent:]:
                await self.env.BUCKET.put(f"sent/{word}", word)
                await self.ctx.storage.delete(f"word:{word}")
                sent += 1
                await self.ctx.storage.put("sent", sent)
            await self.ctx.storage.delete("sent")

        async def _sent(self) -> int:
            return await self.ctx.storage.get("sent") or 0

    class Repaired(Broken):
        async def _sent(self) -> int:
            return 0  # What was sent is not in the list any more.

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "add", "a", "b", "c")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            sent = await world.keys("sent/")
            assert len(sent) == 3, f"three words were acknowledged, and {sent} were sent"
