"""The worker: Amber's HTTP API.

Promises: the routes of exports, their answers and their errors, each with the CORS headers
of its own request; another user's thing is answered like one that does not exist. Leaves to
others: who asks (auth), the work itself (export_job).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

from workers import Response, WorkerEntrypoint

from amber_worker.auth import TIER_GB, User, authenticate
from amber_worker.export_job import ExportJob

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Default", "ExportJob"]

_log = logging.getLogger("amber")
# Its lines for each step are at the level INFO, which Python drops unless told otherwise.
_log.setLevel(logging.INFO)

ORIGIN_DEFAULT: Final = "https://amber.grove.place"
EXPORT_TYPES: Final = ("full", "blog", "ivy", "category")
FILTER_CHARACTERS_MAX: Final = 400
#: Of all filters as JSON: they are kept in values of limited size.
FILTERS_CHARACTERS_MAX: Final = 10_000
#: Seconds before each further attempt to start an object.
START_DELAYS_S: Final = (1, 2, 4)

_EXPORT: Final = re.compile(r"/api/storage/export/([^/]+)\Z")
_DOWNLOAD: Final = re.compile(r"/api/storage/export/([^/]+)/download\Z")
_ARCHIVE: Final = re.compile(r"/api/storage/download-export/(.+)\Z", re.DOTALL)
#: What a quoted string in a header may hold as it is.
_UNSAFE_IN_HEADER: Final = re.compile(r"[^ !#-\[\]-~]")


class ApiError(Exception):
    """An answer that is not a success.

    Attributes:
        status: The HTTP status.
        text: What the client is told.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Default(WorkerEntrypoint):
    """Answers requests."""

    async def fetch(self, request: Any) -> Response:
        """Answer one request."""
        cors = _cors(request, self.env)
        if request.method == "OPTIONS":
            return Response(None, status=200, headers=cors)
        try:
            return await self._route(request, cors)
        except ApiError as error:
            return _json({"error": error.text}, error.status, cors)
        except Exception:
            _log.exception("request failed")
            return _json({"error": "Internal server error"}, 500, cors)

    async def _route(self, request: Any, cors: dict[str, str]) -> Response:
        path = urlsplit(request.url).path
        handler = self._handler(str(request.method), path)
        user = await authenticate(request, self.env)
        if user is None:
            raise ApiError(401, "Unauthorized")
        if handler is None:
            raise ApiError(404, "Not found")
        return await handler(user, request, cors)

    def _handler(
        self, method: str, path: str
    ) -> Callable[[User, Any, dict[str, str]], Awaitable[Response]] | None:
        if method == "POST":
            return self._start if path == "/api/storage/export" else None
        if method != "GET":
            return None
        for pattern, handler in (
            (_DOWNLOAD, self._link),
            (_EXPORT, self._status),
            (_ARCHIVE, self._archive),
        ):
            found = pattern.match(path)
            if found is not None:
                # Slashes of a key may come as they are or escaped.
                name = unquote(found.group(1))
                return lambda user, request, cors: handler(user, name, cors)
        return None

    # -- POST /api/storage/export ----------------------------------------------------------

    async def _start(self, user: User, request: Any, cors: dict[str, str]) -> Response:
        export_type, filters = _export_request(await request.text())
        export_id = str(uuid.uuid4())
        database = self.env.DB
        _, inserted = await database.batch(
            [
                database.prepare(
                    "INSERT OR IGNORE INTO user_storage (user_id, tier_gb) VALUES (?, ?)"
                ).bind(user.id, TIER_GB[user.tier]),
                # The database decides between two requests of one moment.
                database.prepare(
                    "INSERT INTO storage_exports (id, user_id, export_type, filter_params)"
                    " SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM storage_exports"
                    " WHERE user_id = ?2 AND status IN ('pending', 'processing'))"
                ).bind(export_id, user.id, export_type, filters),
            ]
        )
        if not inserted.meta.changes:
            await self._wake_pending(user)
            raise ApiError(409, "An export is already in progress")
        if self._is_readme:
            await self._begin(export_id)
            return _json({"exportId": export_id, "status": "processing"}, 202, cors)
        self.ctx.waitUntil(self._begin(export_id))
        message = "Export started. Ask for its status to see when it is ready."
        return _json(
            {"export_id": export_id, "status": "pending", "message": message}, 202, cors
        )

    @property
    def _is_readme(self) -> bool:
        return getattr(self.env, "EXPORT_DIALECT", "worker") == "readme"

    async def _begin(self, export_id: str) -> None:
        """Start the object; a lost connection or a busy database is tried again."""
        jobs = self.env.EXPORT_JOB if self._is_readme else self.env.EXPORT_JOBS
        for delay_s in START_DELAYS_S:
            try:
                # A stub that has seen its object break stays broken: a new one each time.
                await jobs.get(jobs.idFromName(export_id)).start_export(export_id)
            except Exception as error:
                _log.warning("export %s did not start yet: %s", export_id, error)
                await asyncio.sleep(delay_s)
            else:
                return
        await jobs.get(jobs.idFromName(export_id)).start_export(export_id)

    async def _wake_pending(self, user: User) -> None:
        """Start what was requested and never began: a power cut between row and object."""
        row = await (
            self.env.DB.prepare(
                "SELECT id FROM storage_exports WHERE user_id = ? AND status = 'pending'"
            )
            .bind(user.id)
            .first()
        )
        if row is not None:
            self.ctx.waitUntil(self._begin(row.id))

    # -- GET -------------------------------------------------------------------------------

    async def _status(self, user: User, export_id: str, cors: dict[str, str]) -> Response:
        row = await self._row(user, export_id)
        if row.status == "pending":
            # Who waits for an export asks for it: a start that was cut off is made good.
            self.ctx.waitUntil(self._begin(row.id))
        return _json(dict(row), 200, cors)

    async def _link(self, user: User, export_id: str, cors: dict[str, str]) -> Response:
        row = await self._row(user, export_id, "Export not found or not ready")
        if row.status != "completed" or row.r2_key is None:
            raise ApiError(404, "Export not found or not ready")
        _refuse_expired(row)
        answer = {
            # A user's id may hold what means something else in a URL.
            "download_url": f"/api/storage/download-export/{quote(row.r2_key, safe='/@:')}",
            "expires_at": row.expires_at,
            "size_bytes": row.size_bytes,
            "file_count": row.file_count,
        }
        return _json(answer, 200, cors)

    async def _archive(self, user: User, key: str, cors: dict[str, str]) -> Response:
        row = await (
            self.env.DB.prepare(
                "SELECT * FROM storage_exports WHERE r2_key = ? AND user_id = ?"
                " AND status = 'completed'"
            )
            .bind(key, user.id)
            .first()
        )
        if row is None:
            raise ApiError(404, "Export not found")
        _refuse_expired(row)
        found = await self.env.R2_BUCKET.get(key)
        if found is None:
            raise ApiError(404, "Export file not found")
        name = _UNSAFE_IN_HEADER.sub("_", f"grove-export-{key.rpartition('/')[2]}")
        return Response(
            found.body,
            headers={
                **cors,
                "Content-Type": "application/zip",
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(found.size),
            },
        )

    async def _row(self, user: User, export_id: str, absent: str = "Export not found") -> Any:
        row = await (
            self.env.DB.prepare("SELECT * FROM storage_exports WHERE id = ? AND user_id = ?")
            .bind(export_id, user.id)
            .first()
        )
        if row is None:
            raise ApiError(404, absent)
        return row


