"""Liveness: what was accepted and never comes to its end."""

from __future__ import annotations

import asyncio
from typing import Any

from corpus.planting import World, now_ms, planted, read

from emulator.sdk.workers import DurableObject


@planted("an alarm logs what went wrong, and ends as if nothing had", kinds="error")
class SwallowedByTheAlarm:
    class Broken(DurableObject):
        async def begin(self) -> None:
            await self.ctx.storage.put("is_due", True)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            try:
                await self.env.BUCKET.put("done", "done")
                await self.ctx.storage.delete("is_due")
            except Exception as error:
                print(f"it did not work: {error}")
                self._after(error)

        def _after(self, error: Exception) -> None:
            """It has been told."""

    class Repaired(Broken):
        def _after(self, error: Exception) -> None:
            raise error  # The platform runs it again.

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.text("done") is not None, "acknowledged, and never done"


@planted("a lock in memory is not released when the work fails", kinds="error")
class LockKeptAfterError:
    class Broken(DurableObject):
        is_busy = False

        async def work(self, number: int) -> str:
            if self.is_busy:
                return "busy"
            self.is_busy = True
            await self._work(number)
            self.is_busy = False
            return "done"

        async def _work(self, number: int) -> None:
            await self.env.BUCKET.put(f"work/{number}", "done")

    class Repaired(Broken):
        async def _work(self, number: int) -> None:
            try:
                await super()._work(number)
            finally:
                self.is_busy = False

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "work", 1)

    @staticmethod
    async def law(world: World) -> None:
        told = await world.ask("a", "work", 2)
        assert told == "done", f"nobody is at work, and it says {told!r}"


@planted("a lock in storage outlives the power cut of whoever took it", kinds="crash")
class LockKeptAfterCrash:
    class Broken(DurableObject):
        async def work(self, number: int) -> str:
            if await self._is_locked():
                return "busy"
            await self.ctx.storage.put("locked_ms", now_ms())
            try:
                await self.env.BUCKET.put(f"work/{number}", "done")
            finally:
                await self.ctx.storage.delete("locked_ms")
            return "done"

        async def _is_locked(self) -> bool:
            return await self.ctx.storage.get("locked_ms") is not None

    class Repaired(Broken):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            # Whoever held it is gone: an object has one instance.
            ctx.storage.delete("locked_ms")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "work", 1)

    @staticmethod
    async def law(world: World) -> None:
        told = await world.ask("a", "work", 2)
        assert told == "done", f"nobody is at work, and it says {told!r}"


@planted("a periodic alarm returns early, and so never comes again", kinds="missing")
class EarlyReturnEndsThePeriod:
    objects = {"input": "seed"}

    class Broken(DurableObject):
        async def begin(self) -> None:
            await self.ctx.storage.put("left", 3)
            await self._again()

        async def alarm(self, info: Any = None) -> None:
            left = await self.ctx.storage.get("left") or 0
            if await self.env.BUCKET.head("input") is None:
                return await self._without_input()
            await self.ctx.storage.put("left", left - 1)
            if left > 1:
                await self._again()

        async def _without_input(self) -> None:
            """There is nothing to do."""

        async def _again(self) -> None:
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def left(self) -> int:
            return await self.ctx.storage.get("left") or 0

    class Repaired(Broken):
        async def _without_input(self) -> None:
            await self._again()

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        left = await world.ask("a", "left")
        assert left <= 0 or not world.told, f"three rounds were accepted, and {left} never came"


@planted(
    "a write is started and not awaited, so that its failure reaches nobody",
    kinds=("error", "crash"),
)
class ForgottenAwait:
    class Broken(DurableObject):
        async def save(self, text: str) -> None:
            await self._wait(asyncio.ensure_future(self._put(text)))

        async def _put(self, text: str) -> None:
            try:
                await self.env.BUCKET.put("text", text)
            except Exception as error:
                print(f"could not save: {error}")
                raise

        async def _wait(self, task: asyncio.Future[None]) -> None:
            task.add_done_callback(asyncio.Future.exception)

    class Repaired(Broken):
        async def _wait(self, task: asyncio.Future[None]) -> None:
            await task

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "save", "hello")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.text("text") == "hello", "acknowledged, and lost"


