"""The rows: which files an export takes, chunk by chunk.

Promises: newest first, by keyset, so that rows which are added or trashed meanwhile neither
hide nor repeat others; a chunk ends at a hundred files or 50 MB, whichever comes first.
Leaves to others: whether the files are there (export_job).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from amber_worker.zip_stream import ZIP_CONFIG

if TYPE_CHECKING:
    from amber_worker.export_state import ExportHeader, ProcessedFile

__all__ = ["file_of", "next_rows"]


def _cut(column: str, characters: int) -> str:
    """SQL for a column that is cut if it is long.

    A name of more than 255 bytes is cut in the archive anyway, and a key of more than 1,024
    is none. Only then: `substr` ends at a NUL, and the shorter key may be another file's.
    """
    is_long = f"length(CAST({column} AS BLOB)) > {characters}"
    return f"iif({is_long}, substr({column}, 1, {characters + 1}), {column}) AS {column}"


# No page of rows may meet a limit of a stored value, hence the cuts. The cast of what is text
# already keeps SQLite from compiling the statement anew at each run, as it does for a bare
# parameter before an index on an expression.
_SELECT: Final = f"""\
SELECT id, {_cut("r2_key", 1_024)}, {_cut("filename", 400)}, size_bytes, product,
       {_cut("category", 400)}, COALESCE(created_at, '') AS created_at
FROM storage_files
WHERE user_id = CAST(?1 AS TEXT) AND deleted_at IS NULL{{condition}}
ORDER BY COALESCE(created_at, '') DESC, id DESC
LIMIT {{limit}}"""


async def next_rows(database: Any, header: ExportHeader) -> tuple[list[Any], bool]:
    """The rows of the next chunk, and whether there are more behind them.

    Args:
        database: D1.
        header: Its type and filters choose, its cursor is where the last chunk ended.
    """
    conditions, values = [], [header.userId]
    if header.exportType in ("blog", "ivy"):
        conditions.append(f"product = ?{len(values) + 1}")
        values.append(header.exportType)
    elif header.exportType == "category":
        conditions.append(f"category = ?{len(values) + 1}")
        values.append(str((header.filterParams or {}).get("category", "")))
    if header.cursor is not None:
        place = len(values)
        conditions.append(f"(COALESCE(created_at, ''), id) < (?{place + 1}, ?{place + 2})")
        values += header.cursor
    # One more than a chunk takes tells whether there are more.
    count = ZIP_CONFIG["MAX_FILES_PER_CHUNK"]
    sql = _SELECT.format(
        condition="".join(f" AND {text}" for text in conditions), limit=count + 1
    )
    found = (await database.prepare(sql).bind(*values).all()).results
    taken, size_bytes = 0, 0
    for row in found[:count]:
        size_bytes += _declared_size(row)
        if taken and size_bytes > ZIP_CONFIG["MAX_CHUNK_SIZE"]:
            break
        taken += 1
    return list(found[:taken]), taken < len(found)


def file_of(row: Any) -> ProcessedFile:
    """What the state keeps of a row."""
    return {
        "id": row.id,
        "r2_key": row.r2_key,
        "filename": row.filename,
        "size_bytes": _declared_size(row),
        "product": row.product,
        "category": row.category,
    }


def _declared_size(row: Any) -> int:
    """The size that the row declares; what is no number counts for nothing."""
    size = row.size_bytes
    return max(int(size), 0) if isinstance(size, int | float) else 0
