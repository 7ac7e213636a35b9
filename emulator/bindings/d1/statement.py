"""Statement: one prepared SQL text with its values.

Promises: `bind`, and the four ways to run it; preparing does nothing and checks nothing,
running twice runs twice. Leaves to others: values (binding_values), shapes (results), the
way to the database (session).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

from emulator.bindings.d1.binding_values import bound_value
from emulator.bindings.d1.execution import Call
from emulator.bindings.d1.results import first_of, raw_of, result_of
from emulator.values import undefined

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from emulator.bindings.d1.results import Answer
    from emulator.sqlite.query import SqlValue
    from emulator.values import JsDict

__all__ = ["D1PreparedStatement", "Sender"]


class Sender(Protocol):
    """The session of a statement."""

    def send(
        self,
        name: str,
        key: str,
        calls: Sequence[Call],
        shape: Callable[[list[Answer]], Any],
    ) -> asyncio.Future[Any]:
        """Send calls as one transaction; `shape` makes the result of the answers."""


@final
class D1PreparedStatement:
    """What `prepare` gives.

    Args:
        session: Where it runs.
        statement: The SQL text.
        params: Values as SQLite takes them.

    Attributes:
        dbSession: The session.
        statement: The SQL text.
        params: The values.
    """

    def __init__(
        self, session: Sender, statement: Any, params: Sequence[SqlValue] = ()
    ) -> None:
        self.dbSession = session
        self.statement = statement
        self.params = list(params)

    def bind(self, *values: Any) -> D1PreparedStatement:
        """A new statement with these values for its parameters, in place of all earlier ones.

        Args:
            values: None, bools, numbers, strings, bytes, lists of numbers 0 to 255.
                Numbers are bound as REAL: in a TEXT column 1 becomes "1.0".

        Raises:
            JsException: "D1_TYPE_ERROR: ..." for any other type.
        """
        return D1PreparedStatement(
            self.dbSession, self.statement, [bound_value(value) for value in values]
        )

    def first(self, colName: Any = undefined) -> asyncio.Future[Any]:
        """The first row, or one value of it. The whole statement is executed all the same.

        Args:
            colName: A column of the result, by its exact name.

        Returns:
            A future with a row or a value; with None where there is no row. It rejects with
            "D1_COLUMN_NOTFOUND: ..." for a column that the row does not have.
        """
        return self._send("d1.first", lambda answer: first_of(answer, colName))

    def all(self) -> asyncio.Future[JsDict]:
        """A future with the D1Result: `success`, `meta` and `results`, all the rows."""
        return self._send("d1.all", result_of)

    def run(self) -> asyncio.Future[JsDict]:
        """The same as `all`, for statements that write."""
        return self._send("d1.run", result_of)

    def raw(self, options: Any = None, **more: Any) -> asyncio.Future[list[list[Any]]]:
        """The rows as lists, in the order of the columns.

        Args:
            options: `columnNames`: whether the first list is the columns' names, also where
                there are no rows.
            more: The same as keywords.
        """
        has_column_names = bool({**(options or {}), **more}.get("columnNames"))
        return self._send(
            "d1.raw", lambda answer: raw_of(answer, has_column_names=has_column_names)
        )

    def _send(self, name: str, shape: Callable[[Answer], Any]) -> asyncio.Future[Any]:
        calls = (Call(self.statement, self.params),)
        return self.dbSession.send(
            name, str(self.statement), calls, lambda answers: shape(answers[0])
        )

    def __repr__(self) -> str:
        return f"<D1PreparedStatement {self.statement!r}>"
