"""The witness: gathers the evidence of a world at rest.

Promises: what HTTP, D1, R2 and the objects' storage show when nothing goes wrong any more, and
whether another export starts then; before that an unfinished one is given what Amber gives it:
users who look, the cron job of every five minutes, and time. Leaves to others: what must be
true (amber_worker.laws).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from amber_worker.chaos.client import NoAnswer
from amber_worker.chaos.watch import ARCHIVES
from amber_worker.contract.archive import Archive, LawBroken
from amber_worker.contract.user import API, json_of, shown
from amber_worker.laws import ExportEvidence, OpenUpload, WorldEvidence
from amber_worker.laws.life import ENDED
from emulator.testing import list_alarms

if TYPE_CHECKING:
    from amber_worker.chaos.scenario import Run
    from amber_worker.laws import Disturbance
    from emulator.durable_objects.record import ObjectRecord

__all__ = ["Stored", "evidence_of", "stored_in"]

#: The cron job that takes up exports which nobody works on, and how often it is waited for.
CRON: Final = "*/5 * * * *"
CRON_MS: Final = 300_000
CRON_RUNS_MAX: Final = 4
#: An export has begun after that, and has not come to its first alarm.
START_MS: Final = 500
#: The next export is one of no files: what is asked is whether there can be one.
_NEXT: Final = {"type": "category", "filters": {"category": "none of them"}}

_COLUMNS: Final = (
    "id", "user_id", "status", "r2_key", "size_bytes", "file_count", "expires_at",
    "error_message",
)  # fmt: skip
_ROWS: Final = f"SELECT {', '.join(_COLUMNS)} FROM storage_exports ORDER BY rowid"
_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'"
    " ESCAPE '\\' AND name != '_cf_METADATA'"
)

#: What an object stores: its keys, and the rows of its tables by name.
Stored = tuple[frozenset[str], dict[str, int]]


async def evidence_of(run: Run, disturbance: Disturbance) -> WorldEvidence:
    """What a world shows.

    Args:
        run: The world, at rest, with no fault in force.
        disturbance: What was done to it.
    """
    await _heal(run)
    rows = _rows(run)
    watch, bucket = run.watch, run.watch.bucket
    shown_now = WorldEvidence(
        exports=tuple([await _export(run, row, disturbance) for row in rows]),
        unknown=tuple(sorted(run.client.accepted - {row["id"] for row in rows})),
        refused=() if rows else tuple(run.client.refusals),
        archives={
            key: getattr(bucket.find(key), "size_bytes", 0)
            for key in bucket.sorted_keys()
            if key.startswith(ARCHIVES)
        },
        uploads=tuple(
            OpenUpload(upload.key, len(upload.snapshot().parts))
            for upload in bucket.uploads.values()
            if upload.is_open
        ),
        kept=tuple(_kept(run)),
        changed=tuple(_changed(run)),
        glimpses=tuple(watch.glimpses),
        disturbance=disturbance,
    )
    if not all(row["status"] in ENDED for row in rows):
        return shown_now
    # Behind everything else, since it begins anew.
    next_row, next_answer = await _next(run, len(rows))
    return replace(shown_now, next_row=next_row, next_answer=next_answer)


def _rows(run: Run) -> list[dict[str, Any]]:
    run.watch.look()
    found = run.mf.get_d1_database(run.target.database).peek(_ROWS)
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


async def _heal(run: Run) -> None:
    for _ in range(CRON_RUNS_MAX):
        unfinished = run.watch.unfinished()
        if not unfinished:
            return
        for export_id in unfinished:
            await run.client.look(export_id)
        await run.mf.advance(CRON_MS)
        # A worker without a handler for it answers that it has none.
        await run.mf.get_worker().scheduled(cron=CRON)
        await run.mf.run_until_idle()


async def _export(run: Run, row: dict[str, Any], disturbance: Disturbance) -> ExportEvidence:
    archive, told = None, ""
    if row["status"] == "completed" and row["r2_key"] is not None:
        # How the worker answers requests is the contract's; a disturbed run has no answer that
        # a calm one lacks. What it has made of the files is in R2.
        is_calm = not disturbance.count
        archive, told = await _download(run, row["id"]) if is_calm else _stored(run, row)
    return ExportEvidence(
        row=row,
        history=tuple(run.watch.history.get(row["id"], ())),
        expected=run.expected,
        disturbance=disturbance,
        archive=archive,
        download=told,
    )


def _stored(run: Run, row: dict[str, Any]) -> tuple[Archive | None, str]:
    found = run.watch.bucket.find(row["r2_key"])
    if found is None:
        return None, f"R2 has no {row['r2_key']!r}"
    return _opened(found.blob.read(0, found.size_bytes), row["id"])


async def _download(run: Run, export_id: str) -> tuple[Archive | None, str]:
    try:
        link = await run.client.ask(f"{API}/export/{export_id}/download")
        if link.status_code != 200:
            return None, f"the link to its archive is {shown(link)}"
        url = str(json_of(link, 200).get("download_url"))
        answer = await run.client.ask(url)
    except (NoAnswer, LawBroken) as error:
        return None, str(error)
    if answer.status_code != 200:
        return None, f"GET {url} is {shown(answer)}"
    return _opened(answer.content, export_id)


def _opened(data: bytes, export_id: str) -> tuple[Archive | None, str]:
    try:
        return Archive(data, f"the archive of export {export_id}"), ""
    except LawBroken as broken:
        return None, str(broken)


async def _next(run: Run, known_count: int) -> tuple[dict[str, Any] | None, str]:
    """The row of an export that is asked for now and has had time to start; the answer."""
    try:
        answer = await run.client.ask(f"{API}/export", method="POST", json=_NEXT)
    except NoAnswer as error:
        return None, str(error)
    if answer.status_code not in (200, 202):
        return None, shown(answer)
    await run.mf.advance(START_MS)
    rows = _rows(run)[known_count:]
    if rows and rows[-1]["status"] == "pending":
        await run.mf.run_until_idle()
        rows = _rows(run)[known_count:]
    return (rows[-1] if rows else None), shown(answer)


def _kept(run: Run) -> list[str]:
    """What objects still hold, beyond what one holds that never did anything."""
    mf, told = run.mf, []
    fresh_keys, fresh_tables = run.fresh_storage
    for binding in run.target.options["durable_objects"]:
        for record in mf.world.namespaces[binding].records():
            keys, tables = stored_in(record)
            if more := sorted(keys - fresh_keys):
                told.append(f"an object holds {len(more)} keys: {', '.join(more[:5])}")
            told += [
                f"an object holds {count} rows in its table {name!r}"
                for name, count in tables.items()
                if count > fresh_tables.get(name, 0)
            ]
    for alarm in list_alarms(mf):
        told.append(f"an alarm is set, {alarm.due_ms - mf.clock.now_ms} ms from now")
    return told


def stored_in(record: ObjectRecord) -> Stored:
    """What an object has stored."""
    database = record.database.sqlite
    if database is None:
        return frozenset(), {}
    keys: frozenset[str] = frozenset()
    tables = {}
    for (name,) in database.execute(_TABLES):
        if name == "_cf_KV":
            keys = frozenset(key for (key,) in database.execute("SELECT key FROM _cf_KV"))
        else:
            quoted = name.replace('"', '""')
            ((tables[name],),) = database.execute(f'SELECT count(*) FROM "{quoted}"')
    return keys, tables


def _changed(run: Run) -> list[str]:
    found = []
    for key, version in run.versions.items():
        record = run.watch.bucket.find(key)
        if record is None:
            found.append(f"{key!r} is gone from R2")
        elif record.version != version:
            found.append(f"{key!r} was written again")
    return found
