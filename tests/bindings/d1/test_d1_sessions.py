"""Laws of sessions and their bookmarks."""

from __future__ import annotations

import asyncio
import re

import pytest

from emulator import faults
from emulator.values import undefined

BOOKMARK = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}\Z")


def test_every_answer_brings_a_greater_bookmark(in_world):
    async def body(world, db):
        session = db.withSession("first-primary")
        seen = [session.getBookmark()]
        for sql in ("CREATE TABLE t(a)", "SELECT * FROM t", "INSERT INTO t VALUES(1)"):
            await session.prepare(sql).run()
            seen.append(session.getBookmark())
        await session.batch([db.prepare("SELECT 1")])
        seen.append(session.getBookmark())
        assert seen[0] is None
        assert all(BOOKMARK.match(bookmark) for bookmark in seen[1:])
        assert seen[1:] == sorted(set(seen[1:]))

    in_world(body)


@pytest.mark.parametrize(
    ("constraint", "bookmark"),
    [
        (undefined, None),
        (None, None),
        ("", None),
        ("  ", None),
        ("first-unconstrained", None),
        (" first-primary ", None),
        ("00000001-0", "00000001-0"),
    ],
)
def test_a_session_begins_with_the_bookmark_it_was_given(in_world, constraint, bookmark):
    async def body(world, db):
        assert db.withSession(constraint).getBookmark() == bookmark
        assert db.withSession().getBookmark() is None

    in_world(body)


def test_a_bookmark_only_ever_grows(in_world):
    async def body(world, db):
        session = db.withSession("zzz")
        await session.prepare("SELECT 1").run()
        assert session.getBookmark() == "zzz"

    in_world(body)


def test_a_call_that_fails_brings_no_bookmark(in_world, error_of):
    async def body(world, db):
        session = db.withSession()
        await error_of(session.prepare("SELEC").run())
        assert session.getBookmark() is None

    in_world(body)


def test_a_bookmark_is_learnt_when_the_answer_arrives(in_world):
    async def body(world, db):
        session = db.withSession()
        world.simulation.rules.add(faults.latency(100, after_effect=True))
        call = session.prepare("SELECT 1").run()
        await asyncio.sleep(0.05)
        assert session.getBookmark() is None
        await call
        assert BOOKMARK.match(session.getBookmark())

    in_world(body)


def test_a_session_sees_what_was_written_beside_it(in_world):
    async def body(world, db):
        await db.exec("CREATE TABLE t(a)")
        session = db.withSession()
        await db.exec("INSERT INTO t VALUES(1)")
        assert await session.prepare("SELECT a FROM t").first("a") == 1

    in_world(body)


def test_a_session_takes_strings_only_and_has_no_exec(in_world):
    async def body(world, db):
        with pytest.raises(TypeError) as caught:
            db.withSession(5)
        assert caught.value.message == "constraintOrBookmark?.trim is not a function"
        assert not hasattr(db.withSession(), "exec")
        assert not hasattr(db.withSession(), "dump")

    in_world(body)