@planted("one alarm serves two purposes, and the second overwrites the first", kinds="late")
class OneAlarmForTwo:
    class Broken(DurableObject):
        async def begin(self) -> None:
            await self.ctx.storage.put("job_ms", now_ms() + 1_000)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def keep_for(self, duration_ms: int) -> None:
            await self.ctx.storage.put("end_ms", now_ms() + duration_ms)
            await self._set(now_ms() + duration_ms)

        async def _set(self, time_ms: int) -> None:
            await self.ctx.storage.setAlarm(time_ms)

        async def alarm(self, info: Any = None) -> None:
            end_ms = await self.ctx.storage.get("end_ms")
            if end_ms is not None and end_ms <= now_ms():
                await self._expire()
                return
            await self._work()
            if end_ms is not None:
                await self._set(end_ms)

        async def _work(self) -> None:
            await self.env.BUCKET.put("done", "done")
            await self.ctx.storage.delete("job_ms")

        async def _expire(self) -> None:
            await self.ctx.storage.deleteAll()

    class Repaired(Broken):
        async def _set(self, time_ms: int) -> None:
            now = await self.ctx.storage.getAlarm()
            await self.ctx.storage.setAlarm(time_ms if now is None else min(now, time_ms))

        async def _expire(self) -> None:
            if await self.ctx.storage.get("job_ms") is not None:
                await self._work()
            await super()._expire()

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin", attempts=3)
        await asyncio.sleep(10)
        await world.call("a", "keep_for", 60_000)

    @staticmethod
    async def law(world: World) -> None:
        if () in world.told:
            assert await world.text("done") is not None, "acknowledged, and never done"


@planted("an alarm that is late takes itself for an old one, and does nothing", kinds="late")
class LateAlarmIgnored:
    class Broken(DurableObject):
        async def begin(self) -> None:
            await self.ctx.storage.put("due_ms", now_ms() + 1_000)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            due_ms = await self.ctx.storage.get("due_ms")
            if self._is_old(due_ms):
                return
            await self.env.BUCKET.put("done", "done")

        def _is_old(self, due_ms: int) -> bool:
            return now_ms() > due_ms + 10_000

    class Repaired(Broken):
        def _is_old(self, due_ms: int) -> bool:
            return False

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.text("done") is not None, "acknowledged, and never done"


@planted(
    "who waits for the first answer of all is not told when that fails",
    kinds=("error", "vanish"),
)
class WaitersForgotten:
    objects = {"text": "hello"}

    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.waiters: list[asyncio.Future[str]] | None = None

        async def read(self) -> str:
            if self.waiters is not None:
                waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
                self.waiters.append(waiter)
                return await waiter
            self.waiters = []
            try:
                text = await read(self.env.BUCKET, "text")
                for waiter in self.waiters:
                    waiter.set_result(text)
            except Exception as error:
                self._tell(error)
                raise
            finally:
                self.waiters = None
            return text

        def _tell(self, error: Exception) -> None:
            """Whoever asked first is told."""

    class Repaired(Broken):
        def _tell(self, error: Exception) -> None:
            for waiter in self.waiters or ():
                waiter.set_exception(error)

    @staticmethod
    async def drive(world: World) -> None:
        async def ask() -> None:
            await world.call("a", "read")
            # Whether it was an answer or an error.
            world.told.append("heard")

        await asyncio.wait([asyncio.ensure_future(ask()) for _ in range(2)], timeout=300)

    @staticmethod
    async def law(world: World) -> None:
        assert world.told.count("heard") == 2, "a caller hears nothing, for ever"


@planted(
    "a lease lets another one work, and the first may still write", kinds=("stall", "hold")
)
class LeaseWithoutFence:
    class Broken(DurableObject):
        async def lease(self, who: str) -> int | None:
            held = await self.ctx.storage.get("held") or [0, "", 0]
            token, holder, until_ms = held
            if holder not in ("", who) and now_ms() < until_ms:
                return None
            await self.ctx.storage.put("held", [token + 1, who, now_ms() + 10_000])
            return token + 1

        async def write(self, token: int, text: str) -> None:
            if await self._may_write(token):
                last, _, _ = await self.written()
                written = [max(last, token), token, text]
                await self.ctx.storage.put("written", written)

        async def _may_write(self, token: int) -> bool:
            return True

        async def work(self, who: str) -> None:
            shared = self.env.JOBS.getByName("shared")
            token = await shared.lease(who)
            if token is not None:
                await shared.write(token, f"by {who}")

        async def written(self) -> list[Any]:
            return await self.ctx.storage.get("written") or [0, 0, ""]

    class Repaired(Broken):
        async def _may_write(self, token: int) -> bool:
            return token >= (await self.written())[0]

    @staticmethod
    async def drive(world: World) -> None:
        async def later() -> None:
            await asyncio.sleep(15)
            await world.call("b", "work", "berta")

        await asyncio.gather(world.call("a", "work", "anton"), later())

    @staticmethod
    async def law(world: World) -> None:
        last, token, text = await world.ask("shared", "written")
        assert token == last, f"lease {last} was overwritten by lease {token} with {text!r}"
