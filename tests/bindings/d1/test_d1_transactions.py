"""Laws of transactions: one call is one, and nothing of a call outlives it."""

from __future__ import annotations

import asyncio

import pytest

from emulator import faults, schedules
from emulator.errors import JsException
from emulator.simulation.runner import run

TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE)"
CHILD = "CREATE TABLE p(id INTEGER PRIMARY KEY)\nCREATE TABLE c(p REFERENCES p(id))"
VIOLATED = (
    "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
)


async def count(db, table="t"):
    return await db.prepare(f"SELECT count(*) AS n FROM {table}").first("n")


def insert(db, *values):
    return db.prepare("INSERT INTO t(x) VALUES(?)").bind(*values)


def test_a_batch_gives_one_result_for_each_statement(in_world):
    async def body(world, db):
        await db.exec(TABLE)
        results = await db.batch([insert(db, "a"), db.prepare("SELECT x FROM t")])
        assert [result.results for result in results] == [[], [{"x": "a"}]]
        assert [result.meta.changes for result in results] == [1, 0]

    in_world(body)


def test_a_batch_that_fails_leaves_nothing_and_tells_its_own_error(in_world, error_of):
    async def body(world, db):
        await db.exec(TABLE)
        error = await error_of(db.batch([insert(db, "a"), insert(db, "a"), insert(db, "b")]))
        assert error.message == (
            "D1_ERROR: UNIQUE constraint failed: t.x: SQLITE_CONSTRAINT (extended: "
            "SQLITE_CONSTRAINT_UNIQUE)"
        )
        assert await count(db) == 0

    in_world(body)


def test_a_batch_of_five_hundred_is_one_transaction(in_world):
    async def body(world, db):
        await db.exec(TABLE)
        results = await db.batch([insert(db, str(n)) for n in range(500)])
        assert [result.meta.last_row_id for result in results] == list(range(1, 501))

    in_world(body)


@pytest.mark.parametrize("statements", [[], ["", "  "]])
def test_a_batch_without_a_statement_is_refused(in_world, error_of, statements):
    async def body(world, db):
        error = await error_of(db.batch([db.prepare(sql) for sql in statements]))
        assert error.message == "D1_ERROR: No SQL statements detected."

    in_world(body)


def test_exec_counts_lines_and_undoes_them_all(in_world, error_of):
    async def body(world, db):
        await db.exec(TABLE)
        done = await db.exec("INSERT INTO t(x) VALUES('a'); INSERT INTO t(x) VALUES('b')\n\n;")
        assert done == {"count": 2, "duration": 0}

    async def fails(world, db):
        await db.exec(TABLE)
        error = await error_of(db.exec("  INSERT INTO t(x) VALUES('a')\nbad sql"))
        text = (
            "Error in line 1: INSERT INTO t(x) VALUES('a'): "
            'near "bad": syntax error at offset 0: SQLITE_ERROR'
        )
        assert error.message == f"D1_EXEC_ERROR: {text}"
        assert error.properties["cause"].message == text
        assert await count(db) == 0

    in_world(fails)
    with pytest.raises(JsException, match="SQL code did not contain a statement"):
        in_world(body)


def test_a_failed_statement_may_run_again(in_world, error_of):
    async def body(world, db):
        select = db.prepare("SELECT * FROM t")
        await error_of(select.all())
        await db.exec("CREATE TABLE t(a)\nINSERT INTO t VALUES(1)")
        assert (await select.all()).results == [{"a": 1}]
        await db.exec("ALTER TABLE t ADD COLUMN b")
        assert (await select.all()).results == [{"a": 1, "b": None}]

    in_world(body)


def test_an_insert_or_rollback_is_an_internal_error_and_nothing_stays(in_world, error_of):
    async def body(world, db):
        await db.exec(TABLE + "\nINSERT INTO t VALUES(1, 'a')")
        conflict = db.prepare("INSERT OR ROLLBACK INTO t VALUES(1, 'b')")
        error = await error_of(db.batch([insert(db, "c"), conflict]))
        assert error.message.startswith("internal error; reference = ")
        assert await count(db) == 1

    in_world(body)


