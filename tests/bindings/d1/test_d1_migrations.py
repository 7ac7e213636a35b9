"""Laws of schemas and migrations."""

from __future__ import annotations

import pytest

from emulator.errors import ConfigurationError


def write(folder, **files):
    for name, sql in files.items():
        (folder / f"{name}.sql").write_text(sql, encoding="utf-8")
    return folder


async def names(db):
    rows = await db.prepare(
        "SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name"
    ).raw()
    return [name for (name,) in rows]


def test_a_schema_may_hold_comments_triggers_and_statements_over_many_lines(in_world, tmp_path):
    schema = """\ufeff-- The tables; all of them.
CREATE TABLE a(
  x TEXT DEFAULT ';' -- a semicolon
);
/* and; */ CREATE TRIGGER g AFTER INSERT ON a BEGIN
  UPDATE a SET x = 'y';
  DELETE FROM a WHERE x = 'z';
END;
CREATE INDEX i ON a(x)
-- the end
"""
    write(tmp_path, schema=schema)

    async def body(world, db):
        db.apply_schema(tmp_path / "schema.sql")
        assert await names(db) == ["a", "g", "i"]

    in_world(body)


def test_a_dump_of_sqlite_is_a_schema(in_world, tmp_path):
    write(
        tmp_path,
        dump="PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE a(x);\n"
        "INSERT INTO a VALUES(1);\nCOMMIT;\n",
    )

    async def body(world, db):
        db.apply_schema(tmp_path / "dump.sql")
        assert await db.prepare("SELECT x FROM a").first("x") == 1

    in_world(body)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("CREATE TABLE a(x); CREATE TABEL b(x);", 'near "TABEL": syntax error at offset 7'),
        ("ATTACH ':memory:' AS other;", "not authorized: SQLITE_AUTH"),
        ("CREATE TABLE a(x); BEGIN;", "To execute a transaction, please use"),
        ("CREATE TABLE a(", "incomplete input"),
    ],
)
def test_a_broken_schema_is_refused_with_its_file_and_leaves_nothing(
    in_world, tmp_path, sql, text
):
    write(tmp_path, broken=sql)

    async def body(world, db):
        with pytest.raises(ConfigurationError) as caught:
            db.apply_schema(tmp_path / "broken.sql")
        assert str(tmp_path / "broken.sql") in str(caught.value)
        assert text in str(caught.value)
        assert await names(db) == []

    in_world(body)


def test_a_schema_that_is_not_utf8_is_refused_with_its_file(in_world, tmp_path):
    (tmp_path / "latin.sql").write_bytes(b"-- caf\xe9\n")

    async def body(world, db):
        with pytest.raises(ConfigurationError, match=r"latin\.sql' is not UTF-8"):
            db.apply_schema(tmp_path / "latin.sql")
        with pytest.raises(ConfigurationError, match=r"no\.sql' cannot be read"):
            db.apply_schema(tmp_path / "no.sql")

    in_world(body)


def test_two_databases_of_one_schema_share_nothing(in_world, tmp_path):
    write(tmp_path, schema="CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, x)")

    async def body(world, db):
        other = world.database("OTHER")
        for database in (db, other):
            database.apply_schema(tmp_path / "schema.sql")
        first = await db.prepare("INSERT INTO a(x) VALUES(1)").run()
        second = await other.prepare("INSERT INTO a(x) VALUES(2)").run()
        assert (first.meta.last_row_id, second.meta.last_row_id) == (1, 1)
        assert await db.prepare("SELECT x FROM a").raw() == [[1]]
        other.close()

    in_world(body)


def test_a_schema_is_read_anew_for_each_world(in_world, tmp_path):
    async def body(world, db):
        db.apply_schema(tmp_path / "schema.sql")
        return await names(db)

    write(tmp_path, schema="CREATE TABLE a(x)")
    assert in_world(body) == ["a"]
    write(tmp_path, schema="CREATE TABLE b(x)")
    assert in_world(body) == ["b"]


