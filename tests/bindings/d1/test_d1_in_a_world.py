"""Laws of the D1 databases of a world: from options to worker code."""

from __future__ import annotations

import pytest

import emulator
from emulator import faults
from emulator.errors import ConfigurationError, JsException
from emulator.sqlite import connections
from emulator.testing import reset

WORKER = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        db = self.env.DB
        await db.prepare("INSERT INTO visits(path) VALUES(?)").bind("/here").run()
        try:
            row = await db.prepare("SELECT count(*) AS n FROM visits").first()
        except Exception as error:
            return Response(str(error), status=500)
        return Response(str(row.n))
"""
SCHEMA = "CREATE TABLE visits(id INTEGER PRIMARY KEY, path TEXT NOT NULL);"


@pytest.fixture
def worker(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "schema.sql").write_text(SCHEMA)
    return {
        "script_path": tmp_path / "worker.py",
        "d1_databases": {"DB": {"schema": tmp_path / "schema.sql"}},
    }


def test_worker_code_and_the_test_see_one_database(worker):
    async def main():
        async with emulator.Miniflare(**worker) as mf:
            answers = [(await mf.dispatch_fetch("http://x/")).text for _ in range(2)]
            count = await mf.get_d1_database("DB").prepare("SELECT * FROM visits").raw()
            return answers, len(count)

    assert emulator.run(main) == (["1", "2"], 2)


def test_each_world_begins_with_its_schema_alone(worker):
    async def main():
        seen = []
        for _ in range(2):
            async with emulator.Miniflare(**worker) as mf:
                seen.append((await mf.dispatch_fetch("http://x/")).text)
        return seen

    assert emulator.run(main) == ["1", "1"]


def test_a_world_tells_nothing_of_those_before_it(worker, tmp_path):
    schema = """
    CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);
    CREATE TABLE visits(id INTEGER PRIMARY KEY, path TEXT, user REFERENCES users);
    """
    (tmp_path / "schema.sql").write_text(schema)
    ask = "SELECT total_changes() AS a, changes() AS b, last_insert_rowid() AS c"

    async def main():
        async with emulator.Miniflare(**worker) as mf:
            db = mf.get_d1_database("DB")
            # With whole `meta`: changes, last_row_id, changed_db, size_after.
            told = [await db.prepare(ask).all(), await db.prepare("SELECT * FROM users").all()]
            for path in ("/a", "/b"):
                told += await db.batch(
                    [
                        db.prepare("INSERT INTO users(name) VALUES(?) RETURNING id").bind(path),
                        db.prepare("INSERT INTO visits(path, user) VALUES(?, 1)").bind(path),
                    ]
                )
            try:
                await db.prepare("INSERT INTO users(name) VALUES('/c'), ('/a')").run()
            except JsException as error:
                told.append(error.message)
            session = db.withSession()
            told.append(await session.prepare(ask).all())
            return [*told, session.getBookmark()]

    while connections._idle:
        connections._idle.pop().close()
    first = emulator.run(main)
    [link] = connections._idle

    assert [emulator.run(main) for _ in range(3)] == [first] * 3
    assert connections._idle == [link], "the connection was not used again"


def test_deleting_all_data_makes_a_new_database_of_it(worker):
    async def main():
        async with emulator.Miniflare(**worker) as mf:
            db = mf.get_d1_database("DB")
            first = await db.prepare("INSERT INTO visits(path) VALUES('/') RETURNING id").run()
            await reset(mf)
            again = await db.prepare("INSERT INTO visits(path) VALUES('/') RETURNING id").run()
            return first, again, await db.prepare("SELECT name FROM sqlite_schema").raw()

    first, again, names = emulator.run(main)
    assert again == first
    assert names == [["_cf_KV"], ["visits"]]


def test_a_fault_reaches_worker_code_as_the_platforms_error(worker):
    async def main():
        rule = faults.error("DB", op="first")
        async with emulator.Miniflare(**worker, faults=[rule]) as mf:
            return (await mf.dispatch_fetch("http://x/")).text

    assert emulator.run(main) == "Error: D1_ERROR: Network connection lost."


@pytest.mark.parametrize(
    ("limits", "table", "has_room"),
    [("paid", "_cf_KV", False), ("free", "_cf_KV", False), ("workerd", "_cf_METADATA", True)],
)
def test_the_limits_profile_says_whose_d1_it_is(worker, limits, table, has_room):
    async def main():
        async with emulator.Miniflare(**worker, limits=limits) as mf:
            db = mf.get_d1_database("DB")
            names = await db.prepare("SELECT name FROM sqlite_schema").raw()
            large = db.prepare("SELECT length(?) AS n").bind("x" * 2_000_001)
            try:
                await large.first()
            except JsException as error:
                return names, error.message
            return names, None

    names, refused = emulator.run(main)

    assert names == [[table], ["visits"]]
    assert refused == (None if has_room else "D1_ERROR: string or blob too big: SQLITE_TOOBIG")


def test_a_schema_that_fails_is_an_option_that_fails(worker, tmp_path):
    (tmp_path / "schema.sql").write_text("CREATE TABEL visits(id);")

    async def main():
        async with emulator.Miniflare(**worker):
            pass

    with pytest.raises(ConfigurationError, match=r"schema\.sql' failed at 'CREATE TABEL"):
        emulator.run(main)