def _export_request(text: str) -> tuple[str, str | None]:
    """The type and the filters, as JSON text, of a request for an export."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise ApiError(400, "The body must be JSON") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object")
    export_type = body.get("type")
    if not export_type:
        raise ApiError(400, "Export type is required")
    if export_type not in EXPORT_TYPES:
        raise ApiError(400, f"Field type must be one of {', '.join(EXPORT_TYPES)}")
    filters = body.get("filters")
    if filters is None:
        filters = {}
    if not isinstance(filters, dict):
        raise ApiError(400, "Field filters must be an object of texts")
    for name, value in filters.items():
        if not isinstance(value, str) or len(value) > FILTER_CHARACTERS_MAX:
            limit = FILTER_CHARACTERS_MAX
            raise ApiError(400, f"Field filters.{name[:40]} must be a text of at most {limit}")
    if export_type == "category" and not filters.get("category"):
        raise ApiError(400, "Field filters.category is required for type category")
    kept = json.dumps(filters)
    if len(kept) > FILTERS_CHARACTERS_MAX:
        limit = FILTERS_CHARACTERS_MAX
        raise ApiError(400, f"Field filters must be at most {limit} characters of JSON")
    return export_type, kept if filters else None


def _refuse_expired(row: Any) -> None:
    if not row.expires_at:
        return
    expires = datetime.fromisoformat(row.expires_at)
    # SQLite's own texts bear no zone, and mean UTC.
    if (expires if expires.tzinfo else expires.replace(tzinfo=UTC)) <= datetime.now(UTC):
        raise ApiError(410, "Export has expired")


def _cors(request: Any, env: Any) -> dict[str, str]:
    allowed = [
        origin.strip()
        for origin in str(getattr(env, "ALLOWED_ORIGINS", ORIGIN_DEFAULT)).split(",")
        if origin.strip()
    ] or [ORIGIN_DEFAULT]
    origin = request.headers.get("Origin")
    is_allowed = origin is not None and (origin in allowed or "*" in allowed)
    named = next((name for name in allowed if name != "*"), "*")
    return {
        "Access-Control-Allow-Origin": origin if is_allowed and origin else named,
        "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": "Content-Type, Authorization, Cookie",
        "Access-Control-Allow-Credentials": "true",
        # A cache must not answer one origin with what another was told.
        "Vary": "Origin",
    }


def _json(answer: dict[str, Any], status: int, cors: dict[str, str]) -> Response:
    headers = {**cors, "Content-Type": "application/json"}
    return Response(json.dumps(answer), status=status, headers=headers)
