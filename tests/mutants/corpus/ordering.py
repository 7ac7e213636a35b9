"""Ordering: what comes later than it was sent, or between two things that belong together."""

from __future__ import annotations

import asyncio
from typing import Any

from corpus.planting import World, planted, read

from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint


class _Two:
    """Two clients, one after the other unless something is late."""

    @staticmethod
    async def both(
        world: World, method: str, first: Any, second: Any, other: str = "a"
    ) -> None:
        async def later() -> None:
            await asyncio.sleep(0.005)
            await world.call(other, method, second)

        await asyncio.gather(world.call("a", method, first), later())


@planted("two saves of one document are under way at once", kinds=("hold", "latency"))
class SavesOvertake:
    objects = {"document": "zero"}

    class Broken(DurableObject):
        async def save(self, text: str) -> None:
            await self._in_turn(text)

        async def _in_turn(self, text: str) -> None:
            await self._save(text)

        async def _save(self, text: str) -> None:
            await self.ctx.storage.put("text", text)
            await self.env.BUCKET.put("document", text)

        async def text(self) -> str:
            return await self.ctx.storage.get("text") or "zero"

    class Repaired(Broken):
        async def _in_turn(self, text: str) -> None:
            await self.ctx.blockConcurrencyWhile(lambda: self._save(text))

    @staticmethod
    async def drive(world: World) -> None:
        await _Two.both(world, "save", "one", "two")

    @staticmethod
    async def law(world: World) -> None:
        kept, stored = await world.ask("a", "text"), await world.text("document")
        # What nobody acknowledged may be in one of the two places only.
        if len(world.told) == 2:
            assert kept == stored, f"R2 has {stored!r}, and the object {kept!r}"


@planted("a status is set without looking at the one that is there", kinds=("hold", "latency"))
class StatusGoesBack:
    class Broken(DurableObject):
        async def tell(self, status: str) -> None:
            await self._update(status)

        async def _update(self, status: str, condition: str = "") -> None:
            update = f"UPDATE orders SET status = ? WHERE id = 'o1'{condition}"
            insert = self.env.DB.prepare("INSERT OR IGNORE INTO orders (id) VALUES ('o1')")
            await self.env.DB.batch([insert, self.env.DB.prepare(update).bind(status)])

    class Repaired(Broken):
        async def _update(self, status: str, condition: str = "") -> None:
            await super()._update(status, " AND status != 'completed'")

    @staticmethod
    async def drive(world: World) -> None:
        await _Two.both(world, "tell", "processing", "completed", "b")

    @staticmethod
    async def law(world: World) -> None:
        if ("completed",) in world.told:
            [(status,)] = world.rows("SELECT status FROM orders")
            assert status == "completed", f"it was completed, and now it is {status!r}"


@planted("a write that timed out is given up, and lands behind the next one", kinds="stall")
class TimedOutWriteLands:
    objects = {"document": "zero"}

    class Broken(DurableObject):
        async def save(self, text: str) -> None:
            number = await self.ctx.storage.get("number") or 0
            await self.ctx.storage.put("number", number + 1)
            key = self._key(number)
            try:
                await asyncio.wait_for(self._put(key, text), 5)
            except TimeoutError:
                raise RuntimeError("not saved, try again") from None
            await self.ctx.storage.put("key", key)

        async def _put(self, key: str, text: str) -> None:
            await self.env.BUCKET.put(key, text)

        def _key(self, number: int) -> str:
            return "document"

        async def text(self) -> str:
            return await read(self.env.BUCKET, await self.ctx.storage.get("key") or "document")

    class Repaired(Broken):
        def _key(self, number: int) -> str:
            return f"document/{number}"

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "save", "one")
        await world.call("a", "save", "two")
        await asyncio.sleep(60)

    @staticmethod
    async def law(world: World) -> None:
        if world.told[-1:] == [("two",)]:
            text = await world.ask("a", "text")
            assert text == "two", f"the last that was saved is 'two', and it reads {text!r}"


@planted(
    "steps that depend on each other are gathered", kinds=("hold", "latency", "error", "crash")
)
class DependentStepsGathered:
    objects = {"old": "the only copy"}

    class Broken(DurableObject):
        async def rename(self) -> None:
            text = await read(self.env.BUCKET, "old")
            put = self.env.BUCKET.put("new", text)
            await self._then_delete(put)

        async def _then_delete(self, put: Any) -> None:
            await asyncio.gather(put, self.env.BUCKET.delete("old"))

    class Repaired(Broken):
        async def _then_delete(self, put: Any) -> None:
            await put
            await self.env.BUCKET.delete("old")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "rename")

    @staticmethod
    async def law(world: World) -> None:
        keys = await world.keys()
        assert keys, "neither the old one nor the new one is there"


@planted(
    "two halves of a thing are written one after the other, and read likewise", kinds="hold"
)
class TornPair:
    objects = {"title": "title 0", "text": "text 0"}

    class Broken(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Response:
            if "/write" in request.url:
                version = request.url.rpartition("/")[2]
                await self._write(version)
                return Response("written")
            return Response(await self._read())

        async def _write(self, version: str) -> None:
            await self.env.BUCKET.put("text", f"text {version}")
            await self.env.BUCKET.put("title", f"title {version}")

        async def _read(self) -> str:
            title = await read(self.env.BUCKET, "title")
            text = await read(self.env.BUCKET, "text")
            return f"{title}, {text}"

    class Repaired(Broken):
        async def _write(self, version: str) -> None:
            await self.env.BUCKET.put(
                "text", f"text {version}", customMetadata={"title": f"title {version}"}
            )

        async def _read(self) -> str:
            found = await self.env.BUCKET.get("text")
            title = found.customMetadata.get("title", "title 0")
            return f"{title}, {await found.text()}"

    @staticmethod
    async def drive(world: World) -> None:
        async def later() -> None:
            await asyncio.sleep(0.005)
            world.told.append(await world.fetch("/read"))

        await asyncio.gather(world.fetch("/write/1", attempts=3), later())

    @staticmethod
    async def law(world: World) -> None:
        whole = (None, "/read", "/write/1", "title 0, text 0", "title 1, text 1")
        assert all(one in whole for one in world.told), f"a reader was told {world.told}"
