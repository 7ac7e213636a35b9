"""Exports: bugs of Amber's export job, each a method of the port without what protects it.

They are judged by the laws of an export, as `amber chaos` judges.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any, final

from corpus.planting import now_ms, planted

from amber_worker.allowance import Allowance
from amber_worker.archive_upload import part_bytes_for
from amber_worker.chaos.cases import Case, Content
from amber_worker.chaos.replays import judge
from amber_worker.chaos.scenario import Scenario
from amber_worker.contract.seeds import SeededFile
from amber_worker.contract.target import choose
from amber_worker.export_job import START_DELAY_MS, ExportJob
from amber_worker.export_state import ArchiveProgress, ExportHeader, ExportStore
from amber_worker.file_rows import ZIP_CONFIG
from amber_worker.worker import Default


@final
class _Subject:
    """An export by one export job, judged by the laws.

    Args:
        job: The class of the job.
        names: Of the files; two of one name differ in content.
    """

    def __init__(self, job: type, *names: str) -> None:
        module = ModuleType("planted_exports")
        vars(module).update(Default=Default, ExportJob=job)
        target = choose("emulator")
        target = replace(target, options={**target.options, "worker": module})
        files = tuple(
            SeededFile(name, f"the text of file {number}".encode())
            for number, name in enumerate(names)
        )
        case = Case(name="planted", share=1, content=lambda: Content(live=files))
        self._scenario = Scenario(target, case)
        self._scenario.seed()
        self.world = None
        self.__qualname__ = self.__name__ = job.__qualname__
        self.invariants = [judge]

    async def __call__(self) -> None:
        await self._scenario()


class _OneFile:
    @staticmethod
    def make(job: type) -> _Subject:
        return _Subject(job, "a.txt")


class _TwoFiles:
    @staticmethod
    def make(job: type) -> _Subject:
        return _Subject(job, "a.txt", "b.txt")


@planted("an archive is assembled again without looking whether it is there", kinds="crash")
class AssembledAgain(_OneFile):
    class Broken(ExportJob):
        async def _complete(self, header: ExportHeader, *, may_be_there: bool) -> None:
            await super()._complete(header, may_be_there=False)

    Repaired = ExportJob


@planted("the id of the archive's upload is kept after its first part", kinds="crash")
class UploadKeptLate(_OneFile):
    class Broken(ExportJob):
        async def _begin_archive(self, header: ExportHeader) -> ArchiveProgress:
            upload = await self.env.R2_BUCKET.createMultipartUpload(header.r2Key)
            header.archive = ArchiveProgress(upload.uploadId, part_bytes_for(header.foundBytes))
            return header.archive

    Repaired = ExportJob


@planted("the state is erased before D1 is told of the end", kinds=("crash", "error"))
class ErasedBeforeTold(_OneFile):
    class Broken(ExportJob):
        def _row(self, export_id: str) -> Any:
            row = super()._row(export_id)

            async def mark_completed(**facts: Any) -> bool:
                await self._store.clear()
                return bool(await row.mark_completed(**facts))

            return SimpleNamespace(
                find=row.find,
                mark_processing=row.mark_processing,
                mark_failed=row.mark_failed,
                mark_completed=mark_completed,
            )

    Repaired = ExportJob


@planted("the alarm logs what went wrong, and ends as if nothing had", kinds="error")
class SwallowedByTheJob(_OneFile):
    class Broken(ExportJob):
        async def alarm(self, info: Any = None) -> None:
            try:
                await super().alarm(info)
            except Exception as error:
                print(f"it did not work: {error}")

    Repaired = ExportJob


class _Impatient(ExportJob):
    """The first error is the last."""

    async def alarm(self, info: Any = None) -> None:
        await super().alarm(SimpleNamespace(retryCount=6))


@planted("a failed export leaves its upload and its archive", kinds="error")
class NothingRemoved(_OneFile):
    class Broken(_Impatient):
        async def _remove_unknown(self, header: ExportHeader) -> None:
            """It has failed."""

    Repaired = _Impatient


@planted(
    "an archive that D1 knows of already is taken for unknown, and removed",
    kinds=("error after", "crash", "duplicate"),
)
class KnownArchiveRemoved(_OneFile):
    class Broken(ExportJob):
        async def _remove_unknown(self, header: ExportHeader) -> None:
            await self.env.R2_BUCKET.delete(header.r2Key)

    Repaired = ExportJob


@planted("a file that is not there is left out, and named nowhere", kinds="missing")
class MissingFileForgotten(_OneFile):
    class Broken(ExportJob):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            save_chunk = self._store.save_chunk
            self._store = _Store(ctx.storage)
            self._store.save_chunk = (  # type: ignore[method-assign]
                lambda header, processed, missing: save_chunk(header, processed, [])
            )

    Repaired = ExportJob


class _Store(ExportStore):  # type: ignore[misc]  # A bug minds no `final`.
    """The store, in which a bug may replace a method."""


class _OneFileAnAlarm(ExportJob):
    """Copies one file with each alarm, so that there are several."""

    @property
    def _allowance(self) -> Any:
        return _ONE_FILE

    @_allowance.setter
    def _allowance(self, _: Allowance) -> None:
        """It is always the same."""


class _Single:
    is_late = False

    def may_copy(self, size_bytes: int, *, file_count: int, deflated_bytes: int) -> bool:
        return not file_count

    async def insistently(self, attempt: Any) -> Any:
        return await Allowance().insistently(attempt)


_ONE_FILE = _Single()


@planted("what does not fill a part is kept in memory between alarms", kinds=("crash", "evict"))
class RestInMemory(_TwoFiles):
    class Broken(_OneFileAnAlarm):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self._store: Any = _RestInMemory(ctx.storage)

    Repaired = _OneFileAnAlarm


class _RestInMemory(_Store):
    _rest = b""

    async def save_batch(self, header: Any, written: Any, missing: Any, **facts: Any) -> None:
        self._rest = facts.pop("rest")
        await super().save_batch(header, written, missing, rest=b"", **facts)

    async def rest(self, archive: Any) -> bytes:
        return self._rest


@planted("which names are taken is kept in memory between alarms", kinds=("crash", "evict"))
class NamesInMemory:
    class Broken(_OneFileAnAlarm):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self._store: Any = _NamesInMemory(ctx.storage)

    Repaired = _OneFileAnAlarm

    @staticmethod
    def make(job: type) -> _Subject:
        return _Subject(job, "same.txt", "same.txt")


class _NamesInMemory(_Store):
    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self._names: dict[str, int] = {}

    async def save_batch(self, header: Any, written: Any, missing: Any, **facts: Any) -> None:
        self._names.update(facts.pop("names"))
        await super().save_batch(header, written, missing, names={}, **facts)

    async def name_number(self, mark: str) -> int:
        return self._names.get(mark, 0)


class _OneRowAChunk(ExportJob):
    """Takes one row with each alarm, so that there are several."""

    async def process_chunk(self, header: ExportHeader) -> bool:
        usual = ZIP_CONFIG["MAX_FILES_PER_CHUNK"]
        ZIP_CONFIG["MAX_FILES_PER_CHUNK"] = 1
        try:
            return await super().process_chunk(header)
        finally:
            ZIP_CONFIG["MAX_FILES_PER_CHUNK"] = usual


@planted("where the next chunk begins is kept in memory", kinds=("crash", "evict"))
class CursorInMemory(_TwoFiles):
    class Broken(_OneRowAChunk):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self._store: Any = _CursorInMemory(ctx.storage)

    Repaired = _OneRowAChunk


class _CursorInMemory(_Store):
    _cursor: list[str] | None = None

    async def save(self, header: Any, pages: Any = None) -> None:
        self._cursor, header.cursor = header.cursor, None
        await super().save(header, pages)

    async def load(self) -> ExportHeader | None:
        header = await super().load()
        if header is not None:
            header.cursor = self._cursor
        return header


@planted("the first alarm is set when D1 has been told of the start", kinds="crash")
class StartedWithoutAlarm(_OneFile):
    class Broken(ExportJob):
        async def start_export(self, export_id: str) -> None:
            if await self._store.load() is not None:
                return  # It has been started before.
            row = await self._row(export_id).find()
            header = ExportHeader(
                exportId=export_id,
                userId=row.user_id,
                exportType=row.export_type,
                filterParams=None,
                r2Key=f"exports/{row.user_id}/{export_id}/{now_ms()}-export.zip",
                createdAt="2026-01-01T00:00:00.000Z",
            )
            await self._store.save(header)
            await self._tell_start(header)
            await self._storage.setAlarm(now_ms() + START_DELAY_MS)

    Repaired = ExportJob


@planted("that an export has begun is written over whatever D1 says", kinds=("stall", "hold"))
class BegunAfterTheEnd(_OneFile):
    class Broken(ExportJob):
        async def _tell_start(self, header: ExportHeader) -> None:
            update = "UPDATE storage_exports SET status = 'processing' WHERE id = ?"
            await self.env.DB.prepare(update).bind(header.exportId).run()
            self._has_told_start = True

    Repaired = ExportJob


@planted("the report of a failure is tried once", needs=2, kinds="error")
class FailureReportedOnce(_OneFile):
    class Broken(_Impatient):
        async def _report_failure(self, header: ExportHeader) -> None:
            try:
                await self._row(header.exportId).mark_failed(header.error)
                await self._remove_unknown(header)
            except Exception as error:
                print(f"could not tell: {error}")
            await self._store.clear()

    Repaired = _Impatient
