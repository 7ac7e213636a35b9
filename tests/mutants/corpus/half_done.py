"""Half done: two places that belong together, and a power cut or an error between them."""

from __future__ import annotations

import json
from typing import Any

from corpus.planting import World, now_ms, planted, text_of

from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint


@planted("the alarm is set after the effect outside", kinds="crash")
class AlarmSetLast:
    class Broken(DurableObject):
        async def begin(self, job: str) -> None:
            await self.ctx.storage.put("job", job)
            await self.env.BUCKET.put(f"accepted/{job}", job)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            job = await self.ctx.storage.get("job")
            await self.env.BUCKET.put(f"done/{job}", job)

    class Repaired(Broken):
        async def begin(self, job: str) -> None:
            await self.ctx.storage.put("job", job)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)
            await self.env.BUCKET.put(f"accepted/{job}", job)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin", "weeding")

    @staticmethod
    async def law(world: World) -> None:
        if await world.text("accepted/weeding") is not None:
            assert await world.text("done/weeding") is not None, "accepted, and never done"


@planted("a transfer takes from one object, then gives to another", kinds=("crash", "error"))
class HalfATransfer:
    class Broken(DurableObject):
        async def send(self, amount: int) -> None:
            await self._change(-amount)
            await self.env.JOBS.getByName("b").receive(amount, "")

        async def receive(self, amount: int, transfer_id: str) -> None:
            await self._change(amount)

        async def _change(self, amount: int) -> None:
            await self.ctx.storage.put("balance", await self.balance() + amount)

        async def balance(self) -> int:
            return await self.ctx.storage.get("balance") or 0

    class Repaired(Broken):
        async def send(self, amount: int) -> None:
            await self._change(-amount)
            await self.ctx.storage.put("sent", amount)
            await self.ctx.storage.setAlarm(now_ms())

        async def alarm(self, info: Any = None) -> None:
            amount = await self.ctx.storage.get("sent")
            if amount is not None:
                await self.env.JOBS.getByName("b").receive(amount, "only one")
                await self.ctx.storage.delete("sent")

        async def receive(self, amount: int, transfer_id: str) -> None:
            if not await self.ctx.storage.get(transfer_id):
                await self.ctx.storage.put(transfer_id, True)
                await self._change(amount)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "send", 7)

    @staticmethod
    async def law(world: World) -> None:
        a, b = await world.ask("a", "balance"), await world.ask("b", "balance")
        assert a + b == 0, f"nothing was there, and now {a} and {b} are"


@planted("an order and its items are inserted by two calls", kinds=("crash", "error"))
class OrderWithoutItems:
    class Broken(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Response:
            order = self.env.DB.prepare("INSERT INTO orders (id) VALUES ('o1')")
            items = self.env.DB.prepare("INSERT INTO items VALUES ('o1', 'rake')")
            await self._insert(order, items)
            return Response("ordered")

        async def _insert(self, order: Any, items: Any) -> None:
            await order.run()
            await items.run()

    class Repaired(Broken):
        async def _insert(self, order: Any, items: Any) -> None:
            await self.env.DB.batch([order, items])

    @staticmethod
    async def drive(world: World) -> None:
        await world.fetch("/order")

    @staticmethod
    async def law(world: World) -> None:
        counts = world.rows(
            "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM items)"
        )
        [(orders, items)] = counts
        assert orders == items, f"{orders} orders have {items} items"


@planted("the row that points to an object is inserted before the object", kinds="crash")
class RowBeforeObject:
    class Broken(DurableObject):
        async def save(self, key: str) -> None:
            await self._index(key)
            await self.env.BUCKET.put(key, "photo")

        async def _index(self, key: str) -> None:
            insert = self.env.DB.prepare("INSERT INTO files (key) VALUES (?)")
            await insert.bind(key).run()

    class Repaired(Broken):
        async def save(self, key: str) -> None:
            await self.env.BUCKET.put(key, "photo")
            await self._index(key)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "save", "photo.png")

    @staticmethod
    async def law(world: World) -> None:
        for (key,) in world.rows("SELECT key FROM files WHERE key LIKE '%.png'"):
            assert await world.text(key) is not None, f"{key} has a row, and no object"


@planted("a file's object is deleted before its row", kinds=("crash", "error"))
class ObjectDeletedFirst:
    objects = {"f1": "photo"}

    class Broken(DurableObject):
        async def remove(self) -> None:
            await self.env.BUCKET.delete("f1")
            await self._forget()

        async def _forget(self) -> None:
            await self.env.DB.prepare("DELETE FROM files WHERE key = 'f1'").run()

    class Repaired(Broken):
        async def remove(self) -> None:
            await self._forget()
            await self.env.BUCKET.delete("f1")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "remove")

    @staticmethod
    async def law(world: World) -> None:
        if world.rows("SELECT 1 FROM files WHERE key = 'f1'"):
            assert await world.text("f1") is not None, "there is a row, and no object"


@planted("an import tells D1 how far it is before it keeps what it read", kinds="crash")
class ProgressBeforeData:
    objects = {"page/1": "one", "page/2": "two"}

    class Broken(DurableObject):
        async def begin(self) -> None:
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            count = self.env.DB.prepare("SELECT balance FROM accounts WHERE id = 'a'")
            number = await count.first("balance") + 1
            text = await text_of(self.env.BUCKET, f"page/{number}")
            if text is None:
                return
            await self._keep(number, text)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def _keep(self, number: int, text: str) -> None:
            await self._advance(number)
            await self.ctx.storage.put(f"page:{number}", text)

        async def _advance(self, number: int) -> None:
            update = self.env.DB.prepare("UPDATE accounts SET balance = ? WHERE id = 'a'")
            await update.bind(number).run()

        async def pages(self) -> list[str]:
            return list((await self.ctx.storage.list(prefix="page:")).values())

    class Repaired(Broken):
        async def _keep(self, number: int, text: str) -> None:
            # Durable before the call leaves: that is what the output gate is for.
            await self.ctx.storage.put(f"page:{number}", text)
            await self._advance(number)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        [(count,)] = world.rows("SELECT balance FROM accounts WHERE id = 'a'")
        pages = await world.ask("a", "pages")
        assert len(pages) >= count, f"{count} pages are counted, and {pages} were kept"


@planted("a table and its summary are written in two turns", kinds="crash")
class SummaryLeftBehind:
    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS entries (amount INTEGER)")

        async def enter(self, amount: int) -> None:
            self.ctx.storage.sql.exec("INSERT INTO entries VALUES (?)", amount)
            await self._audit(amount)
            await self._summarise(amount)

        async def _audit(self, amount: int) -> None:
            await self.env.BUCKET.put("audit", json.dumps(amount))

        async def _summarise(self, amount: int) -> None:
            summary = await self.ctx.storage.get("summary") or 0
            await self.ctx.storage.put("summary", summary + amount)

        async def sums(self) -> list[int]:
            row = self.ctx.storage.sql.exec("SELECT total(amount) AS sum FROM entries").one()
            return [int(row.sum), await self.ctx.storage.get("summary") or 0]

    class Repaired(Broken):
        async def enter(self, amount: int) -> None:
            self.ctx.storage.sql.exec("INSERT INTO entries VALUES (?)", amount)
            await self._summarise(amount)
            await self._audit(amount)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "enter", 3)

    @staticmethod
    async def law(world: World) -> None:
        entered, summary = await world.ask("a", "sums")
        assert entered == summary, f"the entries are {entered}, and their summary is {summary}"
