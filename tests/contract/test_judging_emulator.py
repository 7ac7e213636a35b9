"""The contract on the emulator: kept by our worker, broken by workers that are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: What the contract has at least.
LAWS_MIN = 140
FIRST_LINE = "from amber_worker.worker import Default, ExportJob\n"

#: Workers that are broken in one place: the code, and the laws which that breaks. The code
#: runs anew for every world, in one process: what it exchanges may be exchanged already.
MUTANTS: dict[str, tuple[str, set[str]]] = {
    "keeps archives for a month": (
        """
import amber_worker.export_job as job
job.RETENTION_MS = 30 * 86_400_000
""",
        {"an export expires seven days after its completion"},
    ),
    "gives what has expired": (
        """
import amber_worker.worker as api
api._refuse_expired = lambda row: None
""",
        {"an export that has expired is a 410"},
    ),
    "takes names as they are": (
        """
import amber_worker.archive_step as step
step.entry_path = lambda product, category, filename: f"{product}/{category}/{filename}"
""",
        {
            "no entry leaves the folder into which it is extracted",
            "no category leaves the folder into which it is extracted",
        },
    ),
    "gives two files one name": (
        """
from amber_worker.archive_step import ArchiveStep
from amber_worker.zip_names import entry_path
async def wanted(self, file):
    return entry_path(file["product"], file["category"], file["filename"]), {}
ArchiveStep._free_path = wanted
""",
        {"two files of one name are both there"},
    ),
    "goes back to pending": (
        """
import asyncio
class ExportJob(ExportJob):
    async def process_chunk(self, header):
        sql = "UPDATE storage_exports SET status = 'pending' WHERE id = ?"
        await self.env.DB.prepare(sql).bind(header.exportId).run()
        await asyncio.sleep(1)
        return await super().process_chunk(header)
""",
        {
            "the status only moves forward",
            "a failed export was pending or processing before",
        },
    ),
    "does not tell why it failed": (
        """
from amber_worker.export_row import ExportRow
known_failed = ExportRow.mark_failed
ExportRow.mark_failed = lambda self, error: known_failed(self, None)
""",
        {"a failed export tells why"},
    ),
    "takes everybody for somebody": (
        """
import amber_worker.worker as api
from amber_worker.auth import User
known_authenticate = api.authenticate
async def authenticate(request, env):
    return await known_authenticate(request, env) or User("anybody", "free")
api.authenticate = authenticate
""",
        {
            "nobody is let in without credentials",
            "nobody is let in with a token that nobody issued",
            "nobody is let in with credentials that are none",
            "a request of nobody leaves no export",
        },
    ),
    "stops after the first chunk": (
        """
class ExportJob(ExportJob):
    async def process_chunk(self, header):
        await super().process_chunk(header)
        header.phase = "archive"
        await self._store.save(header)
        return False
""",
        {
            "as many files as there are are exported",
            "the order goes on from chunk to chunk",
            "files added during an export hide no others",
            "files trashed during an export hide no more others than by offset",
            "more than fifty megabytes are exported with the file that alone is more",
            "missing files in several chunks are left out",
        },
    ),
    "counts wrong": (
        """
import amber_worker.export_job as job
known_manifest = job.create_manifest
def create(*files, **facts):
    return known_manifest(*files, **facts).replace('"totalFiles": ', '"totalFiles": 1')
job.create_manifest = create
""",
        {
            "the summary counts the files",
            "a file that is missing does not count",
            "an export without files has readme and manifest or stores nothing",
        },
    ),
    "writes a wrong checksum": (
        """
from amber_worker.zip_stream import ZipStreamer
known_close = ZipStreamer.close
async def close(self, entries=None, count=0):
    spoiled = [e._replace(crc=1) if e.path.endswith(".md") else e for e in entries]
    await known_close(self, spoiled, count)
ZipStreamer.close = close
""",
        {
            "every entry can be read and has its checksum",
            "the archive holds exactly the users files byte for byte",
            "a full export takes every product",
            "an export of a product takes that product alone",
            "an export of a product ignores filters",
        },
    ),
    "forgets CORS where it refuses": (
        """
import amber_worker.worker as api
known_json = api._json
def json(answer, status, cors):
    return known_json(answer, status, cors if status < 400 else {})
api._json = json
""",
        {
            "every answer allows credentials",
            "every answer names an origin",
            "an allowed origin is named",
            "for another origin the first allowed one is named",
            "without an origin the first allowed one is named",
        },
    ),
}  # fmt: skip


#: Workers that are not ours but sound: text, laws, and what the report tells.
SOUND: dict[str, tuple[str, str, list[str]]] = {
    "deflates without making smaller": (
        """
from amber_worker.zip_stream import ZIP_CONFIG
ZIP_CONFIG["COMPRESSION_LEVEL"] = 0
""",
        "deflated",
        ["deflates its files at level 0"],
    ),
    "takes rows by offset": (
        """
import amber_worker.export_job as job
async def by_offset(database, header):
    sql = (
        "SELECT * FROM storage_files WHERE user_id = ? AND deleted_at IS NULL"
        " ORDER BY created_at DESC LIMIT 100 OFFSET ?"
    )
    found = await database.prepare(sql).bind(header.userId, header.currentOffset).all()
    return list(found.results), len(found.results) == 100
