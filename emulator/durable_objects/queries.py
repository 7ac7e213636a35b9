"""Queries: what a worker's SQL has begun to read.

Promises: every query with rows left ends with the life of its instance, and when everything is
deleted; one that nobody holds any more ends after the turn. Leaves to others: the rows (the
cursor), transactions (the units).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final
from weakref import WeakSet

if TYPE_CHECKING:
    from emulator.durable_objects.hooks import Hooks
    from emulator.sqlite.query import Query

__all__ = ["Queries"]


@final
class Queries:
    """The unfinished queries of one instance.

    Args:
        hooks: The instance.
    """

    __slots__ = ("_all", "_hooks", "_of_turn", "_writing")

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        #: None until there is one.
        self._all: WeakSet[Query] | None = None
        #: On the platform a cursor that nobody holds locks its table until garbage is
        #: collected; that is never within a turn.
        self._of_turn: list[Query] = []
        self._writing: list[Query] = []

    def add(self, query: Query) -> None:
        """Remember a query that has rows left to read."""
        if self._all is None:
            self._all = WeakSet()
        self._all.add(query)
        if not query.is_readonly:
            self._writing.append(query)
        if not self._of_turn:
            self._hooks.at_turn_end(self._of_turn.clear)
        self._of_turn.append(query)

    @property
    def has_unfinished_writes(self) -> bool:
        """Whether a statement that writes has rows left; SQLite cannot commit before."""
        if not self._writing:
            return False
        self._writing = [query for query in self._writing if not query.is_finished]
        return bool(self._writing)

    def cancel(self) -> None:
        """Everything is about to be deleted: reading on is an error."""
        for query in list(self._all or ()):
            query.cancel()
        self.end()

    def end(self) -> None:
        """The instance is over: nothing is locked any more."""
        if self._all is None:
            return
        for query in list(self._all):
            query.close()
        self._all.clear()
        self._of_turn.clear()
        self._writing.clear()

    def __repr__(self) -> str:
        return f"<Queries: {len(self._all or ())} unfinished>"
