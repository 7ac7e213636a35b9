"""The seeds: a user's files, as rows in D1 and objects in R2.

Promises: what is seeded is known to the byte, each content is like no other, and rows are
written through the bindings that the worker itself has. Leaves to others: the worker (world),
and what it makes of the files (archive).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, final

__all__ = ["SeededFile", "Storage", "garden", "noise", "numbered_files"]

#: Objects written at one time.
PUTS_AT_ONCE: Final = 6
#: One statement takes its rows as one JSON text: D1 allows 100 values, and 2 MB for each.
ROWS_AT_ONCE: Final = 200

_INSERT_FILES: Final = """\
INSERT INTO storage_files
  (id, user_id, r2_key, filename, mime_type, size_bytes, product, category, created_at,
   deleted_at)
SELECT json_extract(value, '$.id'), json_extract(value, '$.user'),
       json_extract(value, '$.key'), json_extract(value, '$.filename'),
       'application/octet-stream', json_extract(value, '$.size_bytes'),
       json_extract(value, '$.product'), json_extract(value, '$.category'),
       json_extract(value, '$.created_at'), json_extract(value, '$.deleted_at')
FROM json_each(?)"""


@final
@dataclass(frozen=True, slots=True)
class SeededFile:
    """A row, and the object behind it.

    Attributes:
        filename: The file's own name.
        content: The object's bytes.
        product: blog, ivy, profile or themes.
        category: Free text.
        created_at: UTC text as D1 writes it; decides the order in an export.
        key: In R2; made when the file is seeded, if empty.
        declared_bytes: What the row says of the size; the truth if None.
        deleted_at: UTC text if the file is in the trash.
        has_object: Whether there is an object at all.
    """

    filename: str
    content: bytes
    product: str = "blog"
    category: str = "posts"
    created_at: str = "2025-12-01 12:00:00"
    key: str = ""
    declared_bytes: int | None = None
    deleted_at: str | None = None
    has_object: bool = True

    @property
    def path(self) -> str:
        """The entry's name in an archive."""
        return f"{self.product}/{self.category}/{self.filename}"

    @property
    def size_bytes(self) -> int:
        """What the row says."""
        return len(self.content) if self.declared_bytes is None else self.declared_bytes


@final
class Storage:
    """The worker's D1 and R2, seen past the worker.

    Args:
        database: D1.
        bucket: R2.
        first: The number in the id of the first row.
    """

    def __init__(self, database: Any, bucket: Any, *, first: int = 0) -> None:
        self.database = database
        self.bucket = bucket
        self._count = first

    async def add_user(self, user_id: str) -> None:
        """Write the row that a user's other rows refer to."""
        await self.execute("INSERT OR IGNORE INTO user_storage (user_id) VALUES (?)", user_id)

    async def add_files(self, user_id: str, files: list[SeededFile]) -> list[SeededFile]:
        """Write objects, then rows.

        Returns:
            The files with their keys.
        """
        keyed = []
        for file in files:
            self._count += 1
            key = file.key or f"{user_id}/{file.product}/{self._count:06d}"
            keyed.append(replace(file, key=key))
        present = [file for file in keyed if file.has_object]
        for start in range(0, len(present), PUTS_AT_ONCE):
            group = present[start : start + PUTS_AT_ONCE]
            await asyncio.gather(*(self.bucket.put(file.key, file.content) for file in group))
        first = self._count - len(keyed)
        rows = [
            {
                "id": f"file-{first + place:06d}",
                "user": user_id,
                "size_bytes": file.size_bytes,
                **{n: v for n, v in asdict(file).items() if n not in ("content", "has_object")},
            }
            for place, file in enumerate(keyed)
        ]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            await self.execute(_INSERT_FILES, json.dumps(rows[start : start + ROWS_AT_ONCE]))
        return keyed

    async def trash(self, files: list[SeededFile]) -> None:
        """Put files into the trash."""
        await self.execute(
            "UPDATE storage_files SET deleted_at = '2026-01-01 00:00:00'"
            " WHERE r2_key IN (SELECT value FROM json_each(?))",
            json.dumps([file.key for file in files]),
        )

    async def execute(self, sql: str, *values: Any) -> None:
        """Run one statement."""
        statement = self.database.prepare(sql)
        await (statement.bind(*values) if values else statement).run()

    async def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """What a query finds."""
        statement = self.database.prepare(sql)
        answer = await (statement.bind(*values) if values else statement).all()
        return [dict(row) for row in answer.results]

    async def keys(self, prefix: str) -> list[str]:
        """The keys of the objects below a prefix; the contract never has a second page."""
        page = await self.bucket.list(prefix=prefix)
        return [found.key for found in page.objects]


def noise(name: str, size_bytes: int) -> bytes:
    """Bytes that no compressor makes smaller, and that no other name has."""
    return hashlib.shake_128(name.encode()).digest(size_bytes)


def numbered_files(
    count: int, *, size_bytes: int = 60, prefix: str = "n", **facts: Any
) -> list[SeededFile]:
    """So many files of one category, each with a content of its own."""
    return [
        SeededFile(f"{prefix}{number:04d}.bin", noise(f"{prefix}{number}", size_bytes), **facts)
        for number in range(count)
    ]


def garden() -> list[SeededFile]:
    """A few files of every kind that laws like to look at, newest first."""
    text = "A line about slugs, and what they leave of the lettuce.\n"
    return [
        SeededFile("january.md", text.encode() * 60, "blog", "posts", "2025-12-06 10:00:00"),
        SeededFile(
            "ünïcode ☘ größe.eml", noise("mail", 900), "ivy", "mail", "2025-12-05 10:00:00"
        ),
        SeededFile("bed.png", noise("png", 70_000), "blog", "images", "2025-12-04 10:00:00"),
        SeededFile(
            "letter to a neighbour.txt", b"Dear neighbour\r\n" * 40, "ivy", "attachments",
            "2025-12-03 10:00:00",
        ),
        SeededFile("empty.css", b"", "themes", "amber", "2025-12-02 10:00:00"),
        SeededFile("me.svg", b"<svg/>", "profile", "avatar", "2025-12-01 10:00:00"),
    ]  # fmt: skip
