"""Catalogue: every kind of fault, of every operation, for whoever explores.

Promises: one instance, `CATALOGUE`, which the search of `emulator.explore` is handed; what each
floor declares of its operations, under one roof. Leaves to others: the kinds themselves (the
declarations), and what to try (the search).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from emulator.bindings.d1.faults import DECLARATION as D1
from emulator.bindings.r2.faults import DECLARATION as R2
from emulator.bindings.service_faults import DECLARATION as SERVICES
from emulator.durable_objects.faults import DECLARATION as OBJECTS
from emulator.errors import ConfigurationError, meant
from emulator.simulation.fault_kinds import overlaps

if TYPE_CHECKING:
    from emulator.simulation.fault_kinds import FaultDeclaration, FaultKind, Touch
    from emulator.simulation.rules import Operation, Verdict

__all__ = ["CATALOGUE", "Catalogue"]

#: By the first part of an operation's name.
_DECLARATIONS: Final[dict[str, FaultDeclaration]] = {
    "alarm": OBJECTS,
    "d1": D1,
    "object": OBJECTS,
    "outbound": SERVICES,
    "r2": R2,
    "rpc": OBJECTS,
    "service": SERVICES,
    "storage": OBJECTS,
    "stub": OBJECTS,
    "websocket": OBJECTS,
    "worker": SERVICES,
}


@final
class Catalogue:
    """What may go wrong, and what touches what."""

    def kinds_of(self, operation: Operation) -> tuple[str, ...]:
        """The names of the kinds that an operation may meet, the cheapest first."""
        return tuple(kind.name for kind in self._kinds(operation))

    def verdict_of(self, kind: str, operation: Operation) -> Verdict:
        """What happens to an operation that meets a kind.

        Raises:
            ConfigurationError: If it cannot meet it.
        """
        return self._kind(kind, operation).verdict

    def sentence_of(self, kind: str, operation: Operation) -> str:
        """What happened to an operation that met a kind, and the page that allows it.

        Raises:
            ConfigurationError: If it cannot meet it.
        """
        return self._kind(kind, operation).told(operation)

    def touches_of(self, operation: Operation) -> tuple[Touch, ...]:
        """What the effect of an operation reads and writes.

        Returns:
            Pairs of a resource and whether it is written, such as ("r2:BUCKET/key", True).
            `conflict` compares them.
        """
        declared = self._declaration(operation)
        return () if declared is None else declared.touches(operation)

    def conflict(self, one: Operation, other: Operation) -> bool:
        """Whether the order of two effects can matter."""
        return any(
            overlaps(touch, touched)
            for touch in self.touches_of(one)
            for touched in self.touches_of(other)
        )

    def error_of(self, operation: Operation) -> BaseException:
        """What the platform says when an operation fails and nothing else is known."""
        declared = self._declaration(operation)
        return (declared or OBJECTS).error(operation)

    def names_of(self, fault: str) -> frozenset[str]:
        """The operations that a fault of `emulator.faults` may meet, by the fault's name."""
        return frozenset[str]().union(
            *(declared.names.get(fault, ()) for declared in _DECLARATIONS.values())
        )

    def _declaration(self, operation: Operation) -> FaultDeclaration | None:
        return _DECLARATIONS.get(operation.name.partition(".")[0])

    def _kinds(self, operation: Operation) -> tuple[FaultKind, ...]:
        declared = self._declaration(operation)
        return () if declared is None else declared.kinds(operation)

    def _kind(self, name: str, operation: Operation) -> FaultKind:
        kinds = self._kinds(operation)
        for kind in kinds:
            if kind.name == name:
                return kind
        known = [kind.name for kind in kinds]
        message = (
            f"{operation.name} meets no fault of the kind {name!r}; it meets "
            f"{', '.join(known) or 'none'}{meant(name, known)}"
        )
        raise ConfigurationError(message)

    def __repr__(self) -> str:
        return "<Catalogue>"


CATALOGUE: Final = Catalogue()
