"""Tee: one source, two readers.

Promises: both branches see every chunk in order; the source is read only when a branch
asks, and cancelled only when both branches are. Leaves to others: the streams around it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, final

from emulator.web.callbacks import resolved
from emulator.web.pull_source import END

if TYPE_CHECKING:
    from emulator.web.pull_source import PullSource
    from emulator.web.queue_source import QueueSource

__all__ = ["Tee"]


@final
class _Branch:
    """One side: the chunks it has still to take."""

    def __init__(self, tee: Tee) -> None:
        self.chunks: deque[Any] = deque()
        self.is_cancelled = False
        self._tee = tee

    async def next(self) -> Any:
        while not self.chunks:
            if self._tee.is_over:
                return END
            await self._tee.read()
        return self.chunks.popleft()

    def cancel(self, reason: Any) -> asyncio.Future[Any]:
        self.is_cancelled = True
        self.chunks.clear()
        return self._tee.branch_cancelled(reason)


@final
class Tee:
    """Reads the source once and gives each chunk to both branches.

    Args:
        source: The source; from now on nobody else reads it.
    """

    def __init__(self, source: PullSource | QueueSource) -> None:
        self.branches = (_Branch(self), _Branch(self))
        self.is_over = False
        self._source = source
        self._reading: asyncio.Task[None] | None = None

    async def read(self) -> None:
        """Wait until the source's next chunk lies in both branches."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read())
        # Shielded: the branch that asked first may be cancelled while the other waits.
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        chunk = await self._source.next()
        if chunk is END:
            self.is_over = True
            return
        for branch in self.branches:
            if not branch.is_cancelled:
                branch.chunks.append(chunk)

    def branch_cancelled(self, reason: Any) -> asyncio.Future[Any]:
        """A branch gave up; the source is cancelled once both have."""
        left, right = self.branches
        if left.is_cancelled and right.is_cancelled and not self.is_over:
            self.is_over = True
            if self._reading is not None:
                self._reading.cancel()
            # The standard gives both reasons; workerd the last one (measured).
            return self._source.cancel(reason)
        # The standard waits for the other branch here; workerd does not (measured).
        return resolved()