def test_a_schemas_chance_is_each_worlds_own(in_world, tmp_path):
    write(tmp_path, schema="CREATE TABLE a(x); INSERT INTO a VALUES(hex(randomblob(8)))")

    async def body(world, db):
        db.apply_schema(tmp_path / "schema.sql")
        return await db.prepare("SELECT x FROM a").first("x")

    assert in_world(body, seed=1) == in_world(body, seed=1) != in_world(body, seed=2)


def test_a_schemas_now_is_the_time_of_its_world(in_world, tmp_path):
    write(tmp_path, schema="CREATE TABLE a(x); INSERT INTO a VALUES(datetime('now'))")

    async def body(world, db):
        import asyncio

        db.apply_schema(tmp_path / "schema.sql")
        await asyncio.sleep(60)
        later = world.database("LATER")
        later.apply_schema(tmp_path / "schema.sql")
        found = [await one.prepare("SELECT x FROM a").first("x") for one in (db, later)]
        assert found == ["2026-01-01 00:00:00", "2026-01-01 00:01:00"]
        later.close()

    in_world(body)


def test_migrations_run_by_number_and_are_recorded(in_world, tmp_path):
    write(
        tmp_path,
        **{
            "10_third": "INSERT INTO log VALUES('third');",
            "0001_first": "CREATE TABLE log(x);",
            "2_second": "INSERT INTO log VALUES('second'); -- done",
            "0001_later": "INSERT INTO log VALUES('first, later');",
        },
    )
    (tmp_path / "README.md").write_text("no migration")

    async def body(world, db):
        db.apply_migrations(tmp_path)
        log = await db.prepare("SELECT x FROM log").raw()
        assert log == [["first, later"], ["second"], ["third"]]
        rows = (await db.prepare("SELECT * FROM d1_migrations ORDER BY id").all()).results
        assert [(row.id, row.name) for row in rows] == [
            (1, "0001_first.sql"),
            (2, "0001_later.sql"),
            (3, "2_second.sql"),
            (4, "10_third.sql"),
        ]
        assert rows[0].applied_at == "2026-01-01 00:00:00"

    in_world(body)


def test_a_migration_runs_once(in_world, tmp_path):
    write(tmp_path, **{"1_a": "CREATE TABLE a(x);"})

    async def body(world, db):
        db.apply_migrations(tmp_path)
        write(tmp_path, **{"2_b": "INSERT INTO a VALUES(1);"})
        db.apply_migrations(tmp_path)
        db.apply_migrations(tmp_path)
        assert await db.prepare("SELECT x FROM a").raw() == [[1]]

    in_world(body)


def test_migrations_go_on_top_of_a_schema(in_world, tmp_path):
    write(tmp_path, **{"1_a": "ALTER TABLE a ADD COLUMN y;"})
    schema = tmp_path / "schema.txt"
    schema.write_text("CREATE TABLE a(x)")

    async def body(world, db):
        db.apply_schema(schema)
        db.apply_migrations(tmp_path)
        assert await names(db) == ["a", "d1_migrations", "sqlite_autoindex_d1_migrations_1",
                                   "sqlite_sequence"]  # fmt: skip
        assert await db.prepare("SELECT * FROM a").raw(columnNames=True) == [["x", "y"]]

    in_world(body)


def test_a_broken_migration_is_refused_with_its_file(in_world, tmp_path):
    write(tmp_path, **{"1_a": "CREATE TABLE a(x);", "2_b": "CREATE TABLE b(x); nonsense;"})

    async def body(world, db):
        with pytest.raises(ConfigurationError) as caught:
            db.apply_migrations(tmp_path)
        assert str(caught.value) == (
            f"the SQL in {str(tmp_path / '2_b.sql')!r} failed at 'nonsense;': "
            'near "nonsense": syntax error at offset 0: SQLITE_ERROR'
        )

    in_world(body)


def test_a_folder_that_is_not_there_is_refused(in_world, tmp_path):
    async def body(world, db):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            db.apply_migrations(tmp_path / "nowhere")

    in_world(body)
