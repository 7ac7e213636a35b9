"""Fault kinds: what may go wrong with an operation, by name, and why that may be.

Promises: a kind is one sentence, the page that allows it, and a verdict; what a floor declares
of its operations is one value. The kinds of what any call may meet are here. Leaves to others:
which operations there are, and what an error reads like (the declarations of the bindings).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, final

from emulator.simulation.rules import Operation, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "CRASHES",
    "DELAYS",
    "RESTARTS",
    "STALL_MS",
    "FaultDeclaration",
    "FaultKind",
    "Touch",
    "by_name",
    "failed_before",
    "lost_after",
    "lost_before",
    "overlaps",
]

#: A resource, such as "r2:BUCKET/key", and whether it is written.
Touch = tuple[str, bool]
#: Makes the error with which an operation fails.
MakeError: TypeAlias = "Callable[[Operation], BaseException]"

#: Long enough for every time limit of half a minute that the platform documents.
STALL_MS: Final = 30_000
#: Long enough for whatever else is on its way.
_SLOW_MS: Final = 20

_POWER: Final = (
    "an object may lose power at any moment and starts again from what is durable (Cloudflare "
    "docs, Durable Objects, Lifecycle of a Durable Object)"
)
_PROCESS: Final = (
    "a machine that fails takes all its objects along (Cloudflare docs, Durable Objects, "
    "Lifecycle of a Durable Object)"
)
_NETWORK: Final = "nothing promises how long a call takes (Cloudflare docs, Workers, Limits)"


@final
@dataclass(frozen=True, slots=True)
class FaultKind:
    """One way in which an operation may go wrong.

    Attributes:
        name: Such as "crash before".
        sentence: What happened; `{what}` is the operation and `{who}` is who did it.
        page: What allows it: a page of the platform's docs, a source, or a measurement.
        verdict: What happens to it.
    """

    name: str
    sentence: str
    page: str
    verdict: Verdict

    def told(self, operation: Operation) -> str:
        """What happened to an operation, with the page that allows it."""
        who = operation.actor or "the caller"
        return f"{self.sentence.format(what=operation, who=who)}: {self.page}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDeclaration:
    """What one floor says of its operations.

    Attributes:
        kinds: The kinds of each operation by its name, the cheapest first.
        touches: What the effect of an operation reads and writes. Two operations whose
            touches do not overlap may change places, and nobody can tell.
        error: What the platform says when the operation fails and nothing else is known.
        names: Which operations a fault of `emulator.faults` may meet, by the fault's name.
    """

    kinds: Callable[[Operation], tuple[FaultKind, ...]]
    touches: Callable[[Operation], tuple[Touch, ...]]
    error: Callable[[Operation], BaseException]
    names: Mapping[str, frozenset[str]]


def overlaps(one: Touch, other: Touch) -> bool:
    """Whether two touches conflict: they meet, and one of them writes.

    A resource holds whatever is named below it: "r2:BUCKET" holds "r2:BUCKET/key", and
    "d1:DB" holds "d1:DB.table".
    """
    if not (one[1] or other[1]):
        return False
    short, long = sorted((one[0], other[0]), key=len)
    return long.startswith(short) and (len(long) == len(short) or long[len(short)] in "/.")


def by_name(
    kinds: Mapping[str, tuple[FaultKind, ...]],
) -> Callable[[Operation], tuple[FaultKind, ...]]:
    """The kinds of an operation where its name says all.

    Args:
        kinds: Those of each name; a name that is not there meets none.
    """
    return lambda operation: kinds.get(operation.name, ())


def failed_before(page: str, error: MakeError) -> FaultKind:
    """A service says that it failed, and did nothing.

    Args:
        page: What allows it.
        error: Makes what it says.
    """
    told = "{what} of {who} failed and changed nothing"
    return FaultKind("error before", told, page, Verdict(error_before=error))


def lost_after(page: str, error: MakeError) -> FaultKind:
    """The connection was gone when the answer was to come.

    Args:
        page: What allows it.
        error: Makes what the sender sees.
    """
    told = "the answer to {what} of {who} was lost on its way"
    return FaultKind("error after", told, page, Verdict(error_after=error))


def lost_before(page: str, error: MakeError) -> FaultKind:
    """The connection was gone before the call came.

    Args:
        page: What allows it.
        error: Makes what the sender sees.
    """
    told = "{what} of {who} was lost on its way"
    return FaultKind("error before", told, page, Verdict(error_before=error))


CRASHES: Final = (
    FaultKind(
        "crash before",
        "{who} lost power before {what} took effect",
        _POWER,
        Verdict(crash="before"),
    ),
    FaultKind(
        "crash after",
        "{who} lost power when {what} had taken effect, before it heard so",
        _POWER,
        Verdict(crash="after"),
    ),
)
RESTARTS: Final = (
    FaultKind(
        "restart before",
        "the process of {who} restarted before {what} took effect",
        _PROCESS,
        Verdict(restart="before"),
    ),
    FaultKind(
        "restart after",
        "the process of {who} restarted when {what} had taken effect",
        _PROCESS,
        Verdict(restart="after"),
    ),
)
DELAYS: Final = (
    FaultKind(
        "latency",
        f"{{what}} of {{who}} took effect {_SLOW_MS} ms late",
        _NETWORK,
        Verdict(latency_ms=_SLOW_MS),
    ),
    FaultKind(
        "stall",
        f"{{what}} of {{who}} took effect {STALL_MS // 1_000} s late",
        _NETWORK,
        Verdict(latency_ms=STALL_MS),
    ),
)
