"""Database: D1 as worker code calls it, `env.DB`.

Promises: the platform's methods; schema and migrations for the world that binds it. Leaves
to others: statements, sessions, transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, final

from emulator.bindings.d1.errors import d1_error, no_method
from emulator.bindings.d1.execution import JS_SPACE, Call, Engine
from emulator.bindings.d1.migrations import apply_scripts, found, migrations_in, schema_in
from emulator.bindings.d1.session import (
    FIRST_PRIMARY,
    FIRST_UNCONSTRAINED,
    D1DatabaseSession,
    Line,
)
from emulator.errors import JsException, no_attribute
from emulator.sqlite.errors import SqlError
from emulator.values import JsDict, undefined
from emulator.web.callbacks import rejected
from emulator.web.js_object import JsObject

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from pathlib import Path

    from emulator.bindings.d1.statement import D1PreparedStatement
    from emulator.durable_objects.context import IoContext
    from emulator.sqlite.database import Database, Snapshot
    from emulator.sqlite.query import Row

__all__ = ["D1Database", "D1Snapshot"]


class D1Snapshot(NamedTuple):
    """One database at one instant, and where its bookmarks stand."""

    sqlite: Snapshot
    call_count: int


@final
class D1Database(JsObject):
    """A database binding.

    Args:
        database: With the profile "d1"; the binding closes it.
        binding_name: The name under which the worker knows it, such as "DB".
        outside: The context of callers outside of every worker.
        is_local: Where local workerd and the documented platform differ, do as the former.
    """

    def __init__(
        self,
        database: Database,
        *,
        binding_name: str,
        outside: IoContext,
        is_local: bool = False,
    ) -> None:
        self._database = database
        self._is_local = is_local
        found(database, is_local=is_local)
        self._line = Line(Engine(database, is_local=is_local), binding_name, outside)
        self._primary = D1DatabaseSession(self._line, FIRST_PRIMARY, keeps_bookmark=False)

    def prepare(self, query: Any) -> D1PreparedStatement:
        """A statement. Nothing is checked before it runs."""
        return self._primary.prepare(query)

    def batch(self, statements: Sequence[D1PreparedStatement]) -> asyncio.Future[list[Any]]:
        """Run statements as one transaction: all of them or none.

        For faults and the trace its key is the texts joined with "; ", so that a glob finds
        one of them with a star on both sides.

        Args:
            statements: At least one.

        Returns:
            A future with a D1Result for each statement. It rejects with the error of the
            statement that failed, and then nothing of the batch stays.
        """
        return self._primary.batch(statements)

    def exec(self, query: Any) -> asyncio.Future[JsDict]:
        """Run SQL without values, one query a line, all of it as one transaction.

        Args:
            query: The text. A statement must not be broken over lines.

        Returns:
            A future with `count`, the lines that ran, and `duration`, milliseconds. It
            rejects with "D1_EXEC_ERROR: Error in line 1: ..." whichever line is at fault.
        """
        if not isinstance(query, str):
            return rejected(no_method("query", query, "trim"))
        text = query.strip(JS_SPACE)
        lines = text.split("\n")
        engine = self._line.engine

        def effect() -> JsDict:
            try:
                answers = engine.run([Call(line) for line in lines])
            except SqlError as error:
                text = f"Error in line 1: {lines[0]}: {error.message}"
                raise d1_error(text, "D1_EXEC_ERROR") from None
            return JsDict(count=len(answers), duration=sum(a.meta["duration"] for a in answers))

        return self._line.carry("d1.exec", text, effect)

    def withSession(self, constraintOrBookmark: Any = None) -> D1DatabaseSession:
        """A session, which remembers how far it has seen the database.

        Args:
            constraintOrBookmark: "first-unconstrained" (also for nothing and blanks),
                "first-primary", or a bookmark of an earlier session.

        Raises:
            JsTypeError: For anything but a string.
        """
        if constraintOrBookmark is None or constraintOrBookmark is undefined:
            constraintOrBookmark = ""
        if not isinstance(constraintOrBookmark, str):
            raise no_method("constraintOrBookmark?", constraintOrBookmark, "trim")
        constraint = constraintOrBookmark.strip(JS_SPACE)
        return D1DatabaseSession(self._line, constraint or FIRST_UNCONSTRAINED)

    def dump(self) -> asyncio.Future[bytes]:
        """Rejects: only databases of the alpha could be dumped."""
        error = d1_error("Status + 404", "D1_DUMP_ERROR")
        error.properties["cause"] = JsException("Status 404")
        return rejected(error)

    # What follows is for the world, not for worker code.

    def apply_schema(self, path: Path) -> None:
        """Run a schema file: any number of statements, as one transaction.

        Args:
            path: UTF-8.

        Raises:
            ConfigurationError: If it cannot be read, or its SQL is refused.
        """
        apply_scripts(self._database, schema_in(path), self._now_ms)
        self._line.engine.forget()

    def apply_migrations(self, folder: Path) -> None:
        """Run those migrations of a folder that have not run yet, as wrangler does.

        Args:
            folder: Its `*.sql` files are the migrations.

        Raises:
            ConfigurationError: If a file cannot be read or its SQL is refused.
        """
        apply_scripts(self._database, migrations_in(folder), self._now_ms)
        self._line.engine.forget()

    def peek(self, sql: str) -> list[Row]:
        """What a query finds at this instant: no call, and nothing in the trace tells of it.

        Args:
            sql: One query, which only reads.
        """
        return self._database.execute(sql)

    def clear(self) -> None:
        """Drop every table."""
        found(self._database, is_local=self._is_local)
        self._line.engine.forget()

    def snapshot(self) -> D1Snapshot:
        """The database as it is now: between two calls, so no transaction is open."""
        return D1Snapshot(self._database.snapshot(), self._line.engine.call_count)

    def restore(self, snapshot: D1Snapshot) -> None:
        """Hold what a snapshot holds."""
        self._database.restore(snapshot.sqlite)
        self._line.engine.forget()
        self._line.engine.call_count = snapshot.call_count

    @property
    def _now_ms(self) -> int:
        return self._line.outside.loop.clock.now_ms

    def close(self) -> None:
        """Give the database up."""
        self._database.close()

    def __getattr__(self, name: str) -> NoReturn:
        raise no_attribute(self, name)

    def __repr__(self) -> str:
        return f"<D1Database {self._line.binding_name}>"
