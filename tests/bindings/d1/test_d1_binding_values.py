"""Laws of `bind`."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta, timezone

import pytest

from emulator.errors import JsException
from emulator.values import undefined
from emulator.web.uint8_array import Uint8Array


class Tier(enum.Enum):
    SEEDLING = "seedling"


class Kind(str, enum.Enum):  # noqa: UP042 - its `str()` is not its value.
    BLOG = "blog"


@pytest.mark.parametrize(
    ("value", "kind", "seen"),
    [
        (1, "real", 1),
        (True, "real", 1),
        (False, "real", 0),
        (2**53 - 1, "real", 2**53 - 1),
        (2.0**62, "real", 2.0**62),
        (1.5, "real", 1.5),
        (-0.0, "real", 0),
        (float("nan"), "null", None),
        (float("inf"), "null", None),
        (None, "null", None),
        ("text", "text", "text"),
        ("a\0b", "text", "a\0b"),
        ("\ud800", "text", "\ufffd\ufffd\ufffd"),
        (Kind.BLOG, "text", "blog"),
        (b"\0\xff", "blob", [0, 255]),
        (bytearray(b"\1"), "blob", [1]),
        (memoryview(b"\1\2"), "blob", [1, 2]),
        (Uint8Array(b"\3"), "blob", [3]),
        (memoryview(b"\1\0\x2c\1").cast("H"), "blob", [1, 44]),
        ([1, 2, 255.9], "blob", [1, 2, 255]),
        ((1, 2), "blob", [1, 2]),
        ([], "blob", []),
    ],
    ids=lambda value: "memoryview" if isinstance(value, memoryview) else repr(value),
)
def test_a_value_is_bound_as_cloudflare_binds_it(in_world, value, kind, seen):
    async def body(world, db):
        row = await db.prepare("SELECT typeof(?1) AS kind, ?1 AS seen").bind(value).first()
        assert row == {"kind": kind, "seen": seen}

    in_world(body)


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (undefined, "undefined", "undefined"),
        (2**53, "bigint", "9007199254740992"),
        (-(2**53), "bigint", "-9007199254740992"),
        ({}, "object", "[object Object]"),
        ({1, 2}, "object", "[object Set]"),
        ([1, 256], "object", "1,256"),
        ([-1], "object", "-1"),
        (["a", None, True], "object", "a,,true"),
        ([True], "object", "true"),
        (
            datetime(1970, 1, 1, tzinfo=UTC),
            "object",
            "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)",
        ),
        (
            datetime(2026, 12, 31, 23, 30, 5, tzinfo=timezone(timedelta(hours=-1))),
            "object",
            "Fri Jan 01 2027 00:30:05 GMT+0000 (Coordinated Universal Time)",
        ),
        (Tier.SEEDLING, "object", "Tier.SEEDLING"),
    ],
    ids=repr,
)
def test_any_other_type_is_refused_by_bind_itself(in_world, value, kind, shown):
    async def body(world, db):
        with pytest.raises(JsException) as caught:
            db.prepare("SELECT ?").bind(value)
        text = f"Type '{kind}' not supported for value '{shown}'"
        assert caught.value.message == f"D1_TYPE_ERROR: {text}"
        assert caught.value.properties["cause"].message == text

    in_world(body)


def test_a_function_is_refused_as_a_function(in_world):
    async def body(world, db):
        with pytest.raises(JsException, match="D1_TYPE_ERROR: Type 'function' not supported"):
            db.prepare("SELECT ?").bind(print)

    in_world(body)


def test_a_number_in_a_text_column_becomes_the_text_of_a_real(in_world):
    async def body(world, db):
        await db.exec("CREATE TABLE t(x TEXT, n INTEGER)")
        await db.prepare("INSERT INTO t VALUES(?, ?)").bind(1, 1).run()
        assert await db.prepare("SELECT * FROM t").first() == {"x": "1.0", "n": 1}
        by_number = db.prepare("SELECT count(*) AS n FROM t WHERE x = ?")
        assert await by_number.bind("1").first("n") == 0
        assert await by_number.bind(1).first("n") == 1

    in_world(body)


def test_bind_gives_a_new_statement_and_replaces_earlier_values(in_world):
    async def body(world, db):
        select = db.prepare("SELECT ? AS v")
        one, two = select.bind(1), select.bind(2)
        assert (await one.first("v"), await two.first("v")) == (1, 2)
        assert select.params == []
        assert await one.bind(3).first("v") == 3
        assert (await one.first("v"), one.statement) == (1, "SELECT ? AS v")

    in_world(body)


def test_bytes_are_copied_when_they_are_bound(in_world):
    async def body(world, db):
        buffer = bytearray(b"\1")
        statement = db.prepare("SELECT ? AS v").bind(buffer)
        buffer[0] = 2
        assert await statement.first("v") == [1]

    in_world(body)


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT ?, ?", (1,)),
        ("SELECT ?", (1, 2)),
        ("SELECT ?", ()),
        ("SELECT 1", (1,)),
        ("SELECT ?2", (1,)),
    ],
)
def test_the_count_of_values_must_be_exact(in_world, error_of, sql, values):
    async def body(world, db):
        error = await error_of(db.prepare(sql).bind(*values).run())
        text = "D1_ERROR: Wrong number of parameter bindings for SQL query."
        assert error.message == text

    in_world(body)
