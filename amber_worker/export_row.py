"""The export's row: what D1 knows of an export, and is told by its job.

Promises: the status moves from pending to processing and from there to completed or failed,
each change at most once, however often it is told. Leaves to others: when (export_job), and
the rows of files (file_rows).
"""

from __future__ import annotations

from typing import Any, final

__all__ = ["ExportRow"]


@final
class ExportRow:
    """One row of storage_exports.

    Args:
        database: D1.
        export_id: The row's id.
    """

    def __init__(self, database: Any, export_id: str) -> None:
        self._database = database
        self._id = export_id

    async def find(self) -> Any:
        """What the export is asked for, its status and the archive's key; None if unknown."""
        return await self._statement(
            "SELECT user_id, status, export_type, filter_params, r2_key"
            " FROM storage_exports WHERE id = ?1"
        ).first()

    async def mark_processing(self) -> None:
        """The job has begun."""
        await self._statement(
            "UPDATE storage_exports SET status = 'processing'"
            " WHERE id = ?1 AND status = 'pending'"
        ).run()

    async def mark_completed(
        self, *, key: str, size_bytes: int, file_count: int, expires_at: str
    ) -> bool:
        """The archive is there.

        Args:
            key: Where in R2.
            size_bytes: Its size.
            file_count: How many of the user's files it holds.
            expires_at: ISO time.

        Returns:
            Whether the row has changed; it has not if it knew, failed, or is gone.
        """
        done = await self._statement(
            "UPDATE storage_exports SET status = 'completed', r2_key = ?2, size_bytes = ?3,"
            " file_count = ?4, completed_at = datetime('now'), expires_at = ?5"
            " WHERE id = ?1 AND status IN ('pending', 'processing')",
            key,
            size_bytes,
            file_count,
            expires_at,
        ).run()
        return bool(done.meta.changes)

    async def mark_failed(self, error: str | None) -> None:
        """The export has failed; a row that is completed stays so."""
        await self._statement(
            "UPDATE storage_exports SET status = 'failed', error_message = ?2"
            " WHERE id = ?1 AND status IN ('pending', 'processing')",
            error,
        ).run()

    def _statement(self, sql: str, *values: Any) -> Any:
        return self._database.prepare(sql).bind(self._id, *values)
