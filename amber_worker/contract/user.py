"""The user: who asks the worker, and what an export looks like from there.

Promises: a finished export is one whose end was seen, with every status on the way; waiting
has a bound, and what is waited for in vain is a law broken, with its last status; an archive
comes by the link that the worker gives. Leaves to others: the worker (world), the ZIP
(archive), files (seeds).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from amber_worker.contract.archive import Archive, LawBroken

if TYPE_CHECKING:
    from amber_worker.contract.seeds import SeededFile
    from amber_worker.contract.world import World

__all__ = ["API", "Export", "User", "WrongAnswer", "error_of", "json_of", "shown"]

API: Final = "/api/storage"
ENDED: Final = ("completed", "failed")
#: Between two looks at an export: short at first, longer for one that takes long.
POLL_S: Final = 0.1
POLL_GROWTH: Final = 1.1
POLL_S_MAX: Final = 2.0
BODY_CHARACTERS_SHOWN: Final = 300


@final
class WrongAnswer(LawBroken):
    """The worker has answered with another status, or without a JSON object.

    Attributes:
        status: The status it has answered with.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@final
@dataclass
class Export:
    """One export, from the answer to its request on.

    Attributes:
        user: Whose it is.
        id: Its id.
        answer: The answer to the request.
        asked_ms: Before the request, epoch milliseconds.
        files: What should be in it; None if that is not known.
        row: What the API told last.
        statuses: Every status seen, in order; one that stays is there once.
        unfinished_ms: When it was last seen not to have ended.
        seen_ms: When its end was seen.
        second: The answer to a request while it was on its way, if there was one.
    """

    user: User
    id: str
    answer: Any
    asked_ms: int
    files: list[SeededFile] | None = None
    row: dict[str, Any] = field(default_factory=dict)
    statuses: list[str] = field(default_factory=list)
    unfinished_ms: int = 0
    seen_ms: int = 0
    second: Any = None
    _download: Any = None
    _archive: Archive | None = None

    def __str__(self) -> str:
        return f"export {self.id} ({' → '.join(self.statuses) or 'never looked at'})"

    async def look(self) -> dict[str, Any]:
        """Ask for the row, and remember the status."""
        now_ms = self.user.world.now_ms
        answer = await self.user.get(f"/export/{self.id}")
        self.row = json_of(answer, 200)
        status = str(self.row.get("status"))
        if self.statuses[-1:] != [status]:
            self.statuses.append(status)
        if status not in ENDED:
            self.unfinished_ms = now_ms
        return self.row

    async def end(self, wait_ms: int | None = None) -> Export:
        """Wait until the export has ended, whichever way.

        Args:
            wait_ms: The bound; the world's own if None.

        Raises:
            LawBroken: If that takes longer than the bound.
        """
        world = self.user.world
        wait_ms = world.patience.export_ms if wait_ms is None else wait_ms
        pause_s = POLL_S
        limit_ms = world.now_ms + wait_ms
        while (await self.look()).get("status") not in ENDED:
            if world.now_ms > limit_ms:
                world.patience.has_hung = True
                message = f"{self} has not ended after {wait_ms // 1_000} s: {self.row}"
                raise LawBroken(message)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, POLL_S_MAX)
        self.seen_ms = world.now_ms
        return self

    async def complete(self) -> Export:
        """Wait until the export has completed.

        Raises:
            LawBroken: If it fails, or takes longer than the bound.
        """
        await self.end()
        if self.row["status"] != "completed":
            message = f"{self} did not complete: {self.row.get('error_message')!r}"
            raise LawBroken(message)
        return self

    @property
    def has_archive(self) -> bool:
        """Whether there is one: an export without files may store nothing."""
        return self.row.get("r2_key") is not None

    async def link(self) -> dict[str, Any]:
        """The answer to the request for the link."""
        return json_of(await self.user.get(f"/export/{self.id}/download"), 200)

    async def download(self) -> Any:
        """The answer that carries the archive; asked for once."""
        if self._download is None:
            url = str((await self.link()).get("download_url"))
            answer = await self.user.ask(url)
            if answer.status_code != 200:
                message = f"{self}: GET {url} is {shown(answer)}"
                raise LawBroken(message)
            self._download = answer
        return self._download

    async def archive(self) -> Archive:
        """The archive, downloaded and opened, and not believed in anything else."""
        if self._archive is None:
            told = f"the archive of export {self.id}"
            self._archive = Archive((await self.download()).content, told)
        return self._archive

    async def compare(self, files: list[SeededFile] | None = None) -> Archive:
        """Download, open, test and compare, byte for byte and entry by entry.

        Args:
            files: What should be in it; `self.files` if None.

        Raises:
            LawBroken: With every difference.
        """
        files = self.files if files is None else files
        assert files is not None, "the law knows what it has seeded"
        archive = await self.archive()
        archive.compare(files)
        return archive


