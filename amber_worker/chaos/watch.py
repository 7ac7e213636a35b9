"""The watch: what D1 and R2 tell of exports at every instant of a run.

Promises: every status that a row had, in order; every instant at which a completed export had
no archive. It looks past the worker, between two events, and disturbs nothing. Leaves to
others: what follows from it (amber_worker.laws).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, final

from amber_worker.laws.life import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from amber_worker.contract.target import Target
    from emulator.bindings.r2.store import R2Store
    from emulator.simulation.trace import TraceEvent

__all__ = ["ARCHIVES", "Watch"]

#: Where archives lie in R2.
ARCHIVES: Final = "exports/"
_CHANGES_IN_R2: Final = ("r2.complete", "r2.delete", "r2.put")
_ROWS: Final = "SELECT id, status, r2_key, size_bytes FROM storage_exports ORDER BY rowid"


class _Row(NamedTuple):
    id: str
    status: str
    r2_key: str | None
    size_bytes: int | None


@final
class Watch:
    """Looks at D1 and R2 whenever they may have changed.

    Args:
        mf: The world.
        target: How its bindings are called.
    """

    def __init__(self, mf: Any, target: Target) -> None:
        self._mf = mf
        self._database = mf.get_d1_database(target.database)
        self.bucket: R2Store = _bucket(mf, target.bucket)
        self._rows: list[_Row] = []
        #: Whether an effect may have changed something since the last look.
        self._is_stale = False
        self._stop: Callable[[], None] = lambda: None
        #: The statuses of each export, in order.
        self.history: dict[str, list[str]] = {}
        #: What did not agree, each once.
        self.glimpses: dict[str, None] = {}

    def __enter__(self) -> Self:
        self._stop = self._mf.trace.observe(self._event)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()
        self.look()

    def _event(self, event: TraceEvent) -> None:
        # An effect is told before it happens: what it has done is seen at the next event.
        if self._is_stale:
            self.look()
        kind, key = event.kind, str(event.facts.get("key", ""))
        if kind.startswith("d1."):
            self._is_stale = "storage_exports" in key and not key.startswith("SELECT")
        elif kind in _CHANGES_IN_R2:
            self._is_stale = key.startswith(ARCHIVES)

    def look(self) -> None:
        """See what has changed."""
        self._is_stale = False
        self._rows = [_Row(*row) for row in self._database.peek(_ROWS)]
        for row in self._rows:
            history = self.history.setdefault(row.id, [])
            if history[-1:] != [row.status]:
                history.append(row.status)
            if row.status == "completed" and row.r2_key is not None:
                self._compare(row)

    def _compare(self, row: _Row) -> None:
        found = self.bucket.find(str(row.r2_key))
        if found is None:
            told = f"export {row.id} is completed, and R2 has no {row.r2_key!r}"
        elif row.size_bytes not in (None, found.size_bytes):
            told = (
                f"export {row.id} is completed with {row.size_bytes} bytes, and "
                f"{row.r2_key!r} has {found.size_bytes}"
            )
        else:
            return
        self.glimpses.setdefault(told)

    def unfinished(self) -> list[str]:
        """Every export that D1 knows now and that has not ended."""
        self.look()
        return [row.id for row in self._rows if row.status not in ENDED]


def _bucket(mf: Any, binding: str) -> R2Store:
    world = mf.world
    store: R2Store = world.storage.store(world.options.r2_buckets[binding])
    return store
