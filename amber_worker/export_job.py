"""The export job: the Durable Object that turns a user's files into a ZIP, by alarms.

Promises: an export that was started ends as completed or failed, whatever is delivered
twice, interrupted or refused on the way; no file is repeated or lost; nothing that a step
does is kept unless all of it is. Leaves to others: the state's form (export_state), the
archive's (zip_stream), requests (worker).

Each alarm takes one step, from what is stored to what is stored:

1. *chunks*: take rows from D1, look each up in R2, keep a page; two seconds to the next.
2. *archive*: copy files into the archive, upload full parts, keep the rest; two seconds to
   the next. A step that is run again starts at the same byte and replaces the same parts.
3. *complete*: assemble the object unless it is there already, tell D1, forget everything.
4. *failed*: tell D1, give up parts and archive, forget everything; again every minute until
   that has worked.

An alarm goes on with the next step at once where the step before needed no second alarm, so
that a small export is one alarm.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import UTC, datetime
from typing import Any, Final

from workers import DurableObject

from amber_worker.allowance import Allowance, read
from amber_worker.archive_step import ArchiveStep
from amber_worker.archive_upload import ArchiveUpload, part_bytes_for
from amber_worker.export_row import ExportRow
from amber_worker.export_state import (
    ArchiveProgress,
    ExportHeader,
    ExportState,
    ExportStore,
    MissingFile,
    Phase,
    ProcessedFile,
    missing_file,
)
from amber_worker.file_rows import file_of, next_rows
from amber_worker.manifest import create_manifest, create_readme
from amber_worker.zip_stream import BrokenSource, ZipStreamer

__all__ = ["ExportJob"]

_log = logging.getLogger("amber")

START_DELAY_MS: Final = 1_000
STEP_DELAY_MS: Final = 2_000
#: Between two attempts to tell D1 of a failure.
REPORT_DELAY_MS: Final = 60_000
#: Lookups at one time: as many as wait for response headers together, since the platform
#: lets further ones queue (Cloudflare docs, Workers, Limits, "Simultaneous open connections").
HEADS_AT_ONCE: Final = 6
#: The platform runs a failing alarm once and six times more (Cloudflare docs, Alarms).
ALARM_RETRIES: Final = 6
#: An alarm that takes longer has failed. Sooner than the platform says so: it ends the alarm
#: after 15 minutes, without a word to the handler and, the seventh time, for good.
ALARM_SECONDS_MAX: Final = 780
#: Bytes deflated in a millisecond of CPU, as the charge is reckoned.
DEFLATED_BYTES_A_MS: Final = 20_000
RETENTION_MS: Final = 7 * 86_400_000


class ExportJob(DurableObject):
    """One export. The object's name is the export's id.

    Args:
        ctx: The object's state.
        env: `DB` and `R2_BUCKET`.
    """

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self._storage = ctx.storage
        self._store = ExportStore(ctx.storage)
        self._allowance = Allowance()
        #: D1 has been told of the start. In memory only: it may be told again.
        self._has_told_start = False

    # -- what others call ------------------------------------------------------------------

    async def start_export(self, export_id: str) -> None:
        """Begin the export. Beginning it again, or when it is over, changes nothing.

        Args:
            export_id: The id of its row in D1.

        Raises:
            Exception: If there is no such row ("Export {id} not found"); nothing changes.
        """
        row = await self._row(export_id).find()
        if row is None:
            message = f"Export {export_id} not found"
            raise Exception(message)
        # From here to the alarm there is no wait that lets anybody else in.
        if await self._store.load() is not None:
            if await self._storage.getAlarm() is None:
                # It runs now, or it is lost: one step more does no harm.
                await self._storage.setAlarm(_now_ms() + START_DELAY_MS)
            return
        if row.status not in ("pending", "processing"):
            return
        now = datetime.now(UTC)
        header = ExportHeader(
            exportId=export_id,
            userId=row.user_id,
            exportType=row.export_type,
            filterParams=json.loads(row.filter_params) if row.filter_params else None,
            r2Key=f"exports/{row.user_id}/{export_id}/{_now_ms()}-export.zip",
            createdAt=_iso(now),
        )
        await self._store.save(header)
        await self._storage.setAlarm(_now_ms() + START_DELAY_MS)
        await self._tell_start(header)

    #: README's name for it.
    startExport = start_export

    async def alarm(self, info: Any = None) -> None:
        """Take the next step.

        Args:
            info: `retryCount`: how many runs of this alarm have failed.

        Raises:
            Exception: What failed, so that the platform tries again; not the last time.
        """
        header = await self._store.load()
        if header is None:
            _log.error("alarm without export state")
            return
        self._allowance = Allowance()
        if header.phase == Phase.FAILED:
            await self._report_failure(header)
            return
        try:
            async with asyncio.timeout(ALARM_SECONDS_MAX):
                await self._take_steps(header)
        except Exception as error:
            if getattr(info, "retryCount", 0) < ALARM_RETRIES:
                raise
            await self.handle_failure(error)

    async def _take_steps(self, header: ExportHeader) -> None:
        was_ending = header.phase == Phase.COMPLETE
        if header.phase == Phase.CHUNKS and await self.process_chunk(header):
            return
        if header.phase == Phase.ARCHIVE and await self.finalize_export(header):
            return
        await self._complete(header, may_be_there=was_ending)

    async def state(self) -> ExportState | None:
        """README's state object, whole; None before the start and after the end."""
        return await self._store.whole()

    # -- chunks ----------------------------------------------------------------------------

    async def process_chunk(self, header: ExportHeader) -> bool:
        """Take the next rows, see which of their objects are there, and keep the result.

        Returns:
            Whether there are more rows, for which an alarm is set.
        """
        if header.currentOffset == 0 and not self._has_told_start:
            # The start was cut off before it told D1.
            await self._tell_start(header)
        rows, has_more = await next_rows(self.env.DB, header)
        processed: list[ProcessedFile] = []
        missing: list[MissingFile] = []
        for start in range(0, len(rows), HEADS_AT_ONCE):
            if start and self._allowance.is_late:
                rows, has_more = rows[:start], True
                break
            group = rows[start : start + HEADS_AT_ONCE]
            answers = await asyncio.gather(*map(self._look_up, group))
            for file, answer in zip(map(file_of, group), answers, strict=True):
                if isinstance(answer, str):
                    missing.append(missing_file(file, answer))
                else:
                    processed.append(file)
                    header.foundBytes += answer
        header.currentOffset += len(rows)
        if rows:
            header.cursor = [rows[-1].created_at, rows[-1].id]
        size_bytes = sum(file["size_bytes"] for file in processed)
        header.totalSize += size_bytes
        header.fileCount += len(processed)
        header.missingCount += len(missing)
        if not has_more:
            header.phase = Phase.ARCHIVE
        await self._store.save_chunk(header, processed, missing)
        if has_more:
            await self._storage.setAlarm(_now_ms() + STEP_DELAY_MS)
        told = f", {header.missingCount} files missing in R2" if header.missingCount else ""
        self._tell(
            f"Export {header.exportId}: chunk {header.chunkCount} with {len(rows)} files, "
            f"{size_bytes} bytes{told}",
            step="chunk",
            rows=len(rows),
            size_bytes=size_bytes,
            missing=len(missing),
        )
        return has_more

    async def _look_up(self, row: Any) -> int | str:
        """The real size of a row's object, or why it is missing."""
        try:
            found = await self._allowance.insistently(
                lambda: read(self.env.R2_BUCKET.head(row.r2_key))
            )
        except BrokenSource as error:
            _log.warning("file %r could not be checked: %s", row.r2_key, error.reason)
            return f"unreadable: {error.reason}"
        return "not found" if found is None else int(found.size)

    # -- the archive -----------------------------------------------------------------------

    async def finalize_export(self, header: ExportHeader) -> bool:
        """Copy the next files into the archive; behind the last, end it.

        Returns:
            Whether there are more files, for which an alarm is set.
        """
        archive = header.archive
        if archive is None:
            archive = await self._begin_archive(header)
        upload = ArchiveUpload(
            self._resume(header, archive),
            archive.partBytes,
            archive.etags,
            await self._store.rest(archive),
        )
        streamer = ZipStreamer(upload.write, position=archive.position)
        step = ArchiveStep(self.env.R2_BUCKET, self._store, streamer, self._allowance)
        async for place, file in self._store.files_left(header):
            if not step.may_copy(file):
                archive.chunk, archive.index = place
                break
            await step.copy(file)
        else:
            header.phase = Phase.COMPLETE
        has_more = header.phase == Phase.ARCHIVE
        archive.entryCount += len(step.written)
        archive.contentBytes += step.size_bytes
        header.missingCount += len(step.missing)
        if not has_more:
            await self._end_archive(header, streamer, step)
            await upload.flush()
        archive.position = streamer.position
        await self._store.save_batch(
            header, step.written, step.missing, names=step.names, rest=upload.rest
        )
        if has_more:
            await self._storage.setAlarm(_now_ms() + STEP_DELAY_MS)
        self._tell(
            f"Export {header.exportId}: {archive.entryCount} of {header.fileCount} files "
            f"are in the archive, {archive.position} bytes",
            step="archive",
            rows=len(step.written) + len(step.missing),
            size_bytes=step.size_bytes,
            missing=len(step.missing),
            cpu_ms=streamer.deflated_bytes // DEFLATED_BYTES_A_MS,
        )
        return has_more

    async def _begin_archive(self, header: ExportHeader) -> ArchiveProgress:
        upload = await self.env.R2_BUCKET.createMultipartUpload(
            header.r2Key,
            httpMetadata={"contentType": "application/zip"},
            customMetadata={
                "export-id": header.exportId,
                "user-id": header.userId,
                "export-type": header.exportType,
                "file-count": str(header.fileCount),
                "total-size": str(header.totalSize),
            },
        )
        archive = ArchiveProgress(upload.uploadId, part_bytes_for(header.foundBytes))
        header.archive = archive
        # The first part leaves through the output gate, so that no part is ever uploaded
        # whose upload is not known after a power cut.
        await self._store.save(header)
        return archive

    def _resume(self, header: ExportHeader, archive: ArchiveProgress) -> Any:
        return self.env.R2_BUCKET.resumeMultipartUpload(header.r2Key, archive.uploadId)

    async def _end_archive(
        self, header: ExportHeader, streamer: ZipStreamer, step: ArchiveStep
    ) -> None:
        """Write what tells the truth about the archive, and list it first."""
        created = datetime.fromisoformat(header.createdAt)
        written, missing = await self._store.account(header)
        written += step.written
        missing += step.missing
        readme = await streamer.add_text_file(
            "README.txt",
            create_readme(
                file_count=len(written), missing_count=len(missing), created=header.createdAt
            ),
            modified=created,
        )
        manifest = await streamer.add_text_file(
            "manifest.json",
            create_manifest(written, missing, created=header.createdAt),
            modified=created,
        )
        entries = [readme, manifest, *(item.entry for item in written)]
        await streamer.close(entries, len(entries))

    # -- the two ends ----------------------------------------------------------------------

    async def _complete(self, header: ExportHeader, *, may_be_there: bool) -> None:
        """Assemble the archive, tell D1, forget everything. May be run again at any point.

        Args:
            header: Its archive has all its parts.
            may_be_there: An earlier alarm may have assembled it.
        """
        archive = header.archive
        assert archive is not None
        bucket = self.env.R2_BUCKET
        if not may_be_there or await bucket.head(header.r2Key) is None:
            parts = [
                {"partNumber": number, "etag": etag}
                for number, etag in enumerate(archive.etags, start=1)
            ]
            await self._resume(header, archive).complete(parts)
        expires = datetime.fromtimestamp((_now_ms() + RETENTION_MS) / 1_000, UTC)
        has_changed = await self._row(header.exportId).mark_completed(
            key=header.r2Key,
            size_bytes=archive.position,
            file_count=archive.entryCount,
            expires_at=_iso(expires),
        )
        if not has_changed:
            # The row knows of the archive already, or will never.
            await self._remove_unknown(header)
        _log.info(
            "Export %s completed: %d files, %d bytes",
            header.exportId,
            archive.entryCount,
            archive.contentBytes,
        )
        await self._store.clear()

    async def _remove_unknown(self, header: ExportHeader) -> None:
        """Remove parts and archive, unless the row in D1 has the archive's key."""
        if header.archive is None:
            return
        row = await self._row(header.exportId).find()
        if row is None or row.r2_key != header.r2Key:
            await self._resume(header, header.archive).abort()
            await self.env.R2_BUCKET.delete(header.r2Key)

    async def handle_failure(self, error: BaseException) -> None:
        """The export has failed: keep why, and end it.

        Args:
            error: What every attempt has ended with.
        """
        header = await self._store.load()
        if header is None:
            return
        _log.error("Export %s failed: %s", header.exportId, _told(error))
        header.phase = Phase.FAILED
        header.error = _told(error)
        await self._store.save(header)
        await self._report_failure(header)

    async def _report_failure(self, header: ExportHeader) -> None:
        """Tell D1, remove parts and archive, forget everything; in a minute if that fails."""
        await self._storage.setAlarm(_now_ms() + REPORT_DELAY_MS)
        try:
            # First, since D1 may have been told of success, whose answer was lost; then
            # this changes nothing.
            await self._row(header.exportId).mark_failed(header.error)
            await self._remove_unknown(header)
        except Exception as error:
            _log.warning(
                "Export %s has failed, which cannot be ended yet: %s",
                header.exportId,
                _told(error),
            )
            return
        await self._store.clear()

    async def _tell_start(self, header: ExportHeader) -> None:
        await self._row(header.exportId).mark_processing()
        self._has_told_start = True

    def _row(self, export_id: str) -> ExportRow:
        return ExportRow(self.env.DB, export_id)

    def _tell(self, line: str, **figures: int | str) -> None:
        """One line for one step; its figures are for whoever shows them."""
        _log.info("%s", line, extra={"figures": figures})


def _now_ms() -> int:
    return int(time.time() * 1_000)


def _iso(instant: datetime) -> str:
    """As JavaScript's `toISOString` has it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _told(error: BaseException) -> str:
    """An error in words: its kind and its message, at most a thousand characters."""
    if isinstance(error, TimeoutError):
        return f"TimeoutError: a step took longer than {ALARM_SECONDS_MAX // 60} minutes"
    message = getattr(error, "message", None)
    if message is None:
        # Some of Python's errors have a `name`, too, which is no kind of error.
        return f"{type(error).__name__}: {error}"[:1_000]
    name = getattr(error, "name", "Error")
    return f"{name}: {message}"[:1_000]
