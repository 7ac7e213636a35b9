"""The clock VFS: what SQLite believes the time to be.

Promises: `datetime('now')`, CURRENT_TIMESTAMP and every other date function, also in column
defaults and triggers, read the clock of the database whose statement runs. Leaves to
others: setting that clock before each step (the database, the query).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import apsw

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CLOCK", "VFS_NAME", "ClockVfs"]

VFS_NAME: Final = "emulator-clock"

#: Milliseconds from SQLite's day zero (noon, 24 November 4714 BC) to the Unix epoch:
#: sqlite3.h, `xCurrentTimeInt64`.
JULIAN_EPOCH_MS: Final = 210_866_760_000_000
DAY_MS: Final = 86_400_000


@final
class ClockVfs(apsw.VFS):
    """The default VFS with another clock.

    One for the whole process: registering one per simulation would leave a growing list
    that SQLite searches at each open.

    Attributes:
        now_ms: Gives the time, in Unix epoch milliseconds. Whoever steps a statement puts
            the clock of its database here first.
    """

    def __init__(self) -> None:
        self.now_ms: Callable[[], int] = _epoch
        super().__init__(VFS_NAME, "")

    def xCurrentTimeInt64(self) -> int:
        """Milliseconds since SQLite's day zero."""
        return self.now_ms() + JULIAN_EPOCH_MS

    def xCurrentTime(self) -> float:
        """Days since SQLite's day zero; for builds that lack the integer form."""
        return (self.now_ms() + JULIAN_EPOCH_MS) / DAY_MS


def _epoch() -> int:
    return 0


CLOCK: Final = ClockVfs()
