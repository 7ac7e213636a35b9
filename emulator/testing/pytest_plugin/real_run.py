"""The real run: what tests and async fixtures run on when the target is not the emulator.

Promises: one real asyncio loop for the whole session, so that a fixture of any scope and
every test that uses it share a loop. Time is real here, and so is a hang: bound what you
wait for (or use pytest-timeout). Leaves to others: the runtime behind it (emulator.workerd).
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RealRun"]


@final
class RealRun:
    """One real loop, started at the first call."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def call(self, async_fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `async_fn(*args, **kwargs)` to its end, in the caller's context."""
        __tracebackhide__ = True

        async def main() -> Any:
            return await async_fn(*args, **kwargs)

        return self._runner.run(main(), context=copy_context())

    def future(self, waits_for: str) -> asyncio.Future[Any]:
        """A future of the running loop."""
        return asyncio.get_running_loop().create_future()

    def keep_faults(self) -> None:
        """There are no faults."""

    def end_test(self) -> None:
        """Nothing ends with a test."""

    def close(self) -> None:
        """Cancel what is left, and close the loop."""
        self._runner.close()

    def describe(self) -> str | None:
        """A real run leaves no trace."""
        return None
