"""The export's state: what the Durable Object keeps between alarms.

Promises: README's object with its ten fields, kept as a header and pages, so that no value
grows with the export and a step writes what the step did; every `save_*` is one write unit
together with the alarm that follows it, so that a power cut leaves either all or nothing of
a step. Leaves to others: what the steps do (export_job).

In storage: `export_state` is the header, JSON text; `chunk:000000` and so on are the rows
that each chunk found or missed; `batch:000000` and so on are the entries that each step
wrote into the archive and the files it lost; `rest:000` and so on are the archive's bytes
that have not filled a part yet; `name:<fingerprint>` is the last number that a path was
given. All of it goes when the export ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from amber_worker.zip_stream import ZipEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "ArchiveProgress", "ExportHeader", "ExportState", "ExportStore", "MissingFile",
    "Phase", "ProcessedFile", "WrittenFile",
]  # fmt: skip

ProcessedFile = dict[str, Any]
MissingFile = dict[str, str]

_HEADER: Final = "export_state"
#: Below the platform's 2 MB for a key and its value together.
REST_PAGE_BYTES: Final = 1024 * 1024
#: Files on one page; the longest row takes 12 KB of JSON (export_job, `_SELECT`).
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

    async def save(self, header: ExportHeader) -> None:
        """Write the header."""
        await self._storage.put(_HEADER, _json(asdict(header)))

    async def save_chunk(
        self, header: ExportHeader, processed: list[ProcessedFile], missing: list[MissingFile]
    ) -> None:
        """Write one chunk's page, and the header that counts it."""
        page = {"processed": processed, "missing": missing}
        await self._storage.put(_page("chunk", header.chunkCount), _json(page))
        header.chunkCount += 1
        await self.save(header)

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
            names: The numbers that paths were given, by fingerprint.
            rest: The archive's bytes that have not filled a part yet.
        """
        archive = header.archive
        assert archive is not None
        for start in range(0, max(len(written), len(missing)), PAGE_FILES):
            end = start + PAGE_FILES
            page = {
                "written": [(w.file, w.entry) for w in written[start:end]],
                "missing": missing[start:end],
            }
            await self._storage.put(_page("batch", archive.batchCount), _json(page))
            archive.batchCount += 1
        taken = [(f"name:{mark}", number) for mark, number in names.items()]
        for start in range(0, len(taken), PUT_KEYS_MAX):
            await self._storage.put(dict(taken[start : start + PUT_KEYS_MAX]))
        pages = range(0, len(rest), REST_PAGE_BYTES)
        for number, start in enumerate(pages):
            page_bytes = rest[start : start + REST_PAGE_BYTES]
            await self._storage.put(_page("rest", number), page_bytes)
        for number in range(len(pages), archive.restPages):
            await self._storage.delete(_page("rest", number))
        archive.restPages = len(pages)
        await self.save(header)

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

    async def rest(self, archive: ArchiveProgress) -> bytes:
        """The archive's bytes that have not filled a part yet."""
        pages = [
            bytes(await self._storage.get(_page("rest", number)))
            for number in range(archive.restPages)
        ]
        return b"".join(pages)

    async def name_number(self, mark: str) -> int:
        """The last number that a path with this fingerprint was given; 0 if it is free."""
        number: int | None = await self._storage.get(f"name:{mark}")
        return 0 if number is None else int(number)

    async def whole(self) -> ExportState | None:
        """README's object, read from all pages."""
        header = await self.load()
        if header is None:
            return None
        processed: list[ProcessedFile] = []
        missing: list[MissingFile] = []
        for number in range(header.chunkCount):
            found, missed = await self.chunk(number)
            processed += found
            missing += missed
        if header.archive is not None:
            async for _, lost in self.batches(header.archive):
                missing += lost
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
        await self._storage.deleteAll()


def _page(kind: str, number: int) -> str:
    return f"{kind}:{number:06d}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