@pytest.mark.parametrize(
    ("is_local", "message"),
    [
        (False, f"D1_ERROR: {VIOLATED}"),
        (
            True,
            "Durable Object was reset and rolled back to its last known good state because the "
            f"application left the database in a state where constraints were violated: "
            f"{VIOLATED}",
        ),
    ],
    ids=["documented", "local"],
)
def test_a_deferred_foreign_key_is_checked_when_the_call_ends(
    in_world, error_of, is_local, message
):
    async def body(world, db):
        await db.exec(CHILD)
        defer = db.prepare("PRAGMA defer_foreign_keys = on")
        orphan = db.prepare("INSERT INTO c VALUES(1)")
        assert (await error_of(db.batch([defer, orphan]))).message == message
        assert await count(db, "c") == 0
        await db.batch([defer, orphan, db.prepare("INSERT INTO p VALUES(1)")])
        assert await count(db, "c") == 1

    in_world(body, is_local=is_local)


def test_deferring_ends_with_its_call(in_world, error_of):
    async def body(world, db):
        await db.exec(CHILD)
        await db.prepare("PRAGMA defer_foreign_keys = on").run()
        error = await error_of(db.prepare("INSERT INTO c VALUES(1)").run())
        assert error.message == f"D1_ERROR: {VIOLATED}"

    in_world(body)


@pytest.mark.parametrize(
    "setting", ["off", "off; INSERT INTO c VALUES(1)", "2", "off; no SQL", "maybe"]
)
def test_foreign_keys_cannot_be_turned_off(in_world, error_of, setting):
    async def body(world, db):
        await db.exec(CHILD)
        attempt = db.prepare(f"PRAGMA foreign_keys = {setting}").run()
        if setting == "off":
            await attempt
        else:
            await error_of(attempt)
        assert await db.prepare("PRAGMA foreign_keys").first("foreign_keys") == 1
        await error_of(db.prepare("INSERT INTO c VALUES(1)").run())

    in_world(body)


@pytest.mark.parametrize(
    ("pragma", "probe", "usual"),
    [
        ("case_sensitive_like", "SELECT 'a' LIKE 'A'", 1),
        ("reverse_unordered_selects", "SELECT id AS v FROM t", 1),
        (
            "recursive_triggers",
            "SELECT * FROM pragma_recursive_triggers AS v",
            0,
        ),
    ],
)
def test_a_pragma_lasts_for_its_call_only(in_world, pragma, probe, usual):
    async def body(world, db):
        await db.exec(TABLE + "\nINSERT INTO t(id) VALUES(1), (2)")
        on, look = db.prepare(f"PRAGMA {pragma} = on"), db.prepare(probe)
        (inside,) = (await db.batch([on, look]))[1].results[0].values()
        (outside,) = (await look.first()).values()
        assert (inside != usual, outside) == (True, usual)

    in_world(body)


def test_calls_of_one_context_keep_the_order_in_which_they_were_made(make_world):
    async def main():
        world = make_world()
        await world.db.exec(TABLE)
        await asyncio.gather(*[insert(world.db, str(n)).run() for n in range(20)])
        found = await world.db.prepare("SELECT x FROM t ORDER BY id").raw()
        assert found == [[str(n)] for n in range(20)]

    for seed in range(5):
        run(main, seed=seed, schedule=schedules.random(seed))


def test_a_late_call_holds_back_those_made_after_it(in_world):
    async def body(world, db):
        await db.exec(TABLE)
        world.simulation.rules.add(faults.latency(50, key="*'slow'*"))
        db.prepare("INSERT INTO t(x) VALUES('slow')").run()
        await db.prepare("INSERT INTO t(x) VALUES('fast')").run()
        assert await db.prepare("SELECT x FROM t ORDER BY id").raw() == [["slow"], ["fast"]]

    in_world(body)


