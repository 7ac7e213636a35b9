"""Crash points: what is durable, and what is not, when the power fails."""

from __future__ import annotations

from typing import Any

from corpus.planting import World, now_ms, planted

from emulator.sdk.workers import DurableObject


@planted("a queue is read and cleared before its items are sent", kinds="crash")
class ClearedBeforeSent:
    class Broken(DurableObject):
        async def add(self, item: str) -> None:
            items = await self.ctx.storage.get("queue") or []
            await self.ctx.storage.put("queue", [*items, item])
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            items = await self.ctx.storage.get("queue") or []
            await self.ctx.storage.delete("queue")
            await self._send(items)

        async def _send(self, items: list[str]) -> None:
            for item in items:
                await self.env.BUCKET.put(f"sent/{item}", item)

    class Repaired(Broken):
        async def alarm(self, info: Any = None) -> None:
            items = await self.ctx.storage.get("queue") or []
            await self._send(items)
            left = (await self.ctx.storage.get("queue") or [])[len(items) :]
            await self.ctx.storage.put("queue", left)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "add", "one")
        await world.call("a", "add", "two")

    @staticmethod
    async def law(world: World) -> None:
        sent = await world.keys("sent/")
        lost = [item for (item,) in world.told if f"sent/{item}" not in sent]
        assert not lost, f"{lost} was acknowledged, and {sent} was sent"


@planted("a flag says that the work is done before it is", kinds=("crash", "error"))
class FlagBeforeWork:
    class Broken(DurableObject):
        async def publish(self, text: str) -> None:
            if await self.ctx.storage.get("is_published"):
                return
            await self.ctx.storage.put("is_published", True)
            await self.env.BUCKET.put("page", text)

    class Repaired(Broken):
        async def publish(self, text: str) -> None:
            if await self.ctx.storage.get("is_published"):
                return
            await self.env.BUCKET.put("page", text)
            await self.ctx.storage.put("is_published", True)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "publish", "hello", attempts=3)

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.text("page") == "hello", "acknowledged, and there is no page"


@planted("votes are counted in memory, and stored by the next alarm", kinds=("crash", "evict"))
class CountedInMemory:
    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.votes: int | None = None

        async def vote(self) -> None:
            self.votes = await self.count() + 1
            await self._keep()

        async def _keep(self) -> None:
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def count(self) -> int:
            if self.votes is None:
                self.votes = await self.ctx.storage.get("votes") or 0
            return self.votes

        async def alarm(self, info: Any = None) -> None:
            await self.ctx.storage.put("votes", await self.count())

    class Repaired(Broken):
        async def _keep(self) -> None:
            await self.ctx.storage.put("votes", self.votes)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "vote")
        await world.call("a", "vote")

    @staticmethod
    async def law(world: World) -> None:
        count = await world.ask("a", "count")
        assert count >= len(world.told), f"{len(world.told)} votes were acknowledged: {count}"


@planted("the number of the next segment is kept in memory", kinds=("crash", "evict"))
class SegmentNumberInMemory:
    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.number = 0

        async def append(self, line: str) -> None:
            number = await self._next()
            await self.env.BUCKET.put(f"log/{number:03d}", line)

        async def _next(self) -> int:
            self.number += 1
            return self.number

    class Repaired(Broken):
        async def _next(self) -> int:
            number = int(await self.ctx.storage.get("number") or 0) + 1
            await self.ctx.storage.put("number", number)
            return number

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "append", "one")
        await world.call("a", "append", "two")

    @staticmethod
    async def law(world: World) -> None:
        lines = [await world.text(key) for key in await world.keys("log/")]
        lost = [line for (line,) in world.told if line not in lines]
        assert not lost, f"{lost} was acknowledged, and the log is {lines}"


@planted("the alarm is set before what it needs is durable", kinds="crash")
class AlarmBeforeConfiguration:
    class Broken(DurableObject):
        async def begin(self, title: str) -> None:
            if await self.ctx.storage.getAlarm() is not None:
                return  # It has been asked for before.
            await self.ctx.storage.setAlarm(now_ms() + 9_000)
            await self._check_account()
            await self.ctx.storage.put("title", title)

        async def _check_account(self) -> None:
            await self.env.DB.prepare("SELECT id FROM accounts WHERE id = 'a'").first()

        async def alarm(self, info: Any = None) -> None:
            title = await self.ctx.storage.get("title")
            if title is not None:
                await self.env.BUCKET.put(f"report/{title}", title)

    class Repaired(Broken):
        async def begin(self, title: str) -> None:
            await self._check_account()
            if await self.ctx.storage.getAlarm() is not None:
                return
            await self.ctx.storage.setAlarm(now_ms() + 9_000)
            await self.ctx.storage.put("title", title)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin", "harvest", attempts=3)

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.text("report/harvest"), "acknowledged, and never made"


@planted("a write that was promised is allowed to be unconfirmed", kinds="crash")
class UnconfirmedWrite:
    class Broken(DurableObject):
        async def save(self, text: str) -> None:
            await self.ctx.storage.put("text", text, allowUnconfirmed=True)

        async def text(self) -> str | None:
            return await self.ctx.storage.get("text")

    class Repaired(Broken):
        async def save(self, text: str) -> None:
            await self.ctx.storage.put("text", text)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "save", "hello")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.ask("a", "text") == "hello", "acknowledged, and lost"
