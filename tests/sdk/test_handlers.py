"""Classes and handlers in every form in which workers for Cloudflare are written."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import emulator

if TYPE_CHECKING:
    from pathlib import Path

LEGACY = """
    from js import Response

    async def on_fetch(request, env, ctx):
        ctx.waitUntil(env.COUNTERS.getByName("a").add(5))
        return Response.new(f"{request.method} {env.VAR}", status=201)

    async def on_scheduled(controller, env, ctx):
        await env.COUNTERS.getByName("a").add(len(controller.cron))
"""
COUNTER = """
    from workers import DurableObject, Response, WorkerEntrypoint

    class Named:
        name = "mixin"

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.label = f"{self.name} {self.ctx.id.name}"

        def hello(self):
            return self.label

    class Counting(DurableObject):
        def __init__(self, state, environment):
            super().__init__(state, environment)
            self.count = 0

        async def add(self, amount=1):
            self.count += amount
            return self.count

    class Counter(Named, Counting):
        alarms = ()

        async def wake(self):
            await self.ctx.storage.setAlarm(1)

        async def woken(self):
            return [type(info).__name__ for info in self.alarms]

    class Told(Counter):
        async def alarm(self, info):
            self.alarms = (*self.alarms, info.isRetry)

    class Untold(Counter):
        async def alarm(self):
            self.alarms = (*self.alarms, None)

    class Plain(Counter):
        def alarm(self, info=None):
            self.alarms = (*self.alarms, info.retryCount)
"""
CLASSES = """
    class Default(WorkerEntrypoint):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            self.greeting = env.VAR

        async def fetch(self, request):
            return Response(self.greeting)

        async def scheduled(self, controller, env, ctx):
            await env.COUNTERS.getByName("a").add(len(controller.cron))
"""


def world(tmp_path: Path, *parts: str, class_name: str = "Counter") -> emulator.Miniflare:
    script = tmp_path / "worker.py"
    script.write_text("\n".join(dedent(part) for part in parts))
    return emulator.Miniflare(
        script_path=script,
        durable_objects={"COUNTERS": class_name},
        bindings={"VAR": "bound"},
    )


@pytest.mark.parametrize("handlers", [LEGACY, CLASSES], ids=["module", "class"])
def test_handlers_are_those_of_a_class_or_of_the_module(tmp_path: Path, handlers: str) -> None:
    async def main() -> Any:
        async with world(tmp_path, COUNTER, handlers) as mf:
            response = await mf.dispatch_fetch("http://x/", method="PUT")
            await mf.run_until_idle()
            await mf.get_worker().scheduled(cron="0 3 * * *")
            stub = mf.get_durable_object_namespace("COUNTERS").getByName("a")
            return response.status_code, response.text, await stub.add(0)

    expected = (201, "PUT bound", 14) if handlers is LEGACY else (200, "bound", 9)
    assert emulator.run(main) == expected


def test_subclasses_and_mixins_have_their_constructors(tmp_path: Path) -> None:
    async def main() -> Any:
        async with world(tmp_path, COUNTER) as mf:
            stub = mf.get_durable_object_namespace("COUNTERS").getByName("a")
            return await stub.hello(), await stub.add(), await stub.add(amount=2)

    assert emulator.run(main) == ("mixin a", 1, 3)


@pytest.mark.parametrize(
    ("class_name", "seen"), [("Told", ["bool"]), ("Untold", ["NoneType"]), ("Plain", ["int"])]
)
def test_an_alarm_takes_its_info_or_not(
    tmp_path: Path, class_name: str, seen: list[str]
) -> None:
    async def main() -> Any:
        async with world(tmp_path, COUNTER, class_name=class_name) as mf:
            stub = mf.get_durable_object_namespace("COUNTERS").getByName("a")
            await stub.wake()
            await mf.run_until_idle()
            return await stub.woken()

    assert emulator.run(main) == seen


def test_options_are_a_dict_or_keywords_and_results_have_attributes(tmp_path: Path) -> None:
    script = """
        from js import Object
        from pyodide.ffi import to_js
        from workers import Response, WorkerEntrypoint

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                bucket, database = self.env.BUCKET, self.env.DB
                metadata = {"contentType": "text/x"}
                given = to_js({"httpMetadata": metadata}, dict_converter=Object.fromEntries)
                await bucket.put("a", "1", {"httpMetadata": metadata})
                await bucket.put("b", "1", httpMetadata=metadata)
                await bucket.put("c", "1", given)
                listed = await bucket.list({"include": ["httpMetadata"]})
                limited = await bucket.list(limit=1)
                row = (await database.prepare("SELECT 1 AS one").all()).results[0]
                return Response.json([
                    [entry.httpMetadata.contentType for entry in listed.objects],
                    [limited.truncated, len(limited["objects"])],
                    [row.one, row["one"], row.to_py()],
                ])
    """

    async def main() -> Any:
        path = tmp_path / "worker.py"
        path.write_text(dedent(script))
        async with emulator.Miniflare(
            script_path=path, r2_buckets=["BUCKET"], d1_databases=["DB"]
        ) as mf:
            return (await mf.dispatch_fetch("http://x/")).json()

    assert emulator.run(main) == [["text/x"] * 3, [True, 1], [1, 1, {"one": 1}]]
