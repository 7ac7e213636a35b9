"""A worker of somebody else: Amber's contract in the simplest way that survives chaos.

One JSON value of state, the whole archive in memory, one `put`. It imports nothing but
`workers` and Python's own library.
"""

import asyncio
import io
import json
import time
import uuid
import zipfile
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from workers import DurableObject, Response, WorkerEntrypoint

CHUNK = 100
RETRIES = 6
FACTS = ("r2_key", "filename", "product", "category")
UNSAFE = '\\/:*?"<>|'


def iso(ms):
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def answer(value, status=200):
    headers = {"Content-Type": "application/json"}
    return Response(json.dumps(value), status=status, headers=headers)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        user = await self.user(request)
        if user is None:
            return answer({"error": "Unauthorized"}, 401)
        path = urlsplit(request.url).path
        if request.method == "POST" and path == "/api/storage/export":
            return await self.start(user, json.loads(await request.text()))
        parts = path.split("/")
        if path.startswith("/api/storage/download-export/"):
            key = unquote(path.removeprefix("/api/storage/download-export/"))
            row = await self.row("r2_key", key, user)
            found = await self.env.R2_BUCKET.get(key) if row is not None else None
            if found is None:
                return answer({"error": "Export not found"}, 404)
            return Response(await found.bytes(), headers={"Content-Type": "application/zip"})
        row = await self.row("id", parts[4] if len(parts) > 4 else "", user)
        if row is None:
            return answer({"error": "Export not found"}, 404)
        if parts[-1] != "download":
            return answer(dict(row))
        if row.status != "completed" or row.r2_key is None:
            return answer({"error": "Export not found or not ready"}, 404)
        return answer({"download_url": f"/api/storage/download-export/{row.r2_key}"})

    async def user(self, request):
        headers = {"Authorization": request.headers.get("Authorization") or ""}
        asked = await self.env.AUTH.fetch(
            "https://auth/session/validate", method="POST", headers=headers
        )
        told = json.loads(await asked.text())
        return told["user"]["id"] if told.get("valid") else None

    async def row(self, column, value, user):
        sql = f"SELECT * FROM storage_exports WHERE {column} = ? AND user_id = ?"
        return await self.env.DB.prepare(sql).bind(value, user).first()

    async def start(self, user, body):
        export_id = str(uuid.uuid4())
        filters = json.dumps(body["filters"]) if body.get("filters") else None
        done = await (
            self.env.DB.prepare(
                "INSERT INTO storage_exports (id, user_id, export_type, filter_params)"
                " SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM storage_exports"
                " WHERE user_id = ?2 AND status IN ('pending', 'processing'))"
            )
            .bind(export_id, user, body["type"], filters)
            .run()
        )
        if not done.meta.changes:
            return answer({"error": "An export is already in progress"}, 409)
        self.ctx.waitUntil(self.begin(export_id))
        return answer({"export_id": export_id, "status": "pending"}, 202)

    async def begin(self, export_id):
        jobs = self.env.EXPORT_JOBS
        await jobs.get(jobs.idFromName(export_id)).startExport(export_id)

    async def scheduled(self, controller):
        found = await self.env.DB.prepare(
            "SELECT id FROM storage_exports WHERE status = 'pending'"
        ).all()
        for row in found.results:
            await self.begin(row.id)


