"""Deviations: by what a run differs from the calm run.

A run is decided by its seed and a few deviations. They name operations and not steps: "the
second `storage.flush` of JOBS#1f3a9c02" means the same after an unrelated edit.

Promises: deviations are values, which sort, hash, and go to JSON and back; their `repr` is the
line that makes them. Leaves to others: carrying them out (the player), and what they are good
for (exploration).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, final

from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ARRIVAL",
    "EFFECT",
    "At",
    "Deviation",
    "Hold",
    "Inject",
    "Site",
    "from_json",
    "to_json",
]

#: The two moments of an operation.
EFFECT: Final = "effect"
ARRIVAL: Final = "arrival"


class Site(NamedTuple):
    """One operation of a run.

    Attributes:
        actor: Who does it, such as "JOBS#1f3a9c02".
        operation: Its binding and name, such as "BUCKET.r2.put" or "storage.flush".
        nth: Which of these, counted from 1 in the order of their departures.
    """

    actor: str
    operation: str
    nth: int

    def __str__(self) -> str:
        return f"{self.operation} number {self.nth} of {self.actor}"


@final
@dataclass(frozen=True, slots=True, order=True)
class Hold:
    """One operation waits for another.

    Attributes:
        site: It is held back when its moment has come,
        until: until that of this one has passed, or nothing else can happen any more.
        moment: "effect", or "arrival": which moment of both is meant.
    """

    site: Site
    until: Site
    moment: str = EFFECT

    def __post_init__(self) -> None:
        if self.site == self.until:
            message = f"nothing can wait for itself: {self.site}"
            raise ConfigurationError(message)
        if self.moment not in (EFFECT, ARRIVAL):
            message = f"the moment of a Hold is 'effect' or 'arrival', got {self.moment!r}"
            raise ConfigurationError(message)


@final
@dataclass(frozen=True, slots=True, order=True)
class Inject:
    """One operation meets a fault.

    Attributes:
        site: Which.
        kind: A kind of the catalogue, such as "crash before".
    """

    site: Site
    kind: str


@final
@dataclass(frozen=True, slots=True, order=True)
class At:
    """A deviation by its place: what is drawn before it is known which operations there are.

    A run tells by `Played.applied` which hold or fault it came to.

    Attributes:
        place: Which operation of the run, counted from 1 in the order of their departures.
        choice: 0 holds its effect back until nothing else can happen (for a simulated second
            at most); n is the n-th kind of fault that it may meet, the count going round.
    """

    place: int
    choice: int = 0


Deviation: TypeAlias = Hold | Inject | At

_KINDS: Final[dict[str, type[Hold] | type[Inject] | type[At]]] = {
    "at": At,
    "hold": Hold,
    "inject": Inject,
}


def to_json(deviations: Iterable[Deviation]) -> list[Any]:
    """Lists of strings and numbers, for `json.dumps`."""
    told: list[Any] = []
    for one in deviations:
        if isinstance(one, Hold):
            told.append(["hold", *one.site, *one.until, one.moment])
        elif isinstance(one, Inject):
            told.append(["inject", *one.site, one.kind])
        else:
            told.append(["at", one.place, one.choice])
    return told


def from_json(told: Any) -> tuple[Deviation, ...]:
    """What `to_json` was given.

    Raises:
        ConfigurationError: If it never made this.
    """
    if not isinstance(told, list):
        raise _no_deviation(told)
    return tuple(_one_from_json(one) for one in told)


def _one_from_json(told: Any) -> Deviation:
    try:
        kind, *rest = told
        if kind == "hold":
            *sites, moment = rest
            first, until = sites[:3], sites[3:]
            made: Deviation = Hold(_site(*first), _site(*until), moment)
        elif kind == "inject":
            actor, operation, nth, fault = rest
            made = Inject(_site(actor, operation, nth), _text(fault))
        elif kind == "at":
            place, choice = rest
            made = At(_count(place, 1), _count(choice, 0))
        else:
            raise _no_deviation(told)
    except (TypeError, ValueError) as error:
        raise _no_deviation(told) from error
    return made


def _site(actor: object, operation: object, nth: object) -> Site:
    return Site(_text(actor), _text(operation), _count(nth, 1))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if value < least:
        raise ValueError
    return value


def _no_deviation(told: object) -> ConfigurationError:
    return ConfigurationError(
        'a deviation in JSON is ["hold", ...], ["inject", ...] or ["at", ...] as '
        f"deviations.to_json writes them, got {told!r}"
    )
