"""Second errors: the first is provided for, and what then fails is not."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from corpus.leaks import Uploaded, Uploading
from corpus.planting import World, now_ms, planted

from emulator.sdk.workers import DurableObject


@planted("a failed upload is aborted once, whether that works or not", needs=2, kinds="error")
class AbortTriedOnce(Uploaded):
    class Broken(Uploading):
        tries = 1

        async def _give_up(self, upload: Any) -> None:
            for _ in range(self.tries):
                try:
                    await upload.abort()
                except Exception as error:
                    print(f"could not abort: {error}")
                else:
                    break
            await self._forget()

    class Repaired(Uploading):
        """The base lets the alarm come again."""


class Exporting(DurableObject):
    """Makes an export by alarm; `_tell` is how D1 hears of its end."""

    async def begin(self) -> None:
        insert = self.env.DB.prepare("INSERT OR IGNORE INTO orders (id) VALUES ('export')")
        await self.ctx.storage.put("is_due", True)
        await self.ctx.storage.setAlarm(now_ms() + 1_000)
        await insert.run()

    async def alarm(self, info: Any = None) -> None:
        if not await self.ctx.storage.get("is_due"):
            return
        try:
            await self._work(info)
        except Exception as error:
            await self._fail(info, error)
        else:
            await self._tell("completed")
        await self.ctx.storage.delete("is_due")

    async def _work(self, info: Any) -> None:
        await self.env.BUCKET.put("archive", "everything")

    async def _fail(self, info: Any, error: Exception) -> None:
        await self.env.BUCKET.delete("archive")
        await self._tell("failed")

    async def _tell(self, status: str) -> None:
        upsert = "INSERT INTO orders VALUES ('export', ?1, NULL)"
        update = f"{upsert} ON CONFLICT DO UPDATE SET status = ?1"
        await self.env.DB.prepare(update).bind(status).run()


class _Exported:
    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    def status(world: World) -> str | None:
        found = world.rows("SELECT status FROM orders WHERE id = 'export'")
        return str(found[0][0]) if found else None


@planted(
    "that an export failed is told to D1 once, whether it hears it or not",
    needs=2,
    kinds="error",
)
class FailureToldOnce(_Exported):
    class Broken(Exporting):
        async def _fail(self, info: Any, error: Exception) -> None:
            try:
                await super()._fail(info, error)
            except Exception as second:
                print(f"could not tell: {second}")

    class Repaired(Exporting):
        """The base lets the alarm come again."""

    @staticmethod
    async def law(world: World) -> None:
        status = _Exported.status(world)
        assert status in ("completed", "failed", None), f"it is over, and its status {status!r}"


@planted(
    "an export fails at the second error, whatever the first attempt has left",
    needs=2,
    kinds="error after",
)
class FailedAndThere(_Exported):
    class Broken(Exporting):
        async def _fail(self, info: Any, error: Exception) -> None:
            attempts = (await self.ctx.storage.get("attempts") or 0) + 1
            await self.ctx.storage.put("attempts", attempts)
            if attempts < 2:
                raise error  # The platform tries again.
            await self._end(info, error)

        async def _end(self, info: Any, error: Exception) -> None:
            await self._tell("failed")

    class Repaired(Broken):
        async def _end(self, info: Any, error: Exception) -> None:
            await self.env.BUCKET.delete("archive")
            await super()._end(info, error)

    @staticmethod
    async def law(world: World) -> None:
        if _Exported.status(world) == "failed":
            assert await world.text("archive") is None, (
                "it has failed, and its archive is there"
            )


@planted(
    "after an error one look decides whether the object is there",
    needs=2,
    kinds=("error after", "missing"),
)
class OneLookDecides(_Exported):
    class Broken(Exporting):
        async def _fail(self, info: Any, error: Exception) -> None:
            if await self.env.BUCKET.head("archive") is not None:
                await self._tell("completed")
                return
            await self._remove()
            await self._tell("failed")

        async def _remove(self) -> None:
            """There is nothing to remove."""

    class Repaired(Broken):
        async def _remove(self) -> None:
            await self.env.BUCKET.delete("archive")

    @staticmethod
    async def law(world: World) -> None:
        if _Exported.status(world) == "failed":
            assert await world.text("archive") is None, (
                "it has failed, and its archive is there"
            )


@planted(
    "a failed try behind the deadline is the end, and nobody is told",
    needs=2,
    kinds=("error", "late"),
)
class SilentDeadline(_Exported):
    class Broken(Exporting):
        async def begin(self) -> None:
            await self.ctx.storage.put("deadline_ms", now_ms() + 40_000)
            await super().begin()

        async def _fail(self, info: Any, error: Exception) -> None:
            if now_ms() < (await self.ctx.storage.get("deadline_ms") or 0):
                raise error
            await self._end(info, error)

        async def _end(self, info: Any, error: Exception) -> None:
            print(f"too late: {error}")

    class Repaired(Broken):
        async def _end(self, info: Any, error: Exception) -> None:
            await self._tell("failed")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            status = _Exported.status(world)
            assert status in ("completed", "failed"), f"it is over, and its status {status!r}"


class Reporting(DurableObject):
    """Reports the stock, by alarm."""

    tries = 2

    async def begin(self) -> None:
        await self.ctx.storage.setAlarm(now_ms() + 1_000)

    async def alarm(self, info: Any = None) -> None:
        stock = await self._stock()
        await self.env.BUCKET.put("report", str(stock))

    async def _stock(self) -> int:
        query = self.env.DB.prepare("SELECT balance FROM accounts WHERE id = 'stock'")
        for _ in range(self.tries):
            try:
                return int(await query.first("balance"))
            except Exception as error:
                last = error
        return self._unknown(last)

    def _unknown(self, error: Exception) -> int:
        raise error


class Reported:
    """Drives `Reporting`."""

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        report = await world.text("report")
        assert report in (None, "5"), f"the stock is 5, and the report {report!r}"


@planted("what cannot be read at the second try counts as nothing", needs=2, kinds="error")
class UnreadableIsNothing(Reported):
    class Broken(Reporting):
        def _unknown(self, error: Exception) -> int:
            return 0

    class Repaired(Reporting):
        """The base raises."""


class Travelling(DurableObject):
    """Books a hotel and a flight, both or none; is also the object of each."""

    tries = 1

    async def book(self) -> None:
        await self.ctx.storage.put("is_booking", True)
        await self.ctx.storage.setAlarm(now_ms() + 120_000)
        try:
            await self.env.JOBS.getByName("hotel").reserve()
            await self.env.JOBS.getByName("flight").reserve()
        except Exception:
            await self._undo()
            raise
        await self._done()

    async def alarm(self, info: Any = None) -> None:
        if await self.ctx.storage.get("is_booking"):
            await self._undo_all()
            await self._done()

    async def _undo(self) -> None:
        for _ in range(self.tries):
            with suppress(Exception):
                await self._undo_all()
                await self._done()
                return
        await self._not_undone()

    async def _not_undone(self) -> None:
        """The alarm does it."""

    async def _undo_all(self) -> None:
        for name in ("hotel", "flight"):
            await self.env.JOBS.getByName(name).release()

    async def _done(self) -> None:
        await self.ctx.storage.delete("is_booking")
        await self.ctx.storage.deleteAlarm()

    async def reserve(self) -> None:
        if not await self.ctx.storage.get("is_released"):
            await self.ctx.storage.put("is_reserved", True)

    async def release(self) -> None:
        await self.ctx.storage.put("is_released", True)
        await self.ctx.storage.delete("is_reserved")

    async def is_reserved(self) -> bool:
        return bool(await self.ctx.storage.get("is_reserved"))


class Travelled:
    """Drives `Travelling`."""

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("trip", "book")

    @staticmethod
    async def law(world: World) -> None:
        hotel = await world.ask("hotel", "is_reserved")
        flight = await world.ask("flight", "is_reserved")
        assert hotel == flight, f"hotel {hotel}, flight {flight}"


@planted("a compensation is tried once, and then forgotten", needs=2, kinds=("error", "crash"))
class CompensationTriedOnce(Travelled):
    class Broken(Travelling):
        async def _not_undone(self) -> None:
            await self._done()

    class Repaired(Travelling):
        """The base leaves it to the alarm."""


class Sending(DurableObject):
    """Sends one item, by alarm; counts its attempts."""

    attempts_max = 2

    async def send(self, item: str) -> None:
        await self.ctx.storage.put("item", item)
        await self.ctx.storage.setAlarm(now_ms() + 1_000)

    async def alarm(self, info: Any = None) -> None:
        item = await self.ctx.storage.get("item")
        if item is None:
            return
        try:
            await self.env.BUCKET.put(f"sent/{item}", item)
        except Exception:
            attempts = (await self.ctx.storage.get("attempts") or 0) + 1
            await self.ctx.storage.put("attempts", attempts)
            if attempts < self.attempts_max:
                raise
            await self._drop(item)
        await self.ctx.storage.delete("item")

    async def _drop(self, item: str) -> None:
        await self.ctx.storage.put(f"dead:{item}", item)

    async def dead(self) -> list[str]:
        return list((await self.ctx.storage.list(prefix="dead:")).values())


class Sent:
    """Drives `Sending`."""

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "send", "letter")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            places = [await world.text("sent/letter"), *await world.ask("a", "dead")]
            assert "letter" in places, "acknowledged, not sent, and no dead letter"


@planted("what fails twice is dropped, and nobody is told", needs=2, kinds="error")
class DroppedAfterTwoFailures(Sent):
    class Broken(Sending):
        async def _drop(self, item: str) -> None:
            print(f"dropped {item}")

    class Repaired(Sending):
        """The base keeps dead letters."""


@planted(
    "a lock of another object is released at the second try or never", needs=2, kinds="error"
)
class LockOfAnotherKept:
    class Broken(DurableObject):
        async def work(self) -> None:
            await self.ctx.storage.put("holds", True)
            await self.ctx.storage.setAlarm(now_ms() + 120_000)
            lock = self.env.JOBS.getByName("lock")
            await lock.take("a")
            for _ in range(2):
                try:
                    await self.env.JOBS.getByName("lock").give("a")
                except Exception as error:
                    print(f"not given back: {error}")
                else:
                    return await self._over()
            await self._kept()

        async def _kept(self) -> None:
            await self._over()

        async def _over(self) -> None:
            await self.ctx.storage.delete("holds")
            await self.ctx.storage.deleteAlarm()

        async def alarm(self, info: Any = None) -> None:
            if await self.ctx.storage.get("holds"):
                await self.env.JOBS.getByName("lock").give("a")
                await self._over()

        async def take(self, who: str) -> None:
            if not await self.ctx.storage.get("is_given_back"):
                await self.ctx.storage.put("holder", who)

        async def give(self, who: str) -> None:
            await self.ctx.storage.put("is_given_back", True)
            await self.ctx.storage.delete("holder")

        async def holder(self) -> str | None:
            return await self.ctx.storage.get("holder")

    class Repaired(Broken):
        async def _kept(self) -> None:
            """The alarm gives it back."""

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "work")

    @staticmethod
    async def law(world: World) -> None:
        holder = await world.ask("lock", "holder")
        assert holder is None, f"nobody is at work, and {holder} holds the lock"