class ExportJob(DurableObject):
    async def startExport(self, export_id):
        row = await (
            self.env.DB.prepare("SELECT * FROM storage_exports WHERE id = ?")
            .bind(export_id)
            .first()
        )
        if row is None:
            raise Exception(f"Export {export_id} not found")
        storage = self.ctx.storage
        if row.status not in ("pending", "processing"):
            return
        if await storage.get("export_state") is None:
            now = int(time.time() * 1000)
            state = {
                "id": export_id, "user": row.user_id, "type": row.export_type,
                "filters": json.loads(row.filter_params) if row.filter_params else {},
                "key": f"exports/{row.user_id}/{export_id}/{now}-export.zip",
                "created": iso(now), "cursor": None, "files": [], "missing": [],
            }  # fmt: skip
            storage.put("export_state", json.dumps(state))
        await storage.setAlarm(int(time.time() * 1000) + 1000)
        await self.tell(export_id, "status = 'processing'", ("pending",))

    async def tell(self, export_id, change, before, *values):
        marks = ", ".join(f"'{status}'" for status in before)
        sql = f"UPDATE storage_exports SET {change} WHERE id = ? AND status IN ({marks})"
        await self.env.DB.prepare(sql).bind(*values, export_id).run()

    async def alarm(self, info=None):
        text = await self.ctx.storage.get("export_state")
        if text is None:
            return
        state = json.loads(text)
        try:
            if "error" not in state:
                await self.step(state)
                return
        except Exception as error:
            if getattr(info, "retryCount", 0) < RETRIES:
                raise
            state["error"] = f"{type(error).__name__}: {error}"
            self.ctx.storage.put("export_state", json.dumps(state))
        await self.fail(state)

    async def fail(self, state):
        await self.ctx.storage.setAlarm(int(time.time() * 1000) + 60_000)
        try:
            open_ = ("pending", "processing")
            change = "status = 'failed', error_message = ?"
            await self.tell(state["id"], change, open_, state["error"])
            row = await (
                self.env.DB.prepare("SELECT status FROM storage_exports WHERE id = ?")
                .bind(state["id"])
                .first()
            )
            if row.status == "failed":
                await self.env.R2_BUCKET.delete(state["key"])
        except Exception:
            return
        await self.ctx.storage.deleteAll()

    async def step(self, state):
        rows = await self.rows(state)
        for start in range(0, len(rows), 10):
            group = rows[start : start + 10]
            there = await asyncio.gather(*map(self.is_there, group))
            for row, is_there in zip(group, there, strict=True):
                file = {name: row[name] for name in FACTS}
                state["files" if is_there else "missing"].append(file)
        if rows:
            state["cursor"] = [rows[-1].created_at, rows[-1].id]
        if len(rows) == CHUNK:
            self.ctx.storage.put("export_state", json.dumps(state))
            await self.ctx.storage.setAlarm(int(time.time() * 1000) + 2000)
            return
        await self.finish(state)

    async def rows(self, state):
        sql, values = "user_id = ? AND deleted_at IS NULL", [state["user"]]
        if state["type"] in ("blog", "ivy"):
            sql, values = f"{sql} AND product = ?", [*values, state["type"]]
        elif state["type"] == "category":
            sql, values = f"{sql} AND category = ?", [*values, state["filters"]["category"]]
        if state["cursor"] is not None:
            sql, values = f"{sql} AND (created_at, id) < (?, ?)", [*values, *state["cursor"]]
        sql = (
            f"SELECT * FROM storage_files WHERE {sql}"
            f" ORDER BY created_at DESC, id DESC LIMIT {CHUNK}"
        )
        return (await self.env.DB.prepare(sql).bind(*values).all()).results

    async def is_there(self, row):
        try:
            return await self.env.R2_BUCKET.head(row.r2_key) is not None
        except Exception:
            return False

    async def finish(self, state):
        contents, listed, names = [], [], set()
        for file in state["files"]:
            try:
                found = await self.env.R2_BUCKET.get(file["r2_key"])
                content = await found.bytes() if found is not None else None
            except Exception:
                content = None
            if content is None:
                state["missing"].append(file)
                continue
            contents.append((self.name_of(file, names), content))
            listed.append({**file, "size": len(content)})
        manifest = {
            "version": "1.0", "created": state["created"], "files": listed,
            "summary": {"totalFiles": len(listed), "totalSize": sum(f["size"] for f in listed)},
            "missing": [file["r2_key"] for file in state["missing"]],
        }  # fmt: skip
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo("README.txt"), "Amber Export Archive\n")
            archive.writestr(zipfile.ZipInfo("manifest.json"), json.dumps(manifest, indent=2))
            for name, content in contents:
                archive.writestr(zipfile.ZipInfo(name), content)
        await self.env.R2_BUCKET.put(state["key"], buffer.getvalue())
        expires = iso(int(time.time() * 1000) + 7 * 86_400_000)
        await self.tell(
            state["id"],
            "status = 'completed', r2_key = ?, size_bytes = ?, file_count = ?, expires_at = ?",
            ("pending", "processing"), state["key"], len(buffer.getvalue()), len(contents),
            expires,
        )  # fmt: skip
        await self.ctx.storage.deleteAll()

    def name_of(self, file, names):
        parts = []
        for part in (file["product"], file["category"], file["filename"]):
            kept = "".join("_" if c in UNSAFE or not c.isprintable() else c for c in part)
            parts.append(kept.strip(". ") or "_")
        name, number = "/".join(parts), 1
        while name.casefold() in names or name in ("README.txt", "manifest.json"):
            number += 1
            name = "/".join([*parts[:2], f"{number} {parts[2]}"])
        names.add(name.casefold())
        return name
