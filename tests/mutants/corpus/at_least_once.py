"""At least once: alarms come twice, answers are lost, callers ask again."""

from __future__ import annotations

import uuid
from typing import Any

from corpus.planting import World, now_ms, planted

from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint

_CHARGES = "SELECT count(*), total(amount) FROM charges"


class _Ledger(DurableObject):
    """Adds what it is told; the same id once, if there is one."""

    async def add(self, amount: int, charge_id: str | None = None) -> None:
        if charge_id is not None:
            if await self.ctx.storage.get(charge_id):
                return
            await self.ctx.storage.put(charge_id, True)
        await self.ctx.storage.put("sum", await self.sum() + amount)

    async def sum(self) -> int:
        return await self.ctx.storage.get("sum") or 0


@planted("an alarm adds to another object, and may come again", kinds=("duplicate", "crash"))
class AddedByEveryAlarm:
    class Broken(_Ledger):
        async def begin(self) -> None:
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            await self.env.JOBS.getByName("ledger").add(10)

    class Repaired(Broken):
        async def alarm(self, info: Any = None) -> None:
            await self.env.JOBS.getByName("ledger").add(10, "the rent")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        total = await world.ask("ledger", "sum")
        assert total in ((10,) if world.told else (0, 10)), f"10 is due, and {total} was added"


@planted(
    "an alarm numbers an invoice without looking whether it did so before", kinds="duplicate"
)
class InvoicedTwice:
    class Broken(DurableObject):
        async def order(self, what: str) -> None:
            await self.ctx.storage.put("due", what)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            due = await self.ctx.storage.get("due")
            if due is None:
                return
            invoices = await self.invoices()
            await self.ctx.storage.put("invoices", [*invoices, due])
            await self._settle()

        async def _settle(self) -> None:
            """It is over."""

        async def invoices(self) -> list[str]:
            return await self.ctx.storage.get("invoices") or []

    class Repaired(Broken):
        async def _settle(self) -> None:
            await self.ctx.storage.delete("due")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "order", "rake")

    @staticmethod
    async def law(world: World) -> None:
        invoices = await world.ask("a", "invoices")
        assert len(invoices) <= 1, f"one order, and {invoices}"


@planted(
    "a call that adds is made again when its answer was lost",
    kinds=("error after", "crash after"),
)
class AddedAgain:
    class Broken(_Ledger):
        async def pay(self, amount: int) -> None:
            for attempt in range(3):
                try:
                    await self._add(amount)
                except Exception:
                    if attempt == 2:
                        raise
                else:
                    return

        async def _add(self, amount: int) -> None:
            await self.env.JOBS.getByName("ledger").add(amount)

    class Repaired(Broken):
        async def _add(self, amount: int) -> None:
            await self.env.JOBS.getByName("ledger").add(amount, "this payment")

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "pay", 5)

    @staticmethod
    async def law(world: World) -> None:
        total = await world.ask("ledger", "sum")
        assert total in ((5,) if world.told else (0, 5)), f"5 was paid, and {total} was added"


@planted("the key of a request is kept after its effect outside", kinds="crash")
class KeyKeptLate:
    class Broken(DurableObject):
        async def charge(self, request_id: str, amount: int) -> None:
            if await self.ctx.storage.get(request_id):
                return
            await self._charge(request_id, amount)
            await self.ctx.storage.put(request_id, True)

        async def _charge(self, request_id: str, amount: int) -> None:
            insert = self.env.DB.prepare("INSERT INTO charges (amount) VALUES (?)")
            await insert.bind(amount).run()

    class Repaired(Broken):
        async def _charge(self, request_id: str, amount: int) -> None:
            insert = self.env.DB.prepare(
                "INSERT OR IGNORE INTO charges (id, amount) VALUES (?, ?)"
            )
            await insert.bind(request_id, amount).run()

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "charge", "r1", 5, attempts=3)

    @staticmethod
    async def law(world: World) -> None:
        [(count, _)] = world.rows(_CHARGES)
        assert count <= 1, f"one request, and {count} charges"


@planted("each attempt to send has a key of its own", kinds=("crash", "error after"))
class KeyOfEachAttempt:
    class Broken(DurableObject):
        async def send(self, amount: int) -> None:
            await self.ctx.storage.put("message", [str(uuid.uuid4()), amount])
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            message = await self.ctx.storage.get("message")
            if message is None:
                return
            key, amount = message
            insert = self.env.DB.prepare(
                "INSERT OR IGNORE INTO charges (id, amount) VALUES (?, ?)"
            )
            await insert.bind(self._key(key), amount).run()
            await self.ctx.storage.delete("message")

        def _key(self, kept: str) -> str:
            return str(uuid.uuid4())

    class Repaired(Broken):
        def _key(self, kept: str) -> str:
            return kept

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "send", 5)

    @staticmethod
    async def law(world: World) -> None:
        [(count, _)] = world.rows(_CHARGES)
        assert count <= 1, f"one message, and {count} charges"


