"""World content: what buckets and databases hold when a test begins.

    @given(content=strategies.worlds(r2=["BUCKET"], d1={"DB": SCHEMA}))
    def test_it(content):
        async def scenario():
            async with emulator.Miniflare(...) as mf:
                await content.put_into(mf)

Promises: rows fit the schema that they were drawn for (what its constraints refuse is left
out), keys are such as R2 takes, and hostile ones are among them; a content is a value whose
`repr` makes it again. Leaves to others: the world.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from hypothesis import strategies as st

from emulator.testing.schemas import tables_of, taken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emulator.testing.schemas import Table

__all__ = ["StoredObject", "WorldContent", "bodies", "hostile_names", "object_keys", "worlds"]

#: Bytes of UTF-8 that a key of R2 has at most (Cloudflare docs, R2, Limits).
KEY_BYTES_MAX: Final = 1_024
#: A longer body of one byte is told by its length.
BODY_SHOWN_MAX: Final = 20
#: The length in bytes of a body, up to the first that fills a page of its own.
_SIZES: Final = (0, 1, 2, 100, 4_095, 4_096, 65_536)
_HOSTILE: Final = (
    "a", "A", "a.txt", "a (1).txt", ".", "..", "../a", "a/../b", "/a", "a//b", "a/", " a", "a ",
    "a.", ".a", "~", "-rf", "*", "?", "a?b#c", "%2e%2e%2f", "a%00b", "a\\b", "C:\\a", "CON",
    "nul.txt", "COM1", "__proto__", "constructor", "null", "undefined", "NaN", "0", "-0",
    "' OR 1=1 --", '"', "`", "${a}", "{{a}}", "<script>", "a\tb", "a\nb", "a\r\nb", "a\x00b",
    "\x7f", "\ufeffa", "\u202etxt.a", "\u200b", "\u00e9", "e\u0301", "\u212b", "\u00c5",
    "\u0130", "\u1e9e", "SS", "\u65e5\u672c", "\U0001f600", "\U0001f468\u200d\U0001f469",
    "a" * 255, "a" * 256, "\u00e9" * 127, "a" * 1_000,
)  # fmt: skip


def hostile_names() -> st.SearchStrategy[str]:
    """Names that break what takes a name for a path, an identifier or a line of text.

    Clashes of case and of normal forms are among them, device names, dots, separators, control
    characters, and lengths about 255 bytes. Shrinks to "a".
    """
    return st.sampled_from(_HOSTILE)


def object_keys(*, prefix: str = "") -> st.SearchStrategy[str]:
    """Keys of R2 objects: plain ones, hostile ones, and any text of at most 1,024 bytes.

    Args:
        prefix: What all of them begin with, such as "u1/".
    """
    plain = st.text("abc", min_size=1, max_size=3)
    text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
    names = st.one_of(plain, hostile_names(), text).map(lambda name: f"{prefix}{name}")
    return names.filter(lambda key: len(key.encode()) <= KEY_BYTES_MAX)


def bodies() -> st.SearchStrategy[bytes]:
    """Bodies of objects: short ones of any bytes, longer ones of one byte. Shrinks to b""."""
    return st.one_of(
        st.binary(max_size=20),
        st.builds(lambda size, byte: bytes([byte]) * size, st.sampled_from(_SIZES), _BYTES),
    )


_BYTES: Final = st.sampled_from((0, 97, 255))


@final
@dataclass(frozen=True, repr=False)
class StoredObject:
    """One object of a bucket.

    Attributes:
        key: Its key.
        body: Its bytes.
        content_type: None is none.
        custom_metadata: What the worker kept beside it.
    """

    key: str
    body: bytes = b""
    content_type: str | None = None
    custom_metadata: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        body = self.body
        is_long = len(body) > BODY_SHOWN_MAX and body == body[:1] * len(body)
        told = f"{body[:1]!r} * {len(body)}" if is_long else repr(body)
        rest = f"{self.content_type!r}, {dict(self.custom_metadata)!r}"
        return f"StoredObject({self.key!r}, {told}, {rest})"


@final
@dataclass(frozen=True)
class WorldContent:
    """What buckets and databases hold.

    Attributes:
        objects: Objects by the name of the bucket's binding.
        rows: Rows by the name of the database's binding and the name of the table, in an order
            in which foreign keys find what they name.
    """

    objects: Mapping[str, tuple[StoredObject, ...]] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, tuple[Mapping[str, Any], ...]]] = field(
        default_factory=dict
    )

    async def put_into(self, mf: Any) -> None:
        """Put it into a world, by its bindings. The schema of a database must be there.

        Args:
            mf: A Miniflare, simulated or real.

        Raises:
            ConfigurationError: If it lacks a binding.
        """
        for binding, objects in self.objects.items():
            bucket = mf.get_r2_bucket(binding)
            for one in objects:
                metadata = {} if one.content_type is None else {"contentType": one.content_type}
                options = {
                    "httpMetadata": metadata,
                    "customMetadata": dict(one.custom_metadata),
                }
                await bucket.put(one.key, one.body, options)
        for binding, tables in self.rows.items():
            database = mf.get_d1_database(binding)
            for table, rows in tables.items():
                for row in rows:
                    await _insert(database, table, row)


async def _insert(database: Any, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(_quoted(name) for name in row)
    marks = ", ".join("?" for _ in row)
    sql = f"INSERT INTO {_quoted(table)} ({names}) VALUES ({marks})"
    await database.prepare(sql).bind(*row.values()).run()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def worlds(
    *,
    r2: Sequence[str] = (),
    d1: Mapping[str, str] | None = None,
    keys: st.SearchStrategy[str] | None = None,
    columns: Mapping[str, st.SearchStrategy[Any]] | None = None,
    objects_max: int = 4,
    rows_max: int = 4,
) -> st.SearchStrategy[WorldContent]:
    """What buckets and databases hold when the test begins.

    Args:
        r2: Names of the bindings of buckets.
        d1: The text of the schema by the binding of each database.
        keys: Keys of objects; None is `object_keys()`.
        columns: What to draw for a column, by "table.column" or "column"; what is not named is
            drawn by its declared type. A column of keys takes the same strategy as `keys`.
        objects_max: Objects of a bucket, at most.
        rows_max: Rows of a table, at most; those which the schema refuses are left out.

    Raises:
        SqlError: If a schema is wrong.
    """
    schemas = {} if d1 is None else d1
    one = st.builds(
        StoredObject,
        key=object_keys() if keys is None else keys,
        body=bodies(),
        content_type=st.sampled_from((None, "text/plain", "application/octet-stream")),
        custom_metadata=st.dictionaries(st.sampled_from(("a", "b")), _VALUES, max_size=2),
    )
    # Two spellings of one key, which differ by their normal form only, are one object.
    objects = st.lists(one, max_size=objects_max, unique_by=_normal_key).map(tuple)
    rows = {
        binding: st.fixed_dictionaries(
            {
                table.name: st.lists(_row(table, columns or {}), max_size=rows_max)
                for table in tables_of(schema)
            }
        )
        for binding, schema in schemas.items()
    }
    return _contents(
        dict(schemas),
        st.fixed_dictionaries(dict.fromkeys(r2, objects)),
        st.fixed_dictionaries(rows),
    )


# All that it draws from is laid out once: a strategy made anew costs more than a draw.
@st.composite
def _contents(
    draw: st.DrawFn,
    schemas: Mapping[str, str],
    objects: st.SearchStrategy[dict[str, tuple[StoredObject, ...]]],
    rows: st.SearchStrategy[dict[str, dict[str, list[dict[str, Any]]]]],
) -> WorldContent:
    found = draw(objects)
    drawn = draw(rows)
    return WorldContent(
        found, {binding: taken(schemas[binding], tables) for binding, tables in drawn.items()}
    )


_VALUES: Final = st.text("ab ", max_size=5)


def _normal_key(one: StoredObject) -> str:
    return unicodedata.normalize("NFC", one.key)


def _row(
    table: Table, columns: Mapping[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            column.name: columns.get(
                f"{table.name}.{column.name}",
                columns.get(column.name, _value(column.kind, may_be_null=column.may_be_null)),
            )
            for column in table.columns
        }
    )


_INTEGERS: Final = st.one_of(
    st.integers(0, 3), st.sampled_from((-1, 2**31, 2**53 - 1, 1_767_225_600_000))
)
_TEXTS: Final = st.one_of(st.sampled_from(("a", "b", "c")), st.sampled_from(_HOSTILE))
_KINDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "INTEGER": _INTEGERS,
    "REAL": st.one_of(st.sampled_from((0.0, 0.5, -1.5, 1e15)), st.integers(0, 3).map(float)),
    "BLOB": st.binary(max_size=8),
    "TEXT": _TEXTS,
    "ANY": st.one_of(_TEXTS, _INTEGERS),
}


def _value(kind: str, *, may_be_null: bool) -> st.SearchStrategy[Any]:
    values = _KINDS[kind]
    return st.one_of(values, st.none()) if may_be_null else values
