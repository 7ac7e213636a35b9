"""The allowance: what one alarm may do, and how often it tries to read a file.

Promises: an attempt on a file that fails is made again after one, two and four seconds; no
alarm begins what would take it past the platform's limits. Leaves to others: the work.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from amber_worker.zip_stream import BrokenSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Allowance", "read"]

T = TypeVar("T")

#: Seconds before each further attempt on one file.
RETRY_DELAYS_S: Final = (1, 2, 4)
#: Behind any of these an alarm begins no further file: so that no invocation passes 1,000
#: subrequests (the platform allows 10,000; parts and the last file's attempts come on top),
#: 30 s of CPU at 20 MB/s, or 15 minutes.
STEP_FILES_MAX: Final = 400
STEP_BYTES_MAX: Final = 256 * 1024 * 1024
STEP_CALLS_MAX: Final = 700
STEP_SECONDS_MAX: Final = 300


@final
class Allowance:
    """What one alarm may do, from now on."""

    def __init__(self) -> None:
        self._started_s = time.time()
        self._calls = 0

    @property
    def is_late(self) -> bool:
        """Whether this alarm begins nothing more."""
        return time.time() - self._started_s >= STEP_SECONDS_MAX

    def may_copy(self, size_bytes: int, *, file_count: int, deflated_bytes: int) -> bool:
        """Whether this alarm copies one more file.

        Args:
            size_bytes: That file's declared size.
            file_count: Files that it has copied or missed; the first it always takes.
            deflated_bytes: What it has deflated, in vain or not.
        """
        return not file_count or (
            file_count < STEP_FILES_MAX
            and deflated_bytes + size_bytes <= STEP_BYTES_MAX
            and self._calls < STEP_CALLS_MAX
            and not self.is_late
        )

    async def insistently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try to read one file, and three times more. Whatever else fails, fails at once.

        Raises:
            BrokenSource: If none of the attempts worked.
        """
        for delay_s in RETRY_DELAYS_S:
            self._calls += 1
            try:
                return await attempt()
            except BrokenSource:
                await asyncio.sleep(delay_s)
        self._calls += 1
        return await attempt()


async def read(answer: Awaitable[Any]) -> Any:
    """The answer about one file; an error concerns that file alone."""
    try:
        return await answer
    except Exception as error:
        raise BrokenSource(getattr(error, "message", None) or str(error)) from error
