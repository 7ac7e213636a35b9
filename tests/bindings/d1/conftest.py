"""A world with one D1 database, without the rest of the runtime."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from emulator.bindings.d1 import D1Database
from emulator.durable_objects.context import IoContext
from emulator.errors import JsException
from emulator.simulation.runner import current_simulation, run
from emulator.sqlite.database import Database
from emulator.values import undefined

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_TYPED_ARRAYS = {"Uint16Array": "H", "Int8Array": "b", "Float64Array": "d"}


class World:
    """One database on the running simulation."""

    def __init__(self, *, is_local: bool = False) -> None:
        simulation = current_simulation()
        self.simulation = simulation
        self.outside = IoContext(simulation, "test")
        self.is_local = is_local
        self.db = self.database()

    def database(self, name: str = "DB") -> D1Database:
        clock, randomness = self.simulation.clock, self.simulation.randomness
        database = Database(
            now_ms=lambda: clock.now_ms,
            random_bytes=lambda size: randomness.token_bytes(f"d1.{name}", size),
            profile="d1",
            value_bytes_max=2_200_000 if self.is_local else None,
        )
        return D1Database(
            database, binding_name=name, outside=self.outside, is_local=self.is_local
        )


@pytest.fixture
def in_world() -> Callable[..., Any]:
    """Run `async def body(world, db)` under simulated time."""

    def go(
        body: Callable[[World, D1Database], Coroutine[Any, Any, Any]],
        *,
        seed: int = 0,
        **options: Any,
    ) -> Any:
        async def main() -> Any:
            world = World(**options)
            try:
                return await body(world, world.db)
            finally:
                world.db.close()

        return run(main, seed=seed)

    return go


@pytest.fixture
def error_of() -> Callable[..., Any]:
    """Await something that fails; gives the error."""

    async def get(awaitable: Any) -> JsException:
        with pytest.raises(JsException) as caught:
            await awaitable
        return caught.value

    return get


def decoded(value: Any) -> Any:
    """A value of a conformance program as worker code would write it."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict) or "$" not in value:
        return value
    kind = value["$"]
    if kind == "undefined":
        return undefined
    if kind == "number":
        return float(value["is"].replace("Infinity", "inf"))
    if kind == "bytes":
        return bytes.fromhex(value["hex"])
    if kind == "bigint":
        return int(value["is"])
    if kind == "date":
        return datetime.fromtimestamp(value["ms"] / 1000, UTC)
    if kind == "view":
        return memoryview(array(_TYPED_ARRAYS[value["type"]], value["of"]))
    return {"object": {}, "set": set()}[kind]


async def run_op(db: D1Database, op: list[Any]) -> Any:
    """Run one op of a conformance program."""
    name, *arguments = op
    if name == "d1.prepare":
        sql, how = arguments
        statement = db.prepare(sql)
        if "bind" in how:
            statement = statement.bind(*decoded(how["bind"]))
        return await getattr(statement, how["call"])(*decoded(how.get("args", [])))
    if name == "d1.batch" and isinstance(arguments[0], list):
        statements = []
        for sql, *values in arguments[0]:
            statement = db.prepare(sql)
            statements.append(statement.bind(*decoded(values[0])) if values else statement)
        return await db.batch(statements)
    if name == "d1.withSession":
        return db.withSession(*arguments).getBookmark()
    return await getattr(db, name.removeprefix("d1."))(*arguments)


def normalised(value: Any) -> Any:
    """A result without what differs from run to run."""
    if isinstance(value, list):
        return [normalised(item) for item in value]
    if isinstance(value, dict) and "meta" in value:
        kept = ("changes", "last_row_id", "changed_db")
        return {**value, "meta": {name: value["meta"][name] for name in kept}}
    if isinstance(value, dict) and "duration" in value:
        return {**value, "duration": 0}
    return value


@pytest.fixture
def outcomes_of() -> Callable[..., Any]:
    """Run the ops of a conformance program on a database; gives what each came to."""

    async def run_all(db: D1Database, ops: list[Any]) -> list[Any]:
        outcomes = []
        for op in ops:
            try:
                outcomes.append({"ok": normalised(await run_op(db, op))})
            except JsException as error:
                told = {"name": error.name, "message": error.message}
                if "cause" in error.properties:
                    told["cause"] = error.properties["cause"].message
                outcomes.append({"error": told})
        return outcomes

    return run_all


@pytest.fixture
def make_world() -> type[World]:
    return World
