"""Second accidents: a recovery that is interrupted, two conflicts where one was expected."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from corpus.planting import World, now_ms, planted, read, text_of

from emulator.sdk.workers import DurableObject


@planted(
    "a failed copy is tolerated, and read when the original cannot be", needs=2, kinds="error"
)
class StaleCopyRead:
    objects = {"original": "1", "copy": "1"}

    class Broken(DurableObject):
        async def write(self, version: int) -> None:
            await self.ctx.storage.put("version", version)
            await self.env.BUCKET.put("original", str(version))
            try:
                await self.env.BUCKET.put("copy", str(version))
            except Exception as error:
                print(f"no copy: {error}")
            else:
                await self.ctx.storage.put("copied", version)

        async def read(self) -> int:
            try:
                return int(await read(self.env.BUCKET, "original"))
            except Exception:
                if not await self._may_use_copy():
                    raise
                return int(await read(self.env.BUCKET, "copy"))

        async def _may_use_copy(self) -> bool:
            return True

    class Repaired(Broken):
        async def _may_use_copy(self) -> bool:
            version = await self.ctx.storage.get("version")
            return version is not None and version == await self.ctx.storage.get("copied")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "write", 2)
        acknowledged = 2 if world.told else 1
        version = await world.call("a", "read")
        world.told = [(acknowledged, version)]

    @staticmethod
    async def law(world: World) -> None:
        [(acknowledged, version)] = world.told
        assert version is None or version >= acknowledged, f"{acknowledged} is old: {version}"


class Editing(DurableObject):
    """Adds words to one document in R2, by its ETag."""

    async def edit(self, word: str) -> None:
        attempt = 0
        while True:
            attempt += 1
            found = await self.env.BUCKET.get("document")
            text = await found.text()
            if word in text.split():
                return
            done = await self._put(attempt, f"{text} {word}", found.etag)
            if done is not None:
                return
            await asyncio.sleep(0.010)

    async def _put(self, attempt: int, text: str, etag: str) -> Any:
        return await self.env.BUCKET.put("document", text, onlyIf={"etagMatches": etag})


class Edited:
    """Several editors, 25 ms apart unless something is late."""

    objects = {"document": "zero"}

    @staticmethod
    async def edit(world: World, *starts_ms: int) -> None:
        async def edit(number: int, start_ms: int) -> None:
            await asyncio.sleep(start_ms / 1_000)
            await world.call(f"editor {number}", "edit", f"word{number}")

        await asyncio.gather(*(edit(*one) for one in enumerate(starts_ms)))

    @staticmethod
    async def law(world: World) -> None:
        text = await world.text("document") or ""
        lost = [word for (word,) in world.told if word not in text.split()]
        assert not lost, f"{lost} was acknowledged, and the document is {text!r}"


@planted(
    "after one conflict a write is made without a condition", needs=2, kinds=("hold", "latency")
)
class ForcedAfterOneConflict(Edited):
    class Broken(Editing):
        conflicts_max = 1

        async def _put(self, attempt: int, text: str, etag: str) -> Any:
            if attempt <= self.conflicts_max:
                return await super()._put(attempt, text, etag)
            return await self.env.BUCKET.put("document", text)

    class Repaired(Editing):
        """The base never forces."""

    @staticmethod
    async def drive(world: World) -> None:
        await Edited.edit(world, 0, 5, 30)


@planted(
    "a conditional write that fails is tried again without its condition",
    needs=2,
    kinds=("error", "hold"),
)
class UnconditionalSecondTry(Edited):
    class Broken(Editing):
        async def _put(self, attempt: int, text: str, etag: str) -> Any:
            try:
                return await super()._put(attempt, text, etag)
            except Exception:
                return await self._again(text)

        async def _again(self, text: str) -> Any:
            return await self.env.BUCKET.put("document", text)

    class Repaired(Broken):
        async def _again(self, text: str) -> Any:
            return None  # As after a conflict.

    @staticmethod
    async def drive(world: World) -> None:
        await Edited.edit(world, 0, 5)


@planted(
    "what a power cut has left is taken up, and forgotten before it is done",
    needs=2,
    kinds="crash",
)
class RecoveryForgetsFirst:
    class Broken(DurableObject):
        async def send(self, amount: int) -> None:
            await self._change(-amount)
            await self.ctx.storage.put("intent", amount)
            await self.ctx.storage.setAlarm(now_ms() + 60_000)
            await self._give(amount)
            await self.ctx.storage.delete("intent")

        async def alarm(self, info: Any = None) -> None:
            amount = await self.ctx.storage.get("intent")
            if amount is not None:
                await self._recover(amount)

        async def _recover(self, amount: int) -> None:
            await self.ctx.storage.delete("intent")
            await self._give(amount)

        async def _give(self, amount: int) -> None:
            await self.env.JOBS.getByName("b").receive(amount)

        async def receive(self, amount: int) -> None:
            if not await self.ctx.storage.get("has_received"):
                await self.ctx.storage.put("has_received", True)
                await self._change(amount)

        async def _change(self, amount: int) -> None:
            await self.ctx.storage.put("balance", await self.balance() + amount)

        async def balance(self) -> int:
            return await self.ctx.storage.get("balance") or 0

    class Repaired(Broken):
        async def _recover(self, amount: int) -> None:
            await self._give(amount)
            await self.ctx.storage.delete("intent")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "send", 7)

    @staticmethod
    async def law(world: World) -> None:
        a, b = await world.ask("a", "balance"), await world.ask("b", "balance")
        assert a + b == 0, f"nothing was there, and now {a} and {b} are"


@planted("a job that was interrupted is put back into memory only", needs=2, kinds="crash")
class PutBackInMemory:
    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.again: list[str] = []

        async def add(self, job: str) -> None:
            await self.ctx.storage.put("todo", job)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            doing = await self.ctx.storage.get("doing")
            if doing is not None:
                await self._put_back(doing)
            while self.again:
                await self._do(self.again[0])
                self.again.pop(0)
            todo = await self.ctx.storage.get("todo")
            if todo is not None:
                await self.ctx.storage.delete("todo")
                await self.ctx.storage.put("doing", todo)
                await self._do(todo)
                await self.ctx.storage.delete("doing")

        async def _put_back(self, job: str) -> None:
            self.again.append(job)
            await self.ctx.storage.delete("doing")

        async def _do(self, job: str) -> None:
            await self.env.BUCKET.put(f"done/{job}", job)

    class Repaired(Broken):
        async def _put_back(self, job: str) -> None:
            await self.ctx.storage.delete("doing")
            await self.ctx.storage.put("todo", job)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "add", "weeding")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.text("done/weeding"), "acknowledged, and never done"


@planted(
    "that a mirror failed is remembered in memory until the next try",
    needs=2,
    kinds=("error", "evict", "crash"),
)
class FailureRememberedInMemory:
    class Broken(DurableObject):
        has_failed = False

        async def save(self, text: str) -> None:
            await self.ctx.storage.put({"text": text, "is_due": True})
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            if not (self.has_failed or await self.ctx.storage.get("is_due")):
                return
            try:
                await self.env.BUCKET.put("mirror", await self.ctx.storage.get("text"))
                self.has_failed = False
            except Exception:
                await self.ctx.storage.setAlarm(now_ms() + 5_000)
                if not self._keep_due():
                    return
                raise
            await self.ctx.storage.delete("is_due")

        def _keep_due(self) -> bool:
            self.has_failed = True
            self.ctx.storage.delete("is_due")
            return False

    class Repaired(Broken):
        def _keep_due(self) -> bool:
            return True

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "save", "hello")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.text("mirror") == "hello", "acknowledged, and never mirrored"


class Quorum(DurableObject):
    """Keeps a version in several objects of R2; a read takes the newest of some of them."""

    copies = 3
    enough = 2

    async def write(self, version: int) -> bool:
        written = 0
        for number in range(self.copies):
            with suppress(Exception):
                await self.env.BUCKET.put(f"copy/{number}", str(version))
                written += 1
        return written >= self.enough

    async def version(self) -> int:
        read_count = self.copies - self.copies // 2
        texts = [await text_of(self.env.BUCKET, f"copy/{n}") for n in range(read_count)]
        return max(int(text or 0) for text in texts)


class Voted:
    """Drives `Quorum`."""

    @staticmethod
    async def drive(world: World) -> None:
        world.told = [await world.call("a", "write", 1)]

    @staticmethod
    async def law(world: World) -> None:
        if world.told == [True]:
            version = await world.ask("a", "version")
            assert version == 1, f"1 was acknowledged, and {version} is read"


@planted(
    "a write is acknowledged by fewer copies than a read leaves out", needs=2, kinds="error"
)
class QuorumTooSmall(Voted):
    class Broken(Quorum):
        enough = 1

    class Repaired(Quorum):
        """The base asks for two of three."""
