"""Exporting: a folder through the whole worker, under simulated time.

Promises: files go to R2 and rows to D1, then everything runs as it would for a user: POST,
alarms until idle, status, download. The archive is written aside and renamed when it is
whole, so that nothing half-written is ever left. Leaves to others: showing it (the report).
"""

from __future__ import annotations

import json
import logging
import mimetypes
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

# Bound here, where no simulation runs: inside one, the module's own clock is simulated.
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol, final

import emulator
from amber_worker.cli.folder import FolderError, LocalFile, shown
from amber_worker.options import options
from emulator.web.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import httpx

    from emulator import Miniflare
    from emulator.simulation.trace import TraceEvent

__all__ = ["AlarmRow", "ExportOutcome", "ExportPlan", "Watcher", "run_export"]

#: Rows sent to D1 in one batch, and bytes read from a file at once.
BATCH_ROWS: Final = 500
READ_BYTES: Final = 1 << 20
#: Files above this size are streamed into R2.
WHOLE_FILE_BYTES_MAX: Final = 1 << 20

_INSERT = (
    "INSERT INTO storage_files (id, user_id, r2_key, filename, mime_type, size_bytes, product,"
    " category) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What to export, and how."""

    files: tuple[LocalFile, ...]
    out: Path
    user: str
    export_type: str
    category: str | None
    missing_count: int
    seed: int


@final
@dataclass(slots=True)
class AlarmRow:
    """What one step of an alarm did. A small export takes all its steps in one alarm.

    Attributes:
        time_ms: Simulated milliseconds from the POST to the alarm.
        rows: Files that were looked at or copied.
        size_bytes: Their bytes.
        missing: Files that were not there.
        wall_ms: Real milliseconds.
        cpu_ms: CPU that the platform would charge, at 20 MB deflated a second.
        step: "chunk" or "archive"; empty for an alarm that failed or only ended the export.
    """

    time_ms: int
    rows: int = 0
    size_bytes: int = 0
    missing: int = 0
    wall_ms: float = 0.0
    cpu_ms: int = 0
    step: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOutcome:
    """How it ended."""

    status: str
    error: str | None
    file_count: int
    size_bytes: int
    missing: tuple[str, ...]
    simulated_ms: int
    wall_ms: float
    digest: str
    seed: int
    out: Path
    alarms: list[AlarmRow] = field(default_factory=list)


class Watcher(Protocol):
    """Who is told how far it is."""

    def loading(self, done: int, total: int) -> None:
        """So many of the files are loaded."""

    def streaming(self, done: int, total: int | None) -> None:
        """So many bytes of the archive are written."""


def run_export(plan: ExportPlan, watcher: Watcher) -> ExportOutcome:
    """Export a folder.

    Args:
        plan: What, and how.
        watcher: Told how far it is.

    Raises:
        FolderError: If a file cannot be read, or the archive cannot be written.
    """
    return emulator.run(_export, plan, watcher, seed=plan.seed)


async def _export(plan: ExportPlan, watcher: Watcher) -> ExportOutcome:
    started = perf_counter()
    async with emulator.Miniflare(**options()) as mf:
        await _load(mf, plan, watcher)
        credentials = {"Authorization": f"Bearer {plan.user}".encode()}
        async with mf.client(headers=credentials) as client:
            watch = _AlarmWatch(mf)
            with watch:
                export_id = await _post(client, plan)
                await mf.run_until_idle()
            row = (await client.get(f"/api/storage/export/{export_id}")).json()
            missing: tuple[str, ...] = ()
            if row["status"] == "completed":
                missing = await _download(mf, client, export_id, plan, watcher)
        return ExportOutcome(
            status=row["status"],
            error=row["error_message"],
            file_count=row["file_count"] or 0,
            size_bytes=row["size_bytes"] or 0,
            missing=missing,
            simulated_ms=mf.clock.elapsed_ms,
            wall_ms=(perf_counter() - started) * 1_000,
            digest=mf.trace.digest(),
            seed=plan.seed,
            out=plan.out,
            alarms=watch.rows,
        )


async def _load(mf: Miniflare, plan: ExportPlan, watcher: Watcher) -> None:
    database, bucket = mf.get_d1_database("DB"), mf.get_r2_bucket("R2_BUCKET")
    await (
        database.prepare("INSERT INTO user_storage (user_id) VALUES (?)").bind(plan.user).run()
    )
    insert = database.prepare(_INSERT)
    statements = []
    total = len(plan.files)
    for number, file in enumerate(plan.files):
        key = file.key(plan.user)
        await _put(bucket, key, file)
        # Newest first is the worker's order: the first path gets the greatest id.
        row_id = f"file-{total - number:08d}"
        mime_type = mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
        statements.append(
            insert.bind(
                row_id,
                plan.user,
                key,
                file.filename,
                mime_type,
                file.size_bytes,
                file.product,
                file.category,
            )
        )
        if len(statements) == BATCH_ROWS:
            await database.batch(statements)
            statements = []
        watcher.loading(number + 1, total)
    if statements:
        await database.batch(statements)
    # Spread over the list, so that a small number shows in more than one chunk.
    for index in range(plan.missing_count):
        await bucket.delete(plan.files[index * total // plan.missing_count].key(plan.user))


async def _put(bucket: Any, key: str, file: LocalFile) -> None:
    try:
        if file.size_bytes <= WHOLE_FILE_BYTES_MAX:
            stored = await bucket.put(key, file.path.read_bytes())
        else:
            with file.path.open("rb") as handle:

                async def pull() -> bytes | None:
                    return handle.read(READ_BYTES) or None

                body = ReadableStream.from_source(pull, known_length=file.size_bytes)
                stored = await bucket.put(key, body)
    except OSError as error:
        message = f"cannot read {shown(file.path)}: {error.strerror}"
        raise FolderError(message) from error
    if stored.size != file.size_bytes:
        message = f"{shown(file.path)} has changed while it was read; try again"
        raise FolderError(message)


async def _post(client: httpx.AsyncClient, plan: ExportPlan) -> str:
    body: dict[str, Any] = {"type": plan.export_type}
    if plan.category is not None:
        body["filters"] = {"category": plan.category}
    response = await client.post("/api/storage/export", json=body)
    if response.status_code != 202:
        message = f"the worker answered {response.status_code}: {response.text}"
        raise FolderError(message)
    export_id: str = response.json()["export_id"]
    return export_id


async def _download(
    mf: Miniflare, client: httpx.AsyncClient, export_id: str, plan: ExportPlan, watcher: Watcher
) -> tuple[str, ...]:
    """Write the archive aside, rename it, and read which files its manifest misses."""
    answer = (await client.get(f"/api/storage/export/{export_id}/download")).json()
    # A name that fits wherever the archive's own fits, and is no other run's.
    aside = plan.out.with_name(f".{os.getpid()}.partial")
    try:
        async with _answered(client, answer["download_url"]) as response:
            total = int(response.headers["content-length"])
            done = 0
            with aside.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    file.write(chunk)
                    done += len(chunk)
                    watcher.streaming(done, total)
        missing = _missing_of(aside)
        aside.replace(plan.out)
    except OSError as error:
        message = f"cannot write {str(plan.out)!r}: {error.strerror}"
        raise FolderError(message) from error
    finally:
        aside.unlink(missing_ok=True)
    return missing


@asynccontextmanager
async def _answered(client: httpx.AsyncClient, url: str) -> AsyncIterator[httpx.Response]:
    async with client.stream("GET", url) as response:
        if response.status_code != 200:
            await response.aread()
            message = f"the download answered {response.status_code}: {response.text}"
            raise FolderError(message)
        yield response


def _missing_of(archive: Path) -> tuple[str, ...]:
    import zipfile

    with zipfile.ZipFile(archive) as opened:
        manifest = json.loads(opened.read("manifest.json"))
    return tuple(f"{entry['filename']}: {entry['reason']}" for entry in manifest["missing"])


@final
class _AlarmWatch(logging.Handler):
    """Collects what each alarm did, from the trace and the worker's own log lines."""

    def __init__(self, mf: Miniflare) -> None:
        super().__init__()
        self._mf = mf
        self._started = 0.0
        self._start_ms = mf.clock.now_ms
        self._stop: Callable[[], None] = lambda: None
        self.rows: list[AlarmRow] = []

    def __enter__(self) -> None:
        logging.getLogger("amber").addHandler(self)
        self._stop = self._mf.trace.observe(self._event)

    def __exit__(self, *exc_info: object) -> None:
        self._stop()
        logging.getLogger("amber").removeHandler(self)

    def _event(self, event: TraceEvent) -> None:
        if event.kind == "alarm":
            self._started = perf_counter()
            self.rows.append(AlarmRow(event.time_ms - self._start_ms))
        elif event.kind in ("alarm.ack", "alarm.failed") and self.rows:
            self._take_wall_time()

    def _take_wall_time(self) -> None:
        now = perf_counter()
        self.rows[-1].wall_ms += (now - self._started) * 1_000
        self._started = now

    def emit(self, record: logging.LogRecord) -> None:
        """Take the figures that the worker attaches to its line for a step."""
        figures = getattr(record, "figures", None)
        if figures is None or not self.rows:
            return
        if self.rows[-1].step:
            self.rows.append(AlarmRow(self.rows[-1].time_ms))
        for name, value in figures.items():
            setattr(self.rows[-1], name, value)
        self._take_wall_time()
