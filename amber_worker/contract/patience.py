"""Patience: how long a law waits, for an export or for an answer.

Promises: whoever has let the contract wait in vain is waited for less from then on, so that a
worker that hangs is judged in minutes. Leaves to others: the waiting (user, world).
"""

from __future__ import annotations

from typing import Final, final

__all__ = ["Patience"]

#: For one answer, at first: an archive may come over a slow line.
ANSWER_WAIT_MS_MIN: Final = 60_000
#: By how much waiting is shortened.
SHORTER: Final = 6
#: So many in a row, and nobody seems to be there.
SILENCES_IN_A_ROW: Final = 10


@final
class Patience:
    """How long one worker is waited for.

    Args:
        wait_ms: For an export, at first.

    Attributes:
        has_hung: Whether an export has been waited for in vain.
    """

    def __init__(self, wait_ms: int) -> None:
        self._wait_ms = wait_ms
        self.has_hung = False
        self._silence_count = 0
        self._silences_in_a_row = 0

    @property
    def export_ms(self) -> int:
        """For an export."""
        return self._wait_ms // (SHORTER if self.has_hung else 1)

    @property
    def answer_ms(self) -> int:
        """For an answer with its body."""
        steps = min(self._silence_count, 2)
        steps += self._silences_in_a_row >= SILENCES_IN_A_ROW
        return int(max(ANSWER_WAIT_MS_MIN, self._wait_ms) // SHORTER**steps)

    def heard(self) -> None:
        """Somebody has answered."""
        self._silences_in_a_row = 0

    def heard_nothing(self) -> None:
        """An answer has been waited for in vain."""
        self._silence_count += 1
        self._silences_in_a_row += 1