@planted("an insert without a key is run again when D1's answer was lost", kinds="error after")
class InsertedAgain:
    class Broken(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Response:
            order_id = request.url.rpartition("/")[2]
            for attempt in range(3):
                try:
                    await self._insert(order_id)
                except Exception:
                    if attempt == 2:
                        raise
                else:
                    break
            return Response("ordered")

        async def _insert(self, order_id: str) -> None:
            await (
                self.env.DB.prepare("INSERT INTO items VALUES (?, 'rake')").bind(order_id).run()
            )

    class Repaired(Broken):
        async def _insert(self, order_id: str) -> None:
            await (
                self.env.DB.prepare(
                    "INSERT INTO items SELECT ?1, 'rake'"
                    " WHERE NOT EXISTS (SELECT 1 FROM items WHERE order_id = ?1)"
                )
                .bind(order_id)
                .run()
            )

    @staticmethod
    async def drive(world: World) -> None:
        await world.fetch("/order/o1")

    @staticmethod
    async def law(world: World) -> None:
        [(count,)] = world.rows("SELECT count(*) FROM items")
        assert count <= 1, f"one rake was ordered, and {count} are"


@planted("keys of requests are remembered in memory", kinds=("crash", "restart"))
class KeysInMemory:
    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.seen: set[str] = set()

        async def vote(self, request_id: str) -> None:
            if await self._has_seen(request_id):
                return
            await self.ctx.storage.put("votes", await self.votes() + 1)
            await self._remember(request_id)

        async def _has_seen(self, request_id: str) -> bool:
            return request_id in self.seen

        async def _remember(self, request_id: str) -> None:
            self.seen.add(request_id)

        async def votes(self) -> int:
            return await self.ctx.storage.get("votes") or 0

    class Repaired(Broken):
        async def _has_seen(self, request_id: str) -> bool:
            return bool(await self.ctx.storage.get(request_id))

        async def _remember(self, request_id: str) -> None:
            await self.ctx.storage.put(request_id, True)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "vote", "r1", attempts=3)

    @staticmethod
    async def law(world: World) -> None:
        votes = await world.ask("a", "votes")
        assert votes <= 1, f"one voter, and {votes} votes"


@planted("an alarm that comes again is taken for done", kinds=("error", "crash"))
class RetryTakenForDone:
    class Broken(DurableObject):
        async def begin(self, job: str) -> None:
            await self.ctx.storage.put("job", job)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            if await self._is_done(info):
                return
            job = await self.ctx.storage.get("job")
            await self.env.BUCKET.put(f"done/{job}", job)

        async def _is_done(self, info: Any) -> bool:
            return bool(info.isRetry)

    class Repaired(Broken):
        async def _is_done(self, info: Any) -> bool:
            job = await self.ctx.storage.get("job")
            return await self.env.BUCKET.head(f"done/{job}") is not None

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin", "weeding")

    @staticmethod
    async def law(world: World) -> None:
        if world.told:
            assert await world.text("done/weeding"), "acknowledged, and never done"


@planted("stock is reduced by every attempt of an alarm", kinds=("crash", "error after"))
class StockReducedAgain:
    class Broken(DurableObject):
        async def order(self, order_id: str) -> None:
            await self.ctx.storage.put("order", order_id)
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            order_id = await self.ctx.storage.get("order")
            if order_id is None:
                return
            await self._reduce(order_id)
            await self.ctx.storage.delete("order")

        async def _reduce(self, order_id: str) -> None:
            await self._less("").run()

        def _less(self, condition: str) -> Any:
            return self.env.DB.prepare(
                f"UPDATE accounts SET balance = balance - 1 WHERE id = 'stock'{condition}"
            )

    class Repaired(Broken):
        async def _reduce(self, order_id: str) -> None:
            is_new = " AND NOT EXISTS (SELECT 1 FROM orders WHERE id = ?)"
            insert = self.env.DB.prepare("INSERT OR IGNORE INTO orders (id) VALUES (?)")
            await self.env.DB.batch([self._less(is_new).bind(order_id), insert.bind(order_id)])

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "order", "o1")

    @staticmethod
    async def law(world: World) -> None:
        [(stock,)] = world.rows("SELECT balance FROM accounts WHERE id = 'stock'")
        assert stock in ((4,) if world.told else (4, 5)), f"5 less one order is {stock}"
