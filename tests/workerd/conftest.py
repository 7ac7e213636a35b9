"""Two runtimes, and one worker that both can run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import emulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WORKERS = Path(__file__).parent / "workers"


def options_of(suffix: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "script_path": WORKERS / f"sample{suffix}",
        "durable_objects": {"JOBS": "Job"},
        "r2_buckets": ["BUCKET"],
        "d1_databases": {"DB": {"schema": WORKERS / "schema.sql"}},
        "bindings": {"VARIABLE": "text"},
        **more,
    }


@pytest.fixture(params=["emulator", "workerd"])
def on_each(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs an async body in a world of the sample worker: on_each(body, **options)."""
    if request.param == "workerd":
        return request.getfixturevalue("on_workerd")

    def run(body: Callable[[Any], Awaitable[None]], **more: Any) -> None:
        async def main() -> None:
            options = options_of(".py", {"limits": "workerd", **more})
            async with emulator.Miniflare(**options) as mf:
                await body(mf)

        emulator.run(main)

    return run


@pytest.fixture
def on_workerd(real_runtime: None) -> Callable[..., None]:
    """The same on the real runtime only."""
    from emulator.workerd import Miniflare

    def run(body: Callable[[Any], Awaitable[None]], **more: Any) -> None:
        async def main() -> None:
            async with Miniflare(**options_of(".mjs", more)) as mf:
                await body(mf)

        asyncio.run(main())

    return run
