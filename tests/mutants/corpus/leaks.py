"""Leaks: what is left behind when something fails, or a limit is met."""

from __future__ import annotations

import asyncio
from typing import Any

from corpus.planting import World, now_ms, planted

from emulator.sdk.workers import DurableObject


class Uploading(DurableObject):
    """Writes a film in two parts, by alarm; `_give_up` is told when that fails."""

    async def begin(self) -> None:
        await self.ctx.storage.put("is_due", True)
        await self.ctx.storage.setAlarm(now_ms() + 1_000)

    async def alarm(self, info: Any = None) -> None:
        if not await self.ctx.storage.get("is_due"):
            return
        await self._clean()
        upload = await self.env.BUCKET.createMultipartUpload("film")
        await self.ctx.storage.put("upload", upload.uploadId)
        try:
            part = await upload.uploadPart(1, "the whole film")
            await upload.complete([part])
        except Exception:
            await self._give_up(upload)
            return
        await self.ctx.storage.delete(["is_due", "upload"])

    async def _clean(self) -> None:
        """Before another attempt, after a power cut: the former upload."""
        upload_id = await self.ctx.storage.get("upload")
        if upload_id is not None:
            await self.env.BUCKET.resumeMultipartUpload("film", upload_id).abort()

    async def _give_up(self, upload: Any) -> None:
        await upload.abort()
        await self._forget()

    async def _forget(self) -> None:
        await self.ctx.storage.delete(["is_due", "upload"])


class Uploaded:
    """Drives `Uploading`."""

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        left = world.open_uploads()
        assert not left, f"everything is over, and the upload of {left} is open"


@planted("a multipart upload is not aborted when a part fails", kinds="error")
class UploadNotAborted(Uploaded):
    class Broken(Uploading):
        async def _give_up(self, upload: Any) -> None:
            await self._forget()

    class Repaired(Uploading):
        """The base does it."""


@planted("the id of a multipart upload is kept in memory only", kinds=("crash", "restart"))
class UploadIdInMemory(Uploaded):
    class Broken(Uploading):
        async def _clean(self) -> None:
            """What is not remembered cannot be aborted."""

    class Repaired(Uploading):
        """The base keeps it."""


@planted("a temporary row stays when the copy fails", kinds=("error", "crash"))
class TemporaryStays:
    class Broken(DurableObject):
        async def convert(self) -> None:
            await self._before()
            insert = "INSERT OR IGNORE INTO orders VALUES ('o1', 'temporary', NULL)"
            await self.env.DB.prepare(insert).run()
            await self.env.BUCKET.put("image", "converted")
            await self._over()

        async def _before(self) -> None:
            """Nothing can be wrong yet."""

        async def _over(self) -> None:
            # So that it stays over if the insert is still on its way.
            upsert = "INSERT INTO orders VALUES ('o1', 'over', NULL)"
            update = f"{upsert} ON CONFLICT DO UPDATE SET status = 'over'"
            await self.env.DB.prepare(update).run()

        async def alarm(self, info: Any = None) -> None:
            await self._over()

    class Repaired(Broken):
        async def _before(self) -> None:
            await self.ctx.storage.setAlarm(now_ms() + 60_000)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "convert")

    @staticmethod
    async def law(world: World) -> None:
        left = world.rows("SELECT id FROM orders WHERE status = 'temporary'")
        assert not left, f"everything is over, and {left} is still there"


@planted("a place is counted as taken, and stays so when the work fails", kinds="error")
class PlaceNotGivenBack:
    class Broken(DurableObject):
        taken = 0

        async def work(self) -> str:
            if self.taken >= 2:
                return "full"
            self.taken += 1
            try:
                await self.env.BUCKET.put("work", "done")
            except Exception:
                self._failed()
                raise
            self.taken -= 1
            return "done"

        def _failed(self) -> None:
            """The caller is told."""

        async def places_taken(self) -> int:
            return self.taken

    class Repaired(Broken):
        def _failed(self) -> None:
            self.taken -= 1

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "work")

    @staticmethod
    async def law(world: World) -> None:
        taken = await world.ask("a", "places_taken")
        assert taken == 0, f"nobody is at work, and {taken} places are taken"


