"""Contents: what is kept or answered is not what it should be."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from corpus.planting import World, now_ms, planted, read, text_of

from emulator.sdk.workers import DurableObject, Response, WorkerEntrypoint


class _Copying(DurableObject):
    """Copies the object `source` to `copy`, by alarm."""

    async def begin(self) -> None:
        await self.ctx.storage.setAlarm(now_ms() + 1_000)

    async def alarm(self, info: Any = None) -> None:
        data = await self._read()
        await self.env.BUCKET.put("copy", data)

    async def _read(self) -> bytes:
        raise NotImplementedError


class _Copied:
    objects = {"source": "a text of some length"}

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        copy = await world.text("copy")
        if world.told:
            assert copy == "a text of some length", f"the copy is {copy!r}"


@planted("a body that breaks off is taken for whole", kinds=("truncate", "error before"))
class BrokenBodyTakenForWhole(_Copied):
    class Broken(_Copying):
        async def _read(self) -> bytes:
            found = await self.env.BUCKET.get("source")
            reader, data = found.body.getReader(), b""
            try:
                while not (step := await reader.read()).done:
                    data += bytes(step.value)
            except Exception as error:
                self._broke(error)
            return data

        def _broke(self, error: Exception) -> None:
            """The end has come."""

    class Repaired(Broken):
        def _broke(self, error: Exception) -> None:
            raise error


@planted("an object that is gone is copied as an empty one", kinds="vanish")
class GoneTakenForEmpty(_Copied):
    class Broken(_Copying):
        async def _read(self) -> bytes:
            found = await self.env.BUCKET.get("source")
            return self._gone() if found is None else bytes(await found.bytes())

        def _gone(self) -> bytes:
            return b""

    class Repaired(Broken):
        def _gone(self) -> bytes:
            raise LookupError("source")


@planted("the size of the lookup is told, and not that of what was read", kinds="corrupt size")
class SizeOfTheLookup:
    objects = {"source": "a text"}

    class Broken(DurableObject):
        async def begin(self) -> None:
            await self.ctx.storage.setAlarm(now_ms() + 1_000)

        async def alarm(self, info: Any = None) -> None:
            looked_up = await self.env.BUCKET.head("source")
            text = await read(self.env.BUCKET, "source")
            size = self._size(looked_up.size, text)
            await self.env.BUCKET.put("manifest", json.dumps([size, text]))

        def _size(self, looked_up: int, text: str) -> int:
            return looked_up

    class Repaired(Broken):
        def _size(self, looked_up: int, text: str) -> int:
            return len(text)

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "begin")

    @staticmethod
    async def law(world: World) -> None:
        manifest = await world.text("manifest")
        if manifest is not None:
            size, text = json.loads(manifest)
            assert size == len(text), f"{size} bytes are told of {text!r}"


@planted("memory is changed in a transaction that is rolled back", kinds="error")
class MemoryNotRolledBack:
    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.price: int | None = None

        async def set_price(self, price: int) -> None:
            async def change(_: Any) -> None:
                await self.ctx.storage.put("price", price)
                self._remember(price)
                await self.env.BUCKET.put("price", str(price))

            await self.ctx.storage.transaction(change)
            self.price = price

        def _remember(self, price: int) -> None:
            self.price = price

        async def prices(self) -> list[int | None]:
            stored = await self.ctx.storage.get("price")
            return [stored if self.price is None else self.price, stored]

    class Repaired(Broken):
        def _remember(self, price: int) -> None:
            """Not before it is committed."""

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "set_price", 1)
        await world.call("a", "set_price", 2)

    @staticmethod
    async def law(world: World) -> None:
        told, stored = await world.ask("a", "prices")
        assert told == stored, f"the price is {stored}, and it says {told}"


@planted("the page of an error is cached as the answer", kinds="status 503")
class ErrorCached:
    class Broken(DurableObject):
        async def weather(self) -> str:
            cached: str | None = await self.ctx.storage.get("weather")
            if cached is not None:
                return cached
            response = await self.env.WEATHER.fetch("https://weather.example/today")
            self._check(response)
            weather = await response.text()
            await self.ctx.storage.put("weather", weather)
            return weather

        def _check(self, response: Any) -> None:
            """Something was answered."""

    class Repaired(Broken):
        def _check(self, response: Any) -> None:
            if not response.ok:
                raise RuntimeError(f"the weather is {response.status}")

    @staticmethod
    async def _weather(_: Any) -> Response:
        return Response("sunny")

    options = {"service_bindings": {"WEATHER": _weather}}

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "weather")

    @staticmethod
    async def law(world: World) -> None:
        weather = await world.ask("a", "weather")
        assert weather == "sunny", f"it is sunny, and it says {weather!r}"


@planted("that nothing was found is remembered for ever", kinds="vanish")
class AbsenceRemembered:
    objects = {"page": "hello"}

    class Broken(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.pages: dict[str, str | None] = {}

        async def page(self, key: str) -> str | None:
            if key not in self.pages:
                page = await text_of(self.env.BUCKET, key)
                if not self._may_keep(page):
                    return page
                self.pages[key] = page
            return self.pages[key]

        def _may_keep(self, page: str | None) -> bool:
            return True

    class Repaired(Broken):
        def _may_keep(self, page: str | None) -> bool:
            return page is not None

    @staticmethod
    async def drive(world: World) -> None:
        await world.call("a", "page", "page")

    @staticmethod
    async def law(world: World) -> None:
        page = await world.ask("a", "page", "page")
        assert page == "hello", f"the page is there, and it answers {page!r}"


@planted("an older version that comes later is kept as the newest", kinds=("hold", "latency"))
class OlderVersionKept:
    class Broken(DurableObject):
        async def save(self, version: int) -> None:
            await self._forward(version)

        async def _forward(self, version: int) -> None:
            await self.env.JOBS.getByName("mirror").take(version)

        async def take(self, version: int) -> None:
            if await self._is_newer(version):
                await self.ctx.storage.put("version", version)

        async def _is_newer(self, version: int) -> bool:
            return True

        async def version(self) -> int:
            return await self.ctx.storage.get("version") or 0

    class Repaired(Broken):
        async def _is_newer(self, version: int) -> bool:
            return version > await self.version()

    @staticmethod
    async def drive(world: World) -> None:
        async def later() -> None:
            await asyncio.sleep(0.005)
            await world.call("b", "save", 2)

        await asyncio.gather(world.call("a", "save", 1), later())

    @staticmethod
    async def law(world: World) -> None:
        version = await world.ask("mirror", "version")
        newest = max((one for (one,) in world.told), default=0)
        assert version >= newest, f"{newest} was acknowledged, and {version} is kept"


@planted(
    "a pointer is published beside the data that it points to", kinds=("hold", "error", "crash")
)
class PointerBesideData:
    class Broken(WorkerEntrypoint):
        async def fetch(self, request: Any) -> Response:
            if request.url.endswith("/read"):
                pointer = await text_of(self.env.BUCKET, "latest")
                if pointer is None:
                    return Response("nothing yet")
                return Response(await text_of(self.env.BUCKET, pointer) or "nowhere")
            data = self.env.BUCKET.put("release/1", "data")
            await self._publish(data)
            return Response("published")

        async def _publish(self, data: Any) -> None:
            await asyncio.gather(data, self.env.BUCKET.put("latest", "release/1"))

    class Repaired(Broken):
        async def _publish(self, data: Any) -> None:
            await data
            await self.env.BUCKET.put("latest", "release/1")

    @staticmethod
    async def drive(world: World) -> None:
        await world.fetch("/publish")

    @staticmethod
    async def law(world: World) -> None:
        pointer = await world.text("latest")
        if pointer is not None:
            assert await world.text(pointer) == "data", f"{pointer} is published, and not there"
