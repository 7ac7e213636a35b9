"""Connections: how many calls of one invocation wait for their answers at once.

Promises: what finds too many before it waits, and leaves in the order in which it came
(Cloudflare docs, Workers, Limits, "Simultaneous open connections"). Leaves to others: which
calls take one (the bindings).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from emulator.usage import Mark

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Connections"]


@final
class Connections:
    """The connections of one context.

    Args:
        count_max: So many are open at once; None is no limit.
        mark: Of how many were wanted at once, those in the queue included.
        name: Who opens them.
    """

    __slots__ = ("_count_max", "_mark", "_name", "_open_count", "_queue")

    def __init__(
        self, count_max: int | None = None, mark: Mark | None = None, name: str = ""
    ) -> None:
        self._count_max = count_max
        self._mark = Mark() if mark is None else mark
        self._name = name
        self._open_count = 0
        self._queue: deque[Callable[[], None]] = deque()

    def open(self, depart: Callable[[], None]) -> None:
        """Call `depart()` as soon as one is free: now, if it is."""
        wanted = self._open_count + len(self._queue) + 1
        if wanted > self._mark.most:
            self._mark.saw(wanted, self._name)
        if self._count_max is not None and self._open_count >= self._count_max:
            self._queue.append(depart)
            return
        self._open_count += 1
        depart()

    def close(self) -> None:
        """An answer has begun to arrive: its connection is the next one's."""
        if self._queue:
            self._queue.popleft()()
        else:
            self._open_count -= 1

    def __repr__(self) -> str:
        return f"<Connections {self._open_count} open, {len(self._queue)} queued>"