job.next_rows = by_offset
""",
        "during_an_export",
        [
            "| files added during an export | repeat 30 others |",
            "| files trashed during an export | hide 20 others |",
        ],
    ),
}

#: A run takes ten seconds: what does not touch each other is broken in one worker.
TOGETHER = [
    (
        "keeps archives for a month",
        "gives what has expired",
        "gives two files one name",
        "does not tell why it failed",
    ),
    ("takes names as they are", "goes back to pending", "counts wrong"),
    ("takes everybody for somebody", "forgets CORS where it refuses"),
    ("stops after the first chunk", "writes a wrong checksum"),
]


@pytest.mark.parametrize("dialect", ["worker", "readme"])
def test_our_worker_keeps_every_law_in_both_dialects(
    judge: Callable[..., Any], dialect: str
) -> None:
    found = judge("--worker-dialect", dialect)
    assert found.status == 0, found.output
    assert found["broken"] == found["not tested"] == set()
    assert len(found["kept"]) >= LAWS_MIN
    # What needs a route that is not there yet.
    assert found["not applicable"] == {"every file is what the api gives for it"}
    spoken = {"worker": "| export\\_id |", "readme": "| exportId |"}[dialect]
    assert f"name of the id in the answer {spoken}" in found.report


@pytest.mark.usefixtures("whole_contract")
@pytest.mark.parametrize("names", TOGETHER, ids=" and ".join)
def test_a_broken_worker_breaks_the_laws_that_it_breaks_and_no_other(
    judge: Callable[..., Any], tmp_path: Path, names: tuple[str, ...]
) -> None:
    code, broken = zip(*(MUTANTS[name] for name in names), strict=True)
    script = tmp_path / "worker.py"
    script.write_text(FIRST_LINE + "".join(code), encoding="utf-8")
    found = judge("--worker-script", script)
    assert found["broken"] == set().union(*broken)
    assert found["not tested"] == set()
    assert found.status == 1


def test_every_mutant_is_judged() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(MUTANTS)


def test_a_worker_whose_archive_is_nowhere_is_not_believed(
    judge: Callable[..., Any], tmp_path: Path
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(
        f"""{FIRST_LINE}
class ExportJob(ExportJob):
    async def _complete(self, header, *, may_be_there):
        await super()._complete(header, may_be_there=may_be_there)
        await self.env.R2_BUCKET.delete(header.r2Key)
""",
        encoding="utf-8",
    )
    found = judge("--worker-script", script, "-k", "test_archive or test_status")
    assert {"the status only moves forward", "a completed export stays as it is"} <= found[
        "kept"
    ]
    assert "the archive holds exactly the users files byte for byte" in found["broken"]
    assert "Export file not found" in found.report


@pytest.mark.parametrize("name", SOUND)
def test_a_worker_that_does_what_the_contract_leaves_open_is_judged_sound(
    judge: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    text, laws, told = SOUND[name]
    script = tmp_path / "worker.py"
    script.write_text(FIRST_LINE + text, encoding="utf-8")
    found = judge("--worker-script", script, "-k", laws)
    assert found.status == 0, found.output
    assert [each for each in told if each not in found.report] == []


def test_a_job_that_hangs_is_a_law_broken_with_its_last_status(
    judge: Callable[..., Any], tmp_path: Path
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(
        f"{FIRST_LINE}\nclass ExportJob(ExportJob):\n    async def alarm(self, info=None):\n"
        "        pass\n",
        encoding="utf-8",
    )
    found = judge("--worker-script", script, "-k", "only_moves_forward")
    assert found["broken"] == {"the status only moves forward"}
    assert "has not ended after 60 s: {" in found.report
    assert "'status': 'processing'" in found.report


def test_a_worker_that_does_not_start_is_not_judged(
    judge: Callable[..., Any], tmp_path: Path
) -> None:
    script = tmp_path / "worker.py"
    script.write_text("import nothing_of_this_name\n", encoding="utf-8")
    found = judge("--worker-script", script, "-k", "unknown_export_is_a_404")
    assert found["not tested"] == {"an unknown export is a 404"}
    assert "nothing_of_this_name" in found.report
    assert found.status == 1


def test_options_that_mean_no_target_are_a_wrong_command(
    judge: Callable[..., Any], tmp_path: Path
) -> None:
    found = judge("--worker-script", "nowhere.py")
    assert found.status == 2
    assert "--worker-script nowhere.py: there is no such file" in found.output
    (tmp_path / "wrangler.toml").write_text("[[[")
    found = judge("--worker-config", tmp_path / "wrangler.toml")
    assert found.status == 2
    assert "INTERNALERROR" not in found.output


def test_a_report_that_cannot_be_written_is_refused_before_anybody_is_judged(
    judge: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "report.md").mkdir()
    found = judge("-k", "unknown_export_is_a_404")
    assert found.status == 2
    assert "report.md: it cannot be written: Is a directory" in found.output
    assert found.report == ""