@planted(
    "quota is reserved, and not released when nothing was stored", kinds=("error", "crash")
)
class QuotaNotReleased:
    class Broken(DurableObject):
        async def save(self, key: str) -> None:
            await self._remember(key)
            await self._reserve(key)
            await self.env.BUCKET.put(key, "photo")
            await self.ctx.storage.delete("saving")

        async def _remember(self, key: str) -> None:
            """It takes a moment only."""

        async def _reserve(self, key: str) -> None:
            insert = self.env.DB.prepare("INSERT OR IGNORE INTO orders (id) VALUES (?)")
            await insert.bind(key).run()

        async def alarm(self, info: Any = None) -> None:
            key = await self.ctx.storage.get("saving")
            if key is None:
                return
            if await self.env.BUCKET.head(key) is None:
                # So that it stays released if the reservation is still on its way.
                upsert = "INSERT INTO orders VALUES (?, 'released', NULL)"
                update = f"{upsert} ON CONFLICT DO UPDATE SET status = 'released'"
                await self.env.DB.prepare(update).bind(key).run()
            await self.ctx.storage.delete("saving")

    class Repaired(Broken):
        async def _remember(self, key: str) -> None:
            await self.ctx.storage.put("saving", key)
            await self.ctx.storage.setAlarm(now_ms() + 60_000)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "save", "photo.png")

    @staticmethod
    async def law(world: World) -> None:
        [(used,)] = world.rows("SELECT count(*) FROM orders WHERE status = 'pending'")
        stored = len(await world.keys())
        assert used <= stored, f"{used} places are reserved, and {stored} objects stored"


@planted("a release overtakes the reservation that timed out", kinds="stall")
class ReleaseOvertakes:
    class Broken(DurableObject):
        async def buy(self) -> str:
            agent = self.env.JOBS.getByName("agent")
            try:
                await asyncio.wait_for(self._ask(agent), 5)
            except TimeoutError:
                await self.env.JOBS.getByName("store").release("o1")
                return "too late"
            return "bought"

        async def _ask(self, agent: Any) -> None:
            await agent.ask_store("o1")

        async def ask_store(self, order_id: str) -> None:
            await self.env.JOBS.getByName("store").reserve(order_id)

        async def reserve(self, order_id: str) -> None:
            if await self._may_reserve(order_id):
                await self.ctx.storage.put(f"held:{order_id}", True)

        async def _may_reserve(self, order_id: str) -> bool:
            return True

        async def release(self, order_id: str) -> None:
            await self.ctx.storage.put(f"released:{order_id}", True)
            await self.ctx.storage.delete(f"held:{order_id}")

        async def held(self) -> int:
            return len(await self.ctx.storage.list(prefix="held:"))

    class Repaired(Broken):
        async def _may_reserve(self, order_id: str) -> bool:
            return not await self.ctx.storage.get(f"released:{order_id}")

    @staticmethod
    async def drive(world: World) -> None:
        world.told.append(await world.call("a", "buy"))

    @staticmethod
    async def law(world: World) -> None:
        if "too late" in world.told:
            held = await world.ask("store", "held")
            assert held == 0, f"it was released, and {held} are held"


@planted(
    "repeated calls use up the subrequests of an invocation, and the rest is left out",
    kinds="error",
)
class SubrequestsUsedUp:
    options = {"limits": {"profile": "paid", "subrequests_max": 3}}

    class Broken(DurableObject):
        async def begin(self) -> None:
            await self.ctx.storage.put("next", 0)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            start = await self.ctx.storage.get("next") or 0
            for number in range(start, 3):
                await self._copy(number)
                await self.ctx.storage.put("next", number + 1)

        async def _copy(self, number: int) -> None:
            for _ in range(2):
                try:
                    await self.env.BUCKET.put(f"copy/{number}", "copy")
                except Exception as error:
                    last = error
                else:
                    return
            self._failed(last)

        def _failed(self, error: Exception) -> None:
            print(f"one file is left out: {error}")

        async def position(self) -> int:
            return await self.ctx.storage.get("next") or 0

    class Repaired(Broken):
        def _failed(self, error: Exception) -> None:
            raise error  # The next run begins with new subrequests.

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            copies = await world.keys("copy/")
            assert len(copies) == 3, f"three files were to be copied, and {copies} were"
