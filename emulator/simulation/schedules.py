"""Schedules: what decides wherever the platform leaves a choice.

Promises: a schedule answers two questions, how much later than usual a journey ends and
which of two deliveries due at one instant comes first; the calm answer to both is "no
deviation". Order inside one object stays first in, first out under every schedule, since
no real loop reorders ready work. Leaves to others: asking (the loop and the corridor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, final

if TYPE_CHECKING:
    from emulator.simulation.randomness import Randomness, Stream
    from emulator.simulation.rules import Operation

__all__ = ["Fifo", "Random", "Schedule", "fifo", "random"]

#: Longest extra journey that a random schedule adds to each leg, in milliseconds.
JITTER_MS_MAX: Final = 4


class Schedule(Protocol):
    """The two choices of a run."""

    #: True if the schedule never deviates; the loop then asks nothing.
    is_calm: bool

    def bind(self, randomness: Randomness) -> None:
        """Take the simulation's streams. Called once, before the first question."""

    def extra_ms(self, operation: Operation) -> int:
        """Milliseconds by which this leg of the operation's journey is longer than usual."""

    def tie_break(self) -> int:
        """A rank among deliveries that fall due at the same instant; lower goes first."""


@final
class Fifo:
    """No deviation: usual latencies, ties in the order of insertion."""

    is_calm = True

    def bind(self, randomness: Randomness) -> None:
        """Nothing to draw."""

    def extra_ms(self, operation: Operation) -> int:
        """Always 0."""
        return 0

    def tie_break(self) -> int:
        """Always 0."""
        return 0

    def __repr__(self) -> str:
        return "schedules.fifo()"


@final
class Random:
    """Journeys of random length and random ties, decided by a seed.

    Args:
        seed: Decides the deviations; None takes the simulation's own seed.
    """

    is_calm = False

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._stream: Stream | None = None

    def bind(self, randomness: Randomness) -> None:
        """Take the stream "schedule" of this seed, or of the simulation's."""
        source = randomness if self.seed is None else type(randomness)(self.seed)
        self._stream = source.stream("schedule")

    def extra_ms(self, operation: Operation) -> int:
        """Between 0 and `JITTER_MS_MAX` milliseconds."""
        assert self._stream is not None
        return self._stream.randrange(JITTER_MS_MAX + 1)

    def tie_break(self) -> int:
        """Between 0 and 2**16 - 1."""
        assert self._stream is not None
        return self._stream.getrandbits(16)

    def __repr__(self) -> str:
        return f"schedules.random({'' if self.seed is None else self.seed})"


def fifo() -> Schedule:
    """The calm run."""
    return Fifo()


def random(seed: int | None = None) -> Schedule:
    """Random latencies and ties from `seed`, or from the simulation's seed if None."""
    return Random(seed)
