"""Threads: what becomes of code that frameworks send to a thread.

Promises: inside a worker `anyio.to_thread.run_sync` calls the function at once, as
Cloudflare's package has it on Workers, which have one thread as a simulation has; so plain
`def` endpoints of Starlette and FastAPI run. Outside of a worker it is anyio's own. Leaves
to others: every other way to a thread, which a simulation refuses.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from emulator.durable_objects.context import CURRENT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_sync_functions_inline"]


def run_sync_functions_inline() -> None:
    """Have anyio, if it has been imported, call functions of workers without a thread."""
    module: Any = sys.modules.get("anyio.to_thread")
    if module is None or hasattr(module.run_sync, "outside"):
        return
    outside = module.run_sync

    async def run_sync(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        # The options (`limiter`, `abandon_on_cancel`) mean nothing without threads.
        if CURRENT.get() is None:
            return await outside(function, *args, **options)
        return function(*args)

    vars(run_sync)["outside"] = outside
    module.run_sync = run_sync
