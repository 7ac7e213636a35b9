"""d1: a real D1 database, as worker code calls it.

Promises: the platform's methods, answered by workerd itself; results and errors in the
emulator's shapes. Leaves to others: SQL (workerd).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from emulator.bindings.d1.migrations import (
    _TABLE,
    _without_transaction,
    migrations_in,
    schema_in,
)
from emulator.errors import ConfigurationError, JsException
from emulator.sqlite.text import is_blank, split_statements
from emulator.values import undefined
from emulator.workerd.wire import decode, encode

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from pathlib import Path

    from emulator.bindings.d1.migrations import Script
    from emulator.values import JsDict
    from emulator.workerd.world import World

__all__ = ["D1Database", "D1PreparedStatement", "apply_files"]


@final
class D1PreparedStatement:
    """What `prepare` gives.

    Args:
        owner: The database or session on which it runs.
        statement: The SQL text.
        params: The values; None before `bind`.
    """

    def __init__(
        self, owner: D1Database, statement: Any, params: Sequence[Any] | None = None
    ) -> None:
        self._owner = owner
        self.statement = statement
        self.params = params

    def bind(self, *values: Any) -> D1PreparedStatement:
        """A new statement with these values. The platform checks them when it runs."""
        return D1PreparedStatement(self._owner, self.statement, list(values))

    def first(self, colName: Any = undefined) -> asyncio.Future[Any]:
        """A future with the first row, one value of it, or None."""
        return self._send("first", () if colName is undefined else (colName,))

    def all(self) -> asyncio.Future[JsDict]:
        """A future with the D1Result: `success`, `meta` and `results`."""
        return self._send("all", ())

    def run(self) -> asyncio.Future[JsDict]:
        """The same as `all`, for statements that write."""
        return self._send("run", ())

    def raw(self, options: Any = None, **more: Any) -> asyncio.Future[list[list[Any]]]:
        """A future with the rows as lists."""
        chosen = {**(options or {}), **more}
        return self._send("raw", (chosen,) if chosen else ())

    def facts(self) -> dict[str, Any]:
        """The statement for the front. Not for worker code."""
        params = None if self.params is None else encode(self.params)
        return {"sql": encode(self.statement), "params": params}

    def _send(self, method: str, args: Sequence[Any]) -> asyncio.Future[Any]:
        return self._owner.send(method, encode(list(args)), statement=self.facts())

    def __repr__(self) -> str:
        return f"<D1PreparedStatement {self.statement!r}>"


@final
class D1Database:
    """A database binding of a real world, or a session of one.

    Args:
        world: Whose it is.
        binding: The name under which the worker knows it.
        session: What `withSession` was given; None for the database itself.
    """

    def __init__(self, world: World, binding: str, session: str | None = None) -> None:
        self._world = world
        self._binding = binding
        self._session = session
        self._bookmark: str | None = None

    def prepare(self, query: Any) -> D1PreparedStatement:
        """A statement. Nothing is checked before it runs."""
        return D1PreparedStatement(self, query)

    def batch(self, statements: Sequence[D1PreparedStatement]) -> asyncio.Future[list[Any]]:
        """Run statements as one transaction: all of them or none."""
        return self.send("batch", [[statement.facts() for statement in statements]])

    def exec(self, query: Any) -> asyncio.Future[JsDict]:
        """Run SQL without values, one query a line."""
        return self.send("exec", [encode(query)])

    def dump(self) -> asyncio.Future[bytes]:
        """Rejects: only databases of the alpha could be dumped."""
        return self.send("dump", [])

    def withSession(self, constraintOrBookmark: Any = None) -> D1Database:
        """A session. Each of its calls is a session of its own on the real side, begun at
        the bookmark of the call before.
        """
        return D1Database(self._world, self._binding, constraintOrBookmark or "")

    def getBookmark(self) -> str | None:
        """The bookmark of a session's last call; None before the first."""
        return self._bookmark

    def send(
        self, method: str, args: list[Any], *, statement: dict[str, Any] | None = None
    ) -> asyncio.Future[Any]:
        """Make one call. Not for worker code."""
        call: dict[str, Any] = {
            "call": "d1",
            "binding": self._binding,
            "method": method,
            "args": args,
        }
        if statement is not None:
            call["statement"] = statement
        return self._world.start_call(self._carry(call))

    async def _carry(self, call: dict[str, Any]) -> Any:
        if self._session is not None:
            call["session"] = self._bookmark or self._session
        answer = await self._world.call(call)
        self._bookmark = decode(answer.line["bookmark"])
        return decode(answer.line["result"])

    def __repr__(self) -> str:
        return f"<D1Database {self._binding}>"


async def apply_files(
    database: D1Database, schema: Path | None, migrations: Path | None
) -> None:
    """Run a schema and the migrations of a folder in a new database.

    Raises:
        ConfigurationError: If a file cannot be read or its SQL is refused; it names both.
    """
    scripts: list[Script] = []
    if schema is not None:
        scripts += schema_in(schema)
    if migrations is not None:
        scripts += migrations_in(migrations)
        await database.prepare(_TABLE).run()
    for script in scripts:
        statements = [
            database.prepare(text)
            for text in split_statements(_without_transaction(script.sql))
            if not is_blank(text)
        ]
        if script.migration_name is not None:
            record = database.prepare("INSERT INTO d1_migrations (name) VALUES (?)")
            statements.append(record.bind(script.migration_name))
        try:
            if statements:
                await database.batch(statements)
        except JsException as error:
            message = f"the SQL in {script.path!r} failed: {error.message}"
            raise ConfigurationError(message) from error
