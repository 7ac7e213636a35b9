"""How a misuse is tried, and what its user is told."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import emulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

WORKER = """
from workers import DurableObject, Response, WorkerEntrypoint

class Job(DurableObject):
    async def hello(self, name="you"):
        return f"hello {name}"

    async def boom(self):
        raise ValueError("boom")

    async def give(self):
        return object()

    async def wake_at(self, time):
        await self.ctx.storage.setAlarm(time)

    async def put(self, *arguments, **options):
        await self.ctx.storage.put(*arguments, **options)

    async def alarm(self):
        pass

class Lazy(DurableObject):
    async def wake_at(self, time):
        await self.ctx.storage.setAlarm(time)

class Plain:
    async def hello(self):
        return "hello"

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("ok")
"""
OPTIONS: dict[str, Any] = {
    "durable_objects": {"JOBS": "Job", "LAZY": "Lazy"},
    "r2_buckets": ["BUCKET"],
    "d1_databases": ["DB"],
}


def sentence(error: BaseException) -> str:
    """What is printed of an error: its text and its notes. Each is one line."""
    told = [str(error), *getattr(error, "__notes__", ())]
    assert not any("\n" in line for line in told), told
    return " | ".join(told)


@pytest.fixture
def try_out(tmp_path: Path) -> Callable[..., Any]:
    """Gives `try_out(scenario, script=WORKER, **options)`: `await scenario(mf)` in a world."""

    def run(
        scenario: Callable[[Any], Awaitable[Any]], script: str = WORKER, **options: Any
    ) -> Any:
        path = tmp_path / "worker.py"
        path.write_text(dedent(script))

        async def main() -> Any:
            given = {**OPTIONS, "script_path": path, **options}
            async with emulator.Miniflare(**given) as mf:
                return await scenario(mf)

        return emulator.run(main)

    return run


@pytest.fixture
def told(try_out: Callable[..., Any]) -> Callable[..., str]:
    """Gives `told(scenario, kind, **...)`: the sentence of the error that `try_out` raises."""

    def run(
        scenario: Callable[[Any], Awaitable[Any]], kind: type[Exception], **given: Any
    ) -> str:
        with pytest.raises(kind) as caught:
            try_out(scenario, **given)
        return sentence(caught.value)

    return run


@pytest.fixture
def request_told(told: Callable[..., str]) -> Callable[..., str]:
    """Gives `request_told(script, kind)`: the sentence of the error that a request raises.

    A script without a class `Default` is the body of its `fetch`.
    """

    def run(script: str, kind: type[Exception], **options: Any) -> str:
        async def scenario(mf: Any) -> None:
            await mf.dispatch_fetch("http://localhost/")

        if "def " not in script:
            body = dedent(script).strip().replace("\n", "\n        ")
            script = WORKER.replace('return Response("ok")', body)
        else:
            options = {"durable_objects": {}, **options}
        return told(scenario, kind, script=script, **options)

    return run
