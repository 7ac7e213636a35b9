"""The export's state: what the Durable Object keeps between alarms.

Promises: README's object with its ten fields, kept as a header and pages, so that no value
grows with the export and a step writes what the step did; every `save_*` is one write unit,
so that a power cut leaves either all or nothing of a step. Leaves to others: what the steps
do (export_job).

In storage: `export_state` is the header, JSON text; `chunk:000000` and so on are the rows
that each chunk found or missed; `batch:000000` and so on are the entries that each step
wrote into the archive and the files it lost; `rest:000` and so on are the archive's bytes
that have not filled a part yet; `name:<fingerprint>` is 1 for a path that is taken, or the last
number that paths of one family were given. All of it goes when the export ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from amber_worker.zip_stream import ZipEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "ArchiveProgress", "ExportHeader", "ExportState", "ExportStore", "MissingFile",
    "Phase", "ProcessedFile", "WrittenFile", "missing_file",
]  # fmt: skip

ProcessedFile = dict[str, Any]
MissingFile = dict[str, str]

_HEADER: Final = "export_state"
#: Below the platform's 2 MB for a key and its value together.
REST_PAGE_BYTES: Final = 1024 * 1024
#: Files on one page; the longest entry takes 18 KB of JSON (file_rows, `_cut`).
PAGE_FILES: Final = 100
#: Keys in one put (Cloudflare docs, Durable Object Storage API).
PUT_KEYS_MAX: Final = 128


class Phase:
    """Where an export stands. Text, so that JSON holds it."""

    CHUNKS: Final = "chunks"
    ARCHIVE: Final = "archive"
    COMPLETE: Final = "complete"
    FAILED: Final = "failed"


@final
@dataclass(slots=True)
class ExportState:
    """README's state, whole. Only for looking at: the job works on header and pages.

    Attributes:
        exportId: The export's id, which is the object's name.
        userId: Whose files.
        exportType: full, blog, ivy or category.
        filterParams: The filters of the request, or None.
        currentOffset: Rows taken so far.
        processedFiles: Files found so far: id, r2_key, filename, size_bytes, product,
            category.
        totalSize: Sum of their declared sizes, bytes.
        missingFiles: R2 keys of those that were not there.
        r2Key: Where the archive goes; fixed at the start.
        createdAt: ISO time of the start.
    """

    exportId: str
    userId: str
    exportType: str
    filterParams: dict[str, Any] | None
    currentOffset: int
    processedFiles: list[ProcessedFile]
    totalSize: int
    missingFiles: list[str]
    r2Key: str
    createdAt: str


@final
@dataclass(slots=True)
class ArchiveProgress:
    """How far the archive is written.

    Attributes:
        uploadId: R2's name for the upload.
        partBytes: The size of all parts but the last.
        etags: Of the parts that are there, in order.
        position: Bytes written, the rest included.
        chunk: The chunk page from which the next file comes.
        index: The next file's place in that page.
        batchCount: Pages of written entries.
        entryCount: Entries on them.
        contentBytes: Sum of the entries' real sizes.
        restPages: Pages of bytes that have not filled a part yet.
    """

    uploadId: str
    partBytes: int
    etags: list[str] = field(default_factory=list)
    position: int = 0
    chunk: int = 0
    index: int = 0
    batchCount: int = 0
    entryCount: int = 0
    contentBytes: int = 0
    restPages: int = 0


@final
@dataclass(slots=True)
class ExportHeader:
    """README's fields except the two lists, and where the job stands.

    Attributes:
        phase: One of `Phase`.
        cursor: created_at and id of the last row taken.
        foundBytes: Sum of the real sizes of the files found.
        chunkCount: Chunk pages so far.
        fileCount: Files found.
        missingCount: Files missed, at any step.
        archive: None until the archive has begun.
        error: Why the export failed.
    """

    exportId: str
    userId: str
    exportType: str
    filterParams: dict[str, Any] | None
    r2Key: str
    createdAt: str
    currentOffset: int = 0
    totalSize: int = 0
    foundBytes: int = 0
    phase: str = Phase.CHUNKS
    cursor: list[str] | None = None
    chunkCount: int = 0
    fileCount: int = 0
    missingCount: int = 0
    archive: ArchiveProgress | None = None
    error: str | None = None


@final
@dataclass(slots=True)
class WrittenFile:
    """A file in the archive: its row, its real size, and its entry."""

    file: ProcessedFile
    entry: ZipEntry


@final
class ExportStore:
    """The state in an object's storage.

    Args:
        storage: `ctx.storage`.
    """

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    async def load(self) -> ExportHeader | None:
        """The header; None if there is no export here."""
        text = await self._storage.get(_HEADER)
        if text is None:
            return None
        facts = json.loads(text)
        if facts["archive"] is not None:
            facts["archive"] = ArchiveProgress(**facts["archive"])
        return ExportHeader(**facts)

    async def save(self, header: ExportHeader, pages: dict[str, Any] | None = None) -> None:
        """Write the header, and with it the pages that it counts."""
        values = [*(pages or {}).items(), (_HEADER, _json(header))]
        # All calls before the first wait: a turn of Python code on Cloudflare may end at any
        # wait, and what a turn has written is one unit.
        puts = [
            self._storage.put(dict(values[start : start + PUT_KEYS_MAX]))
            for start in range(0, len(values), PUT_KEYS_MAX)
        ]
        for put in puts:
            await put

    async def save_chunk(
        self, header: ExportHeader, processed: list[ProcessedFile], missing: list[MissingFile]
    ) -> None:
        """Write one chunk's page, and the header that counts it."""
        page = _json({"processed": processed, "missing": missing})
        key = _page("chunk", header.chunkCount)
        header.chunkCount += 1
        await self.save(header, {key: page})

    async def chunk(self, number: int) -> tuple[list[ProcessedFile], list[MissingFile]]:
        """One chunk's page: files found, files missed."""
        page = json.loads(await self._storage.get(_page("chunk", number)))
        return page["processed"], page["missing"]

    async def save_batch(
        self,
        header: ExportHeader,
        written: list[WrittenFile],
        missing: list[MissingFile],
        *,
        names: dict[str, int],
        rest: bytes,
    ) -> None:
        """Write what one step has added to the archive, and the header that counts it.

        Args:
            header: Its `archive` already stands behind the step, except for the counts of
                pages.
            written: The files that are in the archive now.
            missing: Those that were lost.
            names: What to keep for fingerprints of paths and families.
            rest: The archive's bytes that have not filled a part yet.
        """
        archive = header.archive
        assert archive is not None
        pages: dict[str, Any] = {f"name:{mark}": number for mark, number in names.items()}
        for start in range(0, max(len(written), len(missing)), PAGE_FILES):
            end = start + PAGE_FILES
            batch = {
                "written": [(w.file, w.entry) for w in written[start:end]],
                "missing": missing[start:end],
            }
            pages[_page("batch", archive.batchCount)] = _json(batch)
            archive.batchCount += 1
        # Pages of an earlier and longer rest stay: nobody counts them.
        starts = range(0, len(rest), REST_PAGE_BYTES)
        for number, start in enumerate(starts):
            pages[_page("rest", number)] = rest[start : start + REST_PAGE_BYTES]
        archive.restPages = len(starts)
        await self.save(header, pages)

    async def batches(
        self, archive: ArchiveProgress
    ) -> AsyncIterator[tuple[list[WrittenFile], list[MissingFile]]]:
        """Every step's page, in order: files written, files lost."""
        for number in range(archive.batchCount):
            page = json.loads(await self._storage.get(_page("batch", number)))
            yield (
                [
                    WrittenFile(file, ZipEntry(path, tuple(date), *facts))
                    for file, (path, date, *facts) in page["written"]
                ],
                page["missing"],
            )

    async def files_left(
        self, header: ExportHeader
    ) -> AsyncIterator[tuple[tuple[int, int], ProcessedFile]]:
        """Files that are not copied yet, each with its chunk page and its place there."""
        archive = header.archive
        assert archive is not None
        index = archive.index
        for number in range(archive.chunk, header.chunkCount):
            processed, _ = await self.chunk(number)
            for place in range(index, len(processed)):
                yield (number, place), processed[place]
            index = 0

    async def account(
        self, header: ExportHeader
    ) -> tuple[list[WrittenFile], list[MissingFile]]:
        """Every file that is kept as written, and every one that is kept as missing."""
        written: list[WrittenFile] = []
        missing: list[MissingFile] = []
        for number in range(header.chunkCount):
            missing += (await self.chunk(number))[1]
        if header.archive is not None:
            async for files, lost in self.batches(header.archive):
                written += files
                missing += lost
        return written, missing

    async def rest(self, archive: ArchiveProgress) -> bytes:
        """The archive's bytes that have not filled a part yet."""
        pages = [
            bytes(await self._storage.get(_page("rest", number)))
            for number in range(archive.restPages)
        ]
        return b"".join(pages)

    async def name_number(self, mark: str) -> int:
        """The number that is kept for a fingerprint; 0 if there is none."""
        number: int | None = await self._storage.get(f"name:{mark}")
        return 0 if number is None else int(number)

    async def whole(self) -> ExportState | None:
        """README's object, read from all pages."""
        header = await self.load()
        if header is None:
            return None
        processed: list[ProcessedFile] = []
        for number in range(header.chunkCount):
            processed += (await self.chunk(number))[0]
        _, missing = await self.account(header)
        return ExportState(
            exportId=header.exportId,
            userId=header.userId,
            exportType=header.exportType,
            filterParams=header.filterParams,
            currentOffset=header.currentOffset,
            processedFiles=processed,
            totalSize=header.totalSize,
            missingFiles=[file["r2_key"] for file in missing],
            r2Key=header.r2Key,
            createdAt=header.createdAt,
        )

    async def clear(self) -> None:
        """The export is over: nothing of it is kept."""
        # Before compatibility date 2026-02-24, `deleteAll` spares the alarm.
        erased = self._storage.deleteAll(), self._storage.deleteAlarm()
        for call in erased:
            await call


def missing_file(file: ProcessedFile, reason: str) -> MissingFile:
    """What the state and the manifest tell of a file that is missing."""
    return {"r2_key": file["r2_key"], "filename": file["filename"], "reason": reason}


def _page(kind: str, number: int) -> str:
    return f"{kind}:{number:06d}"


def _facts(value: ExportHeader | ArchiveProgress) -> dict[str, Any]:
    # `asdict` copies deeply, for which there is no need and a fiftieth of an export's time.
    return {name: getattr(value, name) for name in value.__slots__}


#: ASCII, so that a page has as many bytes as characters.
_json = json.JSONEncoder(separators=(",", ":"), default=_facts).encode
