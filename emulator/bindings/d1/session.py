"""Session: the way from worker code to the database, and how far it has seen it.

Promises: every call acts when it is made and takes the corridor, those of one context in the
order in which they were made; `D1DatabaseSession` with its bookmark. Leaves to others: what
the calls do (execution). There are no replicas: every session reads from the primary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, final
from weakref import ref

from emulator.bindings.d1.errors import d1_error, no_method
from emulator.bindings.d1.execution import Call, Engine
from emulator.bindings.d1.results import result_of
from emulator.bindings.d1.statement import D1PreparedStatement
from emulator.durable_objects.context import EVENT, IoContext, current_context
from emulator.simulation.rules import Operation
from emulator.sqlite.errors import SqlError
from emulator.web.callbacks import rejected

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from emulator.bindings.d1.results import Answer

__all__ = ["FIRST_PRIMARY", "FIRST_UNCONSTRAINED", "D1DatabaseSession", "Line"]

FIRST_PRIMARY: Final = "first-primary"
FIRST_UNCONSTRAINED: Final = "first-unconstrained"


class Line(NamedTuple):
    """What a call needs to reach its database.

    Attributes:
        engine: The database's.
        binding_name: The name under which the worker knows it.
        outside: The context of callers outside of every worker.
    """

    engine: Engine
    binding_name: str
    outside: IoContext

    def carry(self, name: str, key: str, effect: Callable[[], Any]) -> asyncio.Future[Any]:
        """Send one call.

        Args:
            name: What it is for faults and the trace, such as "d1.first".
            key: The SQL text.
            effect: Does it.
        """
        context = current_context(self.outside)
        operation = Operation(self.binding_name, name, key)
        # Measured on workerd: in order within one event. No order is promised between events.
        # A weak reference: the loop remembers lanes for longer than worlds live.
        lane = self.binding_name, EVENT.get() or ref(context)
        return context.carry(operation, effect, lane=lane)


@final
class D1DatabaseSession:
    """What `withSession` gives.

    Args:
        line: To the database.
        constraint: "first-primary", "first-unconstrained", or a bookmark.
        keeps_bookmark: Whether it learns from answers; the database's own session, which
            always asks the primary, does not.
    """

    def __init__(self, line: Line, constraint: str, *, keeps_bookmark: bool = True) -> None:
        self._line = line
        self._constraint = constraint
        self._keeps_bookmark = keeps_bookmark

    def prepare(self, query: Any) -> D1PreparedStatement:
        """A statement of this session. Nothing is checked before it runs."""
        return D1PreparedStatement(self, query)

    def batch(self, statements: Sequence[D1PreparedStatement]) -> asyncio.Future[list[Any]]:
        """As the database's `batch`; the statements may be of any session."""
        if not isinstance(statements, (list, tuple)):
            return rejected(no_method("statements", statements, "map"))
        calls = [
            Call(getattr(statement, "statement", None), getattr(statement, "params", ()))
            for statement in statements
        ]
        key = "; ".join([str(call.sql) for call in calls])
        return self.send(
            "d1.batch", key, calls, lambda answers: [result_of(answer) for answer in answers]
        )

    def getBookmark(self) -> str | None:
        """The newest bookmark that this session has seen; None before the first answer."""
        if self._constraint in (FIRST_PRIMARY, FIRST_UNCONSTRAINED):
            return None
        return self._constraint

    def send(
        self,
        name: str,
        key: str,
        calls: Sequence[Call],
        shape: Callable[[list[Answer]], Any],
    ) -> asyncio.Future[Any]:
        """Send calls as one transaction. Not for worker code.

        Args:
            name: What it is for faults and the trace, such as "d1.first".
            key: The SQL text.
            calls: What to run.
            shape: Makes the result of the answers.
        """
        engine = self._line.engine
        seen: list[str] = []

        def effect() -> Any:
            try:
                answers = engine.run(calls)
            except SqlError as error:
                raise d1_error(error.message) from None
            seen.append(engine.bookmark)
            return shape(answers)

        future = self._line.carry(name, key, effect)
        if self._keeps_bookmark:
            # Before whoever awaits it, since callbacks run in the order of their adding.
            future.add_done_callback(lambda _: self._learn(seen))
        return future

    def _learn(self, bookmarks: list[str]) -> None:
        bookmark = self.getBookmark()
        for new in bookmarks:
            if bookmark is None or bookmark < new:
                self._constraint = bookmark = new

    def __repr__(self) -> str:
        return f"<D1DatabaseSession {self._line.binding_name} {self._constraint}>"
