"""What every test of the worker does: seed files, run an export, check its archive."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

import amber_worker
import emulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

URL = "http://localhost/api/storage"


@dataclass
class SeededFile:
    """A row, and the object behind it."""

    id: str
    content: bytes
    filename: str = "file.bin"
    product: str = "blog"
    category: str = "posts"
    user: str = "u1"
    key: str = ""
    declared_size: int | None = None
    created_at: str = "2025-12-01 12:00:00"

    def __post_init__(self) -> None:
        self.key = self.key or f"{self.user}/{self.id}"


@dataclass
class Archive:
    """A downloaded archive."""

    data: bytes
    row: dict[str, Any]
    contents: dict[str, bytes] = field(default_factory=dict)

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads(self.contents["manifest.json"])

    @property
    def files(self) -> dict[str, bytes]:
        """The user's files by path, the two metadata entries left out."""
        return {
            path: content
            for path, content in self.contents.items()
            if path not in ("README.txt", "manifest.json")
        }


class Amber:
    """The steps of a test, in the words of a user."""

    url = URL

    def headers(self, user: str = "u1") -> dict[str, str]:
        return {"Authorization": f"Bearer {user}"}

    def run(self, test: Callable[..., Awaitable[Any]], **options: Any) -> Any:
        """Run `test(mf)` in a fresh world of the worker."""
        seed = options.pop("seed", 0)
        schedule = options.pop("schedule", None)

        async def main() -> Any:
            async with emulator.Miniflare(**amber_worker.options(**options)) as mf:
                return await test(mf)

        return emulator.run(main, seed=seed, schedule=schedule)

    def files(self, count: int, *, size: int = 200, **facts: Any) -> list[SeededFile]:
        """So many files, each with content of its own."""
        made = []
        for number in range(count):
            block = hashlib.sha256(f"{number}".encode()).digest()
            content = (block * (size // len(block) + 1))[:size]
            made.append(SeededFile(f"f{number:05d}", content, f"{number:05d}.bin", **facts))
        return made

    async def seed(self, mf: Any, files: list[SeededFile]) -> None:
        """Put objects and rows."""
        database, bucket = mf.get_d1_database("DB"), mf.get_r2_bucket("R2_BUCKET")
        for user in dict.fromkeys(file.user for file in files):
            await (
                database.prepare("INSERT OR IGNORE INTO user_storage (user_id) VALUES (?)")
                .bind(user)
                .run()
            )
        insert = database.prepare(
            "INSERT INTO storage_files (id, user_id, r2_key, filename, mime_type, size_bytes,"
            " product, category, created_at) VALUES (?, ?, ?, ?, 'x/y', ?, ?, ?, ?)"
        )
        statements = []
        for file in files:
            await bucket.put(file.key, file.content)
            size = len(file.content) if file.declared_size is None else file.declared_size
            statements.append(
                insert.bind(
                    file.id,
                    file.user,
                    file.key,
                    file.filename,
                    size,
                    file.product,
                    file.category,
                    file.created_at,
                )
            )
        if statements:
            await database.batch(statements)

    async def post(self, mf: Any, user: str = "u1", **body: Any) -> Any:
        """POST an export."""
        return await mf.dispatch_fetch(
            f"{URL}/export",
            method="POST",
            json=body or {"type": "full"},
            headers=self.headers(user),
        )

    async def status(self, mf: Any, export_id: str, user: str = "u1") -> dict[str, Any]:
        """The export's row."""
        answer = await mf.dispatch_fetch(
            f"{URL}/export/{export_id}", headers=self.headers(user)
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def finished(self, mf: Any, user: str = "u1", **body: Any) -> dict[str, Any]:
        """POST an export, let time pass, and give its row."""
        posted = await self.post(mf, user, **body)
        assert posted.status_code == 202, posted.text
        await mf.run_until_idle()
        return await self.status(mf, posted.json()["export_id"], user)

    async def download(self, mf: Any, row: dict[str, Any], user: str = "u1") -> Archive:
        """The archive of a completed export, opened and tested."""
        assert row["status"] == "completed", row
        headers = self.headers(user)
        link = await mf.dispatch_fetch(f"{URL}/export/{row['id']}/download", headers=headers)
        assert link.status_code == 200, link.text
        answer = await mf.dispatch_fetch(
            f"http://localhost{link.json()['download_url']}", headers=headers
        )
        assert answer.status_code == 200, answer.text
        archive = Archive(answer.content, row)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
            assert opened.testzip() is None
            names = opened.namelist()
            assert len(names) == len(set(names))
            assert names[:2] == ["README.txt", "manifest.json"]
            archive.contents = {name: opened.read(name) for name in names}
        return archive

    async def export(self, mf: Any, user: str = "u1", **body: Any) -> Archive:
        """An export from the POST to the archive."""
        return await self.download(mf, await self.finished(mf, user, **body), user)

    def check(self, archive: Archive, files: list[SeededFile]) -> None:
        """The archive holds exactly these files, and tells the truth about them."""
        expected = {
            f"{file.product}/{file.category}/{file.filename}": file.content for file in files
        }
        assert archive.files == expected
        manifest = archive.manifest
        told = {entry["path"]: entry["size"] for entry in manifest["files"]}
        assert told == {path: len(content) for path, content in expected.items()}
        assert manifest["summary"] == {
            "totalFiles": len(expected),
            "totalSize": sum(map(len, expected.values())),
        }
        assert archive.row["file_count"] == len(expected)
        assert archive.row["size_bytes"] == len(archive.data)

    def extract(self, archive: Archive, unzip: str, folder: Path) -> dict[str, bytes]:
        """What Info-ZIP's unzip makes of it: contents by path."""
        path = folder / "archive.zip"
        path.write_bytes(archive.data)
        target = folder / "extracted"
        done = subprocess.run(
            [unzip, "-q", "-o", str(path), "-d", str(target)],
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {
            found.relative_to(target).as_posix(): found.read_bytes()
            for found in target.rglob("*")
            if found.is_file()
        }


@pytest.fixture(scope="session")
def amber() -> Amber:
    return Amber()


@pytest.fixture(scope="session")
def seeded_file() -> type[SeededFile]:
    return SeededFile
