"""Laws of the D1 databases of a world: from options to worker code."""

from __future__ import annotations

import pytest

import emulator
from emulator import faults
from emulator.errors import ConfigurationError, JsException

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


def test_a_fault_reaches_worker_code_as_the_platforms_error(worker):
    async def main():
        rule = faults.error(binding="DB", operation="d1.first")
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