@final
class User:
    """One user of one world.

    Args:
        world: Where.
        id: Whose name tokens and rows have; None if nobody here knows it.
        headers: The credentials.
    """

    def __init__(self, world: World, user_id: str | None, headers: dict[str, str]) -> None:
        self.world = world
        self._id = user_id
        self.headers = headers

    @property
    def id(self) -> str:
        """The user's id; only worlds with users of the contract's own know it."""
        assert self._id is not None, "laws that need the id need storage"
        return self._id

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Any:
        """Send one request with the user's credentials.

        Args:
            path: From the root on.
            method: The HTTP method.
            options: What httpx.Request takes; `headers` are added.
        """
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.world.ask(path, method=method, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> Any:
        """GET below the API."""
        return await self.ask(API + path, **options)

    async def post_export(self, export_type: str = "full", **body: Any) -> Any:
        """POST a request for an export."""
        return await self.ask(f"{API}/export", "POST", json={"type": export_type, **body})

    async def add(self, *files: SeededFile) -> list[SeededFile]:
        """Seed files of this user."""
        return await self.world.storage.add_files(self.id, list(files))

    async def begin(self, export_type: str = "full", **body: Any) -> Export:
        """Request an export.

        Raises:
            LawBroken: If it is not accepted.
        """
        asked_ms = self.world.now_ms
        answer = await self.post_export(export_type, **body)
        told = json_of(answer, 200, 202)
        export_id = told.get("export_id", told.get("exportId"))
        if not isinstance(export_id, str) or not export_id:
            message = f"the answer to POST {API}/export has no export id: {told}"
            raise LawBroken(message)
        return Export(self, export_id, answer, asked_ms)

    async def export(self, export_type: str = "full", **body: Any) -> Export:
        """Request an export and wait until it has completed.

        Raises:
            LawBroken: If it is not accepted, fails or takes longer than the bound.
        """
        return await (await self.begin(export_type, **body)).complete()

    async def export_of(self, *files: SeededFile) -> Export:
        """Seed files, export all of them, and wait until that has completed."""
        seeded = await self.add(*files)
        export = await self.export()
        export.files = seeded
        return export


def json_of(answer: Any, *statuses: int) -> dict[str, Any]:
    """An answer's JSON object.

    Raises:
        WrongAnswer: If its status is none of these, or it holds no object.
    """
    if answer.status_code in statuses:
        try:
            told = answer.json()
        except ValueError:
            told = None
        if isinstance(told, dict):
            return told
    wanted = " or ".join(map(str, statuses))
    request = answer.request
    message = f"{request.method} {request.url} is {shown(answer)}, not {wanted} with an object"
    raise WrongAnswer(message, answer.status_code)


def error_of(answer: Any) -> tuple[int, dict[str, Any]]:
    """An answer's status and JSON object, whatever they are."""
    return answer.status_code, json_of(answer, answer.status_code)


def shown(answer: Any) -> str:
    """An answer in words."""
    text = re.sub(r"\s+", " ", answer.text[:BODY_CHARACTERS_SHOWN])
    return f"{answer.status_code} {answer.headers.get('content-type')} {text!r}"