def test_reading_and_then_writing_loses_updates_and_one_statement_does_not(in_world):
    async def body(world, db):
        await db.exec("CREATE TABLE n(x)\nINSERT INTO n VALUES(0), (0)")

        async def read_then_write():
            x = await db.prepare("SELECT x FROM n WHERE rowid = 1").first("x")
            await db.prepare("UPDATE n SET x = ? WHERE rowid = 1").bind(x + 1).run()

        async def in_one():
            await db.prepare("UPDATE n SET x = x + 1 WHERE rowid = 2").run()

        await asyncio.gather(*[read_then_write() for _ in range(10)])
        await asyncio.gather(*[in_one() for _ in range(10)])
        assert await db.prepare("SELECT x FROM n").raw() == [[1], [10]]

    in_world(body)


def test_batches_never_interleave(in_world):
    async def body(world, db):
        await db.exec("CREATE TABLE n(x)")

        def batch(name):
            return db.batch([db.prepare("INSERT INTO n VALUES(?)").bind(name)] * 5)

        await asyncio.gather(*[batch(name) for name in "abcd"])
        found = await db.prepare("SELECT group_concat(x, '') AS x FROM n").first("x")
        assert found == "aaaaabbbbbcccccddddd"

    in_world(body)


def test_a_fault_finds_a_statement_by_its_text_and_inside_a_batch(in_world, error_of):
    async def body(world, db):
        await db.exec(TABLE)
        world.simulation.rules.add(faults.error(operation="d1.run", key="INSERT INTO t(x)*"))
        world.simulation.rules.add(faults.error(operation="d1.batch", key="*DELETE FROM t*"))
        lost = "D1_ERROR: Network connection lost."
        assert (await error_of(insert(db, "a").run())).message == lost
        await db.batch([insert(db, "b"), db.prepare("UPDATE t SET x = 'c'")])
        error = await error_of(db.batch([insert(db, "d"), db.prepare("DELETE FROM t")]))
        assert error.message == lost
        assert await count(db) == 1

    in_world(body)


def test_an_error_after_the_effect_leaves_the_write(in_world, error_of):
    async def body(world, db):
        await db.exec(TABLE)
        world.simulation.rules.add(faults.error(op="d1.run", after_effect=True))
        await error_of(insert(db, "a").run())
        assert await count(db) == 1

    in_world(body)


def test_a_row_that_a_rule_hides_is_none(in_world):
    async def body(world, db):
        world.simulation.rules.add(faults.missing(operation="d1.first", nth=1))
        select = db.prepare("SELECT 1 AS x")
        assert await select.first("x") is None
        assert await select.first("x") == 1

    in_world(body)


def test_each_call_is_in_the_trace_with_its_sql(in_world):
    async def body(world, db):
        await db.exec(TABLE)
        await db.batch([insert(db, "a"), db.prepare("SELECT 1")])
        await db.prepare("SELECT x FROM t").raw()
        return [
            (entry.kind, entry.facts["key"])
            for entry in world.simulation.trace
            if entry.kind.startswith("d1.")
        ]

    assert in_world(body) == [
        ("d1.exec", TABLE),
        ("d1.batch", "INSERT INTO t(x) VALUES(?); SELECT 1"),
        ("d1.raw", "SELECT x FROM t"),
    ]


@pytest.mark.parametrize(
    ("call", "wrong", "text"),
    [
        ("exec", 5, "query.trim is not a function"),
        ("exec", None, "Cannot read properties of null (reading 'trim')"),
        ("batch", 5, "statements.map is not a function"),
        ("batch", None, "Cannot read properties of null (reading 'map')"),
    ],
)
def test_a_wrong_argument_is_a_type_error(in_world, call, wrong, text):
    async def body(world, db):
        with pytest.raises(TypeError) as caught:
            await getattr(db, call)(wrong)
        assert caught.value.message == text

    in_world(body)
