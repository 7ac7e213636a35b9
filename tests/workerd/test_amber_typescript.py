"""The TypeScript worker on the real workerd: that it is typed, and that it exports.

The laws that it keeps are the contract's (amber_worker/contract); here is only what the
contract cannot see: the types, the variants, and names that both ports give.
"""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

import amber_worker
from emulator.workerd import Miniflare
from emulator.workerd.driver import node_folder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NODE_SIDE = node_folder()
URL = "http://localhost/api/storage"
VARIANTS = sorted((NODE_SIDE / "variants").glob("*.ts"))
WAIT_S = 30


def on_workerd(
    script: Path,
    test: Callable[[Miniflare], Awaitable[None]],
    *,
    delay_ms: int = 20,
    dialect: str = "worker",
) -> None:
    """Run a test with the worker, on a real loop; its alarms come after so many ms."""
    options = amber_worker.options(
        dialect=dialect,
        worker=None,
        script_path=script,
        bindings={"ALARM_DELAY_MS": delay_ms},
    )

    async def run() -> None:
        async with Miniflare(**options) as mf:
            await test(mf)

    asyncio.run(run())


async def call(
    mf: Miniflare, path: str, method: str = "GET", user: str = "u1", **body: Any
) -> Any:
    return await mf.dispatch_fetch(
        f"{URL}/{path}",
        method=method,
        headers={"Authorization": f"Bearer {user}"},
        **({"json": body} if body else {}),
    )


async def seed(mf: Miniflare, files: dict[str, bytes | None], user: str = "u1") -> None:
    """Files by name; None is a row without an object."""
    database, bucket = mf.get_d1_database("DB"), mf.get_r2_bucket("R2_BUCKET")
    await database.prepare("INSERT INTO user_storage (user_id) VALUES (?)").bind(user).run()
    for number, (name, content) in enumerate(files.items()):
        key = f"{user}/{number}"
        if content is not None:
            await bucket.put(key, content)
        await (
            database.prepare(
                "INSERT INTO storage_files (id, user_id, r2_key, filename, mime_type,"
                " size_bytes, product, category) VALUES (?, ?, ?, ?, 'x/y', ?, 'blog', 'posts')"
            )
            .bind(f"{user}-{number:04}", user, key, name, len(content or b""))
            .run()
        )


async def finished(mf: Miniflare, export_id: str) -> dict[str, Any]:
    """The export's row once it is over."""
    async with asyncio.timeout(WAIT_S):
        while True:
            row = (await call(mf, f"export/{export_id}")).json()
            if row["status"] in ("completed", "failed"):
                return row
            await asyncio.sleep(0.05)


async def export(mf: Miniflare) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The row of an export and its archive's contents, each entry tested."""
    started = (await call(mf, "export", "POST", type="full")).json()
    row = await finished(mf, started.get("export_id") or started["exportId"])
    link = (await call(mf, f"export/{row['id']}/download")).json()["download_url"]
    answer = await call(mf, link.removeprefix("/api/storage/"))
    assert answer.headers["content-length"] == str(row["size_bytes"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return row, {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.mark.usefixtures("real_runtime")
def test_worker_and_variants_are_typed_strictly(require_tool: Callable[[str], str]) -> None:
    done = subprocess.run(
        [require_tool("node"), "node_modules/typescript/bin/tsc", "--noEmit", "-p", "amber"],
        cwd=NODE_SIDE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("real_runtime")
def test_an_export_holds_every_file_as_it_is() -> None:
    files = {f"file {number}.txt": b"leaf " * number for number in range(120)}

    async def test(mf: Miniflare) -> None:
        await seed(mf, {**files, "gone.txt": None})
        row, contents = await export(mf)
        assert (row["status"], row["file_count"]) == ("completed", 120)
        assert list(contents)[:2] == ["README.txt", "manifest.json"]
        manifest = json.loads(contents["manifest.json"])
        assert [(gone["filename"], gone["reason"]) for gone in manifest["missing"]] == [
            ("gone.txt", "not found")
        ]
        assert {f"blog/posts/{name}": content for name, content in files.items()} == {
            file["path"]: contents[file["path"]] for file in manifest["files"]
        }

    on_workerd(NODE_SIDE / "amber/src/index.ts", test)


@pytest.mark.usefixtures("real_runtime")
def test_names_in_the_archive_are_those_of_the_python_worker() -> None:
    from amber_worker.zip_names import entry_path

    names = [
        "straße.txt", "CON.txt", "a:b\\c/d", "..", "x. ", "é" * 200 + ".jpeg", "\x07bell", "ς",
        "lpt¹ .x.y", "\ufeffmark",
    ]  # fmt: skip

    async def test(mf: Miniflare) -> None:
        await seed(mf, dict.fromkeys([*names, "STRASSE.TXT"], b"x"))
        _, contents = await export(mf)
        expected = {entry_path("blog", "posts", name) for name in names}
        # The newest comes first, so it is the older one that gets a number.
        expected = expected - {"blog/posts/straße.txt"} | {
            "blog/posts/STRASSE.TXT", "blog/posts/straße (2).txt",
        }  # fmt: skip
        assert set(contents) - {"README.txt", "manifest.json"} == expected

    on_workerd(NODE_SIDE / "amber/src/index.ts", test)


@pytest.mark.usefixtures("real_runtime")
@pytest.mark.parametrize("dialect", ["worker", "readme"])
def test_the_answer_to_a_request_is_the_dialects(dialect: str) -> None:
    expected = {
        "worker": {"export_id", "status", "message"},
        "readme": {"exportId", "status"},
    }

    async def test(mf: Miniflare) -> None:
        answer = await call(mf, "export", "POST", type="full")
        assert (answer.status_code, set(answer.json())) == (202, expected[dialect])
        # One on its way that stays so: a real one may have ended already.
        await seed(mf, {}, user="u2")
        await (
            mf.get_d1_database("DB")
            .prepare(
                "INSERT INTO storage_exports (id, user_id, status, export_type)"
                " VALUES ('x', 'u2', 'processing', 'full')"
            )
            .run()
        )
        refused = await call(mf, "export", "POST", user="u2", type="full")
        assert (refused.status_code, refused.json()) == (
            409,
            {"error": "An export is already in progress"},
        )

    on_workerd(NODE_SIDE / "amber/src/index.ts", test, dialect=dialect)


@pytest.mark.usefixtures("real_runtime")
@pytest.mark.parametrize("script", VARIANTS, ids=lambda path: path.stem)
def test_every_variant_starts_and_asks_who_is_there(script: Path) -> None:
    async def test(mf: Miniflare) -> None:
        answer = await mf.dispatch_fetch(f"{URL}/export/x")
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})

    on_workerd(script, test)
