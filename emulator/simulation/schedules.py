"""Schedules: what decides wherever the platform leaves a choice.

Promises: a schedule answers two questions, how much later than usual a journey ends and
which of two deliveries due at one instant comes first; the calm answer to both is "no
deviation". Order inside one object stays first in, first out under every schedule, since
no real loop reorders ready work. Leaves to others: asking (the loop and the corridor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, final

from emulator.errors import ConfigurationError
from emulator.simulation.deviations import At

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emulator.simulation.deviations import Deviation
    from emulator.simulation.randomness import Randomness, Stream
    from emulator.simulation.rules import Operation
    from emulator.simulation.tokens import Token

__all__ = [
    "REST_MS",
    "Deviating",
    "Fifo",
    "Random",
    "Schedule",
    "fifo",
    "from_hypothesis",
    "pct",
    "random",
    "replay",
]

#: Operations among which PCT chooses its places, if nobody knows how many there are.
HORIZON: Final = 100
#: How long everything may take to come to rest when a world is left: a simulated day.
REST_MS: Final = 86_400_000
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


@final
class Deviating:
    """A run that differs by a few deviations, which are known before it begins.

    Args:
        deviations: What differs; a function draws them from the simulation's seed.
        told: The line that makes it.
        base: What else decides; None is the calm run.
        token: What else the run was decided by; None is nothing.
        rest_ms: How long everything may take to come to rest when a world is left; None is
            not to ask for it.
    """

    def __init__(
        self,
        deviations: tuple[Deviation, ...] | Callable[[Randomness], tuple[Deviation, ...]],
        told: str,
        *,
        base: Schedule | None = None,
        token: Token | None = None,
        rest_ms: int | None = None,
    ) -> None:
        self._given = deviations
        self._told = told
        self.base: Schedule = Fifo() if base is None else base
        self.is_calm = self.base.is_calm
        self.token = token
        self.rest_ms = rest_ms if token is None else token.rest_ms
        self.deviations: tuple[Deviation, ...] = ()

    def bind(self, randomness: Randomness) -> None:
        """Draw the deviations, if they were not given."""
        self.base.bind(randomness)
        given = self._given
        self.deviations = given(randomness) if callable(given) else given

    def extra_ms(self, operation: Operation) -> int:
        """What the base says."""
        return self.base.extra_ms(operation)

    def tie_break(self) -> int:
        """What the base says."""
        return self.base.tie_break()

    def __repr__(self) -> str:
        return self._told


def fifo() -> Schedule:
    """The calm run."""
    return Fifo()


def random(seed: int | None = None) -> Schedule:
    """Random latencies and ties from `seed`, or from the simulation's seed if None."""
    return Random(seed)


def replay(deviations: str | Iterable[Deviation]) -> Schedule:
    """The run of a token, or the calm run but for the given deviations.

    Args:
        deviations: A token as a report prints it, which decides the seed as well; or
            deviations (`Hold`, `Inject`).

    Raises:
        ConfigurationError: If the token is broken, or something is no deviation.
    """
    if isinstance(deviations, str):
        from emulator.simulation.tokens import read_token

        return read_token(deviations).schedule()
    given = tuple(deviations)
    return Deviating(given, f"schedules.replay({list(given)!r})", rest_ms=REST_MS)


def pct(seed: int | None = None, depth: int = 2, horizon: int = HORIZON) -> Schedule:
    """A few operations, chosen by a seed, wait until nothing else can happen.

    Probabilistic concurrency testing (Burckhardt et al. 2010) on operations: a bug that needs
    `depth` of them is found with a probability of at least one in `horizon ** depth`.

    Args:
        seed: Decides which; None takes the simulation's own seed.
        depth: How many.
        horizon: About how many operations there are to choose from.

    Raises:
        ConfigurationError: If `depth` or `horizon` is below 1.
    """
    if depth < 1 or horizon < 1:
        message = f"pct() takes a depth and a horizon of 1 or more, got {depth} and {horizon}"
        raise ConfigurationError(message)

    def draw(randomness: Randomness) -> tuple[Deviation, ...]:
        source = randomness if seed is None else type(randomness)(seed)
        stream = source.stream("pct")
        places = {stream.randint(1, horizon) for _ in range(depth)}
        return tuple(At(place) for place in sorted(places))

    return Deviating(draw, f"schedules.pct({seed}, {depth}, {horizon})")


def from_hypothesis(data: Any, *, deviations_max: int = 3, horizon: int = HORIZON) -> Schedule:
    """A few operations, drawn by Hypothesis, wait until nothing else can happen.

    The whole list is drawn at once, before the run; an empty one is the calm run, and that is
    what Hypothesis shrinks to.

    Args:
        data: What `hypothesis.strategies.data()` gives a test.
        deviations_max: How many operations at most.
        horizon: About how many operations there are to choose from.
    """
    from hypothesis import strategies

    # Gaps and not places: a list that lost its first element keeps the sense of the others.
    gaps = strategies.integers(min_value=0, max_value=horizon - 1)
    place, drawn = 0, []
    for gap in data.draw(strategies.lists(gaps, max_size=deviations_max), label="schedule"):
        place += gap + 1
        drawn.append(At(place))
    return Deviating(tuple(drawn), f"schedules.replay({drawn!r})")
